//! SRTP reads nothing behind a packet.

mod support;

use pjsip_sys::*;
use std::ptr;
use support::Lib;

/// With AddressSanitizer a byte behind the packet ends the test.
#[test]
fn a_packet_shorter_than_its_header_is_dropped() {
    let lib = Lib::new();
    // SAFETY: all live until they are destroyed at the end; names and keys are copied; a packet is memory of its own,
    // of its own length, that lives during the call.
    unsafe {
        let (mut endpoint, mut member, mut srtp) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
        assert_eq!(pjmedia_codec_g711_init(endpoint), 0);
        assert_eq!(pjmedia_event_mgr_create(lib.pool, PJMEDIA_EVENT_MGR_NO_THREAD, ptr::null_mut()), 0);
        assert_eq!(pjmedia_transport_loop_create(endpoint, &mut member), 0);
        assert_eq!(pjmedia_transport_srtp_create(endpoint, member, ptr::null(), &mut srtp), 0);
        let crypto = pjmedia_srtp_crypto {
            key: lib.copy(&[7; 30]),
            name: lib.text("AES_CM_128_HMAC_SHA1_80"),
            flags: 0,
        };
        assert_eq!(pjmedia_transport_srtp_start(srtp, &crypto, &crypto), 0);

        let description = lib.sdp(&[
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            "m=audio 4000 RTP/AVP 0",
        ]);
        let mut info: pjmedia_stream_info = std::mem::zeroed();
        let told = pjmedia_stream_info_from_sdp(&mut info, lib.pool, endpoint, description, description, 0);
        assert_eq!(told, 0);
        let mut stream = ptr::null_mut();
        let made = pjmedia_stream_create(endpoint, lib.pool, &info, srtp, ptr::null_mut(), &mut stream);
        assert_eq!(made, 0);
        assert_eq!(pjmedia_stream_start(stream), 0);
        let send = (*(*member).op).send_rtp.unwrap();
        for length in 1..12 {
            let mut packet = vec![0x80_u8; length].into_boxed_slice();
            assert_eq!(send(member, packet.as_mut_ptr().cast(), length as pj_size_t), 0);
        }
        let mut counted: pjmedia_rtcp_stat = std::mem::zeroed();
        assert_eq!(pjmedia_stream_get_stat(stream, &mut counted), 0);
        assert_eq!(counted.rx.pkt, 0);
        assert_eq!(pjmedia_stream_destroy(stream), 0);
        (*(*srtp).op).destroy.unwrap()(srtp);
        pjmedia_event_mgr_destroy(ptr::null_mut());
        assert_eq!(pjmedia_endpt_destroy2(endpoint), 0);
    }
}
