//! Messages over TCP whose Content-Length is not what follows.

mod support;

use pjsip_sys::*;
use std::net::{TcpListener, TcpStream};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use support::Lib;

static TRANSPORT: AtomicPtr<pjsip_transport> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" fn on_state(
    transport: *mut pjsip_transport,
    state: pjsip_transport_state,
    _: *const pjsip_transport_state_info,
) {
    if state == PJSIP_TP_STATE_CONNECTED {
        TRANSPORT.store(transport, Ordering::SeqCst);
    }
}

struct Connection {
    endpoint: *mut pjsip_endpoint,
    transport: *mut pjsip_transport,
    _peer: TcpStream,
}

/// A connection of a peer to a TCP listener of PJSIP.
fn connection(lib: &Lib) -> Connection {
    let endpoint = lib.sip_endpoint();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = lib.text("127.0.0.1");
    TRANSPORT.store(ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: the endpoint is used by this thread only; the address is copied.
    unsafe {
        let mut address: pj_sockaddr_in = std::mem::zeroed();
        assert_eq!(pj_sockaddr_in_init(&mut address, &host, port), 0);
        assert_eq!(pjsip_tcp_transport_start(endpoint, &address, 1, ptr::null_mut()), 0);
        assert_eq!(pjsip_tpmgr_set_state_cb(pjsip_endpt_get_tpmgr(endpoint), Some(on_state)), 0);
        let peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
        for _ in 0..200 {
            let wait = pj_time_val { sec: 0, msec: 50 };
            pjsip_endpt_handle_events(endpoint, &wait);
            if !TRANSPORT.load(Ordering::SeqCst).is_null() {
                break;
            }
        }
        let transport = TRANSPORT.load(Ordering::SeqCst);
        assert!(!transport.is_null());
        Connection { endpoint, transport, _peer: peer }
    }
}

impl Connection {
    /// What PJSIP takes of `data`, received at `second`.
    fn receive(&self, lib: &Lib, second: i64, data: &str) -> i64 {
        assert!(data.len() <= PJSIP_MAX_PKT_LEN as usize);
        // SAFETY: the received data are plain data, leaked, and as the TCP transport fills them.
        unsafe {
            let received = Box::leak(Box::new(std::mem::zeroed::<pjsip_rx_data>()));
            received.tp_info.transport = self.transport;
            received.tp_info.pool = lib.pool;
            received.pkt_info.timestamp.sec = second;
            received.pkt_info.len = data.len() as pj_ssize_t;
            ptr::copy_nonoverlapping(data.as_ptr(), received.pkt_info.packet.as_mut_ptr().cast(), data.len());
            pjsip_tpmgr_receive_packet(pjsip_endpt_get_tpmgr(self.endpoint), received)
        }
    }

    fn is_closing(&self) -> bool {
        // SAFETY: the transport is destroyed by polling only, which is not done here.
        unsafe { (*self.transport).is_shutdown != 0 }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: nothing of the endpoint is used afterwards.
        unsafe { pjsip_endpt_destroy(self.endpoint) };
    }
}

fn message(content_length: usize) -> String {
    format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\nFrom: <sip:a@a.example>;tag=1\r\n\
         To: <sip:b@b.example>;tag=2\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: {content_length}\r\n\r\nbody"
    )
}

#[test]
fn a_whole_message_and_one_in_two_parts_are_read() {
    let lib = Lib::new();
    let connection = connection(&lib);
    let text = message(4);
    assert_eq!(connection.receive(&lib, 1000, &text), text.len() as i64);
    assert_eq!(connection.receive(&lib, 1001, &text[..50]), 0);
    assert_eq!(connection.receive(&lib, 1004, &text), text.len() as i64);
    assert_eq!(connection.receive(&lib, 1100, &text), text.len() as i64);
    assert!(!connection.is_closing());
}

#[test]
fn a_message_that_can_never_fit_closes_the_connection() {
    let lib = Lib::new();
    let connection = connection(&lib);
    let text = message(100_000);
    assert_eq!(connection.receive(&lib, 1000, &text), text.len() as i64);
    assert!(connection.is_closing());
}

#[test]
fn a_message_that_does_not_end_closes_the_connection() {
    let lib = Lib::new();
    let connection = connection(&lib);
    let text = message(300);
    assert_eq!(connection.receive(&lib, 1000, &text), 0);
    assert!(!connection.is_closing());
    let more = text + "SIP/2.0 100 Trying\r\n";
    assert_eq!(connection.receive(&lib, 1006, &more), more.len() as i64);
    assert!(connection.is_closing());
}
