//! The second call, by which a callee has the first one moved: it is asked of the rules like any other and leaves records of
//! its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Instrument as _;

use super::Attempt;
use crate::call::CallId;
use crate::outdial::Shared;
use crate::policy::Rules;
use crate::provider::{DialError, E164, Record};

/// The operator's rules, as they are for somebody whom we did not choose: what agents may be permitted to call a callee may
/// not make us call.
pub(super) fn rules(rules: &Rules) -> Rules {
    Rules { allow_emergency: false, allow_premium: false, allow_satellite: false, ..rules.clone() }
}

impl Attempt {
    /// Calls whoever the callee has the call moved to, in the name of the same agent and over the same trunk, and keeps that
    /// call until it is over. The callee's consent is not that of whoever is called now.
    pub(super) fn dial_second(&self, to: &E164, call: &CallId, failed: Box<dyn FnOnce(&DialError) + Send>) {
        let mut request = self.request.clone();
        request.to = to.clone();
        request.moves = Some(call.clone());
        (request.idempotency_key, request.consent) = (None, None);
        // The sound goes through the queues of the first call, and into its recording.
        request.record = Some(Record::Nothing);
        let shared = Arc::clone(&self.shared);
        let dial = async move {
            if shared.leaving.load(Ordering::Relaxed) {
                return failed(&DialError::ShutDown);
            }
            match Shared::attempt(&shared, request, None).await.unwrap_or(Err(DialError::ShutDown)) {
                Ok(second) => {
                    // The first call ends it, or it the first call.
                    second.ended().await;
                }
                Err(error) => failed(&error),
            }
        };
        self.runtime.spawn(dial.instrument(self.span.clone()));
    }
}
