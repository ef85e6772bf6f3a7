//! One contract, two providers: the same skills, unchanged, over SIP and over Twilio.
//!
//! A skill knows a [`DialProvider`] and a number. What it says and hears, which events it sees and how its calls end is the
//! same whatever carries them. The far ends are the sandbox and a Twilio of our own; the numbers do the same at both.

mod common;
mod fake_twilio;

use std::time::Duration;

use common::phone::request;
use common::sound::{assert_came_back, echoes, hear, likeness, mu_law_position, position, sweep, tone_share};
use common::{Story, trunk, within};
use fake_twilio::FakeTwilio;
use futures_util::future::join_all;
use outdial::audio::{MarkOutcome, SampleRate, SendError};
use outdial::call::{Call, CallEnd, CallError, CallEvent, EndReason, EndedBy};
use outdial::provider::{
    AgentId, CallerId, DialError, DialProvider, DialRequest, E164, Header, Record, Shutdown,
};
use outdial::{Config, Outdial, OutdialError};
use outdial_sandbox::Sandbox;
use tokio::sync::MutexGuard;

const ECHO: &str = "+12025550100";
const BUSY: &str = "+12025550102";
const RINGS: &str = "+12025550103";
const DECLINES: &str = "+12025550104";
const HANGS_UP: &str = "+12025550109";
const UNAVAILABLE: &str = "+12025550112";
const SENDS_DIGITS: &str = "+12025550114";
const INSTANT_ECHO: &str = "+12025550116";
const TEST_TONE: &str = "+12025550118";
const NOT_FOUND: &str = "+12025550123";
const ABSENT: &str = "+12025550130";

/// What is on the other side.
enum FarEnd {
    Sandbox(Box<Sandbox>),
    Twilio(FakeTwilio),
}

/// A provider with its far end.
struct Bench {
    provider: Outdial,
    far_end: FarEnd,
    records: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    async fn sip() -> Self {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let config = trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]\nring_timeout = \"45s\"");
        Self::start(&config, FarEnd::Sandbox(sandbox.into())).await
    }

    async fn twilio() -> Self {
        let twilio = FakeTwilio::start().await;
        let config = twilio.config("ring_timeout = \"45s\"");
        Self::start(&config, FarEnd::Twilio(twilio)).await
    }

    async fn start(config: &str, far_end: FarEnd) -> Self {
        let records = tempfile::tempdir().unwrap();
        let config = format!("{config}\n[records]\nfolder = {:?}\n", records.path());
        let config = Config::parse(&config).unwrap_or_else(|error| panic!("{error}\n{config}"));
        let turn = common::phone::turn().await;
        let provider = loop {
            match within("the start", Outdial::from_config(&config)).await {
                // The one before shuts down by itself.
                Err(OutdialError::Sip(outdial::sip::StartError::AlreadyRunning)) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                other => break other.unwrap_or_else(|error| panic!("{error}: {error:?}")),
            }
        };
        Self { provider, far_end, records, _turn: turn }
    }

    /// All that a skill gets to know of it.
    fn provider(&self) -> &dyn DialProvider {
        &self.provider
    }

    async fn dial(&self, number: &str) -> Call {
        self.dial_with(request(number)).await
    }

    async fn dial_with(&self, request: DialRequest) -> Call {
        let dial = self.provider().dial_with(request);
        within("the dial", dial).await.unwrap_or_else(|error| panic!("no call: {error}: {error:?}"))
    }

    /// What the callee heard of a call that is over: 8 kHz.
    async fn heard_by_the_callee(&self, call: &Call) -> Vec<i16> {
        match &self.far_end {
            FarEnd::Sandbox(sandbox) => {
                let record = within("the sandbox's record", sandbox.call_ended(call.id().as_str())).await;
                record.recording.expect("it decodes µ-law").samples.to_vec()
            }
            FarEnd::Twilio(twilio) => twilio.call_ended(call.id().as_str()).await.samples(),
        }
    }

    /// Waits until the far end has no call to this number any more, and returns how many there were.
    async fn far_end_is_done_with(&self, number: &str) -> usize {
        match &self.far_end {
            FarEnd::Sandbox(sandbox) => {
                let digits = number.trim_start_matches('+');
                let done = sandbox.wait_until(|sandbox| {
                    let calls: Vec<_> =
                        sandbox.calls().into_iter().filter(|call| call.dialled.contains(digits)).collect();
                    calls.iter().all(|call| call.ended.is_some()).then_some(calls.len())
                });
                within("the end at the sandbox", done).await
            }
            FarEnd::Twilio(twilio) => {
                let done = |twilio: &FakeTwilio| {
                    let calls = twilio.calls_to(number);
                    calls.iter().all(|call| call.is_over()).then_some(calls.len())
                };
                twilio.wait_until("the end at Twilio", done).await
            }
        }
    }

    /// Shuts down. The far end must have nothing to complain of.
    async fn finish(self) {
        within("the shutdown", self.provider.shutdown(Shutdown::HangUp)).await;
        match self.far_end {
            FarEnd::Sandbox(sandbox) => {
                let faults: Vec<_> = sandbox.calls().into_iter().flat_map(|call| call.faults).collect();
                assert!(faults.is_empty(), "{faults:?}");
                sandbox.shutdown().await;
            }
            FarEnd::Twilio(twilio) => twilio.finish(),
        }
    }
}

/// The events that every provider has to tell: a 100 is not answered everywhere.
fn words(story: &Story) -> String {
    story.words().replace("trying ", "")
}

fn ending(end: &CallEnd) -> (EndReason, EndedBy) {
    (end.reason, end.ended_by)
}

async fn sees(call: &Call, wanted: &CallEvent) {
    let mut events = call.events();
    let seen = async { while events.next().await.expect("the call is up") != *wanted {} };
    within("an event", seen).await;
}

/// Each skill as a test over each provider.
macro_rules! over_both {
    ($($skill:ident),* $(,)?) => {
        mod over_sip {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $skill() {
                let bench = super::Bench::sip().await;
                super::$skill(&bench).await;
                bench.finish().await;
            })*
        }
        mod over_twilio {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $skill() {
                let bench = super::Bench::twilio().await;
                super::$skill(&bench).await;
                bench.finish().await;
            })*
        }
    };
}

over_both!(
    events_come_in_order_and_the_end_once,
    every_reader_sees_the_whole_story,
    refusals_have_the_same_reasons,
    nobody_answers_within_the_ring_limit,
    the_callee_hangs_up,
    the_talk_limit_ends_the_call,
    what_is_said_is_heard,
    the_callee_s_own_sound_is_heard,
    every_rate_of_the_application,
    calls_do_not_hear_each_other,
    speech_from_before_the_answer_is_heard_after_it,
    a_mark_and_a_drain_tell_when_speech_was_played,
    a_hang_up_right_after_a_drain_cuts_nothing_off,
    clearing_stops_the_speech,
    a_gap_within_an_utterance_is_counted,
    the_end_of_the_call_ends_the_streams,
    keys_of_the_callee_arrive,
    what_cannot_be_done_is_told_by_type,
    hanging_up_while_it_rings_cancels,
    hanging_up_twice_is_the_same_end,
    dropping_the_last_handle_hangs_up,
    a_dial_that_is_dropped_leaves_no_call,
    a_shutdown_ends_what_is_up,
    a_drain_lets_calls_finish_and_takes_no_new_ones,
    requests_that_cannot_work_are_refused_by_type,
    no_wish_is_ignored,
    what_is_recorded_has_both_sides_at_their_time,
);

async fn events_come_in_order_and_the_end_once(bench: &Bench) {
    let agent = AgentId::new("tester").unwrap();
    let dial = async { bench.provider().dial(&agent, &E164::parse(ECHO).unwrap()).await };
    let call = within("the dial", dial).await.unwrap();
    let answered = within("the answer", call.answered()).await.unwrap();
    assert_eq!((answered.codec.as_str(), &answered.srtp), ("PCMU/8000", &None));
    let end = within("the end", call.hangup()).await;
    let story = Story::of(&call).await;
    assert_eq!(words(&story), "initiated ringing answered ended");
    assert_eq!(ending(&end), (EndReason::Completed, EndedBy::Local));
    assert!(!end.ring_time.is_zero() && !end.talk_time.is_zero());
    bench.far_end_is_done_with(ECHO).await;
}

async fn every_reader_sees_the_whole_story(bench: &Bench) {
    let call = bench.dial(ECHO).await;
    let early = call.events();
    within("the answer", call.answered()).await.unwrap();
    within("the end", call.hangup()).await;
    let (early, late) = (Story::told_by(early).await, Story::told_by(call.events()).await);
    assert_eq!((early.words(), &early.end), (late.words(), &late.end));
}

async fn refusals_have_the_same_reasons(bench: &Bench) {
    let table = [
        (BUSY, EndReason::Busy),
        (DECLINES, EndReason::Declined),
        (UNAVAILABLE, EndReason::Unreachable),
        (NOT_FOUND, EndReason::NotFound),
        (ABSENT, EndReason::NoAnswer),
    ];
    let calls = table.map(|(number, reason)| async move {
        let call = bench.dial(number).await;
        let end = within("the end", call.answered()).await.expect_err("nobody picks up");
        assert_eq!(ending(&end), (reason, EndedBy::Remote), "{number}: {end:?}");
        let story = Story::of(&call).await;
        assert_eq!(story.end, end);
        assert_eq!((end.talk_time, end.media.is_none()), (Duration::ZERO, true), "{number}");
        assert!(end.sip.is_some_and(|status| status.code >= 300), "{number}");
    });
    join_all(calls).await;
}

async fn nobody_answers_within_the_ring_limit(bench: &Bench) {
    let call = bench.dial_with(request(RINGS).ring_timeout(Duration::from_secs(2))).await;
    let story = Story::of(&call).await;
    assert_eq!(
        (words(&story).as_str(), ending(&story.end)),
        ("initiated ringing ended", (EndReason::NoAnswer, EndedBy::Local))
    );
    assert!(!story.end.ring_time.is_zero());
    assert_eq!(bench.far_end_is_done_with(RINGS).await, 1);
}

async fn the_callee_hangs_up(bench: &Bench) {
    let call = bench.dial(HANGS_UP).await;
    let story = Story::of(&call).await;
    assert_eq!(words(&story), "initiated ringing answered ended");
    assert_eq!(ending(&story.end), (EndReason::Completed, EndedBy::Remote));
    assert!(story.end.talk_time >= Duration::from_secs(1), "{:?}", story.end);
    let media = story.end.media.expect("there was sound");
    assert_eq!(media.codec, "PCMU/8000");
    assert!(media.packets_received > 0);
}

async fn the_talk_limit_ends_the_call(bench: &Bench) {
    let call = bench.dial_with(request(INSTANT_ECHO).talk_limit(Duration::from_secs(1))).await;
    let story = Story::of(&call).await;
    assert_eq!(ending(&story.end), (EndReason::Completed, EndedBy::Local));
    assert_eq!(words(&story), "initiated answered ended");
    bench.far_end_is_done_with(INSTANT_ECHO).await;
}

/// Says a sweep and hears it come back; the callee heard it too.
async fn converse(bench: &Bench, rate: SampleRate) {
    let call = bench.dial_with(request(INSTANT_ECHO).audio_rate(rate)).await;
    let mut audio = call.audio().unwrap();
    assert_eq!((audio.speaker.rate(), audio.listener.rate()), (rate, rate));
    within("the answer", call.answered()).await.unwrap();
    let said = sweep(rate, 1_500);
    let (sent, heard) = tokio::join!(
        within("the playout", audio.speaker.send(&said)),
        hear(&mut audio.listener, rate.samples(3_000)),
    );
    sent.unwrap();
    assert_eq!(within("the drain", audio.speaker.drain()).await, MarkOutcome::Played);
    let media = within("the end", call.hangup()).await.media.expect("it was answered");
    assert_came_back(&format!("the echo at {rate}"), rate, &said, &heard, 0.95, &media);
    let there = bench.heard_by_the_callee(&call).await;
    let part =
        &sweep(SampleRate::Hz8000, 1_500)[SampleRate::Hz8000.samples(600)..SampleRate::Hz8000.samples(800)];
    let alike = likeness(SampleRate::Hz8000, part, &there);
    assert!(alike > 0.95, "at {rate} the callee heard a likeness of {alike}");
}

async fn what_is_said_is_heard(bench: &Bench) {
    converse(bench, SampleRate::Hz16000).await;
}

async fn every_rate_of_the_application(bench: &Bench) {
    join_all(SampleRate::ALL.map(|rate| converse(bench, rate))).await;
}

async fn the_callee_s_own_sound_is_heard(bench: &Bench) {
    let call = bench.dial(TEST_TONE).await;
    let mut audio = call.audio().unwrap();
    within("the answer", call.answered()).await.unwrap();
    let rate = audio.listener.rate();
    let heard = hear(&mut audio.listener, rate.samples(2_000)).await;
    // Frame by frame. Over the whole second the share would fall with each frame that the jitter buffer makes up or leaves
    // out while the far end is late: the tone goes on in another phase, and with half a second in each of two opposite
    // ones the sum is nothing. The tone is there all the same.
    let last: Vec<&[i16]> =
        heard[heard.len() - rate.samples(1_000)..].chunks_exact(rate.frame_len()).collect();
    let tones = last.iter().filter(|frame| tone_share(rate, frame, 1_004.0) > 0.9).count();
    assert!(tones * 100 >= last.len() * 95, "{tones} of {} frames have 1004 Hz", last.len());
    within("the end", call.hangup()).await;
}

async fn calls_do_not_hear_each_other(bench: &Bench) {
    let tones = [400.0, 700.0, 1_000.0, 1_300.0, 1_600.0, 1_900.0];
    let calls = tones.map(|tone| async move {
        let call = bench.dial_with(request(INSTANT_ECHO).audio_rate(SampleRate::Hz8000)).await;
        let mut audio = call.audio().unwrap();
        within("the answer", call.answered()).await.unwrap();
        let said: Vec<i16> = (0..SampleRate::Hz8000.samples(2_000))
            .map(|n| (8_000.0 * (std::f64::consts::TAU * tone * n as f64 / 8_000.0).sin()) as i16)
            .collect();
        let (sent, heard) = tokio::join!(
            within("the playout", audio.speaker.send(&said)),
            hear(&mut audio.listener, SampleRate::Hz8000.samples(2_500)),
        );
        sent.unwrap();
        within("the end", call.hangup()).await;
        let voiced: Vec<&[i16]> =
            heard.chunks_exact(160).filter(|frame| frame.iter().any(|s| s.abs() > 4_000)).collect();
        let own = voiced.iter().filter(|frame| tone_share(SampleRate::Hz8000, frame, tone) > 0.8).count();
        assert!(own >= 40 && own * 10 >= voiced.len() * 9, "{tone} Hz: {own} of {} frames", voiced.len());
    });
    join_all(calls).await;
}

async fn speech_from_before_the_answer_is_heard_after_it(bench: &Bench) {
    let call = bench.dial_with(request(ECHO).audio_rate(SampleRate::Hz8000)).await;
    let speaker = call.audio().unwrap().speaker;
    let said = sweep(SampleRate::Hz8000, 400);
    speaker.send(&said).await.unwrap();
    assert_eq!(within("the drain", speaker.drain()).await, MarkOutcome::Played);
    assert!(call.answered().await.is_ok(), "it was played to somebody");
    within("the end", call.hangup()).await;
    let heard = bench.heard_by_the_callee(&call).await;
    assert!(mu_law_position(&heard, &said).is_some(), "the callee did not hear it whole");
}

async fn a_mark_and_a_drain_tell_when_speech_was_played(bench: &Bench) {
    let call = bench.dial_with(request(INSTANT_ECHO).audio_rate(SampleRate::Hz8000)).await;
    let speaker = call.audio().unwrap().speaker;
    let said = sweep(SampleRate::Hz8000, 400);
    speaker.send(&said).await.unwrap();
    let first = speaker.mark("first");
    assert_eq!((first.name(), first.position()), ("first", said.len() as u64));
    assert_eq!(within("the mark", first).await, MarkOutcome::Played);
    assert!(speaker.played() >= said.len() as u64);
    speaker.send(&said).await.unwrap();
    assert_eq!(within("the drain", speaker.drain()).await, MarkOutcome::Played);
    assert_eq!(speaker.played(), 2 * said.len() as u64);
    // With nothing queued there is nothing to wait for.
    assert_eq!(within("the second drain", speaker.drain()).await, MarkOutcome::Played);
    assert_eq!(speaker.stats().underruns, 0, "between two sentences there is no underrun");
    within("the end", call.hangup()).await;
}

async fn a_hang_up_right_after_a_drain_cuts_nothing_off(bench: &Bench) {
    let calls = [(); 4].map(|()| async {
        let call = bench.dial_with(request(INSTANT_ECHO).audio_rate(SampleRate::Hz8000)).await;
        let speaker = call.audio().unwrap().speaker;
        let said = sweep(SampleRate::Hz8000, 700);
        speaker.send(&said).await.unwrap();
        within("the drain", speaker.drain()).await;
        within("the end", call.hangup()).await;
        let heard = bench.heard_by_the_callee(&call).await;
        let last_word = &said[SampleRate::Hz8000.samples(560)..];
        assert!(mu_law_position(&heard, last_word).is_some(), "the last word was cut off");
    });
    join_all(calls).await;
}

async fn clearing_stops_the_speech(bench: &Bench) {
    let call = bench.dial_with(request(INSTANT_ECHO).audio_rate(SampleRate::Hz8000)).await;
    let speaker = call.audio().unwrap().speaker;
    within("the answer", call.answered()).await.unwrap();
    let minute = sweep(SampleRate::Hz8000, 60_000);
    let sender = speaker.clone();
    let sending = tokio::spawn(async move { sender.send(&minute).await });
    let speech = async {
        while speaker.played() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("speech", speech).await;
    let mark = speaker.mark("never");
    let removed = speaker.clear();
    assert!(removed > 0);
    assert_eq!(within("the mark", mark).await, MarkOutcome::Cleared);
    assert_eq!(within("the send", sending).await.unwrap(), Err(SendError::Cleared));
    // What is said afterwards is heard whole.
    let said = sweep(SampleRate::Hz8000, 400);
    speaker.send(&said).await.unwrap();
    assert_eq!(within("the drain", speaker.drain()).await, MarkOutcome::Played);
    assert!(speaker.stats().discarded >= removed as u64);
    within("the end", call.hangup()).await;
    let heard = bench.heard_by_the_callee(&call).await;
    // Over its first three milliseconds the end of the old sound fades out.
    let behind = &said[SampleRate::Hz8000.samples(3)..];
    assert!(mu_law_position(&heard, behind).is_some(), "what was said after the interruption was not heard");
    assert!(heard.len() < SampleRate::Hz8000.samples(20_000), "the minute went on");
}

async fn a_gap_within_an_utterance_is_counted(bench: &Bench) {
    let call = bench.dial(INSTANT_ECHO).await;
    let mut audio = call.audio().unwrap();
    within("the answer", call.answered()).await.unwrap();
    let word = sweep(audio.speaker.rate(), 100);
    audio.speaker.send(&word).await.unwrap();
    let gap = audio.speaker.rate().samples(700);
    let _ = hear(&mut audio.listener, gap).await;
    audio.speaker.send(&word).await.unwrap();
    assert_eq!(audio.speaker.stats().underruns, 1);
    within("the drain", audio.speaker.drain()).await;
    let end = within("the end", call.hangup()).await;
    assert_eq!(end.media.unwrap().underruns, 1);
}

async fn the_end_of_the_call_ends_the_streams(bench: &Bench) {
    for number in [HANGS_UP, BUSY] {
        let call = bench.dial(number).await;
        let mut audio = call.audio().unwrap();
        assert_eq!(call.audio().err(), Some(CallError::AudioTaken));
        within("the end", call.ended()).await;
        assert!(audio.speaker.is_closed());
        assert_eq!(audio.speaker.send(&[0; 160]).await, Err(SendError::Closed));
        assert_eq!(within("a mark", audio.speaker.mark("late")).await, MarkOutcome::Ended);
        let rest = async { while audio.listener.recv().await.is_some() {} };
        within("the end of the listener", rest).await;
    }
}

async fn keys_of_the_callee_arrive(bench: &Bench) {
    let call = bench.dial(SENDS_DIGITS).await;
    let mut events = call.events();
    let keys = async {
        let mut keys = String::new();
        while keys.len() < 5 {
            if let CallEvent::Dtmf(digit) = events.next().await.expect("the call is up") {
                keys.push_str(&digit.to_string());
            }
        }
        keys
    };
    assert_eq!(within("the keys", keys).await, "1234#");
    within("the end", call.hangup()).await;
    let story = Story::of(&call).await;
    assert_eq!(words(&story), "initiated ringing answered dtmf-1 dtmf-2 dtmf-3 dtmf-4 dtmf-# ended");
}

/// What a skill does with a provider that it does not know: it tries, and reads the type of the error.
async fn what_cannot_be_done_is_told_by_type(bench: &Bench) {
    let call = bench.dial(INSTANT_ECHO).await;
    within("the answer", call.answered()).await.unwrap();
    let done = |what: &str, result: Result<(), CallError>| match result {
        Ok(()) => true,
        Err(CallError::Unsupported { provider, .. }) => {
            assert_eq!(provider, call.provider(), "{what}");
            false
        }
        Err(other) => panic!("{what}: {other}"),
    };
    let dtmf = done("keys", within("the keys", call.send_dtmf("12#")).await);
    let hold = done("hold", within("the hold", call.hold()).await);
    if hold {
        sees(&call, &CallEvent::Held).await;
    }
    assert_eq!(done("resume", within("the resume", call.resume()).await), hold);
    assert_eq!(dtmf, hold, "SIP can do both, Twilio neither");
    assert!(matches!(call.send_dtmf("1x").await, Err(CallError::Invalid(_))));
    assert!(matches!(call.transfer("nobody").await, Err(CallError::Invalid(_))));
    // Nothing of it has harmed the call.
    assert_eq!(call.end(), None);
    let end = within("the end", call.hangup()).await;
    assert_eq!(ending(&end), (EndReason::Completed, EndedBy::Local));
    for result in [call.send_dtmf("1").await, call.hold().await, call.transfer(ECHO).await] {
        assert_eq!(result, Err(CallError::Ended));
    }
}

async fn hanging_up_while_it_rings_cancels(bench: &Bench) {
    let call = bench.dial(RINGS).await;
    sees(&call, &CallEvent::Ringing).await;
    let end = within("the end", call.hangup()).await;
    assert_eq!(ending(&end), (EndReason::Cancelled, EndedBy::Local));
    assert_eq!(end.talk_time, Duration::ZERO);
    assert_eq!(words(&Story::of(&call).await), "initiated ringing ended");
    assert_eq!(bench.far_end_is_done_with(RINGS).await, 1);
}

async fn hanging_up_twice_is_the_same_end(bench: &Bench) {
    let call = bench.dial(INSTANT_ECHO).await;
    within("the answer", call.answered()).await.unwrap();
    let other = call.clone();
    let (one, two) = within("both ends", async { tokio::join!(call.hangup(), other.hangup()) }).await;
    assert_eq!(one, two);
    assert_eq!(within("the third", call.hangup()).await, one);
    assert_eq!(Story::of(&call).await.end, one);
}

async fn dropping_the_last_handle_hangs_up(bench: &Bench) {
    for (number, reason) in [(INSTANT_ECHO, EndReason::Completed), (RINGS, EndReason::Cancelled)] {
        let call = bench.dial(number).await;
        if number == RINGS {
            sees(&call, &CallEvent::Ringing).await;
        } else {
            within("the answer", call.answered()).await.unwrap();
        }
        let (events, second) = (call.events(), call.clone());
        drop(call);
        tokio::task::yield_now().await;
        assert_eq!(second.end(), None, "a handle is left");
        drop(second);
        let story = Story::told_by(events).await;
        assert_eq!(ending(&story.end), (reason, EndedBy::Local));
        bench.far_end_is_done_with(number).await;
    }
}

async fn a_dial_that_is_dropped_leaves_no_call(bench: &Bench) {
    // Dropped before it was polled, at once, and so late that it may be through.
    for after in [None, Some(0), Some(1), Some(5), Some(20), Some(50)] {
        let dial = bench.provider().dial_with(request(RINGS));
        if let Some(ms) = after {
            let _ = tokio::time::timeout(Duration::from_millis(ms), dial).await;
        }
    }
    // One more, by which all before it have come and gone.
    let call = bench.dial(RINGS).await;
    within("the end", call.hangup()).await;
    assert!(bench.far_end_is_done_with(RINGS).await >= 1);
}

async fn a_shutdown_ends_what_is_up(bench: &Bench) {
    let talking = bench.dial(INSTANT_ECHO).await;
    within("the answer", talking.answered()).await.unwrap();
    let ringing = bench.dial(RINGS).await;
    sees(&ringing, &CallEvent::Ringing).await;
    within("the shutdown", bench.provider.shutdown(Shutdown::HangUp)).await;
    assert_eq!(ending(&Story::of(&talking).await.end), (EndReason::Completed, EndedBy::Local));
    assert_eq!(ending(&Story::of(&ringing).await.end), (EndReason::Cancelled, EndedBy::Local));
    bench.far_end_is_done_with(INSTANT_ECHO).await;
    bench.far_end_is_done_with(RINGS).await;
    let refused = within("a dial", bench.provider().dial_with(request(ECHO))).await;
    assert!(matches!(refused, Err(DialError::ShutDown)), "{refused:?}");
    within("a late hang-up", talking.hangup()).await;
}

async fn a_drain_lets_calls_finish_and_takes_no_new_ones(bench: &Bench) {
    let call = bench.dial(HANGS_UP).await;
    within("the answer", call.answered()).await.unwrap();
    let provider = bench.provider.clone();
    let drain = tokio::spawn(async move { provider.shutdown(Shutdown::Drain(common::PATIENCE)).await });
    let refused = async {
        loop {
            match bench.provider().dial_with(request(RINGS)).await {
                Err(DialError::ShutDown) => return,
                Err(other) => panic!("{other:?}"),
                // The drain had not begun.
                Ok(call) => drop(call.hangup().await),
            }
        }
    };
    within("the refusal of a new call", refused).await;
    assert_eq!(ending(&Story::of(&call).await.end), (EndReason::Completed, EndedBy::Remote));
    within("the drain", drain).await.unwrap();
}

async fn requests_that_cannot_work_are_refused_by_type(bench: &Bench) {
    let refused = async |request: DialRequest| {
        let dial = within("the dial", bench.provider().dial_with(request)).await;
        dial.map(|call| call.id().clone()).expect_err("it cannot work")
    };
    assert!(
        matches!(refused(request(ECHO).trunk("nowhere")).await, DialError::UnknownTrunk(name) if name == "nowhere")
    );
    let empty = refused(request(ECHO).trunk("")).await;
    assert!(matches!(empty, DialError::InvalidRequest { field: "trunk", .. }), "{empty:?}");
    let long = refused(request(ECHO).ring_timeout(Duration::from_secs(90_000))).await;
    assert!(matches!(long, DialError::InvalidRequest { field: "ring_timeout", .. }), "{long:?}");
    // A caller of the operator's own is shown.
    let call =
        bench.dial_with(request(INSTANT_ECHO).caller_id(CallerId::parse(fake_twilio::CALLER).unwrap())).await;
    within("the answer", call.answered()).await.unwrap();
    within("the end", call.hangup()).await;
}

/// What a request asks for is done, or refused by its type before anybody's telephone rings; never silently left out.
async fn no_wish_is_ignored(bench: &Bench) {
    let wishes = [
        ("Praxis", request(INSTANT_ECHO).caller_name("Praxis")),
        ("X-Campaign: 7", request(INSTANT_ECHO).header(Header::new("X-Campaign", "7").unwrap())),
        ("Privacy: id", request(INSTANT_ECHO).hide_caller(true)),
        ("", request(INSTANT_ECHO).ring_timeout(Duration::from_secs(601))),
    ];
    for (sign, wish) in wishes {
        match (&bench.far_end, within("the dial", bench.provider().dial_with(wish)).await) {
            (FarEnd::Sandbox(sandbox), Ok(call)) => {
                let answered = within("the answer", call.answered()).await;
                assert!(answered.is_ok(), "{sign:?}: {answered:?}");
                within("the end", call.hangup()).await;
                let record = within("the record", sandbox.call_ended(call.id().as_str())).await;
                assert!(record.invite.contains(sign), "{sign:?} is not in {}", record.invite);
            }
            (FarEnd::Twilio(twilio), Err(DialError::Unsupported(_))) => {
                assert_eq!(twilio.orders(INSTANT_ECHO), 0, "{sign:?}");
            }
            (_, other) => panic!("{sign:?}: {other:?}"),
        }
    }
}

/// Both sides of the recording of a call that is over: the callee's, ours.
async fn recorded(bench: &Bench, call: &Call) -> (Vec<i16>, Vec<i16>) {
    let path = bench.records.path().join("recordings").join(format!("{}.wav", call.id()));
    let complete = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the recording", complete).await;
    let reader = hound::WavReader::open(path).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, 8_000));
    let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
}

async fn what_is_recorded_has_both_sides_at_their_time(bench: &Bench) {
    let rate = SampleRate::Hz8000;
    let call = bench.dial_with(request(INSTANT_ECHO).audio_rate(rate).record(Record::Sound)).await;
    let mut audio = call.audio().unwrap();
    within("the answer", call.answered()).await.unwrap();
    hear(&mut audio.listener, rate.samples(400)).await;
    let said = sweep(rate, 400);
    let (sent, _) = tokio::join!(
        within("the playout", audio.speaker.send(&said)),
        hear(&mut audio.listener, rate.samples(1_000))
    );
    sent.unwrap();
    // The next one is cut off, and its end is not in the recording either; then there is a pause, in which nothing is.
    let loud = vec![12_000; rate.samples(3_000)];
    let (cleared, ()) = tokio::join!(audio.speaker.send(&loud), async {
        hear(&mut audio.listener, rate.samples(300)).await;
        audio.speaker.clear();
    });
    assert_eq!(cleared, Err(SendError::Cleared));
    hear(&mut audio.listener, rate.samples(200)).await;
    assert!(call.pause_recording());
    let secret = vec![-12_000; rate.samples(300)];
    let (sent, _) = tokio::join!(
        within("the playout", audio.speaker.send(&secret)),
        hear(&mut audio.listener, rate.samples(1_000))
    );
    sent.unwrap();
    assert!(call.resume_recording());
    hear(&mut audio.listener, rate.samples(100)).await;
    within("the end", call.hangup()).await;

    let (callee, agent) = recorded(bench, &call).await;
    assert_eq!(callee.len(), agent.len());
    assert!(callee.len() >= rate.samples(2_800), "{} samples", callee.len());
    let part = &said[rate.frame_len()..said.len() - rate.frame_len()];
    let at = position(&agent, part).expect("what was said, sample by sample");
    assert!(at >= rate.samples(300), "said after 400 ms, recorded after {at} samples");
    // What the callee makes of it comes back through μ-law and stands behind it, by less than a second.
    let echoes = echoes(&agent, at, part.len(), &callee);
    let found = echoes.iter().flatten().count();
    assert!(found * 10 >= echoes.len() * 6, "the echo is behind by {echoes:?}");
    let cut = agent.iter().filter(|sample| **sample == 12_000).count();
    assert!((rate.samples(100)..rate.samples(1_500)).contains(&cut), "{cut} samples of what was cleared");
    let told = [&callee, &agent].map(|side| side.iter().filter(|sample| **sample < -10_000).count());
    assert_eq!(told, [0, 0], "samples of what was said in the pause");
}
