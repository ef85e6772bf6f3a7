//! The SDP negotiator and what peers put into offers.

mod support;

use pjsip_sys::*;
use std::ptr;
use support::{Lib, PJ_ETOOMANY, bytes};

const LOCAL: &[&str] = &[
    "v=0",
    "o=- 1 1 IN IP4 127.0.0.1",
    "s=-",
    "c=IN IP4 127.0.0.1",
    "t=0 0",
    "m=audio 4000 RTP/AVP 0 8 101",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:101 telephone-event/8000",
];
const SESSION: &[&str] = &["v=0", "o=- 2 2 IN IP4 127.0.0.1", "s=-", "t=0 0"];

fn with(head: &[&'static str], tail: &[&'static str]) -> Vec<&'static str> {
    [head, tail].concat()
}

/// A negotiator that has agreed on `LOCAL` with a peer of the same description.
fn agreed(lib: &Lib, lines: &[&str]) -> *mut pjmedia_sdp_neg {
    let mut neg = ptr::null_mut();
    // SAFETY: the descriptions and the negotiator live in the pool.
    unsafe {
        assert_eq!(pjmedia_sdp_neg_create_w_local_offer(lib.pool, lib.sdp(lines), &mut neg), 0);
        assert_eq!(pjmedia_sdp_neg_set_remote_answer(lib.pool, neg, lib.sdp(lines)), 0);
        assert_eq!(pjmedia_sdp_neg_negotiate(lib.pool, neg, 0), 0);
    }
    neg
}

/// Answers a first offer with `local`; gives the status and the formats of the first m= line.
fn answer(lib: &Lib, local: &[&str], offer: &[&str], theirs_first: bool) -> (pj_status_t, Vec<String>) {
    answer_with(lib, local, offer, theirs_first, false)
}

fn answer_with(
    lib: &Lib,
    local: &[&str],
    offer: &[&str],
    theirs_first: bool,
    many: bool,
) -> (pj_status_t, Vec<String>) {
    let mut neg = ptr::null_mut();
    let mut answer = ptr::null();
    // SAFETY: the descriptions and the negotiator live in the pool; the answer is read only when
    // the negotiation has succeeded.
    unsafe {
        let status =
            pjmedia_sdp_neg_create_w_remote_offer(lib.pool, lib.sdp(local), lib.sdp(offer), &mut neg);
        assert_eq!(status, 0, "{offer:?}");
        pjmedia_sdp_neg_set_prefer_remote_codec_order(neg, theirs_first.into());
        pjmedia_sdp_neg_set_answer_multiple_codecs(neg, many.into());
        let status = pjmedia_sdp_neg_negotiate(lib.pool, neg, 0);
        if status != 0 {
            return (status, Vec::new());
        }
        assert_eq!(pjmedia_sdp_neg_get_active_local(neg, &mut answer), 0);
        let media = &*(*answer).media[0];
        let formats = &media.desc.fmt[..media.desc.fmt_count as usize];
        (status, formats.iter().map(|f| String::from_utf8_lossy(bytes(f)).into_owned()).collect())
    }
}

#[test]
fn an_offer_is_judged_as_leniently_as_it_was_accepted() {
    let lib = Lib::new();
    let neg = agreed(&lib, LOCAL);
    let reinvite = with(SESSION, &["m=audio 5000 RTP/AVP 0", "c=IN IP4 127.0.0.1", "m=video 0 RTP/AVP 31"]);
    let ours = with(LOCAL, &["m=video 0 RTP/AVP 31"]);
    // SAFETY: as above.
    unsafe {
        assert_eq!(pjmedia_sdp_neg_set_remote_offer(lib.pool, neg, lib.sdp(&reinvite)), 0);
        assert_eq!(pjmedia_sdp_neg_set_local_answer(lib.pool, neg, lib.sdp(&ours)), 0);
        assert_eq!(pjmedia_sdp_neg_negotiate(lib.pool, neg, 0), 0);
        let mut local = ptr::null();
        assert_eq!(pjmedia_sdp_neg_get_active_local(neg, &mut local), 0);
        assert_eq!((*local).media_count, 2);
        assert_ne!((*(*local).media[0]).desc.port, 0);
        assert_eq!((*(*local).media[1]).desc.port, 0);
    }
}

#[test]
fn a_live_line_without_address_is_an_error_and_no_assertion() {
    let lib = Lib::new();
    let neg = agreed(&lib, LOCAL);
    let reinvite = with(SESSION, &["m=audio 5000 RTP/AVP 0"]);
    // SAFETY: as above.
    unsafe {
        assert_eq!(pjmedia_sdp_neg_set_remote_offer(lib.pool, neg, lib.sdp(&reinvite)), 0);
        assert_eq!(pjmedia_sdp_neg_set_local_answer(lib.pool, neg, lib.sdp(LOCAL)), 0);
        assert_eq!(pjmedia_sdp_neg_negotiate(lib.pool, neg, 0), PJMEDIA_SDP_EMISSINGCONN as pj_status_t);
    }
}

#[test]
fn sixteen_lines_and_a_new_type_are_too_many() {
    for flags in [0, PJMEDIA_SDP_NEG_ALLOW_MEDIA_CHANGE] {
        let lib = Lib::new();
        let full = with(LOCAL, &["m=audio 0 RTP/AVP 0"; 15]);
        let neg = agreed(&lib, &full);
        let mut head = LOCAL[..5].to_vec();
        head.extend(["m=text 4100 RTP/AVP 98", "a=rtpmap:98 t140/1000"]);
        // SAFETY: as above; the array that must not be left has 16 entries.
        unsafe {
            let status = pjmedia_sdp_neg_modify_local_offer2(lib.pool, neg, flags, lib.sdp(&head));
            if flags == 0 {
                assert_eq!(status, PJ_ETOOMANY);
                assert_eq!(pjmedia_sdp_neg_get_state(neg), PJMEDIA_SDP_NEG_STATE_DONE);
            } else {
                // With the types free to change, the 15 lines that are missing just fit.
                assert_eq!(status, 0);
                assert_eq!(pjmedia_sdp_neg_get_state(neg), PJMEDIA_SDP_NEG_STATE_LOCAL_OFFER);
            }
        }
    }
}

#[test]
fn a_payload_type_beyond_the_dynamic_range_is_in_no_map() {
    let lib = Lib::new();
    let neg = agreed(&lib, LOCAL);
    // The maps have 32 entries and lie on the stack.
    let maps: Vec<String> = (128..185).map(|number| format!("a=rtpmap:{number} X/8000")).collect();
    let beyond = with(LOCAL, &["a=rtpmap:65535 X/8000", "a=fmtp:65535 0-15"]);
    let beyond: Vec<&str> = beyond.into_iter().chain(maps.iter().map(String::as_str)).collect();
    for offer in [&beyond[..], LOCAL] {
        // SAFETY: as above.
        unsafe {
            assert_eq!(pjmedia_sdp_neg_modify_local_offer2(lib.pool, neg, 0, lib.sdp(offer)), 0);
            assert_eq!(pjmedia_sdp_neg_set_remote_answer(lib.pool, neg, lib.sdp(LOCAL)), 0);
            assert_eq!(pjmedia_sdp_neg_negotiate(lib.pool, neg, 0), 0);
            assert_eq!(pjmedia_sdp_neg_get_state(neg), PJMEDIA_SDP_NEG_STATE_DONE);
        }
    }
}

#[test]
fn a_format_is_found_by_its_own_sides_spelling() {
    let offer = with(SESSION, &["c=IN IP4 127.0.0.1", "m=audio 5000 RTP/AVP 00 08"]);
    for theirs_first in [true, false] {
        let lib = Lib::new();
        assert_eq!(answer(&lib, LOCAL, &offer, theirs_first), (0, vec!["0".to_owned()]), "{theirs_first}");
    }
}

#[test]
fn a_format_that_is_offered_twice_is_answered_once() {
    let offer = with(SESSION, &["c=IN IP4 127.0.0.1", "m=audio 5000 RTP/AVP 0 00 0"]);
    let lib = Lib::new();
    assert_eq!(answer_with(&lib, LOCAL, &offer, true, true), (0, vec!["0".to_owned()]));
}

#[test]
fn redundancy_beside_a_format_without_rtpmap() {
    let lib = Lib::new();
    let local = with(&LOCAL[..5], &["m=audio 4000 RTP/AVP 0 97", "a=rtpmap:97 red/8000", "a=fmtp:97 0/0/0"]);
    let offer = with(
        SESSION,
        &["c=IN IP4 127.0.0.1", "m=audio 5000 RTP/AVP 0 99", "a=rtpmap:99 red/8000", "a=fmtp:99 0/0"],
    );
    assert_eq!(answer(&lib, &local, &offer, true), (0, vec!["0".to_owned(), "99".to_owned()]));
}
