//! One case per reason, what must pass, and that nothing panics.

use super::{Reason, Verdict, inspect, limits};
use proptest::prelude::*;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// A message with this first line, the fields that every message has, `fields`, and this body.
fn message(start: &str, fields: &str, content_type: &str, body: &str) -> String {
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@example.com>;tag=1\r\n\
         To: <sip:b@example.com>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n{fields}\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn request(fields: &str, content_type: &str, body: &str) -> String {
    message("INVITE sip:b@example.com SIP/2.0", fields, content_type, body)
}

fn refusal(message: &str) -> Option<Reason> {
    inspect(message.as_bytes()).reason()
}

fn with_sdp(lines: &str) -> Option<Reason> {
    refusal(&request("", "application/sdp", &format!("{SDP}{lines}")))
}

#[test]
fn calls_pass() {
    assert_eq!(refusal(&request("", "application/sdp", SDP)), None);
    assert_eq!(refusal(&message("SIP/2.0 200 OK", "", "application/sdp", SDP)), None);
    assert_eq!(refusal("OPTIONS sip:b@example.com SIP/2.0\r\nl: 0\r\n\r\n"), None);
    assert_eq!(refusal("BYE sip:b SIP/2.0\nCall-ID: 1\n\n"), None);
}

#[test]
fn keep_alives_pass() {
    for packet in ["", "\r\n", "\r\n\r\n", "\n"] {
        assert_eq!(refusal(packet), None, "{packet:?}");
    }
    assert_eq!(refusal(&format!("\r\n\r\n{}", request("", "application/sdp", SDP))), None);
}

/// RFC 4475 §3.1.1.1: a correct INVITE that makes use of all that the grammar allows.
#[test]
fn a_short_tortuous_invite_passes() {
    let body = "v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n\
                m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n";
    let head = format!(
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\nTO :\r\n \
         sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\nfrom   : \"J Rosenberg \\\\\\\"\"       \
         <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\nMaX-fOrWaRdS: 0068\r\nCall-ID: \
         wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : {}\r\ncseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n \
         /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\nNewFangledHeader:   newfangled value\r\n continued \
         newfangled value\r\nUnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\nRoute:\r\n \
         <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\nv:  SIP  / 2.0  / TCP     \
         spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; \
         branch=\r\n z9hG4bK30239\r\nm:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      \
         newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n",
        body.len()
    );
    assert_eq!(refusal(&format!("{head}{body}")), None);
    // And each field was understood: one more of any that occurs once is one too many.
    for field in ["To: <sip:x>", "f: <sip:x>", "i: 1", "CSEQ: 1 INVITE", "l: 0", "C: a/b", "max-forwards: 1"]
    {
        let twice = head.replacen("\r\ns :", &format!("\r\n{field}\r\ns :"), 1);
        assert_eq!(refusal(&format!("{twice}{body}")), Some(Reason::Repeated), "{field}");
    }
}

#[test]
fn who_is_answered() {
    let fields = "Content-Length: 1\r\n";
    let answer = |start| inspect(message(start, fields, "a/b", "").as_bytes());
    let reason = Reason::Repeated;
    assert_eq!(answer("INVITE sip:b@example.com SIP/2.0"), Verdict::Answer { status: 400, reason });
    assert_eq!(answer("ACK sip:b@example.com SIP/2.0"), Verdict::Drop(reason));
    assert_eq!(answer("SIP/2.0 200 OK"), Verdict::Drop(reason));
    assert_eq!(answer("GET / HTTP/1.1"), Verdict::Drop(Reason::NotSip));
    assert_eq!(inspect(b"\x16\x03\x01\x02\0\x01\0"), Verdict::Drop(Reason::NotSip));
    let lines = "m=audio 1 RTP/AVP 0\r\n".repeat(limits::MEDIA);
    let offer = request("", "application/sdp", &format!("{SDP}{lines}"));
    let reason = Reason::TooManyMedia;
    assert_eq!(inspect(offer.as_bytes()), Verdict::Answer { status: 488, reason });
}

#[test]
fn the_head_has_limits() {
    let with = |fields: String| refusal(&request(&fields, "a/b", ""));
    assert_eq!(with("X: 1\r\n".repeat(80)), None);
    assert_eq!(with("X: 1\r\n".repeat(limits::HEADERS)), Some(Reason::TooManyHeaders));
    assert_eq!(with(format!("X: {}\r\n", "x".repeat(2_000))), None);
    assert_eq!(with(format!("X: {}\r\n", "x".repeat(2_100))), Some(Reason::HeaderTooLong));
    assert_eq!(with(format!("X: x\r\n{}", " x\r\n".repeat(600))), Some(Reason::HeaderTooLong));
    assert_eq!(with("X: a\0b\r\n".to_owned()), Some(Reason::Nul));
    assert_eq!(with("X: a\rContent-Length: 7\r\n".to_owned()), Some(Reason::BareCr));
    let long = message(&format!("INVITE sip:{} SIP/2.0", "1".repeat(1_100)), "", "a/b", "");
    assert_eq!(refusal(&long), Some(Reason::StartLineTooLong));
}

#[test]
fn lists_have_limits() {
    for (name, limit, reason) in [
        ("v", limits::VIAS - 1, Reason::TooManyVias),
        ("Record-Route", limits::ROUTES, Reason::TooManyRoutes),
        ("ROUTE", limits::ROUTES, Reason::TooManyRoutes),
        ("Service-Route", limits::SERVICE_ROUTES, Reason::TooManyServiceRoutes),
        ("m", limits::CONTACTS, Reason::TooManyContacts),
        ("WWW-Authenticate", limits::CHALLENGES, Reason::TooManyChallenges),
    ] {
        let fields = |count| format!("{name}: <sip:h;lr>\r\n").repeat(count);
        assert_eq!(refusal(&request(&fields(limit), "a/b", "")), None, "{name}");
        assert_eq!(refusal(&request(&fields(limit + 1), "a/b", "")), Some(reason), "{name}");
        if name != "WWW-Authenticate" {
            let list = format!("{name}: <sip:h>{}\r\n", ",<sip:h>".repeat(limit));
            assert_eq!(refusal(&request(&list, "a/b", "")), Some(reason), "{name} in one field");
        }
    }
    let quoted = format!("m: \"{}\" <sip:h?a={}>\r\n", ",\\\"".repeat(40), ",".repeat(40));
    assert_eq!(refusal(&request(&quoted, "a/b", "")), None);
}

#[test]
fn the_body_has_its_length() {
    let with = |length: &str, body: &str| {
        refusal(&format!("INVITE sip:b SIP/2.0\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    assert_eq!(with("3", "abc"), None);
    assert_eq!(with("003", "abc"), None);
    assert_eq!(with("3", "abc\r\n\r\n"), None);
    assert_eq!(with("4", "abc"), Some(Reason::BodyTooShort));
    assert_eq!(with("2", "abc"), Some(Reason::BodyTooLong));
    for length in ["-999", "+3", "3 4", "0x3", "", "99999999999999999999"] {
        assert_eq!(with(length, "abc"), Some(Reason::ContentLength), "{length:?}");
    }
}

#[test]
fn session_descriptions_have_limits() {
    assert_eq!(with_sdp(&"m=audio 1 RTP/AVP 0\r\n".repeat(limits::MEDIA - 1)), None);
    assert_eq!(with_sdp(&"m=audio 1 RTP/AVP 0\r\n".repeat(limits::MEDIA)), Some(Reason::TooManyMedia));
    assert_eq!(with_sdp(&"m=audio 1 RTP/AVP 0\r".repeat(limits::MEDIA)), Some(Reason::TooManyMedia));
    assert_eq!(with_sdp(&"a=x\r\n".repeat(limits::ATTRIBUTES)), Some(Reason::TooManyAttributes));
    assert_eq!(with_sdp(&"b=AS:1\r\n".repeat(limits::SDP_LINES)), Some(Reason::SdpTooLong));
    assert_eq!(with_sdp(&format!("m=audio 1 RTP/AVP{}\r\n", " 0".repeat(25))), Some(Reason::TooManyFormats));
}

#[test]
fn keys_have_limits() {
    let keys =
        |count: usize| (1..=count).map(|tag| format!("a=crypto:{tag} x inline:AAAA\r\n")).collect::<String>();
    assert_eq!(with_sdp(&keys(limits::CRYPTO)), None);
    assert_eq!(with_sdp(&keys(limits::CRYPTO + 1)), Some(Reason::TooManyKeys));
    for tag in ["", "-1", "1234567890", "x"] {
        assert_eq!(with_sdp(&format!("a=crypto:{tag}\r\n")), Some(Reason::KeyTag), "{tag:?}");
    }
}

#[test]
fn payload_types_have_seven_bits() {
    assert_eq!(with_sdp("a=rtpmap:127 x/8000\r\nm=audio 1 RTP/SAVP 127\r\n"), None);
    for lines in [
        "a=rtpmap:128 x/8000\r\n",
        "a=rtpmap:65535 x/8000\r\n",
        "a=rtpmap:+8 x/8000\r\n",
        "a=rtpmap:x y\r\n",
        "m=audio 1 RTP/AVP 128\r\n",
        "m=audio 1 UDP/TLS/RTP/SAVPF 4294967296\r\n",
    ] {
        assert_eq!(with_sdp(lines), Some(Reason::PayloadType), "{lines:?}");
    }
    // Declined, and no RTP at all.
    assert_eq!(with_sdp("m=video 0 RTP/AVP 255\r\nm=image 1 udptl t38\r\n"), None);
}

#[test]
fn types_are_recognised_however_they_are_written() {
    let sdp = format!("{SDP}a=rtpmap:128 x/8000\r\n");
    for content_type in
        ["application/sdp", "Application / SDP ; a=b", "application/\r\n sdp", "APPLICATION/sdp;x"]
    {
        assert_eq!(refusal(&request("", content_type, &sdp)), Some(Reason::PayloadType), "{content_type:?}");
    }
    let xml = "<a>".repeat(100);
    for content_type in ["text/xml", "application/conference-info+XML;charset=x", "text / xml"] {
        assert_eq!(refusal(&request("", content_type, &xml)), Some(Reason::XmlTooDeep), "{content_type:?}");
    }
    assert_eq!(refusal(&request("", "text/plain", &xml)), None);
}

/// `body` between delimiters.
fn part(content_type: &str, body: &str) -> String {
    format!("--x\r\nContent-Type: {content_type}\r\n\r\n{body}\r\n")
}

#[test]
fn multiparts_have_parts() {
    let with = |body: &str| refusal(&request("", "multipart/mixed; Boundary=\"x\"", body));
    let sdp = part("application/sdp", SDP);
    assert_eq!(with(&format!("{sdp}--x--\r\n")), None);
    assert_eq!(with(&sdp), None);
    assert_eq!(with("--x--\r\n"), Some(Reason::NoParts));
    assert_eq!(with(""), Some(Reason::NoParts));
    assert_eq!(with("nothing\r\n"), Some(Reason::NoParts));
    assert_eq!(refusal(&request("", "multipart/mixed", &sdp)), Some(Reason::NoParts));
    assert_eq!(refusal(&request("", "multipart/mixed;boundary=\"\"", &sdp)), Some(Reason::NoParts));
    assert_eq!(with(&format!("{}--x--", part("a/b", "").repeat(9))), Some(Reason::TooManyParts));
}

#[test]
fn parts_are_judged() {
    let bad = format!("{SDP}a=rtpmap:128 x/8000\r\n");
    let inner = format!("--y\r\nc: application/sdp\r\n\r\n{bad}\r\n--y--\r\n");
    for body in [part("application/sdp", &bad), part("multipart/mixed;boundary=y", &inner)] {
        let message = request("", "multipart/mixed;boundary=x", &format!("{body}--x--\r\n"));
        assert_eq!(refusal(&message), Some(Reason::PayloadType));
    }
    let outer = |boundary: &str, inner: &str, body: &str| {
        format!("--{boundary}\r\nContent-Type: multipart/mixed;boundary={inner}\r\n\r\n{body}")
    };
    let body = outer("x", "y", &outer("y", "z", "--z\r\n\r\n"));
    let message = request("", "multipart/mixed;boundary=x", &body);
    assert_eq!(refusal(&message), Some(Reason::PartsTooDeep));
}

#[test]
fn xml_has_a_depth() {
    let with = |body: &str| refusal(&request("", "application/im-iscomposing+xml", body));
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert_eq!(with(&format!("<?xml version=\"1.0\"?><!-- <a> -->{}", nested(limits::XML_DEPTH))), None);
    assert_eq!(with(&nested(limits::XML_DEPTH + 1)), Some(Reason::XmlTooDeep));
    assert_eq!(with(&"<a>".repeat(1_300)), Some(Reason::XmlTooDeep));
    assert_eq!(with(&"<a b=\"/>\">".repeat(100)), Some(Reason::XmlTooDeep));
    assert_eq!(with(&"<a/>".repeat(100)), None);
    assert_eq!(with(&"<a></a>".repeat(100)), None);
}

#[test]
fn reasons_have_names_of_their_own() {
    let reasons = [Reason::NotSip, Reason::Nul, Reason::Repeated, Reason::NoParts, Reason::XmlTooDeep];
    for (at, reason) in reasons.iter().enumerate() {
        assert!(reasons.iter().skip(at + 1).all(|other| other.label() != reason.label()));
        assert!(!reason.to_string().is_empty());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(packet in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = inspect(&packet);
    }

    /// Damage to a correct message reaches further than noise does.
    #[test]
    fn no_damage_makes_it_panic(
        at in 0..700_usize,
        remove in 0..80_usize,
        insert in proptest::collection::vec(prop_oneof![
            any::<u8>(),
            proptest::sample::select(&b"\r\n:;,<>\"\\= -/"[..]),
        ], 0..80),
    ) {
        let body = format!("{}{}--x--\r\n", part("application/sdp", SDP), part("text/xml", "<a><b/></a>"));
        let mut message = request("m: \"a, b\" <sip:c>, <sip:d>\r\n", "multipart/mixed;boundary=x", &body).into_bytes();
        let at = at.min(message.len());
        let end = (at + remove).min(message.len());
        message.splice(at..end, insert);
        let _ = inspect(&message);
    }
}
