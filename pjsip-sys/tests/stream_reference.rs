//! A media transport holds the stream that it calls, and a stream the transport that it uses.

mod support;

use pjsip_sys::*;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use support::Lib;

const SDP: &[&str] =
    &["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", "m=audio 4000 RTP/AVP 0"];

/// RTCP PLI (RFC 4585 section 6.3.1): the stream publishes it as an event while it handles it.
const PLI: [u8; 12] = [0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];

static LOCK: AtomicPtr<pj_grp_lock_t> = AtomicPtr::new(ptr::null_mut());
static REFERENCES: AtomicI32 = AtomicI32::new(0);

/// Notes how many references the stream has while its RTCP callback runs.
unsafe extern "C" fn on_event(event: *mut pjmedia_event, _: *mut c_void) -> pj_status_t {
    // SAFETY: the event is valid during the call; LOCK belongs to the stream that runs.
    unsafe {
        if (*event).type_ == PJMEDIA_EVENT_RX_RTCP_FB {
            REFERENCES.store(pj_grp_lock_get_ref(LOCK.load(Ordering::SeqCst)), Ordering::SeqCst);
        }
    }
    0
}

struct Media {
    endpoint: *mut pjmedia_endpt,
    info: pjmedia_stream_info,
}

fn media(lib: &Lib) -> Media {
    let mut endpoint = ptr::null_mut();
    // SAFETY: the factory is leaked; the endpoint lives until the test destroys it; the stream
    // information is plain data and is filled before it is used.
    unsafe {
        assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
        assert_eq!(pjmedia_codec_g711_init(endpoint), 0);
        let options = PJMEDIA_EVENT_MGR_NO_THREAD;
        assert_eq!(pjmedia_event_mgr_create(lib.pool, options, ptr::null_mut()), 0);
        assert_eq!(
            pjmedia_event_subscribe(ptr::null_mut(), Some(on_event), ptr::null_mut(), ptr::null_mut()),
            0
        );
        let mut info: pjmedia_stream_info = std::mem::zeroed();
        let (local, remote) = (lib.sdp(SDP), lib.sdp(SDP));
        assert_eq!(pjmedia_stream_info_from_sdp(&mut info, lib.pool, endpoint, local, remote, 0), 0);
        Media { endpoint, info }
    }
}

/// Sends a PLI to a stream on `transport` and gives the stream's references before and while it
/// is handled.
unsafe fn references(
    lib: &Lib,
    media: &Media,
    transport: *mut pjmedia_transport,
    send: impl Fn(),
) -> (i32, i32) {
    let mut stream = ptr::null_mut();
    let mut port = ptr::null_mut();
    // SAFETY: the caller vouches for the transport; the stream is destroyed before it.
    unsafe {
        let user = ptr::null_mut();
        assert_eq!(
            pjmedia_stream_create(media.endpoint, lib.pool, &media.info, transport, user, &mut stream),
            0
        );
        assert_eq!(pjmedia_stream_get_port(stream, &mut port), 0);
        assert_eq!(pjmedia_stream_start(stream), 0);
        let lock = (*port).grp_lock;
        LOCK.store(lock, Ordering::SeqCst);
        REFERENCES.store(0, Ordering::SeqCst);
        let before = pj_grp_lock_get_ref(lock);
        send();
        let during = REFERENCES.load(Ordering::SeqCst);
        assert_eq!(pj_grp_lock_get_ref(lock), before);
        assert_eq!(pjmedia_stream_destroy(stream), 0);
        (before, during)
    }
}

#[test]
fn srtp_holds_the_stream_while_it_passes_plain_packets() {
    let lib = Lib::new();
    let media = media(&lib);
    // SAFETY: all live until they are destroyed at the end; the function pointers are those of the
    // transports' own tables.
    unsafe {
        let mut member = ptr::null_mut();
        assert_eq!(pjmedia_transport_loop_create(media.endpoint, &mut member), 0);
        let mut srtp = ptr::null_mut();
        let mut setting: pjmedia_srtp_setting = std::mem::zeroed();
        pjmedia_srtp_setting_default(&mut setting);
        setting.use_ = PJMEDIA_SRTP_DISABLED;
        assert_eq!(pjmedia_transport_srtp_create(media.endpoint, member, &setting, &mut srtp), 0);
        let op = &*(*srtp).op;
        assert_eq!(op.media_create.unwrap()(srtp, lib.pool, 0, ptr::null(), 0), 0);

        let (before, during) = references(&lib, &media, srtp, || {
            let send = (*(*member).op).send_rtcp.unwrap();
            assert_eq!(send(member, PLI.as_ptr().cast(), PLI.len() as pj_size_t), 0);
        });
        assert_eq!(during, before + 1);
        op.destroy.unwrap()(srtp);
        pjmedia_event_mgr_destroy(ptr::null_mut());
        pjmedia_endpt_destroy2(media.endpoint);
    }
}

#[test]
fn udp_holds_the_stream_while_it_delivers() {
    let lib = Lib::new();
    let media = media(&lib);
    // SAFETY: as above; the ioqueue is polled from this thread only.
    unsafe {
        let mut udp = ptr::null_mut();
        let address = lib.copy(b"127.0.0.1");
        let port = (41_000..42_000)
            .step_by(2)
            .find(|port| {
                pjmedia_transport_udp_create2(media.endpoint, ptr::null(), &address, *port, 0, &mut udp) == 0
            })
            .expect("a free pair of ports");
        let op = &*(*udp).op;
        assert_eq!(op.media_create.unwrap()(udp, lib.pool, 0, ptr::null(), 0), 0);
        let (local, remote) = (lib.sdp(SDP), lib.sdp(SDP));
        assert_eq!(op.media_start.unwrap()(udp, lib.pool, local, remote, 0), 0);

        let (before, during) = references(&lib, &media, udp, || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(&PLI, ("127.0.0.1", port as u16 + 1)).unwrap();
            let queue = pjmedia_endpt_get_ioqueue(media.endpoint);
            for _ in 0..200 {
                let wait = pj_time_val { sec: 0, msec: 50 };
                pj_ioqueue_poll(queue, &wait);
                if REFERENCES.load(Ordering::SeqCst) != 0 {
                    break;
                }
            }
        });
        assert_eq!(during, before + 1);
        op.destroy.unwrap()(udp);
        pjmedia_event_mgr_destroy(ptr::null_mut());
        pjmedia_endpt_destroy2(media.endpoint);
    }
}

#[test]
fn ice_holds_the_stream_while_it_delivers() {
    let lib = Lib::new();
    let media = media(&lib);
    // SAFETY: as above; the settings are initialised by their own functions and are copied.
    unsafe {
        let queue = pjmedia_endpt_get_ioqueue(media.endpoint);
        let mut timers = ptr::null_mut();
        assert_eq!(pj_timer_heap_create(lib.pool, 100, &mut timers), 0);
        let mut config: pj_ice_strans_cfg = std::mem::zeroed();
        pj_ice_strans_cfg_default(&mut config);
        pjsys_stun_config_init(&mut config.stun_cfg, lib.factory(), queue, timers);
        config.stun_tp_cnt = 1;
        let host = &mut config.stun_tp[0];
        pj_ice_strans_stun_cfg_default(host);
        host.loop_addr = 1;
        let address = lib.copy(b"127.0.0.1");
        assert_eq!(pj_sockaddr_init(i32::from(PJ_AF_INET), &mut host.cfg.bound_addr, &address, 0), 0);
        let mut ice = ptr::null_mut();
        let (name, none) = (c"ice".as_ptr(), ptr::null_mut());
        // PJMEDIA_ICE_NO_SRC_ADDR_CHECKING, as nobody has told it of the sender.
        let options = 1;
        assert_eq!(
            pjmedia_ice_create3(media.endpoint, name, 2, &config, ptr::null(), options, none, &mut ice),
            0
        );
        let mut info: pjmedia_transport_info = std::mem::zeroed();
        pjsys_transport_info_init(&mut info);
        assert_eq!(pjsys_transport_get_info(ice, &mut info), 0);
        let port = pj_sockaddr_get_port((&raw const info.sock_info.rtcp_addr_name).cast());
        assert_ne!(port, 0);

        let (before, during) = references(&lib, &media, ice, || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(&PLI, ("127.0.0.1", port)).unwrap();
            for _ in 0..200 {
                let wait = pj_time_val { sec: 0, msec: 50 };
                pj_ioqueue_poll(queue, &wait);
                if REFERENCES.load(Ordering::SeqCst) != 0 {
                    break;
                }
            }
        });
        assert_eq!(during, before + 1);
        (*(*ice).op).destroy.unwrap()(ice);
        pjmedia_event_mgr_destroy(ptr::null_mut());
        pjmedia_endpt_destroy2(media.endpoint);
    }
}

unsafe extern "C" fn refuse(
    _: *mut pjmedia_transport,
    _: *mut pjmedia_transport_attach_param,
) -> pj_status_t {
    70_013
}

#[test]
fn a_refused_attach_leaves_the_transports_references_alone() {
    let lib = Lib::new();
    let media = media(&lib);
    // SAFETY: the transport is plain data of this test, and its table has what a stream that could
    // not attach may call.
    unsafe {
        let mut lock = ptr::null_mut();
        assert_eq!(pj_grp_lock_create(lib.pool, ptr::null(), &mut lock), 0);
        pjsys_grp_lock_add_ref(lock);
        pjsys_grp_lock_add_ref(lock);
        let mut op: pjmedia_transport_op = std::mem::zeroed();
        op.attach2 = Some(refuse);
        let mut transport: pjmedia_transport = std::mem::zeroed();
        transport.op = &mut op;
        transport.grp_lock = lock;

        let mut stream = ptr::null_mut();
        let user = ptr::null_mut();
        let status =
            pjmedia_stream_create(media.endpoint, lib.pool, &media.info, &mut transport, user, &mut stream);
        assert_eq!(status, 70_013);
        assert_eq!(pj_grp_lock_get_ref(lock), 2);
        pjmedia_event_mgr_destroy(ptr::null_mut());
        pjmedia_endpt_destroy2(media.endpoint);
    }
}
