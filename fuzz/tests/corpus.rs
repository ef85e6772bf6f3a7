//! Every input of `fuzz/corpus/` goes through its target. Among them is each that has ended a process before.

use outdial_fuzz::{CONFIG, DNS, RTP, SDP, SIP, SRTP, STUN, TARGETS, Target};
use std::fs;
use std::path::Path;

fn corpus() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn replay(target: &Target) {
    let mut inputs: Vec<_> =
        fs::read_dir(corpus().join(target.name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty());
    for path in inputs {
        // Shown when the process ends here.
        println!("{}", path.display());
        target.run(&fs::read(&path).unwrap());
    }
}

#[test]
fn configurations() {
    replay(&CONFIG);
}

#[test]
fn name_servers_answers() {
    replay(&DNS);
}

#[test]
fn media_packets() {
    replay(&RTP);
}

#[test]
fn session_descriptions() {
    replay(&SDP);
}

#[test]
fn sip_messages() {
    replay(&SIP);
}

#[test]
fn encrypted_media_packets() {
    replay(&SRTP);
}

#[test]
fn stun_answers() {
    replay(&STUN);
}

#[test]
fn every_folder_has_its_target() {
    for entry in fs::read_dir(corpus()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(TARGETS.iter().any(|target| name == target.name), "{}", name.display());
    }
}
