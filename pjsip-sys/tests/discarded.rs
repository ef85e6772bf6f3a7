//! What a stream says of packets that came and were not played: it counts packets, whatever a frame of their codec is.

mod support;

use pjsip_sys::*;
use std::net::UdpSocket;
use std::time::Duration;
use support::Lib;
use support::side::{Side, end, media_endpoint};

/// What a stream has counted.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    received: u32,
    lost: u32,
    discarded: u32,
    /// By the sequence numbers, less what came twice.
    missing: i32,
}

/// Two streams; the test is the network between them.
struct Scene {
    lib: Lib,
    endpoint: *mut pjmedia_endpt,
    network: UdpSocket,
    speaker: Side,
    listener: Side,
}

impl Scene {
    fn new(format: &[&str]) -> Self {
        let lib = Lib::new();
        let endpoint = media_endpoint(&lib);
        let network = UdpSocket::bind("127.0.0.1:0").unwrap();
        network.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let far = network.local_addr().unwrap();
        let speaker = Side::new(&lib, endpoint, format, far);
        let listener = Side::new(&lib, endpoint, format, far);
        Self { lib, endpoint, network, speaker, listener }
    }

    /// The speaker's next packet.
    fn packet(&self) -> Vec<u8> {
        self.speaker.say(&mut vec![1_000; self.speaker.samples]);
        let mut packet = [0; 1_500];
        let length = self.network.recv(&mut packet).unwrap();
        packet[..length].to_vec()
    }

    fn deliver(&self, packet: &[u8]) {
        self.network.send_to(packet, self.listener.rtp).unwrap();
        while self.listener.poll() == 0 {}
    }

    /// So many packets come as they should, and a frame is played for each.
    fn play(&self, packets: usize) {
        for _ in 0..packets {
            self.deliver(&self.packet());
            self.listener.hear();
        }
    }

    fn counted(&self) -> Counted {
        let counted = self.listener.statistics().rx;
        // SAFETY: the stream lives.
        let missing = unsafe { pjsys_stream_missing(self.listener.stream) };
        Counted { received: counted.pkt, lost: counted.loss, discarded: counted.discard, missing }
    }

    /// Frames that the jitter buffer has room for.
    fn room(&self) -> usize {
        // SAFETY: a record of integers; the stream lives.
        unsafe {
            let mut state: pjmedia_jb_state = std::mem::zeroed();
            assert_eq!(pjmedia_stream_get_stat_jbuf(self.listener.stream, &mut state), 0);
            state.max_count as usize
        }
    }

    fn end(self) {
        self.speaker.end();
        self.listener.end();
        end(self.endpoint);
        drop(self.lib);
    }
}

/// Codecs, with the milliseconds of their frame in PJMEDIA, and packet times.
fn for_each_format(check: impl Fn(&str, Scene, usize)) {
    for (codec, frame, lines) in [
        ("PCMU", 10, ["0", "a=rtpmap:0 PCMU/8000"]),
        ("G.722", 10, ["9", "a=rtpmap:9 G722/8000"]),
        ("Opus", 20, ["96", "a=rtpmap:96 opus/48000/2"]),
    ] {
        for ptime in [10, 20, 40] {
            let line = format!("a=ptime:{ptime}");
            let scene = Scene::new(&[lines[0], lines[1], &line]);
            let frames = (ptime / frame).max(1);
            check(&format!("{codec} in packets of {ptime} ms"), scene, frames);
        }
    }
}

#[test]
fn late_packets_are_counted_once_each() {
    for_each_format(|what, scene, _| {
        scene.play(50);
        let mut late = Vec::new();
        for _ in 0..20 {
            late.push(scene.packet());
            scene.listener.hear();
            scene.play(1);
        }
        scene.play(10);
        assert_eq!(scene.counted(), Counted { received: 80, lost: 20, discarded: 0, missing: 20 }, "{what}");
        // The first is 50 packets behind, the last 11.
        for packet in late {
            scene.deliver(&packet);
        }
        scene.play(10);
        // They came, and were of no use.
        assert_eq!(scene.counted(), Counted { received: 110, lost: 0, discarded: 20, missing: 0 }, "{what}");
        scene.end();
    });
}

#[test]
fn packets_that_come_twice_are_counted_once_each() {
    for_each_format(|what, scene, _| {
        scene.play(50);
        for _ in 0..20 {
            let packet = scene.packet();
            scene.deliver(&packet);
            scene.deliver(&packet);
            scene.listener.hear();
        }
        scene.play(10);
        // The others were played: nothing is missing.
        assert_eq!(
            scene.counted(),
            Counted { received: 100, lost: 0, discarded: 20, missing: -20 },
            "{what}"
        );
        scene.end();
    });
}

#[test]
fn packets_that_made_room_for_others_are_counted_once_each() {
    for_each_format(|what, scene, frames| {
        scene.play(50);
        while scene.listener.hear().iter().any(|sample| sample.unsigned_abs() > 500) {}
        let room = scene.room();
        let packets = room / frames + 20;
        for _ in 0..packets {
            scene.deliver(&scene.packet());
        }
        let removed = (packets * frames - room).div_ceil(frames) as u32;
        let received = 50 + packets as u32;
        assert_eq!(scene.counted(), Counted { received, lost: 0, discarded: removed, missing: 0 }, "{what}");
        scene.end();
    });
}
