//! One attempt to call, from the decision to the last record.

mod moving;
mod recording;
mod telemetry;
mod witness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rust_decimal::Decimal;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;

use super::Shared;
use super::keys::Claim;
use super::records::RecordsError;
use super::recovery::rate;
use crate::audit::{AuditEvent, CallEnded, CallStart};
use crate::call::{
    Call, CallEnd, CallEvent, CallId, CallWitness, EndReason, EndedBy, Events, LocalCause, TransferOutcome,
    WeakCall,
};
use crate::config::{Carrier, Config, Plan, ProviderKind};
use crate::ledger::{NewCall, Settled};
use crate::metrics::Active;
use crate::policy::{Admission, Ask, Limits, Moment, Refusal};
use crate::provider::{CallerId, Departure, DialError, DialRequest, Price, Witness};
use recording::Keeping;
pub(super) use telemetry::span;

/// A call is hung up so long before its money is used up, so that the goodbye is paid for too.
const GOODBYE: Duration = Duration::from_secs(1);
/// Whose wish a transfer is, in the records.
const AGENT: &str = "agent";
const CALLEE: &str = "callee";

/// See the [module](self). The provider that carries it, the application's handle and the observer share it.
pub(super) struct Attempt {
    shared: Arc<Shared>,
    request: DialRequest,
    /// The trunk or the provider.
    carrier: String,
    provider: &'static str,
    key: Option<String>,
    state: Mutex<State>,
    began: Instant,
    /// Providers ask their [`Witness`] outside of it.
    span: Span,
    /// Somebody's telephone may ring although no name of the call is known.
    may_ring: AtomicBool,
    /// Where further calls are made that this one leads to.
    runtime: Handle,
    /// Whether the transfer of which there is news is the callee's wish.
    moved_by_callee: AtomicBool,
}

struct State {
    admission: Admission,
    row: Option<i64>,
    start: Option<CallStart>,
    price: Option<oneshot::Receiver<Price>>,
    reply: Option<oneshot::Sender<Result<Call, DialError>>>,
    /// Until the call is over.
    active: Option<Active>,
    /// What is kept of what is said.
    keeping: Keeping,
}

/// Makes a call and keeps its records until its end. The reply is sent as soon as the call exists.
pub(super) async fn run(
    shared: Arc<Shared>,
    mut request: DialRequest,
    claim: Option<Claim>,
    reply: oneshot::Sender<Result<Call, DialError>>,
) {
    let (admission, carrier, provider) = match admit(&shared, &mut request) {
        Ok(admitted) => admitted,
        Err(error) => {
            shared.refused(&request, "", &error);
            drop(claim);
            let _ = reply.send(Err(error));
            return;
        }
    };
    let key = claim.as_ref().map(|claim| claim.key().to_owned());
    Span::current().record("trunk", &carrier).record("provider", provider);
    let active = Some(shared.metrics.begins(&carrier, provider));
    let keeping = Keeping::of(&request, &shared.config);
    let state = State { admission, row: None, start: None, price: None, reply: Some(reply), active, keeping };
    let attempt = Arc::new(Attempt {
        shared,
        request,
        carrier,
        provider,
        key,
        state: Mutex::new(state),
        began: Instant::now(),
        span: Span::current(),
        may_ring: AtomicBool::new(false),
        runtime: Handle::current(),
        moved_by_callee: AtomicBool::new(false),
    });
    match attempt.dial().await {
        Ok(call) => {
            let (events, weak) = (call.events(), call.downgrade());
            if let Some(claim) = claim {
                claim.keep(weak.clone());
            }
            let reply = attempt.state().reply.take();
            // Whoever asked is gone: the last handle is dropped here, which hangs up.
            let _ = reply.map(|reply| reply.send(Ok(call)));
            attempt.observe(&weak, events).await;
        }
        Err(error) => {
            attempt.failed(&error).await;
            drop(claim);
            let reply = attempt.state().reply.take();
            let _ = reply.map(|reply| reply.send(Err(error)));
        }
    }
}

/// Settles what the request leaves open and asks the rules.
fn admit(shared: &Shared, request: &mut DialRequest) -> Result<(Admission, String, &'static str), DialError> {
    let rules = &shared.config.policy;
    let plan = shared.config.plan(request)?;
    let admission = shared.desk().admit(
        rules,
        &Ask {
            to: &request.to,
            agent: &request.agent,
            trunk: plan.name,
            provider: provider_of(plan.carrier),
            consent: request.consent.as_deref(),
            tariff: plan.carrier.tariff(),
            limits: limits(&shared.config, &plan),
        },
        Moment::now(),
    )?;
    let (name, provider) = (plan.name.to_owned(), provider_of(plan.carrier));
    request.trunk = Some(name.clone());
    request.ring_timeout =
        Some(rules.ring_limit.map_or(plan.ring_timeout, |most| most.min(plan.ring_timeout)));
    request.talk_limit = Some(rules.talk_limit.map_or(plan.talk_limit, |most| most.min(plan.talk_limit)));
    request.audio_rate = Some(plan.audio_rate);
    request.record = Some(plan.record);
    request.caller_id = plan.caller_id;
    request.caller_name = plan.caller_name;
    Ok((admission, name, provider))
}

fn limits(config: &Config, plan: &Plan<'_>) -> Limits {
    Limits {
        provider_calls: matches!(plan.carrier, Carrier::Trunk(_)).then_some(config.endpoint.max_calls),
        agent_calls: plan.agent.and_then(|agent| agent.max_calls),
        agent_rate: plan.agent.and_then(|agent| agent.calls_per_second),
        agent_spend: plan.agent.and_then(|agent| agent.spend_per_day),
        trunk_calls: plan.carrier.max_calls(),
        trunk_rate: plan.carrier.calls_per_second(),
    }
}

/// The name of a provider in the records.
pub(super) fn provider_of(carrier: Carrier<'_>) -> &'static str {
    match carrier {
        Carrier::Trunk(_) => "sip",
        Carrier::Provider(provider) => match provider.kind {
            ProviderKind::Twilio(_) => "twilio",
        },
    }
}

impl Attempt {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the call made.
    async fn dial(self: &Arc<Self>) -> Result<Call, DialError> {
        let carriers = &self.shared.carriers;
        let provider =
            carriers.of(&self.carrier).ok_or_else(|| DialError::UnknownTrunk(self.carrier.clone()))?;
        let mut request = self.request.clone();
        // Whose call it is has been settled by it.
        request.idempotency_key = None;
        request.departure = Departure::new(Arc::clone(self) as Arc<dyn Witness>);
        let call = provider.dial_with(request).await?;
        call.witnessed_by(Arc::clone(self) as Arc<dyn CallWitness>);
        if self.state().start.is_none()
            && let Err(error) = self.leaving(call.id()).await
        {
            self.may_ring.store(true, Ordering::Relaxed);
            call.hangup().await;
            return Err(error);
        }
        Ok(call)
    }

    /// Refuses to go on when whoever asked for the call does not wait for it any more.
    fn wanted(&self) -> Result<(), DialError> {
        let gone = self.state().reply.as_ref().is_none_or(oneshot::Sender::is_closed);
        if gone {
            Err(Refusal::new("cancelled", "nobody waits for the call any more").into())
        } else {
            Ok(())
        }
    }

    /// Enters the attempt into the ledger, once.
    async fn begin(&self, call: Option<&CallId>) -> Result<i64, DialError> {
        let (row, day) = {
            let state = self.state();
            (state.row, state.admission.day.to_string())
        };
        if let Some(row) = row {
            if let Some(id) = call.map(CallId::to_string) {
                let named = self.shared.records.ask(move |book| Ok(book.ledger.name(row, &id)?));
                named.await.map_err(not_kept)?;
            }
            return Ok(row);
        }
        let now = SystemTime::now();
        let window = self.shared.config.policy.idempotency_window;
        let new = NewCall {
            call_id: call.map(CallId::to_string),
            agent: self.request.agent.clone(),
            provider: self.provider,
            trunk: self.carrier.clone(),
            to: self.request.to.clone(),
            labels: self.request.labels.clone(),
            consent: self.request.consent.clone(),
            day,
            key: self.key.clone().map(|key| (key, now + window)),
            started_at: now,
        };
        let row = self.shared.records.ask(move |book| book.begin(&new)).await.map_err(not_kept)?;
        self.state().row = Some(row);
        Ok(row)
    }

    async fn announce(&self, row: i64, id: &str) -> Result<(), DialError> {
        let mut start = CallStart::new(&self.request.agent, id, self.provider, &self.request.to);
        start.trunk = Some(self.carrier.clone());
        start.from = self.request.caller_id.as_ref().map(|caller| match caller {
            CallerId::Number(number) => number.masked(),
            CallerId::Extension(extension) => extension.clone(),
        });
        start.consent = self.request.consent.clone();
        let kept = start.clone();
        self.shared.records.ask(move |book| book.start(row, kept)).await.map_err(not_kept)?;
        self.state().start = Some(start);
        self.span.record("call_id", id);
        Ok(())
    }

    /// No call came to be, or it cannot be told.
    async fn failed(&self, error: &DialError) {
        let may_ring = self.may_ring.load(Ordering::Relaxed);
        let row = self.state().row;
        if let (Some(row), true) = (row, may_ring)
            && self.state().start.is_none()
            && let Err(error) = self.announce(row, &format!("attempt-{row}")).await
        {
            // The ledger has it, and the next start recovers it.
            tracing::error!(target: "outdial::records", %error, "an attempt has no record of its start yet");
        }
        let (start, admission) = {
            let state = self.state();
            (state.start.clone(), state.admission.clone())
        };
        self.shared.desk().counts.release(&admission, Decimal::ZERO, may_ring || start.is_some());
        match (row, start) {
            (Some(row), Some(start)) => {
                let end = CallEnd {
                    reason: reason(error),
                    ended_by: EndedBy::Network,
                    detail: Some(error.to_string()),
                    ..CallEnd::default()
                };
                let settled = rate(&self.shared.config, &self.carrier, &self.request.to, Duration::ZERO);
                self.finish(row, &start, end, Some(settled), !may_ring);
            }
            (Some(row), None) if !may_ring => {
                self.shared.records.tell(move |book| book.strike(row));
                self.shared.refused(&self.request, self.provider, error);
            }
            _ => self.shared.refused(&self.request, self.provider, error),
        }
    }

    /// Keeps the records of a call until its end.
    async fn observe(&self, call: &WeakCall, mut events: Events) {
        let (row, start) = {
            let state = self.state();
            (state.row, state.start.clone())
        };
        // Both are there: a call that came to be has a start.
        let (Some(row), Some(start)) = (row, start) else { return };
        let mut answered = None;
        let mut silent = true;
        let mut recording = None;
        let end = loop {
            let paid_till = answered.and_then(|at| self.paid_till(at));
            tokio::select! {
                event = events.next() => match event.inspect(|event| self.tell(event, &mut silent)) {
                    Some(CallEvent::Answered(_)) => {
                        answered = Some(Instant::now());
                        recording = self.begin_recording(call);
                        let at = SystemTime::now();
                        self.shared.records.tell(move |book| {
                            if let Err(error) = book.ledger.answered(row, at) {
                                tracing::warn!(target: "outdial::records", %error, "the answer is not in the ledger");
                            }
                        });
                    }
                    Some(CallEvent::TransferProgress(outcome)) => {
                        if matches!(outcome, TransferOutcome::Moved(_)) {
                            // From now on the second call costs money.
                            answered = None;
                        }
                        self.transfer_told(&outcome);
                    }
                    Some(CallEvent::Ended(end)) => break end,
                    Some(_) => {}
                    None => break call.call().ended().await,
                },
                () = until(paid_till) => {
                    if !self.pay_on() {
                        call.end(LocalCause::Policy, "the agent's money of the day is used up".to_owned());
                        break call.call().ended().await;
                    }
                }
            }
        };
        tokio::join!(self.over(row, &start, end), self.end_recording(recording));
    }

    /// When more money must be set aside, or the call be ended.
    fn paid_till(&self, answered: Instant) -> Option<Instant> {
        let paid_for = self.state().admission.paid_for?;
        // Half of a very short time: a call of one second must not end before it begins.
        answered.checked_add(paid_for.saturating_sub(GOODBYE.min(paid_for / 2)))
    }

    /// Sets more money aside. False when there is none.
    fn pay_on(&self) -> bool {
        let tariff = self.shared.config.carrier(&self.carrier).and_then(|(_, carrier)| carrier.tariff());
        let Some(tariff) = tariff else { return false };
        let mut state = self.state();
        let before = state.admission.paid_for;
        self.shared.desk().counts.extend(&mut state.admission, tariff) > before
    }

    async fn over(&self, row: i64, start: &CallStart, end: CallEnd) {
        let (price, admission) = {
            let mut state = self.state();
            (state.price.take(), state.admission.clone())
        };
        let by_tariff = rate(&self.shared.config, &self.carrier, &self.request.to, end.talk_time);
        let settled = if price.is_some() { None } else { Some(by_tariff) };
        self.finish(row, start, end, settled, false);
        self.shared.desk().counts.end(&admission);
        // A provider that says nothing leaves the contract's price.
        let settled = match price {
            None => by_tariff,
            Some(price) => {
                let settled =
                    price.await.ok().and_then(|price| self.priced(by_tariff, &price)).unwrap_or(by_tariff);
                self.shared.records.tell(move |book| book.settle(row, settled));
                settled
            }
        };
        self.shared.desk().counts.settle(&admission, settled.cost_usd);
        self.tell_cost(settled.cost_usd);
        if let Some(key) = self.key.clone() {
            // The ledger answers for the key as soon as it has the end.
            let shared = Arc::clone(&self.shared);
            self.shared.records.tell(move |_| shared.keys.forget(&key));
        }
    }

    /// The cost by the provider's own price, if its currency is known here.
    fn priced(&self, by_tariff: Settled, price: &Price) -> Option<Settled> {
        let tariff = self.shared.config.carrier(&self.carrier).and_then(|(_, carrier)| carrier.tariff());
        let usd_rate = match tariff {
            _ if price.currency == "USD" => Decimal::ONE,
            Some(tariff) if tariff.currency == price.currency => tariff.usd_rate,
            _ => {
                let currency = &price.currency;
                tracing::warn!(target: "outdial::records", currency, "the provider's price is in a currency without a rate");
                return None;
            }
        };
        let cost_usd = (price.amount * usd_rate).round_dp(6).normalize();
        Some(Settled { cost_usd, rated: true, ..by_tariff })
    }

    fn finish(&self, row: i64, start: &CallStart, end: CallEnd, settled: Option<Settled>, free_key: bool) {
        self.tell_end(&end);
        let mut ended = CallEnded::new(start, &end);
        ended.cost_usd =
            settled.filter(|settled| settled.rated).and_then(|settled| settled.cost_usd.try_into().ok());
        self.shared.records.tell(move |book| book.finish(row, end, settled, ended, free_key));
    }

    fn transfer_told(&self, outcome: &TransferOutcome) {
        let (outcome, status) = match outcome {
            TransferOutcome::Progress(_) => return,
            TransferOutcome::Completed(status) => ("completed", status.code),
            TransferOutcome::Failed(status) => ("failed", status.code),
            TransferOutcome::Moved(_) => ("completed", 200),
        };
        let by = if self.moved_by_callee.load(Ordering::Relaxed) { CALLEE } else { AGENT };
        self.transfer(by, String::new(), outcome, Some(status));
    }

    fn transfer(&self, by: &str, target: String, outcome: &str, sip_code: Option<u16>) {
        let Some(call_id) = self.call_id() else { return };
        let event = AuditEvent::Transfer {
            agent_id: self.request.agent.to_string(),
            call_id,
            by: by.to_owned(),
            target,
            outcome: outcome.to_owned(),
            sip_code,
        };
        self.shared.records.tell(move |book| book.note(event));
    }

    fn call_id(&self) -> Option<String> {
        self.state().start.as_ref().map(|start| start.call_id.clone())
    }
}

/// Waits till a moment, for ever without one.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Why an attempt that has a start came to nothing.
fn reason(error: &DialError) -> EndReason {
    match error {
        DialError::Refused { .. } => EndReason::Cancelled,
        DialError::Unreachable { .. } | DialError::TrunkUnavailable { .. } => EndReason::Unreachable,
        DialError::Media { .. } => EndReason::MediaFailed,
        DialError::Rejected { .. } => EndReason::Rejected,
        DialError::Unconfirmed { .. } => EndReason::Timeout,
        DialError::ShutDown => EndReason::Cancelled,
        _ => EndReason::Failed,
    }
}

/// What cannot be proven is not done.
pub(super) fn not_kept(error: RecordsError) -> DialError {
    match error {
        RecordsError::Closed => DialError::ShutDown,
        error => Refusal::new("records", format!("the records cannot be written: {}", error.told())).into(),
    }
}
