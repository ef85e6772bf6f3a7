//! `outdial bench` measures what it says. What the figures are is not judged here: the machine has other work.

mod common;

use common::{expect_exit, json_lines, run};
use serde_json::Value;

fn bench(arguments: &[&str]) -> Value {
    let output = run(&[&["bench"], arguments, &["--json"]].concat());
    expect_exit(&output, 0);
    json_lines(&output).pop().expect("an object on the last line")
}

fn number(report: &Value, key: &str) -> f64 {
    report[key].as_f64().unwrap_or_else(|| panic!("{key} in {report}"))
}

/// A spread of times that can be: each percentile at least as long as the one before.
fn spread(report: &Value, key: &str) -> [f64; 4] {
    let spread = &report[key];
    let percentiles = ["p50", "p99", "p999", "max"].map(|percentile| number(spread, percentile));
    assert!(percentiles.is_sorted() && percentiles[0] >= 0.0, "{key}: {percentiles:?}");
    percentiles
}

fn capacity(more: &[&str]) {
    let report = bench(&[&["capacity", "--calls", "3", "--seconds", "2"], more].concat());
    for key in ["cpu_us_per_call_second", "floor_us_per_call_second", "ratio_to_floor", "setups_per_second"] {
        assert!(number(&report, key) > 0.0, "{key} in {report}");
    }
    assert!((number(&report, "calls"), number(&report, "failed")) == (3.0, 0.0), "{report}");
    for key in ["rss_kb_per_call", "lost", "late", "underruns", "dropped"] {
        assert!(number(&report, key) >= 0.0, "{key} in {report}");
    }
    // Frames are 20 ms long, wherever they are looked at.
    for key in ["wire_interval_ms", "app_interval_ms"] {
        let [median, ..] = spread(&report, key);
        assert!((5.0..80.0).contains(&median), "{key} in {report}");
    }
    // The pulse has to be coded, sent, buffered and decoded: that takes a packet at least.
    assert!(spread(&report, "echo_round_trip_ms")[0] > 5.0, "{report}");
    spread(&report, "clear_ms");
    assert!(spread(&report, "setup_ms")[0] > 0.0, "{report}");
}

#[test]
fn capacity_tells_what_plain_calls_cost() {
    capacity(&["--codec", "pcmu", "--rate", "8000"]);
}

#[test]
fn capacity_tells_what_encrypted_wide_band_calls_cost() {
    capacity(&["--codec", "g722", "--srtp"]);
}

#[test]
fn capacity_speaks_opus_over_a_bad_network() {
    capacity(&["--codec", "opus", "--loss", "3", "--reorder", "2", "--jitter", "5"]);
}

#[test]
fn the_floor_is_the_cost_of_system_calls() {
    let report = bench(&["floor", "--calls", "4", "--seconds", "1"]);
    assert!(number(&report, "floor_us_per_call_second") > 0.0, "{report}");
}

#[test]
fn setup_counts_calls_that_were_answered() {
    for rate in ["0", "20"] {
        let report = bench(&["setup", "--rate", rate, "--seconds", "1", "--talking", "2"]);
        assert!(number(&report, "setups_per_second") > 0.0, "{report}");
        assert!(number(&report, "failed") == 0.0, "{report}");
        // An INVITE leaves before its answer comes.
        let (invite, answer) = (spread(&report, "invite_ms"), spread(&report, "setup_ms"));
        assert!(invite.iter().zip(answer).all(|(invite, answer)| *invite <= answer), "{report}");
    }
}

#[test]
fn speech_is_timed_from_text_to_silence() {
    let report = bench(&["speech", "--calls", "1", "--rounds", "2"]);
    // A word waits for the next packet at most, and then for its way back.
    for key in ["first_packet_ms", "to_transcriber_ms", "barge_in_ms"] {
        spread(&report, key);
    }
    assert!(number(&report, "not_interrupted") == 0.0, "{report}");
}
