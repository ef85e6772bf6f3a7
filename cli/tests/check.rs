//! `outdial check` names what is wrong, and finds nothing where nothing is.

mod common;

use std::path::Path;

use common::{Sandbox, expect_exit, json_lines, outdial};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

/// The findings about `config`, and the exit code that they led to.
fn check(config: &Path) -> (Vec<Value>, i32) {
    let output = outdial(&["check", "--json", "--config"]).arg(config).output().expect("outdial runs");
    let code = output.status.code().expect("an exit code");
    (json_lines(&output), code)
}

/// The ids of all problems; each of them must say what to do.
fn problems(config: &Path) -> Vec<String> {
    let (findings, code) = check(config);
    let problems: Vec<&Value> = findings.iter().filter(|finding| finding["status"] == "problem").collect();
    assert_eq!(code, if problems.is_empty() { 0 } else { 5 }, "{findings:?}");
    for problem in &problems {
        assert!(problem["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{problem}");
    }
    problems.iter().filter_map(|problem| problem["id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_good_trunk_is_fine_over_every_transport() {
    for options in [&[][..], &["--tls", "off"], &["--tls", "off", "--tcp", "off"], &["--no-password"]] {
        let sandbox = Sandbox::start(options);
        assert!(problems(&sandbox.config()).is_empty(), "{options:?}");
    }
    let sandbox = Sandbox::start(&[]);
    let (findings, _) = check(&sandbox.config());
    for id in
        ["secret", "port", "tls_hostname", "tls_chain", "tls_expiry", "options", "realm", "registration"]
    {
        let found = findings.iter().find(|finding| finding["id"] == id);
        assert_eq!(found.map(|finding| &finding["status"]), Some(&"ok".into()), "{id}: {findings:?}");
    }
}

#[test]
fn each_fault_of_a_certificate_has_a_name() {
    let cases = [
        ("expired", "tls_expiry"),
        ("not-yet-valid", "tls_expiry"),
        ("wrong-host", "tls_hostname"),
        ("wildcard", "tls_hostname"),
        ("unknown-authority", "tls_chain"),
    ];
    for (fault, id) in cases {
        let sandbox = Sandbox::start(&["--certificate", fault]);
        assert_eq!(problems(&sandbox.config()), [id], "{fault}");
    }
}

#[test]
fn a_client_certificate_is_asked_for_and_shown() {
    let sandbox = Sandbox::start(&["--demand-client-certificate"]);
    assert!(problems(&sandbox.config()).is_empty());
    let without = sandbox.changed_config(|text| {
        text.lines().filter(|line| !line.starts_with("client_")).map(|line| format!("{line}\n")).collect()
    });
    let (findings, code) = check(&without);
    assert_eq!(code, 5);
    let named = findings.iter().filter_map(|finding| finding["remedy"].as_str());
    assert!(named.into_iter().any(|remedy| remedy.contains("client_cert")), "{findings:?}");
}

#[test]
fn a_wrong_password_a_missing_one_and_a_wrong_realm() {
    let sandbox = Sandbox::start(&[]);
    let realm = sandbox.changed_config(|text| format!("{text}realm = \"elsewhere\"\n"));
    assert!(problems(&realm).contains(&"realm".to_owned()));
    let password = sandbox.folder.path().join("password");
    std::fs::write(&password, "wrong").unwrap();
    assert_eq!(problems(&sandbox.config()), ["credentials"]);
    std::fs::remove_file(&password).unwrap();
    assert_eq!(problems(&sandbox.config()), ["secret"]);
}

#[test]
fn a_closed_port_is_named_over_every_transport() {
    for (transport, id) in [("tls", "port"), ("tcp", "port"), ("udp", "port")] {
        let folder = tempfile::TempDir::new().unwrap();
        let config = folder.path().join("outdial.toml");
        // Port 9 is "discard": nobody runs that any more.
        std::fs::write(
            &config,
            format!("[trunks.a]\nserver = \"127.0.0.1:9\"\ntransport = \"{transport}\"\n"),
        )
        .unwrap();
        assert_eq!(problems(&config), [id], "{transport}");
    }
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("outdial.toml");
    std::fs::write(&config, "[trunks.a]\nserver = \"sip.outdial.invalid\"\n").unwrap();
    assert_eq!(problems(&config), ["dns"]);
}

#[test]
fn each_mistake_in_the_file_is_named_with_its_line() {
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("outdial.toml");
    std::fs::write(&config, "[trunks.a]\nserver = \"localhost\"\nusr = \"x\"\ncodecs = [\"mp3\"]\n").unwrap();
    let (findings, code) = check(&config);
    assert_eq!(code, 5);
    let whats: Vec<_> = findings.iter().filter_map(|finding| finding["what"].as_str()).collect();
    for line in ["outdial.toml:3", "outdial.toml:4"] {
        assert!(whats.iter().any(|what| what.contains(line)), "no {line} in {whats:?}");
    }
}

#[test]
fn without_a_configuration_there_is_nothing_to_check() {
    let folder = tempfile::TempDir::new().unwrap();
    let output = outdial(&["check"]).current_dir(folder.path()).output().unwrap();
    expect_exit(&output, 3);
}

#[test]
fn for_people_there_is_a_table_and_what_to_do() {
    let sandbox = Sandbox::start(&["--certificate", "expired"]);
    let output = outdial(&["check", "--config"]).arg(sandbox.config()).output().unwrap();
    expect_exit(&output, 5);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("PROBLEM  sandbox  tls_expiry"), "{text}");
    assert!(
        text.contains("What to do:\n  sandbox certificate_expired: ") && text.contains("\n1 problem, "),
        "{text}"
    );
}

#[test]
fn settings_are_explained_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("outdial.toml");
    std::fs::write(&config, "[trunks.t]\nprofile = \"sonetel\"\nuser = \"anna\"\nptime = \"40ms\"\n")
        .unwrap();
    let output = outdial(&["check", "--explain", "--json", "--config"]).arg(&config).output().unwrap();
    let settings = json_lines(&output);
    expect_exit(&output, 0);
    for (key, value, from) in
        [("server", "sip.sonetel.com", "profile"), ("ptime", "40ms", "file"), ("dtmf", "rfc4733", "default")]
    {
        let found = settings.iter().find(|setting| setting["key"] == key).unwrap();
        assert_eq!((&found["value"], &found["from"]), (&value.into(), &from.into()), "{key}");
    }
}

#[test]
fn rules_that_cannot_be_evaluated_are_named() {
    let sandbox = Sandbox::start(&["--tls", "off"]);
    let list = sandbox.folder.path().join("dnc.txt");
    let with = |more: &str| sandbox.changed_config(|text| format!("{text}{more}\n"));
    let listed = with("[policy]\ndo_not_call = \"dnc.txt\"");
    assert_eq!(problems(&listed), ["do_not_call"]);
    std::fs::write(&list, "+12025550100\nMr Smith\n").unwrap();
    let (findings, _) = check(&listed);
    let told = format!("{findings:?}");
    assert!(told.contains("line 2") && !told.contains("Smith"), "{told}");
    std::fs::write(&list, "+12025550100\n").unwrap();
    assert!(problems(&listed).is_empty());

    assert_eq!(problems(&with("[policy]\nspend_per_day = 5")), ["tariff"]);
    let tariff = "[trunks.sandbox.tariff]\ncurrency = \"EUR\"\nusd_rate = 1.1\nrates = [{ prefix = \"1\", price = 1 }]";
    let priced = with(&format!("[policy]\nspend_per_day = 5\nquiet_hours = \"21:00-08:00\"\n{tariff}"));
    let (findings, code) = check(&priced);
    assert_eq!(code, 0, "{findings:?}");
    for id in ["tariff", "quiet_hours"] {
        let found = findings.iter().find(|finding| finding["id"] == id).unwrap();
        assert_eq!(found["status"], "warning", "{found}");
    }
}

#[test]
fn a_folder_of_records_that_cannot_be_used_is_named() {
    let sandbox = Sandbox::start(&["--tls", "off"]);
    let with =
        |folder: &str| sandbox.changed_config(|text| format!("{text}[records]\nfolder = {folder:?}\n"));
    let status = |config: &Path| {
        let (findings, _) = check(config);
        let found = findings.iter().find(|finding| finding["id"] == "records").expect("it was looked at");
        found["status"].as_str().unwrap().to_owned()
    };
    let folder = sandbox.folder.path().join("kept");
    assert_eq!(status(&with("kept")), "ok");
    assert!(!folder.exists(), "a check makes nothing");
    std::fs::write(sandbox.folder.path().join("file"), "").unwrap();
    assert_eq!(status(&with("file/kept")), "problem");
    std::fs::create_dir(&folder).unwrap();
    let lock = std::fs::File::create(folder.join("ledger.lock")).unwrap();
    assert_eq!(status(&with("kept")), "ok");
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    assert_eq!(status(&with("kept")), "warning");
    drop(lock);
    std::fs::write(folder.join("ledger.sqlite"), "no ledger of ours, and longer than a header").unwrap();
    assert_eq!(status(&with("kept")), "problem");
}
