//! A callee has its call moved to somebody else: the second call, and what becomes of the first.

use std::sync::Arc;
use std::time::Instant;

use super::Control;
use crate::call::{Answered, CallId, EndFacts, LocalCause, Signal, SipStatus, TransferOutcome};
use crate::pj::{CallKey, PinnedStream};
use crate::provider::DialError;
use crate::sip::active::ActiveCall;
use crate::sip::moving::Moving;

/// A call whose second call was not made, and the status that says why.
pub(super) struct NotMoved {
    key: CallKey,
    code: u16,
}

/// What the callee who asked is told of a second call that was not made.
fn code_of(error: &DialError) -> u16 {
    match error {
        DialError::Refused { .. } | DialError::InvalidRequest { .. } => 603,
        _ => 503,
    }
}

impl Control {
    /// The callee asks for the call to be moved to what a Refer-To says. Its end knows whether we agreed.
    pub(super) fn referred(&mut self, now: Instant, key: CallKey, target: &str, taken: bool) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let trunk = &self.trunks[call.trunk];
        let number = trunk.referred_to(target);
        let asks = taken && !call.is_ending() && call.is_answered();
        let witness = call.departure.witness().cloned();
        let (Some(to), Some(witness), true) = (&number, &witness, asks && call.succession.ask()) else {
            tracing::warn!(
                target: "outdial::sip", trunk = trunk.name(), call = call.id(),
                "refused to be transferred by the callee"
            );
            if taken {
                self.instance.tell_referrer(key, 603, true);
            }
            if let Some(witness) = witness {
                witness.move_refused(number.as_ref());
            }
            return;
        };
        call.signal(now, Signal::Transfer(TransferOutcome::Progress(SipStatus::new(100, "Trying"))));
        let (not_moved, waker) = (self.not_moved_in.clone(), self.waker.clone());
        let failed = move |error: &DialError| {
            // The control thread may be gone: then there is nobody to be told.
            let _ = not_moved.send(NotMoved { key, code: code_of(error) });
            waker.wake();
        };
        witness.move_to(to, call.call_id(), Box::new(failed));
    }

    /// The second call is to be made: it takes the place of the first as soon as it is answered.
    pub(super) fn take_the_place_of(
        &mut self,
        moves: Option<&CallId>,
        call: &mut ActiveCall,
    ) -> Result<(), DialError> {
        let Some(moves) = moves else { return Ok(()) };
        let key = self.by_call_id.get(moves.as_str()).copied();
        let first = key.and_then(|key| self.calls.get_mut(&key));
        let first = first.filter(|first| !first.is_ending() && first.succession.moving == Moving::Asked);
        let Some(first) = first else {
            let reason = "the call that was to be moved is over".to_owned();
            return Err(DialError::Refused { rule: "transfer", reason });
        };
        first.succession.moving = Moving::Calling(call.key);
        call.succession.predecessor = key;
        Ok(())
    }

    /// Second calls that were not made.
    pub(super) fn take_not_moved(&mut self) {
        while let Ok(NotMoved { key, code }) = self.not_moved.try_recv() {
            self.not_moved(
                Instant::now(),
                key,
                SipStatus::new(code, if code == 603 { "Decline" } else { "Service Unavailable" }),
            );
        }
    }

    /// The second call came to nothing: the first goes on, unless the callee's end is gone.
    fn not_moved(&mut self, now: Instant, key: CallKey, status: SipStatus) {
        self.instance.tell_referrer(key, status.code, true);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.succession.moving = Moving::No;
        call.signal(now, Signal::Transfer(TransferOutcome::Failed(status)));
        if call.succession.has_left() {
            self.conclude(now, key);
        }
    }

    /// A provisional answer to the second call.
    pub(super) fn move_goes_on(&mut self, now: Instant, key: CallKey, status: SipStatus) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        // 100 was told when it was asked for.
        if status.code > 100 {
            self.instance.tell_referrer(key, status.code, false);
            call.signal(now, Signal::Transfer(TransferOutcome::Progress(status)));
        }
    }

    /// A call was answered. If it is a second one, it carries the sound of the first from now on, whose far end says
    /// goodbye (RFC 5589 §6.1); we do if it does not.
    pub(super) fn moved(&mut self, now: Instant, key: CallKey, answered: Answered) {
        let Some(second) = self.calls.get_mut(&key) else { return };
        let Some(predecessor) = second.succession.predecessor else { return };
        let stream = second.succession.take_stream();
        let held = answered.codec == "none";
        let Some(first) = self.calls.get_mut(&predecessor).filter(|first| !first.is_ending()) else {
            return self.end(key, LocalCause::Hangup, None);
        };
        first.succession.moving = Moving::Moved(key);
        first.put_away_stream();
        first.signal(now, Signal::Transfer(TransferOutcome::Moved(answered)));
        first.signal(now, Signal::Hold(held));
        if first.slot.is_some() {
            first.transferred(now);
        }
        self.instance.tell_referrer(predecessor, 200, true);
        if let Some(stream) = stream {
            self.serve(key, stream);
        }
    }

    /// Puts a stream on the clock, for the queues of the call that the application holds.
    pub(super) fn serve(&mut self, key: CallKey, stream: Arc<PinnedStream>) {
        let heard_by = self.heard_by(key);
        let Some(media) = self.calls.get(&heard_by).map(|call| Arc::clone(&call.media)) else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let on_clock = self.clock.add(Arc::clone(&stream), media);
        call.streams(stream, on_clock);
    }

    /// The second call is over.
    pub(super) fn successor_ended(&mut self, now: Instant, key: CallKey, facts: &EndFacts) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if !matches!(call.succession.moving, Moving::Moved(_)) {
            let status = match (&facts.final_status, facts.local) {
                (Some(status), _) if status.code >= 300 => status.clone(),
                (_, Some(LocalCause::RingTimeout)) => SipStatus::new(408, "Request Timeout"),
                (_, Some(LocalCause::Hangup | LocalCause::Shutdown)) => {
                    SipStatus::new(487, "Request Terminated")
                }
                _ => SipStatus::new(503, "Service Unavailable"),
            };
            return self.not_moved(now, key, status);
        }
        call.ends_like(facts);
        call.ending(now);
        match call.slot {
            Some(slot) => {
                if let Err(error) = self.instance.hang_up(slot) {
                    tracing::debug!(target: "outdial::sip", %error, "hang-up refused: the call is over already");
                }
            }
            None => self.conclude(now, key),
        }
    }

    /// The call that carries the sound of this one.
    pub(super) fn carrying(&self, key: CallKey) -> CallKey {
        match self.calls.get(&key).map(|call| call.succession.moving) {
            Some(Moving::Moved(successor)) => successor,
            _ => key,
        }
    }

    /// The call whose holder hears what comes over this one.
    pub(super) fn heard_by(&self, key: CallKey) -> CallKey {
        let predecessor = self.calls.get(&key).and_then(|call| call.succession.predecessor);
        predecessor.filter(|first| self.carrying(*first) == key).unwrap_or(key)
    }
}
