//! What the holder of a call asks of it.

use super::Control;
use crate::audio::dtmf::Digit;
use crate::call::{CallError, Command, LocalCause, TransferTarget};
use crate::config::DtmfMethod;
use crate::pj::CallKey;
use crate::sip::active::Offer;

impl Control {
    pub(super) fn command(&mut self, key: CallKey, command: Command) {
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
                            call.media.press(digits);
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
                let target = match target {
                    TransferTarget::Number(number) => trunk.request_uri(&number),
                    TransferTarget::Uri(uri) => uri,
                };
                (reply, self.instance.transfer(slot, &target).map_err(|error| CallError::Failed(error.text)))
            }
        };
        let _ = reply.send(result);
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
