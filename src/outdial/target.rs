//! Whom a callee may be handed over to: nobody whom the rules would not let be called.

use super::Desk;
use crate::call::TransferTarget;
use crate::policy::{Refusal, Rules};
use crate::provider::E164;

/// Asks the rules about a target. A SIP address that names a telephone number is one.
pub(super) fn judge(rules: &Rules, desk: &mut Desk, target: &TransferTarget) -> Result<(), Refusal> {
    let number = match target {
        TransferTarget::Number(number) => Some(number.clone()),
        TransferTarget::Uri(uri) => number_in(uri),
        // It was judged when it was called.
        TransferTarget::Call(_) => return Ok(()),
    };
    match number {
        Some(number) => {
            rules.judge_number(&number)?;
            desk.judge_listed(&number)
        }
        // Which telephone rings there cannot be told.
        None if rules.allow_numbers.is_some() => {
            Err(Refusal::new("allow_list", "only listed numbers may be called, and the address names none"))
        }
        None => Ok(()),
    }
}

/// The telephone number in the user part of an address: with its `+`, or its digits alone or after `00`.
fn number_in(uri: &str) -> Option<E164> {
    let address = uri.split_once(':')?.1;
    let user = address.split_once('@')?.0.split([';', ':']).next()?;
    let digits = user.replace("%2B", "+").replace("%2b", "+");
    let digits = digits.trim_start_matches('+').trim_start_matches("00");
    E164::parse(&format!("+{digits}")).ok()
}

/// The target for the records: a number masked, an address without its user, a call by its Call-ID.
pub(super) fn masked(target: &TransferTarget) -> String {
    match target {
        TransferTarget::Number(number) => number.masked(),
        TransferTarget::Uri(uri) => {
            let address = uri.split_once(':').map_or(uri.as_str(), |(_, address)| address);
            let plain = address.split(['?', ';']).next().unwrap_or_default();
            plain.rsplit('@').next().unwrap_or_default().to_owned()
        }
        TransferTarget::Call(id) => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> TransferTarget {
        TransferTarget::parse(text).unwrap()
    }

    #[test]
    fn a_number_is_found_in_an_address_and_judged_like_one() {
        let mut desk = Desk::default();
        let rules = Rules::default();
        let mut rule =
            |text: &str| judge(&rules, &mut desk, &target(text)).map_or_else(|r| r.rule, |()| "yes");
        assert_eq!(rule("+12025550100"), "yes");
        assert_eq!(rule("+19002345678"), "premium_rate");
        for uri in [
            "sip:+19002345678@pbx",
            "sip:19002345678@pbx;user=phone",
            "sips:0019002345678@pbx",
            "sip:%2B19002345678:x@pbx",
        ] {
            assert_eq!(rule(uri), "premium_rate", "{uri}");
        }
        assert_eq!(rule("sip:bob@pbx"), "yes");
        assert_eq!(rule("sip:4711@pbx"), "yes");
        let closed =
            Rules { allow_numbers: Some([E164::parse("+12025550100").unwrap()].into()), ..Rules::default() };
        let mut rule =
            |text: &str| judge(&closed, &mut desk, &target(text)).map_or_else(|r| r.rule, |()| "yes");
        assert_eq!(
            (rule("+12025550100"), rule("sip:bob@pbx"), rule("sip:+12025550101@pbx")),
            ("yes", "allow_list", "allow_list")
        );
    }

    #[test]
    fn records_show_a_masked_number_or_the_host() {
        let cases = [
            ("+12025550100", "+1***0100"),
            ("sip:bob@pbx.example.com", "pbx.example.com"),
            ("sips:+12025550100@pbx:5061;transport=tls?X=+12025550100", "pbx:5061"),
            ("sip:pbx.example.com", "pbx.example.com"),
        ];
        for (text, shown) in cases {
            assert_eq!(masked(&target(text)), shown, "{text}");
        }
    }
}
