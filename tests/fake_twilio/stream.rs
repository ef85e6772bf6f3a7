//! Media Streams, from Twilio's side: a WebSocket to the provider under test.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::callee::{Behaviour, Callee, sign};
use super::{ACCOUNT, State, voice};

/// Codes of 20 ms.
const FRAME: usize = 160;
const SILENCE: u8 = 0xff;

/// What the callee says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sound {
    Echo,
    Silence,
    Tone,
    /// Silence for a second, then a sentence in a human-like voice, then silence.
    Voice,
    /// Silence for a second, then nothing at all.
    Stops,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// The call was hung up, by its callee or by request.
    Hung,
    /// The server closed it.
    ByServer,
    /// The connection broke.
    Broken,
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// What waits to be played: codes, and marks between them.
enum Queued {
    Code(u8),
    Mark(String),
}

struct Player {
    state: Arc<State>,
    sid: String,
    stream_sid: String,
    socket: Socket,
    queue: VecDeque<Queued>,
    sequence: u64,
    chunk: u64,
}

/// Runs the stream of a call until it is over.
pub(super) async fn run(callee: &mut Callee, sound: Sound, behaviour: Behaviour) -> Closing {
    let Some(mut player) = Player::connect(&callee.state, &callee.sid, &callee.stream_url).await else {
        return Closing::Broken;
    };
    player.introduce(&callee.sid, &callee.token).await;
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    // Twilio's own clock does not wait for this machine's.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let voice = if sound == Sound::Voice { voice::sentence().await } else { Vec::new() };
    let mut frames = 0_u64;
    loop {
        tokio::select! {
            biased;
            _ = callee.hang_up.recv() => return player.stop().await,
            received = player.socket.next() => match received {
                Some(Ok(Message::Text(text))) => player.receive(&text).await,
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| frame.code.into());
                    player.state.update(&player.sid, |call| call.streams.push(code));
                    return Closing::ByServer;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => player.state.violation(format!("a stream got {other:?}")),
                Some(Err(_)) | None => {
                    player.state.update(&player.sid, |call| call.streams.push(None));
                    return Closing::ByServer;
                }
            },
            _ = clock.tick() => {
                frames += 1;
                let played = player.play().await;
                match sound {
                    Sound::Stops if frames > 50 => {}
                    Sound::Echo => player.say(&played).await,
                    Sound::Silence | Sound::Stops => player.say(&[SILENCE; FRAME]).await,
                    Sound::Tone => player.say(&tone(frames)).await,
                    Sound::Voice => {
                        let at = (frames as usize).checked_sub(50).map(|frame| frame * FRAME);
                        let codes = at.and_then(|at| voice.get(at..at + FRAME)).unwrap_or(&[SILENCE; FRAME]);
                        player.say(codes).await;
                    }
                }
                match behaviour {
                    Behaviour::HangsUp if frames == 100 => return player.stop().await,
                    Behaviour::LosesLastCallback if frames == 25 => return player.stop().await,
                    Behaviour::StreamBreaks if frames == 25 => return Closing::Broken,
                    Behaviour::SendsDigits if frames == 25 => player.press("1234#").await,
                    Behaviour::Rubbish if frames.is_multiple_of(5) => player.rubbish(frames).await,
                    _ => {}
                }
            }
        }
    }
}

/// Somebody else connects, and must be turned away.
pub(super) async fn stranger(state: &Arc<State>, call: &str, url: &str, sid: &str, token: &str) {
    let Some(mut player) = Player::connect(state, call, url).await else { return };
    player.introduce(sid, token).await;
    let mut closed = None;
    while let Some(Ok(message)) = player.socket.next().await {
        match message {
            Message::Close(frame) => closed = frame.map(|frame| u16::from(frame.code)),
            other => state.violation(format!("a stranger was told {other:?}")),
        }
    }
    if closed != Some(1008) {
        state.violation(format!("a stranger's stream was closed with {closed:?}"));
    }
    state.update(call, |call| call.streams.push(closed));
}

/// Somebody connects who is not Twilio, by the signature: the connection must not come to be.
pub(super) async fn unsigned(state: &Arc<State>, call: &str, url: &str, secret: &str) {
    match tokio_tungstenite::connect_async(signed(url, secret)).await {
        Err(Error::Http(answer)) if answer.status() == 403 => {}
        other => state.violation(format!("a stream signed with {secret:?}: {other:?}")),
    }
    state.update(call, |call| call.streams.push(Some(403)));
}

/// The request that opens a stream, signed if there is something to sign with.
fn signed(url: &str, token: &str) -> Request {
    let mut request = url.into_client_request().expect("an address");
    if !token.is_empty() {
        let signature = sign(token, url, &[]).parse().expect("base64");
        request.headers_mut().insert("x-twilio-signature", signature);
    }
    request
}

impl Player {
    async fn connect(state: &Arc<State>, sid: &str, url: &str) -> Option<Self> {
        let token = state.lock().token.clone();
        match tokio_tungstenite::connect_async(signed(url, &token)).await {
            Ok((socket, _)) => Some(Self {
                state: Arc::clone(state),
                sid: sid.to_owned(),
                stream_sid: format!("MZ{:032x}", rand::random::<u128>()),
                socket,
                queue: VecDeque::new(),
                sequence: 1,
                chunk: 1,
            }),
            Err(_) => {
                // The provider under test was shut down, or knows no such call.
                state.update(sid, |call| call.streams.push(None));
                None
            }
        }
    }

    async fn introduce(&mut self, call: &str, token: &str) {
        self.text(json!({"event": "connected", "protocol": "Call", "version": "1.0.0"})).await;
        let mut parameters = serde_json::Map::new();
        if !token.is_empty() {
            parameters.insert("token".to_owned(), token.into());
        }
        let start = json!({
            "accountSid": ACCOUNT, "streamSid": self.stream_sid, "callSid": call, "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        });
        self.event("start", start).await;
    }

    /// Plays 20 ms. Where there is nothing to play the callee hears silence.
    async fn play(&mut self) -> [u8; FRAME] {
        let mut frame = [SILENCE; FRAME];
        let (mut heard, mut at) = (Vec::new(), 0);
        while at < FRAME {
            match self.queue.pop_front() {
                Some(Queued::Code(code)) => {
                    frame[at] = code;
                    heard.push(code);
                    at += 1;
                }
                Some(Queued::Mark(name)) => self.mark(name).await,
                None => break,
            }
        }
        // A mark right behind what was played has been reached.
        while matches!(self.queue.front(), Some(Queued::Mark(_))) {
            if let Some(Queued::Mark(name)) = self.queue.pop_front() {
                self.mark(name).await;
            }
        }
        if !heard.is_empty() {
            self.state.update(&self.sid, |call| call.heard.extend(heard));
        }
        frame
    }

    async fn mark(&mut self, name: String) {
        self.state.update(&self.sid, |call| call.marks += 1);
        self.event("mark", json!({"name": name})).await;
    }

    async fn say(&mut self, codes: &[u8]) {
        let timestamp = (self.chunk - 1) * 20;
        let media = json!({
            "track": "inbound", "chunk": self.chunk.to_string(), "timestamp": timestamp.to_string(),
            "payload": STANDARD.encode(codes),
        });
        self.chunk += 1;
        self.event("media", media).await;
    }

    async fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.event("dtmf", json!({"track": "inbound_track", "digit": key.to_string()})).await;
        }
    }

    async fn rubbish(&mut self, frames: u64) {
        let texts = [
            "",
            "{",
            "[]",
            "null",
            "{\"event\":7}",
            "{\"event\":\"media\",\"media\":{\"payload\":\"***\"}}",
            "{\"event\":\"weather\",\"weather\":{}}",
            "{\"event\":\"dtmf\",\"dtmf\":{\"digit\":\"xyz\"}}",
            "{\"event\":\"mark\",\"mark\":{\"name\":\"not ours\"}}",
            "{\"event\":\"mark\",\"mark\":{\"name\":\"99999999999999\"}}",
        ];
        let text = texts[(frames / 5) as usize % texts.len()];
        let _ = self.socket.send(Message::Text(text.into())).await;
        let _ = self.socket.send(Message::Binary(vec![0, 1, 2].into())).await;
    }

    async fn stop(mut self) -> Closing {
        self.event("stop", json!({"accountSid": ACCOUNT, "callSid": self.sid})).await;
        let _ = self.socket.close(None).await;
        Closing::Hung
    }

    async fn receive(&mut self, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else {
            return self.state.violation(format!("a stream got {text:?}"));
        };
        let event = message["event"].as_str().unwrap_or_default();
        if message["streamSid"] != self.stream_sid.as_str() {
            self.state.violation(format!("{event} for another stream"));
        }
        match event {
            "media" => match STANDARD.decode(message["media"]["payload"].as_str().unwrap_or_default()) {
                Ok(codes) if !codes.is_empty() => {
                    self.queue.extend(codes.into_iter().map(Queued::Code));
                    let deep = self.depth() / 8;
                    self.state.update(&self.sid, |call| call.deepest_ms = call.deepest_ms.max(deep));
                }
                _ => self.state.violation("media without sound"),
            },
            "mark" => match message["mark"]["name"].as_str() {
                // Nothing before it: it is reached at once.
                Some(name) if self.queue.is_empty() => self.mark(name.to_owned()).await,
                Some(name) => self.queue.push_back(Queued::Mark(name.to_owned())),
                None => self.state.violation("a mark without a name"),
            },
            "clear" => {
                let thrown = self.depth() / 8;
                self.state.update(&self.sid, |call| {
                    call.clears += 1;
                    call.thrown_away_ms += thrown;
                });
                // The marks of what is thrown away come back at once.
                for queued in std::mem::take(&mut self.queue) {
                    if let Queued::Mark(name) = queued {
                        self.mark(name).await;
                    }
                }
            }
            other => self.state.violation(format!("a stream got the event {other:?}")),
        }
    }

    fn depth(&self) -> usize {
        self.queue.iter().filter(|queued| matches!(queued, Queued::Code(_))).count()
    }

    async fn event(&mut self, event: &str, content: Value) {
        let mut message = json!({
            "event": event, "sequenceNumber": self.sequence.to_string(), "streamSid": self.stream_sid,
        });
        message[event] = content;
        self.sequence += 1;
        self.text(message).await;
    }

    async fn text(&mut self, message: Value) {
        // The other side may be gone, which the next read tells.
        let _ = self.socket.send(Message::Text(message.to_string().into())).await;
    }
}

/// 1004 Hz, the `frame`th 20 ms of it.
fn tone(frame: u64) -> Vec<u8> {
    let from = frame * FRAME as u64;
    (from..from + FRAME as u64)
        .map(|n| {
            let sample = 8_000.0 * (TAU * 1_004.0 * n as f64 / 8_000.0).sin();
            audio_codec_algorithms::encode_ulaw(sample as i16)
        })
        .collect()
}
