//! Our end of the calls: an endpoint with one trunk to the callee.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use outdial::audio::{SampleRate, Speaker};
use outdial::call::Call;
use outdial::provider::{DialProvider as _, DialRequest};
use outdial::{AgentId, Config, E164, Endpoint};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::codec::Codec;

/// Calls that are set up at the same time.
const TOGETHER: usize = 40;

/// An endpoint with room for `calls`, whose only trunk leads to `callee`.
pub(super) async fn endpoint(callee: SocketAddr, codec: Codec, srtp: bool, calls: u32) -> Result<Endpoint> {
    let srtp = if srtp { "srtp = \"required\"\nallow_sdes_without_tls = true" } else { "" };
    let config = Config::parse(&format!(
        "[endpoint]\nbind = \"127.0.0.1\"\nmax_calls = {calls}\n\
         [trunks.bench]\nserver = \"{callee}\"\ntransport = \"udp\"\ncodecs = [\"{}\"]\n{srtp}\n",
        codec.name(),
    ))?;
    Ok(Endpoint::start(&config).await?)
}

/// A request for the one callee.
pub(super) fn request(rate: SampleRate) -> Result<DialRequest> {
    let number = E164::parse("+12025550100")?;
    Ok(DialRequest::new(AgentId::new("bench")?, number).audio_rate(rate))
}

/// One set-up.
pub(super) struct SetUp {
    pub(super) call: Call,
    /// From the dial to its INVITE.
    pub(super) invite: Duration,
    /// From the dial to the answer.
    pub(super) answer: Duration,
}

/// Dials once and waits for the answer.
pub(super) async fn set_up(endpoint: &Endpoint, request: DialRequest) -> Result<SetUp> {
    let began = Instant::now();
    let call = endpoint.dial_with(request).await?;
    let invite = began.elapsed();
    call.answered().await.map_err(|end| anyhow::anyhow!("{}", end.reason))?;
    Ok(SetUp { call, invite, answer: began.elapsed() })
}

/// What came of many dials.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) made: Vec<SetUp>,
    pub(super) failed: usize,
    /// From the first dial to the last answer.
    pub(super) took: Duration,
}

/// Sets up `count` calls as fast as they go.
pub(super) async fn set_up_all(endpoint: &Endpoint, count: usize, request: &DialRequest) -> Outcome {
    let turns = Arc::new(Semaphore::new(TOGETHER));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (endpoint, request, turns) = (endpoint.clone(), request.clone(), Arc::clone(&turns));
        tasks.spawn(async move {
            let _turn = turns.acquire_owned().await.context("the turns end")?;
            set_up(&endpoint, request).await
        });
    }
    let mut outcome = Outcome::default();
    while let Some(task) = tasks.join_next().await {
        outcome.add(task.map_err(anyhow::Error::from).and_then(|result| result));
    }
    outcome.took = began.elapsed();
    outcome
}

impl Outcome {
    pub(super) fn add(&mut self, result: Result<SetUp>) {
        match result {
            Ok(set_up) => self.made.push(set_up),
            Err(error) => {
                tracing::warn!("a call failed: {error:#}");
                self.failed += 1;
            }
        }
    }
}

/// Something that is neither silent nor periodic, as loud as speech.
pub(super) fn sound(rate: SampleRate, length: Duration) -> Vec<i16> {
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 18) as i16 - 8_192
    });
    noise.take(rate.samples_in(length)).collect()
}

/// Speaks until the call, or the task, ends.
pub(super) async fn speak(speaker: Speaker, sound: Arc<[i16]>) {
    while speaker.send(&sound).await.is_ok() {}
}

/// Microseconds, for a spread.
pub(super) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
