//! Registering with a trunk (RFC 3261 section 10), and what a registrar can say against it.

mod common;

use common::{Phone, Sipp, trunk, within};
use outdial::provider::DialError;
use outdial::sip::Registration;
use outdial_sandbox::{DigestAlgorithm, Event, Sandbox};

const KEYS: [(&str, &str); 2] = [("user", "alice"), ("password", "wonderland")];

fn config(sipp: &Sipp, more: &str) -> String {
    let account = format!("register = true\nuser = \"alice\"\n{}\n{more}", trunk::password("wonderland"));
    trunk::plain(sipp.address(), account)
}

async fn registers(sipp: Sipp, seconds: u64) {
    let phone = Phone::start(&config(&sipp, "")).await;
    let state = phone.registration(|state| *state != Registration::Pending).await;
    assert!(
        matches!(&state, Registration::Registered { expires } if expires.as_secs() == seconds),
        "{state:?}"
    );
    // Leaving takes the registration back, for which the scenario waits.
    phone.shutdown().await;
    let transcript = sipp.finish().await;
    let requests = transcript.requests("REGISTER");
    let first = requests[0].header("Call-ID");
    assert!(requests.iter().all(|request| request.header("Call-ID") == first), "{requests:#?}");
}

#[tokio::test]
async fn with_md5_as_a_server_asks() {
    registers(Sipp::serve_with("register-md5", &KEYS).await, 300).await;
}

#[tokio::test]
async fn with_md5_as_a_proxy_asks() {
    registers(Sipp::serve_with("register-proxy", &KEYS).await, 300).await;
}

#[tokio::test]
async fn the_better_digest_is_preferred() {
    registers(Sipp::serve_with("register-sha-256", &KEYS).await, 300).await;
}

#[tokio::test]
async fn with_each_digest_as_another_implementation_computes_it() {
    for algorithm in [DigestAlgorithm::Md5, DigestAlgorithm::Sha256] {
        let sandbox = Sandbox::builder().algorithms([algorithm]).start().await.unwrap();
        let mut events = sandbox.events();
        let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "register = true")).await;
        let state = phone.registration(|state| *state != Registration::Pending).await;
        assert!(matches!(state, Registration::Registered { .. }), "{algorithm:?}: {state:?}");
        let chosen = async {
            loop {
                if let Some(Event::Registered { algorithm, .. }) = events.next().await {
                    return algorithm;
                }
            }
        };
        assert_eq!(within("the sandbox's event", chosen).await, Some(algorithm));
        phone.shutdown().await;
        assert!(sandbox.registrations().is_empty(), "the registration was not taken back");
        sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_no_call_is_made_with_it() {
    let sipp = Sipp::serve_with("register-refused", &KEYS).await;
    let phone = Phone::start(&config(&sipp, "")).await;
    let state = phone.registration(|state| *state != Registration::Pending).await;
    assert!(
        matches!(&state, Registration::Failed { status: Some(status), .. } if status.code == 401),
        "{state:?}"
    );
    assert!(state.credentials_refused());
    let error = phone.dial_in_vain("+12025550123").await;
    assert!(matches!(&error, DialError::TrunkUnavailable { code: Some(401), .. }), "{error:?}");
    assert_eq!(sipp.finish().await.requests("REGISTER").len(), 2);
    phone.shutdown().await;
}

#[tokio::test]
async fn a_registrar_that_forbids_is_not_asked_again() {
    let keys = [("status", "403 Forbidden"), ("header", "X-Nothing: here")];
    let sipp = Sipp::serve_with("register-forbidden", &keys).await;
    let phone = Phone::start(&config(&sipp, "")).await;
    let state = phone.registration(|state| *state != Registration::Pending).await;
    assert!(
        matches!(&state, Registration::Failed { status: Some(status), .. } if status.code == 403),
        "{state:?}"
    );
    assert_eq!(sipp.finish().await.requests("REGISTER").len(), 1);
    phone.shutdown().await;
}

#[tokio::test]
async fn a_time_that_is_too_brief_is_raised() {
    registers(Sipp::serve("register-too-brief").await, 900).await;
}

#[tokio::test]
async fn a_stale_nonce_is_replaced() {
    registers(Sipp::serve_with("register-stale", &KEYS).await, 300).await;
}

#[tokio::test]
async fn a_registrar_that_shortens_the_time_is_obeyed() {
    let sandbox = Sandbox::builder().max_expires(90).start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "register = true")).await;
    let state = phone.registration(|state| *state != Registration::Pending).await;
    assert!(matches!(&state, Registration::Registered { expires } if expires.as_secs() == 90), "{state:?}");
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_trunk_that_knows_us_by_our_address_wants_no_registration() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    assert_eq!(phone.registration(|_| true).await, Registration::NotRequired);
    phone.shutdown().await;
    sandbox.shutdown().await;
}
