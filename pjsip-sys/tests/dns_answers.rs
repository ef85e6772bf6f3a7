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
        self.ask_from(self.lib.pool, name, ptr::null_mut(), on_servers);
    }

    /// The job is made in `pool`, which must outlive it.
    fn ask_from(
        &self,
        pool: *mut pj_pool_t,
        name: &str,
        user: *mut c_void,
        told: unsafe extern "C" fn(*mut c_void, pj_status_t, *const pj_dns_srv_record),
    ) {
        let (name, service) = (self.lib.text(name), self.lib.text("_sip._udp."));
        // SAFETY: the caller gives a pool that lives long enough, and a callback that takes its data.
        let status = unsafe {
            pj_dns_srv_resolve(
                &name,
                &service,
                5060,
                pool,
                self.resolver,
                0,
                user,
                Some(told),
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

/// Asks for the two servers of a domain, and answers all that the resolver asks.
fn answered(resolver: &Resolver<'_>) {
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
}

#[test]
fn servers_are_told_once_from_the_wire_and_from_the_cache() {
    let lib = Lib::new();
    let resolver = Resolver::new(&lib);
    answered(&resolver);
    let both = vec![Ipv4Addr::new(192, 0, 2, b'a'), Ipv4Addr::new(192, 0, 2, b'b')];
    assert_eq!(*TOLD.lock().unwrap(), [(0, both.clone())]);

    // Now all is in the cache, and answered from inside the call.
    resolver.ask_for_servers("d.example");
    resolver.poll(0);
    assert_eq!(*TOLD.lock().unwrap(), [(0, both.clone()), (0, both)]);
}

/// Where the job lies, and how often it was told.
struct Job {
    pool: *mut pj_pool_t,
    memory: *mut u8,
    told: usize,
}

const JOB: usize = 48_000;
const USED_AGAIN: u8 = 0xA5;
/// Not where each allocation of a pool is one of malloc's: there AddressSanitizer looks on, once they are freed.
const ONE_BLOCK: bool = option_env!("OUTDIAL_POOL_DEBUG").is_none();

/// The memory is another's as soon as the job is done.
unsafe extern "C" fn use_again(user: *mut c_void, _: pj_status_t, _: *const pj_dns_srv_record) {
    // SAFETY: the test gives a job whose memory has that many bytes and is its own.
    unsafe {
        let job = user.cast::<Job>();
        (*job).told += 1;
        if ONE_BLOCK {
            ptr::write_bytes((*job).memory, USED_AGAIN, JOB);
        } else {
            pjsys_pool_release((*job).pool);
        }
    }
}

#[test]
fn what_asked_for_servers_is_not_touched_after_they_were_told() {
    let lib = Lib::new();
    let resolver = Resolver::new(&lib);
    answered(&resolver);
    // SAFETY: what the pool gives lies in one block, the job behind the first bytes; nobody else uses it.
    unsafe {
        let pool = pjsys_pool_create(lib.factory(), c"job".as_ptr(), 64_000, 64_000);
        let mut job = Job { pool, memory: pjsys_pool_zalloc(pool, 16).cast(), told: 0 };
        resolver.ask_from(pool, "d.example", (&raw mut job).cast(), use_again);
        resolver.poll(0);
        assert_eq!(job.told, 1);
        if ONE_BLOCK {
            assert!(std::slice::from_raw_parts(job.memory, JOB).iter().all(|&byte| byte == USED_AGAIN));
            pjsys_pool_release(pool);
        }
    }
}

/// What the SIP resolver told: the status, and the names and number of the addresses.
static RESOLVED: Mutex<Vec<(pj_status_t, Option<Vec<String>>)>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_resolved(
    status: pj_status_t,
    _: *mut c_void,
    addresses: *const pjsip_server_addresses,
) {
    // SAFETY: the addresses, if there are any, are valid during the call.
    let names = unsafe { addresses.as_ref() }.map(|addresses| {
        let entries = &addresses.entry[..addresses.count as usize];
        entries
            .iter()
            .map(|entry| String::from_utf8_lossy(support::bytes(&entry.name)).into_owned())
            .collect()
    });
    RESOLVED.lock().unwrap().push((status, names));
}

/// Resolves a host name for SIP; the stub answers each question with `reply`.
fn resolved(reply: fn(&[u8]) -> Vec<u8>) -> Vec<(pj_status_t, Option<Vec<String>>)> {
    RESOLVED.lock().unwrap().clear();
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let stub = UdpSocket::bind("127.0.0.1:0").unwrap();
    stub.set_nonblocking(true).unwrap();
    let (server, port) = (lib.text("127.0.0.1"), stub.local_addr().unwrap().port());
    // SAFETY: the strings live in the pool; the endpoint, which owns the resolver, is polled by this thread
    // only.
    unsafe {
        let mut resolver = ptr::null_mut();
        assert_eq!(pjsip_endpt_create_resolver(endpoint, &mut resolver), 0);
        assert_eq!(pj_dns_resolver_set_ns(resolver, 1, &server, &port), 0);
        assert_eq!(pjsip_endpt_set_resolver(endpoint, resolver), 0);
        let mut host: pjsip_host_info = std::mem::zeroed();
        host.type_ = PJSIP_TRANSPORT_UDP;
        host.addr.host = lib.text("peer.example");
        host.addr.port = 5060;
        pjsip_endpt_resolve(endpoint, lib.pool, &mut host, ptr::null_mut(), Some(on_resolved));
        let wait = pj_time_val { sec: 0, msec: 10 };
        let (mut idle, mut packet) = (0, [0; 512]);
        while idle < 50 && (idle < 20 || RESOLVED.lock().unwrap().is_empty()) {
            pjsip_endpt_handle_events(endpoint, &wait);
            idle += 1;
            while let Ok((length, from)) = stub.recv_from(&mut packet) {
                stub.send_to(&reply(&packet[..length]), from).unwrap();
                idle = 0;
            }
        }
        pjsip_endpt_destroy(endpoint);
    }
    RESOLVED.lock().unwrap().clone()
}

/// `PJLIB_UTIL_EDNSNOANSWERREC`: bindgen does not see through the macro.
const NO_ANSWER: pj_status_t = 320_047;

#[test]
fn an_answer_without_an_address_is_an_error() {
    // Addresses of the other family.
    let other = |question: &[u8]| {
        let record = if kind(question) == A { record(28, &[1; 16]) } else { record(A, &TRUE) };
        answer(question, &[record])
    };
    assert_eq!(resolved(other), [(NO_ANSWER, None)]);
}

#[test]
fn an_address_has_the_name_that_was_asked_for() {
    let one = |question: &[u8]| {
        if kind(question) == A {
            return answer(question, &[record(A, &TRUE)]);
        }
        // No such name.
        let mut packet = answer(question, &[]);
        packet[3] = 3;
        packet
    };
    assert_eq!(resolved(one), [(0, Some(vec!["peer.example".into()]))]);
}
