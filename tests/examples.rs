//! The examples run, against a sandbox of their own, and do what they say.

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{trunk, within};
use outdial_sandbox::{Sandbox, Speech};
use tokio::process::Command;

const HELLO: &str = "hello who is calling";
const PARCEL: &str = "the parcel has arrived this morning";

/// The program of an example. Cargo builds examples with the tests, unless it is asked for one test alone.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    if !program.exists() {
        let build = std::process::Command::new(env!("CARGO")).args(["build", "--example", name]).status();
        assert!(build.unwrap().success(), "{name} was not built");
    }
    program
}

/// Runs an example with a sandbox, and returns what it said and what its callee heard, in seconds.
async fn run(name: &str, arguments: &[&str]) -> (String, f64) {
    let sandbox =
        Sandbox::builder().speech(Speech::Flite).greeting(HELLO).reply(PARCEL).start().await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("outdial.toml");
    let records: &Path = place.path();
    let text = format!("{}\n[records]\nfolder = {records:?}\n", trunk::sandbox_tls(&sandbox, ""));
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(program(name));
    command.arg(&config).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = within(name, command.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let call = sandbox.calls().pop().expect("a call");
    let record = within("the record", sandbox.call_ended(&call.call_id)).await;
    let heard = record.recording.expect("the sandbox decodes it");
    let loud = heard.samples.iter().filter(|sample| sample.unsigned_abs() > 500).count();
    sandbox.shutdown().await;
    (said, loud as f64 / f64::from(heard.sample_rate))
}

#[tokio::test]
async fn notify_says_its_sentence() {
    let (said, heard) = run("notify", &["+12025550101", "Your parcel is here."]).await;
    assert_eq!(said, "said: Your parcel is here.\nended: completed\n");
    assert!(heard > 0.3, "{heard} s");
}

#[tokio::test]
async fn ivr_finds_its_way_through_the_menu() {
    let (said, _) = run("ivr", &["+12025550107"]).await;
    assert!(said.contains("pressing 2\n") && said.ends_with("arrived at support\n"), "{said}");
}

#[tokio::test]
async fn conversation_understands_the_callee() {
    let others = ["nobody is at home right now", "please call me back on thursday"];
    let (said, heard) = run("conversation", &["+12025550101", others[0], HELLO, PARCEL, others[1]]).await;
    assert!(said.contains("AES") && said.contains("agent:  Good morning"), "{said}");
    assert!(said.contains(&format!("callee: {HELLO}\n")), "{said}");
    assert!(said.ends_with(&format!("callee: {PARCEL}\n")), "{said}");
    assert!(heard > 1.0, "{heard} s");
}

#[tokio::test]
async fn own_pipeline_speaks_what_it_hears() {
    let (said, heard) = run("own_pipeline", &["+12025550101"]).await;
    assert!(said.contains("the last of them Played"), "{said}");
    assert!(heard > 0.3, "{heard} s");
}

#[test]
fn examples_fit_on_a_screen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < 80, "{}: {lines} lines", path.display());
        count += 1;
    }
    assert!(count >= 4);
}
