//! REFER within a call (RFC 3515): the callee asks for the call to be moved to somebody else.
//!
//! PJSUA would dial whatever Refer-To says, at once and with nobody asked. It tells of the request first, in
//! `on_call_tsx_state`: what we take there, with 202 and a subscription, it leaves alone; the rest it has refused by
//! `on_call_transfer_request2`.

use std::ffi::c_int;
use std::fmt;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pjsip_sys as sys;

use super::callbacks::{guarded, key_of};
use super::event::{CallKey, PjEvent, emit};
use super::instance::Instance;
use super::{offer, wire};

/// Says whether a call may go where the far end wants it: to what a Refer-To header says, or a redirect. It is asked on the control thread, in the middle of a
/// callback: it must not wait.
#[derive(Clone)]
pub(crate) struct Consent(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Consent {
    pub(crate) fn new(ask: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn is_given(&self, target: &str) -> bool {
        self.0(target)
    }
}

impl fmt::Debug for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consent")
    }
}

/// The subscription of each call whose callee is being told how the move goes: its address in PJSIP, which takes it out
/// again by [`on_subscription_state`]. All this happens on the control thread; the lock is for the compiler.
static SUBSCRIPTIONS: Mutex<Vec<(CallKey, usize)>> = Mutex::new(Vec::new());

fn subscriptions() -> MutexGuard<'static, Vec<(CallKey, usize)>> {
    SUBSCRIPTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// PJSUA starts: what there was went with the one before.
pub(super) fn install() {
    subscriptions().clear();
}

/// A transaction of a call has news: a REFER that has just come is taken or left to be refused.
pub(super) unsafe extern "C" fn on_call_tsx_state(
    call: sys::pjsua_call_id,
    transaction: *mut sys::pjsip_transaction,
    event: *mut sys::pjsip_event,
) {
    guarded("on_call_tsx_state", || {
        // SAFETY: PJSUA passes records that are alive during the callback.
        let Some(refer) = (unsafe { new_refer(transaction, event) }) else { return };
        let Some(key) = key_of(call) else { return };
        // SAFETY: the request that made the transaction is alive as long as it is new.
        let target = unsafe { wire::Received::new(refer) }.and_then(|request| request.texts("Refer-To"));
        let Some(target) = target else { return };
        let consent = offer::of(key).and_then(|settings| settings.consent.clone());
        // One at a time.
        let busy = subscriptions().iter().any(|(other, _)| *other == key);
        let agreed = !busy && consent.is_some_and(|consent| consent.is_given(&target));
        // SAFETY: as above.
        let taken = agreed && unsafe { take(key, transaction, refer) };
        emit(PjEvent::Referred { key, target, taken });
    });
}

/// The request of a transaction of the far end that has just begun, if it is a REFER.
///
/// # Safety
///
/// Both are null or records that PJSIP passed to a callback which has not returned.
unsafe fn new_refer(
    transaction: *const sys::pjsip_transaction,
    event: *const sys::pjsip_event,
) -> Option<*mut sys::pjsip_rx_data> {
    // SAFETY: the caller's promise; the union is read as the record that the event's tag names, and its source as a
    // received message only where its tag says so.
    unsafe {
        let (transaction, event) = (transaction.as_ref()?, event.as_ref()?);
        let begins = transaction.role == sys::PJSIP_ROLE_UAS
            && transaction.state == sys::PJSIP_TSX_STATE_TRYING
            && sys::pjsip_method_cmp(&raw const transaction.method, sys::pjsip_get_refer_method()) == 0;
        if !begins || event.type_ != sys::PJSIP_EVENT_TSX_STATE {
            return None;
        }
        let change = &event.body.tsx_state;
        (change.type_ == sys::PJSIP_EVENT_RX_MSG).then_some(change.src.rdata)
    }
}

/// Answers a REFER with 202 and tells its sender that somebody works on it (RFC 3515 §2.4.4). False if PJSIP would not.
///
/// # Safety
///
/// A new transaction of a dialog, and its request.
unsafe fn take(
    key: CallKey,
    transaction: *mut sys::pjsip_transaction,
    request: *mut sys::pjsip_rx_data,
) -> bool {
    // SAFETY: the caller's promise; the table is copied; the subscription lives until its last state is told.
    unsafe {
        let dialog = sys::pjsip_tsx_get_dlg(transaction);
        let mut table: sys::pjsip_evsub_user = std::mem::zeroed();
        table.on_evsub_state = Some(on_subscription_state);
        let mut subscription = ptr::null_mut();
        if dialog.is_null()
            || sys::pjsip_xfer_create_uas(dialog, &raw const table, request, &raw mut subscription) != 0
        {
            return false;
        }
        subscriptions().push((key, subscription.expose_provenance()));
        let status = sys::pjsip_xfer_accept(subscription, request, 202, ptr::null());
        if status != 0 {
            // The transaction ends without an answer of ours; the subscription with the dialog.
            tracing::warn!(target: "outdial::sip", error = super::error::describe(status), "a REFER was not answered");
        }
        tell(key, 100, false);
    }
    true
}

/// Sends a NOTIFY to whoever referred us. Nothing happens where nobody did, or nobody listens any more.
fn tell(key: CallKey, code: u16, last: bool) {
    let found = subscriptions().iter().find(|(other, _)| *other == key).map(|(_, address)| *address);
    let Some(subscription) = found.map(ptr::with_exposed_provenance_mut::<sys::pjsip_evsub>) else { return };
    let state = if last { sys::PJSIP_EVSUB_STATE_TERMINATED } else { sys::PJSIP_EVSUB_STATE_ACTIVE };
    let mut notify = ptr::null_mut();
    // SAFETY: a subscription that is still listed is alive; this is the control thread. PJSIP's own phrase is taken: the
    // far end's could be too long for the body. The lock is free: the last NOTIFY takes the subscription out.
    let status = unsafe {
        match sys::pjsip_xfer_notify(subscription, state, c_int::from(code), ptr::null(), &raw mut notify) {
            0 => sys::pjsip_xfer_send_request(subscription, notify),
            error => error,
        }
    };
    if status != 0 {
        tracing::debug!(target: "outdial::sip", error = super::error::describe(status), "a NOTIFY was not sent");
    }
}

unsafe extern "C" fn on_subscription_state(subscription: *mut sys::pjsip_evsub, _: *mut sys::pjsip_event) {
    guarded("on_subscription_state", || {
        // SAFETY: PJSIP passes a subscription that is alive during the callback.
        if unsafe { sys::pjsip_evsub_get_state(subscription) } == sys::PJSIP_EVSUB_STATE_TERMINATED {
            subscriptions().retain(|(_, address)| *address != subscription.addr());
        }
    });
}

impl Instance {
    /// Tells whoever asked for a call to be moved how that goes (RFC 3515 §2.4.5); `last` ends it.
    #[doc(alias = "pjsip_xfer_notify")]
    pub(crate) fn tell_referrer(&self, key: CallKey, code: u16, last: bool) {
        tell(key, code, last);
    }
}
