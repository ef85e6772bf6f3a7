use std::fmt;

use rust_decimal::Decimal;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::Problem;
use super::section::Section;
use crate::usage::{BillableUnit, Increment, Rate, Tariff};

/// An amount of money. Exact: a text or a whole number as it stands, a TOML float as the shortest decimal that names
/// it, which is what was typed.
pub(super) struct Amount(pub(super) Decimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount such as \"0.012\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                let amount = Decimal::from_str_exact(text).ok().filter(|amount| !amount.is_sign_negative());
                amount.map(Amount).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// The steps of time, as their text form.
struct Steps(Increment);

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Steps).map_err(de::Error::custom)
    }
}

/// Reads the table `[trunks.NAME.tariff]`.
pub(super) fn read(mut section: Section<'_, '_>) -> Option<Tariff> {
    let mut tariff = Tariff::usd(Vec::new());
    section.set("currency", &mut tariff.currency);
    let usd_rate: Option<Amount> = section.take("usd_rate");
    let rates = section.list("rates");
    if rates.is_empty() {
        section.problem("needs at least one price: rates = [{ prefix = \"+49\", price = \"0.012\" }]");
    }
    for rate in rates {
        tariff.rates.extend(read_rate(rate));
    }
    match usd_rate {
        Some(Amount(rate)) => tariff.usd_rate = rate,
        None if tariff.currency != "USD" => {
            section.problem("needs usd_rate: what one of its units is worth in US dollars")
        }
        None => {}
    }
    section.finish(&[("price", "prices belong to rates: rates = [{ prefix = \"+49\", price = \"0.012\" }]")]);
    Some(tariff)
}

fn read_rate(mut section: Section<'_, '_>) -> Option<Rate> {
    let prefix: Option<String> =
        section.require("prefix", "the first digits of the number, \"+49\", or \"\" for all others");
    let price: Option<Amount> = section.require("price", "the price of one unit, \"0.012\"");
    let unit: Option<String> = section.take("unit");
    let [connect_fee, minimum] = ["connect_fee", "minimum"].map(|key| section.take::<Amount>(key));
    let increment: Option<Steps> = section.take("increment");
    let unit = match unit.as_deref() {
        None | Some("minute") => BillableUnit::Minute,
        Some("call") => BillableUnit::Call,
        Some(_) => {
            section.problem("has a unit that is neither \"minute\" nor \"call\"");
            BillableUnit::Minute
        }
    };
    section.finish(&[]);
    let mut rate = Rate::per_minute(prefix?.trim_start_matches('+'), price?.0);
    rate.unit = unit;
    rate.connect_fee = connect_fee.map(|amount| amount.0).unwrap_or_default();
    rate.minimum = minimum.map(|amount| amount.0).unwrap_or_default();
    rate.increment = increment.map(|steps| steps.0).unwrap_or_default();
    Some(rate)
}

/// What does not fit together, under the table's path.
pub(super) fn check(tariff: &Tariff, path: &str, problems: &mut Vec<Problem>) {
    let mut problem =
        |key: &str, message: String| problems.push(Problem::new(format!("{path}.{key}"), message));
    if tariff.currency.len() != 3 || !tariff.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        problem("currency", "must be the three letters of ISO 4217, such as \"EUR\"".to_owned());
    }
    if tariff.usd_rate.is_zero() {
        problem("usd_rate", "must be more than 0".to_owned());
    }
    if tariff.currency == "USD" && tariff.usd_rate != Decimal::ONE {
        problem("usd_rate", "must be 1 for US dollars".to_owned());
    }
    let mut prefixes: Vec<&str> = tariff.rates.iter().map(|rate| rate.prefix.as_str()).collect();
    if let Some(wrong) = prefixes.iter().find(|p| p.len() > 15 || !p.bytes().all(|b| b.is_ascii_digit())) {
        problem("rates", format!("has a prefix that is not of digits: {wrong:?}"));
    }
    prefixes.sort_unstable();
    if let Some(pair) = prefixes.windows(2).find(|pair| pair[0] == pair[1]) {
        problem("rates", format!("has two prices for the prefix {:?}", pair[0]));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::usage::BillableUnit;

    fn config(tariff: &str) -> Result<Config, Vec<(usize, String)>> {
        let text = format!("[trunks.a]\nserver = \"h\"\n[trunks.a.tariff]\n{tariff}\n");
        Config::parse(&text)
            .map_err(|e| e.problems().iter().map(|p| (p.line.unwrap_or(0), p.to_string())).collect())
    }

    #[test]
    fn a_contract_is_read_exactly() {
        let text = r#"
            currency = "EUR"
            usd_rate = 1.0837
            rates = [
              { prefix = "+49", price = 0.012, increment = "30/6", connect_fee = "0.05", minimum = "0.06" },
              { prefix = "1", price = "0.1", unit = "call" },
              { prefix = "", price = 2 },
            ]
        "#;
        let config = config(text).unwrap();
        let tariff = config.trunks["a"].tariff.as_ref().unwrap();
        assert_eq!((tariff.currency.as_str(), tariff.usd_rate.to_string()), ("EUR", "1.0837".to_owned()));
        let rates: Vec<String> = tariff
            .rates
            .iter()
            .map(|r| {
                format!(
                    "{:?} {} {} {} {} {}",
                    r.prefix,
                    r.unit.as_str(),
                    r.price,
                    r.connect_fee,
                    r.minimum,
                    r.increment
                )
            })
            .collect();
        assert_eq!(
            rates,
            [
                "\"49\" voice-minute 0.012 0.05 0.06 30/6",
                "\"1\" voice-call 0.1 0 0 60/60",
                "\"\" voice-minute 2 0 0 60/60"
            ]
        );
        let tables = self::config("[[trunks.a.tariff.rates]]\nprefix = \"49\"\nprice = \"1\"").unwrap();
        assert_eq!(tables.trunks["a"].tariff.as_ref().unwrap().rates[0].unit, BillableUnit::Minute);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let cases = [
            ("", 3, "needs at least one price"),
            ("rates = [{ prefix = \"49\", price = \"x\" }]", 4, "an amount such as"),
            ("rates = [{ prefix = \"49\", price = -1 }]", 4, "an amount such as"),
            ("rates = [{ prefix = \"49\", price = nan }]", 4, "an amount such as"),
            ("rates = [{ prefix = \"4x\", price = 1 }]", 4, "not of digits"),
            ("rates = [{ prefix = \"49\", price = 1 },\n{ prefix = \"+49\", price = 1 }]", 4, "two prices"),
            ("rates = [{ price = 1 }]", 4, "trunks.a.tariff.rates[0].prefix: is missing"),
            ("rates = [{ prefix = \"49\" }]", 4, "trunks.a.tariff.rates[0].price: is missing"),
            ("rates = [{ prefix = \"49\", price = 1,\n  fee = 1 }]", 5, "unknown key"),
            ("rates = [{ prefix = \"49\", price = 1, unit = \"hour\" }]", 4, "neither"),
            ("rates = [{ prefix = \"49\", price = 1, increment = \"60\" }]", 4, "30/6"),
            ("rates = [5]", 4, "must be a table"),
            ("rates = 5", 4, "must be a list"),
            ("currency = \"EUR\"\nrates = [{ prefix = \"49\", price = 1 }]", 3, "needs usd_rate"),
            ("currency = \"eur\"\nusd_rate = 1.1\nrates = [{ prefix = \"49\", price = 1 }]", 4, "ISO 4217"),
            ("usd_rate = 1.1\nrates = [{ prefix = \"49\", price = 1 }]", 4, "must be 1"),
        ];
        for (text, line, words) in cases {
            let found = config(text).unwrap_err();
            assert!(
                found.iter().any(|(l, message)| *l == line && message.contains(words)),
                "{text}: {found:#?}"
            );
        }
    }
}
