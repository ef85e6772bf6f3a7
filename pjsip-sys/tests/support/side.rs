//! A stream without a clock: the test says when it sends, reads and is heard, and is the network between two of them.

use super::Lib;
use pjsip_sys::*;
use std::ffi::c_void;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::IntoRawFd as _;
use std::ptr;

/// A media endpoint with the codecs that streams here have. PJMEDIA has one manager of events: one endpoint at a time.
pub(crate) fn media_endpoint(lib: &Lib) -> *mut pjmedia_endpt {
    let mut endpoint = ptr::null_mut();
    // SAFETY: the factory is leaked; `end` destroys the endpoint.
    unsafe {
        assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
        assert_eq!(pjmedia_codec_g711_init(endpoint), 0);
        assert_eq!(pjmedia_codec_g722_init(endpoint), 0);
        assert_eq!(pjmedia_codec_opus_init(endpoint), 0);
        assert_eq!(pjmedia_event_mgr_create(lib.pool, PJMEDIA_EVENT_MGR_NO_THREAD, ptr::null_mut()), 0);
    }
    endpoint
}

/// Destroys it, after its streams.
pub(crate) fn end(endpoint: *mut pjmedia_endpt) {
    // SAFETY: nothing of it is used afterwards.
    unsafe {
        pjmedia_event_mgr_destroy(ptr::null_mut());
        assert_eq!(pjmedia_endpt_destroy2(endpoint), 0);
    }
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

/// A stream on sockets of its own.
pub(crate) struct Side {
    transport: *mut pjmedia_transport,
    pub(crate) stream: *mut pjmedia_stream,
    port: *mut pjmedia_port,
    pub(crate) rtp: SocketAddr,
    /// Samples of a frame, which is what a packet carries.
    pub(crate) samples: usize,
}

impl Side {
    pub(crate) fn new(lib: &Lib, endpoint: *mut pjmedia_endpt, format: &[&str], far: SocketAddr) -> Self {
        let [rtp, rtcp] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [name, rtcp_name] = [&rtp, &rtcp].map(|socket| socket.local_addr().unwrap());
        let media = |port| format!("m=audio {port} RTP/AVP {}", format[0]);
        let sdp = |port| {
            let media = media(port);
            let head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0", &media];
            lib.sdp(&[&head, &format[1..]].concat())
        };
        let (mut transport, mut stream, mut port) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the transport takes the sockets; the records are plain data, filled before they are used, and all
        // live until the test ends.
        unsafe {
            let mut sockets: pjmedia_sock_info = std::mem::zeroed();
            sockets.rtp_sock = rtp.into_raw_fd().into();
            sockets.rtcp_sock = rtcp.into_raw_fd().into();
            sockets.rtp_addr_name = pj_address(name);
            sockets.rtcp_addr_name = pj_address(rtcp_name);
            assert_eq!(pjsys_rtp_transport_attach(endpoint, ptr::null(), &sockets, 0, &mut transport), 0);
            let start = (*(*transport).op).media_start.unwrap();
            assert_eq!(start(transport, lib.pool, ptr::null(), ptr::null(), 0), 0);
            let mut info: pjmedia_stream_info = std::mem::zeroed();
            let (local, remote) = (sdp(name.port()), sdp(far.port()));
            assert_eq!(pjmedia_stream_info_from_sdp(&mut info, lib.pool, endpoint, local, remote, 0), 0);
            (*info.param).setting.set_vad(0);
            let user = ptr::null_mut();
            assert_eq!(pjmedia_stream_create(endpoint, lib.pool, &info, transport, user, &mut stream), 0);
            assert_eq!(pjmedia_stream_start(stream), 0);
            assert_eq!(pjmedia_stream_get_port(stream, &mut port), 0);
            let samples = pjsys_port_info_spf(&(*port).info) as usize;
            Self { transport, stream, port, rtp: name, samples }
        }
    }

    fn frame(&self, samples: &mut [i16]) -> pjmedia_frame {
        assert_eq!(samples.len(), self.samples);
        // SAFETY: a record of integers and a pointer, for which zeros are valid.
        let mut frame: pjmedia_frame = unsafe { std::mem::zeroed() };
        frame.type_ = PJMEDIA_FRAME_TYPE_AUDIO;
        frame.buf = samples.as_mut_ptr().cast::<c_void>();
        frame.size = size_of_val(samples) as pj_size_t;
        frame
    }

    pub(crate) fn say(&self, samples: &mut [i16]) {
        let mut frame = self.frame(samples);
        // SAFETY: the frame has as many samples as the port wants.
        assert_eq!(unsafe { pjmedia_port_put_frame(self.port, &mut frame) }, 0);
    }

    pub(crate) fn hear(&self) -> Vec<i16> {
        let mut samples = vec![0; self.samples];
        let mut frame = self.frame(&mut samples);
        // SAFETY: as above.
        assert_eq!(unsafe { pjmedia_port_get_frame(self.port, &mut frame) }, 0);
        samples
    }

    pub(crate) fn poll(&self) -> u32 {
        // SAFETY: the transport lives, and this thread is known to PJLIB.
        unsafe {
            let round = pjsys_rtp_round_create();
            let count = pjsys_rtp_round_read(round, self.transport, 0);
            pjsys_rtp_round_deliver(round, 0);
            pjsys_rtp_round_end(round);
            pjsys_rtp_round_destroy(round);
            count
        }
    }

    /// What the media clock does before it serves a stream.
    pub(crate) fn prefetch(&self) {
        // SAFETY: the stream lives, and nobody else uses it.
        (0..=2).for_each(|step| unsafe { pjmedia_stream_prefetch(self.stream, step) });
    }

    /// What RTCP has counted.
    pub(crate) fn statistics(&self) -> pjmedia_rtcp_stat {
        // SAFETY: plain data, which the stream fills.
        unsafe {
            let mut statistics = std::mem::zeroed();
            assert_eq!(pjmedia_stream_get_stat(self.stream, &mut statistics), 0);
            statistics
        }
    }

    pub(crate) fn end(self) {
        // SAFETY: nothing is used afterwards.
        unsafe {
            pjmedia_stream_destroy(self.stream);
            (*(*self.transport).op).destroy.unwrap()(self.transport);
        }
    }
}
