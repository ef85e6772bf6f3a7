//! What a soak found.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::holdings::Holdings;
use crate::records::Records;
use crate::trouble::Trouble;

/// What a soak found. What must hold is in [`broken`](Self::broken).
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// How long it took, in minutes.
    pub minutes: f64,
    /// Calls at the same time.
    pub lines: u32,
    /// Calls that were tried.
    pub tried: u64,
    /// Of these, those that never left, by the kind of the error.
    pub not_made: BTreeMap<String, u64>,
    /// Those that left, by the reason of their end.
    pub ended: BTreeMap<String, u64>,
    /// How often each kind of trouble was made.
    pub troubles: BTreeMap<Trouble, u32>,
    /// Calls without an end, each with what is known of it.
    pub leaked: Vec<String>,
    /// What provider and PJSIP still held when all calls were over.
    pub held: usize,
    /// Calls that made a telephone ring more than once, by Call-ID.
    pub double_rings: Vec<String>,
    /// Panics in callbacks.
    pub panics: u64,
    /// Frames of sound that were moved, and those that were left out because a thread was late.
    pub frames: (u64, u64),
    /// Before the endpoint started.
    pub at_first: Holdings,
    /// With the endpoint up, before the first call.
    pub before: Holdings,
    /// With the endpoint up, after the last call.
    pub after: Holdings,
    /// After the shutdown.
    pub at_last: Holdings,
    /// How memory grew in the second half, in kilobytes a minute.
    pub memory_slope: f64,
    /// What is in the records.
    pub records: Records,
}

impl Report {
    /// What must hold and does not, in words; nothing if all is well.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                broken.push(what);
            }
        };
        let ended: u64 = self.ended.values().sum();
        must(ended > 0, "no call was made".to_owned());
        must(self.leaked.is_empty(), format!("{} calls were left over", self.leaked.len()));
        must(self.held == 0, format!("{} call slots are held", self.held));
        must(self.double_rings.is_empty(), format!("{} calls rang twice", self.double_rings.len()));
        must(self.panics == 0, format!("{} callbacks panicked", self.panics));
        let (before, after) = (self.before, self.after);
        must(after.sockets <= before.sockets, format!("sockets: {} → {}", before.sockets, after.sockets));
        must(after.threads <= before.threads, format!("threads: {} → {}", before.threads, after.threads));
        let (first, last) = (self.at_first, self.at_last);
        must(last.sockets <= first.sockets, format!("sockets: {} → {}", first.sockets, last.sockets));
        must(self.records.are_whole(), format!("the records are not whole: {:?}", self.records));
        broken
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.1} minutes, {} lines, {} calls tried", self.minutes, self.lines, self.tried)?;
        let table = |f: &mut fmt::Formatter<'_>, title: &str, rows: Vec<(String, u64)>| {
            writeln!(f, "{title}")?;
            rows.into_iter().try_for_each(|(what, count)| writeln!(f, "  {count:>7}  {what}"))
        };
        let owned = |map: &BTreeMap<String, u64>| map.iter().map(|(k, v)| (k.clone(), *v)).collect();
        table(f, "ended", owned(&self.ended))?;
        table(f, "not made", owned(&self.not_made))?;
        let troubles = self.troubles.iter().map(|(trouble, count)| (trouble.to_string(), (*count).into()));
        table(f, "trouble", troubles.collect())?;
        writeln!(f, "left over: {}, call slots held: {}", self.leaked.len(), self.held)?;
        self.leaked.iter().try_for_each(|call| writeln!(f, "  {call}"))?;
        writeln!(f, "rang twice: {}", self.double_rings.len())?;
        writeln!(f, "panics: {}", self.panics)?;
        writeln!(f, "frames: {}, left out: {}", self.frames.0, self.frames.1)?;
        writeln!(f, "             sockets  descriptors  threads  memory in KB")?;
        for (when, held) in [
            ("at first", self.at_first),
            ("before", self.before),
            ("after", self.after),
            ("at last", self.at_last),
        ] {
            let Holdings { sockets, descriptors, threads, memory_kb } = held;
            writeln!(f, "  {when:<9}{sockets:>9}{descriptors:>13}{threads:>9}{memory_kb:>14}")?;
        }
        writeln!(f, "memory: {:+.0} KB a minute in the second half", self.memory_slope)?;
        let Records { intact, starts, ends, entered, settled } = self.records;
        writeln!(
            f,
            "records: {starts} starts and {ends} ends in the audit log, which is {}; {settled} of {entered} settled in the \
             ledger",
            if intact { "intact" } else { "BROKEN" }
        )?;
        match self.broken().as_slice() {
            [] => write!(f, "all that must hold, held"),
            broken => write!(f, "BROKEN: {}", broken.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        Report {
            ended: [("completed".to_owned(), 3)].into(),
            records: Records { intact: true, starts: 3, ends: 3, entered: 3, settled: 3 },
            ..Report::default()
        }
    }

    #[test]
    fn each_thing_that_must_hold_breaks_by_itself() {
        assert!(good().broken().is_empty());
        let more = Holdings { sockets: 1, threads: 0, ..Holdings::default() };
        let busy = Holdings { threads: 1, ..Holdings::default() };
        for broken in [
            Report { ended: BTreeMap::new(), ..good() },
            Report { leaked: vec!["a call".to_owned()], ..good() },
            Report { held: 1, ..good() },
            Report { double_rings: vec!["a call".to_owned()], ..good() },
            Report { panics: 1, ..good() },
            Report { after: more, ..good() },
            Report { after: busy, ..good() },
            Report { at_last: more, ..good() },
            Report { records: Records { ends: 2, ..good().records }, ..good() },
        ] {
            assert_eq!(broken.broken().len(), 1, "{:?}", broken.broken());
            assert!(broken.to_string().contains("BROKEN"));
        }
    }
}
