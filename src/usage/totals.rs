use rust_decimal::Decimal;
use serde::Serialize;

use super::{BillableUnit, UsageEvent};

/// The sum of any number of attempts: of an agent, a trunk, a day.
///
/// It serialises in the host's form: `call_count`, `total_cost_usd` and `billable_units`, amounts as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct UsageTotals {
    /// How many attempts, answered or not.
    pub call_count: u64,
    /// What they cost in US dollars.
    #[serde(serialize_with = "rust_decimal::serde::float::serialize")]
    pub total_cost_usd: Decimal,
    /// The same by unit, minutes before calls. A unit that nothing was counted in is left out.
    pub billable_units: Vec<UnitTotal>,
}

/// The sum of what was counted in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnitTotal {
    /// The unit.
    pub unit: BillableUnit,
    /// How many of them.
    #[serde(serialize_with = "rust_decimal::serde::float::serialize")]
    pub quantity: Decimal,
    /// What they cost in US dollars.
    #[serde(serialize_with = "rust_decimal::serde::float::serialize")]
    pub cost_usd: Decimal,
}

impl UsageTotals {
    /// Adds one attempt.
    pub fn add(&mut self, event: &UsageEvent) {
        self.call_count += 1;
        self.total_cost_usd += event.cost_usd;
        if event.rated {
            self.add_unit(UnitTotal {
                unit: event.billable_unit,
                quantity: event.quantity,
                cost_usd: event.cost_usd,
            });
        }
    }

    /// Adds other totals.
    pub fn merge(&mut self, other: &Self) {
        self.call_count += other.call_count;
        self.total_cost_usd += other.total_cost_usd;
        for unit in &other.billable_units {
            self.add_unit(*unit);
        }
    }

    fn add_unit(&mut self, added: UnitTotal) {
        match self.billable_units.binary_search_by_key(&added.unit, |total| total.unit) {
            Ok(at) => {
                self.billable_units[at].quantity += added.quantity;
                self.billable_units[at].cost_usd += added.cost_usd;
            }
            Err(at) => self.billable_units.insert(at, added),
        }
    }
}

impl<'e> FromIterator<&'e UsageEvent> for UsageTotals {
    fn from_iter<I: IntoIterator<Item = &'e UsageEvent>>(events: I) -> Self {
        let mut totals = Self::default();
        events.into_iter().for_each(|event| totals.add(event));
        totals
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::call::CallEnd;
    use crate::provider::{AgentId, E164};
    use crate::usage::{Rate, Tariff};

    #[test]
    fn totals_add_up_exactly_and_merge() {
        let to = E164::parse("+4930123456").unwrap();
        let minute = Tariff::usd(vec![Rate::per_minute("49", "0.1".parse().unwrap())]);
        let call = Rate { unit: BillableUnit::Call, ..Rate::per_minute("49", "0.25".parse().unwrap()) };
        let call = Tariff::usd(vec![call]);
        let event = |tariff: Option<&Tariff>, talk: u64| {
            let end = CallEnd { talk_time: Duration::from_secs(talk), ..CallEnd::default() };
            let charge = tariff.and_then(|t| t.charge(&to, (talk > 0).then_some(end.talk_time)));
            UsageEvent::new(
                &AgentId::new("a").unwrap(),
                "c",
                "sip",
                &to,
                SystemTime::UNIX_EPOCH,
                &end,
                charge.as_ref(),
            )
        };
        let events = [
            event(Some(&call), 10),
            event(Some(&minute), 61),
            event(Some(&minute), 0),
            event(Some(&minute), 30),
            event(None, 30),
        ];
        let totals: UsageTotals = events.iter().collect();
        let expected = r#"{"call_count":5,"total_cost_usd":0.55,"billable_units":[{"unit":"voice-minute","quantity":3.0,"cost_usd":0.3},{"unit":"voice-call","quantity":1.0,"cost_usd":0.25}]}"#;
        assert_eq!(serde_json::to_string(&totals).unwrap(), expected);

        let mut merged: UsageTotals = events[..2].iter().collect();
        merged.merge(&events[2..].iter().collect());
        assert_eq!(merged, totals);
    }
}
