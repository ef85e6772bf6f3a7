//! A stream, on a transport that gives back what is sent into it.

use crate::pjlib::{Global, Pool, factory};
use pjsip_sys::*;
use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";

/// Media descriptions, one for each codec that is compiled in.
const CODECS: [&str; 4] = [
    "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n",
    "m=audio 4000 RTP/AVP 9 101\r\na=rtpmap:101 telephone-event/8000\r\n",
    "m=audio 4000 RTP/AVPF 98\r\na=rtpmap:98 L16/16000\r\na=rtcp-fb:* nack pli\r\n",
    "m=audio 4000 RTP/AVP 98 101\r\na=rtpmap:98 opus/48000/2\r\na=rtpmap:101 telephone-event/48000\r\n",
];

/// PJMEDIA with its codecs.
pub(crate) fn endpoint() -> *mut pjmedia_endpt {
    // With the pool of the events.
    static ENDPOINT: OnceLock<(Global<pjmedia_endpt>, Global<pj_pool_t>)> = OnceLock::new();
    let (endpoint, _) = ENDPOINT.get_or_init(|| {
        let mut endpoint = ptr::null_mut();
        // SAFETY: the factory is leaked; endpoint and pool live as long as the process.
        unsafe {
            let events = pjsys_pool_create(factory(), c"events".as_ptr(), 4000, 4000);
            assert_eq!(pjmedia_endpt_create2(factory(), ptr::null_mut(), 0, &mut endpoint), 0);
            assert_eq!(pjmedia_codec_g711_init(endpoint), 0);
            assert_eq!(pjmedia_codec_g722_init(endpoint), 0);
            assert_eq!(pjmedia_codec_l16_init(endpoint, 0), 0);
            assert_eq!(pjmedia_codec_opus_init(endpoint), 0);
            assert_eq!(pjmedia_event_mgr_create(events, PJMEDIA_EVENT_MGR_NO_THREAD, ptr::null_mut()), 0);
            (Global(endpoint), Global(events))
        }
    });
    factory();
    endpoint.0
}

unsafe extern "C" fn on_digit(_: *mut pjmedia_stream, _: *mut c_void, digit: i32) {
    std::hint::black_box(digit);
}

/// A loop transport.
pub(crate) fn loopback() -> *mut pjmedia_transport {
    let mut transport = ptr::null_mut();
    // SAFETY: the endpoint is leaked.
    assert_eq!(unsafe { pjmedia_transport_loop_create(endpoint(), &mut transport) }, 0);
    transport
}

/// A started stream, which also destroys its transport.
pub(crate) struct Stream {
    stream: *mut pjmedia_stream,
    port: *mut pjmedia_port,
    transport: *mut pjmedia_transport,
    frame: Vec<i16>,
    _pool: Pool,
}

impl Stream {
    /// # Safety
    ///
    /// The transport lives, and is the stream's from here on.
    pub(crate) unsafe fn new(codec: u8, transport: *mut pjmedia_transport) -> Self {
        let pool = Pool::new();
        let text = format!("{SESSION}{}", CODECS[usize::from(codec) % CODECS.len()]);
        let text = pool.copy(text.as_bytes());
        let (mut sdp, mut stream, mut port) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: description and information live as long as the pool, which outlives the stream.
        let samples = unsafe {
            assert_eq!(pjmedia_sdp_parse(pool.as_ptr(), text.ptr, text.slen as pj_size_t, &mut sdp), 0);
            let mut info: pjmedia_stream_info = std::mem::zeroed();
            let told = pjmedia_stream_info_from_sdp(&mut info, pool.as_ptr(), endpoint(), sdp, sdp, 0);
            assert_eq!(told, 0);
            let user = ptr::null_mut();
            let made = pjmedia_stream_create(endpoint(), pool.as_ptr(), &info, transport, user, &mut stream);
            assert_eq!(made, 0);
            pjmedia_stream_set_dtmf_callback(stream, Some(on_digit), ptr::null_mut());
            assert_eq!(pjmedia_stream_get_port(stream, &mut port), 0);
            assert_eq!(pjmedia_stream_start(stream), 0);
            pjsys_port_info_spf(&(*port).info) as usize
        };
        Self { stream, port, transport, frame: vec![0; samples], _pool: pool }
    }

    /// What the media clock does every packet time, in both directions.
    pub(crate) fn tick(&mut self) {
        // SAFETY: the frame has room for what the port says it gives.
        unsafe {
            let mut frame: pjmedia_frame = std::mem::zeroed();
            frame.buf = self.frame.as_mut_ptr().cast();
            frame.size = size_of_val(self.frame.as_slice()) as pj_size_t;
            frame.type_ = PJMEDIA_FRAME_TYPE_AUDIO;
            pjmedia_port_get_frame(self.port, &mut frame);
            frame.size = size_of_val(self.frame.as_slice()) as pj_size_t;
            frame.type_ = PJMEDIA_FRAME_TYPE_AUDIO;
            pjmedia_port_put_frame(self.port, &mut frame);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: nothing uses either afterwards.
        unsafe {
            let mut counted: pjmedia_rtcp_stat = std::mem::zeroed();
            pjmedia_stream_get_stat(self.stream, &mut counted);
            pjmedia_stream_destroy(self.stream);
            if let Some(destroy) = (*(*self.transport).op).destroy {
                destroy(self.transport);
            }
        }
    }
}

/// Sends a packet into a transport, from memory of its own: SRTP decrypts it where it stands.
///
/// # Safety
///
/// The transport lives.
pub(crate) unsafe fn send(transport: *mut pjmedia_transport, control: bool, packet: &[u8]) {
    let mut packet = packet.to_vec();
    // SAFETY: the caller's promise; the copy lives during the call.
    unsafe {
        let operations = &*(*transport).op;
        let send = if control { operations.send_rtcp } else { operations.send_rtp };
        if let Some(send) = send {
            send(transport, packet.as_mut_ptr().cast(), packet.len() as pj_size_t);
        }
    }
}

/// The packets of an input. Each has a byte of flags and one of length, where 0 is "up to the end".
pub(crate) struct Packets<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Packets<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[flags, length], rest) = self.0.split_first_chunk()?;
        let length = if length == 0 { rest.len() } else { usize::from(length).min(rest.len()) };
        let (packet, rest) = rest.split_at(length);
        self.0 = rest;
        Some((flags, packet))
    }
}
