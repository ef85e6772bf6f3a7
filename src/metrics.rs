//! What is counted of calls, for Prometheus and its like (feature `prometheus`).
//!
//! [`Outdial::metrics`](crate::Outdial::metrics) is the text of a scrape in the OpenMetrics format, and
//! [`Outdial::register_metrics`](crate::Outdial::register_metrics) adds the same to the registry of a host that has one.
//! There is nothing global: each `Outdial` counts its own calls. [`ALL`] lists what there is, and so does `docs/metrics.md`.
//!
//! Labels are few on purpose: the trunk, which is a trunk or a provider of the configuration, never a number or an agent,
//! of which there is no end.

#[cfg(feature = "prometheus")]
mod families;
#[cfg(not(feature = "prometheus"))]
mod nothing;

#[cfg(feature = "prometheus")]
pub(crate) use families::{Active, Metrics};
#[cfg(not(feature = "prometheus"))]
pub(crate) use nothing::{Active, Metrics};

/// The content type of the text, for the answer to a scrape.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A metric: its name without the suffixes of its samples, its type, its labels, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// The name, unit last: `outdial_talk_seconds`. The samples of a counter end in `_total`.
    pub name: &'static str,
    /// The OpenMetrics type: `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, without a full stop.
    pub help: &'static str,
}

const fn describe(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Description {
    Description { name, kind, labels, help }
}

const TRUNK: &[&str] = &["trunk", "provider"];

/// Every metric.
pub const ALL: &[Description] = &[
    describe(
        "outdial_attempts",
        "counter",
        &["trunk", "provider", "reason"],
        "Calls that were made and are over, by end reason",
    ),
    describe(
        "outdial_refusals",
        "counter",
        &["rule"],
        "Calls that were asked for and not made, by rule or kind of error",
    ),
    describe("outdial_active_calls", "gauge", TRUNK, "Calls that are up or being made"),
    describe(
        "outdial_setup_seconds",
        "histogram",
        TRUNK,
        "From the request to the first sign of the callee's telephone",
    ),
    describe("outdial_ring_seconds", "histogram", TRUNK, "How long it rang, answered or not"),
    describe("outdial_talk_seconds", "histogram", TRUNK, "From the answer to the end"),
    describe(
        "outdial_mos",
        "histogram",
        TRUNK,
        "Estimated quality of what was received, 1 to 4.5 (ITU-T G.107)",
    ),
    describe(
        "outdial_loss_ratio",
        "histogram",
        &["trunk", "provider", "direction"],
        "Packets lost on the way, of all, 0 to 1",
    ),
    describe(
        "outdial_jitter_seconds",
        "histogram",
        TRUNK,
        "Mean variation of the packets' arrival (RFC 3550)",
    ),
    describe(
        "outdial_playout_underruns",
        "counter",
        TRUNK,
        "Times when there was nothing to play in the midst of speech",
    ),
    describe(
        "outdial_listen_frames_dropped",
        "counter",
        TRUNK,
        "Frames of 20 ms that the application was too slow to take",
    ),
    describe(
        "outdial_spend_usd",
        "counter",
        TRUNK,
        "What calls have cost, in US dollars, by the contract or the carrier's price",
    ),
    describe(
        "outdial_trunk_registered",
        "gauge",
        &["trunk"],
        "1 while a trunk that registers is registered, else 0",
    ),
    describe("outdial_media_frames", "counter", &[], "Frames of 20 ms that the media threads have moved"),
    describe("outdial_media_late_frames", "counter", &[], "Frames left out because a media thread ran late"),
    describe(
        "outdial_sip_messages_refused",
        "counter",
        &["reason"],
        "Messages that were kept from the SIP stack",
    ),
    describe("outdial_callback_panics", "counter", &[], "Faults of this library that were caught"),
];

/// What a metric says.
#[cfg(feature = "prometheus")]
pub(crate) fn help(name: &str) -> &'static str {
    ALL.iter().find(|metric| metric.name == name).map_or("", |metric| metric.help)
}
