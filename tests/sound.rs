//! What is said is heard: sample by sample where the codec permits it, by likeness elsewhere; before the answer and
//! after it; and the playout queue keeps its word.

mod common;

use std::time::Duration;

use common::phone::request;
use common::sound::{assert_came_back, hear, likeness, mu_law_position, position, sweep, tone_share};
use common::{Phone, Story, trunk, within};
use outdial::audio::{MarkOutcome, SampleRate, SendError};
use outdial::call::Call;
use outdial_sandbox::{CallRecord, Recording, Sandbox};

const ECHO: &str = "+12025550116";
const LISTENER: &str = "+12025550117";
const EARLY_TONE: &str = "+12025550198";
const TEST_TONE: &str = "+12025550118";

async fn record(sandbox: &Sandbox, call: &Call) -> CallRecord {
    within("the sandbox's record", sandbox.call_ended(call.id().as_str())).await
}

fn recording(record: &CallRecord) -> &Recording {
    record.recording.as_ref().expect("the sandbox decodes this codec")
}

/// With the application at the codec's rate nothing happens to the samples but the codec.
#[tokio::test]
async fn mu_law_arrives_sample_by_sample_in_both_directions() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let call = phone.dial_with(request(ECHO).audio_rate(SampleRate::Hz8000)).await;
    let mut audio = call.audio().unwrap();
    within("the answer", call.answered()).await.unwrap();
    let said = sweep(SampleRate::Hz8000, 2_000);
    let (sent, heard) = tokio::join!(
        within("the playout", audio.speaker.send(&said)),
        hear(&mut audio.listener, SampleRate::Hz8000.samples(3_500)),
    );
    sent.unwrap();
    assert_eq!(within("the drain", audio.speaker.drain()).await, MarkOutcome::Played);
    call.hangup().await;
    let record = record(&sandbox, &call).await;
    let recording = recording(&record);
    assert_eq!(recording.sample_rate, 8_000);
    let at = mu_law_position(&recording.samples, &said).expect("the callee heard what was said");
    let expected = &recording.samples[at..at + said.len()];
    // The echo comes through the jitter buffer, which may leave out or add a frame when the machine is busy: each
    // frame that is heard is one that was said, in order, or concealment of a missing one.
    let frame = SampleRate::Hz8000.frame_len();
    let voiced: Vec<&[i16]> =
        expected.chunks_exact(frame).filter(|frame| frame.iter().any(|s| *s != 0)).collect();
    let mut from = 0;
    let mut exact = 0;
    for part in &voiced {
        if let Some(at) = position(&heard[from..], part) {
            from += at + frame;
            exact += 1;
        }
    }
    assert!(exact * 10 >= voiced.len() * 9, "only {exact} of {} frames came back as they were", voiced.len());
    phone.shutdown().await;
    sandbox.shutdown().await;
}

/// The callee's own sound, not an echo of ours.
#[tokio::test]
async fn a_tone_of_the_callee_is_heard() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let call = phone.dial_with(request(TEST_TONE).audio_rate(SampleRate::Hz16000)).await;
    let mut audio = call.audio().unwrap();
    within("the answer", call.answered()).await.unwrap();
    let heard = hear(&mut audio.listener, SampleRate::Hz16000.samples(2_000)).await;
    let last = &heard[heard.len() - SampleRate::Hz16000.samples(500)..];
    let share = tone_share(SampleRate::Hz16000, last, 1004.0);
    assert!(share > 0.95, "a share of {share} at 1004 Hz");
    call.hangup().await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}

/// The callee hears the same, however much of it is in a packet.
#[tokio::test]
async fn packets_of_every_length_carry_what_is_said() {
    for (ptime, milliseconds) in [("10ms", 10), ("30ms", 30), ("40ms", 40), ("60ms", 60)] {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let config = format!("codecs = [\"pcmu\"]\nptime = \"{ptime}\"");
        let phone = Phone::start(&trunk::sandbox_udp(&sandbox, config)).await;
        let call = phone.dial_with(request(ECHO).audio_rate(SampleRate::Hz8000)).await;
        let audio = call.audio().unwrap();
        within("the answer", call.answered()).await.unwrap();
        let said = sweep(SampleRate::Hz8000, 1_200);
        within("the playout", audio.speaker.send(&said)).await.unwrap();
        assert_eq!(within("the drain", audio.speaker.drain()).await, MarkOutcome::Played);
        call.hangup().await;
        let packets = Story::of(&call).await.end.media.unwrap().packets_sent;
        let record = record(&sandbox, &call).await;
        let heard = recording(&record);
        assert!(mu_law_position(&heard.samples, &said).is_some(), "{ptime}: not what was said");
        let each = heard.samples.len() as u64 / packets.max(1) / 8;
        assert!(each.abs_diff(milliseconds) <= milliseconds / 4, "{ptime}: {each} ms in a packet");
        phone.shutdown().await;
        sandbox.shutdown().await;
    }
}

/// Every codec at every rate of the application, by way of an echo and, where the sandbox decodes it, of its record.
async fn every_rate(codec: &str, least: f64) {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, format!("codecs = [\"{codec}\"]"))).await;
    let calls = SampleRate::ALL.map(|rate| {
        let (phone, sandbox) = (&phone, &sandbox);
        async move {
            let call = phone.dial_with(request(ECHO).audio_rate(rate)).await;
            let mut audio = call.audio().unwrap();
            assert_eq!((audio.speaker.rate(), audio.listener.rate()), (rate, rate));
            let answered = within("the answer", call.answered()).await.unwrap();
            let in_sdp = match codec {
                "pcmu" => "PCMU/8000",
                "pcma" => "PCMA/8000",
                "g722" => "G722/8000",
                _ => "opus/48000",
            };
            assert_eq!(answered.codec, in_sdp);
            let said = sweep(rate, 1_500);
            let (sent, heard) = tokio::join!(
                within("the playout", audio.speaker.send(&said)),
                hear(&mut audio.listener, rate.samples(2_500)),
            );
            sent.unwrap();
            let media = call.hangup().await.media.expect("it was answered");
            assert_came_back(&format!("{codec} at {rate}"), rate, &said, &heard, least, &media);
            record(sandbox, &call).await.recording.map(|recording| (rate, recording))
        }
    });
    let records = futures_util::future::join_all(calls).await;
    for (rate, recording) in records.into_iter().flatten() {
        let wire = SampleRate::try_from(recording.sample_rate).unwrap();
        let part = &sweep(wire, 1_500)[wire.samples(600)..wire.samples(800)];
        let alike = likeness(wire, part, &recording.samples);
        assert!(alike > 0.95, "{codec} at {rate}: the callee heard a likeness of {alike}");
    }
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn mu_law_at_every_rate() {
    every_rate("pcmu", 0.95).await;
}

#[tokio::test]
async fn a_law_at_every_rate() {
    every_rate("pcma", 0.95).await;
}

#[tokio::test]
async fn g722_at_every_rate() {
    every_rate("g722", 0.95).await;
}

#[tokio::test]
async fn opus_at_every_rate() {
    every_rate("opus", 0.8).await;
}

#[tokio::test]
async fn what_is_heard_before_the_answer_is_marked() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    let call = phone.dial(EARLY_TONE).await;
    let mut audio = call.audio().unwrap();
    let (mut early, mut late) = (Vec::new(), 0);
    while late < 10 {
        let frame = within("a frame", audio.listener.recv()).await.expect("the call is up");
        if frame.is_early() {
            assert_eq!(late, 0, "an early frame after one that was not");
            early.extend_from_slice(frame.samples());
        } else {
            late += 1;
        }
    }
    let rate = audio.listener.rate();
    let tone =
        early.chunks_exact(rate.frame_len()).filter(|frame| tone_share(rate, frame, 440.0) > 0.9).count();
    assert!(tone >= 25, "of the second of 440 Hz only {tone} frames were heard");
    call.hangup().await;
    Story::of(&call)
        .await
        .assert("initiated trying ringing early-183 answered ended", "completed by local: 200 OK");
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn after_a_drain_the_last_word_was_heard() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let call = phone.dial_with(request(ECHO).audio_rate(SampleRate::Hz8000)).await;
    let speaker = call.audio().unwrap().speaker;
    // Queued before there is anybody to hear it: it waits.
    let said = sweep(SampleRate::Hz8000, 400);
    speaker.send(&said).await.unwrap();
    let first = speaker.mark("first");
    assert_eq!((first.name(), first.position()), ("first", said.len() as u64));
    assert_eq!(within("the mark", first).await, MarkOutcome::Played);
    speaker.send(&said).await.unwrap();
    assert_eq!(within("the drain", speaker.drain()).await, MarkOutcome::Played);
    assert_eq!(speaker.played(), 2 * said.len() as u64);
    call.hangup().await;
    let record = record(&sandbox, &call).await;
    let heard = &recording(&record).samples;
    let at = mu_law_position(heard, &said).expect("the callee heard the first sentence");
    let second = mu_law_position(&heard[at + said.len()..], &said);
    assert!(second.is_some(), "the callee did not hear the second sentence");
    assert_eq!(speaker.stats().underruns, 0, "between two sentences there is no underrun");
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn clearing_stops_the_speech_and_tells_everybody_who_waits() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let call = phone.dial_with(request(ECHO).audio_rate(SampleRate::Hz8000)).await;
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
    // What is said afterwards is heard, behind what was played before and nothing else.
    let played = speaker.played();
    let said = sweep(SampleRate::Hz8000, 400);
    speaker.send(&said).await.unwrap();
    assert_eq!(within("the drain", speaker.drain()).await, MarkOutcome::Played);
    assert!(speaker.played() - played >= said.len() as u64);
    assert!(speaker.stats().discarded >= removed as u64);
    call.hangup().await;
    let record = record(&sandbox, &call).await;
    assert!(mu_law_position(&recording(&record).samples, &said).is_some());
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn speech_that_runs_dry_is_counted_and_the_end_of_the_call_ends_the_streams() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    let call = phone.dial(LISTENER).await;
    let mut audio = call.audio().unwrap();
    assert!(call.audio().is_err(), "the streams are there once");
    within("the answer", call.answered()).await.unwrap();
    let speaker = audio.speaker.clone();
    let word = sweep(speaker.rate(), 100);
    speaker.send(&word).await.unwrap();
    let dry = async {
        while speaker.played() < word.len() as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // By the clock of the listener, whose queue may hold 200 ms from before.
        hear(&mut audio.listener, speaker.rate().samples(400)).await;
    };
    within("the gap", dry).await;
    speaker.send(&word).await.unwrap();
    assert_eq!(speaker.stats().underruns, 1);
    // The callee hangs up by itself after its sentence.
    let story = Story::of(&call).await;
    assert_eq!(story.ending(), "completed by remote: 200 OK");
    assert_eq!(story.end.media.unwrap().underruns, 1);
    assert!(speaker.is_closed());
    assert_eq!(speaker.send(&word).await, Err(SendError::Closed));
    let rest = async { while audio.listener.recv().await.is_some() {} };
    within("the end of the listener", rest).await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}
