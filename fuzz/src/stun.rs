//! The answer of a STUN server, as both of PJSIP's parsers read it.

use crate::pjlib::Pool;
use pjsip_sys::*;
use std::ptr;

/// MAPPED-ADDRESS, ERROR-CODE and XOR-MAPPED-ADDRESS.
const ATTRIBUTES: [pjstun_attr_type; 3] =
    [PJSTUN_ATTR_MAPPED_ADDR, PJSTUN_ATTR_ERROR_CODE, PJSTUN_ATTR_XOR_MAPPED_ADDR];

pub(crate) fn run(input: &[u8]) {
    let pool = Pool::new();
    let mut bytes = input.to_vec();
    // SAFETY: the parser writes into the record and into the packet, which is ours; attributes are looked up in both.
    unsafe {
        let mut message: pjstun_msg = std::mem::zeroed();
        if pjstun_parse_msg(bytes.as_mut_ptr().cast(), bytes.len() as pj_size_t, &mut message) == 0 {
            for kind in ATTRIBUTES {
                std::hint::black_box(pjstun_msg_find_attr(&mut message, kind));
            }
        }
    }
    for options in [PJ_STUN_CHECK_PACKET, PJ_STUN_CHECK_PACKET | PJ_STUN_IS_DATAGRAM] {
        let (mut message, mut response, mut parsed) = (ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: what is decoded lives in the pool; the bytes are only read.
        unsafe {
            pj_stun_msg_decode(
                pool.as_ptr(),
                input.as_ptr(),
                input.len() as pj_size_t,
                options,
                &mut message,
                &mut parsed,
                &mut response,
            );
        }
    }
}
