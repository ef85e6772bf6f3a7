//! The words of a call as lines of JSON. No I/O, no clock: times are milliseconds since the answer.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::timestamp;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(super) enum Line<'a> {
    /// The first one.
    Call { call_id: &'a str, agent_id: &'a str, provider: &'a str, answered_at: String },
    /// Somebody said something.
    Words {
        who: Who,
        /// Null if it was said while the recording was paused.
        text: Option<&'a str>,
        r#final: bool,
        start_ms: u64,
        end_ms: u64,
        at: String,
        /// Words of the agent that were not played.
        #[serde(skip_serializing_if = "Option::is_none")]
        unplayed: Option<&'a str>,
        /// What became of the agent's words.
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<&'static str>,
    },
    /// From here on nothing is written down.
    Paused { ms: u64, at: String },
    /// Words are written down again.
    Resumed { ms: u64, at: String },
    /// The last one.
    End { ms: u64, at: String },
}

/// Who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    Callee,
    Agent,
}

impl Line<'_> {
    /// With its line end.
    pub(super) fn text(&self) -> String {
        // Strings and numbers: there is nothing that could fail.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// A moment of the call on the clock of the wall.
pub(super) fn wall(answered: SystemTime, ms: u64) -> String {
    timestamp::iso(answered + Duration::from_millis(ms))
}

/// When a recording is paused.
#[derive(Debug, Default)]
pub(super) struct Pauses(Vec<(u64, Option<u64>)>);

impl Pauses {
    /// It is paused from here on, or no longer. Returns whether that is news.
    pub(super) fn set(&mut self, ms: u64, paused: bool) -> bool {
        match (self.0.last_mut(), paused) {
            (Some((_, till @ None)), false) => *till = Some(ms),
            (Some((_, None)), true) => return false,
            (_, true) => self.0.push((ms, None)),
            (_, false) => return false,
        }
        true
    }

    /// Whether any of this was said in a pause.
    pub(super) fn touch(&self, start_ms: u64, end_ms: u64) -> bool {
        self.0.iter().any(|(from, till)| *from <= end_ms && till.is_none_or(|till| till > start_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_with_its_times() {
        let at = wall(SystemTime::UNIX_EPOCH + Duration::from_millis(1_771_056_245_006), 1_500);
        let line = Line::Words {
            who: Who::Agent,
            text: Some("We have \"Tuesday\"."),
            r#final: true,
            start_ms: 1_500,
            end_ms: 2_700,
            at,
            unplayed: Some("Or Friday?"),
            outcome: Some("cleared"),
        };
        assert_eq!(
            line.text(),
            "{\"type\":\"words\",\"who\":\"agent\",\"text\":\"We have \\\"Tuesday\\\".\",\"final\":true,\
             \"startMs\":1500,\"endMs\":2700,\"at\":\"2026-02-14T08:04:06.506Z\",\"unplayed\":\"Or Friday?\",\
             \"outcome\":\"cleared\"}\n"
        );
        let line = Line::Paused { ms: 0, at: wall(SystemTime::UNIX_EPOCH, 0) };
        assert_eq!(line.text(), "{\"type\":\"paused\",\"ms\":0,\"at\":\"1970-01-01T00:00:00.000Z\"}\n");
    }

    #[test]
    fn what_a_pause_touches_is_known() {
        let mut pauses = Pauses::default();
        assert!(!pauses.set(5, false) && pauses.set(10, true) && !pauses.set(11, true));
        assert!(pauses.set(20, false) && !pauses.set(21, false) && pauses.set(40, true));
        for (start, end, touched) in
            [(0, 9, false), (0, 10, true), (12, 13, true), (19, 30, true), (20, 39, false), (30, 99, true)]
        {
            assert_eq!(pauses.touch(start, end), touched, "{start} to {end}");
        }
    }
}
