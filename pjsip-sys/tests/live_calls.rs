//! What callees do to a call.

mod support;

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
fn a_contact_that_fills_the_message_ends_no_process() {
    let mut phone = Phone::new(false);
    let invite = phone.dial();
    let long = "a".repeat(3000);
    phone.respond(&invite, "200 OK", &format!("Contact: <sip:{long}@127.0.0.1>\r\n"), ANSWER);
    phone.rest();
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
