//! Imports point downwards only, and `unsafe` stays behind its door.

use std::fs;
use std::path::{Path, PathBuf};

/// What each module may import of the others; one that is not named here imports none.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("audit", &["call", "ecma", "provider", "timestamp"]),
    ("call", &["audio", "provider"]),
    ("config", &["audio", "policy", "provider", "secrets", "usage"]),
    // The top: it wraps every provider in the same rules and the same evidence.
    ("ledger", &["call", "provider", "timestamp", "usage"]),
    ("metrics", &["call"]),
    (
        "outdial",
        &[
            "audio",
            "audit",
            "call",
            "config",
            "ledger",
            "metrics",
            "policy",
            "provider",
            "recording",
            "secrets",
            "sip",
            "twilio",
            "usage",
        ],
    ),
    // What happens in PJSIP is told in its own words: of the rest it knows the queues for sound only.
    ("pj", &["audio"]),
    ("policy", &["provider", "usage"]),
    // The contract names the type of a call, and a call names a number.
    ("provider", &["audio", "call"]),
    // The sound of a call and its words on one side, files on the other.
    ("recording", &["audio", "call", "config", "provider", "timestamp"]),
    ("secrets", &["ecma", "timestamp"]),
    ("sip", &["audio", "call", "config", "pj", "provider", "secrets"]),
    // Text and sound on one side, the handle of a call on the other: nothing of who carries it.
    // An adapter reads its service's key.
    ("speech", &["audio", "call", "https", "secrets"]),
    ("twilio", &["audio", "call", "config", "https", "provider", "secrets"]),
    ("usage", &["call", "provider", "timestamp"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// All files of `src/`, with the module that each belongs to.
fn files() -> Vec<(String, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&source, &mut paths);
    let module = |path: &PathBuf| {
        let inside = path.strip_prefix(&source).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    };
    paths.into_iter().map(|path| (module(&path), path)).collect()
}

#[test]
fn imports_point_downwards() {
    let mut wrong = Vec::new();
    for (module, path) in files().into_iter().filter(|(module, _)| module != "lib") {
        let named = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let allowed = named.map_or(&[][..], |(_, allowed)| *allowed);
        let text = fs::read_to_string(&path).unwrap();
        // Documentation may name anything.
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for (at, _) in line.match_indices("crate::") {
                let imported: String =
                    line[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if imported != module && !imported.is_empty() && !allowed.contains(&imported.as_str()) {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_in_pj_only() {
    for (module, path) in files().into_iter().filter(|(module, _)| module != "pj" && module != "lib") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("allow(unsafe_code)"), "{} lets unsafe code in ({module})", path.display());
    }
}
