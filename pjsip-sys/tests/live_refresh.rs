//! Session timers (RFC 4028), on a clock that the test can put forward.

mod support;

use pjsip_sys as _;
use std::sync::atomic::{AtomicI64, Ordering};
use support::peer::{ANSWER, Message, Phone};

/// Seconds that have passed without anybody's waiting.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// Stands before the C library's: PJLIB's timers ask this one, and so does Rust.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the caller gives room for the time, which the kernel fills.
    unsafe {
        let result = libc::syscall(libc::SYS_clock_gettime, clock, time);
        if result == 0 {
            (*time).tv_sec += AHEAD.load(Ordering::SeqCst);
        }
        result as libc::c_int
    }
}

fn number(request: &Message) -> u32 {
    request.header("CSeq").split(' ').next().unwrap().parse().unwrap()
}

/// The next request of this method inside the call, later than number `after`.
fn next(phone: &mut Phone, method: &str, after: u32) -> Message {
    loop {
        let request = phone.expect(method);
        if request.header("To").contains(";tag=") && number(&request) > after {
            return request;
        }
    }
}

/// The peer answers our refresh by `method` with 491, as it sends one itself.
fn refreshed_after_glare(method: &str, allow: &str) {
    let mut phone = Phone::new(false);
    let invite = phone.dial();
    let timer = "Supported: timer\r\nRequire: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    phone.respond(&invite, "200 OK", &format!("{}{timer}{allow}", phone.contact()), ANSWER);
    phone.expect("ACK");
    phone.rest();

    AHEAD.fetch_add(46, Ordering::SeqCst);
    let refresh = next(&mut phone, method, number(&invite));
    phone.respond(&refresh, "491 Request Pending", "", "");
    let soon = phone.rest();
    let repeated = soon.iter().filter(|line| line.starts_with(method)).count();
    assert_eq!(repeated, 0, "not at once: {soon:?}");

    // 2.1 to 4 seconds for the caller (RFC 3261 section 14.1).
    AHEAD.fetch_add(5, Ordering::SeqCst);
    let again = next(&mut phone, method, number(&refresh));
    phone.respond(&again, "200 OK", &format!("{}{timer}{allow}", phone.contact()), ANSWER);
}

#[test]
fn a_refresh_by_invite_is_tried_again_after_glare() {
    refreshed_after_glare("INVITE", "");
}

#[test]
fn a_refresh_by_update_is_tried_again_after_glare() {
    refreshed_after_glare("UPDATE", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n");
}
