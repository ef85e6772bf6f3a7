//! `outdial dial` against a sandbox in a process of its own.

mod common;

use common::{Sandbox, expect_exit, json_lines, loud_seconds, outdial, run, tone};
use serde_json::Value;

fn dial(sandbox: &Sandbox, line: &str, options: &[&str]) -> (std::process::Output, Vec<Value>) {
    let (config, number) = (sandbox.config(), format!("+12025550{line}"));
    let mut command = outdial(&["dial", &number, "--json", "--config"]);
    let output = command.arg(config).args(options).output().expect("outdial runs");
    let lines = json_lines(&output);
    (output, lines)
}

#[test]
fn each_end_has_its_exit_code_and_is_the_last_line() {
    let sandbox = Sandbox::start(&[]);
    let cases = [
        ("117", 0, "completed"),
        ("120", 1, "failed"),
        ("102", 10, "busy"),
        ("125", 11, "no_answer"),
        ("104", 12, "declined"),
        ("122", 13, "rejected"),
        ("112", 14, "unreachable"),
        ("106", 15, "not_found"),
        ("181", 16, "auth_failed"),
        ("134", 17, "media_failed"),
        ("137", 19, "timeout"),
    ];
    for (line, code, reason) in cases {
        let (output, lines) = dial(&sandbox, line, &[]);
        expect_exit(&output, code);
        let last = lines.last().expect("an end");
        assert_eq!(
            (&last["event"], &last["end"]["reason"]),
            (&"ended".into(), &reason.into()),
            "{line}: {last}"
        );
        let ends = lines.iter().filter(|line| line["event"] == "ended").count();
        assert_eq!(ends, 1, "{line}");
    }
}

#[test]
fn the_ring_time_out_ends_a_call_that_nobody_answers() {
    let sandbox = Sandbox::start(&[]);
    let (output, lines) = dial(&sandbox, "103", &["--ring-timeout", "1s"]);
    expect_exit(&output, 11);
    assert!(lines.iter().any(|line| line["event"] == "ringing"));
    assert_eq!(sandbox.wait_for("call_ended")["outcome"], "cancelled by the caller");
}

#[test]
fn what_is_played_is_heard_and_what_comes_back_is_recorded() {
    let sandbox = Sandbox::start(&[]);
    let (prompt, record) = (tone(sandbox.folder.path()), sandbox.folder.path().join("echo.wav"));
    let options = ["--wav", prompt.to_str().unwrap(), "--record", record.to_str().unwrap()];
    let (output, lines) = dial(&sandbox, "100", &options);
    expect_exit(&output, 0);
    let names: Vec<_> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    for name in
        ["registered", "call", "ringing", "answered", "speaking", "spoken", "hearing", "recorded", "ended"]
    {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    let answered = lines.iter().find(|line| line["event"] == "answered").unwrap();
    assert!(answered["srtp"].is_string() && answered["codec"].is_string(), "{answered}");
    // The callee's side, written by the sandbox, and the echo of it, written by us: each a second of tone.
    let ended = sandbox.wait_for("call_ended");
    let call_id = lines.iter().find(|line| line["event"] == "call").unwrap()["call_id"].clone();
    assert_eq!(ended["call_id"], call_id);
    for path in [ended["recording"].as_str().expect("a recording").as_ref(), record.as_path()] {
        let loud = loud_seconds(path);
        assert!((0.8..1.2).contains(&loud), "{}: {loud} s", path.display());
    }
}

#[test]
fn keys_are_pressed_after_the_prompt() {
    let sandbox = Sandbox::start(&[]);
    let (output, lines) = dial(&sandbox, "107", &["--dtmf", "1w29"]);
    expect_exit(&output, 0);
    assert_eq!(lines.last().unwrap()["end"]["ended_by"], "remote", "nine makes the menu hang up");
    assert_eq!(sandbox.wait_for("call_ended")["digits"], "129");
}

#[test]
fn the_callee_s_keys_are_shown() {
    let sandbox = Sandbox::start(&[]);
    let (output, lines) = dial(&sandbox, "114", &["--listen", "3"]);
    expect_exit(&output, 0);
    let digits: String = lines.iter().filter_map(|line| line["digit"].as_str()).collect();
    assert_eq!(digits, "1234#");
}

#[test]
fn the_sandbox_trunk_needs_no_configuration() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = outdial(&["dial", "+12025550117", "--trunk", "sandbox", "--say", "Is anybody there?"]);
    let output = command.current_dir(folder.path()).output().unwrap();
    expect_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in
        ["trunk sandbox, TLS, SRTP required", "Call-ID ", "SRTP A", "“Is anybody there?”", "ended: completed"]
    {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn a_wrong_password_is_told_before_anybody_is_called() {
    let sandbox = Sandbox::start(&[]);
    std::fs::write(sandbox.folder.path().join("password"), "wrong").unwrap();
    let (output, lines) = dial(&sandbox, "100", &[]);
    expect_exit(&output, 16);
    assert_eq!(lines.last().unwrap()["event"], "not_dialled", "{lines:?}");
    assert_eq!(sandbox.wait_for("authentication_refused")["method"], "REGISTER");
}

#[test]
fn a_refused_certificate_is_named() {
    let sandbox = Sandbox::start(&["--certificate", "expired"]);
    let (output, _) = dial(&sandbox, "100", &[]);
    expect_exit(&output, 14);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.to_lowercase().contains("expired"), "{text}");
}

#[test]
fn what_is_wrong_before_dialling_has_codes_of_its_own() {
    let folder = tempfile::TempDir::new().unwrap();
    let code = |arguments: &[&str]| {
        outdial(arguments).current_dir(folder.path()).output().unwrap().status.code().unwrap()
    };
    assert_eq!(code(&["dial", "0301234567"]), 2, "no E.164 number");
    assert_eq!(code(&["dial", "+12025550100", "--dtmf", "x"]), 2, "no key");
    assert_eq!(code(&["dial", "+12025550100"]), 3, "no configuration");
    std::fs::write(
        folder.path().join("outdial.toml"),
        "[trunks.a]\nserver = \"localhost\"\nuser = \"u\"\n\
        password = { source = \"env\", id = \"OUTDIAL_TEST_UNSET\" }\n",
    )
    .unwrap();
    assert_eq!(code(&["dial", "+12025550100"]), 3, "no such secret");
    assert_eq!(code(&["dial", "+12025550100", "--trunk", "b"]), 3, "no such trunk");
}

#[test]
fn help_has_the_table_of_exit_codes() {
    let output = run(&["dial", "--help"]);
    expect_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Exit codes:") && text.contains(" 16  auth_failed"), "{text}");
}

#[test]
fn version_tells_what_is_inside() {
    let text = String::from_utf8(run(&["--version"]).stdout).unwrap();
    for part in ["outdial 0.", "PJSIP 2.17 with ", "TLS: OpenSSL 3", "SRTP: libsrtp 2", "PCMU"] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}
