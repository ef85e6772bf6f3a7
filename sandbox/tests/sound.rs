//! What is heard on both sides: speech, keys, recordings, encryption, bad networks, reports.

mod common;

use std::time::Duration;

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use base64::Engine as _;
use common::{Client, Rtp, media_address, packet};
use outdial_sandbox::{Behaviour, Builder, Sandbox, Speech, SrtpPolicy, SrtpSuite, Transport};
use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCryptoProvider as _;
use rtc_srtp::crypto::providers::RingProvider;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtp_types::RtpPacket;

fn builder() -> Builder {
    Sandbox::builder().without_authentication().speech(Speech::Melodies)
}

fn number(name: &str) -> String {
    Behaviour::named(name).expect("a name of the table").number()
}

/// A frame's loudest sample.
fn peak(packet: &RtpPacket<'_>) -> u16 {
    packet.payload().iter().map(|byte| decode_ulaw(*byte).unsigned_abs()).max().unwrap_or(0)
}

/// Receives until a frame is loud or quiet, and counts the frames before it.
async fn frames_until(rtp: &Rtp, loud: bool) -> usize {
    for count in 0.. {
        let bytes = rtp.receive().await;
        if (peak(&RtpPacket::parse(&bytes).unwrap()) > 500) == loud {
            return count;
        }
    }
    unreachable!("receive gives up first")
}

/// Sends one key as RFC 4733 packets and returns the next sequence number.
async fn press(rtp: &Rtp, to: std::net::SocketAddr, event: u8, sequence: u16, timestamp: u32) -> u16 {
    for step in 0..6_u16 {
        let end = if step >= 3 { 0x80 } else { 0 };
        let duration = (160 * (step + 1).min(4)).to_be_bytes();
        let payload = [event, end | 10, duration[0], duration[1]];
        rtp.socket.send_to(&packet(101, sequence + step, timestamp, &payload), to).await.unwrap();
    }
    sequence + 6
}

#[tokio::test]
async fn a_greeting_is_heard_and_the_caller_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = builder().directory(directory.path()).greeting("Good day").start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let answer = client.invite(&number("greeting"), &rtp.plain_offer()).await;
    frames_until(&rtp, true).await;
    let address = media_address(&answer.body);
    let spoken: Vec<u8> = (0..1600_i32).map(|n| encode_ulaw(((n * 37) % 16_000 - 8_000) as i16)).collect();
    for (index, frame) in spoken.chunks(160).enumerate() {
        rtp.socket.send_to(&packet(0, index as u16, index as u32 * 160, frame), address).await.unwrap();
    }
    client.bye().await;
    let recording = sandbox.call_ended(&client.call_id).await.recording.unwrap();
    let expected: Vec<i16> = spoken.iter().map(|byte| decode_ulaw(*byte)).collect();
    assert_eq!(&recording.samples[..], expected);
    assert_eq!(recording.sample_rate, 8000);
    let mut wav = hound::WavReader::open(recording.wav.unwrap()).unwrap();
    let samples: Vec<i16> = wav.samples().map(Result::unwrap).collect();
    assert_eq!(samples, expected);
    sandbox.shutdown().await;
    assert!(directory.path().join("ca.pem").is_file());
}

#[tokio::test]
async fn early_media_is_heard_before_the_answer() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let uri = client.uri(&number("early-media"));
    client.send("INVITE", &uri, &[], &rtp.plain_offer()).await;
    let progress = client.response(183).await;
    assert!(progress.body.contains("m=audio"));
    frames_until(&rtp, true).await;
    assert!(sandbox.call(&client.call_id).unwrap().answered.is_none());
    let answer = client.response(200).await;
    assert_eq!(media_address(&answer.body), media_address(&progress.body));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_menu_hears_keys_answers_each_and_hangs_up_on_nine() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let answer = client.invite(&number("keypad-menu"), &rtp.plain_offer()).await;
    let address = media_address(&answer.body);
    frames_until(&rtp, true).await;
    let sequence = press(&rtp, address, 1, 1, 1000).await;
    let sequence = press(&rtp, address, 11, sequence, 5000).await;
    press(&rtp, address, 9, sequence, 9000).await;
    let bye = client.incoming("BYE").await;
    client.answer(&bye, 200, "").await;
    assert_eq!(sandbox.call_ended(&client.call_id).await.digits, "1#9");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn keys_are_pressed_at_the_caller() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    client.invite(&number("sends-digits"), &rtp.plain_offer()).await;
    let (mut keys, mut last, mut ends) = (String::new(), None, 0);
    while keys.len() < 5 || ends < 15 {
        let bytes = rtp.receive().await;
        let packet = RtpPacket::parse(&bytes).unwrap();
        if packet.payload_type() != 101 {
            continue;
        }
        if last != Some(packet.timestamp()) {
            assert!(packet.marker_bit());
            last = Some(packet.timestamp());
            keys.push("0123456789*#".chars().nth(packet.payload()[0].into()).unwrap());
        }
        ends += i32::from(packet.payload()[1] & 0x80 != 0);
    }
    assert_eq!(keys, "1234#");
    client.bye().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_echo_returns_keys_as_well() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let answer = client.invite(&number("instant-answer"), &rtp.plain_offer()).await;
    press(&rtp, media_address(&answer.body), 5, 1, 1000).await;
    for _ in 0..6 {
        let bytes = rtp.receive().await;
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!((packet.payload_type(), packet.payload()[0]), (101, 5));
    }
    client.bye().await;
    assert_eq!(sandbox.call_ended(&client.call_id).await.digits, "5");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_voice_mail_beeps_and_records() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let answer = client.invite(&number("voicemail"), &rtp.plain_offer()).await;
    // Greeting, a pause of 300 ms, the beep of 800 ms, silence: the longest loud stretch is the beep.
    let mut loud = 0;
    while loud < 30 {
        let bytes = rtp.receive().await;
        loud = if peak(&RtpPacket::parse(&bytes).unwrap()) > 500 { loud + 1 } else { 0 };
    }
    frames_until(&rtp, false).await;
    let message = packet(0, 1, 0, &[0x10; 160]);
    rtp.socket.send_to(&message, media_address(&answer.body)).await.unwrap();
    client.bye().await;
    let recording = sandbox.call_ended(&client.call_id).await.recording.unwrap();
    assert_eq!(&recording.samples[..], [decode_ulaw(0x10); 160]);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn some_callees_never_send_a_packet() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let answer = client.invite(&number("no-media"), &rtp.plain_offer()).await;
    for n in 0..10 {
        rtp.socket.send_to(&packet(0, n, 160, &[0; 160]), media_address(&answer.body)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.bye().await;
    let media = sandbox.call_ended(&client.call_id).await.media;
    assert_eq!((media.received, media.sent), (10, 0));
    assert!(rtp.socket.try_recv(&mut [0; 2048]).is_err());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_stream_can_stop_in_mid_call() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    client.invite(&number("media-stops"), &rtp.plain_offer()).await;
    for _ in 0..150 {
        rtp.receive().await;
    }
    let next = tokio::time::timeout(Duration::from_secs(1), rtp.receive()).await;
    assert!(next.is_err(), "a packet after three seconds of tone");
    client.bye().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn bad_networks_lose_repeat_and_reorder() {
    let sandbox = builder().start().await.unwrap();
    for (name, expected) in [("loses-packets", 38), ("repeats", 44), ("reorders", 40), ("jitter", 40)] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let rtp = Rtp::new().await;
        let answer = client.invite(&number(name), &rtp.plain_offer()).await;
        let address = media_address(&answer.body);
        let mut sequences = Vec::new();
        for n in 0..40_u16 {
            rtp.socket.send_to(&packet(0, n, u32::from(n) * 160, &[0; 160]), address).await.unwrap();
        }
        while sequences.len() < expected {
            let bytes = rtp.receive().await;
            sequences.push(RtpPacket::parse(&bytes).unwrap().sequence_number());
        }
        let first = sequences[0];
        let steps: Vec<u16> = sequences.iter().map(|sequence| sequence.wrapping_sub(first)).collect();
        let repeated = steps.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert_eq!(repeated, if name == "repeats" { 4 } else { 0 }, "{name}");
        assert_eq!(steps.is_sorted(), name != "reorders", "{name}: {steps:?}");
        client.bye().await;
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn reports_tell_what_was_lost() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let rtcp = Rtp::new().await;
    let offer = rtp.offer("RTP/AVP", &format!("a=rtcp:{}\r\n", rtcp.port));
    let answer = client.invite(&number("instant-answer"), &offer).await;
    let address = media_address(&answer.body);
    for sequence in [1, 2, 3, 5, 6, 7, 8, 9, 10, 12] {
        rtp.socket
            .send_to(&packet(0, sequence, u32::from(sequence) * 160, &[0; 160]), address)
            .await
            .unwrap();
    }
    let bytes = rtcp.receive().await;
    let mut packets = rtcp_types::Compound::parse(&bytes).unwrap();
    let Some(Ok(rtcp_types::Packet::Sr(report))) = packets.next() else { panic!("no sender report first") };
    assert_eq!(report.packet_count(), 10);
    let block = report.report_blocks().next().unwrap();
    assert_eq!((block.ssrc(), block.cumulative_lost()), (0x1234_5678, 2));
    client.bye().await;
    assert_eq!(sandbox.call_ended(&client.call_id).await.media.lost, 2);
    sandbox.shutdown().await;
}

/// Our side of SRTP: keys, the line for the offer, and the contexts once the answer is there.
struct Keys {
    profile: ProtectionProfile,
    name: &'static str,
    ours: Vec<u8>,
}

impl Keys {
    fn new(profile: ProtectionProfile, name: &'static str) -> Self {
        let length = profile.key_len() + profile.salt_len();
        Self { profile, name, ours: (0..length as u8).collect() }
    }

    fn line(&self) -> String {
        let key = base64::engine::general_purpose::STANDARD.encode(&self.ours);
        format!("a=crypto:2 {} inline:{key}|2^31\r\n", self.name)
    }

    fn contexts(&self, answer: &str) -> (Context, Context) {
        let line = answer.lines().find_map(|line| line.strip_prefix("a=crypto:2 ")).expect("the tag chosen");
        let (suite, inline) = line.split_once(" inline:").unwrap();
        assert_eq!(suite, self.name);
        let theirs = base64::engine::general_purpose::STANDARD.decode(inline.trim()).unwrap();
        let provider = RingProvider::new();
        let context = |key: &[u8]| {
            let (key, salt) = key.split_at(self.profile.key_len());
            Context::new(key, salt, self.profile, None, None, provider.crypto()).unwrap()
        };
        (context(&self.ours), context(&theirs))
    }
}

#[tokio::test]
async fn every_srtp_suite_echoes() {
    let sandbox = builder().start().await.unwrap();
    for (profile, name, suite) in [
        (ProtectionProfile::Aes128CmHmacSha1_80, "AES_CM_128_HMAC_SHA1_80", SrtpSuite::AesCm128HmacSha1_80),
        (ProtectionProfile::Aes128CmHmacSha1_32, "AES_CM_128_HMAC_SHA1_32", SrtpSuite::AesCm128HmacSha1_32),
        (ProtectionProfile::Aes256CmHmacSha1_80, "AES_256_CM_HMAC_SHA1_80", SrtpSuite::Aes256CmHmacSha1_80),
        (ProtectionProfile::AeadAes128Gcm, "AEAD_AES_128_GCM", SrtpSuite::AeadAes128Gcm),
        (ProtectionProfile::AeadAes256Gcm, "AEAD_AES_256_GCM", SrtpSuite::AeadAes256Gcm),
    ] {
        let mut client = Client::new(&sandbox, Transport::Tls).await;
        let rtp = Rtp::new().await;
        let keys = Keys::new(profile, name);
        let unknown = "a=crypto:1 SOMETHING_ELSE inline:AAAA\r\n";
        let offer = rtp.offer("RTP/SAVP", &format!("{unknown}{}", keys.line()));
        let answer = client.invite(&number("encrypted-only"), &offer).await;
        assert_eq!(answer.status(), 200, "{name}");
        assert!(answer.body.contains("RTP/SAVP"));
        let (mut outbound, mut inbound) = keys.contexts(&answer.body);
        let address = media_address(&answer.body);
        for n in 1..=5 {
            let wire = outbound.encrypt_rtp(&packet(0, n, 160, &[n as u8; 160])).unwrap();
            rtp.socket.send_to(&wire, address).await.unwrap();
            let wire = rtp.receive().await;
            let plain = inbound.decrypt_rtp(&wire).unwrap();
            assert_eq!(RtpPacket::parse(&plain).unwrap().payload(), [n as u8; 160]);
        }
        rtp.socket.send_to(&packet(0, 9, 160, &[9; 160]), address).await.unwrap();
        client.bye().await;
        let record = sandbox.call_ended(&client.call_id).await;
        assert_eq!(record.srtp, Some(suite));
        assert_eq!((record.media.received, record.media.rejected), (5, 1), "plain RTP must not pass");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn encryption_is_demanded_refused_downgraded_and_spoilt() {
    let keys = Keys::new(ProtectionProfile::Aes128CmHmacSha1_80, "AES_CM_128_HMAC_SHA1_80");
    let invite = async |sandbox: &Sandbox, name: &str, profile: &str, line: &str| {
        let mut client = Client::new(sandbox, Transport::Tls).await;
        let rtp = Rtp::new().await;
        let answer = client.invite(&number(name), &rtp.offer(profile, line)).await;
        (client, rtp, answer)
    };
    let sandbox = builder().start().await.unwrap();
    assert_eq!(invite(&sandbox, "encrypted-only", "RTP/AVP", "").await.2.status(), 488);
    let (_, _, downgraded) = invite(&sandbox, "srtp-downgrade", "RTP/SAVP", &keys.line()).await;
    assert!(downgraded.body.contains("RTP/AVP") && !downgraded.body.contains("a=crypto"));
    let (_, rtp, spoilt) = invite(&sandbox, "srtp-wrong-key", "RTP/SAVP", &keys.line()).await;
    let (_, mut inbound) = keys.contexts(&spoilt.body);
    assert!(inbound.decrypt_rtp(&rtp.receive().await).is_err());
    sandbox.shutdown().await;

    let plain = builder().srtp(SrtpPolicy::Off).start().await.unwrap();
    assert_eq!(invite(&plain, "instant-answer", "RTP/SAVP", &keys.line()).await.2.status(), 488);
    let (_, _, answer) = invite(&plain, "instant-answer", "RTP/AVP", &keys.line()).await;
    assert!(!answer.body.contains("a=crypto"));
    plain.shutdown().await;

    let secure = builder().srtp(SrtpPolicy::Required).start().await.unwrap();
    assert_eq!(invite(&secure, "instant-answer", "RTP/AVP", "").await.2.status(), 488);
    assert_eq!(invite(&secure, "instant-answer", "RTP/SAVP", &keys.line()).await.2.status(), 200);
    secure.shutdown().await;
}
