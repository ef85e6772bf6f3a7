//! The rules before the first packet: whether they can be evaluated, since one that cannot refuses every call.

use outdial::config::{Carrier, Config};
use outdial::policy::Rules;
use outdial::usage::Tariff;

use super::finding::Finding;
use super::mistake::Mistake;

/// What is so with `[policy]`, and with the prices that a limit of the spend needs.
pub(super) fn look_at(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(do_not_call(&config.policy));
    findings.extend(quiet_hours(&config.policy));
    findings.extend(prices(config));
    findings
}

fn do_not_call(rules: &Rules) -> Option<Finding> {
    Some(match rules.read_do_not_call()? {
        Ok(0) => Mistake::DoNotCallEmpty
            .suspected("the do-not-call list is empty", "see whether do_not_call names the right file"),
        Ok(count) => {
            let s = if count == 1 { "" } else { "s" };
            Finding::ok("do_not_call", format!("{count} number{s} will not be called"))
        }
        Err(error) => Mistake::DoNotCallUnreadable.found(
            format!("every call is refused, since the do-not-call list cannot be read: {error}"),
            "write the file, one number of the form +12025550100 on each line, and let this user read it",
        ),
    })
}

fn quiet_hours(rules: &Rules) -> Option<Finding> {
    let quiet = rules.quiet_hours.is_some() || !rules.quiet_days.is_empty();
    if !quiet {
        return None;
    }
    Some(match rules.time_zone {
        Some(zone) => Finding::ok(
            "quiet_hours",
            format!("where the number does not tell the time, it is that of {zone}"),
        ),
        None => Mistake::NoTimeZone.suspected(
            "callees whose country has several time zones are always refused",
            "set time_zone, such as \"America/New_York\", if they are to be called",
        ),
    })
}

/// Where the spend is limited, a number without a price is refused.
fn prices(config: &Config) -> Vec<Finding> {
    let limited = config.policy.spend_per_day.is_some()
        || config.agents.values().any(|agent| agent.spend_per_day.is_some());
    let trunks = config.trunks.iter().map(|(name, trunk)| (name, Carrier::Trunk(trunk)));
    let providers = config.providers.iter().map(|(name, provider)| (name, Carrier::Provider(provider)));
    let judged = trunks.chain(providers).filter_map(|(name, carrier)| {
        let finding = match (limited, carrier.tariff()) {
            (true, None) => Mistake::NoPrices.found(
                "every call is refused: the spend is limited, and there are no prices",
                format!("write the contract's prices into its table tariff, under {name:?}"),
            ),
            (true, Some(tariff)) if !is_complete(tariff) => Mistake::PricesIncomplete.suspected(
                "calls to numbers without a price are refused, since the spend is limited",
                "add a rate with prefix = \"\" if the other numbers are to be called",
            ),
            (_, Some(tariff)) => Finding::ok("tariff", told(tariff)),
            (false, None) => return None,
        };
        Some(Finding { trunk: Some(name.clone()), ..finding })
    });
    judged.collect()
}

/// Whether there is a price for every number.
fn is_complete(tariff: &Tariff) -> bool {
    tariff.rates.iter().any(|rate| rate.prefix.is_empty())
}

fn told(tariff: &Tariff) -> String {
    let (count, currency) = (tariff.rates.len(), &tariff.currency);
    let s = if count == 1 { "" } else { "s" };
    match currency.as_str() {
        "USD" => format!("{count} price{s} in USD"),
        _ => format!("{count} price{s} in {currency}, of which one is {} USD", tariff.usd_rate.normalize()),
    }
}
