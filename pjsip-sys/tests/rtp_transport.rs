//! The transport that the media clock reads: who gets packets, when, and for how long.

mod support;

use pjsip_sys::*;
use std::ffi::c_void;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::IntoRawFd as _;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::Lib;

/// What the callback saw: the first byte of each packet and the time of its arrival in nanoseconds.
static SEEN: Mutex<Vec<(u8, u64)>> = Mutex::new(Vec::new());

/// What the stream says of packets from elsewhere.
static AUTHENTIC: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn on_rtp(param: *mut pjmedia_tp_cb_param) {
    // SAFETY: the transport passes a record that is valid during the call, with a packet of `size` bytes; a time
    // stamp is a union of integers.
    unsafe {
        let mut now: pj_timestamp = std::mem::zeroed();
        pjsys_arrival_timestamp(&mut now);
        let first = *(*param).pkt.cast::<u8>();
        SEEN.lock().unwrap().push((first, now.u64_));
        (*param).rem_switch = pj_bool_t::from(AUTHENTIC.load(Ordering::Relaxed));
    }
}

unsafe extern "C" fn on_rtcp(_: *mut c_void, packet: *mut c_void, _: pj_ssize_t) {
    // SAFETY: a packet of at least one byte, as the test sends them.
    SEEN.lock().unwrap().push((unsafe { *packet.cast::<u8>() }, 0));
}

/// What was delivered since the last look.
fn seen() -> Vec<u8> {
    std::mem::take(&mut *SEEN.lock().unwrap()).into_iter().map(|(first, _)| first).collect()
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

fn pj_address(address: SocketAddr) -> pj_sockaddr {
    // SAFETY: a union of integers; the text is parsed into it.
    unsafe {
        let mut found = std::mem::zeroed();
        let text = address.to_string();
        let text = pj_str_t { ptr: text.as_ptr().cast_mut().cast(), slen: text.len() as pj_ssize_t };
        assert_eq!(pj_sockaddr_parse(2, 0, &text, &mut found), 0);
        found
    }
}

/// A transport between our sockets and those of a peer.
struct Rig {
    lib: Lib,
    endpoint: *mut pjmedia_endpt,
    transport: *mut pjmedia_transport,
    rtp: SocketAddr,
    rtcp: SocketAddr,
    peer: UdpSocket,
    peer_rtcp: UdpSocket,
}

impl Rig {
    fn new() -> Self {
        let lib = Lib::new();
        seen();
        let (ours, ours_rtcp) = (socket(), socket());
        let (rtp, rtcp) = (ours.local_addr().unwrap(), ours_rtcp.local_addr().unwrap());
        let mut endpoint = ptr::null_mut();
        let mut transport = ptr::null_mut();
        // SAFETY: the factory is leaked; the transport takes the sockets.
        unsafe {
            assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
            let mut sockets: pjmedia_sock_info = std::mem::zeroed();
            sockets.rtp_sock = ours.into_raw_fd().into();
            sockets.rtcp_sock = ours_rtcp.into_raw_fd().into();
            sockets.rtp_addr_name = pj_address(rtp);
            sockets.rtcp_addr_name = pj_address(rtcp);
            let name = ptr::null();
            assert_eq!(pjsys_rtp_transport_attach(endpoint, name, &sockets, 0, &mut transport), 0);
        }
        let (peer, peer_rtcp) = (socket(), socket());
        for socket in [&peer, &peer_rtcp] {
            socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        }
        Self { lib, endpoint, transport, rtp, rtcp, peer, peer_rtcp }
    }

    fn operations(&self) -> &pjmedia_transport_op {
        // SAFETY: the transport's table is static.
        unsafe { &*(*self.transport).op }
    }

    /// Starts, and attaches the callbacks above.
    fn attach(&self) {
        // SAFETY: the transport lives; the record is copied.
        unsafe {
            let start = self.operations().media_start.unwrap();
            assert_eq!(start(self.transport, self.lib.pool, ptr::null(), ptr::null(), 0), 0);
            let mut param: pjmedia_transport_attach_param = std::mem::zeroed();
            param.rem_addr = pj_address(self.peer.local_addr().unwrap());
            param.rem_rtcp = pj_address(self.peer_rtcp.local_addr().unwrap());
            param.addr_len = 16;
            param.rtp_cb2 = Some(on_rtp);
            param.rtcp_cb = Some(on_rtcp);
            assert_eq!(self.operations().attach2.unwrap()(self.transport, &mut param), 0);
        }
    }

    /// A round of this transport alone; how many packets have come.
    fn poll(&self, rtcp: bool) -> u32 {
        // SAFETY: the transport lives, and this thread is known to PJLIB.
        unsafe {
            let round = pjsys_rtp_round_create();
            let count = pjsys_rtp_round_read(round, self.transport, pj_bool_t::from(rtcp));
            pjsys_rtp_round_deliver(round, 0);
            pjsys_rtp_round_end(round);
            pjsys_rtp_round_destroy(round);
            count
        }
    }

    fn send(&self, packet: &[u8]) {
        // SAFETY: the packet is as long as said.
        unsafe {
            let length = packet.len() as pj_size_t;
            assert_eq!(
                self.operations().send_rtp.unwrap()(self.transport, packet.as_ptr().cast(), length),
                0
            );
        }
    }

    fn destroy(self) {
        // SAFETY: both are not used afterwards.
        unsafe {
            self.operations().destroy.unwrap()(self.transport);
            pjmedia_endpt_destroy2(self.endpoint);
        }
    }
}

fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn packets_are_delivered_by_a_round_and_by_nothing_else() {
    let rig = Rig::new();
    rig.attach();
    for first in *b"abcdefghijkl" {
        rig.peer.send_to(&[first; 172], rig.rtp).unwrap();
    }
    rig.peer_rtcp.send_to(b"R", rig.rtcp).unwrap();
    assert_eq!(seen(), b"");
    assert_eq!(rig.poll(false), 12);
    assert_eq!(seen(), b"abcdefghijkl");
    assert_eq!(rig.poll(true), 1);
    assert_eq!(seen(), b"R");
    rig.send(b"to the peer");
    assert_eq!(received(&rig.peer), b"to the peer");
    rig.destroy();
}

#[test]
fn what_came_for_the_session_before_is_not_heard_in_the_next() {
    let rig = Rig::new();
    rig.peer.send_to(b"x", rig.rtp).unwrap();
    assert_eq!(rig.poll(true), 0, "nothing is attached");
    rig.attach();
    rig.peer.send_to(b"y", rig.rtp).unwrap();
    assert_eq!(rig.poll(true), 1);
    // SAFETY: the transport lives.
    unsafe { rig.operations().detach.unwrap()(rig.transport, ptr::null_mut()) };
    rig.peer.send_to(b"z", rig.rtp).unwrap();
    assert_eq!(rig.poll(true), 0, "it is detached");
    rig.attach();
    assert_eq!(rig.poll(true), 0);
    assert_eq!(seen(), b"y");
    rig.destroy();
}

#[test]
fn a_packet_has_the_time_of_its_arrival_and_not_of_the_reading() {
    let rig = Rig::new();
    rig.attach();
    rig.peer.send_to(b"a", rig.rtp).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    rig.peer.send_to(b"b", rig.rtp).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    let mut now = 0;
    // SAFETY: a union of integers.
    unsafe {
        let mut stamp: pj_timestamp = std::mem::zeroed();
        pj_get_timestamp(&mut stamp);
        now += stamp.u64_;
    }
    assert_eq!(rig.poll(false), 2);
    let times: Vec<u64> =
        std::mem::take(&mut *SEEN.lock().unwrap()).into_iter().map(|(_, time)| time).collect();
    let ms = 1_000_000;
    // The wall clock that stamps packets may be adjusted meanwhile, by a little.
    assert!(times[1] - times[0] > 25 * ms, "{times:?}");
    assert!(now - times[1] > 25 * ms, "{now} {times:?}");
    rig.destroy();
}

/// An RTP packet with this SSRC and sequence number.
fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let head = [&[0x80, 0][..], &sequence.to_be_bytes(), &[0; 4], &ssrc.to_be_bytes()];
    [&head.concat()[..], &[0xff; 160]].concat()
}

#[test]
fn sound_goes_to_where_the_far_end_is_found_if_the_stream_finds_it_authentic() {
    let rig = Rig::new();
    rig.attach();
    let elsewhere = socket();
    elsewhere.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for sequence in 1..=5 {
        elsewhere.send_to(&rtp(7, sequence), rig.rtp).unwrap();
    }
    rig.poll(false);
    assert_eq!(seen(), [0x80, 0x80], "the first three are a stranger's");
    rig.send(b"1");
    assert_eq!(received(&rig.peer), b"1", "the stream has not found them authentic");
    AUTHENTIC.store(true, Ordering::Relaxed);
    elsewhere.send_to(&rtp(7, 6), rig.rtp).unwrap();
    rig.poll(false);
    rig.send(b"2");
    assert_eq!(received(&elsewhere), b"2");
    rig.destroy();
}

#[test]
fn reports_of_a_stranger_are_not_read() {
    let rig = Rig::new();
    rig.attach();
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    for _ in 0..5 {
        stranger.send_to(b"x", rig.rtcp).unwrap();
    }
    rig.poll(true);
    // Another port of the same host is a translation's.
    socket().send_to(b"y", rig.rtcp).unwrap();
    rig.poll(true);
    assert_eq!(seen(), b"y");
    rig.destroy();
}

#[test]
fn a_reference_keeps_the_sockets_open_and_the_ports_close_with_it() {
    let rig = Rig::new();
    rig.attach();
    let rtp = rig.rtp;
    // SAFETY: the reference keeps the transport's memory, as the media clock's does.
    unsafe {
        let lock = (*rig.transport).grp_lock;
        pjsys_grp_lock_add_ref(lock);
        assert_eq!(rig.operations().destroy.unwrap()(rig.transport), 0);
        rig.peer.send_to(b"a", rtp).unwrap();
        assert_eq!(rig.poll(true), 0);
        rig.send(b"nobody hears this");
        assert!(UdpSocket::bind(rtp).is_err(), "the port is kept as long as somebody might use it");
        pjsys_grp_lock_dec_ref(lock);
        assert!(UdpSocket::bind(rtp).is_ok(), "the port is free");
        pjmedia_endpt_destroy2(rig.endpoint);
    }
    assert_eq!(seen(), b"");
}

/// From an even far end one packet is taken at a time, but never so that others stay behind.
#[test]
fn what_has_waited_is_read_with_all_that_is_behind_it() {
    let rig = Rig::new();
    rig.attach();
    for _ in 0..60 {
        rig.peer.send_to(b"e", rig.rtp).unwrap();
        assert_eq!(rig.poll(false), 1);
    }
    for _ in 0..5 {
        rig.peer.send_to(b"b", rig.rtp).unwrap();
    }
    std::thread::sleep(Duration::from_millis(25));
    assert_eq!(rig.poll(false), 5, "they have waited for longer than a packet lasts");
    for _ in 0..3 {
        rig.peer.send_to(b"u", rig.rtp).unwrap();
    }
    assert_eq!(rig.poll(false), 3, "it is not even any more");
    seen();
    rig.destroy();
}

/// What a stream sends while its transport takes part in a round leaves at the end of it, and in order.
#[test]
fn what_is_sent_in_a_round_leaves_at_its_end() {
    let rig = Rig::new();
    rig.attach();
    rig.peer.set_nonblocking(true).unwrap();
    // SAFETY: the transport lives until the end of the round, and this thread is known to PJLIB.
    unsafe {
        let round = pjsys_rtp_round_create();
        pjsys_rtp_round_read(round, rig.transport, 0);
        // More than a round keeps.
        for number in 0..=99 {
            rig.send(&[number; 400]);
        }
        let kept = (0..=99).find(|_| rig.peer.recv(&mut [0; 400]).is_err()).unwrap();
        assert!((1..100).contains(&kept), "{kept} packets left early");
        pjsys_rtp_round_end(round);
        pjsys_rtp_round_destroy(round);
        for number in kept..=99 {
            let mut packet = [0; 401];
            assert_eq!(rig.peer.recv(&mut packet).unwrap(), 400);
            assert_eq!(packet[..400], [number; 400]);
        }
    }
    rig.send(b"after it");
    rig.peer.set_nonblocking(false).unwrap();
    assert_eq!(received(&rig.peer), b"after it");
    rig.destroy();
}

/// What another thread sends through the transport meanwhile leaves at once.
#[test]
fn a_round_keeps_what_its_own_thread_sends() {
    let rig = Rig::new();
    rig.attach();
    // SAFETY: as above; the other thread only sends.
    unsafe {
        let round = pjsys_rtp_round_create();
        pjsys_rtp_round_read(round, rig.transport, 0);
        let (transport, send) = (rig.transport as usize, rig.operations().send_rtp.unwrap());
        let sent = std::thread::spawn(move || send(transport as *mut _, b"other".as_ptr().cast(), 5));
        assert_eq!(sent.join().unwrap(), 0);
        assert_eq!(received(&rig.peer), b"other");
        pjsys_rtp_round_end(round);
        pjsys_rtp_round_destroy(round);
    }
    rig.destroy();
}

/// The old stream and the new one of a call share a transport: their threads' rounds do not read it at the same time.
#[test]
fn a_transport_takes_part_in_one_round_at_a_time() {
    let rig = Rig::new();
    rig.attach();
    // SAFETY: as above.
    unsafe {
        let round = pjsys_rtp_round_create();
        rig.peer.send_to(b"a", rig.rtp).unwrap();
        assert_eq!(pjsys_rtp_round_read(round, rig.transport, 0), 1);
        rig.peer.send_to(b"b", rig.rtp).unwrap();
        let transport = rig.transport as usize;
        let read = std::thread::spawn(move || {
            let other = pjsys_rtp_round_create();
            let count = pjsys_rtp_round_read(other, transport as *mut _, 0);
            pjsys_rtp_round_deliver(other, 0);
            pjsys_rtp_round_end(other);
            pjsys_rtp_round_destroy(other);
            count
        });
        assert_eq!(read.join().unwrap(), 0);
        pjsys_rtp_round_deliver(round, 0);
        pjsys_rtp_round_end(round);
        pjsys_rtp_round_destroy(round);
    }
    assert_eq!(seen(), b"a");
    assert_eq!(rig.poll(false), 1);
    assert_eq!(seen(), b"b");
    rig.destroy();
}

/// A packet that is detached before it is delivered is nobody's.
#[test]
fn what_was_read_is_not_delivered_to_who_is_gone() {
    let rig = Rig::new();
    rig.attach();
    // SAFETY: as above.
    unsafe {
        let round = pjsys_rtp_round_create();
        rig.peer.send_to(b"a", rig.rtp).unwrap();
        assert_eq!(pjsys_rtp_round_read(round, rig.transport, 0), 1);
        rig.operations().detach.unwrap()(rig.transport, ptr::null_mut());
        pjsys_rtp_round_deliver(round, 0);
        pjsys_rtp_round_deliver(round, 1);
        pjsys_rtp_round_end(round);
        pjsys_rtp_round_destroy(round);
    }
    assert_eq!(seen(), b"");
    rig.destroy();
}

/// All calls may be gone by the time of their turn, in the very first round too.
#[test]
fn a_round_of_nobody_sends_nothing() {
    // SAFETY: made, used and destroyed here.
    unsafe {
        let round = pjsys_rtp_round_create();
        pjsys_rtp_round_deliver(round, 0);
        pjsys_rtp_round_end(round);
        pjsys_rtp_round_destroy(round);
    }
}
