//! A short soak: every kind of trouble once, and nothing is left of any call.

use std::time::Duration;

use outdial_soak::{Options, run};

#[tokio::test]
async fn half_a_minute_leaves_nothing_behind() {
    let options = Options {
        minutes: 0.5,
        calls: 8,
        // A dead PBX is given up after 5 s instead of 32.
        t1: Duration::from_millis(80),
        asterisk: None,
        pbx: env!("CARGO_BIN_EXE_outdial-soak").into(),
    };
    let report = run(&options).await.unwrap();
    println!("{report}");
    assert!(report.broken().is_empty(), "{report}");
    assert!(report.troubles.len() >= 6, "{report}");
    assert!(report.not_made.keys().any(|kind| kind.contains("records")), "the disk was never full: {report}");
    assert!(report.not_made.contains_key("at_capacity"), "slots never ran out: {report}");
}
