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

const CRYPTO: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

/// A call whose keying was agreed on: the keys of our own next offer, after the peer has sent `offer`.
fn keys_after(offer: &[&str]) -> usize {
    let lib = Lib::new();
    let head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"];
    let sdp = |media: &[&str]| lib.sdp(&[&head[..], media].concat());
    let ours = ["m=audio 4000 RTP/SAVP 0"];
    // SAFETY: as above.
    unsafe {
        let (mut endpoint, mut member, mut srtp) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
        assert_eq!(pjmedia_transport_loop_create(endpoint, &mut member), 0);
        assert_eq!(pjmedia_transport_srtp_create(endpoint, member, ptr::null(), &mut srtp), 0);
        let op = &*(*srtp).op;
        let (local, remote) = (sdp(&ours), sdp(&["m=audio 5000 RTP/SAVP 0", CRYPTO]));
        assert_eq!(op.media_create.unwrap()(srtp, lib.pool, 0, remote, 0), 0);
        assert_eq!(op.encode_sdp.unwrap()(srtp, lib.pool, local, remote, 0), 0);
        assert_eq!(op.media_start.unwrap()(srtp, lib.pool, local, remote, 0), 0);

        assert_ne!(op.encode_sdp.unwrap()(srtp, lib.pool, sdp(&ours), sdp(offer), 0), 0, "refused");

        let next = sdp(&ours);
        assert_eq!(op.encode_sdp.unwrap()(srtp, lib.pool, next, ptr::null(), 0), 0);
        let keys = (*(*next).media[0]).attr_count as usize;
        op.destroy.unwrap()(srtp);
        pjmedia_endpt_destroy2(endpoint);
        keys
    }
}

#[test]
fn a_refused_offer_leaves_the_call_its_keying() {
    let unknown = ["m=audio 5000 RTP/SAVP 0", "a=crypto:1 x inline:AAAA"];
    let many: Vec<String> = (1..=68).map(|tag| format!("a=crypto:{tag} x inline:AAAA")).collect();
    let many: Vec<&str> =
        ["m=audio 5000 RTP/SAVP 0"].into_iter().chain(many.iter().map(String::as_str)).collect();
    assert!(keys_after(&unknown) > 0);
    assert!(keys_after(&many) > 0);
}
