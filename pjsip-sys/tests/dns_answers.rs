//! What PJLIB's resolver believes, and whom it tells how often.

mod support;

use pjsip_sys::*;
use std::ffi::c_void;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ptr;
use std::sync::Mutex;
use std::time::Duration;
use support::Lib;

const A: u16 = 1;
const SRV: u16 = 33;

/// What the callbacks were told: the status and the addresses.
static TOLD: Mutex<Vec<(pj_status_t, Vec<Ipv4Addr>)>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_address(_: *mut c_void, status: pj_status_t, packet: *mut pj_dns_parsed_packet) {
    let mut addresses = Vec::new();
    // SAFETY: the packet is valid during the call, and there is one when the status says so.
    unsafe {
        if status == 0 {
            let mut record: pj_dns_addr_record = std::mem::zeroed();
            if pj_dns_parse_addr_response(packet, &mut record) == 0 {
                for address in &record.addr[..record.addr_count as usize] {
                    addresses.push(Ipv4Addr::from(u32::from_be(address.ip.v4.s_addr)));
                }
            }
        }
    }
    TOLD.lock().unwrap().push((status, addresses));
}

unsafe extern "C" fn on_servers(_: *mut c_void, status: pj_status_t, record: *const pj_dns_srv_record) {
    let mut addresses = Vec::new();
    // SAFETY: as above.
    unsafe {
        if status == 0 {
            for entry in &(&(*record).entry)[..(*record).count as usize] {
                let server = &entry.server;
                for address in &server.addr[..server.addr_count as usize] {
                    addresses.push(Ipv4Addr::from(u32::from_be(address.ip.v4.s_addr)));
                }
            }
        }
    }
    addresses.sort();
    TOLD.lock().unwrap().push((status, addresses));
}

/// A resolver that asks a stub on a socket of the test.
struct Resolver<'a> {
    lib: &'a Lib,
    resolver: *mut pj_dns_resolver,
    stub: UdpSocket,
}

impl<'a> Resolver<'a> {
    fn new(lib: &'a Lib) -> Self {
        TOLD.lock().unwrap().clear();
        let stub = UdpSocket::bind("127.0.0.1:0").unwrap();
        stub.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut resolver = ptr::null_mut();
        let server = lib.text("127.0.0.1");
        let port = stub.local_addr().unwrap().port();
        let none = ptr::null_mut();
        // SAFETY: the factory is leaked, the name and the port are copied.
        unsafe {
            assert_eq!(
                pj_dns_resolver_create(
                    lib.factory(),
                    c"dns".as_ptr(),
                    0,
                    none,
                    ptr::null_mut(),
                    &mut resolver
                ),
                0
            );
            assert_eq!(pj_dns_resolver_set_ns(resolver, 1, &server, &port), 0);
        }
        Resolver { lib, resolver, stub }
    }

    fn ask(&self, name: &str) {
        let name = self.lib.text(name);
        // SAFETY: the name lives in the pool and is copied.
        let status = unsafe {
            pj_dns_resolver_start_query(
                self.resolver,
                &name,
                i32::from(A),
                0,
                Some(on_address),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        assert_eq!(status, 0);
    }

    fn ask_for_servers(&self, name: &str) {
        let (name, service) = (self.lib.text(name), self.lib.text("_sip._udp."));
        // SAFETY: the job lives in the pool of the test.
        let status = unsafe {
            pj_dns_srv_resolve(
                &name,
                &service,
                5060,
                self.lib.pool,
                self.resolver,
                0,
                ptr::null_mut(),
                Some(on_servers),
                ptr::null_mut(),
            )
        };
        assert_eq!(status, 0);
    }

    /// The next question that the stub receives, and from whom.
    fn question(&self) -> (Vec<u8>, SocketAddr) {
        receive(&self.stub)
    }

    /// Reads what has come, until `told` callbacks have run or nothing more is there.
    fn poll(&self, told: usize) {
        let wait = pj_time_val { sec: 0, msec: 100 };
        for _ in 0..10 {
            // SAFETY: the resolver is polled by this thread only.
            unsafe { pj_dns_resolver_handle_events(self.resolver, &wait) };
            if told > 0 && TOLD.lock().unwrap().len() >= told {
                return;
            }
        }
    }
}

impl Drop for Resolver<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing uses the resolver afterwards.
        unsafe { pj_dns_resolver_destroy(self.resolver, 0) };
    }
}

fn receive(stub: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut packet = [0; 512];
    let (length, from) = stub.recv_from(&mut packet).unwrap();
    (packet[..length].to_vec(), from)
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = vec![0xC0, 12];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 60]);
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}

/// The answer to a question, with these records.
fn answer(question: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = question.to_vec();
    packet[2] |= 0x80;
    packet[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    packet.extend(records.concat());
    packet
}

fn kind(question: &[u8]) -> u16 {
    u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]])
}

const FORGED: [u8; 4] = [6, 6, 6, 6];
const TRUE: [u8; 4] = [192, 0, 2, 1];

#[test]
fn only_the_nameservers_answer_to_the_question_is_believed() {
    type Forge = fn(&[u8]) -> Vec<u8>;
    let forgeries: [(&str, bool, Forge); 5] = [
        ("another port", true, |question| answer(question, &[record(A, &FORGED)])),
        ("no response", false, |question| {
            let mut packet = answer(question, &[record(A, &FORGED)]);
            packet[2] &= 0x7F;
            packet
        }),
        ("another name", false, |question| {
            let mut packet = answer(question, &[record(A, &FORGED)]);
            packet[13] ^= 1;
            packet
        }),
        ("another type", false, |question| {
            let mut packet = answer(question, &[record(A, &FORGED)]);
            packet[question.len() - 3] = 28;
            packet
        }),
        ("no question", false, |question| {
            let mut packet = question[..12].to_vec();
            packet[2] |= 0x80;
            packet[5] = 0;
            packet[7] = 1;
            packet.extend(record(A, &FORGED));
            packet
        }),
    ];
    for (what, elsewhere, forge) in forgeries {
        let lib = Lib::new();
        let resolver = Resolver::new(&lib);
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        resolver.ask("peer.example");
        let (question, from) = resolver.question();
        let sender = if elsewhere { &stranger } else { &resolver.stub };
        sender.send_to(&forge(&question), from).unwrap();
        resolver.poll(0);
        assert_eq!(TOLD.lock().unwrap().len(), 0, "{what}");
        resolver.stub.send_to(&answer(&question, &[record(A, &TRUE)]), from).unwrap();
        resolver.poll(1);
        assert_eq!(*TOLD.lock().unwrap(), [(0, vec![Ipv4Addr::from(TRUE)])], "{what}");
    }
}

#[test]
fn ids_do_not_count() {
    let lib = Lib::new();
    let resolver = Resolver::new(&lib);
    let ids: Vec<u16> = (0..8)
        .map(|number| {
            resolver.ask(&format!("{number}.example"));
            let (question, _) = resolver.question();
            u16::from_be_bytes([question[0], question[1]])
        })
        .collect();
    assert!(ids.windows(2).any(|pair| pair[1] != pair[0].wrapping_add(1)), "{ids:?}");
    assert!(ids.iter().all(|id| *id != 0));
}

#[test]
fn servers_are_told_once_from_the_wire_and_from_the_cache() {
    let lib = Lib::new();
    let resolver = Resolver::new(&lib);
    let target = |name: u8| record(SRV, &[0, 1, 0, 1, 0x13, 0xC4, 1, name, 2, b't', b'x', 0]);
    resolver.ask_for_servers("d.example");
    let (question, from) = resolver.question();
    assert_eq!(kind(&question), SRV);
    resolver.stub.send_to(&answer(&question, &[target(b'a'), target(b'b')]), from).unwrap();
    let stub = resolver.stub.try_clone().unwrap();
    let answering = std::thread::spawn(move || {
        for _ in 0..2 {
            let (question, from) = receive(&stub);
            let last = question[13];
            stub.send_to(&answer(&question, &[record(A, &[192, 0, 2, last])]), from).unwrap();
        }
    });
    resolver.poll(1);
    answering.join().unwrap();
    let both = vec![Ipv4Addr::new(192, 0, 2, b'a'), Ipv4Addr::new(192, 0, 2, b'b')];
    assert_eq!(*TOLD.lock().unwrap(), [(0, both.clone())]);

    // Now all is in the cache, and answered from inside the call.
    resolver.ask_for_servers("d.example");
    resolver.poll(0);
    assert_eq!(*TOLD.lock().unwrap(), [(0, both.clone()), (0, both)]);
}
