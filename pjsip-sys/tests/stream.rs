//! What a stream says about itself.

mod support;

use pjsip_sys::*;
use std::ptr;
use support::Lib;

const SDP: &[&str] =
    &["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", "m=audio 4000 RTP/AVP 0"];

#[test]
fn vad_suspension_does_not_show() {
    let lib = Lib::new();
    let (mut endpoint, mut transport, mut stream) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: all live until they are destroyed at the end; stream information is plain data, and
    // filled before it is used.
    unsafe {
        assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
        assert_eq!(pjmedia_codec_g711_init(endpoint), 0);
        assert_eq!(pjmedia_event_mgr_create(lib.pool, PJMEDIA_EVENT_MGR_NO_THREAD, ptr::null_mut()), 0);
        assert_eq!(pjmedia_transport_loop_create(endpoint, &mut transport), 0);
        let mut info: pjmedia_stream_info = std::mem::zeroed();
        let (local, remote) = (lib.sdp(SDP), lib.sdp(SDP));
        assert_eq!(pjmedia_stream_info_from_sdp(&mut info, lib.pool, endpoint, local, remote, 0), 0);
        (*info.param).setting.set_vad(1);

        let user = ptr::null_mut();
        assert_eq!(pjmedia_stream_create(endpoint, lib.pool, &info, transport, user, &mut stream), 0);
        let mut told: pjmedia_stream_info = std::mem::zeroed();
        assert_eq!(pjmedia_stream_get_info(stream, &mut told), 0);
        assert_eq!((*told.param).setting.vad(), 1);

        assert_eq!(pjmedia_stream_destroy(stream), 0);
        (*(*transport).op).destroy.unwrap()(transport);
        pjmedia_event_mgr_destroy(ptr::null_mut());
        assert_eq!(pjmedia_endpt_destroy2(endpoint), 0);
    }
}
