//! A call slot belongs to one call at a time.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Mutex;
use support::bytes;
use support::peer::{ANSWER, Message, Phone};

/// `PJSIP_ESESSIONTERMINATED`: bindgen does not see through the macro.
const ESESSIONTERMINATED: pj_status_t = 171_140;

/// The Call-ID that a transaction of call 0 belongs to, and the one of the call in slot 0.
static EVENTS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

fn text(string: &pj_str_t) -> String {
    String::from_utf8_lossy(bytes(string)).into_owned()
}

unsafe extern "C" fn on_transaction(
    call: pjsua_call_id,
    transaction: *mut pjsip_transaction,
    _: *mut pjsip_event,
) {
    let mut info = MaybeUninit::<pjsua_call_info>::zeroed();
    // SAFETY: the transaction and its dialog live during the call; the information is plain data.
    unsafe {
        let dialog = pjsip_tsx_get_dlg(transaction);
        if dialog.is_null() || pjsua_call_get_info(call, info.as_mut_ptr()) != 0 {
            return;
        }
        let event = (text(&(*(*dialog).call_id).id), text(&(*info.as_ptr()).call_id));
        EVENTS.lock().unwrap().push(event);
    }
}

/// A phone with one slot.
fn phone() -> Phone {
    EVENTS.lock().unwrap().clear();
    Phone::with(false, |config| {
        config.max_calls = 1;
        config.cb.on_call_tsx_state = Some(on_transaction);
    })
}

/// Hangs up while a re-INVITE has no final answer: the re-INVITE.
fn hung_up_in_reinvite(phone: &mut Phone) -> Message {
    phone.talk();
    // SAFETY: call 0 is the only one; this thread makes all calls.
    assert_eq!(unsafe { pjsua_call_reinvite(0, 0, ptr::null()) }, 0);
    let reinvite = phone.expect("INVITE");
    phone.respond(&reinvite, "100 Trying", "", "");
    phone.rest();
    // SAFETY: as above.
    assert_eq!(unsafe { pjsua_call_hangup(0, 0, ptr::null(), ptr::null()) }, 0);
    reinvite
}

#[test]
fn events_of_a_call_that_ended_do_not_reach_the_next_one() {
    let mut phone = phone();
    let reinvite = hung_up_in_reinvite(&mut phone);
    let bye = phone.expect("BYE");
    phone.respond(&bye, "200 OK", "", "");
    // SAFETY: this thread makes all calls.
    phone.until("the call ends", || unsafe { pjsua_call_get_count() } == 0);
    let next = phone.dial();
    assert_ne!(next.header("Call-ID"), reinvite.header("Call-ID"));
    for status in ["200 OK", "487 Request Terminated"] {
        let (contact, answer) =
            if status.starts_with('2') { (phone.contact(), ANSWER) } else { (String::new(), "") };
        phone.respond(&reinvite, status, &contact, answer);
        phone.rest();
    }
    let contact = phone.contact();
    phone.respond(&next, "200 OK", &contact, ANSWER);
    phone.expect("ACK");
    let events = EVENTS.lock().unwrap();
    assert!(!events.is_empty());
    for (transaction, call) in &*events {
        assert_eq!(transaction, call);
    }
}

#[test]
fn a_call_that_hangs_up_is_not_changed() {
    let mut phone = phone();
    hung_up_in_reinvite(&mut phone);
    // SAFETY: as above; the other arguments may be missing.
    unsafe {
        let none = ptr::null();
        assert_eq!(pjsua_call_set_hold2(0, 0, none), ESESSIONTERMINATED);
        assert_eq!(pjsua_call_reinvite(0, 0, none), ESESSIONTERMINATED);
        assert_eq!(pjsua_call_reinvite2(0, ptr::null(), none), ESESSIONTERMINATED);
        assert_eq!(pjsua_call_update(0, 0, none), ESESSIONTERMINATED);
        assert_eq!(pjsua_call_update2(0, ptr::null(), none), ESESSIONTERMINATED);
    }
}
