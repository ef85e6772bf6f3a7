//! A PJSIP module in front of all others: it sees each message as it is on the wire.
//!
//! PJSUA tells a call's end in its own codes (a 302 becomes 487, a 200 without common codec 415). What the far end
//! really sent is read here, by the Call-ID that we chose. And an outbound endpoint has no use for requests from
//! outside its dialogs: they are answered here and never reach PJSUA.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{PoisonError, RwLock};

use pjsip_sys as sys;

use super::callbacks::{self, guarded};
use super::event::{Connection, Method, PjEvent, emit};
use super::{offer, strings};

const NAME: &str = "mod-outdial-wire";

/// Judges a message by its bytes, before PJSIP works with it; `None` lets it pass.
pub(crate) type Gate = fn(&[u8]) -> Option<Refusal>;

/// Why a message does not pass the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status to answer a request with; a message without one is dropped.
    pub(crate) status: Option<u16>,
    /// In a word, and without anything of the message: it is logged and counted.
    pub(crate) reason: &'static str,
}

static GATE: RwLock<Option<Gate>> = RwLock::new(None);

/// The module's record; PJSIP links it into its list, so it must not move before the endpoint is gone.
pub(super) struct WireModule(
    #[expect(dead_code, reason = "owned for PJSIP, which links it")] Box<sys::pjsip_module>,
);

impl WireModule {
    /// Registers the module with the running endpoint, which unregisters it when it is destroyed.
    #[doc(alias = "pjsip_endpt_register_module")]
    pub(super) fn register(endpoint: *mut sys::pjsip_endpoint, gate: Gate) -> Result<Self, super::PjError> {
        *GATE.write().unwrap_or_else(PoisonError::into_inner) = Some(gate);
        // SAFETY: links, numbers and function pointers, for which zeros are valid.
        let mut module: Box<sys::pjsip_module> = Box::new(unsafe { std::mem::zeroed() });
        module.name = strings::lend(NAME);
        module.id = -1;
        // Before the transaction layer on the way in, after everything else on the way out.
        module.priority = sys::PJSIP_MOD_PRIORITY_TRANSPORT_LAYER as c_int - 1;
        module.on_rx_request = Some(on_rx_request);
        module.on_rx_response = Some(on_rx_response);
        module.on_tx_request = Some(on_tx_request);
        module.on_tx_response = Some(on_tx_response);
        // SAFETY: the endpoint runs; the record is on the heap and kept by the returned value, which `Instance` drops
        // after the endpoint.
        let status = unsafe { sys::pjsip_endpt_register_module(endpoint, &raw mut *module) };
        super::error::check("pjsip_endpt_register_module", status)?;
        Ok(Self(module))
    }
}

const PASS_ON: sys::pj_bool_t = sys::PJ_FALSE as sys::pj_bool_t;
const HANDLED: sys::pj_bool_t = sys::PJ_TRUE as sys::pj_bool_t;

unsafe extern "C" fn on_rx_request(rdata: *mut sys::pjsip_rx_data) -> sys::pj_bool_t {
    let mut verdict = PASS_ON;
    guarded("on_rx_request", || {
        // SAFETY: PJSIP passes a parsed message with its mandatory headers, alive during the callback.
        let Some(message) = (unsafe { Received::new(rdata) }) else { return };
        message.trace();
        if let Some(refusal) = message.judge() {
            verdict = HANDLED;
            if let Some(status) = refusal.status {
                // SAFETY: as above.
                unsafe { answer(rdata, status.into()) };
            }
            return;
        }
        if message.method() == Method::Bye {
            emit(PjEvent::ByeReceived { call_id: message.call_id(), reason: message.reason() });
        }
        if let Some(code) = message.refusal() {
            tracing::info!(target: "outdial::sip", code, "refused a request from outside every dialog");
            // SAFETY: as above.
            unsafe { answer(rdata, code) };
            verdict = HANDLED;
        } else if let Err(error) = offer::prepare_for(&message.call_id()) {
            tracing::error!(target: "outdial::sip", %error, "the codecs of a call could not be set");
        }
    });
    verdict
}

/// Answers a request without keeping anything of it.
///
/// # Safety
///
/// `rdata` is a received request as PJSIP passes it to modules.
unsafe fn answer(rdata: *mut sys::pjsip_rx_data, code: c_int) {
    // SAFETY: the caller's promise; the endpoint runs, for it called us.
    unsafe {
        let endpoint = sys::pjsua_get_pjsip_endpt();
        sys::pjsip_endpt_respond_stateless(endpoint, rdata, code, ptr::null(), ptr::null(), ptr::null());
    }
}

unsafe extern "C" fn on_rx_response(rdata: *mut sys::pjsip_rx_data) -> sys::pj_bool_t {
    let mut verdict = PASS_ON;
    guarded("on_rx_response", || {
        // SAFETY: as for requests.
        let Some(message) = (unsafe { Received::new(rdata) }) else { return };
        message.trace();
        if message.judge().is_some() {
            verdict = HANDLED;
            return;
        }
        let (code, phrase) = message.status();
        emit(PjEvent::Response {
            call_id: message.call_id(),
            tag: message.tag(),
            method: message.method(),
            code,
            phrase,
            reason: message.reason(),
            retry_after: message.retry_after(),
            warning: message.warning(),
            has_sdp: message.has_sdp(),
            secure_media: message.offers_srtp(),
        });
    });
    verdict
}

unsafe extern "C" fn on_tx_request(tdata: *mut sys::pjsip_tx_data) -> sys::pj_status_t {
    guarded("on_tx_request", || {
        // SAFETY: PJSIP passes a message that has been printed into its buffer, alive during the callback.
        unsafe { trace_sent(tdata) };
        // SAFETY: as above; the headers are those of a request that PJSIP built.
        if let Some((call_id, tag, method, authorized)) = unsafe { identify(tdata) } {
            // SAFETY: as above; a message that is being sent has a transport and an address that it goes to.
            let (connection, server) = unsafe {
                let info = tdata.as_ref().map(|tdata| &tdata.tp_info);
                let connection = info.and_then(|info| connection(info.transport));
                (connection, info.and_then(|info| callbacks::socket_addr(&info.dst_addr)))
            };
            emit(PjEvent::RequestSent { call_id, tag, method, server, connection, authorized });
        }
    });
    0
}

unsafe extern "C" fn on_tx_response(tdata: *mut sys::pjsip_tx_data) -> sys::pj_status_t {
    // SAFETY: as for requests.
    guarded("on_tx_response", || unsafe { trace_sent(tdata) });
    0
}

/// A message that came in.
pub(super) struct Received<'a> {
    rdata: &'a sys::pjsip_rx_data,
    message: &'a sys::pjsip_msg,
}

impl<'a> Received<'a> {
    /// # Safety
    ///
    /// `rdata` is null or a received message as PJSIP passes it to modules, alive for `'a`.
    pub(super) unsafe fn new(rdata: *mut sys::pjsip_rx_data) -> Option<Self> {
        // SAFETY: the caller's promise.
        let rdata = unsafe { rdata.as_ref() }?;
        // SAFETY: the parsed message belongs to the record.
        let message = unsafe { rdata.msg_info.msg.as_ref() }?;
        Some(Self { rdata, message })
    }

    fn call_id(&self) -> String {
        // SAFETY: PJSIP drops messages without Call-ID before modules see them; the header belongs to the message.
        unsafe { self.rdata.msg_info.cid.as_ref().map(|cid| strings::copy(&cid.id)) }.unwrap_or_default()
    }

    /// The tag of From.
    fn tag(&self) -> String {
        // SAFETY: as for the Call-ID.
        unsafe { self.rdata.msg_info.from.as_ref().map(|from| strings::copy(&from.tag)) }.unwrap_or_default()
    }

    fn method(&self) -> Method {
        // SAFETY: as for the Call-ID; the CSeq header of a response names the request's method.
        unsafe { self.rdata.msg_info.cseq.as_ref().map_or(Method::Other, |cseq| method(&cseq.method)) }
    }

    fn status(&self) -> (u16, String) {
        // SAFETY: only called for responses, whose line is a status line; its text belongs to the message.
        unsafe {
            let line = &self.message.line.status;
            (u16::try_from(line.code).unwrap_or_default(), strings::copy(&line.reason))
        }
    }

    /// The Reason headers (RFC 3326).
    fn reason(&self) -> Option<String> {
        self.texts("Reason")
    }

    /// The Warning headers (RFC 3261 §20.43).
    fn warning(&self) -> Option<String> {
        self.texts("Warning")
    }

    /// All headers of a name that PJSIP has no parser for, joined as RFC 3261 §7.3.1 allows.
    pub(super) fn texts(&self, name: &'static str) -> Option<String> {
        let name = strings::lend(name);
        let mut values = Vec::new();
        let mut start: *const c_void = ptr::null();
        // SAFETY: the message's list of headers is intact, also from the successor of a member on; PJSIP has no
        // parser for them, so that they are generic string headers, which their type confirms.
        unsafe {
            while let Some(header) = sys::pjsip_msg_find_hdr_by_name(self.message, &raw const name, start)
                .cast::<sys::pjsip_generic_string_hdr>()
                .as_ref()
                .filter(|header| header.type_ == sys::PJSIP_H_OTHER)
            {
                values.push(strings::copy(&header.hvalue));
                start = header.next.cast();
            }
        }
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Retry-After in seconds (RFC 3261 §20.33).
    #[doc(alias = "pjsip_retry_after_hdr")]
    fn retry_after(&self) -> Option<u32> {
        // SAFETY: a header of this type is this record.
        unsafe {
            let header = sys::pjsip_msg_find_hdr(self.message, sys::PJSIP_H_RETRY_AFTER, ptr::null());
            u32::try_from(header.cast::<sys::pjsip_retry_after_hdr>().as_ref()?.ivalue).ok()
        }
    }

    fn has_sdp(&self) -> bool {
        // SAFETY: body and content type belong to the message.
        unsafe {
            self.message.body.as_ref().is_some_and(|body| {
                strings::bytes(&body.content_type.subtype).eq_ignore_ascii_case(b"sdp")
                    || strings::bytes(&body.content_type.type_).eq_ignore_ascii_case(b"multipart")
            })
        }
    }

    /// Asks the gate, and reports what it refuses.
    fn judge(&self) -> Option<Refusal> {
        let gate = *GATE.read().unwrap_or_else(PoisonError::into_inner);
        let refusal = gate.and_then(|gate| gate(self.bytes()))?;
        tracing::warn!(
            target: "outdial::sip", reason = refusal.reason, from = strings::from_array(&self.rdata.pkt_info.src_name),
            "the gate refused a message"
        );
        emit(PjEvent::Refused { reason: refusal.reason });
        Some(refusal)
    }

    /// Whether the SDP speaks of SRTP (RFC 4568): a secure profile or a key. It is looked for in the bytes as they
    /// came, since a multipart body is no longer text once PJSIP has parsed it.
    fn offers_srtp(&self) -> bool {
        self.bytes().split(|byte| *byte == b'\n').any(|line| {
            line.starts_with(b"a=crypto:") || (line.starts_with(b"m=") && contains(line, b"/SAVP"))
        })
    }

    /// The whole message.
    fn bytes(&self) -> &[u8] {
        let length = usize::try_from(self.rdata.msg_info.len).unwrap_or_default();
        if self.rdata.msg_info.msg_buf.is_null() {
            return &[];
        }
        // SAFETY: the message stands in the receive buffer with this length.
        unsafe { std::slice::from_raw_parts(self.rdata.msg_info.msg_buf.cast::<u8>(), length) }
    }

    /// The status for a request that no dialog of ours awaits, or `None` when PJSIP shall handle it.
    ///
    /// An outbound endpoint takes no calls (403, so that a forking proxy does not retry elsewhere as after a 486), no
    /// Replaces (RFC 3891), no REFER, no messages: 405. OPTIONS is how peers look whether we are alive.
    fn refusal(&self) -> Option<c_int> {
        // SAFETY: the To header belongs to the message; requests have a request line.
        let in_dialog = unsafe { self.rdata.msg_info.to.as_ref().is_some_and(|to| to.tag.slen > 0) };
        // SAFETY: as above.
        let (id, name) = unsafe {
            let method = &self.message.line.req.method;
            (method.id, strings::bytes(&method.name))
        };
        match id {
            _ if in_dialog => None,
            sys::PJSIP_INVITE_METHOD => Some(403),
            sys::PJSIP_ACK_METHOD | sys::PJSIP_CANCEL_METHOD | sys::PJSIP_OPTIONS_METHOD => None,
            sys::PJSIP_BYE_METHOD => Some(481),
            // Notices that nobody asked for, of voice mail for example, are common and harmless.
            _ if name == b"NOTIFY" => Some(481),
            _ => Some(405),
        }
    }

    fn trace(&self) {
        if tracing::enabled!(target: "outdial::sip::trace", tracing::Level::TRACE) {
            let from = strings::from_array(&self.rdata.pkt_info.src_name);
            let port = self.rdata.pkt_info.src_port;
            tracing::trace!(target: "outdial::sip::trace", "received from {from}:{port}\n{}", redacted(self.bytes()));
        }
    }
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

/// The name of a transport, if it is a connection.
///
/// # Safety
///
/// `transport` is null or alive.
pub(super) unsafe fn connection(transport: *const sys::pjsip_transport) -> Option<Connection> {
    // SAFETY: the caller's promise.
    let reliable = unsafe { transport.as_ref() }?.flag & sys::PJSIP_TRANSPORT_RELIABLE != 0;
    reliable.then(|| Connection(transport.addr()))
}

/// # Safety
///
/// `tdata` is null or a message to be sent, printed into its buffer.
unsafe fn trace_sent(tdata: *mut sys::pjsip_tx_data) {
    if !tracing::enabled!(target: "outdial::sip::trace", tracing::Level::TRACE) {
        return;
    }
    // SAFETY: the caller's promise; the text stands between `start` and `cur`.
    unsafe {
        let Some(tdata) = tdata.as_ref() else { return };
        let Ok(length) = usize::try_from(tdata.buf.cur.offset_from(tdata.buf.start)) else { return };
        let text = std::slice::from_raw_parts(tdata.buf.start.cast::<u8>(), length);
        let to = strings::from_array(&tdata.tp_info.dst_name);
        let port = tdata.tp_info.dst_port;
        tracing::trace!(target: "outdial::sip::trace", "sent to {to}:{port}\n{}", redacted(text));
    }
}

/// The Call-ID, the tag of From and the method of a request that is being sent, and whether it answers a challenge.
///
/// # Safety
///
/// As for [`trace_sent`].
unsafe fn identify(tdata: *mut sys::pjsip_tx_data) -> Option<(String, String, Method, bool)> {
    // SAFETY: the message belongs to the record; a header of type Call-ID is a Call-ID header, and so with From.
    unsafe {
        let message = tdata.as_ref()?.msg.as_ref()?;
        let header = sys::pjsip_msg_find_hdr(message, sys::PJSIP_H_CALL_ID, ptr::null());
        let call_id = strings::copy(&header.cast::<sys::pjsip_cid_hdr>().as_ref()?.id);
        let from = sys::pjsip_msg_find_hdr(message, sys::PJSIP_H_FROM, ptr::null());
        let tag = strings::copy(&from.cast::<sys::pjsip_from_hdr>().as_ref()?.tag);
        let has = |kind| !sys::pjsip_msg_find_hdr(message, kind, ptr::null()).is_null();
        let authorized = has(sys::PJSIP_H_AUTHORIZATION) || has(sys::PJSIP_H_PROXY_AUTHORIZATION);
        Some((call_id, tag, method(&message.line.req.method), authorized))
    }
}

fn method(method: &sys::pjsip_method) -> Method {
    match method.id {
        sys::PJSIP_INVITE_METHOD => Method::Invite,
        sys::PJSIP_ACK_METHOD => Method::Ack,
        sys::PJSIP_CANCEL_METHOD => Method::Cancel,
        sys::PJSIP_BYE_METHOD => Method::Bye,
        _ => Method::Other,
    }
}

/// A SIP message for the trace: without the values of credentials and without SRTP keys.
fn redacted(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let mut clean = String::with_capacity(text.len());
    let mut hiding = false;
    for line in text.split_inclusive('\n') {
        // A header goes on in lines that begin with white space (RFC 3261 §7.3.1).
        let continued = line.starts_with([' ', '\t']);
        let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        hiding = (hiding && continued) || name.contains("authorization") || name == "authentication-info";
        if hiding {
            if !continued {
                clean.push_str(&name);
                clean.push_str(": [redacted]\r\n");
            }
        } else if line.starts_with("a=crypto:") {
            clean.push_str(line.split("inline:").next().unwrap_or_default());
            clean.push_str("inline:[redacted]\r\n");
        } else {
            clean.push_str(line);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn a_trace_shows_no_credentials_and_no_keys() {
        let message =
            b"INVITE sip:a@b SIP/2.0\r\nAuthorization: Digest username=\"u\",\r\n response=\"s3cret\"\r\n\
            Proxy-Authorization : Digest response=\"s3cret\"\r\nTo: <sip:a@b>\r\n\r\nv=0\r\n\
            a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:s3cret\r\na=sendrecv\r\n";
        let clean = redacted(message);
        assert!(!clean.contains("s3cret"), "{clean}");
        assert!(clean.contains("To: <sip:a@b>\r\n") && clean.contains("a=sendrecv"), "{clean}");
        assert!(clean.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:[redacted]"), "{clean}");
    }
}
