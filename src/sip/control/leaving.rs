//! The shutdown: calls end, registrations are taken back, PJSIP says goodbye.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Control;
use crate::call::LocalCause;
use crate::pj::CallKey;
use crate::provider::Shutdown;
use crate::sip::trunk::Trunk;

/// How long registrars may take to acknowledge that we leave.
const UNREGISTER: Duration = Duration::from_millis(1500);

/// A shutdown under way.
pub(super) struct Leaving {
    /// Calls still up then are hung up.
    hang_up_at: Instant,
    pub(super) hung_up: bool,
    /// Registrations were taken back; their answers are awaited till then.
    unregistering_till: Option<Instant>,
    pub(super) done: Vec<oneshot::Sender<()>>,
}

impl Control {
    pub(super) fn leave(&mut self, how: Shutdown, done: Option<oneshot::Sender<()>>) {
        let now = Instant::now();
        let hang_up_at = match how {
            Shutdown::HangUp => now,
            Shutdown::Drain(longest) => now + longest,
        };
        let leaving = self.leaving.get_or_insert(Leaving {
            hang_up_at,
            hung_up: false,
            unregistering_till: None,
            done: Vec::new(),
        });
        leaving.hang_up_at = leaving.hang_up_at.min(hang_up_at);
        leaving.done.extend(done);
    }

    pub(super) fn go_on_leaving(&mut self, now: Instant) {
        let Some(leaving) = &mut self.leaving else { return };
        if now >= leaving.hang_up_at && !leaving.hung_up {
            leaving.hung_up = true;
            let keys: Vec<CallKey> = self.calls.keys().copied().collect();
            for key in keys {
                self.end(key, LocalCause::Shutdown, None);
            }
        } else if self.calls.is_empty() && leaving.unregistering_till.is_none() {
            leaving.unregistering_till = Some(now + UNREGISTER);
            for trunk in self.trunks.iter().filter(|trunk| trunk.is_registered()) {
                if let Err(error) = self.instance.set_registration(trunk.account(), false) {
                    tracing::debug!(target: "outdial::sip", %error, trunk = trunk.name(), "not unregistered");
                }
            }
        }
    }

    pub(super) fn has_left(&self) -> bool {
        let Some(till) = self.leaving.as_ref().and_then(|leaving| leaving.unregistering_till) else {
            return false;
        };
        // A call is over for us before its CANCEL or BYE is answered: PJSIP must see to that before it goes.
        let silent = self.instance.active_calls() == 0 && !self.trunks.iter().any(Trunk::is_registered);
        silent || Instant::now() >= till
    }
}
