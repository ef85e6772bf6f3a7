//! What a scrape tells after calls whose course is known, and that the book lists all of it.

mod common;

use common::phone::{request, turn};
use common::{trunk, within};
use outdial::metrics::{ALL, CONTENT_TYPE};
use outdial::{Config, DialError, DialProvider, EndReason, Outdial, Shutdown};
use outdial_sandbox::{Sandbox, Speech};

const ANSWERS: &str = "+12025550116";
const BUSY: &str = "+12025550102";
const PREMIUM: &str = "+19005550100";

/// The value of a sample: its name, and labels that must be among its own.
fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |line: &&str| {
        line.split(['{', ' ']).next() == Some(name)
            && labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")))
    };
    let lines: Vec<&str> = text.lines().filter(has).collect();
    assert_eq!(lines.len(), 1, "{name} {labels:?}:\n{text}");
    lines[0].rsplit(' ').next().unwrap().parse().unwrap()
}

async fn sandbox() -> Sandbox {
    Sandbox::builder().speech(Speech::Melodies).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_tells_what_happened() {
    let _turn = turn().await;
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let records = format!("[records]\nfolder = {:?}\n", folder.path());
    let tariff =
        "[trunks.test.tariff]\nrates = [{ prefix = \"1\", price = \"0.60\", increment = \"60/60\" }]\n";
    let text = trunk::sandbox_udp(&sandbox, format!("register = true\n{tariff}{records}"));
    let outdial = Outdial::from_config(&Config::parse(&text).unwrap()).await.unwrap();
    let of = [("trunk", "test"), ("provider", "sip")];

    let call = within("a call", outdial.dial_with(request(ANSWERS))).await.unwrap();
    within("the answer", call.answered()).await.unwrap();
    let during = outdial.metrics();
    assert_eq!(value(&during, "outdial_active_calls", &of), 1.0);
    assert_eq!(value(&during, "outdial_trunk_registered", &[("trunk", "test")]), 1.0);
    // Some sound, so that there is something to judge.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(within("the end", call.hangup()).await.reason, EndReason::Completed);
    for _ in 0..2 {
        let call = within("a call", outdial.dial_with(request(BUSY))).await.unwrap();
        assert_eq!(within("the end", call.ended()).await.reason, EndReason::Busy);
    }
    let refused = within("a refusal", outdial.dial_with(request(PREMIUM))).await.unwrap_err();
    let DialError::Refused { rule, .. } = refused else { panic!("{refused}") };

    let text = within("the last record", async {
        loop {
            let text = outdial.metrics();
            if text.contains("reason=\"busy\"} 2") && text.contains("outdial_spend_usd_total{") {
                break text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let attempts = |reason| value(&text, "outdial_attempts_total", &[of[0], of[1], ("reason", reason)]);
    assert_eq!((attempts("completed"), attempts("busy")), (1.0, 2.0));
    assert_eq!(value(&text, "outdial_refusals_total", &[("rule", rule)]), 1.0);
    assert_eq!(value(&text, "outdial_active_calls", &of), 0.0);
    assert_eq!(value(&text, "outdial_talk_seconds_count", &of), 1.0);
    let talked = value(&text, "outdial_talk_seconds_sum", &of);
    assert!((0.4..60.0).contains(&talked), "{talked}");
    assert!(value(&text, "outdial_setup_seconds_count", &of) >= 1.0);
    assert_eq!(value(&text, "outdial_mos_count", &of), 1.0);
    assert_eq!(value(&text, "outdial_jitter_seconds_count", &of), 1.0);
    assert_eq!(value(&text, "outdial_loss_ratio_count", &[of[0], ("direction", "received")]), 1.0);
    // One minute at sixty cents; busy calls are free.
    assert_eq!(value(&text, "outdial_spend_usd_total", &of), 0.6);
    assert!(value(&text, "outdial_media_frames_total", &[]) > 0.0);
    well_formed(&text);
    outdial.shutdown(Shutdown::HangUp).await;
}

/// Each family is described once, before its samples, by a metric of the list; the text ends as OpenMetrics wants it.
fn well_formed(text: &str) {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut family = None;
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            let metric = ALL.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(metric.kind, kind, "{name}");
            family = Some(metric);
        } else if !line.starts_with('#') {
            let metric = family.expect("a sample without a family");
            let rest = line.strip_prefix(metric.name).unwrap_or_else(|| panic!("{line}"));
            let suffixes: &[&str] = match metric.kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &["{", " "],
            };
            assert!(suffixes.iter().any(|suffix| rest.starts_with(suffix)), "{line}");
            for label in metric.labels {
                assert!(line.contains(&format!("{label}=\"")), "{line} has no {label}");
            }
        }
    }
}

#[test]
fn the_book_lists_exactly_these() {
    let book = include_str!("../docs/metrics.md");
    let rows: Vec<&str> = book.lines().filter(|line| line.starts_with("| `outdial_")).collect();
    let expected: Vec<String> = ALL
        .iter()
        .map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {} | {} | {} |", metric.name, metric.kind, labels.join(", "), metric.help)
        })
        .collect();
    assert_eq!(rows, expected, "docs/metrics.md should have:\n{}", expected.join("\n"));
    assert!(book.contains(CONTENT_TYPE));
}
