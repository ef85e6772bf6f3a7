//! The counters and histograms of calls.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::help;
use crate::call::{CallEnd, MediaStats};

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What carries a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTrunk {
    trunk: String,
    provider: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnd {
    trunk: String,
    provider: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDirection {
    trunk: String,
    provider: &'static str,
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRule {
    rule: &'static str,
}

/// What is counted of the calls of one [`Outdial`](crate::Outdial).
pub(crate) struct Metrics {
    attempts: Family<OfEnd, Counter>,
    refusals: Family<OfRule, Counter>,
    active: Family<OfTrunk, Gauge>,
    setup: Histograms<OfTrunk>,
    ring: Histograms<OfTrunk>,
    talk: Histograms<OfTrunk>,
    mos: Histograms<OfTrunk>,
    loss: Histograms<OfDirection>,
    jitter: Histograms<OfTrunk>,
    underruns: Family<OfTrunk, Counter>,
    dropped: Family<OfTrunk, Counter>,
    spend: Family<OfTrunk, Counter<f64, AtomicU64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            refusals: Family::default(),
            active: Family::default(),
            // Fractions of a second on a good trunk, many seconds through several carriers.
            setup: Family::new_with_constructor(|| {
                Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 32.0])
            }),
            ring: Family::new_with_constructor(|| {
                Histogram::new([1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0])
            }),
            talk: Family::new_with_constructor(|| {
                Histogram::new([1.0, 3.0, 6.0, 12.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0])
            }),
            mos: Family::new_with_constructor(|| {
                Histogram::new([1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4])
            }),
            loss: Family::new_with_constructor(|| {
                Histogram::new([0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5])
            }),
            jitter: Family::new_with_constructor(|| {
                Histogram::new([0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2])
            }),
            underruns: Family::default(),
            dropped: Family::default(),
            spend: Family::default(),
        }
    }
}

/// A call that is up, as long as this lives.
pub(crate) struct Active(Gauge);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn of(trunk: &str, provider: &'static str) -> OfTrunk {
    OfTrunk { trunk: trunk.to_owned(), provider }
}

impl Metrics {
    /// A call was asked for and not made.
    pub(crate) fn refused(&self, rule: &'static str) {
        self.refusals.get_or_create(&OfRule { rule }).inc();
    }

    /// A call has passed the rules.
    pub(crate) fn begins(&self, trunk: &str, provider: &'static str) -> Active {
        let gauge = self.active.get_or_create(&of(trunk, provider)).clone();
        gauge.inc();
        Active(gauge)
    }

    /// The first sign of the callee's telephone came.
    pub(crate) fn set_up(&self, trunk: &str, provider: &'static str, time: Duration) {
        self.setup.get_or_create(&of(trunk, provider)).observe(time.as_secs_f64());
    }

    /// A call is over.
    pub(crate) fn ended(&self, trunk: &str, provider: &'static str, end: &CallEnd) {
        let labels = of(trunk, provider);
        let reason = OfEnd { trunk: trunk.to_owned(), provider, reason: end.reason.as_str() };
        self.attempts.get_or_create(&reason).inc();
        if !end.ring_time.is_zero() {
            self.ring.get_or_create(&labels).observe(end.ring_time.as_secs_f64());
        }
        if !end.talk_time.is_zero() {
            self.talk.get_or_create(&labels).observe(end.talk_time.as_secs_f64());
        }
        if let Some(media) = &end.media {
            self.sound(labels, media);
        }
    }

    fn sound(&self, labels: OfTrunk, media: &MediaStats) {
        if let Some(mos) = media.mos {
            self.mos.get_or_create(&labels).observe(mos.into());
        }
        let lost = [("received", Some(media.loss_received_percent)), ("sent", media.loss_sent_percent)];
        for (direction, percent) in lost {
            let Some(percent) = percent.filter(|_| media.packets_received > 0 || direction == "sent") else {
                continue;
            };
            let labels = OfDirection { trunk: labels.trunk.clone(), provider: labels.provider, direction };
            self.loss.get_or_create(&labels).observe(f64::from(percent) / 100.0);
        }
        if media.packets_received > 0 {
            self.jitter.get_or_create(&labels).observe(f64::from(media.jitter_mean_ms) / 1000.0);
        }
        self.underruns.get_or_create(&labels).inc_by(media.underruns);
        self.dropped.get_or_create(&labels).inc_by(media.frames_dropped);
    }

    /// What a call has cost is known.
    pub(crate) fn spent(&self, trunk: &str, provider: &'static str, usd: f64) {
        self.spend.get_or_create(&of(trunk, provider)).inc_by(usd);
    }

    /// Adds all of it to a registry; the counters go on being ours.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let mut add = Adding(registry);
        add.metric("outdial_attempts", &self.attempts);
        add.metric("outdial_refusals", &self.refusals);
        add.metric("outdial_active_calls", &self.active);
        add.metric("outdial_setup_seconds", &self.setup);
        add.metric("outdial_ring_seconds", &self.ring);
        add.metric("outdial_talk_seconds", &self.talk);
        add.metric("outdial_mos", &self.mos);
        add.metric("outdial_loss_ratio", &self.loss);
        add.metric("outdial_jitter_seconds", &self.jitter);
        add.metric("outdial_playout_underruns", &self.underruns);
        add.metric("outdial_listen_frames_dropped", &self.dropped);
        add.metric("outdial_spend_usd", &self.spend);
    }
}

struct Adding<'r>(&'r mut Registry);

impl Adding<'_> {
    fn metric<M: Metric + Clone>(&mut self, name: &'static str, metric: &M) {
        self.0.register(name, help(name), metric.clone());
    }
}
