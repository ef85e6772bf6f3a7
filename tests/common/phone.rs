//! The endpoint under test.

use std::time::Duration;

use outdial::call::Call;
use outdial::config::Config;
use outdial::provider::{AgentId, DialError, DialProvider, DialRequest, E164};
use outdial::sip::{Endpoint, EndpointStats, Registration, Shutdown, StartError};
use tokio::sync::{Mutex, MutexGuard};
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::within;

/// PJSIP is one per process, and `cargo test` runs the tests of a binary as threads of one process: they take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// An endpoint that nobody else of this process has.
pub struct Phone {
    endpoint: Endpoint,
    _turn: MutexGuard<'static, ()>,
}

impl Phone {
    /// Starts with the configuration's text.
    pub async fn start(config: &str) -> Self {
        Self::try_start(config).await.unwrap_or_else(|error| panic!("{error}: {error:?}\n{config}"))
    }

    /// Starts, or tells why not.
    pub async fn try_start(config: &str) -> Result<Self, StartError> {
        log();
        let config = Config::parse(config).unwrap_or_else(|error| panic!("{error}\n{config}"));
        let turn = turn().await;
        Ok(Self { endpoint: within("the start of the endpoint", start(&config)).await?, _turn: turn })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub fn stats(&self) -> EndpointStats {
        self.endpoint.stats()
    }

    /// Calls a number, which must work.
    pub async fn dial(&self, number: &str) -> Call {
        self.dial_with(request(number)).await
    }

    /// Calls as the request says, which must work.
    pub async fn dial_with(&self, request: DialRequest) -> Call {
        let dial = self.endpoint.dial_with(request);
        within("the INVITE", dial).await.unwrap_or_else(|error| panic!("no call: {error}: {error:?}"))
    }

    /// Calls a number, which must not work.
    pub async fn dial_in_vain(&self, number: &str) -> DialError {
        match within("the INVITE", self.endpoint.dial_with(request(number))).await {
            Ok(call) => panic!("a call came to be: {call:?}"),
            Err(error) => error,
        }
    }

    /// Waits for a state of the trunk's registration.
    pub async fn registration(&self, wanted: impl FnMut(&Registration) -> bool) -> Registration {
        let mut registration =
            self.endpoint.registration(super::trunk::NAME).expect("the trunk is configured");
        let state = within("the registration", registration.wait_for(wanted)).await;
        state.expect("the endpoint runs").clone()
    }

    /// Waits until nothing is left of any call.
    pub async fn idle(&self) {
        let idle = async {
            loop {
                let stats = self.stats();
                if (stats.calls, stats.pjsip_calls) == (0, 0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(super::PATIENCE, idle).await.is_err() {
            panic!("calls are left over: {:?}", self.stats());
        }
    }

    /// Waits until nothing is left of any call, then shuts down.
    pub async fn shutdown(self) {
        self.idle().await;
        within("the shutdown", self.endpoint.shutdown(Shutdown::HangUp)).await;
        assert_eq!(self.stats().callback_panics, 0, "a callback panicked");
    }
}

/// Waits until no other test of this process has an endpoint.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// Starts an endpoint as soon as the one before is gone: a test that failed has dropped its own, which then shuts
/// down by itself.
pub async fn start(config: &Config) -> Result<Endpoint, StartError> {
    loop {
        match Endpoint::start(config).await {
            Err(StartError::AlreadyRunning) => tokio::time::sleep(Duration::from_millis(10)).await,
            other => return other,
        }
    }
}

/// A request for a number.
pub fn request(number: &str) -> DialRequest {
    DialRequest::new(AgentId::new("tester").unwrap(), E164::parse(number).unwrap())
}

/// The library's log on standard error where `RUST_LOG` asks for it, and for those who listen to the wire.
pub(super) fn log() {
    let asked = tracing_subscriber::EnvFilter::from_default_env();
    let printed = tracing_subscriber::fmt::layer().with_test_writer().with_filter(asked);
    // An error says that another test of this process has done it.
    let _ = tracing_subscriber::registry().with(printed).with(super::wire::layer()).try_init();
}
