//! Every number that refuses: status, phrase and headers, and whether it rings before.

mod common;

use common::{Client, Received, Rtp};
use outdial_sandbox::{Behaviour, CallOutcome, Sandbox, Transport};

/// Name, status, phrase, whether it rings first, and how a header begins that must be there.
type Refusal = (&'static str, u16, &'static str, bool, Option<(&'static str, &'static str)>);

const REFUSALS: &[Refusal] = &[
    ("busy", 486, "Busy Here", false, None),
    ("decline", 603, "Decline", true, None),
    ("not-in-service", 404, "Not Found", true, Some(("Reason", "Q.850;cause=1;"))),
    ("unavailable", 503, "Service Unavailable", false, Some(("Retry-After", "60"))),
    ("bad-request", 400, "Bad Request", false, None),
    ("payment-required", 402, "Payment Required", false, None),
    ("forbidden", 403, "Forbidden", false, None),
    ("not-found", 404, "Not Found", false, None),
    ("timeout-unrung", 408, "Request Timeout", false, None),
    ("timeout-rung", 408, "Request Timeout", true, None),
    ("gone", 410, "Gone", false, None),
    ("unsupported-media", 415, "Unsupported Media Type", false, Some(("Accept", "application/sdp"))),
    ("bad-extension", 420, "Bad Extension", false, Some(("Unsupported", "timer"))),
    ("absent-unrung", 480, "Temporarily Unavailable", false, None),
    ("absent-rung", 480, "Temporarily Unavailable", true, None),
    ("loop", 482, "Loop Detected", false, None),
    ("incomplete", 484, "Address Incomplete", false, None),
    ("ambiguous", 485, "Ambiguous", false, None),
    ("not-acceptable-here", 488, "Not Acceptable Here", false, Some(("Warning", "305"))),
    ("server-error", 500, "Server Internal Error", false, None),
    ("bad-gateway", 502, "Bad Gateway", false, None),
    ("gateway-timeout", 504, "Server Time-out", false, None),
    ("too-large", 513, "Message Too Large", false, None),
    ("busy-everywhere", 600, "Busy Everywhere", false, None),
    ("decline-unrung", 603, "Decline", false, None),
    ("network-blocked", 603, "Network Blocked", false, None),
    ("exists-nowhere", 604, "Does Not Exist Anywhere", false, None),
    ("not-acceptable", 606, "Not Acceptable", false, None),
    ("unwanted", 607, "Unwanted", true, None),
    ("rejected", 608, "Rejected", false, None),
    ("redirect", 302, "Moved Temporarily", false, Some(("Contact", "<sip:+12025550100@"))),
    ("anonymity", 433, "Anonymity Disallowed", false, None),
    ("not-acceptable-406", 406, "Not Acceptable", false, None),
    ("q850-17", 480, "Temporarily Unavailable", false, Some(("Reason", "Q.850;cause=17"))),
    ("q850-1", 500, "Server Internal Error", false, Some(("Reason", "Q.850;cause=1"))),
    ("q850-34", 503, "Service Unavailable", false, Some(("Reason", "Q.850;cause=34"))),
    ("q850-57", 403, "Forbidden", false, Some(("Reason", "Q.850 ;cause=57"))),
    ("q850-21", 603, "Decline", true, Some(("Reason", "Q.850;cause=21"))),
    ("q850-19", 480, "No Answer", true, Some(("Reason", "Q.850;cause=19"))),
    (
        "two-reasons",
        480,
        "Temporarily Unavailable",
        false,
        Some(("Reason", "SIP;cause=480;text=\"x, y\", Q.850")),
    ),
    ("q850-65", 503, "Service Unavailable", false, Some(("Reason", "Q.850;cause=65"))),
    ("rate-limit", 503, "CPS limit exceeded", false, Some(("Retry-After", "1"))),
    ("rings-then-busy", 486, "Busy Here", true, None),
];

#[tokio::test]
async fn every_refusal_is_as_the_table_says() {
    let sandbox = Sandbox::builder().without_authentication().speech(outdial_sandbox::Speech::Melodies);
    let sandbox = sandbox.start().await.unwrap();
    let calls = REFUSALS.iter().map(|&(name, status, phrase, rings, header)| {
        let sandbox = &sandbox;
        async move {
            let behaviour = Behaviour::named(name).unwrap();
            let mut client = Client::new(sandbox, Transport::Udp).await;
            let uri = client.uri(&behaviour.number());
            client.send("INVITE", &uri, &[], &Rtp::new().await.plain_offer()).await;
            let mut rang = false;
            let refusal = loop {
                let received = client.receive().await;
                rang |= matches!(received.status(), 180 | 183);
                if received.status() >= 200 {
                    break received;
                }
            };
            client.ack_refusal(&refusal, &uri).await;
            assert_eq!((refusal.status(), refusal.phrase(), rang), (status, phrase, rings), "{name}");
            if let Some((header, value)) = header {
                let got = refusal.header(header);
                assert!(got.is_some_and(|got| got.starts_with(value)), "{name}: {header}: {got:?}");
            }
            let record = sandbox.call_ended(&client.call_id).await;
            assert_eq!(record.outcome, Some(CallOutcome::Refused(status)), "{name}");
            assert_eq!(record.behaviour, behaviour);
        }
    });
    // All at once: some of them ring for seconds.
    common::join_all(calls).await;
    sandbox.shutdown().await;
}

/// Credentials never help at these numbers, and every challenge is a fresh one.
#[tokio::test]
async fn challenges_without_end() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for (name, status, header) in
        [("wrong-password", 401, "WWW-Authenticate"), ("wrong-password-407", 407, "Proxy-Authenticate")]
    {
        let number = Behaviour::named(name).unwrap().number();
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let (uri, sdp) = (client.uri(&number), Rtp::new().await.plain_offer());
        client.send("INVITE", &uri, &[], &sdp).await;
        let first = client.final_response("INVITE").await;
        client.retry(&first, "INVITE", &uri, &[], &sdp).await;
        let second = client.final_response("INVITE").await;
        client.ack_refusal(&second, &uri).await;
        assert_eq!((first.status(), second.status()), (status, status));
        assert_ne!(first.header(header), second.header(header));
    }
    assert!(sandbox.calls().is_empty());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_deaf_number_says_nothing_and_a_trying_one_only_that() {
    let sandbox = Sandbox::builder().without_authentication().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let nobody = client.uri(&Behaviour::named("nobody-there").unwrap().number());
    client.send("INVITE", &nobody, &[], "").await;
    // The next thing heard is the answer to something else.
    client.send("OPTIONS", "sip:sandbox", &[], "").await;
    assert_eq!(client.receive().await.header("CSeq"), Some("2 OPTIONS"));

    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let trying = client.uri(&Behaviour::named("trying-forever").unwrap().number());
    client.send("INVITE", &trying, &[], "").await;
    assert_eq!(client.receive().await.status(), 100);
    client.send("CANCEL", &trying, &[], "").await;
    assert_eq!(client.final_response("CANCEL").await.status(), 200);
    assert_eq!(client.final_response("INVITE").await.status(), 487);
    sandbox.shutdown().await;
}

/// A refusal is repeated until its ACK, and no longer.
#[tokio::test]
async fn an_unacknowledged_refusal_is_repeated() {
    let sandbox =
        Sandbox::builder().without_authentication().t1(std::time::Duration::from_millis(20)).start();
    let sandbox = sandbox.await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let uri = client.uri("+12025550102");
    client.send("INVITE", &uri, &[], "").await;
    let is_busy = |received: &Received| received.status() == 486;
    let first = client.receive_where(is_busy).await;
    let second = client.receive_where(is_busy).await;
    assert_eq!(first.to_tag(), second.to_tag());
    client.ack_refusal(&first, &uri).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_trunk_can_insist_on_registration() {
    let sandbox = Sandbox::builder().require_registration().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Tcp).await;
    let response = client.invite("+12025550102", "").await;
    assert_eq!((response.status(), response.phrase()), (403, "Forbidden: not registered"));
    client.to_tag = None;
    assert_eq!(client.authenticated("REGISTER", "sip:sandbox", &[], "").await.status(), 200);
    assert_eq!(client.invite("+12025550102", "").await.status(), 486);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_trunk_can_insist_on_the_call_id_and_on_the_account_in_from() {
    let sandbox = Sandbox::builder().same_call_id_on_retry().account_in_from().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let uri = client.uri("+12025550102");
    client.send("INVITE", &uri, &[], "").await;
    let challenge = client.final_response("INVITE").await;
    client.call_id = common::unique();
    client.retry(&challenge, "INVITE", &uri, &[], "").await;
    let refusal = client.final_response("INVITE").await;
    assert_eq!(refusal.phrase(), "Forbidden: not the Call-ID that was challenged");
    client.ack_refusal(&refusal, &uri).await;

    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.send("INVITE", &uri, &[], "").await;
    let challenge = client.final_response("INVITE").await;
    client.ack_refusal(&challenge, &uri).await;
    let credentials = client.credentials(&challenge, "INVITE", &uri, 1);
    client.user = "+12025550000".to_owned();
    client.send("INVITE", &uri, &[(credentials.0, &credentials.1)], "").await;
    assert_eq!(client.final_response("INVITE").await.phrase(), "Forbidden: From is not your account");
    sandbox.shutdown().await;
}
