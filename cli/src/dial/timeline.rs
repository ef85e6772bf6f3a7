//! The time line on the screen.

use std::io::Write as _;
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use anyhow::Result;

use super::note::{Note, Tint};

const TIME: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// Writes notes to standard output, each with the time since the start. Colours only on a terminal.
pub(super) struct Timeline {
    start: Instant,
    json: bool,
}

impl Timeline {
    /// Time zero is now.
    pub(super) fn start(json: bool) -> Self {
        Self { start: Instant::now(), json }
    }

    pub(super) fn note(&mut self, note: &Note) -> Result<()> {
        let now = self.start.elapsed();
        let mut out = anstream::stdout().lock();
        if self.json {
            let mut value = note.json();
            value["t_ms"] = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).into();
            writeln!(out, "{value}")?;
        } else {
            let style = match note.tint() {
                Tint::Plain => Style::new(),
                Tint::Good => GOOD,
                Tint::Bad => BAD,
            };
            for (index, line) in note.text().iter().enumerate() {
                if index == 0 {
                    writeln!(out, "{TIME}{:>8.3}{TIME:#}  {style}{line}{style:#}", now.as_secs_f64())?;
                } else {
                    writeln!(out, "{:>8}  {line}", "")?;
                }
            }
        }
        // Read as it happens, also through a pipe.
        out.flush()?;
        Ok(())
    }
}
