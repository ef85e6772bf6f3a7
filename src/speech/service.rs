//! A service on the network that speaks or understands: its address, its key, its time limits, and what its refusals
//! mean.

mod access;
#[cfg(any(feature = "openai", feature = "elevenlabs"))]
mod body;
#[cfg(feature = "_websocket")]
mod heard;
mod key;
mod limits;
#[cfg(any(feature = "openai", feature = "elevenlabs", feature = "openai-realtime"))]
mod pcm;
mod refusal;
#[cfg(any(feature = "openai", feature = "elevenlabs"))]
mod sentences;
#[cfg(feature = "_websocket")]
mod socket;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{sleep, timeout};

pub use access::Access;
#[cfg(any(feature = "openai", feature = "elevenlabs"))]
pub(super) use body::Body;
#[cfg(feature = "_websocket")]
pub(super) use heard::Heard;
pub use key::ApiKey;
pub use limits::Limits;
#[cfg(any(feature = "openai", feature = "elevenlabs", feature = "openai-realtime"))]
pub(super) use pcm::samples;
#[cfg(any(feature = "openai", feature = "elevenlabs"))]
pub(super) use sentences::{Voice, say_sentences};
#[cfg(any(feature = "deepgram", feature = "openai-realtime"))]
pub(super) use socket::Message;
#[cfg(feature = "_websocket")]
pub(super) use socket::{Reader, Received, Socket, Writer};

use super::AdapterError;
use crate::https;
use refusal::Failed;

/// The first pause before a request is made again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// How a service wants to be shown the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credential {
    pub(super) header: &'static str,
    /// What stands before the key.
    pub(super) prefix: &'static str,
}

/// One service, at one address.
pub(super) struct Service {
    name: &'static str,
    base: Url,
    credential: Credential,
    key: Option<ApiKey>,
    limits: Limits,
    client: Client,
}

impl Service {
    /// `base` is where it is unless `access` says something else.
    pub(super) fn new(
        name: &'static str,
        base: &str,
        credential: Credential,
        access: Access,
    ) -> Result<Arc<Self>, AdapterError> {
        let base = access.address(base)?;
        let client = client(&base, &access)
            .map_err(|what| AdapterError::Invalid(format!("{name} cannot be asked: {what}")))?;
        let (key, limits) = (access.key, access.limits);
        Ok(Arc::new(Self { name, base, credential, key, limits, client }))
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    #[cfg(feature = "_websocket")]
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// An address below the service's own.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // It was checked to be one that can have a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// A request to an address of the service.
    #[cfg(any(feature = "openai", feature = "elevenlabs"))]
    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// Makes a request and returns its answer as soon as its body begins. It is made again where that can help, but
    /// only before the first byte.
    #[cfg(any(feature = "openai", feature = "elevenlabs"))]
    pub(super) async fn stream(
        &self,
        request: impl Fn() -> Result<RequestBuilder, AdapterError> + Send + Sync,
    ) -> Result<Body, AdapterError> {
        let mut attempts = Attempts::new(self);
        loop {
            match self.begin(request()?).await {
                Ok(body) => return Ok(body),
                Err(failed) => attempts.next(failed).await?,
            }
        }
    }

    #[cfg(any(feature = "openai", feature = "elevenlabs"))]
    async fn begin(&self, request: RequestBuilder) -> Result<Body, Failed> {
        let response = self.send(request).await?;
        Body::begin(self, response).await
    }

    /// Opens a WebSocket.
    #[cfg(feature = "_websocket")]
    pub(super) async fn open(&self, url: &Url) -> Result<Socket, AdapterError> {
        let mut attempts = Attempts::new(self);
        loop {
            match self.shake_hands(url).await {
                Ok(socket) => return Ok(socket),
                Err(failed) => attempts.next(failed).await?,
            }
        }
    }

    #[cfg(feature = "_websocket")]
    async fn shake_hands(&self, url: &Url) -> Result<Socket, Failed> {
        let handshake = socket::Handshake::new();
        let response = self.send(handshake.request(&self.client, url.clone())).await?;
        let limit = self.limits.first_byte;
        let socket = timeout(limit, handshake.finish(self, response)).await;
        socket.unwrap_or_else(|_| Err(self.late("the WebSocket", limit))).map_err(Failed::last)
    }

    /// Sends a request once; an answer that is a refusal is an error.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Failed> {
        let request = match self.shown_key().map_err(Failed::last)? {
            Some(key) => request.header(self.credential.header, key),
            None => request,
        };
        let limit = self.limits.connect + self.limits.first_byte;
        let answer = timeout(limit, request.send()).await;
        let answer = answer.map_err(|_| Failed::last(self.late("the answer", limit)))?;
        let response = answer.map_err(|error| {
            let late = error.is_timeout();
            match self.broken(error) {
                error @ AdapterError::Untrusted { .. } => Failed::last(error),
                error if late => Failed::last(error),
                error => Failed::again(error),
            }
        })?;
        if response.status().is_success() || response.status() == reqwest::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let key = self.key.as_ref().map(ApiKey::secret);
        Err(refusal::read(self, response, key.as_ref()).await)
    }

    fn shown_key(&self) -> Result<Option<HeaderValue>, AdapterError> {
        let Some(key) = &self.key else { return Ok(None) };
        let shown = SecretString::from(format!("{}{}", self.credential.prefix, key.secret().expose_secret()));
        let value = HeaderValue::from_str(shown.expose_secret());
        let mut value = value.map_err(|_| {
            AdapterError::Invalid(format!("the key of {} is no key: it has line ends", self.name))
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Reads the key again where it comes from; whether it is another one.
    async fn renew_key(&self) -> bool {
        match &self.key {
            Some(key) => key.renew().await,
            None => false,
        }
    }

    pub(super) fn late(&self, what: &str, limit: Duration) -> AdapterError {
        AdapterError::TimedOut { what: format!("{what} of {}", self.name), limit }
    }

    pub(super) fn malformed(&self, what: impl Into<String>) -> AdapterError {
        AdapterError::Malformed { service: self.name.to_owned(), what: what.into() }
    }

    pub(super) fn cut_off(&self) -> AdapterError {
        AdapterError::CutOff { service: self.name.to_owned() }
    }

    /// There is no answer. The error has no address, whose path may name a voice.
    fn broken(&self, error: reqwest::Error) -> AdapterError {
        if error.is_timeout() {
            return self.late("the connection", self.limits.connect);
        }
        if let Some(why) = https::distrust(&error) {
            return AdapterError::Untrusted { service: self.name.to_owned(), why };
        }
        AdapterError::connection(self.name, error.without_url())
    }
}

/// The attempts at one thing.
struct Attempts<'a> {
    service: &'a Service,
    made: u32,
    renewed: bool,
}

impl<'a> Attempts<'a> {
    fn new(service: &'a Service) -> Self {
        Self { service, made: 1, renewed: false }
    }

    /// Waits until it is time for another attempt; the error where there is to be none.
    async fn next(&mut self, failed: Failed) -> Result<(), AdapterError> {
        let service = self.service;
        let unauthorized = matches!(failed.error, AdapterError::Unauthorized { .. });
        if unauthorized && !std::mem::replace(&mut self.renewed, true) && service.renew_key().await {
            return Ok(());
        }
        match failed.pause(PAUSE * (1 << self.made.min(8))) {
            Some(pause) if self.made < service.limits.attempts => {
                tracing::debug!(target: "outdial::speech", service = service.name, error = %failed.error, "asking again");
                sleep(pause).await;
                self.made += 1;
                Ok(())
            }
            _ => Err(failed.error),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("base", &self.base.as_str())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn client(base: &Url, access: &Access) -> Result<Client, String> {
    let encrypted = base.scheme() == "https";
    let authorities = match &access.ca_file {
        Some(file) if encrypted => https::authorities_in(file)?,
        Some(_) => return Err("a file of authorities is of no use without https://".to_owned()),
        None => https::authorities(encrypted)?,
    };
    let client = https::client(authorities, encrypted)?.connect_timeout(access.limits.connect);
    client.build().map_err(|error| error.without_url().to_string())
}
