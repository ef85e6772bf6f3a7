//! The task behind [`Media`](super::Media): receives, answers and sends on a 20 ms clock.

use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rand::RngExt as _;
use rtp_types::{RtpPacket, RtpPacketBuilder};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::codec::Transcoder;
use super::dtmf::{EventReader, EventWriter};
use super::impairment::Impairment;
use super::ports::Ports;
use super::recorder::Recorder;
use super::rtcp::{self, Reception, Sent};
use super::srtp::SrtpSession;
use super::{Command, Heard, Idle, MediaCounts, Report};
use crate::sdp::Agreed;

/// The packet time.
const FRAME: Duration = Duration::from_millis(20);
/// Frames until the first report, and between reports (RFC 3550's 5 s, the first at half of it).
const FIRST_REPORT: u32 = 125;
const REPORT_EVERY: u32 = 250;
/// Frames after which keys are pressed at a caller who has not been heard.
const UNHEARD: u32 = 100;
/// Packets still read when the call is over.
const LAST_WORDS: usize = 256;
/// Largest datagram read.
const MAX_DATAGRAM: usize = 2048;

pub(crate) struct Stream {
    ports: Ports,
    heard: mpsc::Sender<Heard>,
    session: Option<Session>,
    idle: Idle,
    impairment: Impairment,
    playing: Option<Playing>,
    keys: EventWriter,
    keys_done: Option<oneshot::Sender<()>>,
    outbound: Outbound,
    delayed: BinaryHeap<Delayed>,
    last_due: Instant,
    /// Since the media was agreed.
    frames: u32,
    recorder: Option<Recorder>,
    turn: Option<Turn>,
    counts: MediaCounts,
}

/// What one offer and answer set up.
struct Session {
    agreed: Agreed,
    srtp: Option<SrtpSession>,
    transcoder: Transcoder,
    reception: Reception,
    reader: EventReader,
    /// Where RTP goes: the SDP's address until packets show where the other side really is.
    remote: SocketAddr,
}

struct Playing {
    samples: Arc<[i16]>,
    position: usize,
    done: Option<oneshot::Sender<()>>,
}

/// Somebody waits for the caller to have spoken.
struct Turn {
    /// When the caller was last heard, in frames of ours; `None` until it is.
    quiet: Option<u32>,
    done: Option<oneshot::Sender<()>>,
}

struct Outbound {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The RTP timestamp of the key being pressed.
    key_timestamp: u32,
    /// Ours minus theirs, while echoing.
    echo_offset: Option<u32>,
    marker: bool,
    number: u64,
    packets: u32,
    octets: u32,
}

/// What is louder than this was said by somebody.
const SPOKEN: u16 = 500;
/// So many frames of silence mean that it is the other one's turn: a second.
const PAUSE: u32 = 50;

/// A packet that waits for its time; the earliest is the greatest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delayed(std::cmp::Reverse<(Instant, u64)>, Vec<u8>);

impl Stream {
    pub(crate) fn new(ports: Ports, heard: mpsc::Sender<Heard>) -> Self {
        let mut rng = rand::rng();
        let outbound = Outbound {
            ssrc: rng.random(),
            sequence: rng.random(),
            timestamp: rng.random(),
            key_timestamp: 0,
            echo_offset: None,
            marker: true,
            number: 0,
            packets: 0,
            octets: 0,
        };
        Self {
            ports,
            heard,
            session: None,
            idle: Idle::Mute,
            impairment: Impairment::None,
            playing: None,
            keys: EventWriter::default(),
            keys_done: None,
            outbound,
            delayed: BinaryHeap::new(),
            last_due: Instant::now(),
            frames: 0,
            recorder: None,
            turn: None,
            counts: MediaCounts::default(),
        }
    }

    /// Runs until the handle is gone.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) -> Report {
        let mut clock = interval(FRAME);
        // After a pause of the whole machine the backlog is sent at once and the clock is right again.
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut rtp_buffer, mut rtcp_buffer) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
        let mut frames = 0_u32;
        loop {
            let due = self.delayed.peek().map(|delayed| delayed.0.0.0);
            tokio::select! {
                // A flood of packets must not hold up the clock, nor commands that came before them.
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                _ = clock.tick() => {
                    self.frame();
                    frames = frames.wrapping_add(1);
                    if frames >= FIRST_REPORT && (frames - FIRST_REPORT).is_multiple_of(REPORT_EVERY) {
                        self.report();
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => self.flush(),
                // Receive errors are ICMP echoes of packets that nobody wanted; the socket is fine.
                Ok((length, source)) = self.ports.rtp.recv_from(&mut rtp_buffer) => {
                    self.receive_rtp(&rtp_buffer[..length], source);
                }
                Ok((length, _)) = self.ports.rtcp.recv_from(&mut rtcp_buffer) => {
                    self.receive_rtcp(&rtcp_buffer[..length]);
                }
            }
        }
        // What arrived before the BYE belongs to the call, even if nobody has looked at it yet.
        for _ in 0..LAST_WORDS {
            let Ok((length, source)) = self.ports.rtp.try_recv_from(&mut rtp_buffer) else { break };
            self.receive_rtp(&rtp_buffer[..length], source);
        }
        if let Some(session) = &self.session {
            self.counts.lost += session.reception.lost();
        }
        let recording = self.recorder.map(|recorder| (recorder.rate(), recorder.into_samples()));
        Report { counts: self.counts, recording: recording.map(|(rate, samples)| (samples, rate)) }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Configure(agreed) => self.configure(*agreed),
            Command::Idle(idle) if idle == self.idle => {}
            Command::Idle(idle) => {
                self.outbound.echo_offset = None;
                self.idle = idle;
            }
            Command::Impair(impairment) => self.impairment = impairment,
            Command::Play(clip, done) => {
                let rate =
                    self.session.as_ref().and_then(|session| session.agreed.format.codec.sample_rate());
                let samples = Arc::clone(clip.at(rate.unwrap_or(8_000)));
                self.playing = Some(Playing { samples, position: 0, done: Some(done) });
                self.outbound.marker = true;
            }
            Command::StopPlaying => self.playing = None,
            Command::AwaitTurn(done) => self.turn = Some(Turn { quiet: None, done: Some(done) }),
            Command::Press(keys, done) => {
                self.keys.push(&keys);
                self.keys_done = Some(done);
            }
        }
    }

    fn configure(&mut self, agreed: Agreed) {
        let before = self.session.take();
        if let Some(before) = &before {
            self.counts.lost += before.reception.lost();
        }
        let srtp = match (&agreed.crypto, before) {
            // The same keys go on with their rollover counters (RFC 3711 section 3.3.1).
            (Some(keys), Some(before)) if before.agreed.crypto.as_ref() == Some(keys) => before.srtp,
            (Some((ours, theirs)), _) => SrtpSession::new(ours, theirs),
            (None, _) => None,
        };
        let codec = agreed.format.codec;
        if let Some(rate) = codec.sample_rate()
            && self.recorder.as_ref().is_none_or(|recorder| recorder.rate() != rate)
        {
            // A change of rate in mid-call starts the recording afresh at the new rate.
            self.recorder = Some(Recorder::new(rate, codec.clock_rate()));
        }
        self.outbound.echo_offset = None;
        self.session = Some(Session {
            srtp,
            transcoder: Transcoder::new(codec),
            reception: Reception::new(codec.clock_rate(), Instant::now()),
            reader: EventReader::default(),
            remote: agreed.rtp,
            agreed,
        });
    }

    fn receive_rtp(&mut self, datagram: &[u8], source: SocketAddr) {
        let Some(session) = &mut self.session else { return };
        let opened;
        let datagram = if session.agreed.crypto.is_some() {
            match session.srtp.as_mut().and_then(|srtp| srtp.open_rtp(datagram)) {
                Some(plain) => opened = plain,
                None => return self.counts.rejected += 1,
            }
            &opened[..]
        } else {
            datagram
        };
        let Ok(packet) = RtpPacket::parse(datagram) else { return };
        let (payload_type, timestamp, payload) =
            (packet.payload_type(), packet.timestamp(), packet.payload());
        self.counts.received += 1;
        session.remote = source;
        session.reception.packet(packet.ssrc(), packet.sequence_number(), timestamp, Instant::now());
        if payload_type == session.agreed.format.payload_type {
            let samples = session.transcoder.decode(payload);
            if let Some(turn) = &mut self.turn
                && samples.iter().any(|sample| sample.unsigned_abs() > SPOKEN)
            {
                turn.quiet = Some(0);
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.write(timestamp, &samples);
            }
        } else if Some(payload_type) == session.agreed.events {
            if let Some(key) = session.reader.read(timestamp, payload) {
                // A caller that types faster than the callee listens loses keys.
                let _ = self.heard.try_send(Heard::Key(key));
            }
        } else {
            return;
        }
        if self.idle == Idle::Echo && self.playing.is_none() && session.agreed.direction.sends() {
            let outbound = &mut self.outbound;
            let offset = *outbound.echo_offset.get_or_insert(outbound.timestamp.wrapping_sub(timestamp));
            outbound.timestamp = timestamp.wrapping_add(offset);
            let (timestamp, payload) = (outbound.timestamp, payload.to_vec());
            self.send(payload_type, packet.marker_bit(), timestamp, &payload);
        }
    }

    fn receive_rtcp(&mut self, datagram: &[u8]) {
        let Some(session) = &mut self.session else { return };
        let opened;
        let datagram = if session.agreed.crypto.is_some() {
            match session.srtp.as_mut().and_then(|srtp| srtp.open_rtcp(datagram)) {
                Some(plain) => opened = plain,
                None => return self.counts.rejected += 1,
            }
            &opened[..]
        } else {
            datagram
        };
        if rtcp::read(datagram, &mut session.reception, Instant::now()) {
            self.counts.rtcp_received += 1;
        }
    }

    /// What the clock does every 20 ms.
    fn frame(&mut self) {
        self.pass_turn();
        let Some(session) = &mut self.session else { return };
        let units = session.agreed.format.codec.clock_rate() / 50;
        if !session.agreed.direction.sends() {
            return;
        }
        // Keys are pressed at somebody: a caller whose media is not up yet would miss them.
        let pressing = !self.keys.is_idle() && (self.counts.received > 0 || self.frames >= UNHEARD);
        self.frames = self.frames.saturating_add(1);
        if let (true, Some(payload_type)) = (pressing, session.agreed.events) {
            self.outbound.timestamp = self.outbound.timestamp.wrapping_add(units);
            if let Some(packet) = self.keys.next(units as u16) {
                if packet.begins {
                    self.outbound.key_timestamp = self.outbound.timestamp;
                }
                let timestamp = self.outbound.key_timestamp;
                self.send(payload_type, packet.begins, timestamp, &packet.payload);
            }
            if self.keys.is_idle() {
                self.keys_done.take().map(|done| done.send(()));
            }
            return;
        }
        // Without an agreed event format keys cannot be sent; nobody shall wait for them.
        if session.agreed.events.is_none() {
            self.keys_done.take().map(|done| done.send(()));
        }
        let Some(rate) = session.agreed.format.codec.sample_rate() else { return self.playing = None };
        let size = rate as usize / 50;
        let frame = match &mut self.playing {
            Some(playing) => {
                let rest = &playing.samples[playing.position.min(playing.samples.len())..];
                let mut frame = rest[..size.min(rest.len())].to_vec();
                frame.resize(size, 0);
                playing.position += size;
                if playing.position >= playing.samples.len() {
                    playing.done.take().map(|done| done.send(()));
                    self.playing = None;
                }
                frame
            }
            None if self.idle == Idle::Silence => vec![0; size],
            None => return,
        };
        let payload = session.transcoder.encode(&frame);
        let payload_type = session.agreed.format.payload_type;
        self.outbound.timestamp = self.outbound.timestamp.wrapping_add(units);
        let (marker, timestamp) = (std::mem::take(&mut self.outbound.marker), self.outbound.timestamp);
        self.send(payload_type, marker, timestamp, &payload);
    }

    fn pass_turn(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        turn.quiet = turn.quiet.map(|frames| frames + 1);
        if turn.quiet.is_some_and(|frames| frames >= PAUSE) {
            turn.done.take().map(|done| done.send(()));
            self.turn = None;
        }
    }

    fn send(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) {
        let Some(session) = &mut self.session else { return };
        let outbound = &mut self.outbound;
        outbound.sequence = outbound.sequence.wrapping_add(1);
        let packet = RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(payload_type)
            .marker_bit(marker)
            .sequence_number(outbound.sequence)
            .timestamp(timestamp)
            .ssrc(outbound.ssrc)
            .payload(payload)
            .write_vec();
        let Ok(packet) = packet else { return };
        let packet = match (&session.agreed.crypto, &mut session.srtp) {
            (None, _) => Some(packet),
            (Some(_), Some(srtp)) => srtp.protect_rtp(&packet),
            // Never in clear where encryption was agreed on.
            (Some(_), None) => None,
        };
        let Some(packet) = packet else { return };
        outbound.packets = outbound.packets.wrapping_add(1);
        outbound.octets = outbound.octets.wrapping_add(payload.len() as u32);
        let number = outbound.number;
        outbound.number += 1;
        let now = Instant::now();
        for delay in self.impairment.fate(number) {
            let mut due = now + delay;
            if self.impairment.keeps_order() {
                due = due.max(self.last_due);
            }
            self.last_due = due;
            self.delayed.push(Delayed(std::cmp::Reverse((due, number)), packet.clone()));
        }
        self.flush();
    }

    /// Sends what is due.
    fn flush(&mut self) {
        let Some(session) = &self.session else { return self.delayed.clear() };
        let now = Instant::now();
        while self.delayed.peek().is_some_and(|delayed| delayed.0.0.0 <= now) {
            let Some(Delayed(_, packet)) = self.delayed.pop() else { return };
            // A full socket loses the packet, as the network might.
            if self.ports.rtp.try_send_to(&packet, session.remote).is_ok() {
                self.counts.sent += 1;
            }
        }
    }

    fn report(&mut self) {
        let Some(session) = &mut self.session else { return };
        let Outbound { ssrc, timestamp, packets, octets, .. } = self.outbound;
        let sent = Sent { ssrc, timestamp, packets, octets };
        let Some(report) = rtcp::report(sent, &mut session.reception, SystemTime::now(), Instant::now())
        else {
            return;
        };
        let report = match (&session.agreed.crypto, &mut session.srtp) {
            (None, _) => Some(report),
            (Some(_), Some(srtp)) => srtp.protect_rtcp(&report),
            (Some(_), None) => None,
        };
        if let Some(report) = report {
            let _ = self.ports.rtcp.try_send_to(&report, session.agreed.rtcp);
        }
    }
}
