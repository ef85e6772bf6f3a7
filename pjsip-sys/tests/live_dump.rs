//! Descriptions of a call in buffers of any size.

mod support;

use pjsip_sys::*;
use std::ffi::{CStr, c_char, c_int};
use std::sync::Mutex;
use support::peer::Phone;

#[test]
fn a_dump_stays_inside_its_buffer() {
    const CANARY: u8 = 0xA5;

    let mut phone = Phone::new(false);
    phone.talk();
    let mut longest = 0;
    for size in 4..4_000 {
        let mut buffer = vec![CANARY; size + 8];
        // SAFETY: the buffer is larger than announced; call 0 is the only one.
        let status =
            unsafe { pjsua_call_dump(0, 1, buffer.as_mut_ptr().cast(), size as u32, c"  ".as_ptr()) };
        assert_eq!(status, 0, "{size}");
        assert!(buffer[size..].iter().all(|&byte| byte == CANARY), "wrote behind {size} bytes");
        let end = buffer.iter().position(|&byte| byte == 0).unwrap();
        assert!(end < size, "{size} bytes end with a NUL");
        longest = longest.max(end);
    }
    assert!(longest > 500 && longest < 3_000, "some buffers were too small: {longest}");
}

/// Each record of the log, and the decoration while it was written.
static RECORDS: Mutex<Vec<(String, u32)>> = Mutex::new(Vec::new());

unsafe extern "C" fn log(_level: c_int, text: *const c_char, _length: c_int) {
    // SAFETY: PJLIB ends each record with a NUL.
    let (text, decoration) = unsafe { (CStr::from_ptr(text), pj_log_get_decor()) };
    RECORDS.lock().unwrap().push((text.to_string_lossy().into_owned(), decoration));
}

#[test]
fn the_dump_of_a_call_that_ends_leaves_the_logs_decoration() {
    let mut phone = Phone::new(false);
    phone.talk();
    // SAFETY: this thread makes all calls; call 0 is the only one.
    let decoration = unsafe {
        pj_log_set_log_func(Some(log));
        pj_log_set_level(3);
        let decoration = pj_log_get_decor();
        assert_eq!(pjsua_call_hangup(0, 0, std::ptr::null(), std::ptr::null()), 0);
        pj_log_set_level(0);
        decoration
    };
    let records = RECORDS.lock().unwrap();
    assert!(records.iter().any(|(text, _)| text.contains("[CONFIRMED]")), "{records:?}");
    for (text, meanwhile) in &*records {
        assert_eq!(*meanwhile, decoration, "{text}");
    }
}
