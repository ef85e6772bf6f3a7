//! What must be in order before the first packet of a call leaves: whom may be called, when, how often, how many at the
//! same time, and for how much money.
//!
//! [`Rules`] are the operator's, from the table `[policy]` of `outdial.toml`. The decision is pure: numbers, times and
//! counts go in, a yes or a typed no comes out. A rule that cannot be evaluated says no.

mod ask;
mod counts;
mod list;
mod number;
mod quiet;
mod rules;

pub(crate) use ask::{Ask, Limits, Moment};
pub(crate) use counts::{Admission, Counts};
pub(crate) use list::DoNotCall;
pub use quiet::{QuietHours, QuietHoursError};
pub(crate) use rules::Refusal;
pub use rules::Rules;
