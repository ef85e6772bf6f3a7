//! Keep-alives of a peer over TCP (RFC 5626 section 4.4.1).

mod support;

use pjsip_sys::*;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ptr;
use std::time::Duration;
use support::Lib;

/// A SIP endpoint that listens, and a connection to it.
struct Connection {
    endpoint: *mut pjsip_endpoint,
    stream: TcpStream,
}

impl Connection {
    fn new(lib: &Lib) -> Self {
        let endpoint = lib.sip_endpoint();
        let mut factory = ptr::null_mut();
        // SAFETY: the endpoint is initialised; without an address any free port is taken.
        let port = unsafe {
            assert_eq!(pjsip_tcp_transport_start(endpoint, ptr::null(), 1, &mut factory), 0);
            (*factory).addr_name.port
        };
        let stream = TcpStream::connect(("127.0.0.1", port as u16)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        Connection { endpoint, stream }
    }

    /// What the endpoint answers to `pieces`, which it reads one by one.
    fn answers(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        let mut answer = Vec::new();
        for piece in pieces {
            self.stream.write_all(piece).unwrap();
            for _ in 0..20 {
                let wait = pj_time_val { sec: 0, msec: 5 };
                // SAFETY: polled by this thread alone.
                unsafe { pjsip_endpt_handle_events(self.endpoint, &wait) };
                let mut buffer = [0; 64];
                match self.stream.read(&mut buffer) {
                    Ok(length) => answer.extend(&buffer[..length]),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        answer
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: not used afterwards.
        unsafe { pjsip_endpt_destroy(self.endpoint) };
    }
}

#[test]
fn a_ping_is_answered() {
    let lib = Lib::new();
    let mut connection = Connection::new(&lib);
    assert_eq!(connection.answers(&[b"\r\n\r\n"]), b"\r\n");
    assert_eq!(connection.answers(&[b"\r\n", b"\r\n"]), b"\r\n");
    assert_eq!(connection.answers(&[b"\r", b"\n\r", b"\n"]), b"\r\n");
}

#[test]
fn what_is_no_ping_is_not() {
    let lib = Lib::new();
    let mut connection = Connection::new(&lib);
    assert_eq!(connection.answers(&[b"\r\n"]), b"");
    // A message that begins in between ends the ping that had begun, and has a double CRLF inside.
    let message = b"BYE sip:us SIP/2.0\r\nContent-Length: 4\r\n\r\n\r\n\r\n";
    assert_eq!(connection.answers(&[message]), b"");
    assert_eq!(connection.answers(&[b"\r\n"]), b"");
}
