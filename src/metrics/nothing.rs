//! Without the feature nothing is counted.

use std::time::Duration;

use crate::call::CallEnd;

/// Stands where the counters are with the feature.
#[derive(Default)]
pub(crate) struct Metrics {}

/// A call that is up.
pub(crate) struct Active;

impl Metrics {
    pub(crate) fn refused(&self, _: &'static str) {}

    pub(crate) fn begins(&self, _: &str, _: &'static str) -> Active {
        Active
    }

    pub(crate) fn set_up(&self, _: &str, _: &'static str, _: Duration) {}

    pub(crate) fn ended(&self, _: &str, _: &'static str, _: &CallEnd) {}

    pub(crate) fn spent(&self, _: &str, _: &'static str, _: f64) {}
}
