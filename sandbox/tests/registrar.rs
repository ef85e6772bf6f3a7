//! REGISTER and OPTIONS over every transport, with right and wrong credentials.

mod common;

use std::time::Duration;

use common::Client;
use outdial_sandbox::{DigestAlgorithm, Event, Sandbox, Transport};

const REGISTRAR: &str = "sip:sandbox";

#[tokio::test]
async fn registers_over_every_transport_with_either_hash() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut events = sandbox.events();
    for (transport, prefer, expected) in [
        (Transport::Udp, "MD5", DigestAlgorithm::Md5),
        (Transport::Tcp, "SHA-256", DigestAlgorithm::Sha256),
        (Transport::Tls, "SHA-256", DigestAlgorithm::Sha256),
    ] {
        let mut client = Client::new(&sandbox, transport).await;
        client.prefer = prefer;
        let response = client.authenticated("REGISTER", REGISTRAR, &[("Expires", "120")], "").await;
        assert_eq!(response.status(), 200);
        let contacts = response.all("Contact");
        assert!(contacts.iter().any(|contact| contact.ends_with(";expires=120")), "{contacts:?}");
        match events.next().await {
            Some(Event::Registered { user, expires, transport: over, algorithm, .. }) => {
                assert_eq!(
                    (user.as_str(), expires, over, algorithm),
                    ("sandbox", 120, transport, Some(expected))
                );
            }
            other => panic!("{other:?}"),
        }
        let response = client.authenticated("REGISTER", REGISTRAR, &[("Expires", "0")], "").await;
        assert_eq!(response.status(), 200);
        assert!(matches!(events.next().await, Some(Event::Unregistered { .. })));
    }
    assert!(sandbox.registrations().is_empty());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_wrong_password_is_challenged_again_and_counted() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut events = sandbox.events();
    for (user, password, reason) in
        [("sandbox", "wrong", "wrong password"), ("nobody", "sandbox", "unknown user")]
    {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        (client.user, client.password) = (user.to_owned(), password.to_owned());
        let response = client.authenticated("REGISTER", REGISTRAR, &[], "").await;
        assert_eq!(response.status(), 401);
        assert!(!response.header("WWW-Authenticate").unwrap().contains("stale"));
        match events.next().await {
            Some(Event::AuthenticationRefused { reason: told, method, .. }) => {
                assert_eq!((told, method.as_str()), (reason, "REGISTER"));
            }
            other => panic!("{other:?}"),
        }
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_old_nonce_is_stale() {
    let sandbox = Sandbox::builder().nonce_lifetime(Duration::ZERO).start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let response = client.authenticated("REGISTER", REGISTRAR, &[], "").await;
    assert_eq!(response.status(), 401);
    assert!(response.all("WWW-Authenticate").iter().all(|value| value.ends_with("stale=true")));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_nonce_may_be_used_again_with_a_higher_count_only() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.send("REGISTER", REGISTRAR, &[], "").await;
    let challenge = client.final_response("REGISTER").await;
    for (count, status) in [(1, 200), (1, 401), (2, 200), (5, 200), (3, 401)] {
        let credentials = client.credentials(&challenge, "REGISTER", REGISTRAR, count);
        client.send("REGISTER", REGISTRAR, &[(credentials.0, &credentials.1)], "").await;
        assert_eq!(client.final_response("REGISTER").await.status(), status, "count {count}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_interval_that_is_too_brief_is_refused() {
    let sandbox = Sandbox::builder().min_expires(300).start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let response = client.authenticated("REGISTER", REGISTRAR, &[("Expires", "60")], "").await;
    assert_eq!((response.status(), response.header("Min-Expires")), (423, Some("300")));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_registrar_can_be_out_of_order_or_open_to_all() {
    let closed = Sandbox::builder().refuse_registrations(503, "Maintenance").start().await.unwrap();
    let mut client = Client::new(&closed, Transport::Udp).await;
    client.send("REGISTER", REGISTRAR, &[], "").await;
    let response = client.final_response("REGISTER").await;
    assert_eq!((response.status(), response.phrase()), (503, "Maintenance"));
    closed.shutdown().await;

    let open = Sandbox::builder().without_authentication().start().await.unwrap();
    let mut client = Client::new(&open, Transport::Udp).await;
    client.send("REGISTER", REGISTRAR, &[], "").await;
    assert_eq!(client.final_response("REGISTER").await.status(), 200);
    open.shutdown().await;
}

#[tokio::test]
async fn options_are_answered_with_what_is_allowed() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.send("OPTIONS", REGISTRAR, &[], "").await;
    let response = client.final_response("OPTIONS").await;
    assert_eq!(response.status(), 200);
    assert!(response.header("Allow").unwrap().contains("INVITE"));
    client.send("PUBLISH", REGISTRAR, &[], "").await;
    assert_eq!(client.final_response("PUBLISH").await.status(), 405);
    client.send("OPTIONS", REGISTRAR, &[("Require", "100rel, teleport")], "").await;
    let response = client.final_response("OPTIONS").await;
    assert_eq!((response.status(), response.header("Unsupported")), (420, Some("teleport")));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn first_requests_can_get_lost() {
    let sandbox = Sandbox::builder().lose_first(2).start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let text = client.request("OPTIONS", REGISTRAR, &[], "");
    for _ in 0..4 {
        client.send_raw(text.as_bytes()).await;
    }
    // Two are lost, the third is answered, and the fourth gets the same answer again.
    let first = client.final_response("OPTIONS").await;
    let second = client.final_response("OPTIONS").await;
    assert_eq!(first.to_tag(), second.to_tag());
    sandbox.shutdown().await;
}
