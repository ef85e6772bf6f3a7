//! Connections that PJSUA opens, and those that it should not.

mod support;

use pjsip_sys::*;
use std::io::{ErrorKind, Read as _};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::ptr;
use std::time::{Duration, Instant};
use support::peer::Phone;

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A phone that can speak TCP, and an account.
fn phone(id: &str, registrar: Option<&str>) -> (Phone, pjsua_acc_id) {
    let phone = Phone::new(false);
    let (mut transport, mut account) = (-1, -1);
    // SAFETY: the settings are initialised by PJSUA's own functions and are copied; this thread makes all
    // calls.
    unsafe {
        let mut setting: pjsua_transport_config = std::mem::zeroed();
        pjsua_transport_config_default(&mut setting);
        setting.bound_addr = phone.lib.text("127.0.0.1");
        assert_eq!(pjsua_transport_create(PJSIP_TRANSPORT_TCP, &setting, &mut transport), 0);
        let mut setting: pjsua_acc_config = std::mem::zeroed();
        pjsua_acc_config_default(&mut setting);
        setting.id = phone.lib.text(id);
        setting.reg_retry_interval = 0;
        // A request without an answer ends after 64 times T1.
        pjsip_tsx_set_timers(50, 100, 100, 1_000);
        if let Some(registrar) = registrar {
            setting.reg_uri = phone.lib.text(registrar);
        }
        assert_eq!(pjsua_acc_add(&setting, 1, &mut account), 0);
    }
    (phone, account)
}

/// The next connection, and the first request on it.
fn connection(phone: &mut Phone, listener: &TcpListener) -> (TcpStream, String) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(Instant::now() < deadline, "no connection");
        phone.step();
    };
    stream.set_nonblocking(true).unwrap();
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        let mut piece = [0; 4000];
        match stream.read(&mut piece) {
            Ok(0) => panic!("closed after {text:?}"),
            Ok(length) => text += &String::from_utf8_lossy(&piece[..length]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(Instant::now() < deadline, "no request");
        phone.step();
    }
    (stream, text)
}

#[test]
fn a_registrar_that_fell_silent_gets_a_new_connection() {
    let (listener, port) = listen();
    let (mut phone, account) = phone("sip:u@127.0.0.1", Some(&format!("sip:127.0.0.1:{port};transport=tcp")));
    let status = || {
        let mut info = MaybeUninit::<pjsua_acc_info>::zeroed();
        // SAFETY: the account exists, the information is plain data.
        unsafe {
            assert_eq!(pjsua_acc_get_info(account, info.as_mut_ptr()), 0);
            info.assume_init().status
        }
    };
    let (_silent, request) = connection(&mut phone, &listener);
    assert!(request.starts_with("REGISTER "), "{request}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while status() != 408 {
        assert!(Instant::now() < deadline, "REGISTER does not time out: {}", status());
        phone.step();
    }
    // SAFETY: this thread makes all calls.
    assert_eq!(unsafe { pjsua_acc_set_registration(account, 1) }, 0);
    let (_, request) = connection(&mut phone, &listener);
    assert!(request.starts_with("REGISTER "), "{request}");
}

#[test]
fn a_call_opens_no_connection_to_its_own_identity() {
    let ((callee, to), (own, from)) = (listen(), listen());
    let (mut phone, account) = phone(&format!("sip:u@127.0.0.1:{from};transport=tcp"), None);
    let uri = phone.lib.text(&format!("sip:callee@127.0.0.1:{to};transport=tcp"));
    let mut setting = MaybeUninit::<pjsua_call_setting>::zeroed();
    let (none, mut call) = (ptr::null_mut(), -1);
    // SAFETY: the setting is initialised by PJSUA and copied; this thread makes all calls.
    unsafe {
        pjsua_call_setting_default(setting.as_mut_ptr());
        (*setting.as_mut_ptr()).txt_cnt = 0;
        assert_eq!(pjsua_call_make_call(account, &uri, setting.as_ptr(), none, ptr::null(), &mut call), 0);
    }
    let (_stream, request) = connection(&mut phone, &callee);
    assert!(request.starts_with("INVITE "), "{request}");
    phone.rest();
    assert_eq!(own.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}
