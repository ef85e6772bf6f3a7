//! A request with the headers that every request must have, checked once.

use std::net::SocketAddr;

use super::header::{NameAddr, Via};
use super::message::{Message, Start};

/// A received request whose Via, From, To, Call-ID and CSeq are well-formed.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) message: Message,
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) via: Via,
    pub(crate) from: NameAddr,
    pub(crate) to: NameAddr,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
}

impl Request {
    /// Checks the message; on failure says which header is missing or malformed.
    pub(crate) fn new(message: Message) -> Result<Self, &'static str> {
        let Start::Request { method, uri } = &message.start else { return Err("start line") };
        let (method, uri) = (method.clone(), uri.clone());
        let via = message.values("Via").first().and_then(|value| Via::parse(value)).ok_or("Via")?;
        let from = message.header("From").and_then(NameAddr::parse).ok_or("From")?;
        let to = message.header("To").and_then(NameAddr::parse).ok_or("To")?;
        let call_id = message.header("Call-ID").filter(|id| !id.is_empty()).ok_or("Call-ID")?.to_owned();
        let cseq = message.header("CSeq").ok_or("CSeq")?;
        let (number, named) = cseq.split_once(char::is_whitespace).ok_or("CSeq")?;
        let cseq = number.parse().map_err(|_| "CSeq")?;
        if named.trim() != method {
            return Err("CSeq");
        }
        Ok(Self { message, method, uri, via, from, to, call_id, cseq })
    }

    /// A response to this request: Via, From, To, Call-ID and CSeq copied, with `received` and `rport`
    /// filled in for the peer (RFC 3261 section 8.2.6, RFC 3581).
    ///
    /// `to_tag` is added unless the request had one already.
    pub(crate) fn response(
        &self,
        status: u16,
        phrase: &str,
        to_tag: Option<&str>,
        peer: SocketAddr,
    ) -> Message {
        let mut response = Message::response(status, phrase);
        for (index, via) in self.message.values("Via").into_iter().enumerate() {
            response.push("Via", if index == 0 { stamp(via, peer) } else { via.to_owned() });
        }
        response.copy("From", &self.message);
        let to = self.message.header("To").unwrap_or_default();
        response.push(
            "To",
            match to_tag {
                Some(tag) if self.to.tag().is_none() => format!("{to};tag={tag}"),
                _ => to.to_owned(),
            },
        );
        response.push("Call-ID", self.call_id.clone());
        response.copy("CSeq", &self.message);
        response
    }

    /// Where a response goes over UDP: the source, with the Via's port unless the request asked for `rport`.
    pub(crate) fn response_address(&self, peer: SocketAddr) -> SocketAddr {
        match self.via.params.get("rport") {
            Some(_) => peer,
            None => SocketAddr::new(peer.ip(), self.via.port()),
        }
    }
}

fn stamp(via: &str, peer: SocketAddr) -> String {
    let mut stamped = String::with_capacity(via.len() + 40);
    for (index, part) in via.split(';').enumerate() {
        let name = part.split('=').next().unwrap_or_default().trim();
        if index > 0 && (name.eq_ignore_ascii_case("rport") || name.eq_ignore_ascii_case("received")) {
            continue;
        }
        if index > 0 {
            stamped.push(';');
        }
        stamped.push_str(part.trim());
    }
    if Via::parse(via).is_some_and(|via| via.params.get("rport").is_some()) {
        stamped.push_str(&format!(";rport={}", peer.port()));
    }
    format!("{stamped};received={}", peer.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(via: &str, cseq: &str) -> Result<Request, &'static str> {
        let text = format!(
            "OPTIONS sip:a@b SIP/2.0\r\nVia: {via}\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: x\r\nCSeq: {cseq}\r\n\r\n"
        );
        Request::new(Message::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn responses_carry_source_and_tag() {
        let peer = "10.9.8.7:4321".parse().unwrap();
        let request = request("SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bKa", "7 OPTIONS").unwrap();
        let response = request.response(200, "OK", Some("t"), peer);
        assert_eq!(
            response.header("Via"),
            Some("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;rport=4321;received=10.9.8.7")
        );
        assert_eq!(response.header("To"), Some("<sip:a@b>;tag=t"));
        assert_eq!(request.response_address(peer), peer);
    }

    #[test]
    fn without_rport_the_answer_goes_to_the_port_of_the_via() {
        let request = request("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa", "7 OPTIONS").unwrap();
        let address = request.response_address("10.9.8.7:4321".parse().unwrap());
        assert_eq!(address, "10.9.8.7:5070".parse().unwrap());
    }

    #[test]
    fn mandatory_headers() {
        assert_eq!(request("SIP/2.0/UDP h;branch=z", "7 INVITE").unwrap_err(), "CSeq");
        assert_eq!(request("SIP/2.0/UDP h;branch=z", "x OPTIONS").unwrap_err(), "CSeq");
        assert_eq!(request("nonsense", "7 OPTIONS").unwrap_err(), "Via");
    }
}
