//! As much of SIP as a callee needs who always answers at once (RFC 3261 §8.2, §13.3), and its SDP answer (RFC 3264).

use std::net::SocketAddr;

use super::codec::Codec;

/// A request, as far as its answer depends on it.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    head: &'a str,
    body: &'a str,
}

/// Header fields that a response copies (RFC 3261 §8.2.6.2), with their short forms.
const COPIED: [(&str, &str); 6] = [
    ("via", "v"),
    ("record-route", "record-route"),
    ("from", "f"),
    ("to", "t"),
    ("call-id", "i"),
    ("cseq", "cseq"),
];

impl<'a> Request<'a> {
    /// Reads a datagram; `None` for what is no request.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let method = head.split(' ').next()?;
        (method != "SIP/2.0" && !method.is_empty()).then_some(Self { method, head, body })
    }

    /// The response `status`, with what is to be copied, and with `extra` lines and a body.
    pub(super) fn response(&self, status: &str, extra: &str, body: &str) -> String {
        let mut response = format!("SIP/2.0 {status}\r\n");
        for line in self.head.lines().skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let name = name.trim().to_ascii_lowercase();
            if !COPIED.iter().any(|(long, short)| name == *long || name == *short) {
                continue;
            }
            response.push_str(line);
            // A dialog needs our tag; a constant one is enough, the Call-ID tells calls apart.
            if (name == "to" || name == "t") && !value.contains(";tag=") {
                response.push_str(";tag=callee");
            }
            response.push_str("\r\n");
        }
        response + extra + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// The values of all `a=name:` lines.
    fn attributes(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.body
            .lines()
            .filter_map(move |line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
    }

    /// An answer to the offer in the body: `codec` at `rtp`, and the offer's own key where it has one, so that what
    /// is reflected can be read by who sent it. `None` when the offer has no such codec.
    pub(super) fn answer(&self, codec: Codec, rtp: SocketAddr) -> Option<String> {
        let media = self.body.lines().find_map(|line| line.strip_prefix("m=audio "))?;
        let protocol = media.split(' ').nth(1)?;
        let dynamic = || {
            self.attributes("rtpmap").find_map(|map| {
                let (payload_type, encoding) = map.split_once(' ')?;
                encoding.trim().eq_ignore_ascii_case(codec.encoding()).then(|| payload_type.parse().ok())?
            })
        };
        let payload_type: u8 = codec.payload_type().or_else(dynamic)?;
        let offered = media.split(' ').skip(2).any(|number| number.trim().parse() == Ok(payload_type));
        if !offered {
            return None;
        }
        let crypto = self.attributes("crypto").next().map(|crypto| format!("a=crypto:{}\r\n", crypto.trim()));
        let (ip, port) = (rtp.ip(), rtp.port());
        Some(format!(
            "v=0\r\no=callee 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} {protocol} {payload_type}\r\na=rtpmap:{payload_type} {}\r\n{}a=sendrecv\r\n",
            codec.encoding(),
            crypto.unwrap_or_default(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:+1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
        Max-Forwards: 70\r\nFrom: <sip:a@h>;tag=1\r\nt: <sip:+1@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 7 INVITE\r\n\r\n\
        v=0\r\nm=audio 4000 RTP/SAVP 0 107\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:107 opus/48000/2\r\n\
        a=crypto:1 AEAD_AES_256_GCM inline:key\r\n";

    #[test]
    fn a_response_has_what_identifies_the_request_and_a_tag() {
        let request = Request::read(INVITE).unwrap();
        assert_eq!(request.method, "INVITE");
        assert_eq!(
            request.response("200 OK", "", ""),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
             t: <sip:+1@127.0.0.1>;tag=callee\r\nCall-ID: 1\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        assert!(Request::read("SIP/2.0 200 OK\r\n\r\n").is_none());
    }

    #[test]
    fn an_answer_has_one_codec_and_the_callers_key() {
        let request = Request::read(INVITE).unwrap();
        let rtp = "127.0.0.1:9000".parse().unwrap();
        let answer = request.answer(Codec::Opus, rtp).unwrap();
        assert!(answer.contains("m=audio 9000 RTP/SAVP 107\r\n"), "{answer}");
        assert!(answer.contains("a=crypto:1 AEAD_AES_256_GCM inline:key\r\n"), "{answer}");
        assert!(request.answer(Codec::Pcmu, rtp).is_some());
        assert!(request.answer(Codec::G722, rtp).is_none());
    }
}
