//! What a Refer-To header asks for (RFC 3515 §2.1), as far as a callee may ask for it: a telephone number.

use std::sync::Arc;

use crate::config::{NumberFormat, TrunkConfig};
use crate::pj::Consent;
use crate::provider::{E164, Witness};

/// Says where callees of a trunk may have their calls moved to, by the trunk's own list and by the rules, which the witness
/// knows; `None` for nowhere.
pub(super) fn consent(trunk: &TrunkConfig, witness: Arc<dyn Witness>) -> Option<Consent> {
    let (format, prefixes) = (trunk.number_format.clone(), trunk.callee_transfer_prefixes.clone());
    if prefixes.is_empty() {
        return None;
    }
    Some(Consent::new(move |refer_to| {
        let listed = |to: &E164| prefixes.iter().any(|prefix| to.digits().starts_with(prefix.as_str()));
        number(refer_to, &format).is_some_and(|to| listed(&to) && witness.may_move(&to))
    }))
}

/// The number that a Refer-To names, which is then dialled over the call's own trunk: the host of the address is not where
/// the call goes. `None` for everything else: addresses without a number, header fields that the new request is to have
/// (Replaces among them, RFC 3891), other methods, several targets.
pub(super) fn number(refer_to: &str, format: &NumberFormat) -> Option<E164> {
    let uri = match refer_to.split_once('<') {
        Some((_, rest)) => {
            let (uri, parameters) = rest.split_once('>')?;
            if parameters.contains(['<', ',']) {
                return None;
            }
            uri
        }
        // Without brackets parameters are the header's (RFC 3261 §20).
        None => refer_to.split(';').next()?,
    };
    let uri = uri.trim();
    let (scheme, rest) = uri.split_once(':')?;
    if rest.contains(['?', ',', ' ', '"']) {
        return None;
    }
    let mut parameters =
        rest.split(';').skip(1).map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
    let invites = |(name, value): (&str, &str)| {
        !name.eq_ignore_ascii_case("method") || value.eq_ignore_ascii_case("INVITE")
    };
    if !parameters.all(invites) {
        return None;
    }
    let written = match scheme.to_ascii_lowercase().as_str() {
        "sip" | "sips" => rest.split_once('@')?.0.split([';', ':']).next()?,
        "tel" => rest.split(';').next()?,
        _ => return None,
    };
    let written = written.replace("%2B", "+").replace("%2b", "+");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let international = match (written.strip_prefix('+'), format) {
        (Some(international), _) => international,
        (None, NumberFormat::Prefix(prefix)) if written.starts_with(prefix.as_str()) => {
            &written[prefix.len()..]
        }
        (None, NumberFormat::Digits) => &written,
        (None, _) => written.strip_prefix("00")?,
    };
    let dialable = |byte: u8| byte.is_ascii_digit() || b"-.()".contains(&byte);
    let clean = if scheme.eq_ignore_ascii_case("tel") {
        international.bytes().all(dialable)
    } else {
        digits(international)
    };
    if clean { E164::parse(&format!("+{international}")).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(refer_to: &str, format: NumberFormat) -> Option<String> {
        number(refer_to, &format).map(|number| number.to_string())
    }

    #[test]
    fn a_number_is_read_however_the_far_end_writes_it() {
        for refer_to in [
            "<sip:+12025550100@pbx.example.com>",
            "sip:+12025550100@pbx.example.com",
            "\"Dr. Smith\" <sips:+12025550100@10.0.0.1:5061;transport=tls;method=INVITE>;x=y",
            "<sip:%2B12025550100;phone-context=x:secret@pbx>",
            "<tel:+1-202-555-0100;isub=1>",
            "<SIP:0012025550100@pbx>",
        ] {
            assert_eq!(found(refer_to, NumberFormat::E164).as_deref(), Some("+12025550100"), "{refer_to}");
        }
        let outside = || NumberFormat::Prefix("9011".to_owned());
        assert_eq!(found("<sip:901112025550100@pbx>", outside()).as_deref(), Some("+12025550100"));
        assert_eq!(found("<sip:12025550100@pbx>", NumberFormat::Digits).as_deref(), Some("+12025550100"));
    }

    #[test]
    fn everything_else_is_no_number() {
        for refer_to in [
            "",
            "<sip:+12025550100@pbx?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3>",
            "sip:+12025550100@pbx?Replaces=1",
            "<sip:+12025550100@pbx;method=BYE>",
            "<sip:+12025550100@pbx;Method=SUBSCRIBE>",
            "<sip:+12025550100@pbx>, <sip:+12025550101@pbx>",
            "<sip:+12025550100@pbx>;a=<sip:+12025550101@pbx>",
            "<sip:+12025550100@pbx",
            "<http://+12025550100@pbx>",
            "<sip:bob@pbx>",
            "<sip:4711@pbx>",
            "<sip:112@pbx>",
            "<sip:+112@pbx>",
            "<sip:pbx.example.com>",
            "<sip:+1202555%30100@pbx>",
            "<sip:12025550100@pbx>",
            "<sip:02111234567@pbx>",
            "<tel:911>",
            "<tel:12025550100;phone-context=+1>",
        ] {
            assert_eq!(found(refer_to, NumberFormat::E164), None, "{refer_to}");
        }
        assert_eq!(found("<sip:911@pbx>", NumberFormat::Digits), None);
    }
}
