//! Where PJSIP asks for the addresses of hosts: here, instead of its own resolver (RFC 3263).
//!
//! An address is its own answer. A name is told as an event, and its question kept until
//! [`Instance::resolved`](super::Instance::resolved) answers it. PJSIP gets one address at a time: which other server
//! is tried after a failure is not its decision.

use std::collections::HashMap;
use std::ffi::c_void;
use std::net::{IpAddr, SocketAddr};
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::{Mutex, PoisonError};

use pjsip_sys as sys;

use super::callbacks::guarded;
use super::error::{PjError, check};
use super::event::{PjEvent, emit};
use super::instance::Instance;
use super::strings;

/// PJLIB's "host or name not found", for which bindgen has no constant; a transaction ends with 502 by it.
const PJ_ERESOLVE: sys::pj_status_t = sys::PJ_ERRNO_START_STATUS as sys::pj_status_t + 18;

/// Questions that wait. More than any number of trunks asks: a far end that names a new host in each Contact gets no
/// answer.
const MOST: usize = 1024;

/// Names a question of PJSIP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Question(u64);

/// What carries SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Udp,
    Tcp,
    Tls,
}

/// What PJSIP passes for its answer.
struct Asked {
    /// PJSIP's own; handed back and never followed.
    token: AtomicPtr<c_void>,
    answer: sys::pjsip_resolver_callback,
    protocol: Protocol,
}

/// PJSIP is one per process and its callback carries no pointer of ours, so this is a static; it is there while
/// [`Questions`] lives.
static OPEN: Mutex<Option<Open>> = Mutex::new(None);

#[derive(Default)]
struct Open {
    asked: HashMap<Question, Asked>,
    next: u64,
    /// Where the request that is being sent goes, whatever its host.
    server: Option<SocketAddr>,
}

fn open<T>(act: impl FnOnce(&mut Open) -> T) -> Option<T> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
}

/// The functions that PJSIP calls; it only reads the record.
static TABLE: sys::pjsip_ext_resolver = sys::pjsip_ext_resolver { resolve: Some(resolve) };

/// Answers PJSIP's questions while it lives.
pub(super) struct Questions;

impl Questions {
    /// Takes the place of PJSIP's resolver.
    #[doc(alias = "pjsip_endpt_set_ext_resolver")]
    pub(super) fn take_over(endpoint: *mut sys::pjsip_endpoint) -> Result<Self, PjError> {
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Open::default());
        let questions = Self;
        // SAFETY: the endpoint runs; the table is static and PJSIP does not write to it.
        check("pjsip_endpt_set_ext_resolver", unsafe {
            sys::pjsip_endpt_set_ext_resolver(endpoint, (&raw const TABLE).cast_mut())
        })?;
        Ok(questions)
    }
}

impl Drop for Questions {
    /// Tells PJSIP, which is about to end, that what it still asks will not be found.
    fn drop(&mut self) {
        let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner).take();
        for asked in open.into_iter().flat_map(|open| open.asked.into_values()) {
            // SAFETY: asked by the running endpoint, not answered so far, and taken out of the map.
            unsafe { asked.tell(None) };
        }
    }
}

impl Instance {
    /// Answers a question: one address, or none. An answer to a question that is no longer open does nothing.
    pub(crate) fn resolved(&self, question: Question, server: Option<SocketAddr>) {
        if let Some(asked) = open(|open| open.asked.remove(&question)).flatten() {
            // SAFETY: PJSUA runs, on this thread; the question was taken out of the map, so this is its one answer.
            unsafe { asked.tell(server) };
        }
    }

    /// Runs `send`; what is sent meanwhile goes to `server`, whatever its host.
    pub(super) fn towards<T>(&self, server: SocketAddr, send: impl FnOnce() -> T) -> T {
        open(|open| open.server = Some(server));
        let sent = send();
        open(|open| open.server = None);
        sent
    }
}

impl Asked {
    /// # Safety
    ///
    /// On the control thread, once for each question, while the endpoint runs that asked.
    unsafe fn tell(self, server: Option<SocketAddr>) {
        let Some(answer) = self.answer else { return };
        let token = self.token.into_inner();
        match server.and_then(|server| addresses(server, self.protocol)) {
            // SAFETY: PJSIP's own function and token; it copies what it keeps of the record.
            Some(found) => unsafe { answer(sys::PJ_SUCCESS as sys::pj_status_t, token, &raw const *found) },
            // SAFETY: as above; without an address PJSIP does not look at the record.
            None => unsafe { answer(PJ_ERESOLVE, token, ptr::null()) },
        }
    }
}

/// One address in PJSIP's words.
fn addresses(server: SocketAddr, protocol: Protocol) -> Option<Box<sys::pjsip_server_addresses>> {
    let text = server.to_string();
    let text = strings::lend(&text);
    // SAFETY: a record of numbers, texts and addresses, for which zeros are valid.
    let mut found: Box<sys::pjsip_server_addresses> = unsafe { Box::new(std::mem::zeroed()) };
    let entry = &mut found.entry[0];
    entry.type_ = match protocol {
        Protocol::Udp => sys::PJSIP_TRANSPORT_UDP,
        Protocol::Tcp => sys::PJSIP_TRANSPORT_TCP,
        Protocol::Tls => sys::PJSIP_TRANSPORT_TLS,
    };
    if server.is_ipv6() {
        entry.type_ |= sys::PJSIP_TRANSPORT_IPV6;
    }
    // SAFETY: the text is an address with its port, so that nothing is looked up; the place for it is ours.
    let status = unsafe { sys::pj_sockaddr_parse(0, 0, &raw const text, &raw mut entry.addr) };
    // SAFETY: the address was just filled.
    entry.addr_len = unsafe { sys::pj_sockaddr_get_len((&raw const entry.addr).cast()) }.cast_signed();
    found.count = 1;
    (status == 0).then_some(found)
}

unsafe extern "C" fn resolve(
    _resolver: *mut sys::pjsip_resolver_t,
    _pool: *mut sys::pj_pool_t,
    target: *const sys::pjsip_host_info,
    token: *mut c_void,
    answer: sys::pjsip_resolver_callback,
) {
    guarded("resolve", || {
        // SAFETY: PJSIP passes a record that is alive during the call.
        let Some(target) = (unsafe { target.as_ref() }) else { return };
        // SAFETY: the host is a text of the request.
        let host = unsafe { strings::copy(&target.addr.host) };
        let port = u16::try_from(target.addr.port).ok().filter(|port| *port > 0);
        let protocol = protocol(target);
        let asked = Asked { token: AtomicPtr::new(token), answer, protocol };
        let usual = if protocol == Protocol::Tls { 5061 } else { 5060 };
        let literal = host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port.unwrap_or(usual)));
        let known = open(|open| open.server).flatten().or(literal);
        if known.is_some() {
            // SAFETY: PJSIP asks on the control thread, while it runs; this is the one answer.
            return unsafe { asked.tell(known) };
        }
        let mut asked = Some(asked);
        let question = open(|open| {
            if open.asked.len() >= MOST {
                return None;
            }
            open.next += 1;
            let question = Question(open.next);
            open.asked.insert(question, asked.take()?);
            Some(question)
        });
        match question.flatten() {
            Some(question) => emit(PjEvent::Resolve { question, host, port, protocol }),
            // SAFETY: as above.
            None => asked.into_iter().for_each(|asked| unsafe { asked.tell(None) }),
        }
    });
}

fn protocol(target: &sys::pjsip_host_info) -> Protocol {
    match target.type_ & !sys::PJSIP_TRANSPORT_IPV6 {
        sys::PJSIP_TRANSPORT_TLS => Protocol::Tls,
        sys::PJSIP_TRANSPORT_TCP => Protocol::Tcp,
        sys::PJSIP_TRANSPORT_UDP => Protocol::Udp,
        // The URI names no transport.
        _ if target.flag & sys::PJSIP_TRANSPORT_SECURE != 0 => Protocol::Tls,
        _ if target.flag & sys::PJSIP_TRANSPORT_RELIABLE != 0 => Protocol::Tcp,
        _ => Protocol::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_pjsips_words() {
        let found = addresses("192.0.2.7:5070".parse().unwrap(), Protocol::Tcp).unwrap();
        assert_eq!((found.count, found.entry[0].type_), (1, sys::PJSIP_TRANSPORT_TCP));
        // SAFETY: the address is filled.
        assert_eq!(unsafe { sys::pj_sockaddr_get_port((&raw const found.entry[0].addr).cast()) }, 5070);
        let found = addresses("[2001:db8::1]:5061".parse().unwrap(), Protocol::Tls).unwrap();
        assert_eq!(found.entry[0].type_, sys::PJSIP_TRANSPORT_TLS6);
        assert_eq!(found.entry[0].addr_len as usize, size_of::<sys::pj_sockaddr_in6>());
    }
}
