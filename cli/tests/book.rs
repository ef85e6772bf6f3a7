//! What the book lets a reader type runs: each block that is marked so, against a sandbox whose trunk is called `carrier`.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Sandbox;

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The command lines of all blocks ```` ```console,run ````.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut runs = false;
    let mut inside = false;
    for line in text.lines() {
        if let Some(info) = line.strip_prefix("```") {
            inside = !inside;
            runs = inside && info == "console,run";
        } else if runs {
            found.extend(line.strip_prefix("$ ").map(str::to_owned));
        }
    }
    found
}

#[test]
fn what_is_marked_so_runs() {
    let sandbox = Sandbox::start(&[]);
    let text = fs::read_to_string(sandbox.config()).unwrap().replace("[trunks.sandbox]", "[trunks.carrier]");
    let work = tempfile::tempdir().unwrap();
    fs::write(work.path().join("outdial.toml"), format!("{text}caller_id = \"+12025550199\"\n")).unwrap();
    common::tone(work.path());
    let tool = Path::new(env!("CARGO_BIN_EXE_outdial")).parent().unwrap();
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs");
    let mut found = Vec::new();
    pages(&docs, &mut found);
    found.sort();
    // What several pages say runs once.
    let mut ran = BTreeSet::new();
    for page in found {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            if !ran.insert(command.clone()) {
                continue;
            }
            let output = Command::new("sh")
                .args(["-ec", &command])
                .current_dir(work.path())
                .env("PATH", &path)
                .env("HOME", work.path())
                .env("XDG_CONFIG_HOME", "/nonexistent")
                .env_remove("RUST_LOG")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {command}: {}\n{said}", page.display(), output.status);
        }
    }
    assert!(ran.len() >= 8, "the book's commands were not found: {ran:?}");
}
