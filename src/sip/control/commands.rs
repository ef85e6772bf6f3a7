//! What the holder of a call asks of it.

use std::sync::Arc;

use super::Control;
use crate::audio::dtmf::Digit;
use crate::call::{CallError, CallId, Command, LocalCause, TransferTarget};
use crate::config::DtmfMethod;
use crate::pj::{CallKey, CallSlot};
use crate::sip::active::Offer;

impl Control {
    pub(super) fn command(&mut self, key: CallKey, command: Command) {
        let Some(media) = self.calls.get(&key).map(|call| Arc::clone(&call.media)) else { return };
        let key = match command {
            Command::Hangup | Command::End { .. } => key,
            _ => self.carrying(key),
        };
        let Some(call) = self.calls.get(&key) else { return };
        let (slot, answered) = (call.slot, call.is_answered());
        let trunk = &self.trunks[call.trunk];
        // A reply that is dropped says that the call has ended.
        let (reply, result) = match command {
            Command::Hangup => return self.end(key, LocalCause::Hangup, None),
            Command::End { cause, detail } => return self.end(key, cause, Some(detail)),
            Command::Dtmf { reply, .. } | Command::Hold { reply } | Command::Resume { reply }
                if !answered =>
            {
                (reply, Err(CallError::NotAnswered))
            }
            Command::Transfer { reply, .. } if !answered => (reply, Err(CallError::NotAnswered)),
            Command::Dtmf { digits, reply } => {
                let text: String = digits.iter().map(Digit::to_string).collect();
                let Some(slot) = slot else { return };
                (
                    reply,
                    match trunk.dtmf() {
                        DtmfMethod::Rfc4733 => self.instance.send_telephone_events(slot, &text),
                        DtmfMethod::Info => self.instance.send_info_digits(slot, &text),
                        DtmfMethod::Inband => {
                            media.press(digits);
                            Ok(())
                        }
                    }
                    .map_err(|error| CallError::Failed(error.text)),
                )
            }
            Command::Hold { reply } => (reply, self.offer(key, Offer::Hold)),
            Command::Resume { reply } => (reply, self.offer(key, Offer::Resume)),
            Command::Transfer { target, reply } => {
                let Some(slot) = slot else { return };
                let sent = match target {
                    TransferTarget::Number(number) => {
                        self.instance.transfer(slot, &trunk.request_uri(&number))
                    }
                    TransferTarget::Uri(uri) => self.instance.transfer(slot, &uri),
                    TransferTarget::Call(other) => match self.replaceable(&other) {
                        Ok(other) => self.instance.transfer_to(slot, other),
                        Err(error) => {
                            let _ = reply.send(Err(error));
                            return;
                        }
                    },
                };
                (reply, sent.map_err(|error| CallError::Failed(error.text)))
            }
        };
        let _ = reply.send(result);
    }

    /// The slot of a call that another one may be connected with in our place.
    fn replaceable(&self, other: &CallId) -> Result<CallSlot, CallError> {
        let key = self.by_call_id.get(other.as_str()).map(|key| self.carrying(*key));
        let other = key.and_then(|key| self.calls.get(&key)).filter(|other| !other.is_ending());
        let ended = || CallError::Invalid("the call to transfer to has ended".to_owned());
        let other = other.ok_or_else(ended)?;
        if !other.is_answered() {
            return Err(CallError::NotAnswered);
        }
        other.slot.ok_or_else(ended)
    }

    /// Sends a re-INVITE that holds or resumes.
    pub(super) fn offer(&mut self, key: CallKey, offer: Offer) -> Result<(), CallError> {
        let call = self.calls.get_mut(&key).ok_or(CallError::Ended)?;
        let slot = call.slot.ok_or(CallError::Ended)?;
        call.offered(offer);
        let sent = match offer {
            Offer::Hold => self.instance.hold(key, slot),
            Offer::Resume => self.instance.resume(key, slot),
        };
        sent.map_err(|error| CallError::Failed(error.text))
    }
}
