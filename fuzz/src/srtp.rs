//! SRTP and SRTCP packets into a stream: as they are, or encrypted by somebody who has the key.

use crate::media::{Packets, Stream, endpoint, loopback, send};
use pjsip_sys::*;
use std::ffi::CStr;
use std::ptr;

/// It is SRTCP.
const CONTROL: u8 = 1;
/// The media clock ticks afterwards.
const TICK: u8 = 2;
/// The packet is encrypted and authenticated on its way.
const PROTECT: u8 = 4;
/// Longest packet that a transport receives, less what encryption adds.
const LONGEST: usize = 1_400;

/// Suites of RFC 4568, 6188 and 7714 with the bytes of their key and salt.
const SUITES: [(&CStr, usize); 5] = [
    (c"AES_CM_128_HMAC_SHA1_80", 30),
    (c"AES_CM_128_HMAC_SHA1_32", 30),
    (c"AES_256_CM_HMAC_SHA1_80", 46),
    (c"AEAD_AES_128_GCM", 28),
    (c"AEAD_AES_256_GCM", 44),
];

/// The first byte chooses the suite.
pub(crate) fn run(input: &[u8]) {
    let Some((&suite, packets)) = input.split_first() else { return };
    let (name, length) = SUITES[usize::from(suite) % SUITES.len()];
    let mut key = [7; 46];
    let (member, mut srtp) = (loopback(), ptr::null_mut());
    // SAFETY: SRTP owns the transport below it; settings, name and key are copied; both directions have one key, so
    // that what we send is what we receive.
    let mut stream = unsafe {
        let mut setting: pjmedia_srtp_setting = std::mem::zeroed();
        pjmedia_srtp_setting_default(&mut setting);
        setting.use_ = PJMEDIA_SRTP_MANDATORY;
        assert_eq!(pjmedia_transport_srtp_create(endpoint(), member, &setting, &mut srtp), 0);
        let crypto = pjmedia_srtp_crypto {
            key: pj_str_t { ptr: key.as_mut_ptr().cast(), slen: length as pj_ssize_t },
            name: pj_str_t { ptr: name.as_ptr().cast_mut(), slen: name.count_bytes() as pj_ssize_t },
            flags: 0,
        };
        assert_eq!(pjmedia_transport_srtp_start(srtp, &crypto, &crypto), 0);
        Stream::new(0, srtp)
    };
    for (flags, packet) in Packets(packets).take(64) {
        if packet.len() <= LONGEST {
            let transport = if flags & PROTECT != 0 { srtp } else { member };
            // SAFETY: both live as long as the stream.
            unsafe { send(transport, flags & CONTROL != 0, packet) };
        }
        if flags & TICK != 0 {
            stream.tick();
        }
    }
}
