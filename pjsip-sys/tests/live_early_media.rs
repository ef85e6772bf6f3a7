//! Answers that come again before the call is answered.

mod support;

use pjsip_sys::*;
use std::ffi::{CStr, c_char, c_int};
use std::sync::Mutex;
use support::peer::{ANSWER, Phone};

static LOG: Mutex<String> = Mutex::new(String::new());

unsafe extern "C" fn log(_level: c_int, text: *const c_char, _length: c_int) {
    // SAFETY: PJLIB ends each record with a NUL.
    let text = unsafe { CStr::from_ptr(text) };
    LOG.lock().unwrap().push_str(&text.to_string_lossy());
}

/// Answers a call with a 183 and then with `status` and `answer`; how often PJSIP negotiated anew.
fn negotiations_after(status: &str, answer: &str) -> usize {
    let mut phone = Phone::new(false);
    let invite = phone.dial();
    let contact = phone.contact();
    phone.respond(&invite, "183 Session Progress", &contact, ANSWER);
    phone.rest();
    LOG.lock().unwrap().clear();
    // SAFETY: this thread makes all calls.
    unsafe {
        pj_log_set_log_func(Some(log));
        pj_log_set_level(5);
    }
    phone.respond(&invite, status, &contact, answer);
    phone.rest();
    // SAFETY: as above.
    unsafe { pj_log_set_level(0) };
    let log = LOG.lock().unwrap();
    assert!(log.contains(status), "the response was read: {log}");
    log.matches("Renegotiating SDP").count()
}

#[test]
fn the_same_answer_again_is_not_negotiated() {
    for status in ["183", "180", "200"] {
        assert_eq!(negotiations_after(status, ANSWER), 0, "{status}");
    }
}

#[test]
fn another_answer_is_negotiated() {
    assert_eq!(negotiations_after("183", &ANSWER.replace("40000", "40002")), 1);
}
