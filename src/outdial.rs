//! The one provider of a host: it chooses what carries a call, and around all of them stand the same rules and the same
//! evidence.

mod attempt;
mod carriers;
mod keys;
mod records;
mod recovery;
#[cfg(feature = "prometheus")]
mod scrape;
mod target;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};
use tracing::Instrument as _;

use crate::audit::{AuditError, AuditEvent, AuditLog, AuditSink};
use crate::call::{Call, CallId};
use crate::config::{Config, ConfigError, Pem, ProviderKind};
use crate::ledger::{Keyed, Ledger, LedgerError};
use crate::metrics::Metrics;
use crate::policy::{Admission, Ask, Counts, DoNotCall, Moment, Refusal, Rules};
use crate::provider::{DialError, DialProvider, DialRequest, E164, Shutdown};
use crate::recording::Studio;
use crate::secrets::SecretRef;
use crate::sip::{Endpoint, StartError};
use crate::usage::{UsageError, UsageSink};
use carriers::Carriers;
use keys::{Claim, Found, Keys};
use records::{Audit, Book, Records, RecordsError};

/// How long a shutdown waits for the last records of calls that have ended.
const LAST_RECORDS: Duration = Duration::from_secs(10);

/// Everything that a configuration names, as one [`DialProvider`].
///
/// SIP trunks and web services stand behind it, chosen by agent, by prefix or by default. Each call is asked of the
/// [rules](crate::policy) first, and leaves its records whichever of them carries it: in the audit log, in the ledger, and
/// in the sinks that a host brings. A cheap clone.
///
/// What must be recorded before a call is recorded before its first packet; when that fails, the disk being full for
/// instance, no call is made and the process goes on. Calls that were up when a process was killed get their end, marked
/// as recovered, when the next one starts with the same folder. Nothing is ever redialled.
///
/// Dropping the last handle, of this and of its calls, shuts down in the background; [`shutdown`](Self::shutdown) is the
/// orderly way.
#[derive(Clone)]
pub struct Outdial(Arc<Shared>);

struct Shared {
    config: Config,
    carriers: Carriers,
    records: Records,
    studio: Studio,
    keys: Arc<Keys>,
    desk: Mutex<Desk>,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    metrics: Metrics,
    leaving: AtomicBool,
    /// How many attempts have not written their last record.
    attempts: watch::Sender<u64>,
}

/// Who decides: the counts, and the list of those who must not be called.
#[derive(Default)]
struct Desk {
    counts: Counts,
    do_not_call: Option<DoNotCall>,
}

impl Desk {
    fn admit(&mut self, rules: &Rules, ask: &Ask<'_>, now: Moment) -> Result<Admission, DialError> {
        let list = &mut self.do_not_call;
        let listed = || list.as_mut().map_or(Ok(false), |list| list.contains(ask.to, now.wall));
        self.counts.admit(rules, listed, ask, now)
    }

    /// Whether the do-not-call list permits the number.
    fn judge_listed(&mut self, to: &E164) -> Result<(), Refusal> {
        match self.do_not_call.as_mut().map(|list| list.contains(to, SystemTime::now())) {
            None | Some(Ok(false)) => Ok(()),
            Some(Ok(true)) => Err(Refusal::new("do_not_call", "the number is on the do-not-call list")),
            Some(Err(error)) => {
                Err(Refusal::new("do_not_call", format!("the do-not-call list cannot be read: {error}")))
            }
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts and records that a call was asked for and not made.
    fn refused(&self, request: &DialRequest, provider: &str, error: &DialError) {
        let (kind, rule) = (
            error.kind(),
            match error {
                DialError::Refused { rule, .. } => Some(*rule),
                _ => None,
            },
        );
        let name = rule.unwrap_or(kind);
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        self.metrics.refused(name);
        let (agent, to) = (request.agent.as_str(), request.to.masked());
        tracing::info!(target: "outdial::policy", agent, to, rule = name, %error, "no call was made");
        let provider = match self.config.plan(request) {
            Ok(plan) if provider.is_empty() => attempt::provider_of(plan.carrier),
            _ => provider,
        };
        let event = AuditEvent::Refused {
            agent_id: agent.to_owned(),
            provider: provider.to_owned(),
            to,
            kind: kind.to_owned(),
            rule: rule.map(str::to_owned),
            reason: error.to_string(),
        };
        self.records.tell(move |book| book.note(event));
    }

    /// Makes an attempt, in a task of its own: its records are kept to the end whatever becomes of whoever waits.
    fn attempt(
        shared: &Arc<Self>,
        request: DialRequest,
        claim: Option<Claim>,
    ) -> oneshot::Receiver<Result<Call, DialError>> {
        let (reply, answer) = oneshot::channel();
        // A child of the span in which the host dials, so that the call is part of its trace.
        let span = attempt::span(&request);
        let shared = Arc::clone(shared);
        shared.attempts.send_modify(|attempts| *attempts += 1);
        let counted = Counted(shared.attempts.clone());
        let run = async move {
            let _counted = counted;
            attempt::run(shared, request, claim, reply).await;
        };
        tokio::spawn(run.instrument(span));
        answer
    }

    /// The call that an idempotency key stands for, or the right to make it.
    async fn claim(&self, key: &str, request: &DialRequest) -> Result<Result<Call, Claim>, DialError> {
        let claim = match self.keys.claim(key, request).await? {
            Found::Up(call) => return Ok(Ok(call.call())),
            Found::Nothing(claim) => claim,
        };
        let asked = key.to_owned();
        let found = self.records.ask(move |book| Ok(book.ledger.by_key(&asked, SystemTime::now())?));
        match found.await.map_err(attempt::not_kept)? {
            None => Ok(Err(claim)),
            Some(Keyed { call_id, agent, to, provider, end }) => {
                keys::same(request, &agent, &to)?;
                let provider = if provider == "twilio" { "twilio" } else { "sip" };
                let end = end.unwrap_or_default();
                Ok(Ok(Call::over(CallId::new(call_id), provider, end)))
            }
        }
    }
}

/// How an [`Outdial`] is put together; see [`Outdial::builder`].
pub struct OutdialBuilder {
    config: Config,
    audit: Option<Arc<dyn AuditSink>>,
    usage: Option<Arc<dyn UsageSink>>,
    run: Option<(String, Option<String>)>,
}

impl OutdialBuilder {
    /// Names the run that the records of our own audit log belong to, and the one above it. Otherwise they belong to
    /// `voice_MILLISECONDS_RANDOM`.
    #[must_use]
    pub fn run(mut self, run_id: impl Into<String>, parent_run_id: Option<String>) -> Self {
        self.run = Some((run_id.into(), parent_run_id));
        self
    }

    /// Sends the audit events to a sink of the host's instead of the log in the records' folder.
    ///
    /// The sink must keep an event for good before it returns. The end of a call that was up when the process died comes
    /// with the next start, and can come twice if the process died between the sink and the ledger. An [`AuditLog`] need
    /// not be passed: one is what there is without a sink.
    #[must_use]
    pub fn audit(mut self, sink: Arc<dyn AuditSink>) -> Self {
        self.audit = Some(sink);
        self
    }

    /// Sends one event for each attempt to a sink of the host's, in addition to the ledger. An event that the sink does
    /// not take is offered again until it does; after the death of the process it can come twice.
    #[must_use]
    pub fn usage(mut self, sink: Arc<dyn UsageSink>) -> Self {
        self.usage = Some(sink);
        self
    }

    /// Takes the records over from an earlier process and starts everything.
    ///
    /// # Errors
    ///
    /// [`OutdialError`] says what is wrong; nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// What was started when it is cancelled shuts down by itself.
    pub async fn start(self) -> Result<Outdial, OutdialError> {
        let Self { config, audit, usage, run } = self;
        config.validate()?;
        let settings = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&settings, audit, usage, run)).await;
        let (book, counts) =
            opened.map_err(|_| OutdialError::Records("the records could not be opened".into()))??;
        let carriers = Carriers::start(&config).await?;
        let desk = Desk { counts, do_not_call: config.policy.do_not_call.as_ref().map(DoNotCall::new) };
        let records = Records::start(book).map_err(|error| OutdialError::Records(error.into()))?;
        for event in credentials(&config) {
            records.tell(move |book| book.note(event));
        }
        Ok(Outdial(Arc::new(Shared {
            config,
            carriers,
            records,
            studio: Studio::default(),
            keys: Arc::default(),
            desk: Mutex::new(desk),
            refusals: Mutex::default(),
            metrics: Metrics::default(),
            leaving: AtomicBool::new(false),
            attempts: watch::Sender::new(0),
        })))
    }
}

/// Takes the records over from an earlier process.
fn open(
    config: &Config,
    audit: Option<Arc<dyn AuditSink>>,
    usage: Option<Arc<dyn UsageSink>>,
    run: Option<(String, Option<String>)>,
) -> Result<(Book, Counts), OutdialError> {
    let folder = config.records.folder();
    let ledger = Ledger::open(&folder).map_err(RecordsError::from)?;
    let audit = match audit {
        Some(sink) => Audit::Host(sink),
        None => {
            let session = &config.records.session;
            let log =
                AuditLog::take(AuditLog::path_in(&folder, session), session).map_err(RecordsError::from)?;
            Audit::Ours(match run {
                Some((run, parent)) => log.with_run(run, parent),
                None => log,
            })
        }
    };
    let book = Book::new(ledger, audit, usage);
    recovery::recover(&book, config)?;
    recovery::finish_recordings(&book, config)?;
    let today = config.policy.day(SystemTime::now());
    let attempts = book.ledger.attempts_on(&today.to_string()).map_err(RecordsError::from)?;
    let spent = book.ledger.spent_on(&today.to_string()).map_err(RecordsError::from)?;
    let counts = Counts::remember(today, attempts, spent);
    Ok((book, counts))
}

/// The secrets that the trunks and providers use, by their names.
fn credentials(config: &Config) -> Vec<AuditEvent> {
    let used = |trunk: &str, reference: &SecretRef| {
        let (source, name) = match reference {
            SecretRef::Env(name) => ("env", name.clone()),
            SecretRef::File(path) => ("file", path.display().to_string()),
            SecretRef::Store(name) => ("store", name.to_string()),
        };
        AuditEvent::CredentialUsed { name, source: source.to_owned(), trunk: trunk.to_owned() }
    };
    let mut events = Vec::new();
    for (name, trunk) in &config.trunks {
        let pem = |pem: &Option<Pem>| match pem {
            Some(Pem::Secret(reference)) => Some(reference.clone()),
            _ => None,
        };
        let secrets = [trunk.password.clone(), pem(&trunk.client_cert), pem(&trunk.client_key)];
        events.extend(secrets.into_iter().flatten().map(|reference| used(name, &reference)));
    }
    for (name, provider) in &config.providers {
        match &provider.kind {
            ProviderKind::Twilio(twilio) => {
                let secrets = [Some(&twilio.auth_token), twilio.api_secret.as_ref()];
                events.extend(secrets.into_iter().flatten().map(|secret| used(name, secret)));
            }
        }
    }
    events
}

impl Outdial {
    /// Starts what the configuration names.
    ///
    /// # Errors
    ///
    /// Those of [`OutdialBuilder::start`].
    ///
    /// # Cancel safety
    ///
    /// What was started when it is cancelled shuts down by itself.
    pub async fn from_config(config: &Config) -> Result<Self, OutdialError> {
        Self::builder(config).start().await
    }

    /// Begins with the configuration; a host adds what it brings itself.
    pub fn builder(config: &Config) -> OutdialBuilder {
        OutdialBuilder { config: config.clone(), audit: None, usage: None, run: None }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The SIP provider, for its registrations and counters; `None` without trunks. A call that is made with it directly
    /// goes past the rules and leaves no record.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.carriers.endpoint()
    }

    /// How many calls were asked for and not made, by the rule that refused them or, where it was none, by the
    /// [kind](DialError::kind) of the error.
    #[must_use]
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.0.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls are up, or being made.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.0.desk().counts.calls()
    }

    /// Reads the secrets again and uses those that have changed, without a call being dropped; see
    /// [`Endpoint::renew_secrets`] and [`Twilio::renew_secrets`](crate::Twilio::renew_secrets). Returns the names of the
    /// trunks and providers that have new ones. Each is recorded.
    ///
    /// # Errors
    ///
    /// [`OutdialError::Sip`] or [`OutdialError::Provider`] if a secret cannot be read or used. The SIP provider with all
    /// its trunks goes first; each provider changes all of its secrets or none.
    ///
    /// # Cancel safety
    ///
    /// Once the secrets are read they are used even if the future is dropped.
    pub async fn renew_secrets(&self) -> Result<Vec<String>, OutdialError> {
        let renewed = self.0.carriers.renew_secrets().await?;
        for event in credentials(&self.0.config) {
            if matches!(&event, AuditEvent::CredentialUsed { trunk, .. } if renewed.contains(trunk)) {
                self.0.records.tell(move |book| book.note(event));
            }
        }
        Ok(renewed)
    }

    /// Ends all calls as `how` says and returns when everything is shut down and the last record is written; another
    /// `Outdial` can then be started with the same folder. Bounded: the providers' own bound and ten seconds.
    ///
    /// # Cancel safety
    ///
    /// Once polled it shuts down even if the future is dropped; the last records may then be written by the next start.
    pub async fn shutdown(&self, how: Shutdown) {
        self.0.leaving.store(true, Ordering::Relaxed);
        self.0.carriers.shutdown(how).await;
        let mut attempts = self.0.attempts.subscribe();
        // What is not written by then the next start recovers.
        let _ = tokio::time::timeout(LAST_RECORDS, attempts.wait_for(|attempts| *attempts == 0)).await;
        self.0.records.close().await;
    }
}

#[async_trait]
impl DialProvider for Outdial {
    async fn dial_with(&self, request: DialRequest) -> Result<Call, DialError> {
        let shared = &self.0;
        if shared.leaving.load(Ordering::Relaxed) {
            return Err(DialError::ShutDown);
        }
        let claim = async {
            request.validate()?;
            match &request.idempotency_key {
                None => Ok(None),
                Some(key) => shared.claim(key, &request).await.map(Some),
            }
        };
        let claim = match claim.await {
            Ok(Some(Ok(call))) => return Ok(call),
            Ok(Some(Err(claim))) => Some(claim),
            Ok(None) => None,
            Err(error) => {
                shared.refused(&request, "", &error);
                return Err(error);
            }
        };
        let answer = Shared::attempt(shared, request, claim);
        answer.await.unwrap_or(Err(DialError::ShutDown))
    }
}

/// One attempt, as long as it lives.
struct Counted(watch::Sender<u64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|attempts| *attempts -= 1);
    }
}

/// Why an [`Outdial`] did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutdialError {
    /// The configuration is not usable.
    #[error("the configuration is not usable")]
    Config(#[from] ConfigError),
    /// The SIP provider did not start.
    #[error(transparent)]
    Sip(#[from] StartError),
    /// Another provider did not start.
    #[error("provider {provider:?} could not be set up: {detail}")]
    Provider {
        /// Its name.
        provider: String,
        /// What is wrong; secrets by their names only.
        detail: String,
    },
    /// The ledger cannot be used: another process has it, or the disk is full.
    #[error(transparent)]
    Ledger(LedgerError),
    /// The audit log cannot be used: another process has it, or the disk is full.
    #[error(transparent)]
    Audit(AuditError),
    /// A host's usage sink did not take what an earlier process owed it.
    #[error(transparent)]
    Usage(UsageError),
    /// The folder for recordings cannot be made.
    #[error("the folder for recordings, {}, cannot be made", folder.display())]
    Recordings {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The records could not be opened for another reason.
    #[error("the records could not be opened")]
    Records(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<RecordsError> for OutdialError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Ledger(error) => Self::Ledger(error),
            RecordsError::Audit(error) => Self::Audit(error),
            RecordsError::Usage(error) => Self::Usage(error),
            error => Self::Records(Box::new(error)),
        }
    }
}
