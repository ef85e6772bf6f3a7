//! Calls with SRTP, and peers that offer something else in their course.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use std::ptr;
use support::peer::{ANSWER, Message, Phone};

/// A description of the peer, with these a=crypto lines.
fn encrypted(version: u32, crypto: &str) -> String {
    let plain = ANSWER.replace("o=- 1 1", &format!("o=- 1 {version}"));
    format!("{}{crypto}\r\n", plain.replace("RTP/AVP", "RTP/SAVP"))
}

/// An answer with the suite that every offer of ours has, under the tag that it has there.
fn answer(version: u32, offer: &Message) -> String {
    let suite = "AES_CM_128_HMAC_SHA1_80";
    let line = offer.text.lines().find(|line| line.starts_with("a=crypto:") && line.contains(suite));
    let line = line.unwrap_or_else(|| panic!("no key: {}", offer.text));
    let tag = line.trim_start_matches("a=crypto:").split(' ').next().unwrap();
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    encrypted(version, &format!("a=crypto:{tag} {suite} inline:{key}"))
}

/// The media of call 0 runs.
fn is_active() -> bool {
    let mut info = MaybeUninit::<pjsua_call_info>::zeroed();
    // SAFETY: the information is plain data, filled when the function succeeds.
    unsafe {
        assert_eq!(pjsua_call_get_info(0, info.as_mut_ptr()), 0);
        info.assume_init().media_status == PJSUA_CALL_MEDIA_ACTIVE
    }
}

/// A call that is encrypted, as it must be, and its INVITE.
fn encrypted_call() -> (Phone, Message) {
    let mut phone = Phone::new(false);
    // SAFETY: the account exists, its settings are copied; this thread makes all calls.
    unsafe {
        let mut setting = MaybeUninit::<pjsua_acc_config>::zeroed();
        assert_eq!(pjsua_acc_get_config(phone.account, phone.lib.pool, setting.as_mut_ptr()), 0);
        let setting = setting.assume_init_mut();
        setting.use_srtp = PJMEDIA_SRTP_MANDATORY;
        setting.srtp_secure_signaling = 0;
        assert_eq!(pjsua_acc_modify(phone.account, setting), 0);
    }
    let invite = phone.dial();
    phone.respond(&invite, "200 OK", &phone.contact(), &answer(1, &invite));
    phone.expect("ACK");
    assert!(is_active());
    (phone, invite)
}

#[test]
fn a_refused_offer_leaves_the_call_encrypted() {
    let (mut phone, invite) = encrypted_call();
    let unknown = "a=crypto:1 x inline:AAAA".to_owned();
    let many: Vec<String> = (1..=66).map(|tag| format!("a=crypto:{tag} x inline:AAAA")).collect();
    for (version, crypto) in [(2, unknown), (3, many.join("\r\n"))] {
        phone.request("INVITE", &invite, true, "", &encrypted(version, &crypto));
        phone.expect("SIP/2.0 488");
        phone.request("ACK", &invite, true, "", "");
        phone.rest();
    }

    // SAFETY: call 0 is the only one.
    assert_eq!(unsafe { pjsua_call_reinvite(0, 0, ptr::null()) }, 0);
    let reinvite = phone.expect("INVITE");
    assert!(reinvite.text.contains("RTP/SAVP"), "{}", reinvite.text);
    phone.respond(&reinvite, "200 OK", &phone.contact(), &answer(4, &reinvite));
    phone.expect("ACK");
    assert!(is_active());
}

#[test]
fn a_refused_offer_of_another_line_does_not_keep_later_ones_out() {
    let (mut phone, invite) = encrypted_call();
    let good = answer(2, &invite);
    // A line without keys, where there must be some.
    phone.request("INVITE", &invite, true, "", &format!("{good}m=audio 4002 RTP/SAVP 0\r\n"));
    phone.expect("SIP/2.0 488");
    phone.request("ACK", &invite, true, "", "");
    phone.rest();

    phone.request("INVITE", &invite, true, "", &good);
    phone.expect("SIP/2.0 200");
    phone.request("ACK", &invite, true, "", "");
    phone.rest();
    // SAFETY: call 0 is the only one.
    assert_eq!(unsafe { pjsua_call_reinvite(0, 0, ptr::null()) }, 0);
    let reinvite = phone.expect("INVITE");
    phone.respond(&reinvite, "200 OK", &phone.contact(), &answer(3, &reinvite));
    phone.expect("ACK");
    assert!(is_active());
}
