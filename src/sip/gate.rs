//! The gate: what no correct peer sends is refused before PJSIP works with it.
//!
//! [`inspect`] looks at one SIP message as it came from the network and says [`Verdict::Pass`], or why not. It is a
//! pure function over bytes: it allocates nothing, keeps nothing, never panics, and takes time linear in the length of
//! the message. It is no parser and no judge of good SIP. A message that it lets pass may still be wrong, which PJSIP
//! finds out and answers by itself; one that it refuses asks for more of something than any telephone call needs, or
//! contradicts itself in a way on which two readers of the message would disagree.
//!
//! Where it stands: a module of PJSIP above all others, so behind PJSIP's transport layer and parser and before
//! everything that acts on a message. The parser has read a message by the time that the gate sees it, and what the
//! parser does not understand at all it has dropped; of both, transport layer and parser, the fuzz target `sip` makes
//! sure, with inputs that the gate would refuse. To stand before them would take a hook in PJSIP's transport layer,
//! and answers could then not be made by PJSIP, which knows the way back only of messages that it has read.
//!
//! [`limits`] has the numbers with their reasons, [`Reason`] the ways to be refused. A reason holds nothing of the
//! message, so it can be logged and counted: neither credentials nor telephone numbers are in it.

mod body;
mod head;
pub mod limits;
mod reason;
mod sdp;

pub use reason::Reason;

use head::{Head, Start};

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// PJSIP may have it.
    Pass,
    /// Nobody gets it, and nothing is answered: it is a response, an ACK (RFC 3261 §17.1.1.3: never answered), or not
    /// recognisable as SIP.
    Drop(Reason),
    /// It is a request, to be answered with this status code.
    Answer {
        /// 400 (Bad Request) or 488 (Not Acceptable Here).
        status: u16,
        /// Why.
        reason: Reason,
    },
}

impl Verdict {
    /// Why the message is refused; `None` if it passes.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Pass => None,
            Self::Drop(reason) | Self::Answer { reason, .. } => Some(reason),
        }
    }
}

/// Judges one SIP message: a UDP datagram, or what was cut out of a TCP stream by its Content-Length.
///
/// Keep-alives (nothing but line ends, RFC 5626 §3.5) pass.
///
/// ```
/// use outdial::sip::gate::{Reason, Verdict, inspect};
///
/// let request = b"OPTIONS sip:us SIP/2.0\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n";
/// assert_eq!(inspect(request), Verdict::Answer { status: 400, reason: Reason::Repeated });
/// ```
#[must_use]
pub fn inspect(packet: &[u8]) -> Verdict {
    let Some(message) = head::skip_line_ends(packet) else { return Verdict::Pass };
    let (head, body) = head::split(message);
    let start = head.start();
    let Err(reason) = judge(start, &head, body) else { return Verdict::Pass };
    match start {
        Start::Request { is_ack: false } => Verdict::Answer { status: reason.status(), reason },
        Start::Request { is_ack: true } | Start::Response | Start::Other => Verdict::Drop(reason),
    }
}

fn judge(start: Start, head: &Head<'_>, body: &[u8]) -> Result<(), Reason> {
    if start == Start::Other {
        return Err(Reason::NotSip);
    }
    let facts = head.judge()?;
    let body = match facts.content_length {
        Some(length) => limit(body, length)?,
        None => body,
    };
    body::judge(facts.content_type, body, 0)
}

/// The body of this length.
///
/// A datagram that ends before its body is a 400 (RFC 3261 §18.3). One that goes on after it is to be cut there, says
/// the same section; but what reads the rest of the packet as the body sees another message than we judge. Line ends
/// are let pass: many a peer sends one too many.
fn limit(body: &[u8], length: usize) -> Result<&[u8], Reason> {
    let (body, rest) = body.split_at_checked(length).ok_or(Reason::BodyTooShort)?;
    if rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) { Ok(body) } else { Err(Reason::BodyTooLong) }
}

#[cfg(test)]
mod tests;
