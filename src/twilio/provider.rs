//! The handle of the Twilio provider.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use super::TwilioError;
use super::account::{Account, Keys};
use super::line::{Lines, News};
use super::media::Sound;
use super::ordering::{self, Parts};
use super::rest::{Order, Rest};
use super::server::{self, Addresses, Reception};
use super::token::StreamToken;
use super::twiml;
use crate::audio;
use crate::call::{Audio, Call, CallControl, Command, LocalCause};
use crate::config::{ProviderConfig, TwilioConfig};
use crate::provider::{CallerId, DialError, DialProvider, DialRequest, Shutdown};
use crate::secrets::Secrets;

/// What calls of this provider say of themselves.
pub(super) const NAME: &str = "twilio";

/// Speech that an application may queue ahead, as on a SIP trunk.
const PLAYOUT: Duration = Duration::from_millis(500);
/// Sound that waits for an application that is busy.
const LISTEN: Duration = Duration::from_millis(200);
/// By so much Twilio's own limits are above ours: they are there for the case that we are not.
const MARGIN: u64 = 5;
/// The longest call that every account may have, in seconds. Above it Twilio's own limit stands.
const LONGEST_TALK: u64 = 14_400;
/// How long calls may take to end at a shutdown.
const GOODBYE: Duration = Duration::from_millis(5_500);

/// The Twilio provider: one account, and the server that Twilio calls. A cheap clone.
///
/// Dropping the last handle, of the provider and of its calls, stops the server in the background;
/// [`shutdown`](Self::shutdown) is the orderly way.
#[derive(Clone)]
pub struct Twilio(Arc<Shared>);

struct Shared {
    name: String,
    /// Where the secrets are.
    config: TwilioConfig,
    secrets: Secrets,
    account: Arc<Account>,
    rest: Arc<Rest>,
    lines: Arc<Lines>,
    addresses: Addresses,
    caller_id: Option<CallerId>,
    ring_timeout: Duration,
    talk_limit: Duration,
    local_address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl Twilio {
    /// Reads the account's secrets and starts the server for callbacks and media streams. Nothing is sent to Twilio
    /// before the first call. `name` is the provider's in the configuration. It needs a tokio runtime, whose tasks its
    /// server and calls are.
    ///
    /// # Errors
    ///
    /// [`TwilioError`] says what is wrong; nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left of a start that is dropped.
    pub async fn start(
        name: &str,
        provider: &ProviderConfig,
        twilio: &TwilioConfig,
        secrets: &Secrets,
    ) -> Result<Self, TwilioError> {
        let account = Arc::new(Account::new(&twilio.account_sid, Keys::read(name, twilio, secrets)?));
        let rest = Rest::new(Arc::clone(&account), &twilio.api_url)
            .map_err(|detail| TwilioError::Client { provider: name.to_owned(), detail })?;

        let refuse =
            |source| TwilioError::Listen { provider: name.to_owned(), address: twilio.listen, source };
        let listener = TcpListener::bind(twilio.listen).await.map_err(refuse)?;
        let local_address = listener.local_addr().map_err(refuse)?;
        let (lines, addresses) = (Arc::new(Lines::default()), Addresses::new(&twilio.public_url));
        let reception = Reception {
            lines: Arc::clone(&lines),
            account: Arc::clone(&account),
            addresses: addresses.clone(),
            stall_after: Some(twilio.media_timeout).filter(|timeout| !timeout.is_zero()),
        };
        let stop = watch::Sender::new(false);
        tokio::spawn(server::serve(listener, Arc::new(reception), stop.subscribe()));
        Ok(Self(Arc::new(Shared {
            name: name.to_owned(),
            config: twilio.clone(),
            secrets: secrets.clone(),
            account,
            rest: Arc::new(rest),
            lines,
            addresses,
            caller_id: provider.caller_id.clone(),
            ring_timeout: provider.ring_timeout,
            talk_limit: provider.talk_limit,
            local_address,
            stop,
        })))
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where the server listens: what the reverse proxy passes Twilio's requests on to.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.0.local_address
    }

    /// How many calls there are, from `dial` to `Ended`, with those whose order got no answer and that are hung up if
    /// they show themselves.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.0.lines.count()
    }

    /// Reads the account's secrets again and uses them from the next request on: for calls to come, and to end those that
    /// are up. Callbacks and streams of calls that are up may be signed with the old token or with the new one; those of
    /// calls that begin later with the new one only. Returns whether the secrets are others than before.
    ///
    /// # Errors
    ///
    /// [`TwilioError::Secret`] if one cannot be read; nothing is changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready it changes nothing.
    pub async fn renew_secrets(&self) -> Result<bool, TwilioError> {
        let shared = Arc::clone(&self.0);
        let read =
            tokio::task::spawn_blocking(move || Keys::read(&shared.name, &shared.config, &shared.secrets));
        let keys = read.await.map_err(|error| {
            let (provider, detail) = (self.0.name.clone(), error.to_string());
            TwilioError::Client { provider, detail }
        })??;
        let renewed = self.0.account.renew(keys);
        if renewed {
            tracing::info!(target: "outdial::twilio", provider = self.0.name, "the provider has new secrets");
        }
        Ok(renewed)
    }

    /// Ends all calls as `how` says, and the server, and returns when that is done. Bounded: 5.5 seconds plus the time
    /// to drain. Requests to end calls that Twilio has not answered by then go on in the background.
    ///
    /// # Cancel safety
    ///
    /// New calls are refused once it was polled; dropped while it waits, it leaves the calls as they are. It can be
    /// called again.
    pub async fn shutdown(&self, how: Shutdown) {
        let shared = &self.0;
        shared.lines.close();
        if let Shutdown::Drain(longest) = how {
            // Whoever is still talking then is hung up.
            let _ = tokio::time::timeout(longest, shared.lines.idle()).await;
        }
        shared.lines.end_all(LocalCause::Shutdown);
        if tokio::time::timeout(GOODBYE, shared.lines.idle()).await.is_err() {
            tracing::warn!(target: "outdial::twilio", calls = shared.lines.count(), "calls are left at the shutdown");
        }
        shared.stop.send_replace(true);
    }

    /// The number that the callee is shown.
    fn caller(&self, request: &DialRequest) -> Result<String, DialError> {
        match request.caller_id.as_ref().or(self.0.caller_id.as_ref()) {
            Some(CallerId::Number(number)) => Ok(number.as_str().to_owned()),
            Some(CallerId::Extension(_)) => Err(DialError::InvalidRequest {
                field: "caller_id",
                problem: "must be a number of the Twilio account, not an extension".to_owned(),
            }),
            None => Err(DialError::Configuration {
                detail: format!(
                    "Twilio needs a number to call from: set caller_id of provider {:?}",
                    self.0.name
                ),
                source: None,
            }),
        }
    }
}

#[async_trait]
impl DialProvider for Twilio {
    async fn dial_with(&self, request: DialRequest) -> Result<Call, DialError> {
        request.validate()?;
        let shared = &self.0;
        if let Some(other) = request.trunk.as_ref().filter(|trunk| **trunk != shared.name) {
            return Err(DialError::UnknownTrunk(other.clone()));
        }
        if request.hide_caller {
            return Err(DialError::Unsupported("hide the caller"));
        }
        if !request.headers.is_empty() {
            return Err(DialError::Unsupported("send header fields"));
        }
        if request.caller_name.is_some() {
            return Err(DialError::Unsupported("show a name beside the number of the caller"));
        }
        if request.ring_timeout.is_some_and(|ring| ring > TwilioConfig::LONGEST_RING) {
            return Err(DialError::Unsupported("let a call ring for more than ten minutes"));
        }
        request.refuse_key()?;
        let from = self.caller(&request)?;
        let ring_timeout = request.ring_timeout.unwrap_or(shared.ring_timeout);
        let talk_limit = request.talk_limit.unwrap_or(shared.talk_limit).min(shared.talk_limit);
        let rate = request.audio_rate.unwrap_or_default();
        let (speaker, source) = audio::playout(rate, PLAYOUT);
        let (listener, sink) = audio::listen(rate, LISTEN);
        let (key, token) = (Lines::new_key(), StreamToken::random());
        let order = Order {
            to: request.to.as_str().to_owned(),
            from,
            twiml: SecretString::from(twiml::connect(&shared.addresses.stream(&key), &token)),
            status_callback: shared.addresses.status(&key),
            ring_seconds: (seconds(ring_timeout) + MARGIN).min(seconds(TwilioConfig::LONGEST_RING)),
            talk_seconds: Some(seconds(talk_limit) + MARGIN).filter(|talk| *talk <= LONGEST_TALK),
        };
        let opened = shared.lines.open(
            key,
            shared.account.keys(),
            token,
            Sound::new(source, sink, request.departure.recorder()),
        );
        let (line, inbox) = opened.ok_or(DialError::ShutDown)?;
        let parts = Parts {
            name: shared.name.clone(),
            rest: Arc::clone(&shared.rest),
            lines: Arc::clone(&shared.lines),
            line,
            inbox,
            order,
            ring_timeout,
            talk_limit,
            departure: request.departure.clone(),
            provider: Arc::clone(&self.0) as Arc<dyn Send + Sync>,
        };
        let (dialer, ordered) = oneshot::channel();
        // A task of its own: a dial that is dropped must not leave behind a call that nobody knows.
        tokio::spawn(ordering::run(parts, Audio { speaker, listener }, dialer));
        ordered.await.unwrap_or(Err(DialError::ShutDown))
    }
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twilio")
            .field("name", &self.0.name)
            .field("rest", &self.0.rest)
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// A call's way to its task.
pub(super) struct CallHandle {
    pub(super) news: mpsc::UnboundedSender<News>,
}

impl CallControl for CallHandle {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn send(&self, command: Command) {
        // When the task is gone the call has ended, and a dropped reply says so.
        let _ = self.news.send(News::Command(command));
    }
}
