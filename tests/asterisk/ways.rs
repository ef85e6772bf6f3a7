//! Transports, accounts and proxies.

use super::pbx::{
    Outcome, Row, TRUSTED, account, rows, rows_from, through_kamailio, to_asterisk, to_kamailio,
};

fn plain(outcome: &Outcome) {
    assert_eq!(outcome.answered.srtp, None);
    assert_eq!(outcome.gone.get("Encrypted"), "0", "{:?}", outcome.gone);
}

fn encrypted(outcome: &Outcome) {
    assert!(outcome.answered.srtp.is_some(), "{:?}", outcome.answered);
    assert_eq!(outcome.gone.get("Encrypted"), "1", "{:?}", outcome.gone);
}

fn registered(way: &str, user: &str) -> String {
    format!("register = true\ncodecs = [\"pcmu\"]\n{way}\n{}", account(user))
}

#[tokio::test]
async fn straight_to_the_pbx() {
    rows(vec![
        Row::new("udp", registered(&to_asterisk("udp"), "alice"), |outcome| {
            plain(outcome);
            assert_eq!(outcome.came.get("Endpoint"), "alice");
            assert_eq!(outcome.came.get("Secure"), "0");
        }),
        Row::new("tcp", registered(&to_asterisk("tcp"), "alice"), plain),
        Row::new("tls", registered(&to_asterisk("tls"), "sec"), |outcome| {
            encrypted(outcome);
            assert_eq!(outcome.came.get("Secure"), "1");
        }),
        Row::new("mtls", registered(&to_asterisk("mtls"), "sec"), encrypted),
        Row::new("sha-256", registered(&to_asterisk("udp"), "sha"), plain),
        Row::new("sha-256 over tls", registered(&to_asterisk("tls"), "sha") + "\nsrtp = \"off\"", plain),
        Row::new("not registered", to_asterisk("udp") + "\n" + &account("alice"), plain),
    ])
    .await;
}

/// The PBX knows the caller by its address and asks for no password.
#[tokio::test]
async fn by_address() {
    let trusted = |outcome: &Outcome| assert_eq!(outcome.came.get("Endpoint"), "address");
    rows_from(
        TRUSTED,
        vec![
            Row::new("udp", to_asterisk("udp") + "\ncaller_id = \"+12025550199\"", trusted),
            Row::new("tcp", to_asterisk("tcp"), trusted),
            Row::new("tls", to_asterisk("tls"), |outcome| {
                encrypted(outcome);
                assert_eq!(outcome.came.get("Endpoint"), "address");
            }),
        ],
    )
    .await;
}

/// Kamailio is an outbound proxy: the PBX behind it asks for the password, and the requests inside the call follow the
/// route that Kamailio recorded.
#[tokio::test]
async fn through_a_proxy() {
    rows(vec![
        Row::new("udp", registered(&through_kamailio("udp"), "alice"), |outcome| {
            plain(outcome);
            assert_eq!(outcome.came.get("Endpoint"), "alice");
        }),
        Row::new("tcp", registered(&through_kamailio("tcp"), "alice"), plain),
        Row::new("tls", registered(&through_kamailio("tls"), "sec"), encrypted),
        Row::new("mtls", registered(&through_kamailio("mtls"), "sec"), encrypted),
        Row::new("sha-256", registered(&through_kamailio("udp"), "sha"), plain),
        // 407 by the proxy, then 401 by the PBX.
        Row::new("asked twice", registered(&through_kamailio("udp"), "twice"), plain),
    ])
    .await;
}

/// Kamailio is the registrar (401) and the proxy (407), and passes the call on to a PBX that trusts it.
#[tokio::test]
async fn as_a_subscriber_of_the_proxy() {
    let relayed = |outcome: &Outcome| assert_eq!(outcome.came.get("Endpoint"), "kamailio");
    rows(vec![
        Row::new("udp", registered(&to_kamailio("udp"), "carol"), relayed),
        Row::new("tcp", registered(&to_kamailio("tcp"), "carol"), relayed),
        Row::new("tls", registered(&to_kamailio("tls"), "carol"), encrypted),
        Row::new("mtls", registered(&to_kamailio("mtls"), "carol"), encrypted),
    ])
    .await;
}
