//! PJSUA's callbacks: each copies what it needs, sends it, returns.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::mem;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pjsip_sys as sys;

use super::account::{AccountId, JitterBuffer};
use super::event::{CallKey, NegotiatedMedia, PjEvent, TransportFailure, emit, emit_and_wake};
use super::media::PinnedStream;
use super::{codec, error, offer, refer, strings, wire};

/// Runs a trampoline's body. A panic must not cross into C; it becomes an event, so that the endpoint can report it.
pub(super) fn guarded(callback: &'static str, body: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        emit(PjEvent::Panicked { callback, message: panic_message(&*panic) });
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// Fills PJSUA's table. There is no callback for incoming calls on purpose: without one PJSUA takes none, whether with
/// Replaces or without.
pub(super) fn install(table: &mut sys::pjsua_callback) {
    table.on_call_state = Some(on_call_state);
    table.on_call_media_state = Some(on_call_media_state);
    table.on_call_sdp_created = Some(offer::on_call_sdp_created);
    table.on_stream_precreate = Some(on_stream_precreate);
    table.on_stream_created2 = Some(on_stream_created2);
    table.on_call_tsx_state = Some(refer::on_call_tsx_state);
    table.on_call_transfer_request2 = Some(on_call_transfer_request2);
    table.on_call_transfer_status = Some(on_call_transfer_status);
    table.on_call_redirected = Some(on_call_redirected);
    table.on_dtmf_digit2 = Some(on_dtmf_digit2);
    table.on_reg_state2 = Some(on_reg_state2);
    table.on_transport_state = Some(on_transport_state);
}

/// Our name for the call in a PJSUA slot; we give it to PJSUA as the call's user data.
pub(super) fn key_of(call: sys::pjsua_call_id) -> Option<CallKey> {
    // SAFETY: PJSUA checks the slot; the user data is the number that `pj::call` put there, never a pointer.
    let data = unsafe { sys::pjsua_call_get_user_data(call) };
    (!data.is_null()).then(|| CallKey(data.expose_provenance() as u64))
}

unsafe extern "C" fn on_call_state(call: sys::pjsua_call_id, _event: *mut sys::pjsip_event) {
    guarded("on_call_state", || {
        let Some(key) = key_of(call) else { return };
        // SAFETY: a record for which zeros are valid, filled by PJSUA.
        let mut info: sys::pjsua_call_info = unsafe { mem::zeroed() };
        // SAFETY: PJSUA checks the slot and fills the record.
        if unsafe { sys::pjsua_call_get_info(call, &raw mut info) } != 0 {
            return;
        }
        match info.state {
            sys::PJSIP_INV_STATE_CONFIRMED => emit(PjEvent::Confirmed { key, media: negotiated(call) }),
            sys::PJSIP_INV_STATE_DISCONNECTED => {
                let code = u16::try_from(info.last_status).unwrap_or_default();
                // SAFETY: the text points into the record or to static text.
                let phrase = unsafe { strings::copy(&info.last_status_text) };
                emit(PjEvent::Disconnected { key, code, phrase });
            }
            _ => {}
        }
    });
}

/// Reads what the answer settled for the one audio stream of a call.
fn negotiated(call: sys::pjsua_call_id) -> Option<NegotiatedMedia> {
    // SAFETY: records for which zeros are valid; PJSUA checks slot and media index and fills them; the union is read
    // as audio only when its tag says so; texts point to memory of the call, which lives during this callback.
    unsafe {
        let mut stream: sys::pjsua_stream_info = mem::zeroed();
        if sys::pjsua_call_get_stream_info(call, 0, &raw mut stream) != 0
            || stream.type_ != sys::PJMEDIA_TYPE_AUDIO
        {
            return None;
        }
        let audio = &stream.info.aud;
        let codec = codec::told(&strings::copy(&audio.fmt.encoding_name), audio.fmt.clock_rate);
        let mut transport: sys::pjmedia_transport_info = mem::zeroed();
        sys::pjsys_transport_info_init(&raw mut transport);
        let known = sys::pjsua_call_get_med_transport_info(call, 0, &raw mut transport) == 0;
        let srtp = if known { srtp_suite(&mut transport) } else { None };
        Some(NegotiatedMedia { codec, srtp, remote: socket_addr(&audio.rem_addr) })
    }
}

/// The crypto suite that we send with, if the transport has an active SRTP layer.
unsafe fn srtp_suite(transport: &mut sys::pjmedia_transport_info) -> Option<String> {
    // SAFETY: the record was filled by PJSUA; the layer's information is where it says and lives in the record.
    unsafe {
        let layer = sys::pjsys_transport_info_spc_info(transport, sys::PJMEDIA_TRANSPORT_TYPE_SRTP)
            .cast::<sys::pjmedia_srtp_info>();
        let layer = layer.as_ref()?;
        (layer.active != 0).then(|| strings::copy(&layer.tx_policy.name))
    }
}

/// Translates PJLIB's socket address.
pub(super) fn socket_addr(address: &sys::pj_sockaddr) -> Option<SocketAddr> {
    let mut buffer = [0; 64];
    // SAFETY: the address is initialised (its family is read first); with the flags for port and brackets the text
    // is at most 54 bytes.
    unsafe {
        let family = address.addr.sa_family;
        if family != sys::PJ_AF_INET && family != sys::PJ_AF_INET6 {
            return None;
        }
        sys::pj_sockaddr_print((&raw const *address).cast(), buffer.as_mut_ptr(), buffer.len() as c_int, 3);
    }
    strings::from_array(&buffer).parse().ok()
}

unsafe extern "C" fn on_call_media_state(call: sys::pjsua_call_id) {
    guarded("on_call_media_state", || {
        let Some(key) = key_of(call) else { return };
        // SAFETY: a record for which zeros are valid, filled by PJSUA, which checks the slot.
        let mut info: sys::pjsua_call_info = unsafe { mem::zeroed() };
        // SAFETY: as above.
        if unsafe { sys::pjsua_call_get_info(call, &raw mut info) } != 0 {
            return;
        }
        let on_hold =
            matches!(info.media_status, sys::PJSUA_CALL_MEDIA_LOCAL_HOLD | sys::PJSUA_CALL_MEDIA_REMOTE_HOLD);
        emit(PjEvent::MediaState { key, on_hold });
    });
}

/// Room in the jitter buffer for what comes at once after a stall, in milliseconds: as much as PJMEDIA has, and more than
/// may wait there.
const ROOM: u16 = 500;
const ROOM_BEYOND: u16 = 100;

unsafe extern "C" fn on_stream_precreate(
    call: sys::pjsua_call_id,
    parameters: *mut sys::pjsua_on_stream_precreate_param,
) {
    guarded("on_stream_precreate", || {
        // SAFETY: a record for which zeros are valid, filled by PJSUA, which checks the slot; it checks the account's
        // number too, and what it keeps there for us is a number.
        let buffer = unsafe {
            let mut info: sys::pjsua_call_info = mem::zeroed();
            if sys::pjsua_call_get_info(call, &raw mut info) != 0 {
                return;
            }
            JitterBuffer::from_user_data(sys::pjsua_acc_get_user_data(info.acc_id))
        };
        // SAFETY: PJSUA passes a record that is alive during the callback; the union is used as audio only when its tag
        // says so.
        unsafe {
            let (Some(buffer), Some(parameters)) = (buffer, parameters.as_mut()) else { return };
            let stream = &mut parameters.stream_info;
            if stream.type_ == sys::PJMEDIA_TYPE_AUDIO {
                let audio = &mut stream.info.aud;
                audio.jb_init = i32::from(buffer.min);
                audio.jb_min_pre = i32::from(buffer.min);
                audio.jb_max_pre = i32::from(buffer.max);
                audio.jb_max = i32::from(buffer.max.saturating_add(ROOM_BEYOND).max(ROOM));
            }
        }
    });
}

unsafe extern "C" fn on_stream_created2(
    call: sys::pjsua_call_id,
    parameters: *mut sys::pjsua_on_stream_created_param,
) {
    guarded("on_stream_created2", || {
        let Some(key) = key_of(call) else { return };
        // SAFETY: PJSUA passes a record that is alive during the callback, with the stream that it just created.
        let Some(parameters) = (unsafe { parameters.as_mut() }) else { return };
        // SAFETY: as above; the stream is pinned before PJSUA can destroy it.
        let Some(stream) = (unsafe { PinnedStream::pin(parameters.stream) }) else {
            tracing::error!(target: "outdial::sip", "a stream that cannot be served: the call has no sound");
            return;
        };
        // SAFETY: a live stream; the user data is our number for the call and is never read as a pointer.
        unsafe {
            let data = ptr::without_provenance_mut::<c_void>(key.0 as usize);
            sys::pjmedia_stream_set_dtmf_callback(parameters.stream, Some(on_dtmf), data);
        }
        // The conference bridge has no clock, so it never touches what is plugged into it. It gets a port that costs
        // nothing instead of the stream, which belongs to our own clock.
        if let Some(port) = super::instance::null_port() {
            parameters.port = port;
            parameters.destroy_port = sys::PJ_TRUE as sys::pj_bool_t;
        }
        emit(PjEvent::Stream { key, stream });
    });
}

unsafe extern "C" fn on_dtmf(_stream: *mut sys::pjmedia_stream, data: *mut c_void, digit: c_int) {
    guarded("on_dtmf", || {
        let key = CallKey(data.addr() as u64);
        if let Some(digit) = u8::try_from(digit).ok().map(char::from) {
            // PJMEDIA's worker calls this, not the control thread.
            emit_and_wake(PjEvent::Digit { key, digit });
        }
    });
}

/// Keys by SIP INFO. Those by RTP come to `on_dtmf`, which `on_stream_created2` puts in this one's place.
unsafe extern "C" fn on_dtmf_digit2(call: sys::pjsua_call_id, info: *const sys::pjsua_dtmf_info) {
    guarded("on_dtmf_digit2", || {
        let Some(key) = key_of(call) else { return };
        // SAFETY: PJSUA passes a record that is alive during the callback.
        let Some(info) = (unsafe { info.as_ref() }) else { return };
        if let Some(digit) = u8::try_from(info.digit).ok().map(char::from) {
            emit(PjEvent::Digit { key, digit });
        }
    });
}

/// A callee must not make us dial (toll fraud by REFER): what [`refer`] has not taken is refused, whatever the target.
unsafe extern "C" fn on_call_transfer_request2(
    _call: sys::pjsua_call_id,
    _target: *const sys::pj_str_t,
    code: *mut sys::pjsip_status_code,
    _setting: *mut sys::pjsua_call_setting,
) {
    // SAFETY: PJSUA passes a place for the answer.
    if let Some(code) = unsafe { code.as_mut() } {
        *code = sys::PJSIP_SC_DECLINE;
    }
}

unsafe extern "C" fn on_call_transfer_status(
    call: sys::pjsua_call_id,
    code: c_int,
    phrase: *const sys::pj_str_t,
    last: sys::pj_bool_t,
    _keep_subscription: *mut sys::pj_bool_t,
) {
    guarded("on_call_transfer_status", || {
        let Some(key) = key_of(call) else { return };
        // SAFETY: PJSUA passes a text that lives during the callback.
        let phrase = unsafe { phrase.as_ref().map(|text| strings::copy(text)) }.unwrap_or_default();
        let code = u16::try_from(code).unwrap_or_default();
        emit(PjEvent::TransferStatus { key, code, phrase, last: last != 0 });
    });
}

unsafe extern "C" fn on_call_redirected(
    call: sys::pjsua_call_id,
    target: *const sys::pjsip_uri,
    _event: *const sys::pjsip_event,
) -> sys::pjsip_redirect_op {
    let mut verdict = sys::PJSIP_REDIRECT_STOP;
    guarded("on_call_redirected", || {
        let settings = key_of(call).and_then(offer::of);
        let Some(consent) = settings.as_ref().and_then(|settings| settings.redirects.as_ref()) else {
            return;
        };
        let mut text = [0_u8; 512];
        // SAFETY: PJSUA passes an address that is alive during the callback; it is printed into an array of that size.
        let length = unsafe {
            let context = sys::PJSIP_URI_IN_CONTACT_HDR;
            sys::pjsys_uri_print(
                context,
                target.cast(),
                text.as_mut_ptr().cast(),
                text.len() as sys::pj_size_t,
            )
        };
        let text = usize::try_from(length).ok().and_then(|length| text.get(..length));
        let target = text.map(String::from_utf8_lossy).unwrap_or_default();
        let target = target.trim_start_matches('<').trim_end_matches('>');
        verdict = if consent.is_given(target) {
            sys::PJSIP_REDIRECT_ACCEPT_REPLACE
        } else {
            // The next one of several, if there is one.
            sys::PJSIP_REDIRECT_REJECT
        };
    });
    verdict
}

unsafe extern "C" fn on_reg_state2(account: sys::pjsua_acc_id, info: *mut sys::pjsua_reg_info) {
    guarded("on_reg_state2", || {
        // SAFETY: PJSUA passes records that live during the callback.
        let Some(result) = (unsafe { info.as_ref().and_then(|info| info.cbparam.as_ref()) }) else { return };
        let error = (result.status != 0).then(|| error::describe(result.status));
        emit(PjEvent::Registration {
            account: AccountId(account),
            code: u16::try_from(result.code).unwrap_or_default(),
            // SAFETY: as above.
            phrase: unsafe { strings::copy(&result.reason) },
            expires: if result.is_unreg != 0 { 0 } else { result.expiration },
            error,
        });
    });
}

unsafe extern "C" fn on_transport_state(
    transport: *mut sys::pjsip_transport,
    state: sys::pjsip_transport_state,
    info: *const sys::pjsip_transport_state_info,
) {
    guarded("on_transport_state", || {
        // SAFETY: PJSIP passes a transport that is alive during the callback.
        if let Some(connection) = unsafe { wire::connection(transport) } {
            match state {
                sys::PJSIP_TP_STATE_CONNECTED => emit(PjEvent::Connected(connection)),
                sys::PJSIP_TP_STATE_DISCONNECTED | sys::PJSIP_TP_STATE_DESTROY => {
                    emit(PjEvent::ConnectionGone(connection));
                }
                _ => {}
            }
        }
        if state != sys::PJSIP_TP_STATE_DISCONNECTED {
            return;
        }
        // SAFETY: PJSIP passes records that live during the callback.
        let (Some(transport), Some(info)) = (unsafe { (transport.as_ref(), info.as_ref()) }) else { return };
        // SAFETY: for TLS the extension is this record.
        let certificate = unsafe {
            let secure = transport.flag & sys::PJSIP_TRANSPORT_SECURE != 0;
            let extension = info.ext_info.cast::<sys::pjsip_tls_state_info>();
            if secure { extension.as_ref().and_then(|tls| tls.ssl_sock_info.as_ref()) } else { None }
        };
        let mut cause =
            if info.status == 0 { "connection lost".to_owned() } else { error::describe(info.status) };
        let faults = certificate.map(|tls| certificate_faults(tls.verify_status)).unwrap_or_default();
        if !faults.is_empty() {
            cause = format!("the server's certificate was refused: {}", faults.join("; "));
        }
        // SAFETY: the name belongs to the transport.
        let host = unsafe { strings::copy(&transport.remote_name.host) };
        let port = u16::try_from(transport.remote_name.port).unwrap_or_default();
        let address = socket_addr(&transport.key.rem_addr);
        emit(PjEvent::TransportFailed(TransportFailure { remote: (host, port), address, cause }));
    });
}

/// PJLIB's words for what is wrong with a certificate.
fn certificate_faults(status: u32) -> Vec<String> {
    const MOST: usize = 16;
    let mut texts = [ptr::null(); MOST];
    let mut count = MOST as u32;
    // SAFETY: the array has as many places as said and is filled with static texts.
    unsafe {
        if status == 0
            || sys::pj_ssl_cert_get_verify_status_strings(status, texts.as_mut_ptr(), &raw mut count) != 0
        {
            return Vec::new();
        }
        let filled = texts.iter().take(count as usize).filter(|text| !text.is_null());
        filled.map(|text| std::ffi::CStr::from_ptr(*text).to_string_lossy().into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pj::event;

    #[test]
    fn a_panic_in_a_trampoline_is_caught_and_told() {
        let (sender, events) = crossbeam_channel::unbounded();
        event::install(Some(sender));
        guarded("on_call_state", || panic!("the {} is broken", "callback"));
        guarded("on_dtmf", || {});
        event::install(None);
        let told: Vec<PjEvent> = events.try_iter().collect();
        let [PjEvent::Panicked { callback: "on_call_state", message }] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(message, "the callback is broken");
    }
}
