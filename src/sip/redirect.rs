//! Where a redirect may lead (RFC 3261 §8.1.3.4): whoever sends it chooses the target, and we pay for the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::referral;
use crate::config::{NumberFormat, TrunkConfig};
use crate::pj::Consent;
use crate::provider::{E164, Witness};

/// The most targets of one call that are tried: whoever redirects again and again leads nowhere.
const MOST: u32 = 5;

/// Says which redirects of a call to `dialled` are followed; `None` for none.
pub(super) fn consent(
    trunk: &TrunkConfig,
    dialled: &E164,
    witness: Option<Arc<dyn Witness>>,
) -> Option<Consent> {
    if !trunk.allow_redirects {
        return None;
    }
    let (format, dialled) = (trunk.number_format.clone(), dialled.clone());
    let tried = AtomicU32::new(0);
    Some(Consent::new(move |target| {
        let permitted = |to: &E164| *to == dialled || witness.as_ref().is_none_or(|rules| rules.may_move(to));
        let follow = tried.fetch_add(1, Ordering::Relaxed) < MOST && may_lead_to(target, &format, permitted);
        if !follow {
            tracing::warn!(target: "outdial::sip", "a redirect was not followed: too many of them, or not permitted");
        }
        follow
    }))
}

/// Whether an address may be called: a name, or a telephone number that is permitted. One that is not in international
/// form could be anything, an emergency number among them. Header fields would become those of our INVITE (RFC 3261
/// §19.1.5), Replaces for one.
fn may_lead_to(target: &str, format: &NumberFormat, permitted: impl Fn(&E164) -> bool) -> bool {
    let (scheme, rest) = target.split_once(':').unwrap_or_default();
    let sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
    if !sip || rest.contains(['?', '%', ',', '"', ' ']) || rest.to_ascii_lowercase().contains(";method=") {
        return false;
    }
    if let Some(number) = referral::number(target, format) {
        return permitted(&number);
    }
    let user = rest.split_once('@').map_or("", |(user, _)| user).split([';', ':']).next().unwrap_or_default();
    !user.bytes().any(|byte| byte.is_ascii_digit()) || user.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(target: &str, format: &NumberFormat) -> bool {
        may_lead_to(target, format, |to| to.digits() == "12025550100")
    }

    #[test]
    fn names_and_permitted_numbers_are_followed() {
        for target in [
            "sip:alice@pbx.example.com",
            "sip:alice2@pbx",
            "SIPS:pbx.example.com:5061;transport=tls",
            "sip:+12025550100@10.0.0.1:5080;user=phone",
            "sip:0012025550100@pbx",
        ] {
            assert!(leads(target, &NumberFormat::E164), "{target}");
        }
        assert!(leads("sip:12025550100@pbx", &NumberFormat::Digits));
        assert!(leads("sip:901112025550100@pbx", &NumberFormat::Prefix("9011".to_owned())));
    }

    #[test]
    fn other_numbers_and_other_requests_are_not() {
        for target in [
            "sip:+19005551234@pbx",
            "sip:911@pbx",
            "sip:9,911@pbx",
            "sip:%39%31%31@pbx",
            "sip:9-1-1@pbx",
            "sip:*67911@pbx",
            "sip:911;phone-context=+1@pbx",
            "sip:4711@pbx",
            "sip:02111234567@pbx",
            "sip:alice@pbx?Replaces=1",
            "sip:alice@pbx?X-Header=1",
            "sip:alice@pbx;Method=BYE",
            "tel:+12025550100",
            "http://pbx.example.com",
            "",
        ] {
            assert!(!leads(target, &NumberFormat::E164), "{target}");
        }
        assert!(!leads("sip:19005551234@pbx", &NumberFormat::Digits));
    }

    #[test]
    fn only_so_many_are_tried() {
        let mut trunk = TrunkConfig::new("pbx.example.com".parse().unwrap());
        let dialled = E164::parse("+12025550100").unwrap();
        assert!(consent(&trunk, &dialled, None).is_none());
        trunk.allow_redirects = true;
        let consent = consent(&trunk, &dialled, None).unwrap();
        let followed = (0..20).filter(|number| consent.is_given(&format!("sip:x{number}@pbx"))).count();
        assert_eq!(followed, MOST as usize);
    }
}
