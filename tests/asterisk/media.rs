//! Codecs, packet times, early media.

use outdial::audio::SampleRate;

use super::common::{Story, sound, within};
use super::pbx::{EARLY_MEDIA, Outcome, Row, account, one, rows, through_kamailio, to_asterisk};

fn with(user: &str, more: &str) -> String {
    format!("{}\n{}\n{more}", to_asterisk("udp"), account(user))
}

/// The same by way of Kamailio.
fn behind(kind: &str, more: &str) -> String {
    format!("{}\n{}\n{more}", through_kamailio(kind), account("alice"))
}

fn codec(outcome: &Outcome, name: &str, theirs: &str) {
    assert_eq!(outcome.answered.codec, name);
    assert!(outcome.gone.get("Codec").contains(theirs), "{:?}", outcome.gone);
}

/// Of G.711 each sample is a byte.
fn packets_of(outcome: &Outcome, milliseconds: u64) {
    let media = outcome.media();
    assert_eq!(media.bytes_sent, media.packets_sent * milliseconds * 8, "sent: {media:?}");
    assert_eq!(media.bytes_received, media.packets_received * milliseconds * 8, "received: {media:?}");
}

#[tokio::test]
async fn codecs_and_packet_times() {
    rows(vec![
        Row::new("PCMU", with("alice", "codecs = [\"pcmu\"]"), |o| codec(o, "PCMU/8000", "ulaw")),
        Row::new("PCMA", with("alice", "codecs = [\"pcma\"]"), |o| codec(o, "PCMA/8000", "alaw")),
        Row::new("G.722", with("alice", "codecs = [\"g722\"]"), |o| codec(o, "G722/8000", "g722")),
        Row {
            likeness: 0.8,
            ..Row::new("Opus", with("alice", "codecs = [\"opus\"]"), |o| codec(o, "opus/48000", "opus"))
        },
        Row::new("PCMA through a proxy", behind("udp", "codecs = [\"pcma\"]"), |o| {
            codec(o, "PCMA/8000", "alaw")
        }),
        Row::new("G.722 through a proxy", behind("tcp", "codecs = [\"g722\"]"), |o| {
            codec(o, "G722/8000", "g722")
        }),
        Row {
            likeness: 0.8,
            ..Row::new("Opus through a proxy", behind("udp", "codecs = [\"opus\"]"), |o| {
                codec(o, "opus/48000", "opus");
            })
        },
        Row::new("10 ms", with("p10", "codecs = [\"pcmu\"]\nptime = \"10ms\""), |o| packets_of(o, 10)),
        Row::new("20 ms", with("alice", "codecs = [\"pcmu\"]"), |o| packets_of(o, 20)),
        Row::new("30 ms", with("p30", "codecs = [\"pcmu\"]\nptime = \"30ms\""), |o| packets_of(o, 30)),
        Row::new("40 ms", with("p40", "codecs = [\"pcmu\"]\nptime = \"40ms\""), |o| packets_of(o, 40)),
    ])
    .await;
}

#[tokio::test]
async fn early_media_is_heard_before_the_answer() {
    early_media(&with("alice", "codecs = [\"pcmu\"]")).await;
    early_media(&behind("udp", "codecs = [\"pcmu\"]")).await;
}

async fn early_media(trunk: &str) {
    let phone = one(trunk).await;
    let call = phone.dial(EARLY_MEDIA).await;
    let mut listener = call.audio().unwrap().listener;
    let mut early = Vec::new();
    while let Some(frame) = within("a frame", listener.recv()).await {
        if !frame.is_early() {
            break;
        }
        early.extend_from_slice(frame.samples());
    }
    // Tenths of a second, a second of them from the middle on: Asterisk's tone is not exactly as high as it says, and on a
    // busy machine its timer leaves gaps. Most of them are whole.
    let parts = early[early.len() / 3..].chunks_exact(1600).take(10);
    let shares: Vec<f64> = parts.map(|part| sound::tone_share(SampleRate::Hz16000, part, 440.0)).collect();
    let torn = shares.iter().filter(|share| **share <= 0.8).count();
    assert!(shares.len() == 10 && torn < 5, "{shares:.2?}");
    let story = tokio::join!(call.hangup(), Story::of(&call)).1;
    assert!(story.words().contains("early-183 answered"), "{}", story.words());
    phone.shutdown().await;
}
