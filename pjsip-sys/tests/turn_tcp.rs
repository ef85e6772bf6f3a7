//! TURN over TCP (RFC 8656): what comes in pieces, and what comes after the end.

mod support;

use pjsip_sys::*;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ptr;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::Lib;

static STATES: Mutex<Vec<pj_turn_state_t>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_state(_: *mut pj_turn_sock, _: pj_turn_state_t, state: pj_turn_state_t) {
    STATES.lock().unwrap().push(state);
}

struct Client {
    socket: *mut pj_turn_sock,
    ioqueue: *mut pj_ioqueue_t,
    timers: *mut pj_timer_heap_t,
    server: TcpStream,
    /// The transaction of its Allocate request.
    id: [u8; 12],
}

impl Client {
    /// Has connected to a server and asked for an allocation.
    fn new(lib: &Lib) -> Self {
        STATES.lock().unwrap().clear();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = i32::from(listener.local_addr().unwrap().port());
        let (mut socket, mut ioqueue, mut timers) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: all is made from the pool or the leaked factory; the settings are copied.
        unsafe {
            assert_eq!(pjnath_init(), 0);
            assert_eq!(pj_ioqueue_create(lib.pool, 16, &mut ioqueue), 0);
            assert_eq!(pj_timer_heap_create(lib.pool, 100, &mut timers), 0);
            let mut config: pj_stun_config = std::mem::zeroed();
            pjsys_stun_config_init(&mut config, lib.factory(), ioqueue, timers);
            let mut callback: pj_turn_sock_cb = std::mem::zeroed();
            callback.on_state = Some(on_state);
            let (family, none) = (i32::from(PJ_AF_INET), ptr::null_mut());
            let setting = ptr::null();
            assert_eq!(
                pj_turn_sock_create(
                    &mut config,
                    family,
                    PJ_TURN_TP_TCP,
                    &callback,
                    setting,
                    none,
                    &mut socket
                ),
                0
            );
            let host = lib.text("127.0.0.1");
            assert_eq!(pj_turn_sock_alloc(socket, &host, port, ptr::null_mut(), ptr::null(), ptr::null()), 0);
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut server = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            assert!(Instant::now() < deadline, "no connection");
            poll(ioqueue, timers);
        };
        server.set_nonblocking(true).unwrap();
        server.set_nodelay(true).unwrap();
        let mut request = Vec::new();
        while request.len() < 20 {
            let mut piece = [0; 500];
            match server.read(&mut piece) {
                Ok(length) => request.extend(&piece[..length]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            assert!(Instant::now() < deadline, "no request");
            poll(ioqueue, timers);
        }
        assert_eq!(request[..2], [0, 3], "an Allocate request");
        let id = request[8..20].try_into().unwrap();
        Client { socket, ioqueue, timers, server, id }
    }

    /// Sends a segment, and has the client read it.
    fn send(&mut self, segment: &[u8]) {
        self.server.write_all(segment).unwrap();
        for _ in 0..20 {
            poll(self.ioqueue, self.timers);
        }
    }

    fn message(&self, kind: [u8; 2], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = kind.to_vec();
        message.extend((body.len() as u16).to_be_bytes());
        message.extend([0x21, 0x12, 0xA4, 0x42]);
        message.extend(self.id);
        message.extend(body);
        message
    }

    fn until(&self, state: pj_turn_state_t) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !STATES.lock().unwrap().contains(&state) {
            assert!(Instant::now() < deadline, "only {:?}", STATES.lock().unwrap());
            poll(self.ioqueue, self.timers);
        }
    }
}

fn poll(ioqueue: *mut pj_ioqueue_t, timers: *mut pj_timer_heap_t) {
    let wait = pj_time_val { sec: 0, msec: 10 };
    // SAFETY: both live, and are polled by this thread only.
    unsafe {
        pj_ioqueue_poll(ioqueue, &wait);
        pj_timer_heap_poll(timers, ptr::null_mut());
    }
}

#[test]
fn a_response_in_pieces_is_read() {
    let lib = Lib::new();
    let mut client = Client::new(&lib);
    let relayed = [0, 1, 0x10, 0x10, 0x5E, 0x12, 0xA4, 0x43];
    let response = client.message([1, 3], &[(0x000D, &600_u32.to_be_bytes()), (0x0016, &relayed)]);
    for piece in [&response[..2], &response[2..30], &response[30..]] {
        client.send(piece);
    }
    client.until(PJ_TURN_STATE_READY);
    // SAFETY: nothing uses the socket afterwards.
    unsafe { pj_turn_sock_destroy(client.socket) };
    client.send(&[]);
}

#[test]
fn what_follows_a_fatal_response_is_dropped() {
    let lib = Lib::new();
    let mut client = Client::new(&lib);
    let mut segment = client.message([1, 0x13], &[(0x0009, b"\0\0\x04\x03Forbidden")]);
    // Data indications, and the beginning of another.
    for _ in 0..3 {
        let peer = [0, 1, 0x10, 0x10, 0x5E, 0x12, 0xA4, 0x43];
        segment.extend(client.message([0, 0x17], &[(0x0012, &peer), (0x0013, b"data")]));
    }
    segment.extend([0, 0x17]);
    client.send(&segment);
    client.until(PJ_TURN_STATE_DESTROYING);
    client.send(&[]);
}
