//! A disk that is full stops dialling, and not the process.
//!
//! The process whose files cannot grow is this test's own binary, started again with the name of the other test below.

mod common;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::phone::request;
use common::{trunk, within};
use outdial::audit::verify_file;
use outdial::ledger::LedgerReader;
use outdial::{Config, DialError, DialProvider, Outdial, Shutdown};
use outdial_sandbox::{Sandbox, Speech};

const PLACE: &str = "OUTDIAL_TEST_PLACE";

#[tokio::test]
#[ignore = "the process whose files cannot grow"]
async fn dials_until_the_disk_is_full() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let config = Config::load(place.join("outdial.toml")).unwrap();
    let outdial = Outdial::from_config(&config).await.unwrap();
    let mut made = 0;
    let rule = loop {
        assert!(made < 1_000, "the disk is never full");
        match within("the call", outdial.dial_with(request("+12025550102"))).await {
            Ok(call) => drop(within("the end", call.ended()).await),
            Err(DialError::Refused { rule, .. }) => break rule,
            Err(other) => panic!("{other}"),
        }
        made += 1;
    };
    assert_eq!(rule, "records");
    let again = within("the refusal", outdial.dial_with(request("+12025550102"))).await.unwrap_err();
    assert!(made > 0 && again.kind() == "refused", "{made} calls, then {again}");
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    println!("made {made}");
}

#[tokio::test]
async fn a_full_disk_stops_dialling_and_the_next_start_completes_the_records() {
    let place = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().speech(Speech::Melodies).without_authentication().start().await.unwrap();
    let records = place.path().join("records");
    let config = trunk::config(
        sandbox.udp().unwrap(),
        "transport = \"udp\"",
        format!("[records]\nfolder = {records:?}\nsession = \"s1\"\n"),
    );
    std::fs::write(place.path().join("outdial.toml"), &config).unwrap();
    // No file may become longer than some 256 KB, and a write beyond that is an error instead of a deadly signal.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap '' XFSZ; ulimit -f 512; exec \"$0\" --exact dials_until_the_disk_is_full --ignored --nocapture",
    ]);
    command.arg(std::env::current_exe().unwrap()).env(PLACE, place.path());
    command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let child = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = within("the process", child).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let made = said
        .lines()
        .find_map(|line| line.split_once("made "))
        .and_then(|(_, made)| made.trim().parse::<usize>().ok());
    let made = made.unwrap_or_else(|| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)));

    let outdial = within("the start", Outdial::from_config(&Config::parse(&config).unwrap())).await.unwrap();
    within("the end", within("a dial", outdial.dial_with(request("+12025550102"))).await.unwrap().ended())
        .await;
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    let log = records.join("audit/s1/wire.jsonl");
    assert!(verify_file(&log).unwrap().is_intact());
    let text = std::fs::read_to_string(&log).unwrap();
    let count = |kind: &str| text.matches(&format!("\"type\":\"voice.call.{kind}\"")).count();
    assert_eq!(count("start"), count("end"));
    let calls = LedgerReader::open(&records).unwrap().calls(None).unwrap();
    assert_eq!(
        (calls.len(), calls.iter().filter(|call| call.usage().is_some()).count()),
        (count("start"), count("start"))
    );
    assert_eq!(sandbox.calls().len(), made + 1);
    assert_eq!(count("start"), made + 1);
    sandbox.shutdown().await;
}
