//! Calls in PJSUA's slots.

use std::ffi::c_void;
use std::net::SocketAddr;
use std::ptr;

use pjsip_sys as sys;

use super::account::AccountId;
use super::error::{PjError, check};
use super::event::CallKey;
use super::instance::Instance;
use super::offer::{self, CallSettings};
use super::record::filled;
use super::strings;

/// A place in PJSUA's table. It is used again by another call once this one's `Disconnected` event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallSlot(sys::pjsua_call_id);

/// A call to be made.
#[derive(Debug)]
pub(crate) struct OutboundCall<'a> {
    pub(crate) key: CallKey,
    pub(crate) account: AccountId,
    /// Request-URI and To.
    pub(crate) target: &'a str,
    /// From, when it is not the account's own.
    pub(crate) from: Option<&'a str>,
    /// The Call-ID header.
    pub(crate) call_id: &'a str,
    /// Further headers of the INVITE.
    pub(crate) headers: &'a [(String, String)],
    /// Where the INVITE goes first, whatever the host of the target or of the route.
    pub(crate) server: SocketAddr,
}

impl Instance {
    /// Makes a call: the INVITE is handed to the transport before this returns.
    #[doc(alias = "pjsua_call_make_call")]
    pub(crate) fn make_call(
        &self,
        call: &OutboundCall<'_>,
        settings: CallSettings,
    ) -> Result<CallSlot, PjError> {
        offer::keep(call.key, call.call_id, settings);
        offer::prepare(call.key).inspect_err(|_| offer::forget(call.key))?;
        // SAFETY: records of numbers, texts and links, for which zeros are valid; the functions fill them.
        let (mut setting, mut message) = unsafe {
            (
                filled(|setting| sys::pjsua_call_setting_default(setting)),
                filled(|message| sys::pjsua_msg_data_init(message)),
            )
        };
        setting.aud_cnt = 1;
        setting.vid_cnt = 0;
        setting.txt_cnt = 0;
        setting.custom_call_id = strings::lend(call.call_id);
        if let Some(from) = call.from {
            message.local_uri = strings::lend(from);
        }
        // SAFETY: records of links and texts, for which zeros are valid; initialised below.
        let mut headers: Vec<sys::pjsip_generic_string_hdr> =
            (0..call.headers.len()).map(|_| unsafe { std::mem::zeroed() }).collect();
        for (header, (name, value)) in headers.iter_mut().zip(call.headers) {
            let (mut name, mut value) = (strings::lend(name), strings::lend(value));
            // SAFETY: the record lives in `headers`, which does not grow any more, and PJSUA clones it during the
            // call; so do the texts.
            unsafe {
                sys::pjsip_generic_string_hdr_init2(header, &raw mut name, &raw mut value);
                sys::pjsys_list_push_back((&raw mut message.hdr_list).cast(), ptr::from_mut(header).cast());
            }
        }
        let target = strings::lend(call.target);
        // The key stands where PJSUA keeps a pointer for us; nobody follows it.
        let user_data = ptr::without_provenance_mut::<c_void>(call.key.0 as usize);
        let mut slot = 0;
        // SAFETY: PJSUA runs on this thread; it copies what it keeps of records, texts and headers.
        let status = self.towards(call.server, || unsafe {
            sys::pjsua_call_make_call(
                call.account.0,
                &raw const target,
                &raw const *setting,
                user_data,
                &raw const *message,
                &raw mut slot,
            )
        });
        check("pjsua_call_make_call", status).inspect_err(|_| offer::forget(call.key))?;
        Ok(CallSlot(slot))
    }

    /// Forgets what was kept for a call that has ended.
    pub(crate) fn forget_call(&self, key: CallKey) {
        offer::forget(key);
    }

    /// Ends a call: CANCEL, BYE or a refusal, as its state demands. PJSUA reports `Disconnected` at once.
    #[doc(alias = "pjsua_call_hangup")]
    pub(crate) fn hang_up(&self, slot: CallSlot) -> Result<(), PjError> {
        // SAFETY: PJSUA runs on this thread and checks the slot.
        check("pjsua_call_hangup", unsafe { sys::pjsua_call_hangup(slot.0, 0, ptr::null(), ptr::null()) })
    }

    /// Queues DTMF digits as telephone events (RFC 4733).
    #[doc(alias = "pjsua_call_dial_dtmf")]
    pub(crate) fn send_telephone_events(&self, slot: CallSlot, digits: &str) -> Result<(), PjError> {
        let digits = strings::lend(digits);
        // SAFETY: PJSUA runs on this thread, checks the slot and copies the digits.
        check("pjsua_call_dial_dtmf", unsafe { sys::pjsua_call_dial_dtmf(slot.0, &raw const digits) })
    }

    /// Sends DTMF digits by SIP INFO with `application/dtmf-relay` bodies.
    #[doc(alias = "pjsua_call_send_dtmf")]
    pub(crate) fn send_info_digits(&self, slot: CallSlot, digits: &str) -> Result<(), PjError> {
        // SAFETY: a record of numbers and texts, for which zeros are valid; the function fills it.
        let mut parameters =
            unsafe { filled(|parameters| sys::pjsua_call_send_dtmf_param_default(parameters)) };
        parameters.method = sys::PJSUA_DTMF_METHOD_SIP_INFO;
        parameters.digits = strings::lend(digits);
        // SAFETY: PJSUA runs on this thread, checks the slot and copies the digits.
        check("pjsua_call_send_dtmf", unsafe { sys::pjsua_call_send_dtmf(slot.0, &raw const *parameters) })
    }

    /// Offers `sendonly` (RFC 3264 §8.4).
    #[doc(alias = "pjsua_call_set_hold")]
    pub(crate) fn hold(&self, key: CallKey, slot: CallSlot) -> Result<(), PjError> {
        offer::prepare(key)?;
        // SAFETY: PJSUA runs on this thread and checks the slot.
        check("pjsua_call_set_hold", unsafe { sys::pjsua_call_set_hold(slot.0, ptr::null()) })
    }

    /// Offers `sendrecv` again.
    #[doc(alias = "pjsua_call_reinvite")]
    pub(crate) fn resume(&self, key: CallKey, slot: CallSlot) -> Result<(), PjError> {
        offer::prepare(key)?;
        // SAFETY: PJSUA runs on this thread and checks the slot.
        check("pjsua_call_reinvite", unsafe {
            sys::pjsua_call_reinvite(slot.0, sys::PJSUA_CALL_UNHOLD, ptr::null())
        })
    }

    /// Sends REFER (RFC 3515).
    #[doc(alias = "pjsua_call_xfer")]
    pub(crate) fn transfer(&self, slot: CallSlot, target: &str) -> Result<(), PjError> {
        let target = strings::lend(target);
        // SAFETY: PJSUA runs on this thread, checks the slot and copies the URI.
        check("pjsua_call_xfer", unsafe { sys::pjsua_call_xfer(slot.0, &raw const target, ptr::null()) })
    }

    /// Sends REFER (RFC 3515) to whoever is on the other call, with Replaces (RFC 3891).
    #[doc(alias = "pjsua_call_xfer_replaces")]
    pub(crate) fn transfer_to(&self, slot: CallSlot, other: CallSlot) -> Result<(), PjError> {
        // SAFETY: PJSUA runs on this thread and checks both slots.
        check("pjsua_call_xfer_replaces", unsafe {
            sys::pjsua_call_xfer_replaces(slot.0, other.0, 0, ptr::null())
        })
    }

    /// How many slots are in use.
    #[doc(alias = "pjsua_call_get_count")]
    pub(crate) fn active_calls(&self) -> u32 {
        // SAFETY: PJSUA runs on this thread.
        unsafe { sys::pjsua_call_get_count() }
    }
}
