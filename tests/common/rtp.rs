//! A far end's RTP, from a socket of the test's: what it says, from where, and what it hears.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use outdial::audio::{Listener, SampleRate};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::sound::tone_share;
use super::srtp::Srtp;
use super::within;

const FRAME: usize = 160;
/// What is looked at to recognise a tone: a fifth of a second.
const WINDOW: usize = 10 * FRAME;

/// A stream that says a tone, PCMU in packets of 20 ms, and hears what comes to its socket.
pub struct Rtp {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    stream: Arc<Mutex<Stream>>,
    tasks: [JoinHandle<()>; 2],
}

/// What the next packet says.
struct Stream {
    to: SocketAddr,
    /// It answers where packets come from.
    follows: bool,
    /// `None` for silence: no packets.
    tone: Option<f64>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    phase: usize,
    /// Keys, where the sound is encrypted.
    srtp: Option<Srtp>,
    /// The last that was heard, and how many packets in all.
    heard: Vec<i16>,
    packets: u64,
}

impl Rtp {
    /// Speaks from `socket`, a tone of so many hertz, to an address.
    pub fn new(socket: UdpSocket, tone: f64, to: SocketAddr) -> Self {
        let address = socket.local_addr().expect("it is bound");
        let socket = Arc::new(socket);
        let ssrc = u32::from(address.port()) << 16 | 0x5a5a;
        let stream = Stream {
            to,
            follows: false,
            tone: Some(tone),
            ssrc,
            sequence: 1,
            timestamp: 0,
            phase: 0,
            srtp: None,
            heard: Vec::new(),
            packets: 0,
        };
        let stream = Arc::new(Mutex::new(stream));
        let tasks = [
            tokio::spawn(speak(Arc::clone(&socket), Arc::clone(&stream))),
            tokio::spawn(listen(Arc::clone(&socket), Arc::clone(&stream))),
        ];
        Self { address, socket, stream, tasks }
    }

    /// The same from a port of the system's on `ip`.
    pub async fn on(ip: std::net::IpAddr, tone: f64, to: SocketAddr) -> Self {
        Self::new(UdpSocket::bind((ip, 0)).await.expect("loopback has ports"), tone, to)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn with<T>(&self, change: impl FnOnce(&mut Stream) -> T) -> T {
        change(&mut self.stream.lock().expect("no test panics in here"))
    }

    /// Speaks to another address.
    pub fn send_to(&self, to: SocketAddr) {
        self.with(|stream| stream.to = to);
    }

    /// Encrypts and decrypts from now on, by the two `a=crypto`.
    pub fn encrypt(&self, ours: &str, theirs: &str) {
        let srtp = Srtp::new(ours, theirs);
        self.with(|stream| stream.srtp = Some(srtp));
    }

    /// Sends a packet as it is.
    pub async fn send_raw(&self, packet: &[u8]) {
        let to = self.with(|stream| stream.to);
        self.socket.send_to(packet, to).await.expect("loopback");
    }

    /// Encrypts it, if the sound is encrypted, and sends it.
    pub async fn send_sealed(&self, packet: &[u8]) {
        // What cannot even be encrypted goes as it is.
        let sealed = self.with(|stream| seal(stream, packet.to_vec()));
        self.send_raw(&sealed).await;
    }

    /// The stream's next packet, for somebody else to send.
    pub fn next_packet(&self) -> Vec<u8> {
        self.with(|stream| packet(stream, stream.tone.unwrap_or_default()))
    }

    /// Answers where packets come from, from now on.
    pub fn follow(&self) {
        self.with(|stream| stream.follows = true);
    }

    /// Sends so many packets at once.
    pub async fn burst(&self, packets: usize) {
        let (packets, to) = self.with(|stream| {
            let tone = stream.tone.unwrap_or_default();
            let packets = (0..packets).map(|_| packet(stream, tone)).collect::<Vec<_>>();
            (packets.into_iter().map(|packet| seal(stream, packet)).collect::<Vec<_>>(), stream.to)
        });
        for packet in packets {
            self.socket.send_to(&packet, to).await.expect("loopback");
        }
    }

    /// Says nothing any more.
    pub fn pause(&self) {
        self.with(|stream| stream.tone = None);
    }

    /// Says another tone, or begins to speak again.
    pub fn say(&self, tone: f64) {
        self.with(|stream| stream.tone = Some(tone));
    }

    /// Goes on as another source would: another SSRC, sequence number and time stamp.
    pub fn change_ssrc(&self, ssrc: u32) {
        self.with(|stream| {
            (stream.ssrc, stream.sequence, stream.timestamp) = (ssrc, 40_000, stream.timestamp ^ 0x4000_0000);
        });
    }

    /// Puts the sequence number and the time stamp shortly before their ends. Only for a stream that has not begun: a jump
    /// within one is a loss.
    pub fn begin_before_the_wrap(&self) {
        self.with(|stream| (stream.sequence, stream.timestamp) = (65_500, u32::MAX - 20 * FRAME as u32));
    }

    /// Goes on with the stream of another socket.
    pub fn continue_from(&self, other: &Self) {
        let (ssrc, sequence, timestamp, to, tone) = other.with(|stream| {
            let tone = stream.tone.take();
            (stream.ssrc, stream.sequence, stream.timestamp, stream.to, tone)
        });
        self.with(|stream| {
            (stream.ssrc, stream.sequence, stream.timestamp) = (ssrc, sequence, timestamp);
            (stream.to, stream.tone) = (to, tone);
        });
    }

    /// The number of the next packet.
    pub fn sequence(&self) -> u16 {
        self.with(|stream| stream.sequence)
    }

    /// How many packets came so far.
    pub fn packets(&self) -> u64 {
        self.with(|stream| stream.packets)
    }

    /// Waits until it hears a tone, in what comes from now on.
    pub async fn hears(&self, tone: f64) {
        self.with(|stream| stream.heard.clear());
        let heard = async {
            loop {
                let share = self.with(|stream| {
                    let last = stream.heard.len().saturating_sub(WINDOW);
                    let window = &stream.heard[last..];
                    if window.len() < WINDOW { 0.0 } else { tone_share(SampleRate::Hz8000, window, tone) }
                });
                if share > 0.8 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(&format!("a tone of {tone} Hz at {}", self.address), heard).await;
    }
}

impl Drop for Rtp {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn speak(socket: Arc<UdpSocket>, stream: Arc<Mutex<Stream>>) {
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        clock.tick().await;
        let next = {
            let mut stream = stream.lock().expect("no test panics in here");
            let packet = stream.tone.map(|tone| packet(&mut stream, tone));
            packet.map(|packet| (seal(&mut stream, packet), stream.to))
        };
        if let Some((packet, to)) = next {
            // A peer that is gone shows in the test.
            let _ = socket.send_to(&packet, to).await;
        }
    }
}

fn seal(stream: &mut Stream, packet: Vec<u8>) -> Vec<u8> {
    let sealed = stream.srtp.as_mut().and_then(|srtp| srtp.seal(&packet));
    sealed.unwrap_or(packet)
}

fn packet(stream: &mut Stream, tone: f64) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(stream.sequence.to_be_bytes());
    packet.extend(stream.timestamp.to_be_bytes());
    packet.extend(stream.ssrc.to_be_bytes());
    packet.extend((0..FRAME).map(|sample| {
        let time = (stream.phase + sample) as f64 / 8_000.0;
        encode_ulaw(((std::f64::consts::TAU * tone * time).sin() * 8_000.0) as i16)
    }));
    stream.phase += FRAME;
    stream.sequence = stream.sequence.wrapping_add(1);
    stream.timestamp = stream.timestamp.wrapping_add(FRAME as u32);
    packet
}

async fn listen(socket: Arc<UdpSocket>, stream: Arc<Mutex<Stream>>) {
    let mut packet = [0; 2_048];
    while let Ok((length, from)) = socket.recv_from(&mut packet).await {
        let mut stream = stream.lock().expect("no test panics in here");
        let opened = match stream.srtp.as_mut() {
            Some(srtp) => srtp.open(&packet[..length]),
            None => Some(packet[..length].to_vec()),
        };
        let Some(payload) = opened.as_ref().and_then(|packet| packet.get(12..)) else { continue };
        if packet[1] & 0x7f != 0 {
            continue;
        }
        stream.packets += 1;
        if stream.follows {
            stream.to = from;
        }
        let too_many = stream.heard.len().saturating_sub(WINDOW);
        stream.heard.drain(..too_many);
        stream.heard.extend(payload.iter().map(|code| decode_ulaw(*code)));
    }
}

/// The caller's side of the same: says a tone until it is dropped, and waits for tones.
pub struct Caller {
    listener: Listener,
    rate: SampleRate,
    speaking: JoinHandle<()>,
}

impl Caller {
    /// Says a tone from now on.
    pub fn new(call: &outdial::call::Call, tone: f64) -> Self {
        let audio = call.audio().expect("nobody has taken it");
        let (speaker, listener, rate) = (audio.speaker, audio.listener, audio_rate());
        let speaking = tokio::spawn(async move {
            let mut at = 0;
            loop {
                let frame: Vec<i16> = (at..at + rate.frame_len())
                    .map(|sample| {
                        let time = sample as f64 / f64::from(rate.hz());
                        ((std::f64::consts::TAU * tone * time).sin() * 8_000.0) as i16
                    })
                    .collect();
                at += frame.len();
                if speaker.send(&frame).await.is_err() {
                    return;
                }
            }
        });
        Self { listener, rate, speaking }
    }

    /// Waits until it hears a tone, in what is heard from now on.
    pub async fn hears(&mut self, tone: f64) {
        while self.listener.try_recv().is_ok() {}
        let window = self.rate.samples(200);
        let mut heard: Vec<i16> = Vec::new();
        let listening = async {
            while heard.len() < window || tone_share(self.rate, &heard[heard.len() - window..], tone) <= 0.8 {
                let frame = self.listener.recv().await.expect("the call is up");
                heard.extend_from_slice(frame.samples());
            }
        };
        within(&format!("a tone of {tone} Hz at the caller's"), listening).await;
    }

    /// Listens for so long, and tells the largest share that a tone had in a fifth of a second.
    pub async fn most_of(&mut self, tone: f64, time: Duration) -> f64 {
        while self.listener.try_recv().is_ok() {}
        let end = Instant::now() + time;
        let window = self.rate.samples(200);
        let (mut heard, mut most) = (Vec::new(), 0.0f64);
        while let Ok(Some(frame)) = tokio::time::timeout_at(end, self.listener.recv()).await {
            heard.extend_from_slice(frame.samples());
            if heard.len() >= window {
                most = most.max(tone_share(self.rate, &heard[heard.len() - window..], tone));
            }
        }
        most
    }
}

/// What calls have where nobody asks for another rate.
fn audio_rate() -> SampleRate {
    SampleRate::Hz16000
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.speaking.abort();
    }
}
