//! SDES keying over and over: a call may be renegotiated as often as its peer likes.
//!
//! Where each block is one of malloc, pools count nothing: there this is a question for the leak detector.
#![cfg(not(pool_debug))]

mod support;

use pjsip_sys::*;
use std::ptr;
use support::Lib;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
const LOCAL: &str = "m=audio 4000 RTP/SAVP 0\r\n";
/// 30 bytes of key and salt (RFC 4568 section 6.2).
const REMOTE: &str = "m=audio 5000 RTP/SAVP 0\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\r\n";

/// Bytes of the pools that are in use.
fn in_use(lib: &Lib) -> usize {
    let factory = lib.factory().cast::<pj_caching_pool>();
    // SAFETY: the factory is the first member of the caching pool, whose list of pools in use is
    // circular and begins with pool's own links.
    unsafe {
        let list = (&raw mut (*factory).used_list).cast::<pj_pool_t>();
        let mut pool = (*list).next;
        let mut bytes = 0;
        while pool != list {
            bytes += (*pool).capacity;
            pool = (*pool).next;
        }
        bytes
    }
}

unsafe fn sdp(pool: *mut pj_pool_t, media: &str) -> *mut pjmedia_sdp_session {
    let text = format!("{HEAD}{media}");
    // SAFETY: the pool gives room for the text and a NUL; the description lives as long as it does.
    unsafe {
        let copy = pjsys_pool_zalloc(pool, text.len() + 1).cast::<u8>();
        ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len());
        let mut sdp = ptr::null_mut();
        assert_eq!(pjmedia_sdp_parse(pool, copy.cast(), text.len(), &mut sdp), 0);
        sdp
    }
}

#[test]
fn negotiating_again_and_again_takes_no_memory() {
    let lib = Lib::new();
    // SAFETY: endpoint and transports live until the end of the block; the descriptions as long as
    // the pool of their negotiation; the functions are those in SRTP's own table.
    unsafe {
        let (mut endpoint, mut member, mut srtp) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
        assert_eq!(pjmedia_transport_loop_create(endpoint, &mut member), 0);
        assert_eq!(pjmedia_transport_srtp_create(endpoint, member, ptr::null(), &mut srtp), 0);
        let operations = &*(*srtp).op;

        let negotiate = || {
            let pool = pjsys_pool_create(lib.factory(), c"negotiation".as_ptr(), 4000, 4000);
            let (local, remote) = (sdp(pool, LOCAL), sdp(pool, REMOTE));
            assert_eq!(operations.media_create.unwrap()(srtp, pool, 0, remote, 0), 0);
            assert_eq!(operations.encode_sdp.unwrap()(srtp, pool, local, remote, 0), 0);
            assert_eq!((*(*local).media[0]).attr_count, 1, "the answer has a key");
            assert_eq!(operations.media_start.unwrap()(srtp, pool, local, remote, 0), 0);
            pjsys_pool_release(pool);
        };
        for _ in 0..10 {
            negotiate();
        }
        let before = in_use(&lib);
        for _ in 0..1_000 {
            negotiate();
        }
        assert_eq!(in_use(&lib), before);

        operations.destroy.unwrap()(srtp);
        pjmedia_endpt_destroy2(endpoint);
    }
}
