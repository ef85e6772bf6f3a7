//! What an attempt tells the host's trace and the metrics.

use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use tracing::Span;
use tracing::field::Empty;

use super::Attempt;
use crate::call::{CallEnd, CallEvent};
use crate::provider::DialRequest;

/// The span of a call: what is logged from the request to the last record stands in it, and its fields are filled in as
/// they become known. The number is masked, as everywhere.
pub(in crate::outdial) fn span(request: &DialRequest) -> Span {
    tracing::info_span!(
        target: "outdial::call",
        "call",
        agent = request.agent.as_str(),
        to = request.to.masked(),
        trunk = Empty,
        provider = Empty,
        call_id = Empty,
        reason = Empty,
        sip_code = Empty,
        ring_ms = Empty,
        talk_ms = Empty,
        mos = Empty,
        cost_usd = Empty,
    )
}

impl Attempt {
    /// An event of the call. The first sign of the callee's telephone ends the set-up; until then it is `silent`.
    pub(super) fn tell(&self, event: &CallEvent, silent: &mut bool) {
        let name = match event {
            CallEvent::Initiated => "initiated",
            CallEvent::Trying => "trying",
            CallEvent::Ringing => "ringing",
            CallEvent::EarlyMedia(_) => "early_media",
            CallEvent::Answered(_) => "answered",
            CallEvent::Held => "held",
            CallEvent::Resumed => "resumed",
            CallEvent::TransferProgress(_) => "transfer",
            CallEvent::MediaStalled => "media_stalled",
            CallEvent::MediaResumed => "media_resumed",
            CallEvent::SpeechFailed { .. } => "speech_failed",
            CallEvent::RecordingFault { .. } => "recording_fault",
            // Keys may be confidential, and the end has a line of its own.
            CallEvent::Dtmf(_) | CallEvent::Ended(_) => return,
        };
        let sign = matches!(event, CallEvent::Ringing | CallEvent::EarlyMedia(_) | CallEvent::Answered(_));
        if sign && std::mem::take(silent) {
            self.shared.metrics.set_up(&self.carrier, self.provider, self.began.elapsed());
        }
        tracing::debug!(target: "outdial::call", parent: &self.span, event = name);
    }

    /// The call is over.
    pub(super) fn tell_end(&self, end: &CallEnd) {
        self.state().active = None;
        self.shared.metrics.ended(&self.carrier, self.provider, end);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.span.record("reason", end.reason.as_str());
        self.span.record("ring_ms", millis(end.ring_time));
        self.span.record("talk_ms", millis(end.talk_time));
        if let Some(status) = &end.sip {
            self.span.record("sip_code", status.code);
        }
        if let Some(mos) = end.media.as_ref().and_then(|media| media.mos) {
            self.span.record("mos", f64::from(mos));
        }
        tracing::info!(target: "outdial::call", parent: &self.span, reason = end.reason.as_str(), "the call is over");
    }

    /// What the call has cost is settled.
    pub(super) fn tell_cost(&self, usd: Decimal) {
        let usd = usd.to_f64().unwrap_or_default();
        self.shared.metrics.spent(&self.carrier, self.provider, usd);
        self.span.record("cost_usd", usd);
    }
}
