//! A real registration, by the endpoint that makes the calls.

use std::time::Duration;

use outdial::call::SipStatus;
use outdial::config::{Config, TrunkConfig};
use outdial::sip::{Endpoint, Registration, Shutdown};
use tokio::time::timeout;

use super::finding::{Finding, Findings};

/// A registrar that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(12);

/// Registers the trunk if it wants that, tells what the registrar said, and takes it back.
pub(super) async fn register(config: &Config, name: &str, trunk: &TrunkConfig, findings: &mut Findings) {
    let mut alone = config.clone();
    alone.trunks.retain(|other, _| other == name);
    alone.agents.clear();
    (alone.default_trunk, alone.default_agent) = (None, None);
    let endpoint = match Endpoint::start(&alone).await {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let what = format!("the trunk cannot be set up: {:#}", anyhow::Error::from(error));
            findings.add(Finding::problem("setup", what, "look at the key or the file that is named here"));
            return;
        }
    };
    findings.add(Finding::ok("setup", "the trunk can be set up"));
    if let Some(mut registration) = endpoint.registration(name) {
        let answered = registration.wait_for(|state| *state != Registration::Pending);
        let state =
            timeout(PATIENCE, answered).await.ok().and_then(|state| state.ok().map(|state| state.clone()));
        findings.add(finding(trunk, state.as_ref()));
    }
    endpoint.shutdown(Shutdown::HangUp).await;
}

fn finding(trunk: &TrunkConfig, state: Option<&Registration>) -> Finding {
    match state {
        Some(Registration::NotRequired) => {
            let by = if trunk.password.is_some() {
                "the password is asked for at each call"
            } else {
                "the trunk knows this machine by its address"
            };
            Finding::ok("registration", format!("not configured: {by}"))
        }
        Some(Registration::Registered { expires }) => {
            Finding::ok("registration", format!("registered for {} s at a time", expires.as_secs()))
        }
        Some(Registration::Failed { status, detail }) => {
            let (id, remedy) = remedy(trunk, status.as_ref());
            let said = status.as_ref().map(|status| format!("{status}: ")).unwrap_or_default();
            Finding::problem(id, format!("{said}{detail}"), remedy)
        }
        _ => Finding::problem(
            "registration",
            format!("the registrar has not answered within {} s", PATIENCE.as_secs()),
            "permit SIP through the firewall in both directions; the registrar may drop what it does not know",
        ),
    }
}

fn remedy(trunk: &TrunkConfig, status: Option<&SipStatus>) -> (&'static str, String) {
    let user = trunk.auth_user().unwrap_or_default();
    match status.map(|status| status.code) {
        Some(401 | 407) if trunk.password.is_none() => (
            "credentials",
            "the registrar wants a password: set password = { source = \"…\", id = \"…\" }".to_owned(),
        ),
        Some(401 | 407) => (
            "credentials",
            format!(
                "user {user:?} or its password is wrong: compare both with the trunk's portal; some want auth_user"
            ),
        ),
        Some(403) => (
            "credentials",
            format!(
                "the registrar forbids it: user {user:?} unknown or locked, from_domain wrong, or this address not permitted"
            ),
        ),
        Some(404) => {
            ("account", format!("the registrar does not know {user:?}: look at user and from_domain"))
        }
        Some(408 | 504) => (
            "registration",
            "no answer: look at the registrar's host and port, and at the firewall".to_owned(),
        ),
        Some(503) => (
            "registration",
            "no connection, or the registrar is out of service: see the findings above".to_owned(),
        ),
        _ => ("registration", "ask the trunk's operator with this answer at hand".to_owned()),
    }
}
