//! The sound of a call: one WebSocket, µ-law in both directions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::MissedTickBehavior;

use super::line::{Line, News};
use super::message::{self, Incoming, Media, Start};
use super::pace::{LOOK, Pace};
use super::taping::Taping;
use super::twiml;
use crate::audio::dtmf::Digit;
use crate::audio::{DuplexSink, FRAME_MS, ListenSink, PlayoutSource, Pulled, SampleRate};
use crate::call::MediaStats;

/// How long a new connection may take to show its token.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// How long a message may take to be handed to the network, before the connection counts as broken.
const SENDING: Duration = Duration::from_secs(5);
/// How long Twilio may take to confirm what should have been played by then.
const CONFIRMATION: Duration = Duration::from_secs(2);
/// Speech between two marks of ours, in frames: by them `played` goes on.
const MARK_EVERY: u64 = 10;
/// The longest gap in the callee's sound that is filled with silence.
const LONGEST_GAP_MS: u64 = 60_000;
/// Status codes of WebSocket closing (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;
const POLICY: u16 = 1008;

pub(super) const WIRE: SampleRate = SampleRate::Hz8000;

/// The provider's ends of a call's two queues.
#[derive(Debug)]
pub(super) struct Sound {
    source: PlayoutSource,
    sink: ListenSink,
    recorder: Option<DuplexSink>,
}

impl Sound {
    pub(super) fn new(mut source: PlayoutSource, mut sink: ListenSink, recorder: Option<DuplexSink>) -> Self {
        source.set_wire_rate(WIRE);
        source.await_confirmation();
        sink.set_wire_rate(WIRE);
        Self { source, sink, recorder }
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        let (_, source) = crate::audio::playout(WIRE, LOOK);
        let (_, sink) = crate::audio::listen(WIRE, LOOK);
        Self::new(source, sink, None)
    }
}

/// How a stream ended.
#[derive(Debug)]
pub(super) struct StreamEnd {
    pub(super) how: Ended,
    pub(super) stats: MediaStats,
}

/// What ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// We closed it.
    Closed,
    /// Twilio said that it is over.
    Stopped,
    /// The connection failed.
    Broken(String),
}

/// Serves a connection that came for a call.
pub(super) async fn serve(
    mut socket: WebSocket,
    line: Arc<Line>,
    account: String,
    stall_after: Option<Duration>,
) {
    let introduced = tokio::time::timeout(INTRODUCTION, introduction(&mut socket)).await;
    let start = match introduced {
        Ok(Some(start)) => start,
        Ok(None) => return refuse(socket, "it did not say what it is").await,
        Err(_) => return refuse(socket, "it did not say in time what it is").await,
    };
    if start.account_sid != account || !line.may_be(&start.call_sid) {
        return refuse(socket, "it is of another call").await;
    }
    let named = (1..=64).contains(&start.stream_sid.len())
        && start.stream_sid.bytes().all(|b| b.is_ascii_alphanumeric());
    if !named || !start.media_format.is_mu_law() {
        return refuse(socket, "its format is none that was agreed").await;
    }
    let shown = start.custom_parameters.get(twiml::TOKEN).map(String::as_str).unwrap_or_default();
    let Some(sound) = line.admit(shown) else {
        return refuse(socket, "its token is wrong, was used, or its call is over").await;
    };
    line.tell(News::StreamBegan);
    let mut stream = Stream::new(socket, Arc::clone(&line), start.stream_sid, sound, stall_after);
    let how = stream.run().await;
    let stats = stream.finish(&how).await;
    line.tell(News::StreamEnded(StreamEnd { how, stats }));
}

async fn refuse(socket: WebSocket, why: &'static str) {
    tracing::warn!(target: "outdial::twilio", why, "a media stream was refused");
    close(socket, POLICY).await;
}

async fn close(mut socket: WebSocket, code: u16) {
    let frame = CloseFrame { code, reason: "".into() };
    // The other end may be gone, which is what is wanted.
    let _ = tokio::time::timeout(SENDING, socket.send(Message::Close(Some(frame)))).await;
}

/// Waits for the start message.
async fn introduction(socket: &mut WebSocket) -> Option<Start> {
    loop {
        let Message::Text(text) = socket.recv().await?.ok()? else { continue };
        match serde_json::from_str(&text).ok()? {
            Incoming::Start { start } => return Some(start),
            Incoming::Connected {} | Incoming::Other => {}
            _ => return None,
        }
    }
}

/// A stream that has shown its token.
struct Stream {
    socket: WebSocket,
    line: Arc<Line>,
    stream_sid: String,
    sound: Sound,
    pace: Pace,
    taping: Option<Taping>,
    /// How often the application had cleared its speech when Twilio was last told.
    clears: u64,
    /// How far the last mark that was sent stands.
    marked: u64,
    /// How far the last mark that came back stands.
    confirmed: u64,
    /// When the next piece of the callee's sound begins, in milliseconds of the stream.
    expected_ms: Option<u64>,
    stall_after: Option<Duration>,
    heard_at: Instant,
    stalled: bool,
    stats: MediaStats,
}

impl Stream {
    fn new(
        socket: WebSocket,
        line: Arc<Line>,
        stream_sid: String,
        mut sound: Sound,
        stall_after: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        let taping = sound.recorder.take().map(|recorder| Taping::begin(recorder, now));
        Self {
            socket,
            line,
            stream_sid,
            clears: sound.source.clears(),
            sound,
            pace: Pace::new(now),
            taping,
            marked: 0,
            confirmed: 0,
            expected_ms: None,
            stall_after,
            heard_at: now,
            stalled: false,
            stats: MediaStats { codec: "PCMU/8000".to_owned(), ..MediaStats::default() },
        }
    }

    async fn run(&mut self) -> Ended {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let line = Arc::clone(&self.line);
        let mut closing = std::pin::pin!(line.closing());
        loop {
            let ended = tokio::select! {
                () = &mut closing => Some(Ended::Closed),
                _ = looks.tick() => self.speak(Instant::now()).await.err(),
                received = self.socket.recv() => match received {
                    Some(Ok(Message::Text(text))) => self.receive(&text),
                    Some(Ok(Message::Close(_))) | None => Some(Ended::Broken("Twilio closed the media stream".into())),
                    Some(Ok(_)) => None,
                    Some(Err(error)) => Some(Ended::Broken(format!("the media stream failed: {error}"))),
                },
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// Ends both queues and the connection. What it counted is final.
    async fn finish(self, how: &Ended) -> MediaStats {
        let Self { socket, sound, taping, mut stats, .. } = self;
        if let Some(taping) = taping {
            taping.finish(Instant::now());
        }
        let (played, heard) = (sound.source.stats(), sound.sink.stats());
        stats.underruns = played.underruns;
        stats.frames_dropped = heard.dropped;
        let expected = stats.packets_received + stats.packets_lost;
        if expected > 0 {
            stats.loss_received_percent = 100.0 * stats.packets_lost as f32 / expected as f32;
        }
        drop(sound);
        if !matches!(how, Ended::Broken(_)) {
            // In the background: a connection that hangs must not hold up the end of the call.
            tokio::spawn(close(socket, NORMAL));
        }
        stats
    }

    /// Sends what is due.
    async fn speak(&mut self, now: Instant) -> Result<(), Ended> {
        if let Some(taping) = &mut self.taping {
            taping.look(now);
        }
        let source = &mut self.sound.source;
        if source.clears() != self.clears {
            self.clears = source.clears();
            self.pace.cleared(now);
            if let Some(taping) = &mut self.taping {
                taping.cleared(now);
            }
            self.send(message::clear(&self.stream_sid)).await?;
        }
        let mut silent = false;
        let mut pcm = [0; WIRE.frame_len()];
        while self.pace.wants(now, self.sound.source.due()) {
            if self.sound.source.pull(&mut pcm) == Pulled::Silence {
                self.pace.silent(now);
                silent = true;
                break;
            }
            if let Some(taping) = &mut self.taping {
                taping.agent(self.pace.filled_till().max(now), &pcm);
            }
            self.pace.sent(now);
            let codes = pcm.map(encode_ulaw);
            self.stats.packets_sent += 1;
            self.stats.bytes_sent += codes.len() as u64;
            self.send(message::media(&self.stream_sid, &codes)).await?;
        }
        self.mark(now, silent).await?;
        self.watch(now);
        Ok(())
    }

    /// Asks Twilio to say when it has played what it was sent.
    async fn mark(&mut self, now: Instant, silent: bool) -> Result<(), Ended> {
        let source = &mut self.sound.source;
        let handed = source.handed();
        let frame = source.rate().frame_len() as u64;
        let due = source.awaits_confirmation() || silent || handed - self.marked >= MARK_EVERY * frame;
        if handed > self.marked && due {
            self.marked = handed;
            return self.send(message::mark(&self.stream_sid, handed)).await;
        }
        // Without this a mark that is lost would hold up whoever waits for it until the end of the call.
        if self.marked > self.confirmed && now > self.pace.filled_till() + CONFIRMATION {
            self.confirmed = self.marked;
            self.sound.source.confirm(self.confirmed);
        }
        Ok(())
    }

    fn watch(&mut self, now: Instant) {
        let Some(limit) = self.stall_after else { return };
        if !self.stalled && now >= self.heard_at + limit {
            self.stalled = true;
            self.line.tell(News::Stalled(true));
        }
    }

    /// Takes a message.
    fn receive(&mut self, text: &str) -> Option<Ended> {
        match serde_json::from_str(text) {
            Ok(Incoming::Media { media }) => self.hear(&media),
            Ok(Incoming::Dtmf { dtmf }) => {
                if let Ok(digit) = Digit::try_from(dtmf.digit) {
                    self.line.tell(News::Digit(digit));
                }
            }
            Ok(Incoming::Mark { mark }) => {
                if let Ok(position) = mark.name.parse::<u64>() {
                    self.confirmed = self.confirmed.max(position);
                    self.sound.source.confirm(position);
                }
            }
            Ok(Incoming::Stop {}) => return Some(Ended::Stopped),
            Ok(Incoming::Connected {} | Incoming::Start { .. } | Incoming::Other) => {}
            Err(error) => {
                tracing::debug!(target: "outdial::twilio", %error, "a message of a media stream was not understood");
            }
        }
        None
    }

    fn hear(&mut self, media: &Media) {
        let Some(codes) = media.codes().filter(|_| media.is_inbound()) else { return };
        self.heard_at = Instant::now();
        if std::mem::take(&mut self.stalled) {
            self.line.tell(News::Stalled(false));
        }
        self.stats.packets_received += 1;
        self.stats.bytes_received += codes.len() as u64;
        if let Some(timestamp) = media.timestamp() {
            self.fill_gap(timestamp);
            self.expected_ms = Some(timestamp + codes.len() as u64 / 8);
        }
        let samples: Vec<i16> = codes.into_iter().map(decode_ulaw).collect();
        if let Some(taping) = &mut self.taping {
            taping.callee(self.heard_at, media.timestamp(), &samples);
        }
        self.sound.sink.push(&samples, false);
    }

    /// Twilio drops sound when we are too slow: positions in the stream stay those of the wire's clock.
    fn fill_gap(&mut self, timestamp: u64) {
        let Some(expected) = self.expected_ms else { return };
        let gap = timestamp.saturating_sub(expected).min(LONGEST_GAP_MS);
        let frames = gap / u64::from(FRAME_MS);
        self.stats.packets_lost += frames;
        for _ in 0..frames {
            self.sound.sink.push(&[0; WIRE.frame_len()], false);
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Ended> {
        match tokio::time::timeout(SENDING, self.socket.send(Message::Text(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Ended::Broken(format!("the media stream failed: {error}"))),
            Err(_) => Err(Ended::Broken("Twilio takes no more sound".to_owned())),
        }
    }
}
