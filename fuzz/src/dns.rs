//! The answer of a name server to a question of ours.

use crate::pjlib::{Pool, factory};
use pjsip_sys::*;
use std::ffi::c_void;
use std::net::UdpSocket;
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

/// The first byte says whether servers or an address was asked for; the rest is the answer, whose id is put right.
pub(crate) fn run(input: &[u8]) {
    let Some((&kind, answer)) = input.split_first() else { return };
    parse(answer);
    if answer.len() >= 12 {
        resolve(kind & 1 == 1, answer);
    }
}

fn parse(answer: &[u8]) {
    let pool = Pool::new();
    // SAFETY: the packet and its copy live in the pool; the record is plain data.
    unsafe {
        let mut packet = ptr::null_mut();
        let size = answer.len().try_into().unwrap_or(u32::MAX);
        if pj_dns_parse_packet(pool.as_ptr(), answer.as_ptr().cast(), size, &mut packet) != 0 {
            return;
        }
        let mut record: pj_dns_addr_record = std::mem::zeroed();
        pj_dns_parse_addr_response(packet, &mut record);
        let mut copy = ptr::null_mut();
        pj_dns_packet_dup(pool.as_ptr(), packet, 0, &mut copy);
    }
}

unsafe extern "C" fn on_address(_: *mut c_void, status: pj_status_t, packet: *mut pj_dns_parsed_packet) {
    if status == 0 {
        // SAFETY: there is a packet when the status says so; the record is plain data.
        unsafe {
            let mut record: pj_dns_addr_record = std::mem::zeroed();
            pj_dns_parse_addr_response(packet, &mut record);
        }
    }
}

unsafe extern "C" fn on_servers(_: *mut c_void, status: pj_status_t, record: *const pj_dns_srv_record) {
    if status == 0 {
        // SAFETY: there is a record when the status says so.
        std::hint::black_box(unsafe { (*record).count });
    }
}

/// The name server is a socket of ours.
fn resolve(servers: bool, answer: &[u8]) {
    static STUB: OnceLock<UdpSocket> = OnceLock::new();
    let stub = STUB.get_or_init(|| {
        let stub = UdpSocket::bind("127.0.0.1:0").expect("loopback has a port");
        stub.set_read_timeout(Some(Duration::from_secs(5))).expect("it is no zero");
        stub
    });
    let pool = Pool::new();
    let (name, service) = (pool.copy(b"peer.example"), pool.copy(b"_sip._udp."));
    let (host, port) = (pool.copy(b"127.0.0.1"), stub.local_addr().expect("it is bound").port());
    let (none, mut resolver) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the resolver is used by this thread alone and copies names; the job of the servers lives in the pool,
    // which outlives the resolver.
    unsafe {
        let created = pj_dns_resolver_create(
            factory(),
            c"dns".as_ptr(),
            0,
            ptr::null_mut(),
            ptr::null_mut(),
            &mut resolver,
        );
        assert_eq!(created, 0);
        assert_eq!(pj_dns_resolver_set_ns(resolver, 1, &host, &port), 0);
        let asked = if servers {
            let call = Some(on_servers as _);
            pj_dns_srv_resolve(&name, &service, 5060, pool.as_ptr(), resolver, 0, none, call, ptr::null_mut())
        } else {
            pj_dns_resolver_start_query(resolver, &name, 1, 0, Some(on_address), none, ptr::null_mut())
        };
        let mut question = [0; 512];
        if asked == 0
            && let Ok((length, from)) = stub.recv_from(&mut question)
            && length > 2
        {
            let mut answer = answer.to_vec();
            answer[..2].copy_from_slice(&question[..2]);
            // Longer than a datagram can be: no answer.
            if stub.send_to(&answer, from).is_ok() {
                let wait = pj_time_val { sec: 0, msec: 0 };
                pj_dns_resolver_handle_events(resolver, &wait);
                pj_dns_resolver_handle_events(resolver, &wait);
            }
        }
        pj_dns_resolver_destroy(resolver, 0);
    }
    // What a query for a server's address may have asked in between is nobody's any more.
    stub.set_nonblocking(true).expect("it is a socket");
    while stub.recv_from(&mut [0; 512]).is_ok() {}
    stub.set_nonblocking(false).expect("it is a socket");
}
