//! What calls cost: the contract's terms, one event for each attempt, and totals.
//!
//! A [`Tariff`] rates a call by the longest prefix of the number; the result is exact, in decimal. A provider makes
//! one [`UsageEvent`] of each attempt, answered or not, and hands it to the host's [`UsageSink`]. Billing starts at
//! the answer: what rang and was never picked up costs nothing.

mod event;
mod tariff;
mod totals;

pub use event::{UsageError, UsageEvent, UsageSink};
pub use tariff::{BillableUnit, Charge, Increment, IncrementError, Rate, Tariff};
pub use totals::{UnitTotal, UsageTotals};
