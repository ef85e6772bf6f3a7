//! What keeps known flaws of PJSIP out of reach. `docs/security/pjproject.md` counts on it: who breaks one of these
//! on purpose first looks up there what then has to be patched or tested.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust source of the crate with the lines that are not comments.
fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                into.push((path, code.join("\n")));
            }
        }
    }
    let mut sources = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    assert!(sources.len() > 20, "the sources were found");
    sources
}

/// Asserts that no source uses any of the names.
fn unused(names: &[&str]) {
    for (path, code) in sources() {
        for name in names {
            assert!(!code.contains(name), "{} uses {name}", path.display());
        }
    }
}

/// Asserts that a source has the line.
fn set(line: &str) {
    assert!(sources().iter().any(|(_, code)| code.contains(line)), "nothing sets `{line}`");
}

#[test]
fn the_bridge_is_not_used() {
    unused(&[
        "pjsua_conf_connect",
        "pjsua_conf_add_port",
        "pjmedia_conf_",
        "pjsua_set_snd_dev",
        "pjmedia_master_port",
    ]);
    set("sys::pjsua_set_no_snd_dev()");
}

#[test]
fn one_thread_polls_pjsua() {
    set("ua.thread_cnt = 0;");
}

#[test]
fn ice_is_not_enabled() {
    unused(&["enable_ice", "ice_cfg", "turn_cfg", "enable_turn"]);
}

/// PJSIP's own resolver is then never created: it asks ours, in Rust. All that `src/pj` names of it are the function
/// that installs ours, and the types of what that is called with.
#[test]
fn no_name_server_is_given_to_pjsip() {
    const OF_OURS: [&str; 4] = [
        "pjsip_endpt_set_ext_resolver",
        "pjsip_ext_resolver",
        "pjsip_resolver_callback",
        // The first argument of the callback, which is not read.
        "pjsip_resolver_t",
    ];
    // Names of C: of PJSIP's functions and types, and fields of its settings.
    let of_pjsip = |word: &str| {
        word.starts_with("pj") && (word.contains("resolve") || word.contains("dns"))
            || word.starts_with("nameserver")
            || word.starts_with("stun_")
            || ["getaddrinfo", "gethost", "pj_gethost"].iter().any(|lookup| word.contains(lookup))
    };
    let mut found = BTreeSet::new();
    for (path, code) in sources() {
        if !path.components().any(|part| part.as_os_str() == "pj" || part.as_os_str() == "pj.rs") {
            assert!(!code.contains("pjsip_sys"), "{} reaches past src/pj", path.display());
            continue;
        }
        let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        found.extend(words.filter(|word| of_pjsip(word)).map(str::to_owned));
    }
    assert_eq!(found, OF_OURS.map(str::to_owned).into(), "the names of PJSIP's resolver in src/pj");
    // And the C that is our own calls nothing of it.
    let ours = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("pjsip-sys/c")).unwrap();
    let ours: Vec<_> = ours.map(|entry| entry.unwrap().path()).collect();
    assert!(ours.len() > 3, "the sources were found");
    for path in ours {
        let code = fs::read_to_string(&path).unwrap();
        for name in ["resolve", "dns", "nameserver", "getaddrinfo"] {
            assert!(!code.contains(name), "{} has {name}", path.display());
        }
    }
}

#[test]
fn no_media_direction_is_set() {
    unused(&["PJSUA_CALL_SET_MEDIA_DIR", "media_dir"]);
}

#[test]
fn hold_is_not_that_of_rfc_2543() {
    unused(&["call_hold_type", "PJSUA_CALL_HOLD_TYPE_RFC2543"]);
}

#[test]
fn addresses_do_not_change_under_pjsua() {
    unused(&["pjsua_handle_ip_change", "lis_start", "lis_restart"]);
}

#[test]
fn accounts_do_not_use_outbound() {
    set("config.use_rfc5626 = 0;");
}

#[test]
fn pjsua_plays_and_records_nothing() {
    unused(&["pjsua_player_", "pjsua_playlist_", "pjsua_recorder_", "pjmedia_wav_"]);
}
