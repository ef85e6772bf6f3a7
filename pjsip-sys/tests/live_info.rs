//! INFO requests of a callee.

mod support;

use pjsip_sys::*;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use support::peer::Phone;

/// Digits and their durations in milliseconds.
static DIGITS: Mutex<Vec<(char, u32)>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_digit(_: pjsua_call_id, info: *const pjsua_dtmf_info) {
    // SAFETY: the information is valid during the call.
    let info = unsafe { *info };
    DIGITS.lock().unwrap().push((char::from(info.digit as u8), info.duration));
}

/// The callee sends an INFO with `body` over TCP, and `behind` it in the same segment.
fn digits(body: &str, behind: &str) -> Vec<(char, u32)> {
    DIGITS.lock().unwrap().clear();
    let mut phone = Phone::with(false, |config| config.cb.on_dtmf_digit2 = Some(on_digit));
    let port = listen(&phone);
    let invite = phone.talk();
    let mut info = format!("INFO sip:caller@127.0.0.1:{port};transport=tcp SIP/2.0\r\nMax-Forwards: 70\r\n");
    info += &format!("Via: SIP/2.0/TCP {};branch=z9hG4bKinfo\r\n", phone.address());
    info += &format!("From: {};tag=peer\r\nTo: {}\r\n", invite.header("To"), invite.header("From"));
    info += &format!("Call-ID: {}\r\nCSeq: 1 INFO\r\n", invite.header("Call-ID"));
    info += &format!("Content-Type: application/dtmf-relay\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.write_all((info + body + behind).as_bytes()).unwrap();
    connection.set_nonblocking(true).unwrap();
    let mut answer = [0; 4];
    phone.until("an answer", || connection.read(&mut answer).is_ok());
    assert_eq!(&answer, b"SIP/");
    DIGITS.lock().unwrap().clone()
}

/// The port of a transport for TCP.
fn listen(phone: &Phone) -> u16 {
    let mut id = -1;
    // SAFETY: the setting is initialised by PJSUA and copied; the information is plain data; this thread makes all
    // calls.
    unsafe {
        let mut setting: pjsua_transport_config = std::mem::zeroed();
        pjsua_transport_config_default(&mut setting);
        setting.bound_addr = phone.lib.text("127.0.0.1");
        assert_eq!(pjsua_transport_create(PJSIP_TRANSPORT_TCP, &setting, &mut id), 0);
        let mut info: pjsua_transport_info = std::mem::zeroed();
        assert_eq!(pjsua_transport_get_info(id, &mut info), 0);
        info.local_name.port as u16
    }
}

#[test]
fn a_digit_is_read_from_the_body() {
    assert_eq!(digits("Signal=5\r\nDuration=160\r\n", ""), [('5', 160)]);
}

#[test]
fn what_follows_the_body_is_not_read() {
    assert_eq!(digits("Signal=5\r\n", "Duration=160\r\n"), [('5', 0)]);
    assert_eq!(digits("Signal=5", "\r\nDuration=160\r\n"), [('5', 0)]);
    assert_eq!(digits("Signal=", "5\r\nDuration=160\r\n"), []);
}
