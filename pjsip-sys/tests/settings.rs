//! What `config_site.h` and the list of files leave out, and why somebody may not put it back without a look at
//! `docs/security/pjproject.md`.

use std::fs;
use std::path::Path;

/// A definition of `config_site.h`.
fn defined(name: &str) -> Option<String> {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/pj/config_site.h");
    let text = fs::read_to_string(header).unwrap();
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("#define") && words.next() == Some(name))
            .then(|| words.next().unwrap_or_default().to_owned())
    })
}

fn compiled_out(names: &[&str]) {
    for name in names {
        assert_eq!(defined(name).as_deref(), Some("0"), "{name}");
    }
}

#[test]
fn dtls_srtp_is_compiled_out() {
    compiled_out(&["PJMEDIA_SRTP_HAS_DTLS"]);
}

#[test]
fn amr_is_compiled_out() {
    compiled_out(&["PJMEDIA_HAS_OPENCORE_AMRNB_CODEC", "PJMEDIA_HAS_OPENCORE_AMRWB_CODEC"]);
}

#[test]
fn video_is_compiled_out() {
    compiled_out(&["PJMEDIA_HAS_VIDEO"]);
}
