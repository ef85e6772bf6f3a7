//! `outdial bench capacity`: what so many calls cost at once.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use outdial::Shutdown;
use outdial::audio::SampleRate;
use serde::Serialize;

use super::codec::Codec;
use super::floor;
use super::peer::Peer;
use super::reflector::Impairment;
use super::resources::{Used, permit_many_sockets, resident_kb};
use super::rig;
use super::spread::Spread;
use super::talk::{Phase, Talk, hang_up_all};
use crate::exit::{Exit, Failure};

/// Place many calls, speak and listen in all of them, and tell what each cost and how evenly it ran
#[derive(Debug, Args)]
pub(super) struct CapacityCommand {
    /// So many calls at the same time
    #[arg(long, value_name = "N", default_value_t = 500)]
    calls: usize,
    #[arg(long, value_enum, default_value = "pcmu")]
    codec: Codec,
    /// Encrypt the sound (AES-GCM with 256 bits)
    #[arg(long)]
    srtp: bool,
    /// The rate at which the application speaks and listens
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    rate: u32,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    impairment: Impairment,
}

/// What was measured. Times of processors in µs of CPU per second of one call.
#[derive(Debug, Serialize)]
struct Report {
    calls: usize,
    codec: &'static str,
    srtp: bool,
    application_hz: u32,
    seconds: u64,
    cpu_us_per_call_second: f64,
    floor_us_per_call_second: f64,
    ratio_to_floor: f64,
    /// Of each thread, by name.
    threads_us_per_call_second: BTreeMap<String, f64>,
    /// Memory of the process before the first call.
    rss_start_kb: u64,
    rss_kb_per_call: f64,
    wire_interval_ms: Option<Spread>,
    app_interval_ms: Option<Spread>,
    echo_round_trip_ms: Option<Spread>,
    clear_ms: Option<Spread>,
    setup_ms: Option<Spread>,
    setups_per_second: f64,
    /// RTP packets, over whole calls.
    lost: u64,
    /// Turns of the media clock that came more than a packet late.
    late: u64,
    underruns: u64,
    /// Frames that the application did not take in time.
    dropped: u64,
    failed: usize,
    /// Pulses that did not come back.
    pulses_lost: usize,
    jitter_mean_ms: f64,
    /// Of what came in, by the E-model.
    mos_mean: Option<f64>,
}

impl CapacityCommand {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let report = self.measure().await?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{report}");
        }
        Ok(if report.failed == 0 { Exit::Completed } else { Exit::Failed })
    }

    async fn measure(&self) -> Result<Report> {
        permit_many_sockets()?;
        let rate = SampleRate::try_from(self.rate).context("--rate")?;
        let window = Duration::from_secs(self.seconds);
        let floor = {
            let peer = Peer::start(self.codec, Impairment::default())?;
            floor::measure(peer.ready().rtp, self.calls, self.codec.packet(self.srtp), window)?
        };
        let mut peer = Peer::start(self.codec, self.impairment)?;
        let room = u32::try_from(self.calls).context("--calls")?;
        let endpoint = rig::endpoint(peer.ready().sip, self.codec, self.srtp, room).await?;
        let rss_start_kb = resident_kb()?;
        let outcome = rig::set_up_all(&endpoint, self.calls, &rig::request(rate)?).await;
        let setups_per_second = outcome.made.len() as f64 / outcome.took.as_secs_f64();
        let setup_ms = Spread::of(outcome.made.iter().map(|set_up| rig::micros(set_up.answer)).collect());
        let calls = outcome.made.into_iter().map(|set_up| set_up.call).collect();
        let talk = Talk::begin(calls, rig::sound(rate, PIECE).into());

        // Jitter buffers find their length, queues fill.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let rss_kb = resident_kb()?;
        peer.reset()?;
        let late_before = endpoint.stats().late_frames;
        talk.enter(Phase::Measuring);
        let before = Used::now()?;
        tokio::time::sleep(window).await;
        let after = Used::now()?;
        talk.enter(Phase::Talking);
        let wire = peer.report()?;
        // The endpoint's counters are up to a second old.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let late = endpoint.stats().late_frames - late_before;

        let heard = talk.finish().await?;
        let ends = hang_up_all(heard.calls).await;
        endpoint.shutdown(Shutdown::HangUp).await;
        let call_seconds = self.calls as f64 * window.as_secs_f64();
        let per_call_second = |time: Duration| time.as_secs_f64() * 1e6 / call_seconds;
        let cpu = per_call_second(after.cpu - before.cpu);
        let threads = after.threads_since(&before).into_iter();
        let media = ends.iter().filter_map(|end| end.media.as_ref()).collect::<Vec<_>>();
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let scores: Vec<f64> = media.iter().filter_map(|media| media.mos.map(f64::from)).collect();
        Ok(Report {
            calls: self.calls,
            codec: self.codec.name(),
            srtp: self.srtp,
            application_hz: self.rate,
            seconds: self.seconds,
            cpu_us_per_call_second: cpu,
            floor_us_per_call_second: floor,
            ratio_to_floor: cpu / floor,
            threads_us_per_call_second: threads.map(|(name, time)| (name, per_call_second(time))).collect(),
            rss_start_kb,
            rss_kb_per_call: rss_kb.saturating_sub(rss_start_kb) as f64 / self.calls as f64,
            wire_interval_ms: wire.interval_ms,
            app_interval_ms: Spread::of(heard.intervals),
            echo_round_trip_ms: Spread::of(heard.found.round_trips),
            clear_ms: Spread::of(heard.found.clears),
            setup_ms,
            setups_per_second,
            lost: media.iter().map(|media| media.packets_lost).sum(),
            late,
            underruns: heard.underruns,
            dropped: heard.dropped,
            failed: outcome.failed + (self.calls - outcome.failed - ends.len()),
            pulses_lost: heard.found.lost,
            jitter_mean_ms: mean(media.iter().map(|media| f64::from(media.jitter_mean_ms)).collect()),
            mos_mean: (!scores.is_empty()).then(|| mean(scores)),
        })
    }
}

/// What an application hands over at once: as speech comes from a synthesizer.
const PIECE: Duration = Duration::from_millis(200);

fn print_threads(f: &mut fmt::Formatter<'_>, threads: &BTreeMap<String, f64>) -> fmt::Result {
    for (name, time) in threads.iter().filter(|(_, time)| **time >= 0.5) {
        writeln!(f, "  {name:<20} {time:.0}")?;
    }
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let srtp = if self.srtp { " with SRTP" } else { "" };
        let spread =
            |spread: &Option<Spread>| spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string());
        writeln!(
            f,
            "{} calls, {}{srtp}, application at {} Hz, {} s",
            self.calls, self.codec, self.application_hz, self.seconds
        )?;
        writeln!(
            f,
            "CPU        {:.0} µs per call-second, {:.2} times the bare system calls ({:.0})",
            self.cpu_us_per_call_second, self.ratio_to_floor, self.floor_us_per_call_second
        )?;
        print_threads(f, &self.threads_us_per_call_second)?;
        writeln!(f, "memory     {:.0} KB per call, {} KB before", self.rss_kb_per_call, self.rss_start_kb)?;
        writeln!(f, "wire       {}", spread(&self.wire_interval_ms))?;
        writeln!(f, "app        {}", spread(&self.app_interval_ms))?;
        writeln!(f, "echo       {}", spread(&self.echo_round_trip_ms))?;
        writeln!(f, "clear      {}", spread(&self.clear_ms))?;
        writeln!(f, "set-up     {}; {:.0} a second", spread(&self.setup_ms), self.setups_per_second)?;
        writeln!(
            f,
            "frames     {} lost, {} late, {} underruns, {} dropped; {} calls failed, {} pulses lost",
            self.lost, self.late, self.underruns, self.dropped, self.failed, self.pulses_lost
        )?;
        let mos = self.mos_mean.map_or_else(|| "-".to_owned(), |mos| format!("{mos:.2}"));
        writeln!(f, "jitter     {:.2} ms; MOS {mos}", self.jitter_mean_ms)
    }
}
