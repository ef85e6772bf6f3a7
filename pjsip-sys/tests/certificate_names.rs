//! The names of a certificate end where ASN.1 says.

mod support;

use pjsip_sys::*;
use rcgen::{CertificateParams, KeyPair, SanType};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use support::{Lib, bytes};

static ACCEPTED: AtomicPtr<pj_ssl_sock_t> = AtomicPtr::new(ptr::null_mut());
static CONNECTED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn on_accept(
    _: *mut pj_ssl_sock_t,
    socket: *mut pj_ssl_sock_t,
    _: *const pj_sockaddr_t,
    _: i32,
    _: pj_status_t,
) -> pj_bool_t {
    ACCEPTED.store(socket, Ordering::SeqCst);
    1
}

unsafe extern "C" fn on_connect(_: *mut pj_ssl_sock_t, status: pj_status_t) -> pj_bool_t {
    assert_eq!(status, 0);
    CONNECTED.fetch_add(1, Ordering::SeqCst);
    1
}

/// The subject's alternative names as PJLIB reads them from a server's certificate.
fn names(written: Vec<SanType>) -> Vec<String> {
    let lib = Lib::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = written;
    let certificate = params.self_signed(&key).unwrap();
    let (certificate, key) = (lib.text(&certificate.pem()), lib.text(&key.serialize_pem()));
    let none = lib.text("");
    CONNECTED.store(0, Ordering::SeqCst);
    // SAFETY: the strings live in the pool; the sockets are closed at the end, and polled by this thread
    // only.
    unsafe {
        let mut ioqueue = ptr::null_mut();
        assert_eq!(pj_ioqueue_create(lib.pool, 16, &mut ioqueue), 0);
        let mut param: pj_ssl_sock_param = std::mem::zeroed();
        pj_ssl_sock_param_default(&mut param);
        param.ioqueue = ioqueue;
        param.cb.on_accept_complete2 = Some(on_accept);
        param.cb.on_connect_complete = Some(on_connect);
        let (mut server, mut client, mut pair) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        assert_eq!(pj_ssl_cert_load_from_buffer(lib.pool, &none, &certificate, &key, &none, &mut pair), 0);
        assert_eq!(pj_ssl_sock_create(lib.pool, &param, &mut server), 0);
        assert_eq!(pj_ssl_sock_set_certificate(server, lib.pool, pair), 0);
        let mut local: pj_sockaddr = std::mem::zeroed();
        let host = lib.text("127.0.0.1");
        assert_eq!(pj_sockaddr_init(i32::from(PJ_AF_INET), &mut local, &host, 0), 0);
        let size = size_of::<pj_sockaddr_in>() as i32;
        assert_eq!(pj_ssl_sock_start_accept(server, lib.pool, (&raw const local).cast(), size), 0);
        let mut info: pj_ssl_sock_info = std::mem::zeroed();
        assert_eq!(pj_ssl_sock_get_info(server, &mut info), 0);
        let listening = info.local_addr;

        assert_eq!(pj_ssl_sock_create(lib.pool, &param, &mut client), 0);
        pj_ssl_sock_start_connect(
            client,
            lib.pool,
            (&raw const local).cast(),
            (&raw const listening).cast(),
            size,
        );
        let wait = pj_time_val { sec: 0, msec: 100 };
        for _ in 0..200 {
            // Both sides, as a listener must outlive the handshakes of those it has accepted.
            if CONNECTED.load(Ordering::SeqCst) > 0 && !ACCEPTED.load(Ordering::SeqCst).is_null() {
                break;
            }
            pj_ioqueue_poll(ioqueue, &wait);
        }
        assert_eq!(CONNECTED.load(Ordering::SeqCst), 1);
        assert_eq!(pj_ssl_sock_get_info(client, &mut info), 0);
        let read = &(*info.remote_cert_info).subj_alt_name;
        let names = (0..read.cnt as usize)
            .map(|index| String::from_utf8_lossy(bytes(&(*read.entry.add(index)).name)).into_owned())
            .collect();
        for socket in [client, ACCEPTED.swap(ptr::null_mut(), Ordering::SeqCst), server] {
            if !socket.is_null() {
                pj_ssl_sock_close(socket);
            }
        }
        for _ in 0..5 {
            pj_ioqueue_poll(ioqueue, &pj_time_val { sec: 0, msec: 0 });
        }
        pj_ioqueue_destroy(ioqueue);
        names
    }
}

#[test]
fn names_are_read() {
    let dns = SanType::DnsName("sip.example".try_into().unwrap());
    let uri = SanType::URI("sip:sip.example".try_into().unwrap());
    let address = SanType::IpAddress([192, 0, 2, 1].into());
    assert_eq!(names(vec![dns, uri, address]), ["sip.example", "sip:sip.example", "192.0.2.1"]);
}

#[test]
fn a_name_with_a_nul_is_none() {
    let dns = SanType::DnsName("sip.example\0.evil.example".try_into().unwrap());
    let uri = SanType::URI("sip:sip.example\0.evil.example".try_into().unwrap());
    let other = SanType::DnsName("other.example".try_into().unwrap());
    assert_eq!(names(vec![dns, uri, other]), ["other.example"]);
}
