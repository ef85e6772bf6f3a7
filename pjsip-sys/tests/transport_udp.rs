//! The UDP media transport before a stream is attached, and after it is destroyed.

mod support;

use pjsip_sys::*;
use std::ffi::{CStr, c_char, c_int};
use std::net::UdpSocket;
use std::ptr;
use std::sync::Mutex;
use support::Lib;

/// An endpoint that polls nothing by itself.
fn endpoint(lib: &Lib) -> *mut pjmedia_endpt {
    let mut endpoint = ptr::null_mut();
    // SAFETY: the factory is leaked.
    unsafe { assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0) };
    endpoint
}

/// A transport that receives, and its RTP port.
fn started(endpoint: *mut pjmedia_endpt) -> (*mut pjmedia_transport, u16) {
    for port in (40_000..42_000).step_by(2) {
        let mut transport = ptr::null_mut();
        // SAFETY: the endpoint is initialised; starting UDP looks at no session description.
        unsafe {
            if pjmedia_transport_udp_create(endpoint, ptr::null(), port, 0, &mut transport) != 0 {
                continue;
            }
            let start = (*(*transport).op).media_start.unwrap();
            assert_eq!(start(transport, ptr::null_mut(), ptr::null(), ptr::null(), 0), 0);
        }
        return (transport, port as u16);
    }
    panic!("no free pair of ports");
}

static LOG: Mutex<String> = Mutex::new(String::new());

unsafe extern "C" fn log(_level: c_int, text: *const c_char, _length: c_int) {
    // SAFETY: PJLIB ends each record with a NUL.
    let text = unsafe { CStr::from_ptr(text) };
    LOG.lock().unwrap().push_str(&text.to_string_lossy());
}

/// Strangers count towards switching the remote RTCP address to theirs, before there is one.
#[test]
fn rtcp_to_a_fresh_port_is_harmless() {
    let lib = Lib::new();
    let endpoint = endpoint(&lib);
    let (transport, port) = started(endpoint);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..20 {
        stranger.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], ("127.0.0.1", port + 1)).unwrap();
    }
    let wait = pj_time_val { sec: 0, msec: 100 };
    // SAFETY: the queue is polled by this thread alone, and the transport is not used afterwards.
    unsafe {
        pj_log_set_log_func(Some(log));
        pj_log_set_level(4);
        let mut events = 0;
        while pj_ioqueue_poll(pjmedia_endpt_get_ioqueue(endpoint), &wait) > 0 {
            events += 1;
        }
        pj_log_set_level(0);
        assert!(events > 0, "the packets arrived");
        let log = LOG.lock().unwrap();
        assert!(!log.contains("switched"), "{log}");
        assert_eq!((*(*transport).op).destroy.unwrap()(transport), 0);
        assert_eq!(pjmedia_endpt_destroy2(endpoint), 0);
    }
}

#[test]
fn sending_after_destroy_is_nothing() {
    let lib = Lib::new();
    let endpoint = endpoint(&lib);
    let (transport, _) = started(endpoint);
    let packet = [0x80_u8; 172];
    // SAFETY: the reference keeps the transport's memory, as a clock thread's does.
    unsafe {
        let lock = (*transport).grp_lock;
        pjsys_grp_lock_add_ref(lock);
        let operations = &*(*transport).op;
        assert_eq!(operations.destroy.unwrap()(transport), 0);
        assert_eq!(operations.send_rtp.unwrap()(transport, packet.as_ptr().cast(), 172), 0);
        assert_eq!(operations.send_rtcp.unwrap()(transport, packet.as_ptr().cast(), 28), 0);
        pjsys_grp_lock_dec_ref(lock);
        assert_eq!(pjmedia_endpt_destroy2(endpoint), 0);
    }
}
