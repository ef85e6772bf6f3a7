//! A line: one call after the other, of all kinds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outdial::audio::SampleRate;
use outdial::call::{Audio, Call};
use outdial::provider::{AgentId, DialError, DialRequest, E164};
use outdial::{DialProvider as _, Outdial};
use rand::Rng as _;
use tokio::sync::mpsc::UnboundedSender;

/// After a hang-up, or the last thing that a number does, a call that has not ended is left over.
const BOUND: Duration = Duration::from_secs(60);

/// What a caller does with a number.
#[derive(Clone, Copy)]
enum Manner {
    /// Waits for whatever happens.
    Wait,
    /// Talks for a while and hangs up.
    Talk,
    /// Presses a key, which ends the call.
    Press,
    /// Holds and takes back, then hangs up.
    Hold,
    /// Gives up while it rings.
    GiveUp,
    /// Drops the handle.
    Drop,
}

/// Numbers of the sandbox that ring at most once each.
const NUMBERS: &[(&str, Manner)] = &[
    ("+12025550116", Manner::Talk),
    ("+12025550100", Manner::Talk),
    ("+12025550116", Manner::Hold),
    ("+12025550116", Manner::Drop),
    ("+12025550185", Manner::Talk),
    ("+12025550186", Manner::Talk),
    ("+12025550187", Manner::Talk),
    ("+12025550188", Manner::Talk),
    ("+12025550110", Manner::Talk),
    ("+12025550168", Manner::Talk),
    ("+12025550192", Manner::Talk),
    ("+12025550111", Manner::Talk),
    ("+12025550178", Manner::Talk),
    ("+12025550183", Manner::Talk),
    ("+12025550107", Manner::Press),
    ("+12025550103", Manner::GiveUp),
    ("+12025550177", Manner::GiveUp),
    ("+12025550102", Manner::Wait),
    ("+12025550104", Manner::Wait),
    ("+12025550109", Manner::Wait),
    ("+12025550112", Manner::Wait),
    ("+12025550123", Manner::Wait),
    ("+12025550180", Manner::Wait),
    ("+12025550196", Manner::Wait),
];

/// Numbers of `tests/asterisk/extensions.conf`.
const ASTERISK: &[(&str, Manner)] = &[
    ("+12025550100", Manner::Talk),
    ("+12025550100", Manner::Hold),
    ("+12025550100", Manner::Drop),
    ("+12025550102", Manner::Wait),
    ("+12025550103", Manner::GiveUp),
    ("+12025550109", Manner::Wait),
    ("+12025550112", Manner::Wait),
    ("+12025550122", Manner::Wait),
];

/// The trunk of the configuration that leads to Asterisk.
pub(crate) const ASTERISK_TRUNK: &str = "asterisk";

/// What came of a call.
pub(crate) enum Outcome {
    /// There was none, by the kind of the error.
    NotMade(String),
    /// It ended, by its reason.
    Ended(String),
    /// It did not.
    LeftOver(String),
}

/// Calls until it is told to stop.
pub(crate) async fn serve(
    outdial: Outdial,
    trunks: Arc<[String]>,
    stop: Arc<AtomicBool>,
    told: UnboundedSender<Outcome>,
) {
    while !stop.load(Ordering::Relaxed) {
        let (trunk, number, manner) = choose(&trunks);
        // Nobody reads any more when the soak is given up.
        let _ = told.send(one(&outdial, trunk, number, manner).await);
        tokio::time::sleep(pause(50, 500)).await;
    }
}

fn choose(trunks: &[String]) -> (&str, &'static str, Manner) {
    let mut rng = rand::rng();
    let trunk = &trunks[rng.random_range(0..trunks.len())];
    let numbers = if trunk == ASTERISK_TRUNK { ASTERISK } else { NUMBERS };
    let (number, manner) = numbers[rng.random_range(0..numbers.len())];
    (trunk, number, manner)
}

async fn one(outdial: &Outdial, trunk: &str, number: &str, manner: Manner) -> Outcome {
    let request = match (AgentId::new("soak"), E164::parse(number)) {
        (Ok(agent), Ok(number)) => DialRequest::new(agent, number).trunk(trunk),
        _ => return Outcome::NotMade("a fault of the soak".to_owned()),
    };
    let call = match tokio::time::timeout(BOUND, outdial.dial_with(request)).await {
        Ok(Ok(call)) => call,
        Ok(Err(error)) => return Outcome::NotMade(kind(&error)),
        Err(_) => return Outcome::LeftOver(format!("the dial of {number} over {trunk}")),
    };
    let id = call.id().to_string();
    let witness = call.events();
    let Ok(audio) = call.audio() else { return Outcome::LeftOver("no audio".to_owned()) };
    let end = tokio::time::timeout(BOUND, async move {
        behave(call, audio, manner).await;
        // A handle that is dropped hangs up, and the log tells the end all the same.
        let mut events = witness;
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event);
        }
        last
    })
    .await;
    match end {
        Ok(Some(outdial::call::CallEvent::Ended(end))) => Outcome::Ended(end.reason.to_string()),
        Ok(other) => Outcome::LeftOver(format!("{id} to {number} over {trunk}: {other:?} instead of an end")),
        Err(_) => Outcome::LeftOver(format!("{id} to {number} over {trunk}")),
    }
}

fn kind(error: &DialError) -> String {
    match error {
        DialError::Refused { rule, .. } => format!("{}: {rule}", error.kind()),
        _ => error.kind().to_owned(),
    }
}

async fn behave(call: Call, mut audio: Audio, manner: Manner) {
    match manner {
        Manner::Wait => drop(call.ended().await),
        Manner::GiveUp => {
            tokio::time::sleep(pause(500, 2_000)).await;
            call.hangup().await;
        }
        Manner::Drop => {
            tokio::time::sleep(pause(0, 2_000)).await;
            drop(call);
        }
        Manner::Talk | Manner::Press | Manner::Hold => {
            if call.answered().await.is_err() {
                return;
            }
            let talking = tokio::time::timeout(pause(1_000, 8_000), talk(&mut audio));
            match manner {
                Manner::Press => {
                    // A call that ended meanwhile takes no keys.
                    let _ = call.send_dtmf("9").await;
                }
                Manner::Hold => {
                    let _ = call.hold().await;
                    tokio::time::sleep(pause(500, 1_500)).await;
                    let _ = call.resume().await;
                }
                _ => {}
            }
            let _ = talking.await;
            call.hangup().await;
        }
    }
}

/// Some time between these, in milliseconds.
fn pause(from: u64, to: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(from..to))
}

/// Speaks and listens at the same time, until the call ends.
async fn talk(audio: &mut Audio) {
    let rate = SampleRate::Hz16000;
    let tone: Vec<i16> = (0..rate.samples(200))
        .map(|at| ((at as f64 / 16_000.0 * 440.0 * std::f64::consts::TAU).sin() * 8_000.0) as i16)
        .collect();
    let Audio { speaker, listener } = audio;
    tokio::select! {
        () = async { while speaker.send(&tone).await.is_ok() {} } => {}
        () = async { while listener.recv().await.is_some() {} } => {}
    }
}
