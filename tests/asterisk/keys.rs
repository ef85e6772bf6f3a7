//! DTMF in both directions, by each method. Asterisk says which keys it read, and presses them back.

use super::common::{Story, within};
use super::manager::Manager;
use super::pbx::{READS_DIGITS, SENDS_DIGITS, account, one, through_kamailio, to_asterisk};

async fn both_directions(trunk: &str) {
    let manager = Manager::new().await;
    let phone = one(trunk).await;
    let reads = phone.dial(READS_DIGITS).await;
    let sends = phone.dial(SENDS_DIGITS).await;
    within("the answer", reads.answered()).await.unwrap();
    within("the digits", reads.send_dtmf("1942")).await.unwrap();
    assert_eq!(manager.told("Read", reads.id().as_str()).await.get("Digits"), "1942");
    for (call, keys) in
        [(reads, "dtmf-1 dtmf-9 dtmf-4 dtmf-2"), (sends, "dtmf-1 dtmf-2 dtmf-3 dtmf-4 dtmf-#")]
    {
        let story = Story::of(&call).await;
        let words = story.words();
        let heard: Vec<&str> = words.split(' ').filter(|word| word.starts_with("dtmf-")).collect();
        assert_eq!(heard.join(" "), keys, "{words}");
    }
    phone.shutdown().await;
}

fn plain(user: &str, more: &str) -> String {
    format!("{}\n{}\n{more}", to_asterisk("udp"), account(user))
}

#[tokio::test]
async fn as_telephone_events() {
    both_directions(&plain("alice", "codecs = [\"pcmu\"]")).await;
}

#[tokio::test]
async fn as_telephone_events_in_srtp() {
    both_directions(&format!("{}\n{}", to_asterisk("tls"), account("sec"))).await;
}

#[tokio::test]
async fn as_telephone_events_through_a_proxy() {
    both_directions(&format!("{}\n{}\ncodecs = [\"pcmu\"]", through_kamailio("udp"), account("alice"))).await;
}

#[tokio::test]
async fn by_info() {
    both_directions(&plain("info", "dtmf = \"info\"\ncodecs = [\"pcmu\"]")).await;
}

/// G.711 only: Asterisk finds no tones in G.722.
#[tokio::test]
async fn as_tones() {
    both_directions(&plain("tone", "dtmf = \"inband\"\ncodecs = [\"pcma\"]")).await;
}
