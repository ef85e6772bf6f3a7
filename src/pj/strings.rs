//! Text between Rust and PJLIB, whose strings are a pointer and a length without a terminator.

use std::ffi::c_char;

use pjsip_sys::pj_str_t;

/// Lends `text` to a call into PJSIP. The callee must copy what it keeps.
pub(super) fn lend(text: &str) -> pj_str_t {
    pj_str_t { ptr: text.as_ptr().cast_mut().cast::<c_char>(), slen: text.len() as pjsip_sys::pj_ssize_t }
}

/// The bytes behind a PJLIB string; empty for a null pointer or a length that is not positive.
///
/// # Safety
///
/// `text` must point to `slen` readable bytes, or be null, or have a length that is not positive, and the bytes must
/// live for `'a`.
pub(super) unsafe fn bytes<'a>(text: &pj_str_t) -> &'a [u8] {
    match usize::try_from(text.slen) {
        // SAFETY: the caller vouches for pointer, length and lifetime; null and lengths below one do not come here.
        Ok(length) if length > 0 && !text.ptr.is_null() => unsafe {
            std::slice::from_raw_parts(text.ptr.cast::<u8>(), length)
        },
        _ => &[],
    }
}

/// Copies a PJLIB string; bytes that are not UTF-8, which the network may send, become U+FFFD.
///
/// # Safety
///
/// As for [`bytes`], for the time of the call.
pub(super) unsafe fn copy(text: &pj_str_t) -> String {
    // SAFETY: passed on from the caller.
    String::from_utf8_lossy(unsafe { bytes(text) }).into_owned()
}

/// Copies a text from a fixed C array that PJSIP terminates with NUL.
pub(super) fn from_array(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array.iter().take_while(|c| **c != 0).map(|c| c.cast_unsigned()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_text_comes_back() {
        let text = lend("sip:bob@example.com");
        // SAFETY: the literal is static.
        assert_eq!(unsafe { copy(&text) }, "sip:bob@example.com");
    }

    #[test]
    fn null_and_negative_lengths_are_empty() {
        let null = pj_str_t { ptr: std::ptr::null_mut(), slen: 5 };
        let negative = pj_str_t { ptr: lend("x").ptr, slen: -1 };
        // SAFETY: neither is read.
        unsafe {
            assert_eq!(copy(&null), "");
            assert_eq!(copy(&negative), "");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_do_not_harm() {
        let raw = [b'a', 0xff, b'b'];
        let text = pj_str_t { ptr: raw.as_ptr().cast_mut().cast(), slen: 3 };
        // SAFETY: the array outlives the call.
        assert_eq!(unsafe { copy(&text) }, "a\u{fffd}b");
    }
}
