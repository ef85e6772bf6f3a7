//! Numbers in session descriptions.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use support::{Lib, bytes};

/// One media line with `line` behind it, and the attribute that `line` became.
fn attribute(lib: &Lib, line: &str) -> *const pjmedia_sdp_attr {
    let sdp = lib.sdp(&[
        "v=0",
        "o=- 1 1 IN IP4 1.2.3.4",
        "s=-",
        "c=IN IP4 1.2.3.4",
        "t=0 0",
        "m=audio 4000 RTP/AVP 0",
        line,
    ]);
    // SAFETY: parsed from the lines above, so there is one media line with one attribute.
    unsafe {
        assert_eq!((*(*sdp).media[0]).attr_count, 1);
        (*(*sdp).media[0]).attr[0]
    }
}

#[test]
fn numbers_beyond_their_field_are_refused() {
    let lib = Lib::new();
    let rate = |number: &str| {
        let mut map = MaybeUninit::<pjmedia_sdp_rtpmap>::zeroed();
        let attribute = attribute(&lib, &format!("a=rtpmap:0 PCMU/{number}"));
        // SAFETY: zeroed is a value of it; filled by the call.
        unsafe {
            let status = pjmedia_sdp_attr_get_rtpmap(attribute, map.as_mut_ptr());
            (status == 0).then(|| map.assume_init().clock_rate)
        }
    };
    assert_eq!(rate("8000"), Some(8000));
    assert_eq!(rate("4294967295"), Some(u32::MAX));
    assert_eq!(rate("4294967296"), None);
    assert_eq!(rate("4294975296"), None);
    assert_eq!(rate("18446744073709559616"), None);

    let port = |number: &str| {
        let mut rtcp = MaybeUninit::<pjmedia_sdp_rtcp_attr>::zeroed();
        let attribute = attribute(&lib, &format!("a=rtcp:{number}"));
        // SAFETY: as above.
        unsafe {
            let status = pjmedia_sdp_attr_get_rtcp(attribute, rtcp.as_mut_ptr());
            (status == 0).then(|| rtcp.assume_init().port)
        }
    };
    assert_eq!(port("5060"), Some(5060));
    assert_eq!(port("65536"), None);
    assert_eq!(port("18446744073709556676"), None);

    let ssrc = |number: &str| {
        let mut ssrc = MaybeUninit::<pjmedia_sdp_ssrc_attr>::zeroed();
        let attribute = attribute(&lib, &format!("a=ssrc:{number} cname:x"));
        // SAFETY: as above.
        unsafe {
            let status = pjmedia_sdp_attr_get_ssrc(attribute, ssrc.as_mut_ptr());
            (status == 0).then(|| {
                let ssrc = ssrc.assume_init();
                (ssrc.ssrc, bytes(&ssrc.cname).to_vec())
            })
        }
    };
    assert_eq!(ssrc("4294967295"), Some((u32::MAX, b"x".to_vec())));
    assert_eq!(ssrc("4294967296"), None);
}

#[test]
fn a_port_count_has_16_bits() {
    let lib = Lib::new();
    let parses = |ports: &str| {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n\
            m=audio {ports} RTP/AVP 0\r\n"
        );
        let copy = lib.copy(text.as_bytes());
        let mut sdp = std::ptr::null_mut();
        // SAFETY: NUL-terminated, and lives as long as the pool.
        unsafe { pjmedia_sdp_parse(lib.pool, copy.ptr, copy.slen as pj_size_t, &mut sdp) == 0 }
    };
    assert!(parses("4000/2"));
    assert!(!parses("4000/65536"));
    assert!(!parses("4000/4294967298"));
}
