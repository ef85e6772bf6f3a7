//! The library is the one that was asked for, starts and stops.

use pjsip_sys::*;
use std::ffi::CStr;

#[test]
fn versions() {
    // SAFETY: both return static, NUL-terminated strings and need no initialisation.
    let (pj, srtp) = unsafe { (CStr::from_ptr(pj_get_version()), CStr::from_ptr(pjsys_srtp_version())) };
    assert_eq!(pj.to_str(), Ok("2.17"));
    assert!(srtp.to_string_lossy().contains("2.7.0"), "{srtp:?}");
}

#[test]
fn starts_and_stops_again_and_again() {
    for _ in 0..3 {
        // SAFETY: one thread only; each init has its shutdown.
        unsafe {
            assert_eq!(pj_init(), PJ_SUCCESS as pj_status_t);
            pj_shutdown();
        }
    }
}

#[test]
fn unique_strings_are_32_lower_case_hexadecimal_digits() {
    let draw = || {
        let mut buffer = [0_u8; 32];
        let mut string = pj_str_t { ptr: buffer.as_mut_ptr().cast(), slen: 0 };
        // SAFETY: the buffer has the PJ_GUID_STRING_LENGTH bytes that are written.
        unsafe {
            assert_eq!(pj_GUID_STRING_LENGTH(), 32);
            pj_generate_unique_string(&mut string);
        }
        assert_eq!(string.slen, 32);
        String::from_utf8(buffer.to_vec()).unwrap()
    };
    let (one, two) = (draw(), draw());
    assert!(one.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{one}");
    assert_ne!(one, two);
}

#[test]
fn limits_are_those_of_config_site() {
    assert_eq!(PJSUA_MAX_CALLS, 4000);
    assert_eq!(PJ_IOQUEUE_MAX_HANDLES, 16384);
    assert_eq!(PJSIP_MAX_TSX_COUNT, 32767);
    assert_eq!(PJSIP_MAX_DIALOG_COUNT, 16383);
    assert_eq!(PJSIP_MAX_TRANSPORTS, 1024);
    assert_eq!(PJ_HAS_IPV6, 1);
    assert_eq!(PJSIP_HAS_TLS_TRANSPORT, 1);
}
