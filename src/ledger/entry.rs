//! What the ledger has of a call.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rust_decimal::Decimal;

use crate::call::CallEnd;
use crate::provider::{AgentId, E164};
use crate::usage::{BillableUnit, Charge};

/// A call that is about to begin.
#[derive(Debug, Clone)]
pub(crate) struct NewCall {
    pub(crate) call_id: Option<String>,
    pub(crate) agent: AgentId,
    pub(crate) provider: &'static str,
    pub(crate) trunk: String,
    pub(crate) to: E164,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) consent: Option<String>,
    /// The day that the limits count it to.
    pub(crate) day: String,
    /// The idempotency key, and until when it stands for this call.
    pub(crate) key: Option<(String, SystemTime)>,
    pub(crate) started_at: SystemTime,
}

/// A call that a key stands for.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    pub(crate) call_id: String,
    pub(crate) agent: String,
    pub(crate) to: String,
    pub(crate) provider: String,
    /// None while it is up, or was up when its process died.
    pub(crate) end: Option<CallEnd>,
}

/// A call that was not finished, or not settled, when its process died.
#[derive(Debug, Clone)]
pub(crate) struct OpenCall {
    pub(crate) row: i64,
    pub(crate) call_id: Option<String>,
    pub(crate) agent: String,
    pub(crate) provider: String,
    pub(crate) trunk: String,
    pub(crate) to: E164,
    /// How long it had lasted when the process was last known to live; `None` if nobody had answered.
    pub(crate) talked: Option<Duration>,
    /// Its end, if only the settling was missing.
    pub(crate) end: Option<CallEnd>,
    /// Whether a host's own sink has the start and not the end.
    pub(crate) announced: bool,
    /// Whether its cost is known.
    pub(crate) settled: bool,
}

/// What a call cost in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settled {
    pub(crate) unit: BillableUnit,
    pub(crate) quantity: Decimal,
    pub(crate) cost_usd: Decimal,
    pub(crate) rated: bool,
}

impl From<Option<Charge>> for Settled {
    fn from(charge: Option<Charge>) -> Self {
        charge.map_or_else(Self::default, |charge| Self {
            unit: charge.unit,
            quantity: charge.quantity,
            cost_usd: charge.cost_usd,
            rated: true,
        })
    }
}
