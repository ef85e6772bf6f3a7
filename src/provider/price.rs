use rust_decimal::Decimal;

/// What the provider says that a call cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    /// The amount, not negative.
    pub(crate) amount: Decimal,
    /// Its currency, as ISO 4217 has it: `USD`.
    pub(crate) currency: String,
}
