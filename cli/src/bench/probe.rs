//! How long sound takes, and how soon it stops, in calls that do nothing else.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use outdial::audio::{Listener, Speaker};
use tokio::time::{sleep, timeout};

use super::rig::{micros, sound};

/// Pulses, and clears, of each call.
const TIMES: usize = 12;
/// What is louder is the probe's sound, and no silence.
const LOUD: u16 = 500;
/// Silence for so long means that everything has come back.
const QUIET: Duration = Duration::from_millis(150);
/// A pulse that did not come back by then is lost.
const LOST: Duration = Duration::from_secs(2);

/// What probing a call found, in microseconds.
#[derive(Default)]
pub(super) struct Found {
    /// From the speaker's taking a pulse to its being heard.
    pub(super) round_trips: Vec<u32>,
    /// From `clear()` to the last packet with old sound: when it was last heard, less the call's shortest round trip.
    pub(super) clears: Vec<u32>,
    pub(super) lost: usize,
}

/// Probes an echoing call.
pub(super) async fn probe(speaker: Speaker, mut listener: Listener) -> Result<Found> {
    let mut found = Found::default();
    let pulse = sound(speaker.rate(), Duration::from_millis(20));
    let speech = sound(speaker.rate(), Duration::from_millis(400));
    silence(&mut listener).await?;
    for _ in 0..TIMES {
        // Not in step with the clock.
        sleep(Duration::from_micros(rand::random_range(0..20_000))).await;
        let spoken = Instant::now();
        speaker.try_send(&pulse)?;
        speaker.end_utterance();
        match timeout(LOST, loud(&mut listener)).await {
            Ok(heard) => found.round_trips.push(micros(heard? - spoken)),
            Err(_) => found.lost += 1,
        }
        silence(&mut listener).await?;
    }
    let Some(shortest) = found.round_trips.iter().min().copied() else { return Ok(found) };
    for _ in 0..TIMES {
        speaker.try_send(&speech)?;
        if timeout(LOST, loud(&mut listener)).await.is_err() {
            found.lost += 1;
            continue;
        }
        sleep(Duration::from_micros(rand::random_range(0..60_000))).await;
        let cleared = Instant::now();
        speaker.clear();
        let last = silence(&mut listener).await?.context("the speech was heard before it was cleared")?;
        found.clears.push(micros(last - cleared).saturating_sub(shortest));
    }
    Ok(found)
}

fn is_loud(samples: &[i16]) -> bool {
    samples.iter().any(|sample| sample.unsigned_abs() > LOUD)
}

/// When the next loud frame came.
async fn loud(listener: &mut Listener) -> Result<Instant> {
    loop {
        let frame = listener.recv().await.context("the call ended")?;
        if is_loud(frame.samples()) {
            return Ok(Instant::now());
        }
    }
}

/// Waits for silence; when the last loud frame before it came.
async fn silence(listener: &mut Listener) -> Result<Option<Instant>> {
    let (mut last, mut quiet) = (None, Duration::ZERO);
    while quiet < QUIET {
        let frame = listener.recv().await.context("the call ended")?;
        if is_loud(frame.samples()) {
            (last, quiet) = (Some(Instant::now()), Duration::ZERO);
        } else {
            quiet += Duration::from_millis(20);
        }
    }
    Ok(last)
}
