use super::*;

const RATE: SampleRate = SampleRate::Hz8000;
const FRAME: usize = RATE.frame_len();

fn take(source: &mut DuplexSource) -> (Vec<i16>, Vec<Step>, Progress) {
    let mut batch = Batch::default();
    let progress = source.take(&mut batch);
    (batch.samples, batch.steps, progress)
}

fn begun(sound: bool, paused: bool) -> (DuplexSink, DuplexSource) {
    let (mut sink, source) = duplex(sound, paused);
    sink.set_wire_rate(RATE);
    (sink, source)
}

fn turn(sink: &mut DuplexSink, heard: i16, spoken: i16) {
    sink.begin(Duration::ZERO);
    sink.heard(&[heard; FRAME], 0);
    sink.spoken(&[spoken; FRAME]);
}

/// The samples of both sides, one after the other.
fn sides(samples: &[i16]) -> (Vec<i16>, Vec<i16>) {
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
}

#[test]
fn what_was_heard_and_spoken_in_a_turn_stands_side_by_side() {
    let (mut sink, mut source) = begun(true, false);
    assert!(!take(&mut source).2.has_begun);
    turn(&mut sink, 1, 2);
    turn(&mut sink, 3, 4);
    let (samples, steps, progress) = take(&mut source);
    let (callee, agent) = sides(&samples);
    assert_eq!(callee, [[1; FRAME], [3; FRAME]].concat());
    assert_eq!(agent, [[2; FRAME], [4; FRAME]].concat());
    assert_eq!(steps, [Step { at: 0, what: Between::Rate(RATE) }]);
    assert!(progress.has_begun && !progress.ended);
    drop(sink);
    assert!(take(&mut source).2.ended);
}

#[test]
fn what_is_not_to_be_recorded_is_no_turn() {
    let (mut sink, mut source) = begun(true, false);
    sink.spoken(&[7; FRAME]);
    assert!(!take(&mut source).2.has_begun && sink.control().begun().is_none());
}

#[test]
fn a_pause_is_silence_from_the_next_turn_on() {
    let (mut sink, mut source) = begun(true, false);
    turn(&mut sink, 1, 1);
    sink.heard(&[2; FRAME], 0);
    sink.control().pause(true);
    sink.spoken(&[2; FRAME]);
    turn(&mut sink, 3, 3);
    sink.control().pause(false);
    turn(&mut sink, 4, 4);
    let (samples, _, progress) = take(&mut source);
    let (callee, agent) = sides(&samples);
    assert_eq!(callee, [[1; FRAME], [0; FRAME], [0; FRAME], [4; FRAME]].concat());
    assert_eq!(agent, callee);
    assert_eq!(progress.paused, Duration::from_millis(40));
}

#[test]
fn turns_that_were_left_out_are_silence_of_their_length() {
    let (mut sink, mut source) = begun(true, false);
    turn(&mut sink, 1, 1);
    sink.heard(&[2; FRAME], 3);
    sink.spoken(&[2; FRAME]);
    let (samples, steps, progress) = take(&mut source);
    assert_eq!(samples.len(), 4 * FRAME);
    assert_eq!(steps[1..], [Step { at: FRAME, what: Between::Silence(3 * FRAME as u64) }]);
    assert!(progress.lost.is_zero(), "nobody lost what never was");
}

#[test]
fn the_time_between_two_streams_is_silence() {
    let (mut sink, mut source) = begun(true, false);
    turn(&mut sink, 1, 1);
    std::thread::sleep(Duration::from_millis(60));
    sink.set_wire_rate(SampleRate::Hz16000);
    sink.heard(&[2; 320], 9);
    sink.spoken(&[2; 320]);
    let (_, steps, _) = take(&mut source);
    let [_, rate, silence] = steps[..] else { panic!("{steps:?}") };
    assert_eq!(rate, Step { at: FRAME, what: Between::Rate(SampleRate::Hz16000) });
    // 40 ms at least, counted at the new rate; missed turns of the old stream are in them.
    let Between::Silence(count) = silence.what else { panic!("{steps:?}") };
    assert!(silence.at == FRAME && count >= 640, "{steps:?}");
}

#[test]
fn what_finds_no_room_is_silence_of_the_same_length_and_counted() {
    let (mut sink, mut source) = begun(true, false);
    for _ in 0..200 {
        turn(&mut sink, 1, 1);
    }
    assert!(take(&mut source).2.lost.is_zero());
    for _ in 0..210 {
        turn(&mut sink, 2, 2);
    }
    let (samples, steps, progress) = take(&mut source);
    assert_eq!(samples.len(), 2 * 200 * FRAME);
    assert_eq!(steps, [Step { at: 200 * FRAME, what: Between::Silence(10 * FRAME as u64) }]);
    assert_eq!(progress.lost, Duration::from_millis(200));
    turn(&mut sink, 3, 3);
    assert_eq!(take(&mut source).0.len(), 2 * FRAME, "there is room again");
}

#[test]
fn without_sound_the_time_is_kept() {
    let (mut sink, mut source) = begun(false, true);
    sink.begin(Duration::from_millis(1_500));
    turn(&mut sink, 1, 1);
    let (samples, steps, progress) = take(&mut source);
    assert!(samples.is_empty() && steps.is_empty() && progress.has_begun);
    assert_eq!((sink.control().listening_ms(), progress.paused.as_millis()), (-1_500, 20));
    sink.listener_begins(Duration::from_millis(60));
    assert_eq!(source.control().listening_ms(), 60);
}
