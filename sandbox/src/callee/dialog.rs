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
    /// Who has responded to the INVITE and has not been hung up; the last one is the callee proper.
    forks: Vec<Fork>,
    /// The To header of the INVITE, which is the callee's own address.
    local: String,
    /// The From header of the INVITE with the caller's tag.
    remote: String,
    remote_target: String,
    routes: Vec<String>,
    local_cseq: u32,
    invite_cseq: u32,
    behind_proxy: bool,
    /// Where requests go: the way that the caller's last request came.
    pub(crate) flow: Flow,
}

/// To the caller every To tag is a dialog of its own, with its own sequence of requests.
#[derive(Debug)]
struct Fork {
    tag: String,
    is_answered: bool,
    remote_cseq: u32,
}

impl Dialog {
    pub(crate) fn new(invite: &Request, tag: &str, flow: Flow, behind_proxy: bool) -> Self {
        let header = |name| invite.message.header(name).unwrap_or_default().to_owned();
        Self {
            call_id: invite.call_id.clone(),
            forks: vec![Fork { tag: tag.to_owned(), is_answered: false, remote_cseq: invite.cseq }],
            invite_cseq: invite.cseq,
            local: header("To"),
            remote: header("From"),
            remote_target: contact(invite).unwrap_or_else(|| invite.from.uri.clone()),
            routes: invite.message.values("Record-Route").into_iter().map(str::to_owned).collect(),
            local_cseq: 0,
            behind_proxy,
            flow,
        }
    }

    pub(crate) fn tag(&self) -> &str {
        self.forks.last().map_or("", |fork| &fork.tag)
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
    pub(crate) fn fork(&mut self) {
        self.forks.push(Fork { tag: token(), is_answered: false, remote_cseq: self.invite_cseq });
    }

    /// Notes that the current fork answers.
    pub(crate) fn answer(&mut self) {
        if let Some(fork) = self.forks.last_mut() {
            fork.is_answered = true;
        }
    }

    /// Whether a request is addressed to one of the forks.
    pub(crate) fn owns(&self, request: &Request) -> bool {
        self.forks.iter().any(|fork| request.to.tag() == Some(&fork.tag))
    }

    /// Whether a request is addressed to the current fork.
    pub(crate) fn is_current(&self, request: &Request) -> bool {
        request.to.tag() == Some(self.tag())
    }

    /// The caller hangs up one fork; `false` when nobody is left whom it could talk to.
    pub(crate) fn hang_up(&mut self, request: &Request) -> bool {
        let was_answered = self.forks.iter().any(|fork| fork.is_answered);
        self.forks.retain(|fork| request.to.tag() != Some(&fork.tag));
        let goes_on = self.forks.iter().any(|fork| fork.is_answered || !was_answered);
        if goes_on {
            // The one that the caller keeps is the callee now.
            self.forks.sort_by_key(|fork| fork.is_answered);
        }
        goes_on
    }

    /// Notes a request of the caller; `false` when it comes out of order.
    pub(crate) fn follow(&mut self, request: &Request, flow: &Flow) -> bool {
        let fork = self.forks.iter_mut().find(|fork| request.to.tag() == Some(&fork.tag));
        let Some(fork) = fork.filter(|fork| request.cseq > fork.remote_cseq) else { return false };
        fork.remote_cseq = request.cseq;
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
