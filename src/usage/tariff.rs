use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use crate::provider::E164;

/// Amounts are rounded once, at the end, to a millionth, halves away from zero.
const DECIMALS: u32 = 6;

/// The terms of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tariff {
    /// The currency of the prices, as ISO 4217 has it: `EUR`.
    pub currency: String,
    /// What one unit of the currency is worth in US dollars.
    pub usd_rate: Decimal,
    /// The prices. The one with the longest matching prefix counts.
    pub rates: Vec<Rate>,
}

/// The price of calls to numbers with one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// The first digits of the number, without `+`. Empty for everywhere else.
    pub prefix: String,
    /// What is counted.
    pub unit: BillableUnit,
    /// The price of one of them.
    pub price: Decimal,
    /// What each answered call costs in addition.
    pub connect_fee: Decimal,
    /// The least that an answered call costs, connect fee included.
    pub minimum: Decimal,
    /// In which steps time is counted.
    pub increment: Increment,
}

/// What a contract counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub enum BillableUnit {
    /// Minutes from the answer.
    #[default]
    #[serde(rename = "voice-minute")]
    Minute,
    /// Answered calls, whatever their length.
    #[serde(rename = "voice-call")]
    Call,
}

impl BillableUnit {
    /// The unit's stable name: `voice-minute` or `voice-call`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "voice-minute",
            Self::Call => "voice-call",
        }
    }
}

/// The steps in which time is counted, written `60/60`, `30/6` or `1/1`: the first step, then each further one, in
/// seconds. A step that has begun counts in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Increment {
    first: u32,
    next: u32,
}

impl Default for Increment {
    /// Whole minutes.
    fn default() -> Self {
        Self { first: 60, next: 60 }
    }
}

impl Increment {
    /// The seconds that are billed for an answered call of this length. A fraction of a second counts as one, and an
    /// answered call always has its first step.
    pub fn billed_seconds(self, talk: Duration) -> u64 {
        let (first, next) = (u64::from(self.first), u64::from(self.next));
        let seconds = talk.as_secs() + u64::from(talk.subsec_nanos() > 0);
        first + seconds.saturating_sub(first).div_ceil(next) * next
    }
}

impl FromStr for Increment {
    type Err = IncrementError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, next) = text.split_once('/').ok_or(IncrementError)?;
        let seconds =
            |text: &str| text.parse::<u32>().ok().filter(|n| (1..=3600).contains(n)).ok_or(IncrementError);
        Ok(Self { first: seconds(first)?, next: seconds(next)? })
    }
}

impl fmt::Display for Increment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.next)
    }
}

/// A text is not an increment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an increment is the first step and each further one in seconds, 1 to 3600: \"60/60\", \"30/6\", \"1/1\""
)]
pub struct IncrementError;

/// What one call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charge {
    /// What was counted.
    pub unit: BillableUnit,
    /// How many of them: minutes as they are billed, with decimals, or 1 for an answered call. 0 if nobody answered.
    pub quantity: Decimal,
    /// The cost in the contract's currency.
    pub cost: Decimal,
    /// The cost in US dollars.
    pub cost_usd: Decimal,
}

impl Rate {
    /// A price per minute in whole minutes, without any fee.
    pub fn per_minute(prefix: impl Into<String>, price: Decimal) -> Self {
        Self {
            prefix: prefix.into(),
            unit: BillableUnit::Minute,
            price,
            connect_fee: Decimal::ZERO,
            minimum: Decimal::ZERO,
            increment: Increment::default(),
        }
    }

    /// The quantity and the cost of an answered call, not rounded.
    fn answered(&self, talk: Duration) -> (Decimal, Decimal) {
        let (quantity, used) = match self.unit {
            BillableUnit::Minute => {
                let seconds = Decimal::from(self.increment.billed_seconds(talk));
                // Multiplied first: a third of a minute has no decimal form, its price may have.
                (seconds / Decimal::from(60), seconds * self.price / Decimal::from(60))
            }
            BillableUnit::Call => (Decimal::ONE, self.price),
        };
        (quantity, (used + self.connect_fee).max(self.minimum))
    }
}

impl Tariff {
    /// A tariff in US dollars.
    pub fn usd(rates: Vec<Rate>) -> Self {
        Self { currency: "USD".to_owned(), usd_rate: Decimal::ONE, rates }
    }

    /// The price for a number: that of the longest prefix.
    pub fn rate(&self, to: &E164) -> Option<&Rate> {
        let matching = self.rates.iter().filter(|rate| to.digits().starts_with(&rate.prefix));
        matching.max_by_key(|rate| rate.prefix.len())
    }

    /// What a call costs: `talk` is the time from its answer, `None` if nobody answered.
    ///
    /// `None` if the contract has no price for the number. That is not the same as free.
    pub fn charge(&self, to: &E164, talk: Option<Duration>) -> Option<Charge> {
        let rate = self.rate(to)?;
        let (quantity, cost) = talk.map(|talk| rate.answered(talk)).unwrap_or_default();
        let round = |amount: Decimal| {
            amount.round_dp_with_strategy(DECIMALS, RoundingStrategy::MidpointAwayFromZero).normalize()
        };
        Some(Charge {
            unit: rate.unit,
            quantity: round(quantity),
            cost: round(cost),
            cost_usd: round(cost * self.usd_rate),
        })
    }

    /// Until when a call that has lasted for `talk` goes on without costing more: the end of the step that has begun.
    pub(crate) fn paid_up_to(&self, to: &E164, talk: Duration) -> Option<Duration> {
        let rate = self.rate(to)?;
        let by_time = rate.unit == BillableUnit::Minute && !(rate.price * self.usd_rate).is_zero();
        Some(if by_time { Duration::from_secs(rate.increment.billed_seconds(talk)) } else { Duration::MAX })
    }

    /// How long a call may last until it has used up `budget_usd`: the time after which the next step would cost
    /// more. `None` if the contract has no price for the number, or if even the first step costs more; a call that
    /// costs nothing further returns [`Duration::MAX`].
    pub fn lasts(&self, to: &E164, budget_usd: Decimal) -> Option<Duration> {
        let rate = self.rate(to)?;
        let affordable = |talk: Duration| rate.answered(talk).1 * self.usd_rate <= budget_usd;
        if !affordable(Duration::ZERO) {
            return None;
        }
        if rate.unit == BillableUnit::Call || (rate.price * self.usd_rate).is_zero() {
            return Some(Duration::MAX);
        }
        let (first, next) = (u64::from(rate.increment.first), u64::from(rate.increment.next));
        let after = |steps: u64| Duration::from_secs(first + steps * next);
        // No call lasts a year; within it, half the distance to the first step that costs too much each time.
        let (mut good, mut bad) = (0, 366 * 24 * 3600 / next);
        if affordable(after(bad)) {
            return Some(Duration::MAX);
        }
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            if affordable(after(middle)) { good = middle } else { bad = middle }
        }
        Some(after(good))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn number() -> E164 {
        E164::parse("+4930123456").unwrap()
    }

    fn rate(price: &str, increment: &str) -> Rate {
        Rate { increment: increment.parse().unwrap(), ..Rate::per_minute("49", dec(price)) }
    }

    #[test]
    fn time_is_counted_in_steps() {
        let cases = [
            // increment, milliseconds, billed seconds
            ("60/60", 0, 60),
            ("60/60", 1, 60),
            ("60/60", 60_000, 60),
            ("60/60", 60_001, 120),
            ("60/60", 119_999, 120),
            ("30/6", 29_000, 30),
            ("30/6", 30_000, 30),
            ("30/6", 30_001, 36),
            ("30/6", 36_000, 36),
            ("30/6", 37_000, 42),
            ("1/1", 0, 1),
            ("1/1", 1_000, 1),
            ("1/1", 1_001, 2),
            ("1/60", 1_000, 1),
            ("1/60", 2_000, 61),
        ];
        for (increment, ms, billed) in cases {
            let increment: Increment = increment.parse().unwrap();
            assert_eq!(increment.billed_seconds(Duration::from_millis(ms)), billed, "{increment} {ms}");
        }
        for text in ["", "60", "60/", "0/1", "1/0", "-1/1", "3601/1", "1/1/1", "a/b"] {
            assert_eq!(text.parse::<Increment>(), Err(IncrementError), "{text}");
        }
    }

    #[test]
    fn a_call_costs_fee_and_time_or_the_minimum() {
        let talk = |s: u64| Some(Duration::from_secs(s));
        let full = Rate { connect_fee: dec("0.05"), minimum: dec("0.08"), ..rate("0.02", "60/60") };
        let flat = Rate { unit: BillableUnit::Call, connect_fee: dec("0.01"), ..rate("0.10", "60/60") };
        let cases = [
            (rate("0.012", "60/60"), talk(61), "2", "0.024"),
            (rate("0.012", "1/1"), talk(61), "1.016667", "0.0122"),
            (rate("0.012", "30/6"), talk(61), "1.1", "0.0132"),
            (rate("0.012", "60/60"), None, "0", "0"),
            (rate("0.012", "60/60"), talk(0), "1", "0.012"),
            (full.clone(), talk(30), "1", "0.08"),
            (full.clone(), talk(100), "2", "0.09"),
            (full, None, "0", "0"),
            (flat.clone(), talk(3_000), "1", "0.11"),
            (flat, None, "0", "0"),
            // A third of a cent, and one that rounds up at the seventh decimal.
            (rate("0.01", "20/20"), talk(20), "0.333333", "0.003333"),
            (rate("0.0000305", "60/60"), talk(60), "1", "0.000031"),
        ];
        for (rate, talk, quantity, cost) in cases {
            let charge = Tariff::usd(vec![rate.clone()]).charge(&number(), talk).unwrap();
            assert_eq!(
                (charge.quantity, charge.cost, charge.cost_usd),
                (dec(quantity), dec(cost), dec(cost)),
                "{rate:?}"
            );
        }
    }

    #[test]
    fn another_currency_is_converted_before_it_is_rounded() {
        let tariff =
            Tariff { currency: "EUR".into(), usd_rate: dec("1.0837"), rates: vec![rate("0.01", "20/20")] };
        let charge = tariff.charge(&number(), Some(Duration::from_secs(20))).unwrap();
        assert_eq!((charge.cost, charge.cost_usd), (dec("0.003333"), dec("0.003612")));
    }

    #[test]
    fn the_longest_prefix_counts_and_no_prefix_is_not_free() {
        let rates = ["49", "4930", "1", "49301"].map(|prefix| Rate::per_minute(prefix, dec(prefix)));
        let tariff = Tariff::usd(rates.to_vec());
        let prefix = |to: &str| tariff.rate(&E164::parse(to).unwrap()).map(|rate| rate.prefix.clone());
        assert_eq!(prefix("+4930123456").as_deref(), Some("49301"));
        assert_eq!(prefix("+4930223456").as_deref(), Some("4930"));
        assert_eq!(prefix("+4940223456").as_deref(), Some("49"));
        assert_eq!(prefix("+442079460000"), None);
        assert_eq!(tariff.charge(&E164::parse("+442079460000").unwrap(), None), None);
        let everywhere = Tariff::usd(vec![Rate::per_minute("", dec("1"))]);
        assert!(everywhere.rate(&number()).is_some());
    }

    #[test]
    fn a_budget_lasts_as_long_as_it_pays_for_whole_steps() {
        let lasts = |rate: Rate, budget: &str| {
            Tariff::usd(vec![rate]).lasts(&number(), dec(budget)).map(|d| d.as_secs())
        };
        assert_eq!(lasts(rate("0.02", "60/60"), "0.05"), Some(120));
        assert_eq!(lasts(rate("0.02", "60/60"), "0.06"), Some(180));
        assert_eq!(lasts(rate("0.02", "60/60"), "0.019"), None);
        assert_eq!(lasts(rate("0.06", "30/6"), "0.036"), Some(36));
        assert_eq!(lasts(rate("0", "60/60"), "0"), Some(u64::MAX));
        let flat = Rate { unit: BillableUnit::Call, ..rate("0.10", "60/60") };
        assert_eq!((lasts(flat.clone(), "0.10"), lasts(flat, "0.09")), (Some(u64::MAX), None));
    }

    proptest! {
        /// The same in whole millionths, counted by hand.
        #[test]
        fn rating_agrees_with_integers(
            millionths in 0_u64..2_000_000, fee in 0_u64..500_000, minimum in 0_u64..500_000,
            first in 1_u32..120, next in 1_u32..120, ms in 0_u64..20_000_000,
        ) {
            let micro = |n: u64| Decimal::new(n as i64, 6);
            let rate = Rate {
                increment: Increment { first, next },
                connect_fee: micro(fee),
                minimum: micro(minimum),
                ..Rate::per_minute("49", micro(millionths))
            };
            let charge = Tariff::usd(vec![rate]).charge(&number(), Some(Duration::from_millis(ms))).unwrap();
            let mut billed = u64::from(first);
            while billed * 1_000 < ms {
                billed += u64::from(next);
            }
            // In sixtieths of a millionth, rounded half up.
            let exact = (millionths * billed + fee * 60).max(minimum * 60);
            prop_assert_eq!(charge.cost, micro((exact * 2 + 60) / 120));
            prop_assert_eq!(charge.quantity, (Decimal::from(billed) / Decimal::from(60)).round_dp_with_strategy(6, RoundingStrategy::MidpointAwayFromZero));
        }

        #[test]
        fn a_budget_pays_for_its_time_and_not_for_more(
            price in 1_u64..1_000_000, fee in 0_u64..100_000, first in 1_u32..120, next in 1_u32..120, budget in 0_u64..5_000_000,
        ) {
            let micro = |n: u64| Decimal::new(n as i64, 6);
            let rate = Rate { increment: Increment { first, next }, connect_fee: micro(fee), ..Rate::per_minute("49", micro(price)) };
            let tariff = Tariff::usd(vec![rate.clone()]);
            match tariff.lasts(&number(), micro(budget)) {
                Some(time) if time < Duration::MAX => {
                    prop_assert!(rate.answered(time).1 <= micro(budget));
                    prop_assert!(rate.answered(time + Duration::from_millis(1)).1 > micro(budget));
                }
                Some(_) => prop_assert!(rate.answered(Duration::from_secs(366 * 24 * 3600 - 240)).1 <= micro(budget)),
                None => prop_assert!(rate.answered(Duration::ZERO).1 > micro(budget)),
            }
        }
    }
}
