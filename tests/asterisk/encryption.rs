//! SRTP with keys by SDES, suite by suite.

use outdial::call::EndReason;

use super::common::Story;
use super::pbx::{ECHO, Outcome, Row, account, one, rows, through_kamailio, to_asterisk};

fn over_tls(user: &str, more: &str) -> String {
    format!("codecs = [\"pcmu\"]\n{}\n{}\n{more}", to_asterisk("tls"), account(user))
}

/// By way of Kamailio, which passes SDP on as it is.
fn behind(user: &str, more: &str) -> String {
    format!("codecs = [\"pcmu\"]\n{}\n{}\n{more}", through_kamailio("tls"), account(user))
}

fn suites(suites: &str) -> String {
    over_tls("sec", &format!("srtp_suites = {suites}"))
}

fn uses(outcome: &Outcome, suite: &str) {
    assert_eq!(outcome.answered.srtp.as_deref(), Some(suite));
    assert_eq!(outcome.media().srtp.as_deref(), Some(suite));
    assert_eq!(outcome.gone.get("Encrypted"), "1", "{:?}", outcome.gone);
}

fn plain(outcome: &Outcome) {
    assert_eq!(outcome.answered.srtp, None);
    assert_eq!(outcome.gone.get("Encrypted"), "0", "{:?}", outcome.gone);
}

/// Debian's Asterisk has these two (its res_srtp is built without ENABLE_SRTP_AES_192, _256 and _GCM); the sandbox has all (`tests/encryption.rs`).
#[tokio::test]
async fn suites_required_optional_and_off() {
    rows(vec![
        Row::new("tags of 80 bits", suites("[\"AES_CM_128_HMAC_SHA1_80\"]"), |outcome| {
            uses(outcome, "AES_CM_128_HMAC_SHA1_80");
        }),
        Row::new("tags of 32 bits", suites("[\"AES_CM_128_HMAC_SHA1_32\"]"), |outcome| {
            uses(outcome, "AES_CM_128_HMAC_SHA1_32");
        }),
        Row::new(
            "32 before 80",
            suites("[\"AES_CM_128_HMAC_SHA1_32\", \"AES_CM_128_HMAC_SHA1_80\"]"),
            |outcome| uses(outcome, "AES_CM_128_HMAC_SHA1_32"),
        ),
        Row::new(
            "what the peer lacks comes first",
            suites("[\"AEAD_AES_128_GCM\", \"AES_256_CM_HMAC_SHA1_80\", \"AES_CM_128_HMAC_SHA1_80\"]"),
            |outcome| uses(outcome, "AES_CM_128_HMAC_SHA1_80"),
        ),
        Row::new("optional, taken", over_tls("opt", "srtp = \"optional\""), |outcome| {
            uses(outcome, "AES_CM_128_HMAC_SHA1_80");
        }),
        Row::new("optional, left out", over_tls("alice", "srtp = \"optional\""), plain),
        Row::new("off", over_tls("opt", "srtp = \"off\""), plain),
    ])
    .await;
}

#[tokio::test]
async fn suites_through_a_proxy() {
    rows(vec![
        Row::new(
            "32 bits through a proxy",
            behind("sec", "srtp_suites = [\"AES_CM_128_HMAC_SHA1_32\"]"),
            |outcome| {
                uses(outcome, "AES_CM_128_HMAC_SHA1_32");
            },
        ),
        Row::new(
            "80 bits through a proxy",
            behind("sec", "srtp_suites = [\"AES_CM_128_HMAC_SHA1_80\"]"),
            |outcome| {
                uses(outcome, "AES_CM_128_HMAC_SHA1_80");
            },
        ),
        Row::new("optional, left out, through a proxy", behind("alice", "srtp = \"optional\""), plain),
    ])
    .await;
}

#[tokio::test]
async fn required_by_one_side_only() {
    for (user, srtp) in [("alice", "required"), ("sec", "off")] {
        let phone = one(&over_tls(user, &format!("srtp = {srtp:?}"))).await;
        let story = Story::of(&phone.dial(ECHO).await).await;
        assert_eq!(story.end.reason, EndReason::MediaFailed, "{user}: {}", story.ending());
        phone.shutdown().await;
    }
}
