//! What an operator sees of calls afterwards: usage, calls, the verified log; and the encrypted store.

mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{Sandbox, expect_exit, json_lines, outdial};

/// Runs the tool with something on standard input.
fn with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = outdial(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    expect_exit(output, 0);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A configuration with the records and the secrets beside it.
fn config(folder: &Path, trunk: &str) -> String {
    let path = folder.join("outdial.toml");
    let text = format!("{trunk}\n[records]\nfolder = \"records\"\n[secrets]\nhome = \"secrets\"\n");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn secrets_are_set_from_standard_input_listed_rotated_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "[trunks.a]\nserver = \"h\"");
    let secrets = |arguments: &[&str], input: &str| {
        let mut all = vec!["secrets", "--config", &config];
        all.extend(arguments);
        with_input(&all, input)
    };
    assert!(out(&secrets(&["init"], "")).contains("made a master key"));
    assert!(out(&secrets(&["init"], "")).contains("there is a master key"));
    assert_eq!(out(&secrets(&["set", "SIP_PASSWORD"], "marker-1\n")), "SIP_PASSWORD: set\n");
    assert_eq!(out(&secrets(&["rotate", "SIP_PASSWORD"], "marker-2\n")), "SIP_PASSWORD: rotated\n");
    assert!(out(&secrets(&["rotate", "SIP_PASSWORD"], "marker-2\n")).contains("unchanged"));
    expect_exit(&secrets(&["rotate", "OTHER"], "marker-3\n"), 3);
    assert_eq!(out(&secrets(&["import"], "A=marker-4\nB=marker-5\n")), "2 read, 2 changed\n");
    let list = out(&secrets(&["list", "--json"], ""));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let names: Vec<_> =
        list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["SIP_PASSWORD", "A", "B"]);
    assert_eq!(out(&secrets(&["remove", "A"], "")), "A: removed\n");
    expect_exit(&secrets(&["remove", "A"], ""), 1);
    let file = std::fs::read_to_string(folder.path().join("secrets/credentials.json")).unwrap();
    assert!(!file.contains("marker") && file.contains("SIP_PASSWORD"));
    // A value has no place on the command line.
    let refused = secrets(&["set", "SIP_PASSWORD", "marker-6"], "");
    expect_exit(&refused, 2);
}

#[test]
fn calls_and_their_cost_are_shown_and_the_log_verifies() {
    let sandbox = Sandbox::start(&[]);
    let config = sandbox.changed_config(|text| {
        let tariff = "[trunks.sandbox.tariff]\nrates = [{ prefix = \"1\", price = \"0.06\" }]";
        format!("{text}\n{tariff}\n[records]\nfolder = \"records\"\n")
    });
    let config = config.display().to_string();
    let dial = |number: &str| {
        let options = ["dial", number, "--config", &config, "--listen", "0"];
        outdial(&options).output().unwrap()
    };
    expect_exit(&dial("+12025550116"), 0);
    expect_exit(&dial("+12025550102"), 10);
    expect_exit(&dial("+19002345678"), 20);

    let run = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--config", &config]);
        out(&outdial(&all).output().unwrap())
    };
    let usage: serde_json::Value = serde_json::from_str(&run(&["usage", "--json"])).unwrap();
    assert_eq!((&usage["call_count"], &usage["total_cost_usd"]), (&2.into(), &0.06.into()));
    assert_eq!(usage["billable_units"][0]["unit"], "voice-minute");
    let by_trunk = run(&["usage", "--by", "trunk", "--csv"]);
    assert_eq!(by_trunk, "trunk,calls,minutes,flat_calls,cost_usd\r\nsandbox,2,1,,0.06\r\n");
    assert!(run(&["usage", "--by", "agent"]).contains("cli"));
    assert_eq!(
        run(&["usage", "--since", "2099-01-01", "--csv"]),
        "calls,minutes,flat_calls,cost_usd\r\n0,,,0\r\n"
    );
    let calls = run(&["calls", "--json"]);
    let calls: Vec<serde_json::Value> =
        calls.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&calls[0]["to"], &calls[0]["end"]["reason"]), (&"+1***0116".into(), &"completed".into()));
    assert_eq!((&calls[1]["end"]["sip"]["code"], &calls[1]["costUsd"]), (&486.into(), &0.0.into()));
    assert!(run(&["calls", "--numbers", "--csv"]).contains("+12025550116"));
    assert!(run(&["calls"]).contains("completed"));

    let records = sandbox.folder.path().join("records").display().to_string();
    let verify = || outdial(&["audit", "verify", &records]).output().unwrap();
    assert!(out(&verify()).contains("intact, 8 records"));
    let log = sandbox.folder.path().join("records/audit/outdial/wire.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replace("\"busy\"", "\"completed\"")).unwrap();
    let changed = verify();
    expect_exit(&changed, 5);
    let shown = String::from_utf8(changed.stdout).unwrap();
    assert!(shown.contains("NOT INTACT") && shown.contains("was changed"), "{shown}");
}

#[test]
fn a_key_rings_once_however_often_it_is_dialled() {
    let sandbox = Sandbox::start(&[]);
    let config = sandbox.changed_config(|text| format!("{text}\n[records]\nfolder = \"records\"\n"));
    let config = config.display().to_string();
    let dial = || {
        let options =
            ["dial", "+12025550102", "--config", &config, "--key", "k1", "--consent", "form 7", "--json"];
        let output = outdial(&options).output().unwrap();
        expect_exit(&output, 10);
        json_lines(&output).into_iter().find(|line| line["event"] == "call").unwrap()["call_id"].clone()
    };
    assert_eq!(dial(), dial());
    let calls = out(&outdial(&["calls", "--json", "--config", &config]).output().unwrap());
    assert_eq!(calls.lines().count(), 1);
    assert!(calls.contains("\"consent\":\"form 7\""));
}

#[test]
fn the_tool_leaves_no_core_with_its_passwords() {
    let sandbox = Sandbox::start(&[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", sandbox.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
