//! A Twilio of our own, on loopback: the REST interface, status callbacks and media streams, written from Twilio's
//! documentation and sharing no code with `src/`. The dialled number chooses what happens; the numbers that the sandbox
//! has too do the same there.
//!
//! Each request is held against the facts of `calls.json`; what does not fit is answered as Twilio does, and
//! [`FakeTwilio::finish`] fails.

#![allow(dead_code, unreachable_pub)] // Every test binary uses another part of it.

mod callee;
mod facts;
mod rest;
mod stream;
mod voice;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::common::{trunk, within};

pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub const AUTH_TOKEN: &str = "fake-auth-token";
pub const API_KEY: &str = "SK0123456789abcdef0123456789abcdef";
pub const API_SECRET: &str = "fake-api-secret";
/// A number of the account.
pub const CALLER: &str = "+12025550199";
/// What each answered call costs.
pub const PRICE: &str = "-0.01400";

/// The provider under test listens on another port each time.
static PORT: AtomicU16 = AtomicU16::new(8085);

/// See the [module](self).
pub struct FakeTwilio {
    address: SocketAddr,
    listen: SocketAddr,
    state: Arc<State>,
    server: tokio::task::JoinHandle<()>,
}

/// What the fake knows.
pub(super) struct State {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
    http: reqwest::Client,
}

#[derive(Default)]
struct Inner {
    calls: BTreeMap<String, Entry>,
    /// How often a call to each number was ordered, refused orders included.
    orders: BTreeMap<String, usize>,
    violations: Vec<String>,
    /// The account's token.
    token: String,
}

/// A call and the way to the task that plays it.
struct Entry {
    record: CallRecord,
    hang_up: mpsc::UnboundedSender<()>,
}

/// What is known of one call.
#[derive(Debug, Clone, Default)]
pub struct CallRecord {
    pub sid: String,
    pub to: String,
    pub from: String,
    pub status: String,
    pub answered: bool,
    /// The µ-law codes that the callee heard, silence where nothing was sent left out.
    pub heard: Vec<u8>,
    /// How much speech was waiting to be played at most, in milliseconds.
    pub deepest_ms: usize,
    /// How often the speech was cleared, and how much of it was thrown away, in milliseconds.
    pub clears: usize,
    pub thrown_away_ms: usize,
    /// Marks that were sent back.
    pub marks: usize,
    /// What our callbacks were answered.
    pub callback_answers: Vec<u16>,
    /// How the server under test closed the streams, by their number.
    pub streams: Vec<Option<u16>>,
    /// The fields of the order.
    pub order: Vec<(String, String)>,
    /// Requests to end it.
    pub ends: usize,
    /// Looks at it.
    pub fetches: usize,
}

impl CallRecord {
    pub fn is_over(&self) -> bool {
        ["completed", "busy", "failed", "no-answer", "canceled"].contains(&self.status.as_str())
    }

    /// A field of the order.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.order.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// What the callee heard, decoded.
    pub fn samples(&self) -> Vec<i16> {
        self.heard.iter().map(|code| audio_codec_algorithms::decode_ulaw(*code)).collect()
    }
}

impl FakeTwilio {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((trunk::loopback(3), 0)).await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let http = http_client();
        let inner = Mutex::new(Inner { token: AUTH_TOKEN.to_owned(), ..Inner::default() });
        let state = Arc::new(State { inner, changed: watch::Sender::new(0), http });
        let app = rest::routes(Arc::clone(&state));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the listener works");
        });
        let listen = (trunk::loopback(4), PORT.fetch_add(1, Ordering::Relaxed)).into();
        Self { address, listen, state, server }
    }

    /// A configuration with this Twilio as the only provider, and further keys of its table.
    pub fn config(&self, more: &str) -> String {
        let token = secret("twilio-auth-token", AUTH_TOKEN);
        format!(
            "[providers.cloud]\nkind = \"twilio\"\naccount_sid = \"{ACCOUNT}\"\nauth_token = {token}\n\
             public_url = \"http://{listen}/twilio\"\nlisten = \"{listen}\"\napi_url = \"http://{address}\"\n\
             caller_id = \"{CALLER}\"\n{more}\n",
            listen = self.listen,
            address = self.address,
        )
    }

    /// Replaces the account's token: from now on Twilio takes and signs with this one only.
    pub fn promote(&self, token: &str) {
        self.state.lock().token = token.to_owned();
    }

    /// Keys for calling with an API key.
    pub fn api_key() -> String {
        format!("api_key = \"{API_KEY}\"\napi_secret = {}", secret("twilio-api-secret", API_SECRET))
    }

    /// Where the provider under test listens.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The call with this sid.
    pub fn call(&self, sid: &str) -> CallRecord {
        self.state.record(sid).unwrap_or_else(|| panic!("there is no call {sid}"))
    }

    /// All calls to a number.
    pub fn calls_to(&self, number: &str) -> Vec<CallRecord> {
        let inner = self.state.lock();
        inner.calls.values().map(|entry| &entry.record).filter(|call| call.to == number).cloned().collect()
    }

    /// How often a call to a number was ordered.
    pub fn orders(&self, number: &str) -> usize {
        self.state.lock().orders.get(number).copied().unwrap_or_default()
    }

    /// Waits until something is so.
    pub async fn wait_until<T>(&self, what: &str, ready: impl FnMut(&Self) -> Option<T>) -> T {
        let mut ready = ready;
        let mut changed = self.state.changed.subscribe();
        let wait = async {
            loop {
                if let Some(value) = ready(self) {
                    return value;
                }
                changed.changed().await.expect("the fake runs");
            }
        };
        within(what, wait).await
    }

    /// Waits for the end of a call.
    pub async fn call_ended(&self, sid: &str) -> CallRecord {
        self.wait_until("the end at Twilio", |fake| Some(fake.call(sid)).filter(CallRecord::is_over)).await
    }

    /// Stops, and fails if anything that came broke Twilio's rules.
    pub fn finish(self) {
        self.server.abort();
        let violations = std::mem::take(&mut self.state.lock().violations);
        assert!(violations.is_empty(), "against Twilio's rules:\n{}", violations.join("\n"));
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn violation(&self, what: impl Into<String>) {
        self.lock().violations.push(what.into());
        self.touch();
    }

    fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn record(&self, sid: &str) -> Option<CallRecord> {
        self.lock().calls.get(sid).map(|entry| entry.record.clone())
    }

    fn update(&self, sid: &str, change: impl FnOnce(&mut CallRecord)) {
        if let Some(entry) = self.lock().calls.get_mut(sid) {
            change(&mut entry.record);
        }
        self.touch();
    }

    fn hang_up(&self, sid: &str) {
        if let Some(entry) = self.lock().calls.get(sid) {
            // The call may be over.
            let _ = entry.hang_up.send(());
        }
    }
}

/// A client for plain HTTP; that it could do TLS has to be settled all the same.
fn http_client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
}

/// A secret in a file that only we can read, as a reference.
pub fn secret(name: &str, value: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("secret-{name}"));
    let mut file = tempfile::NamedTempFile::new_in(folder).expect("the temporary folder takes files");
    std::io::Write::write_all(&mut file, value.as_bytes()).expect("the temporary folder takes files");
    file.persist(&path).expect("the temporary folder takes files");
    format!("{{ source = \"file\", id = {path:?} }}")
}

/// A pause that a person would not notice.
const BREATH: Duration = Duration::from_millis(100);
