//! What a call handle asks of the provider that carries the call.

use tokio::sync::oneshot;

use super::{CallError, CallId, LocalCause};
use crate::audio::dtmf::Digit;
use crate::provider::E164;

type Reply = oneshot::Sender<Result<(), CallError>>;

/// An order to the provider. A provider that drops `reply` says that the call has ended.
#[derive(Debug)]
pub(crate) enum Command {
    /// End the call, whatever its state.
    Hangup,
    /// End the call for a reason of the operator's, which stands in the end of the call.
    End { cause: LocalCause, detail: String },
    /// Send digits.
    Dtmf { digits: Vec<Digit>, reply: Reply },
    /// Put the callee on hold.
    Hold { reply: Reply },
    /// Take the callee back.
    Resume { reply: Reply },
    /// Transfer, blind or attended.
    Transfer { target: TransferTarget, reply: Reply },
}

/// The provider's end of a [`super::Call`].
pub(crate) trait CallControl: Send + Sync {
    /// `"sip"` or `"twilio"`.
    fn provider(&self) -> &'static str;
    /// Queues the order and returns at once.
    fn send(&self, command: Command);
}

/// Where a call is handed over to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TransferTarget {
    /// A telephone number, addressed through the call's own trunk.
    Number(E164),
    /// A `sip:` or `sips:` URI, used as it is.
    Uri(String),
    /// Whoever is on another call of the same provider, which is replaced.
    Call(CallId),
}

impl TransferTarget {
    /// Reads a number (`+…`) or a SIP URI.
    pub(crate) fn parse(target: &str) -> Result<Self, CallError> {
        if target.starts_with('+') {
            return target.parse().map(Self::Number).map_err(|e| CallError::Invalid(format!("{e}")));
        }
        let scheme = target.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        let clean = target.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\'));
        if clean && matches!(scheme.as_deref(), Some("sip" | "sips")) && target.len() <= 256 {
            return Ok(Self::Uri(target.to_owned()));
        }
        Err(CallError::Invalid(
            "a transfer target is an E.164 number or a sip: URI of at most 256 characters".into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_uri_are_targets_and_a_header_injection_is_not() {
        assert!(matches!(TransferTarget::parse("+12025550100"), Ok(TransferTarget::Number(_))));
        assert!(matches!(TransferTarget::parse("sip:bob@example.com"), Ok(TransferTarget::Uri(_))));
        for bad in ["", "bob", "tel:+1202", "sip:a\r\nX: y", "sip:a>;b", "+abc"] {
            assert!(TransferTarget::parse(bad).is_err(), "{bad:?}");
        }
    }
}
