//! Opus packets as peers may send them.

mod support;

use pjsip_sys::*;
use std::ffi::c_void;
use std::ptr;
use support::Lib;

const RATE: usize = 48_000;
/// Wideband is SILK, which has frames of 40 ms; CELT would make two of 20 ms (RFC 6716 2.1.4).
const ENCODER_RATE: usize = 16_000;
const PAYLOAD_TYPE: u8 = 96;
const SDP: &[&str] = &[
    "v=0",
    "o=- 1 1 IN IP4 127.0.0.1",
    "s=-",
    "c=IN IP4 127.0.0.1",
    "t=0 0",
    "m=audio 4000 RTP/AVP 96",
    "a=rtpmap:96 opus/48000/2",
];

struct Media {
    endpoint: *mut pjmedia_endpt,
    /// Of a receiving mono stream in 20 ms frames.
    info: pjmedia_stream_info,
}

impl Media {
    fn new(lib: &Lib) -> Self {
        let mut endpoint = ptr::null_mut();
        // SAFETY: the factory is leaked; the stream information is plain data, filled before use.
        let mut info = unsafe {
            assert_eq!(pjmedia_endpt_create2(lib.factory(), ptr::null_mut(), 0, &mut endpoint), 0);
            assert_eq!(pjmedia_codec_opus_init(endpoint), 0);
            let options = PJMEDIA_EVENT_MGR_NO_THREAD;
            assert_eq!(pjmedia_event_mgr_create(lib.pool, options, ptr::null_mut()), 0);
            let mut info: pjmedia_stream_info = std::mem::zeroed();
            let (local, remote) = (lib.sdp(SDP), lib.sdp(SDP));
            assert_eq!(pjmedia_stream_info_from_sdp(&mut info, lib.pool, endpoint, local, remote, 0), 0);
            info
        };
        info.dir = PJMEDIA_DIR_DECODING;
        info.fmt.channel_cnt = 1;
        Media { endpoint, info }
    }

    /// A mono codec whose encoder makes frames of `ptime` ms.
    fn codec(&self, ptime: u16) -> Codec {
        let mut codec = ptr::null_mut();
        // SAFETY: the parameters are those of the stream information, which live in the pool.
        unsafe {
            let manager = pjmedia_endpt_get_codec_mgr(self.endpoint);
            assert_eq!(pjmedia_codec_mgr_alloc_codec(manager, &self.info.fmt, &mut codec), 0);
            let mut param = *self.info.param;
            param.info.channel_cnt = 1;
            param.info.clock_rate = ENCODER_RATE as u32;
            param.info.frm_ptime = ptime;
            param.setting.set_vad(0);
            assert_eq!((*(*codec).op).open.unwrap()(codec, &mut param), 0);
        }
        Codec { codec, ptime: ptime.into() }
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        // SAFETY: streams and codecs of the test are gone or no longer used.
        unsafe {
            pjmedia_event_mgr_destroy(ptr::null_mut());
            pjmedia_endpt_destroy2(self.endpoint);
        }
    }
}

struct Codec {
    codec: *mut pjmedia_codec,
    ptime: usize,
}

impl Codec {
    fn op(&self) -> &pjmedia_codec_op {
        // SAFETY: a codec has a table of operations, a static one.
        unsafe { &*(*self.codec).op }
    }

    /// One packet of a loud tone.
    fn encode(&self, phase: usize) -> Vec<u8> {
        let samples = ENCODER_RATE / 1000 * self.ptime;
        let tone = |at: usize| ((at as f64 / 10.0).sin() * 20_000.0) as i16;
        let mut pcm: Vec<i16> = (phase * samples..(phase + 1) * samples).map(tone).collect();
        let mut packet = vec![0; 1280];
        let input = frame(pcm.as_mut_ptr().cast(), pcm.len() * 2);
        let mut output = frame(packet.as_mut_ptr().cast(), packet.len());
        // SAFETY: both frames are valid for their sizes.
        let status = unsafe { self.op().encode.unwrap()(self.codec, &input, 1280, &mut output) };
        assert_eq!(status, 0);
        packet.truncate(output.size as usize);
        packet
    }
}

fn frame(buffer: *mut c_void, size: usize) -> pjmedia_frame {
    pjmedia_frame {
        type_: PJMEDIA_FRAME_TYPE_AUDIO,
        buf: buffer,
        size: size as pj_size_t,
        timestamp: pj_timestamp { u64_: 0 },
        bit_info: 0,
    }
}

#[test]
fn splitting_a_packet_stays_inside_it() {
    const FRAMES: usize = 48;
    const LENGTH: usize = 20;

    let lib = Lib::new();
    let media = Media::new(&lib);
    let codec = media.codec(20);
    // RFC 6716 3.2.5: code 3, CELT of 2.5 ms (configuration 16), 48 frames of one size.
    let mut packet = vec![16 << 3 | 3, FRAMES as u8];
    packet.extend((0..FRAMES * LENGTH).map(|byte| byte as u8));
    let length = packet.len();
    packet.resize(length + FRAMES, 0xA5);
    let original = packet.clone();

    let mut frames = vec![frame(ptr::null_mut(), 0); FRAMES];
    let mut count = FRAMES as u32;
    let time = pj_timestamp { u64_: 0 };
    // SAFETY: the packet is valid for its length, and there is room for the frames.
    let status = unsafe {
        codec.op().parse.unwrap()(
            codec.codec,
            packet.as_mut_ptr().cast(),
            length as pj_size_t,
            &time,
            &mut count,
            frames.as_mut_ptr(),
        )
    };
    assert_eq!((status, count as usize), (0, FRAMES));
    assert_eq!(packet[length..], original[length..], "written behind the packet");
    for (number, frame) in frames.iter().enumerate() {
        // SAFETY: the codec gave address and size, and has parsed no other packet since.
        let frame = unsafe { std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.size) };
        assert_eq!(frame[0], 16 << 3, "a packet of one frame");
        assert_eq!(frame[1..], original[2 + number * LENGTH..][..LENGTH]);
    }
}

#[test]
fn concealment_before_the_first_packet_is_bounded() {
    const ROOM: usize = 100;

    let lib = Lib::new();
    let media = Media::new(&lib);
    let codec = media.codec(20);
    let mut buffer = [0x5A5A_i16; RATE / 50 + 16];
    let mut output = frame(buffer.as_mut_ptr().cast(), ROOM * 2);
    // SAFETY: the buffer is larger than announced.
    let status = unsafe { codec.op().recover.unwrap()(codec.codec, ROOM as u32 * 2, &mut output) };
    assert_eq!(status, 0);
    assert_eq!(output.size, ROOM * 2);
    assert!(buffer[..ROOM].iter().all(|&sample| sample == 0));
    assert!(buffer[ROOM..].iter().all(|&sample| sample == 0x5A5A), "written behind the buffer");
}

#[test]
fn a_raised_ptime_is_decoded() {
    const FRAME: usize = RATE / 50;

    let lib = Lib::new();
    let media = Media::new(&lib);
    let (mut transport, mut stream, mut port) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: all live until they are destroyed at the end.
    let send = unsafe {
        assert_eq!(pjmedia_transport_loop_create(media.endpoint, &mut transport), 0);
        let user = ptr::null_mut();
        assert_eq!(
            pjmedia_stream_create(media.endpoint, lib.pool, &media.info, transport, user, &mut stream),
            0
        );
        assert_eq!(pjmedia_stream_get_port(stream, &mut port), 0);
        assert_eq!(pjmedia_stream_start(stream), 0);
        (*(*transport).op).send_rtp.unwrap()
    };
    // What comes in at once goes out at once: a packet, then as many 20 ms frames as it has.
    let (mut sequence, mut timestamp) = (0_u16, 0_u32);
    let mut loud_frames = |ptime: u16, packets: usize| {
        let codec = media.codec(ptime);
        let mut loud = 0;
        for number in 0..packets {
            let mut packet = vec![0x80, PAYLOAD_TYPE];
            packet.extend(sequence.to_be_bytes());
            packet.extend(timestamp.to_be_bytes());
            packet.extend([0, 0, 0, 1]);
            packet.extend(codec.encode(number));
            sequence += 1;
            timestamp += RATE as u32 / 1000 * u32::from(ptime);
            // SAFETY: the packet is valid for its length, the buffer for that of a frame.
            unsafe {
                send(transport, packet.as_ptr().cast(), packet.len() as pj_size_t);
                for _ in 0..ptime / 20 {
                    let mut pcm = [0_i16; FRAME];
                    let mut output = frame(pcm.as_mut_ptr().cast(), FRAME * 2);
                    assert_eq!(pjmedia_port_get_frame(port, &mut output), 0);
                    let peak = pcm.iter().map(|sample| sample.unsigned_abs()).max();
                    loud += usize::from(peak > Some(10_000));
                }
            }
        }
        loud
    };
    assert!(loud_frames(20, 50) > 40, "20 ms");
    let loud = loud_frames(40, 50);
    assert!(loud > 90, "40 ms: {loud} of 100 frames");
    // SAFETY: not used afterwards.
    unsafe {
        assert_eq!(pjmedia_stream_destroy(stream), 0);
        (*(*transport).op).destroy.unwrap()(transport);
    }
}
