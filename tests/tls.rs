//! TLS to a trunk whose certificate is not what it should be, and to one that demands ours.

mod common;

use common::phone::request;
use common::{Phone, Story, trunk, within};
use outdial::provider::{DialError, DialProvider};
use outdial::sip::Registration;
use outdial_sandbox::{Sandbox, ServerCertificate};

const NUMBER: &str = "+12025550116";

/// The dial fails and says what is wrong with the certificate; so does the registration.
async fn refused(certificate: ServerCertificate, words: &[&str]) {
    let sandbox = Sandbox::builder().certificate(certificate).start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, "")).await;
    let detail = unreachable(&phone).await;
    assert!(words.iter().any(|word| detail.contains(word)), "{certificate:?}: {detail}");
    assert!(sandbox.calls().is_empty(), "an INVITE went over a connection that must not be trusted");
    phone.shutdown().await;

    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, "register = true")).await;
    let state = phone.registration(|state| *state != Registration::Pending).await;
    let Registration::Failed { detail, .. } = &state else { panic!("{state:?}") };
    assert!(words.iter().any(|word| detail.contains(word)), "{certificate:?}: {detail}");
    assert!(sandbox.registrations().is_empty());
    phone.shutdown().await;
    sandbox.shutdown().await;
}

/// Dials, which does not come to a call, and returns what is said of it.
async fn unreachable(phone: &Phone) -> String {
    match phone.dial_in_vain(NUMBER).await {
        DialError::Unreachable { detail, .. } => detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused() {
    refused(ServerCertificate::WrongHost, &["identity"]).await;
}

#[tokio::test]
async fn a_wildcard_certificate_is_refused() {
    refused(ServerCertificate::Wildcard, &["identity"]).await;
}

/// The sandbox is reached by its address; its certificate is for `*.outdial.test`.
#[tokio::test]
async fn a_wildcard_is_accepted_for_one_label_where_it_is_permitted() {
    const PERMITTED: &str = "allow_wildcard_certificate = true\n";
    for (more, name, accepted) in [
        (PERMITTED, "sip.outdial.test", true),
        (PERMITTED, "SIP.Outdial.Test", true),
        (PERMITTED, "a.sip.outdial.test", false),
        (PERMITTED, "outdial.test", false),
        (PERMITTED, "sip.outdial.example", false),
        ("", "sip.outdial.test", false),
    ] {
        let wildcard = ServerCertificate::Wildcard;
        let sandbox = Sandbox::builder().certificate(wildcard).start().await.unwrap();
        let config = trunk::sandbox_tls(&sandbox, format!("{more}tls_server_name = \"{name}\""));
        let phone = Phone::start(&config).await;
        if accepted {
            let call = phone.dial(NUMBER).await;
            within("the answer", call.answered()).await.unwrap();
            call.hangup().await;
            assert_eq!(Story::of(&call).await.ending(), "completed by local: 200 OK");
        } else {
            let detail = unreachable(&phone).await;
            assert!(detail.contains("identity"), "{name}: {detail}");
        }
        phone.shutdown().await;
        sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn the_certificate_is_checked_for_the_name_that_is_configured() {
    for (name, accepted) in [("sandbox.outdial.test", true), ("elsewhere.outdial.test", false)] {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let config = trunk::sandbox_tls(&sandbox, format!("tls_server_name = \"{name}\""));
        let phone = Phone::start(&config).await;
        if accepted {
            // Twice: the connection that the first call made serves the second.
            for _ in 0..2 {
                let call = phone.dial(NUMBER).await;
                within("the answer", call.answered()).await.unwrap();
                call.hangup().await;
                assert_eq!(Story::of(&call).await.ending(), "completed by local: 200 OK");
            }
        } else {
            let detail = unreachable(&phone).await;
            assert!(detail.contains("identity"), "{name}: {detail}");
        }
        phone.shutdown().await;
        sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    refused(ServerCertificate::Expired, &["expired"]).await;
}

#[tokio::test]
async fn a_certificate_from_the_future_is_refused() {
    refused(ServerCertificate::NotYetValid, &["not yet", "expired"]).await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    refused(ServerCertificate::UnknownAuthority, &["issuer", "untrusted"]).await;
}

#[tokio::test]
async fn an_operator_who_says_so_may_accept_any_certificate() {
    let sandbox = Sandbox::builder().certificate(ServerCertificate::Expired).start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, "danger_accept_any_certificate = true")).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_good_certificate_by_name_and_by_address() {
    for host in ["localhost", "127.0.0.1"] {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let server = format!("{host}:{}", sandbox.tls().unwrap().port());
        let kind = format!("ca_file = {:?}\n{}", sandbox.ca_path(), trunk::account(&sandbox));
        let phone = Phone::start(&trunk::config(server, &kind, "register = true")).await;
        let state = phone.registration(|state| *state != Registration::Pending).await;
        assert!(matches!(state, Registration::Registered { .. }), "{host}: {state:?}");
        let call = phone.dial(NUMBER).await;
        within("the answer", call.answered()).await.unwrap();
        call.hangup().await;
        Story::of(&call).await.assert("initiated trying answered ended", "completed by local: 200 OK");
        phone.shutdown().await;
        sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_demanded() {
    let sandbox = Sandbox::builder().demand_client_certificate().start().await.unwrap();
    let ours = format!(
        "client_cert = {:?}\nclient_key = {:?}",
        sandbox.client_certificate_path(),
        sandbox.client_key_path()
    );
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, ours)).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}

/// Over TLS 1.3 the server refuses only after the handshake: the INVITE may have left by then, so that there is a call,
/// or not. The second time because PJSIP's words for what TLS says must be there after a restart, too.
#[tokio::test]
async fn without_the_client_certificate_that_is_demanded_there_is_no_call() {
    let sandbox = Sandbox::builder().demand_client_certificate().start().await.unwrap();
    for _ in 0..2 {
        let phone = Phone::start(&trunk::sandbox_tls(&sandbox, "")).await;
        let dial = phone.endpoint().dial_with(common::phone::request(NUMBER));
        let detail = match within("the dial", dial).await {
            Err(DialError::Unreachable { detail, .. }) => detail,
            Err(other) => panic!("{other:?}"),
            Ok(call) => {
                let story = Story::of(&call).await;
                story.assert("initiated ended", "unreachable by network");
                story.end.detail.expect("the end of a call that never was has its reasons")
            }
        };
        assert!(detail.contains("certificate"), "{detail}");
        phone.shutdown().await;
    }
    assert!(sandbox.calls().is_empty());
    sandbox.shutdown().await;
}

/// Each has its own authorities and certificate, and so a transport of its own.
#[tokio::test]
async fn there_can_be_many_trunks_over_tls() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut config = trunk::sandbox_tls(&sandbox, "");
    let port = sandbox.tls().unwrap().port();
    for number in 0..20 {
        config += &format!(
            "[trunks.t{number}]\nserver = \"localhost:{port}\"\nca_file = {:?}\nkeep_alive = \"0s\"\n{}\n",
            sandbox.ca_path(),
            trunk::account(&sandbox)
        );
    }
    let phone = Phone::start(&config).await;
    let call = phone.dial_with(request(NUMBER).trunk("t19")).await;
    within("the answer", call.answered()).await.unwrap();
    within("the end", call.hangup()).await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}
