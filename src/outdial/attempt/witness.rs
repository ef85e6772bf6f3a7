//! What an attempt is told on its way: by the provider before the call leaves, and by the call.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{AGENT, Attempt, CALLEE, moving};
use crate::audio::DuplexSink;
use crate::audit::AuditEvent;
use crate::call::{CallError, CallId, CallWitness, Scribe, TransferTarget};
use crate::outdial::target;
use crate::policy::Refusal;
use crate::provider::{DialError, E164, Price, Witness};

#[async_trait]
impl Witness for Attempt {
    async fn leaving(&self, call: &CallId) -> Result<(), DialError> {
        self.wanted()?;
        let row = self.begin(Some(call)).await?;
        self.announce(row, call.as_str()).await
    }

    async fn sent(&self) -> Result<(), DialError> {
        self.wanted()?;
        self.begin(None).await?;
        self.may_ring.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn stayed(&self) {
        self.may_ring.store(false, Ordering::Relaxed);
    }

    fn recorder(&self) -> Option<DuplexSink> {
        self.state().keeping.recorder()
    }

    fn price_follows(&self, price: oneshot::Receiver<Price>) {
        self.state().price = Some(price);
    }

    fn may_move(&self, to: &E164) -> bool {
        moving::rules(&self.shared.config.policy).judge_number(to).is_ok()
    }

    fn move_refused(&self, to: Option<&E164>) {
        self.transfer(CALLEE, to.map(E164::masked).unwrap_or_default(), "refused", None);
    }

    fn move_to(&self, to: &E164, call: &CallId, failed: Box<dyn FnOnce(&DialError) + Send>) {
        self.transfer(CALLEE, to.masked(), "requested", None);
        self.moved_by_callee.store(true, Ordering::Relaxed);
        self.dial_second(to, call, failed);
    }
}

#[async_trait]
impl CallWitness for Attempt {
    fn may_transfer(&self, target: &TransferTarget) -> Result<(), CallError> {
        let refused = |Refusal { rule, reason }| CallError::Policy { rule, reason };
        target::judge(&self.shared.config.policy, &mut self.shared.desk(), target).map_err(refused)
    }

    async fn transferring(&self, target: &TransferTarget) {
        self.moved_by_callee.store(false, Ordering::Relaxed);
        self.transfer(AGENT, target::masked(target), "requested", None);
    }

    async fn keys_sent(&self, digits: &str, masked: bool) {
        let Some(call_id) = self.call_id() else { return };
        let masked = masked || self.shared.config.records.mask_dtmf;
        let digits = if masked { "*".repeat(digits.chars().count()) } else { digits.to_owned() };
        let event = AuditEvent::Dtmf { agent_id: self.request.agent.to_string(), call_id, digits };
        self.shared.records.tell(move |book| book.note(event));
    }

    fn pause_recording(&self, paused: bool) -> bool {
        self.set_paused(paused)
    }

    fn scribe(&self) -> Option<Arc<dyn Scribe>> {
        self.state().keeping.scribe()
    }
}
