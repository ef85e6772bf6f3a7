//! PJLIB-UTIL's scanner at the end of its input.

mod support;

use pjsip_sys::*;
use std::cell::Cell;
use std::mem::MaybeUninit;
use support::{Lib, bytes};

thread_local! {
    static ERRORS: Cell<u32> = const { Cell::new(0) };
}

unsafe extern "C" fn count(_scanner: *mut pj_scanner) {
    ERRORS.with(|errors| errors.set(errors.get() + 1));
}

/// Scans the first `len` bytes of `text` as a quoted string; `None` for a syntax error.
fn quoted<'a>(lib: &Lib, text: &str, len: usize) -> Option<&'a [u8]> {
    let copy = lib.copy(text.as_bytes());
    let mut scanner = MaybeUninit::<pj_scanner>::zeroed();
    let mut out = pj_str_t { ptr: std::ptr::null_mut(), slen: 0 };
    ERRORS.with(|errors| errors.set(0));
    // SAFETY: the text lives as long as the pool; the callback returns, so that there is no jump.
    unsafe {
        pj_scan_init(scanner.as_mut_ptr(), copy.ptr, len as pj_size_t, 0, Some(count));
        let quote = c"\"".as_ptr();
        pj_scan_get_quotes(scanner.as_mut_ptr(), quote, quote, 1, &mut out);
        let scanner = scanner.assume_init();
        assert!(scanner.curptr <= scanner.end, "the scanner left its input");
    }
    (ERRORS.with(Cell::get) == 0).then(|| bytes(&out))
}

#[test]
fn a_closed_quote_is_taken() {
    let lib = Lib::new();
    assert_eq!(quoted(&lib, "\"abc\"x", 6), Some(&b"\"abc\""[..]));
    assert_eq!(quoted(&lib, "\"a\\\"c\"", 6), Some(&b"\"a\\\"c\""[..]));
}

#[test]
fn an_unclosed_quote_is_a_syntax_error() {
    let lib = Lib::new();
    // The byte behind the input is a quote.
    assert_eq!(quoted(&lib, "\"abc\"", 4), None);
    assert_eq!(quoted(&lib, "\"\"", 1), None);
    assert_eq!(quoted(&lib, "\"abc\\\"\"", 6), None);
    assert_eq!(quoted(&lib, "\"abc\"", 0), None);
}
