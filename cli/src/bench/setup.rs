//! `outdial bench setup`: how many calls can be set up in a second, and how long each takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use outdial::audio::SampleRate;
use outdial::provider::DialRequest;
use outdial::{Endpoint, Shutdown};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::codec::Codec;
use super::peer::Peer;
use super::reflector::Impairment;
use super::resources::{Used, permit_many_sockets, resident_kb};
use super::rig;
use super::spread::Spread;
use super::talk::Talk;
use crate::exit::{Exit, Failure};

/// Dial at a steady rate, hang up at the answer, and tell how long that took
#[derive(Debug, Args)]
pub(super) struct SetupCommand {
    /// So many dials a second; 0 for as many as go
    #[arg(long, value_name = "R", default_value_t = 0)]
    rate: u32,
    /// For so long
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// So many dials, however long they take
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    calls: Option<usize>,
    /// Room for so many calls at the same time, beside those that talk
    #[arg(long, value_name = "N", default_value_t = ROOM)]
    room: usize,
    /// While so many other calls talk
    #[arg(long, value_name = "N", default_value_t = 0)]
    talking: usize,
    /// Encrypt the sound
    #[arg(long)]
    srtp: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Room for those being set up, and those that say goodbye.
const ROOM: usize = 1000;
/// Dials in flight where no rate is given.
const TOGETHER: usize = 40;

impl SetupCommand {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        permit_many_sockets()?;
        let peer = Peer::start(Codec::Pcmu, Impairment::default())?;
        let room = u32::try_from(self.talking + self.room).context("--room and --talking")?;
        let endpoint = rig::endpoint(peer.ready().sip, Codec::Pcmu, self.srtp, room).await?;
        let rss_start_kb = resident_kb()?;
        let request = rig::request(SampleRate::Hz16000)?;
        let talking = rig::set_up_all(&endpoint, self.talking, &request).await;
        let calls = talking.made.into_iter().map(|set_up| set_up.call).collect();
        let sound = rig::sound(SampleRate::Hz16000, Duration::from_millis(200));
        let talk = Talk::begin(calls, sound.into());
        let before = Used::now()?;
        let outcome = self.dial(&endpoint, &request).await?;
        let cpu = Used::now()?.cpu - before.cpu;
        drop(talk);
        endpoint.shutdown(Shutdown::HangUp).await;

        let made = outcome.made.len();
        let failed = outcome.failed + talking.failed;
        let invite = Spread::of(outcome.made.iter().map(|times| times.0).collect());
        let answer = Spread::of(outcome.made.iter().map(|times| times.1).collect());
        let per_second = made as f64 / outcome.took.as_secs_f64();
        // With other calls talking, the time is theirs too.
        let cpu = (self.talking == 0).then(|| cpu.as_secs_f64() * 1e6 / made.max(1) as f64);
        if self.json {
            println!(
                "{}",
                json!({
                    "rate": self.rate, "seconds": self.seconds, "talking": self.talking, "srtp": self.srtp,
                    "setups_per_second": per_second, "setup_ms": answer, "invite_ms": invite,
                    "cpu_us_per_setup": cpu, "failed": failed,
                    "rss_start_kb": rss_start_kb, "rss_kb_after_calls": outcome.memory,
                })
            );
        } else {
            let text =
                |spread: Option<Spread>| spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string());
            println!("set-ups         {made}, {per_second:.0} a second, {failed} failed");
            println!("dial to INVITE  {}", text(invite));
            println!("dial to answer  {}", text(answer));
            if let Some(cpu) = cpu {
                println!("CPU             {cpu:.0} µs per set-up, hang-up included");
            }
            println!("memory          {rss_start_kb} KB before the first call");
            for (calls, kb) in &outcome.memory {
                println!("                {kb} KB after {calls} calls");
            }
        }
        Ok(if failed == 0 { Exit::Completed } else { Exit::Failed })
    }
}

/// What came of the dials.
#[derive(Default)]
struct Outcome {
    /// Of those that were answered, microseconds from the dial to its INVITE and to its answer.
    made: Vec<(u32, u32)>,
    failed: usize,
    took: Duration,
    /// Resident memory in KB after so many calls.
    memory: BTreeMap<usize, u64>,
}

impl Outcome {
    fn add(&mut self, result: Result<(Duration, Duration)>) -> Result<()> {
        match result {
            Ok((invite, answer)) => self.made.push((rig::micros(invite), rig::micros(answer))),
            Err(error) => {
                tracing::warn!("a call failed: {error:#}");
                self.failed += 1;
            }
        }
        if self.made.len().is_multiple_of(MEMORY_EVERY) {
            self.memory.insert(self.made.len(), resident_kb()?);
        }
        Ok(())
    }
}

/// How often memory is looked at, in calls.
const MEMORY_EVERY: usize = 10_000;

impl SetupCommand {
    async fn dial(&self, endpoint: &Endpoint, request: &DialRequest) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut tasks = JoinSet::new();
        let dial = || dial_and_hang_up(endpoint.clone(), request.clone());
        let began = Instant::now();
        let window = Duration::from_secs(self.seconds);
        let mut begun = 0;
        let mut goes_on = || {
            begun += 1;
            self.calls.map_or(began.elapsed() < window, |calls| begun <= calls)
        };
        if self.rate == 0 {
            while tasks.len() < TOGETHER && goes_on() {
                tasks.spawn(dial());
            }
            while let Some(task) = tasks.join_next().await {
                outcome.add(task?)?;
                if goes_on() {
                    tasks.spawn(dial());
                }
            }
        } else {
            // A tick that comes late is made up for: the rate is that of an impatient world.
            let mut ticks = interval(Duration::from_secs(1) / self.rate);
            while goes_on() {
                ticks.tick().await;
                tasks.spawn(dial());
                while let Some(task) = tasks.try_join_next() {
                    outcome.add(task?)?;
                }
            }
            for result in tasks.join_all().await {
                outcome.add(result)?;
            }
        }
        outcome.took = began.elapsed();
        Ok(outcome)
    }
}

async fn dial_and_hang_up(endpoint: Endpoint, request: DialRequest) -> Result<(Duration, Duration)> {
    let set_up = rig::set_up(&endpoint, request).await?;
    set_up.call.hangup().await;
    Ok((set_up.invite, set_up.answer))
}
