//! A real registration, by the endpoint that makes the calls.

use std::net::SocketAddr;
use std::time::Duration;

use outdial::config::{Config, TrunkConfig};
use outdial::sip::{Endpoint, Registration, Shutdown};
use tokio::time::timeout;

use super::account::Refusal;
use super::finding::{Finding, Findings};
use super::mistake::Mistake;
use super::probe::{self, Answers, Stranger};

/// A registrar that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(12);

/// Registers the trunk if it wants that, tells what the registrar said, and takes it back.
pub(super) async fn register(
    config: &Config,
    name: &str,
    trunk: &TrunkConfig,
    address: Option<SocketAddr>,
    answers: &Answers,
    findings: &mut Findings,
) {
    let mut alone = config.clone();
    alone.trunks.retain(|other, _| other == name);
    alone.agents.clear();
    alone.routes.clear();
    (alone.default_trunk, alone.default_agent) = (None, None);
    let endpoint = match Endpoint::start(&alone).await {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let what = format!("the trunk cannot be set up: {:#}", anyhow::Error::from(error));
            findings.add(Mistake::SetUp.found(what, "look at the key or the file that is named here"));
            return;
        }
    };
    findings.add(Finding::ok("setup", "the trunk can be set up"));
    let state = match endpoint.registration(name) {
        Some(mut registration) => {
            let answered = registration.wait_for(|state| *state != Registration::Pending);
            timeout(PATIENCE, answered).await.ok().and_then(|state| state.ok().map(|state| state.clone()))
        }
        None => None,
    };
    endpoint.shutdown(Shutdown::HangUp).await;
    let refused = state.as_ref().is_some_and(Registration::credentials_refused);
    let stranger = match (address, state.as_ref()) {
        // Whether a registrar tells users apart shows in what it says to one that cannot exist; and what a 403 is about, in
        // what it says to a wrong password.
        (Some(address), Some(Registration::Failed { status, .. }))
            if refused && answers.register.is_some() =>
        {
            let forbidden = status.as_ref().is_some_and(|status| status.code == 403);
            probe::as_stranger(config, trunk, address, forbidden).await
        }
        _ => Stranger::default(),
    };
    findings.add(finding(trunk, state.as_ref(), answers, stranger));
}

fn finding(
    trunk: &TrunkConfig,
    state: Option<&Registration>,
    answers: &Answers,
    stranger: Stranger,
) -> Finding {
    match state {
        Some(Registration::NotRequired) => {
            let by = match (trunk.password.is_some(), answers.credentials) {
                (true, None) => "the password is asked for at each call: check it with --call",
                (true, Some(_)) => "the password is asked for at each call",
                (false, _) => "the trunk knows this machine by its address",
            };
            Finding::ok("registration", format!("not configured: {by}"))
        }
        Some(Registration::Registered { expires }) => {
            Finding::ok("registration", format!("registered for {} s at a time", expires.as_secs()))
        }
        Some(Registration::Failed { .. }) if answers.wrong_realm => {
            Finding::skipped("registration", "refused, as it must be with the wrong realm")
        }
        Some(Registration::Failed { status, detail }) => {
            let refusal = Refusal {
                trunk,
                status: status.as_ref(),
                detail,
                first: answers.register.as_ref().map(|response| response.code),
                stale: answers.register.as_ref().is_some_and(|response| response.is_stale()),
                stranger,
            };
            refusal.finding()
        }
        _ => Mistake::RegistrarSilent.found(
            format!("the registrar has not answered within {} s", PATIENCE.as_secs()),
            "permit SIP through the firewall in both directions; the registrar may drop what it does not know",
        ),
    }
}
