//! XML bodies that a peer chooses.

mod support;

use pjsip_sys::*;
use support::Lib;

/// Parses on a thread whose stack a recursion would overflow.
fn parses(text: String) -> bool {
    let parse = move || {
        let lib = Lib::new();
        let copy = lib.copy(text.as_bytes());
        // SAFETY: the copy is NUL-terminated and lives as long as the pool.
        !unsafe { pj_xml_parse(lib.pool, copy.ptr, copy.slen as pj_size_t) }.is_null()
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(parse).unwrap().join().unwrap()
}

fn nested(depth: usize) -> String {
    format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth))
}

#[test]
fn depth_is_bounded() {
    assert!(parses(nested(1)));
    assert!(parses(nested(256)));
    assert!(!parses(nested(257)));
    assert!(!parses("<a>".repeat(1_300)));
    assert!(!parses("<a>".repeat(100_000)));
}

/// Compilers that make a loop of the old recursion hide it, as gcc does with -O2.
#[test]
fn what_precedes_an_element_takes_no_stack() {
    assert!(parses(format!("{}<a/>", "<!>".repeat(100_000))));
    assert!(parses(format!("{}<a/>", "<?x?>".repeat(100_000))));
}
