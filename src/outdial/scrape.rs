//! The metrics of a host's provider, as text or in the host's own registry.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Outdial, Shared};
use crate::metrics::help;
use crate::sip::{Endpoint, Registration};

impl Outdial {
    /// The metrics of now, as text in the OpenMetrics format: the answer to a scrape, of the content type
    /// [`CONTENT_TYPE`](crate::metrics::CONTENT_TYPE). [`ALL`](crate::metrics::ALL) lists them.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut registry = Registry::default();
        self.register_metrics(&mut registry);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &registry);
        text
    }

    /// Adds the metrics to a registry of the host's, under the same names. The registry keeps nothing up: after the last
    /// handle of this provider its values stay as they are, and those of trunks and media threads are left out.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
        registry.register_collector(Box::new(OfEndpoint(Arc::downgrade(&self.0))));
    }
}

/// What the SIP provider counts itself.
struct OfEndpoint(Weak<Shared>);

impl fmt::Debug for OfEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfEndpoint").finish_non_exhaustive()
    }
}

impl Collector for OfEndpoint {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(shared) = self.0.upgrade() else { return Ok(()) };
        let Some(endpoint) = shared.carriers.endpoint() else { return Ok(()) };
        registered(endpoint, &mut encoder)?;
        let stats = endpoint.stats();
        for (name, count) in [
            ("outdial_media_frames", stats.frames),
            ("outdial_media_late_frames", stats.late_frames),
            ("outdial_callback_panics", stats.callback_panics),
        ] {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help(name), None, counter.metric_type())?)?;
        }
        refused(&endpoint.refused_messages(), &mut encoder)
    }
}

fn registered(endpoint: &Endpoint, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let states: Vec<(&str, bool)> = endpoint
        .trunks()
        .filter_map(|trunk| {
            let state = endpoint.registration(trunk)?.borrow().clone();
            let registers = state != Registration::NotRequired;
            registers.then_some((trunk, matches!(state, Registration::Registered { .. })))
        })
        .collect();
    if states.is_empty() {
        return Ok(());
    }
    let name = "outdial_trunk_registered";
    let kind = ConstGauge::new(0i64).metric_type();
    let mut family = encoder.encode_descriptor(name, help(name), None, kind)?;
    for (trunk, is_registered) in states {
        let gauge = ConstGauge::new(i64::from(is_registered));
        gauge.encode(family.encode_family(&[("trunk", trunk)])?)?;
    }
    Ok(())
}

fn refused(
    messages: &BTreeMap<&'static str, u64>,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    if messages.is_empty() {
        return Ok(());
    }
    let name = "outdial_sip_messages_refused";
    let kind = ConstCounter::new(0u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help(name), None, kind)?;
    for (reason, count) in messages {
        ConstCounter::new(*count).encode(family.encode_family(&[("reason", *reason)])?)?;
    }
    Ok(())
}
