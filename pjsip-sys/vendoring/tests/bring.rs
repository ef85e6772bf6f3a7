//! What `bring` promises: the right source complete and patched, or one sentence and no trace.
#![cfg(feature = "fetch")]

mod fixture;

use fixture::{Fixture, Served, entry, gzip, xz};
use outdial_vendoring::{Origin, Stamp};
use std::fs;
use std::path::Path;

const PATCH: &str = "Say why.\n\nAnd how it was tested.\n\n--- a/src/hello.c\n+++ b/src/hello.c\n\
                     @@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n-- \n2.39\n";

#[test]
fn an_archive_is_unpacked_patched_and_stamped() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    fixture.patch("0001-german.patch", PATCH);

    let lines = fixture.bring().unwrap();

    assert_eq!(fixture.read("thing/src/hello.c"), "one\nzwei\nthree\n");
    let stamp = Stamp::read(&fixture.path("thing")).unwrap().unwrap();
    assert_eq!((stamp.version.as_str(), stamp.patches), ("1.2", 1));
    assert_eq!(lines, ["thing 1.2: unpacked, 1 patch applied"]);
    assert_eq!(fixture.visible(), ["patches", "thing", "vendor.toml"]);
}

#[test]
fn xz_is_unpacked_too() {
    let fixture = Fixture::new(&xz(&fixture::source()));
    fixture.bring().unwrap();
    assert_eq!(fixture.read("thing/src/hello.c"), "one\ntwo\nthree\n");
}

#[test]
fn a_second_run_is_silent_and_touches_nothing() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    fixture.bring().unwrap();
    let mark = fixture.path("thing/mark");
    fs::write(&mark, "").unwrap();

    assert_eq!(fixture.bring().unwrap(), [""; 0]);

    assert!(mark.exists());
}

#[test]
fn a_changed_patch_set_makes_a_fresh_tree() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    fixture.bring().unwrap();
    fs::write(fixture.path("thing/mark"), "").unwrap();
    fixture.patch("0001-german.patch", PATCH);

    fixture.bring().unwrap();

    assert_eq!(fixture.read("thing/src/hello.c"), "one\nzwei\nthree\n");
    assert!(!fixture.path("thing/mark").exists());
}

#[test]
fn patches_apply_in_order_where_their_context_has_moved_to() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    let insert = "--- a/src/hello.c\n+++ b/src/hello.c\n@@ -1,2 +1,4 @@\n+zero\n+half\n one\n two\n";
    fixture.patch("0001-insert.patch", insert);
    fixture.patch("0002-german.patch", PATCH);

    fixture.bring().unwrap();

    assert_eq!(fixture.read("thing/src/hello.c"), "zero\nhalf\none\nzwei\nthree\n");
}

#[test]
fn a_patch_may_add_a_file() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    fixture.patch("0001-new.patch", "--- /dev/null\n+++ b/new/file.h\n@@ -0,0 +1 @@\n+#pragma once\n");
    fixture.bring().unwrap();
    assert_eq!(fixture.read("thing/new/file.h"), "#pragma once\n");
}

#[test]
fn a_patch_that_does_not_fit_names_itself_and_the_file() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    fixture.patch("0001-german.patch", PATCH);
    fixture.patch("0002-again.patch", PATCH);

    let error = fixture.bring().unwrap_err().to_string();

    assert_eq!(error, "the patch 0002-again.patch does not apply to src/hello.c: error applying hunk #1");
    fixture.assert_no_trace();
}

#[test]
fn a_failure_leaves_the_tree_of_before() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    fixture.bring().unwrap();
    fixture.patch("0001-wrong.patch", &PATCH.replace("-two", "-four"));

    fixture.bring().unwrap_err();

    assert_eq!(fixture.read("thing/src/hello.c"), "one\ntwo\nthree\n");
    assert_eq!(fixture.visible(), ["patches", "thing", "vendor.toml"]);
}

#[test]
fn a_damaged_patch_is_not_taken_for_prose() {
    for damaged in [
        "only prose\n".to_owned(),
        PATCH.replace("@@ -1,3 +1,3 @@", "@@ -1,9 +1,9 @@"),
        PATCH.replace("+++ b/src", "++ b/src"),
        PATCH.replace("@@ -1,3", "@ -1,3"),
        format!("{PATCH}{}", PATCH.replace("@@ -1,3", "@ -1,3")),
        PATCH.replace("b/src/hello.c", "b/../../hello.c"),
        PATCH.replace("src/hello.c", "/etc/passwd"),
    ] {
        let fixture = Fixture::new(&gzip(&fixture::source()));
        fixture.patch("0001-damaged.patch", &damaged);
        let error = fixture.bring().map(|_| ()).map_err(|error| error.to_string());
        let told = error.as_ref().is_err_and(|error| error.starts_with("the patch 0001-damaged.patch "));
        assert!(told, "{damaged}: {error:?}");
        fixture.assert_no_trace();
    }
}

#[test]
fn another_hash_is_refused() {
    let mut fixture = Fixture::new(&gzip(&fixture::source()));
    fixture.replace_archive(&gzip(&[entry("thing-1.2/version", b"1.2 (evil)\n")]));

    let error = fixture.bring().unwrap_err().to_string();

    assert!(error.contains("has SHA-256") && error.contains("vendor.toml knows"), "{error}");
    fixture.assert_no_trace();
}

#[test]
fn another_version_is_refused() {
    let fixture = Fixture::new(&gzip(&[entry("thing-1.3/version", b"VERSION = 1.3\n")]));

    let error = fixture.bring().unwrap_err().to_string();

    assert!(error.ends_with("is not thing 1.2: its version has no line `VERSION = 1.2`"), "{error}");
    fixture.assert_no_trace();
}

#[test]
fn an_archive_that_leads_outside_is_refused() {
    for path in ["thing-1.2/../../outside", "/tmp/outside", "thing-1.2/src/../../../outside"] {
        let mut entries = fixture::source();
        entries.push(entry(path, b"evil"));
        let fixture = Fixture::new(&gzip(&entries));

        let error = fixture.bring().unwrap_err().to_string();

        assert!(error.ends_with(&format!("it names the path {path}")), "{error}");
        fixture.assert_no_trace();
        assert!(!fixture.path("../outside").exists() && !Path::new("/tmp/outside").exists());
    }
}

#[test]
fn an_archive_with_a_link_is_refused() {
    let fixture = Fixture::new(&fixture::gzip_with_link());
    let error = fixture.bring().unwrap_err().to_string();
    assert!(error.ends_with("thing-1.2/link is neither a file nor a folder"), "{error}");
    fixture.assert_no_trace();
}

#[test]
fn a_truncated_archive_is_refused() {
    let whole = gzip(&fixture::source());
    let fixture = Fixture::new(&whole[..whole.len() / 2]);
    let error = fixture.bring().unwrap_err().to_string();
    assert!(error.contains("cannot be unpacked"), "{error}");
    fixture.assert_no_trace();
}

#[test]
fn upstream_is_fetched_once_and_kept_for_other_patches() {
    let archive = gzip(&fixture::source());
    let served = Served::once(&archive);
    let fixture = Fixture::with_url(&archive, &served.url);

    let lines = fixture.bring_from(&[Origin::Upstream]).unwrap();
    assert_eq!(lines[0], format!("thing 1.2: fetching {}", served.url));
    served.join();

    // The server is gone.
    fixture.patch("0001-german.patch", PATCH);
    let lines = fixture.bring_from(&[Origin::Upstream]).unwrap();
    assert_eq!(lines, ["thing 1.2: unpacked, 1 patch applied"]);
    assert_eq!(fixture.read("thing/src/hello.c"), "one\nzwei\nthree\n");
}

#[test]
fn upstream_with_another_hash_is_refused() {
    let served = Served::once(&gzip(&[entry("thing-1.2/version", b"VERSION = 1.2 (evil)\n")]));
    let fixture = Fixture::with_url(&gzip(&fixture::source()), &served.url);

    let error = fixture.bring_from(&[Origin::Upstream]).unwrap_err().to_string();
    served.join();

    assert!(error.starts_with("thing 1.2 could not be fetched: http://127.0.0.1:"), "{error}");
    assert!(error.contains("vendor.toml wants"), "{error}");
    fixture.assert_no_trace();
}

#[test]
fn without_a_network_it_says_so() {
    // A port that nobody listens on: it was free a moment ago and is not given out again soon.
    let url = format!("http://127.0.0.1:{}/thing.tar.gz", fixture::free_port());
    let fixture = Fixture::with_url(&gzip(&fixture::source()), &url);

    let error = fixture.bring_from(&[Origin::Upstream]).unwrap_err().to_string();

    assert!(error.starts_with(&format!("thing 1.2 could not be fetched: {url}: ")), "{error}");
    assert!(!error.contains('\n'), "{error}");
    fixture.assert_no_trace();
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    fs::create_dir_all(fixture.path(".work-killed/thing")).unwrap();
    fixture.bring().unwrap();
    assert!(!fixture.path(".work-killed").exists());
}

#[test]
fn two_at_once_bring_one_tree() {
    let fixture = Fixture::new(&gzip(&fixture::source()));
    let reports = std::thread::scope(|scope| {
        let runs = [scope.spawn(|| fixture.bring()), scope.spawn(|| fixture.bring())];
        runs.map(|run| run.join().unwrap().unwrap())
    });
    assert_eq!(reports.concat(), ["thing 1.2: unpacked, no patches"]);
}
