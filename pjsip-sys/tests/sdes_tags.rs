//! SDES keying as the answerer, and how many a=crypto lines an offer may have.

mod support;

use pjsip_sys::*;
use std::ptr;
use support::Lib;

// errno.h of PJMEDIA; bindgen does not see through the macros.
const ENOTSUPCRYPTO: pj_status_t = 220222;
const ESDPINCRYPTO: pj_status_t = 220225;

/// Gives an offer with `lines` distinct tags of an unknown suite to SRTP; the status of the answer.
fn offered(lines: usize) -> pj_status_t {
    let lib = Lib::new();
    let head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"];
    let local = lib.sdp(&[&head[..], &["m=audio 4000 RTP/AVP 0"]].concat());
    let crypto: Vec<String> = (1..=lines).map(|tag| format!("a=crypto:{tag} x inline:AAAA")).collect();
    let offer: Vec<&str> = head
        .iter()
        .copied()
        .chain(["m=audio 5000 RTP/SAVP 0"])
        .chain(crypto.iter().map(String::as_str))
        .collect();
    let offer = lib.sdp(&offer);

    // SAFETY: the endpoint, the transports and the descriptions live until the end of the block;
    // the function pointers are those that SRTP has put into its own table.
    unsafe {
        assert_eq!((*(*offer).media[0]).attr_count as usize, lines);
        let mut endpoint = ptr::null_mut();
        assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
        let mut member = ptr::null_mut();
        assert_eq!(pjmedia_transport_loop_create(endpoint, &mut member), 0);
        let mut srtp = ptr::null_mut();
        assert_eq!(pjmedia_transport_srtp_create(endpoint, member, ptr::null(), &mut srtp), 0);

        let op = &*(*srtp).op;
        assert_eq!(op.media_create.unwrap()(srtp, lib.pool, 0, offer, 0), 0);
        let status = op.encode_sdp.unwrap()(srtp, lib.pool, local, offer, 0);
        op.destroy.unwrap()(srtp);
        pjmedia_endpt_destroy2(endpoint);
        status
    }
}

#[test]
fn the_tag_array_can_be_filled() {
    for lines in [1, 63, 64] {
        assert_eq!(offered(lines), ENOTSUPCRYPTO, "{lines}");
    }
}

#[test]
fn more_lines_than_tags_are_refused() {
    for lines in 65..=68 {
        assert_eq!(offered(lines), ESDPINCRYPTO, "{lines}");
    }
}
