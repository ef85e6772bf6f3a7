//! Where the words of a call come together, whoever tells them, and wait to be written.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::transcript::{Line, Pauses, Who, wall};
use crate::audio::DuplexControl;
use crate::call::{Heard, Said, Scribe};

/// So many lines wait at most for a disk that is busy.
const MOST: usize = 2_000;

/// A call's desk: it pauses the recording, and has the lines of the transcript.
pub(crate) struct ScribeDesk {
    control: DuplexControl,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    pauses: Pauses,
    /// Lines that there was no room for.
    lost: u64,
    /// When the call ended.
    ended_ms: Option<u64>,
    closed: bool,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) text: String,
    /// Nothing follows.
    pub(super) closed: bool,
    /// Lines that there was no room for so far.
    pub(super) lost: u64,
}

impl ScribeDesk {
    pub(crate) fn new(control: DuplexControl) -> Self {
        let mut state = State::default();
        if control.is_paused() {
            state.pauses.set(0, true);
        }
        Self { control, state: Mutex::new(state) }
    }

    /// Pauses or continues the recording and the transcript. Returns the moment, in milliseconds since the answer, if it was
    /// otherwise before.
    pub(crate) fn pause(&self, paused: bool) -> Option<u64> {
        let mut state = self.state();
        // Under the lock, so that both know the same order.
        self.control.pause(paused);
        let ms = self.now_ms();
        if !state.pauses.set(ms, paused) {
            return None;
        }
        if let Some(begun) = self.control.begun() {
            let at = wall(begun.wall, ms);
            state.push(if paused { Line::Paused { ms, at } } else { Line::Resumed { ms, at } });
        }
        Some(ms)
    }

    /// The call is over; what was said before may still be told.
    pub(crate) fn call_ended(&self) {
        let ms = self.now_ms();
        self.state().ended_ms.get_or_insert(ms);
    }

    /// Takes nothing any more.
    pub(crate) fn close(&self) {
        let ms = self.now_ms();
        let mut state = self.state();
        if !std::mem::replace(&mut state.closed, true)
            && let Some(begun) = self.control.begun()
        {
            let ms = state.ended_ms.unwrap_or(ms);
            state.lines.push_back(Line::End { ms, at: wall(begun.wall, ms) }.text());
        }
    }

    /// Takes the lines that wait.
    pub(super) fn take(&self) -> Written {
        let mut state = self.state();
        Written { text: state.lines.drain(..).collect(), closed: state.closed, lost: state.lost }
    }

    /// Milliseconds since the answer.
    fn now_ms(&self) -> u64 {
        self.control.begun().map_or(0, |begun| millis(begun.at, Instant::now()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, line: Line<'_>) {
        if self.closed {
            return;
        }
        if self.lines.len() >= MOST {
            self.lost += 1;
        } else {
            self.lines.push_back(line.text());
        }
    }
}

impl Scribe for ScribeDesk {
    fn heard(&self, words: Heard<'_>) {
        let Some(begun) = self.control.begun() else { return };
        let offset = self.control.listening_ms();
        let place = |time: std::time::Duration| {
            i64::try_from(time.as_millis()).unwrap_or(i64::MAX).saturating_add(offset)
        };
        // Announcements and ringing tones from before the answer are nobody's words.
        let Ok(end_ms) = u64::try_from(place(words.end)) else { return };
        let start_ms = u64::try_from(place(words.start)).unwrap_or(0);
        let mut state = self.state();
        let text = (!state.pauses.touch(start_ms, end_ms)).then_some(words.text);
        state.push(Line::Words {
            who: Who::Callee,
            text,
            r#final: words.is_final,
            start_ms,
            end_ms,
            at: wall(begun.wall, start_ms),
            unplayed: None,
            outcome: None,
        });
    }

    fn said(&self, words: Said<'_>) {
        let Some(begun) = self.control.begun().filter(|begun| begun.at <= words.end) else { return };
        let (start_ms, end_ms) = (millis(begun.at, words.start), millis(begun.at, words.end));
        let mut state = self.state();
        let open = !state.pauses.touch(start_ms, end_ms);
        state.push(Line::Words {
            who: Who::Agent,
            text: open.then_some(words.text),
            r#final: true,
            start_ms,
            end_ms,
            at: wall(begun.wall, start_ms),
            unplayed: open.then_some(words.unplayed),
            outcome: Some(words.outcome),
        });
    }
}

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::audio::{DuplexSink, SampleRate, duplex};

    /// A desk of a call that was answered now, after this much of early media.
    fn desk(early_ms: u64, paused: bool) -> (ScribeDesk, DuplexSink) {
        let (mut sink, source) = duplex(false, paused);
        sink.set_wire_rate(SampleRate::Hz8000);
        sink.begin(Duration::from_millis(early_ms));
        (ScribeDesk::new(source.control().clone()), sink)
    }

    fn lines(desk: &ScribeDesk) -> Vec<Value> {
        desk.take().text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn heard(start: u64, end: u64) -> Heard<'static> {
        let ms = Duration::from_millis;
        Heard { text: "yes", is_final: true, start: ms(start), end: ms(end) }
    }

    #[test]
    fn times_count_from_the_answer() {
        let (desk, _sink) = desk(1_000, false);
        desk.heard(heard(200, 900));
        desk.heard(heard(1_200, 1_900));
        let now = Instant::now();
        desk.said(Said { text: "a", unplayed: "b", outcome: "cleared", start: now, end: now });
        let [callee, agent] = &lines(&desk)[..] else { panic!("the first was before the answer") };
        assert_eq!(
            (&callee["startMs"], &callee["endMs"], &callee["who"]),
            (&200.into(), &900.into(), &"callee".into())
        );
        assert_eq!((&callee["text"], callee.get("unplayed")), (&"yes".into(), None));
        assert_eq!((&agent["text"], &agent["unplayed"]), (&"a".into(), &"b".into()));
        assert_eq!((&agent["outcome"], &agent["who"]), (&"cleared".into(), &"agent".into()));
    }

    #[test]
    fn what_was_said_in_a_pause_is_not_written_down() {
        let (desk, sink) = desk(0, true);
        assert!(sink.control().is_paused());
        desk.heard(heard(0, 10));
        std::thread::sleep(Duration::from_millis(5));
        assert!(desk.pause(false).is_some() && desk.pause(false).is_none());
        assert!(!sink.control().is_paused());
        // It is told after the pause and was said in it.
        desk.heard(heard(0, 5_000));
        desk.heard(heard(60_000, 61_000));
        let told = lines(&desk);
        let texts: Vec<&Value> = told.iter().map(|line| &line["text"]).collect();
        assert_eq!(texts, [&Value::Null, &Value::Null, &Value::Null, &Value::from("yes")]);
        assert_eq!(told[1]["type"], "resumed");
    }

    #[test]
    fn nothing_is_written_before_the_answer_or_after_the_end() {
        let (_sink, source) = duplex(false, false);
        let unanswered = ScribeDesk::new(source.control().clone());
        unanswered.heard(heard(0, 10));
        assert!(unanswered.pause(true).is_some());
        unanswered.close();
        assert!(lines(&unanswered).is_empty());
        let (desk, _sink) = desk(0, false);
        desk.call_ended();
        desk.heard(heard(0, 10));
        desk.close();
        desk.close();
        desk.heard(heard(20, 30));
        let told = lines(&desk);
        assert_eq!((told.len(), &told[1]["type"]), (2, &"end".into()));
    }

    #[test]
    fn lines_that_nobody_writes_are_bounded() {
        let (desk, _sink) = desk(0, false);
        (0..2_010).for_each(|n| desk.heard(heard(n, n)));
        let written = desk.take();
        assert_eq!((written.text.lines().count(), written.lost), (2_000, 10));
    }
}
