//! What a numbering plan tells about a number: its country, and whether it is one that must not be rung by a machine.

use phonenumber::Metadata;
use phonenumber::metadata::DATABASE;

use crate::provider::E164;

/// What is known about a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The country, by ISO 3166: `DE`; `None` for services without one and where the plan does not tell.
    pub(super) region: Option<&'static str>,
    /// What kind of line it is.
    pub(super) kind: Kind,
}

/// Kinds of lines, as far as rules ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Emergency,
    PremiumRate,
    Satellite,
    Other,
}

/// Country codes of satellite systems and of networks without a country, which carriers bill like them: Inmarsat, global
/// mobile satellite systems, international networks (ITU-T E.164.1).
const SATELLITE: [&str; 4] = ["870", "881", "882", "883"];

/// Premium services without a country, and first digits of national ones. The plan's own patterns come first; these also
/// catch what is not a whole number of such a service and which a network may route there all the same.
const PREMIUM_RATE: [&str; 22] = [
    "979", "1900", "1976", "449", "44871", "44872", "44873", "49900", "491900", "33897", "33899", "39892",
    "39894", "39895", "39899", "41900", "41901", "41906", "43900", "43930", "6119", "81990",
];

/// How emergency services are called somewhere in the world. With a country code before them and anything behind they are
/// still connected by networks that read digit by digit.
const EMERGENCY: [&str; 21] = [
    "000", "100", "101", "102", "103", "104", "105", "108", "110", "111", "112", "113", "114", "115", "117",
    "118", "119", "911", "991", "995", "999",
];

/// Looks a number up.
pub(super) fn facts(to: &E164) -> Facts {
    let plan = plan(to);
    let region = plan.map(Metadata::id).filter(|id| *id != "001");
    Facts { region, kind: kind(to, plan) }
}

fn kind(to: &E164, plan: Option<&'static Metadata>) -> Kind {
    if SATELLITE.contains(&to.country_code()) {
        return Kind::Satellite;
    }
    let valid = plan.is_some_and(|plan| is_assigned(plan, to.national()));
    // A valid number may begin like this: Paris has numbers that begin with 1 and 5, the fire brigade's.
    if !valid && EMERGENCY.iter().any(|short| to.national().starts_with(short)) {
        return Kind::Emergency;
    }
    let premium = plan.and_then(|plan| plan.descriptors().premium_rate());
    if premium.is_some_and(|premium| premium.is_match(to.national()))
        || PREMIUM_RATE.iter().any(|prefix| to.digits().starts_with(prefix))
    {
        return Kind::PremiumRate;
    }
    Kind::Other
}

/// The numbering plan of the number. Several countries can share a code; then it is the one whose numbers begin like this,
/// or that has assigned this one.
fn plan(to: &E164) -> Option<&'static Metadata> {
    let code = to.country_code().parse().ok()?;
    let plans = DATABASE.by_code(&code)?;
    let national = to.national();
    let mut plans = plans.into_iter();
    if plans.len() == 1 {
        return plans.next();
    }
    plans.find(|plan| match plan.leading_digits() {
        Some(digits) => digits.find(national).is_some_and(|found| found.start() == 0),
        None => is_assigned(plan, national),
    })
}

/// Whether the plan has assigned the number to any use.
fn is_assigned(plan: &Metadata, national: &str) -> bool {
    let kinds = plan.descriptors();
    let used = [
        kinds.fixed_line(),
        kinds.mobile(),
        kinds.toll_free(),
        kinds.premium_rate(),
        kinds.shared_cost(),
        kinds.personal_number(),
        kinds.voip(),
        kinds.pager(),
        kinds.uan(),
        kinds.voicemail(),
    ];
    kinds.general().is_match(national) && used.into_iter().flatten().any(|kind| kind.is_match(national))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: &str) -> Facts {
        facts(&E164::parse(number).unwrap_or_else(|error| panic!("{number}: {error}")))
    }

    #[test]
    fn the_country_is_the_plan_s() {
        let cases = [
            ("+12025550100", Some("US")),
            ("+16135550100", Some("CA")),
            ("+18765550100", Some("JM")),
            ("+4930123456", Some("DE")),
            ("+442079460000", Some("GB")),
            ("+390612345678", Some("IT")),
            ("+3906698", Some("VA")),
            ("+79161234567", Some("RU")),
            ("+77011234567", Some("KZ")),
            ("+80012345678", None),
        ];
        for (number, region) in cases {
            assert_eq!(of(number).region, region, "{number}");
        }
    }

    #[test]
    fn what_costs_more_or_saves_lives_is_told_apart() {
        let cases = [
            ("+12025550100", Kind::Other),
            ("+4915123456789", Kind::Other),
            ("+390612345678", Kind::Other),
            // Paris, and Hamburg's neighbour: valid, though they begin like short numbers.
            ("+33158000000", Kind::Other),
            ("+33112345678", Kind::Other),
            ("+4911212345", Kind::Emergency),
            ("+491100000", Kind::Emergency),
            ("+449990000", Kind::Emergency),
            ("+19110000000", Kind::Emergency),
            ("+19112345678", Kind::Emergency),
            ("+3531120", Kind::Emergency),
            ("+19002345678", Kind::PremiumRate),
            ("+19001234567", Kind::PremiumRate),
            ("+499001234567", Kind::PremiumRate),
            ("+449098790000", Kind::PremiumRate),
            ("+33891123456", Kind::PremiumRate),
            ("+390899123456", Kind::Other),
            ("+39899123456", Kind::PremiumRate),
            ("+979123456789", Kind::PremiumRate),
            ("+870773111632", Kind::Satellite),
            ("+881612345678", Kind::Satellite),
            ("+88216123456", Kind::Satellite),
        ];
        for (number, kind) in cases {
            assert_eq!(of(number).kind, kind, "{number}");
        }
    }

    /// One premium number of each country that has any.
    #[test]
    fn every_plan_s_premium_numbers_are_known() {
        let mut checked = 0;
        for code in 1..1000_u16 {
            for plan in DATABASE.by_code(&code).unwrap_or_default() {
                let example = plan.descriptors().premium_rate().and_then(|kind| kind.example());
                let Some(Ok(number)) = example.map(|example| E164::parse(&format!("+{code}{example}")))
                else {
                    continue;
                };
                let kind = facts(&number).kind;
                assert!(matches!(kind, Kind::PremiumRate | Kind::Satellite), "{number}: {kind:?}");
                checked += 1;
            }
        }
        assert!(checked > 100, "only {checked} examples");
    }
}
