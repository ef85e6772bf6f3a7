use std::collections::BTreeMap;
use std::time::Duration;

use super::{AgentId, CallerId, Departure, DialError, E164, Header, Record};
use crate::audio::SampleRate;
use crate::call::CallId;

/// The most header fields of one request; each makes the first packet longer.
const MAX_HEADERS: usize = 16;
/// The longest display name and idempotency key, in bytes.
const MAX_NAME: usize = 128;
/// No call rings or lasts longer than a day: a larger value is a mistake of units.
const MAX_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// One call to be made: who calls whom, and what differs from the configuration for this call.
///
/// Everything except the first two is optional and otherwise follows from the configuration of the agent, then of
/// the trunk, then of the endpoint.
///
/// ```
/// use std::time::Duration;
/// use outdial::provider::{AgentId, DialRequest, E164};
///
/// let request = DialRequest::new(AgentId::new("reminders")?, E164::parse("+12025550101")?)
///     .ring_timeout(Duration::from_secs(30))
///     .idempotency_key("appointment-4711-first-try");
/// assert!(request.validate().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialRequest {
    /// Who calls.
    pub agent: AgentId,
    /// Who is called.
    pub to: E164,
    /// The caller that the callee is shown. Trunks refuse or replace one that the account does not own.
    pub caller_id: Option<CallerId>,
    /// The name shown beside it, at most 128 bytes. Most public networks drop it; Twilio has no place for it and refuses
    /// the request.
    pub caller_name: Option<String>,
    /// Whether the callee is shown no caller; the trunk may hide it for every call. Laws may forbid it: in Germany for
    /// advertising, for example.
    pub hide_caller: bool,
    /// The trunk to use, by its name in the configuration; a provider that has no trunks by its own name.
    pub trunk: Option<String>,
    /// How long it may ring until nobody has answered: more than 0, at most 24 hours.
    pub ring_timeout: Option<Duration>,
    /// How long the call may last from the answer: more than 0, at most 24 hours.
    pub talk_limit: Option<Duration>,
    /// Two requests with the same key within the provider's window are one call: the second gets the first
    /// one's call and nothing rings twice. 1 to 128 bytes. [`Outdial`](crate::Outdial) keeps them; the providers behind
    /// it, asked directly, refuse one.
    pub idempotency_key: Option<String>,
    /// Header fields to send along, at most 16, in this order.
    pub headers: Vec<Header>,
    /// What the host wants to find again in the records of this call. Never sent to the network.
    pub labels: BTreeMap<String, String>,
    /// A reference to the callee's consent to be called, for the records: 1 to 128 bytes. The operator may require one.
    pub consent: Option<String>,
    /// The sampling rate of the call's two audio streams, whatever codec the trunk negotiates; 16 kHz when not said.
    pub audio_rate: Option<SampleRate>,
    /// What is kept of what is said. [`Outdial`](crate::Outdial) keeps it; the providers behind it, asked directly, keep
    /// nothing. In many countries it takes the callee's consent.
    pub record: Option<Record>,
    /// Who keeps the evidence of this attempt.
    pub(crate) departure: Departure,
    /// The call that is moved to whoever answers this one, as its callee wishes.
    pub(crate) moves: Option<CallId>,
}

impl DialRequest {
    /// A call with nothing but the configuration's settings.
    pub fn new(agent: AgentId, to: E164) -> Self {
        Self {
            agent,
            to,
            caller_id: None,
            caller_name: None,
            hide_caller: false,
            trunk: None,
            ring_timeout: None,
            talk_limit: None,
            idempotency_key: None,
            headers: Vec::new(),
            labels: BTreeMap::new(),
            consent: None,
            audio_rate: None,
            record: None,
            departure: Departure::default(),
            moves: None,
        }
    }

    /// Sets [`caller_id`](Self::caller_id).
    #[must_use]
    pub fn caller_id(mut self, caller_id: impl Into<CallerId>) -> Self {
        self.caller_id = Some(caller_id.into());
        self
    }

    /// Sets [`caller_name`](Self::caller_name).
    #[must_use]
    pub fn caller_name(mut self, name: impl Into<String>) -> Self {
        self.caller_name = Some(name.into());
        self
    }

    /// Sets [`hide_caller`](Self::hide_caller).
    #[must_use]
    pub fn hide_caller(mut self, hidden: bool) -> Self {
        self.hide_caller = hidden;
        self
    }

    /// Sets [`trunk`](Self::trunk).
    #[must_use]
    pub fn trunk(mut self, name: impl Into<String>) -> Self {
        self.trunk = Some(name.into());
        self
    }

    /// Sets [`ring_timeout`](Self::ring_timeout).
    #[must_use]
    pub fn ring_timeout(mut self, limit: Duration) -> Self {
        self.ring_timeout = Some(limit);
        self
    }

    /// Sets [`talk_limit`](Self::talk_limit).
    #[must_use]
    pub fn talk_limit(mut self, limit: Duration) -> Self {
        self.talk_limit = Some(limit);
        self
    }

    /// Sets [`idempotency_key`](Self::idempotency_key).
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Adds one of [`headers`](Self::headers).
    #[must_use]
    pub fn header(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }

    /// Sets [`consent`](Self::consent).
    #[must_use]
    pub fn consent(mut self, reference: impl Into<String>) -> Self {
        self.consent = Some(reference.into());
        self
    }

    /// Sets the rate of the audio streams.
    #[must_use]
    pub fn audio_rate(mut self, rate: SampleRate) -> Self {
        self.audio_rate = Some(rate);
        self
    }

    /// Sets [`record`](Self::record).
    #[must_use]
    pub fn record(mut self, record: Record) -> Self {
        self.record = Some(record);
        self
    }

    /// Adds or replaces one of [`labels`](Self::labels).
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Checks what the types do not: lengths, control characters, limits. Every provider calls it first.
    ///
    /// # Errors
    ///
    /// [`DialError::InvalidRequest`] with the first field that is wrong.
    pub fn validate(&self) -> Result<(), DialError> {
        let text = |field, text: Option<&String>, least: usize| match text {
            Some(t) if t.len() < least || t.len() > MAX_NAME => {
                Err(invalid(field, format!("has {} bytes, not {least} to {MAX_NAME}", t.len())))
            }
            Some(t) if t.chars().any(char::is_control) => Err(invalid(field, "has a control character")),
            _ => Ok(()),
        };
        text("caller_name", self.caller_name.as_ref(), 0)?;
        text("trunk", self.trunk.as_ref(), 1)?;
        text("idempotency_key", self.idempotency_key.as_ref(), 1)?;
        text("consent", self.consent.as_ref(), 1)?;
        for (field, limit) in [("ring_timeout", self.ring_timeout), ("talk_limit", self.talk_limit)] {
            if limit.is_some_and(|limit| limit.is_zero() || limit > MAX_LIMIT) {
                return Err(invalid(field, "must be more than 0 and at most 24 hours"));
            }
        }
        if self.headers.len() > MAX_HEADERS {
            return Err(invalid("headers", format!("has {}, more than {MAX_HEADERS}", self.headers.len())));
        }
        Ok(())
    }

    /// Refuses an idempotency key: keys are kept by [`Outdial`](crate::Outdial), and no provider does so by itself. Two
    /// requests with one key would be two calls.
    pub(crate) fn refuse_key(&self) -> Result<(), DialError> {
        match self.idempotency_key {
            Some(_) => Err(DialError::Unsupported("keep idempotency keys by itself: dial with Outdial")),
            None => Ok(()),
        }
    }
}

fn invalid(field: &'static str, problem: impl Into<String>) -> DialError {
    DialError::InvalidRequest { field, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> DialRequest {
        DialRequest::new(AgentId::new("a").unwrap(), E164::parse("+12025550100").unwrap())
    }

    fn field(request: DialRequest) -> Option<&'static str> {
        match request.validate() {
            Ok(()) => None,
            Err(DialError::InvalidRequest { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_plain_request_and_the_full_one_are_valid() {
        assert_eq!(field(request()), None);
        let full = request()
            .caller_id(E164::parse("+12025550199").unwrap())
            .caller_name("Praxis Dr. Möller")
            .trunk("main")
            .ring_timeout(Duration::from_secs(30))
            .talk_limit(Duration::from_secs(600))
            .idempotency_key("k")
            .header(Header::new("X-A", "1").unwrap())
            .label("campaign", "7");
        assert_eq!(field(full), None);
    }

    #[test]
    fn each_field_has_its_limits() {
        let day = Duration::from_secs(86_400);
        let many = (0..17).fold(request(), |r, n| r.header(Header::new("X-A", n.to_string()).unwrap()));
        let cases = [
            (request().caller_name("x".repeat(129)), Some("caller_name")),
            (request().caller_name("a\r\nb"), Some("caller_name")),
            (request().trunk(""), Some("trunk")),
            (request().idempotency_key(""), Some("idempotency_key")),
            (request().idempotency_key("x".repeat(129)), Some("idempotency_key")),
            (request().ring_timeout(Duration::ZERO), Some("ring_timeout")),
            (request().ring_timeout(day), None),
            (request().talk_limit(day + Duration::from_millis(1)), Some("talk_limit")),
            (many, Some("headers")),
        ];
        for (request, expected) in cases {
            assert_eq!(field(request.clone()), expected, "{request:?}");
        }
    }

    #[test]
    fn debug_output_shows_neither_the_number_nor_a_header_value() {
        let request = request().header(Header::new("X-Token", "marker").unwrap());
        let shown = format!("{request:?}");
        assert!(!shown.contains("2025550100") && !shown.contains("marker"), "{shown}");
    }
}
