//! What callees do to a call.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use std::ptr;
use support::PJ_ETOOMANY;
use support::peer::{ANSWER, Phone};

const SESSION: &str = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

#[test]
fn a_declined_line_needs_no_address() {
    let mut phone = Phone::new(false);
    let invite = phone.talk();
    let offer = format!("{SESSION}m=audio 40000 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\nm=video 0 RTP/AVP 31\r\n");
    phone.request("INVITE", &invite, true, "", &offer);
    let answer = phone.expect("SIP/2.0 200");
    assert!(answer.text.contains("m=video 0 "), "{}", answer.text);
    assert!(answer.text.contains("m=audio ") && !answer.text.contains("m=audio 0 "), "{}", answer.text);
}

#[test]
fn a_contact_that_is_not_sip_ends_the_call_after_its_ack() {
    for contact in ["<tel:+12125551234>", "*"] {
        let mut phone = Phone::new(false);
        let invite = phone.dial();
        phone.respond(&invite, "200 OK", &format!("Contact: {contact}\r\n"), ANSWER);
        let order = phone.rest();
        assert!(order[0].starts_with("ACK ") && order[1].starts_with("BYE "), "{contact}: {order:?}");
        let bye = phone.expect("BYE");
        phone.respond(&bye, "200 OK", "", "");
        assert_eq!(phone.ended(), 416, "{contact}");
    }
}

#[test]
fn a_call_whose_ack_cannot_be_sent_ends() {
    let mut phone = Phone::new(false);
    let invite = phone.dial();
    // There is no transport for TLS.
    phone.respond(&invite, "200 OK", "Contact: <sips:callee@127.0.0.1>\r\n", ANSWER);
    assert_eq!(phone.ended(), 502);
    phone.is_alive();
}

#[test]
fn the_ack_goes_before_the_bye() {
    let mut phone = Phone::new(false);
    let invite = phone.dial();
    let refused = ANSWER.replace("m=audio 40000", "m=audio 0");
    phone.respond(&invite, "200 OK", &phone.contact(), &refused);
    let order = phone.rest();
    let methods: Vec<&str> = order.iter().map(|line| &line[..4]).collect();
    assert_eq!(methods.iter().filter(|method| **method == "ACK ").count(), 1, "{order:?}");
    assert_eq!(methods[..2], ["ACK ", "BYE "], "{order:?}");
}

#[test]
fn a_refer_that_nobody_has_allowed_dials_nothing() {
    let mut phone = Phone::new(false);
    let invite = phone.talk();
    let target = phone.contact().replace("Contact: <sip:callee", "Refer-To: <sip:+19001234567");
    phone.request("REFER", &invite, true, &target, "");
    phone.expect("SIP/2.0 603");
    assert_eq!(phone.rest(), Vec::<String>::new());
}

#[test]
fn no_invite_takes_a_call_over() {
    let mut phone = Phone::new(false);
    let invite = phone.talk();
    let local = invite.header("From").split("tag=").nth(1).unwrap();
    let replaces = format!("Replaces: {};to-tag={local};from-tag=peer\r\n", invite.header("Call-ID"));
    for extra in [replaces.as_str(), ""] {
        phone.request("INVITE", &invite, false, extra, ANSWER);
        phone.expect("SIP/2.0 486");
    }
    assert_eq!(phone.rest(), Vec::<String>::new());
}

#[test]
fn requests_inside_the_call_get_the_right_answers() {
    let mut phone = Phone::new(false);
    let invite = phone.talk();
    phone.request("OPTIONS", &invite, true, "", "");
    assert!(phone.expect("SIP/2.0 200").text.contains("\r\nAllow: "));
    phone.request("FOO", &invite, true, "", "");
    assert!(phone.expect("SIP/2.0 405").text.contains("\r\nAllow: "));
    let foreign = ANSWER.replace("RTP/AVP 0\r\na=rtpmap:0 PCMU", "RTP/AVP 97\r\na=rtpmap:97 FOO");
    phone.request("INVITE", &invite, true, "", &foreign);
    phone.expect("SIP/2.0 488");
}

#[test]
fn a_redirection_ends_with_its_own_code() {
    let mut phone = Phone::new(false);
    let invite = phone.dial();
    phone.respond(&invite, "302 Moved Temporarily", "Contact: <sip:other@127.0.0.1>\r\n", "");
    assert_eq!(phone.ended(), 302);
}

#[test]
fn a_hidden_route_in_the_answer_hides_nothing_else() {
    let mut phone = Phone::new(false);
    let invite = phone.dial();
    let route =
        phone.contact().replace("Contact: <sip:callee@", "Record-Route: <sip:").replace(">", ";hide>");
    phone.respond(&invite, "200 OK", &(phone.contact() + &route), ANSWER);
    assert!(phone.expect("ACK").start().starts_with("ACK sip:callee@"));
}

fn media(audio: u32, text: u32) -> pjsua_call_setting {
    let mut setting = MaybeUninit::<pjsua_call_setting>::zeroed();
    // SAFETY: PJSUA fills the setting.
    let mut setting = unsafe {
        pjsua_call_setting_default(setting.as_mut_ptr());
        setting.assume_init()
    };
    (setting.aud_cnt, setting.vid_cnt, setting.txt_cnt) = (audio, 0, text);
    setting
}

#[test]
fn more_media_than_a_call_holds_are_refused() {
    let mut phone = Phone::new(false);
    let callee = phone.lib.text(&format!("sip:callee@{}", phone.address()));
    for (audio, text) in [(17, 0), (16, 1), (0, 17), (u32::MAX, 1)] {
        let (setting, none, mut call) = (media(audio, text), ptr::null_mut(), -1);
        // SAFETY: the setting is copied; this thread makes all calls.
        let status =
            unsafe { pjsua_call_make_call(phone.account, &callee, &setting, none, ptr::null(), &mut call) };
        assert_eq!(status, PJ_ETOOMANY, "{audio} + {text}");
    }
    phone.is_alive();
}

#[test]
fn nothing_is_added_to_a_call_that_the_peer_has_filled() {
    let mut phone = Phone::new(false);
    let invite = phone.talk();
    let lines: String = (0..16).map(|line| format!("m=audio {} RTP/AVP 0\r\n", 40_000 + 2 * line)).collect();
    let offer = format!("{SESSION}{lines}").replace("t=0 0", "c=IN IP4 127.0.0.1\r\nt=0 0");
    phone.request("INVITE", &invite, true, "", &offer);
    phone.expect("SIP/2.0 200");
    for (audio, text) in [(17, 0), (16, 1), (1, 1)] {
        let setting = media(audio, text);
        // SAFETY: call 0 is the only one; the setting is copied.
        let status = unsafe { pjsua_call_reinvite2(0, &setting, ptr::null()) };
        assert_eq!(status, PJ_ETOOMANY, "{audio} + {text}");
    }
    assert!(!phone.rest().iter().any(|line| line.starts_with("INVITE")));
}
