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
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args(["build", "--example", name]);
        if cfg!(feature = "prometheus") {
            build.args(["--features", "prometheus"]);
        }
        let build = build.status();
        assert!(build.unwrap().success(), "{name} was not built");
    }
    program
}

/// An example with a sandbox, and the folder of its configuration.
async fn prepare(name: &str, arguments: &[&str]) -> (Command, Sandbox, tempfile::TempDir) {
    let sandbox =
        Sandbox::builder().speech(Speech::Flite).greeting(HELLO).reply(PARCEL).start().await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("outdial.toml");
    let records: &Path = place.path();
    let text = format!("{}\n[records]\nfolder = {records:?}\n", trunk::sandbox_tls(&sandbox, ""));
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(program(name));
    command.arg(&config).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    (command, sandbox, place)
}

/// Runs an example with a sandbox, and returns what it said and what its callee heard, in seconds.
async fn run(name: &str, arguments: &[&str]) -> (String, f64) {
    let (mut command, sandbox, _place) = prepare(name, arguments).await;
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

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn metrics_are_scraped_during_a_call_and_after_it() {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

    let (mut command, sandbox, _place) = prepare("metrics", &["127.0.0.1:0", "+12025550100"]).await;
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = within("its address", said.next_line()).await.unwrap().unwrap();
    let address = address.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/metrics")).unwrap();
    let scrape = async || {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let counted = async |sample: &str| loop {
        let answer = scrape().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(outdial::metrics::CONTENT_TYPE));
        assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
        if answer.contains(sample) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let active = "outdial_active_calls{trunk=\"test\",provider=\"sip\"} 1\n";
    within("the call", counted(active)).await;
    assert_eq!(within("its end", said.next_line()).await.unwrap().as_deref(), Some("ended: completed"));
    let over = "outdial_attempts_total{trunk=\"test\",provider=\"sip\",reason=\"completed\"} 1\n";
    within("the count", counted(over)).await;
    let interrupt = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id().unwrap())]).status();
    assert!(within("the interrupt", interrupt).await.unwrap().success());
    assert!(within("the shutdown", child.wait()).await.unwrap().success());
    sandbox.shutdown().await;
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
    assert!(count >= 5);
}
