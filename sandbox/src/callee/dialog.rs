//! The callee's half of a dialog (RFC 3261 section 12): tags, targets, routes and sequence numbers.

use crate::sip::header::NameAddr;
use crate::sip::message::Message;
use crate::sip::request::Request;
use crate::sip::{branch, token};
use crate::transport::Flow;

/// An address that only the pretended proxy could reach (RFC 5737).
const HIDDEN: &str = "198.51.100.1:5060";

#[derive(Debug)]
pub(crate) struct Dialog {
    call_id: String,
    /// Tags that answers to the INVITE have carried; the last one is the dialog's.
    tags: Vec<String>,
    /// The To header of the INVITE, which is the callee's own address.
    local: String,
    /// The From header of the INVITE with the caller's tag.
    remote: String,
    remote_target: String,
    routes: Vec<String>,
    local_cseq: u32,
    remote_cseq: u32,
    behind_proxy: bool,
    /// Where requests go: the way that the caller's last request came.
    pub(crate) flow: Flow,
}

impl Dialog {
    pub(crate) fn new(invite: &Request, tag: &str, flow: Flow, behind_proxy: bool) -> Self {
        let header = |name| invite.message.header(name).unwrap_or_default().to_owned();
        Self {
            call_id: invite.call_id.clone(),
            tags: vec![tag.to_owned()],
            local: header("To"),
            remote: header("From"),
            remote_target: contact(invite).unwrap_or_else(|| invite.from.uri.clone()),
            routes: invite.message.values("Record-Route").into_iter().map(str::to_owned).collect(),
            local_cseq: 0,
            remote_cseq: invite.cseq,
            behind_proxy,
            flow,
        }
    }

    pub(crate) fn tag(&self) -> &str {
        self.tags.last().map_or("", String::as_str)
    }

    /// The Contact URI of our answers.
    fn target(&self) -> String {
        let (address, transport) = (self.flow.local(), self.flow.transport.uri_param());
        match self.behind_proxy {
            true => format!("sip:sandbox@{HIDDEN};transport={transport}"),
            false => format!("sip:sandbox@{address};transport={transport}"),
        }
    }

    /// The value of the Contact header.
    pub(crate) fn contact(&self) -> String {
        format!("<{}>", self.target())
    }

    /// The Record-Route of the proxy that we pretend to stand behind.
    pub(crate) fn proxy(&self) -> Option<String> {
        let (address, transport) = (self.flow.local(), self.flow.transport.uri_param());
        self.behind_proxy.then(|| format!("<sip:{address};transport={transport};lr>"))
    }

    /// Whether a Request-URI is our Contact; URI parameters may come in another order.
    pub(crate) fn is_target(&self, uri: &str) -> bool {
        let parts = |uri: &str| {
            let mut parts: Vec<_> = uri.split(';').map(str::to_ascii_lowercase).collect();
            parts.sort();
            parts
        };
        parts(uri) == parts(&self.target())
    }

    /// Another fork: answers carry a new tag from here on.
    pub(crate) fn fork(&mut self) -> &str {
        self.tags.push(token());
        self.tag()
    }

    /// Whether a request is addressed to this dialog or to one of its forks.
    pub(crate) fn owns(&self, request: &Request) -> bool {
        request.to.tag().is_some_and(|tag| self.tags.iter().any(|own| own == tag))
    }

    /// Whether a request is addressed to the fork that was answered last.
    pub(crate) fn is_current(&self, request: &Request) -> bool {
        request.to.tag() == Some(self.tag())
    }

    /// Notes a request of the caller; `false` when it comes out of order.
    pub(crate) fn follow(&mut self, request: &Request, flow: &Flow) -> bool {
        if request.cseq <= self.remote_cseq {
            return false;
        }
        self.remote_cseq = request.cseq;
        self.flow = flow.clone();
        if matches!(request.method.as_str(), "INVITE" | "UPDATE")
            && let Some(target) = contact(request)
        {
            self.remote_target = target;
        }
        true
    }

    /// A request to the caller and its branch.
    pub(crate) fn request(&mut self, method: &str) -> (Message, String) {
        self.local_cseq += 1;
        self.build(method, self.local_cseq)
    }

    /// The ACK for a 2xx to our INVITE with that sequence number.
    pub(crate) fn ack(&self, cseq: u32) -> Message {
        self.build("ACK", cseq).0
    }

    pub(crate) fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    fn build(&self, method: &str, cseq: u32) -> (Message, String) {
        let branch = branch();
        let mut request = Message::request(method, &self.remote_target);
        let (transport, local) = (self.flow.transport, self.flow.local());
        request.push("Via", format!("SIP/2.0/{transport} {local};branch={branch};rport"));
        for route in &self.routes {
            request.push("Route", route.clone());
        }
        request.push("Max-Forwards", "70");
        request.push("From", format!("{};tag={}", self.local, self.tag()));
        request.push("To", self.remote.clone());
        request.push("Call-ID", self.call_id.clone());
        request.push("CSeq", format!("{cseq} {method}"));
        request.push("Contact", self.contact());
        request.push("User-Agent", crate::SERVER);
        (request, branch)
    }
}

fn contact(request: &Request) -> Option<String> {
    request
        .message
        .values("Contact")
        .first()
        .and_then(|contact| NameAddr::parse(contact))
        .map(|contact| contact.uri)
}
