//! What our descriptions of media say beyond PJSUA's own words, call by call.

use std::collections::HashMap;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pjsip_sys as sys;

use super::callbacks::{guarded, key_of};
use super::error::PjError;
use super::event::CallKey;
use super::refer::Consent;
use super::{codec, strings};

/// What a call's trunk wants of its signalling. PJSUA asks for it in callbacks and wants the answer at once.
#[derive(Debug)]
pub(crate) struct CallSettings {
    /// Codecs, best first; each is a prefix of PJSIP's name, without case: `pcmu`.
    pub(crate) codecs: Vec<&'static str>,
    /// The length of the packets that we ask for.
    pub(crate) ptime: Duration,
    /// Whether keys may come, and go, as telephone events (RFC 4733).
    pub(crate) telephone_events: bool,
    /// Says which redirects are followed (RFC 3261 §8.1.3.4); without it none.
    pub(crate) redirects: Option<Consent>,
    /// Says where the callee may have the call moved to (REFER); without it nowhere.
    pub(crate) consent: Option<Consent>,
}

/// The settings of the calls that are up. Codecs have one order in all of PJSUA, and a description of media takes it as
/// it stands: it is set anew for the call whose turn it is. All this happens on the control thread; the lock is for the
/// compiler.
static CALLS: Mutex<Option<Calls>> = Mutex::new(None);

#[derive(Default)]
struct Calls {
    by_key: HashMap<CallKey, (String, Arc<CallSettings>)>,
    by_call_id: HashMap<String, Arc<CallSettings>>,
    compiled_in: Vec<String>,
    order: Vec<&'static str>,
}

fn calls() -> MutexGuard<'static, Option<Calls>> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// PJSUA starts, with these codecs.
pub(super) fn install(compiled_in: Vec<String>) {
    *calls() = Some(Calls { compiled_in, ..Calls::default() });
}

/// Keeps the settings of a call that is about to be made.
pub(super) fn keep(key: CallKey, call_id: &str, settings: CallSettings) {
    let settings = Arc::new(settings);
    let mut calls = calls();
    let calls = calls.get_or_insert_default();
    calls.by_call_id.insert(call_id.to_owned(), Arc::clone(&settings));
    calls.by_key.insert(key, (call_id.to_owned(), settings));
}

/// Forgets a call that has ended.
pub(super) fn forget(key: CallKey) {
    let mut calls = calls();
    let Some(calls) = calls.as_mut() else { return };
    if let Some((call_id, _)) = calls.by_key.remove(&key) {
        calls.by_call_id.remove(&call_id);
    }
}

/// The settings of a call that is up.
pub(super) fn of(key: CallKey) -> Option<Arc<CallSettings>> {
    calls().as_ref()?.by_key.get(&key).map(|(_, settings)| Arc::clone(settings))
}

/// Lets the next description of media be this call's.
pub(super) fn prepare(key: CallKey) -> Result<(), PjError> {
    of(key).map_or(Ok(()), |settings| set_order(&settings.codecs))
}

/// The same, for a request of the callee's end, by which it may offer or ask for an offer.
pub(super) fn prepare_for(call_id: &str) -> Result<(), PjError> {
    let settings = calls().as_ref().and_then(|calls| calls.by_call_id.get(call_id).map(Arc::clone));
    settings.map_or(Ok(()), |settings| set_order(&settings.codecs))
}

fn set_order(codecs: &[&'static str]) -> Result<(), PjError> {
    let mut calls = calls();
    let Some(calls) = calls.as_mut().filter(|calls| calls.order != codecs) else { return Ok(()) };
    codec::set_order(&calls.compiled_in, codecs)?;
    calls.order = codecs.to_vec();
    Ok(())
}

/// Adds `a=ptime` (RFC 8866 §6.4) where it is not the 20 ms that every codec of ours has by default, and takes telephone
/// events out where keys are tones.
pub(super) unsafe extern "C" fn on_call_sdp_created(
    call: sys::pjsua_call_id,
    sdp: *mut sys::pjmedia_sdp_session,
    pool: *mut sys::pj_pool_t,
    remote: *const sys::pjmedia_sdp_session,
) {
    guarded("on_call_sdp_created", || {
        let Some(settings) = key_of(call).and_then(of) else { return };
        // SAFETY: PJSUA passes a session that is alive during the callback.
        let Some(session) = (unsafe { sdp.as_mut() }) else { return };
        for media in session.media.iter().take(session.media_count as usize) {
            // SAFETY: each line belongs to the session, and nothing else refers to it now.
            let Some(media) = (unsafe { media.as_mut() }) else { continue };
            if !settings.telephone_events {
                leave_out_events(media);
            }
            if settings.ptime.as_millis() != 20 && remote.is_null() {
                let text = settings.ptime.as_millis().to_string();
                let value = strings::lend(&text);
                // SAFETY: PJSUA passes the pool that the session lives in, into which the attribute is copied; its line
                // checks that there is room for it.
                unsafe {
                    let attribute =
                        sys::pjmedia_sdp_attr_create(pool, c"ptime".as_ptr(), ptr::from_ref(&value));
                    if !attribute.is_null() {
                        sys::pjmedia_sdp_attr_add(
                            &raw mut media.attr_count,
                            media.attr.as_mut_ptr(),
                            attribute,
                        );
                    }
                }
            }
        }
    });
}

/// Removes `telephone-event` from a line: its formats and what is said of them.
fn leave_out_events(media: &mut sys::pjmedia_sdp_media) {
    let attributes = &media.attr[..media.attr_count as usize];
    let mut events: Vec<Vec<u8>> = Vec::new();
    for attribute in attributes {
        // SAFETY: attributes and their texts belong to the session, which is alive.
        let value = unsafe { attribute.as_ref().map(|attribute| strings::bytes(&attribute.value)) };
        let Some((format, encoding)) = value.and_then(|value| {
            let space = value.iter().position(|byte| *byte == b' ')?;
            Some((&value[..space], &value[space + 1..]))
        }) else {
            continue;
        };
        if encoding.get(..16).is_some_and(|name| name.eq_ignore_ascii_case(b"telephone-event/")) {
            events.push(format.to_vec());
        }
    }
    // SAFETY: as above.
    let is_event =
        |text: &sys::pj_str_t| unsafe { events.iter().any(|event| *event == strings::bytes(text)) };
    let count = media.desc.fmt_count as usize;
    let mut kept = 0;
    for index in 0..count {
        let format = media.desc.fmt[index];
        if !is_event(&format) {
            media.desc.fmt[kept] = format;
            kept += 1;
        }
    }
    media.desc.fmt_count = kept as u32;
    let count = media.attr_count as usize;
    let mut kept = 0;
    for index in 0..count {
        let attribute = media.attr[index];
        // SAFETY: as above.
        let of_event = unsafe { attribute.as_ref() }.is_some_and(|attribute| {
            // SAFETY: as above.
            let (name, value) =
                unsafe { (strings::bytes(&attribute.name), strings::bytes(&attribute.value)) };
            let format = value.split(|byte| *byte == b' ').next().unwrap_or_default();
            matches!(name, b"rtpmap" | b"fmtp") && events.iter().any(|event| event == format)
        });
        if !of_event {
            media.attr[kept] = attribute;
            kept += 1;
        }
    }
    media.attr_count = kept as u32;
}
