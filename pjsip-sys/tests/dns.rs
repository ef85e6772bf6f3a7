//! DNS queries for names that peers choose, and %-escapes.

mod support;

use pjsip_sys::*;
use support::{Lib, bytes};

const CANARY: u8 = 0xA5;

/// The query for `name` in a buffer of `size` bytes, or the error; asserts that nothing behind the
/// buffer was written.
fn query(lib: &Lib, name: &str, size: usize) -> Result<Vec<u8>, pj_status_t> {
    let mut buffer = vec![CANARY; size + 16];
    let mut length = size as u32;
    let name = lib.copy(name.as_bytes());
    // SAFETY: the buffer has more than the bytes that are announced.
    let status = unsafe { pj_dns_make_query(buffer.as_mut_ptr().cast(), &mut length, 1, 1, &name) };
    assert!(buffer[size..].iter().all(|&byte| byte == CANARY), "wrote behind {size} bytes");
    if status != 0 {
        return Err(status);
    }
    assert!(length as usize <= size);
    buffer.truncate(length as usize);
    Ok(buffer)
}

#[test]
fn a_query_never_leaves_its_buffer() {
    let lib = Lib::new();
    for name in ["a", "sip.example.com", "sip.example.com."] {
        let whole = query(&lib, name, 512).unwrap();
        for size in 12..whole.len() + 4 {
            match query(&lib, name, size) {
                Ok(bytes) => assert_eq!(bytes, whole),
                Err(_) => assert!(size < whole.len() + 1, "{name} in {size} bytes is refused"),
            }
        }
    }
    assert!(query(&lib, &"a.".repeat(500), 512).is_err());
}

#[test]
fn labels_are_checked() {
    let lib = Lib::new();
    let query = |name: &str| query(&lib, name, 512);
    assert_eq!(&query("ab.c").unwrap()[12..], b"\x02ab\x01c\0\0\x01\0\x01");
    assert!(query(&"a".repeat(63)).is_ok());
    assert!(query(&"a".repeat(64)).is_err());
    assert!(query(&"a".repeat(192)).is_err());
    assert!(query("a..b").is_err());
    assert!(query(".a").is_err());
}

#[test]
fn a_percent_without_digits_is_not_an_escape() {
    let lib = Lib::new();
    let unescape = |text: &str| {
        let source = lib.copy(text.as_bytes());
        let mut target = lib.copy(text.as_bytes());
        // SAFETY: the target has room for the source, which never becomes longer.
        unsafe { pj_strcpy_unescape(&mut target, &source) };
        String::from_utf8(bytes(&target).to_vec()).unwrap()
    };
    assert_eq!(unescape("a%41b"), "aAb");
    assert_eq!(unescape("%zz%4"), "%zz%4");
    assert_eq!(unescape("%4g%:1"), "%4g%:1");
    assert_eq!(unescape("100%"), "100%");
}
