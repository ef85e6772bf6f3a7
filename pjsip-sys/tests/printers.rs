//! The printers of headers and bodies stay inside their buffers and say so when they cannot.

mod support;

use pjsip_sys::*;
use std::ffi::{c_char, c_int};
use std::ptr;
use support::{Lib, bytes};

const CANARY: u8 = 0xA5;

/// Calls `print` with every size up to a size that suffices, and looks behind the buffer.
fn every_size(whole: &str, mut print: impl FnMut(*mut c_char, usize) -> isize) {
    for size in 1..=whole.len() + 64 {
        let mut buffer = vec![CANARY; size + 256];
        let printed = print(buffer.as_mut_ptr().cast(), size);
        assert!(buffer[size..].iter().all(|byte| *byte == CANARY), "wrote behind {size} bytes");
        if printed >= 0 {
            assert!(printed as usize <= size, "claims {printed} of {size}");
            assert_eq!(&buffer[..printed as usize], whole.as_bytes(), "{size}");
        } else {
            assert!(size < whole.len() + 40, "{size} should suffice for {}", whole.len());
        }
    }
}

/// The header that PJSIP's parser makes of a line.
fn header(lib: &Lib, name: &str, value: &str) -> *mut pjsip_hdr {
    let (name, value) = (lib.copy(name.as_bytes()), lib.copy(value.as_bytes()));
    // SAFETY: both are NUL-terminated and live as long as the pool.
    let header =
        unsafe { pjsip_parse_hdr(lib.pool, &name, value.ptr, value.slen as pj_size_t, ptr::null_mut()) };
    assert!(!header.is_null());
    header.cast()
}

#[test]
fn headers() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let lines = [
        ("Allow", "INVITE, ACK, BYE"),
        ("Content-Type", "application/sdp"),
        ("Content-Type", "multipart/mixed;boundary=b"),
        ("Record-Route", "<sip:proxy.example;lr>"),
    ];
    for (name, value) in lines {
        let header = header(&lib, name, value);
        every_size(&format!("{name}: {value}"), |buffer, size| {
            // SAFETY: the buffer has `size` bytes and more behind.
            unsafe { pjsip_hdr_print_on(header.cast(), buffer, size as pj_size_t) as isize }
        });
    }
    // SAFETY: nothing of the endpoint is used afterwards.
    unsafe { pjsip_endpt_destroy(endpoint) };
}

#[test]
fn event_headers() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    // SAFETY: the headers live in the pool; the vtables are PJSIP's.
    unsafe {
        let event = pjsip_event_hdr_create(lib.pool);
        (*event).event_type = lib.copy(b"refer");
        (*event).id_param = lib.copy(b"4711");
        every_size("Event: refer;id=4711", |buffer, size| {
            pjsip_hdr_print_on(event.cast(), buffer, size as pj_size_t) as isize
        });

        let state = pjsip_sub_state_hdr_create(lib.pool);
        (*state).sub_state = lib.copy(b"active");
        (*state).expires_param = 60;
        (*state).retry_after = 30;
        every_size("Subscription-State: active;expires=60;retry-after=30", |buffer, size| {
            pjsip_hdr_print_on(state.cast(), buffer, size as pj_size_t) as isize
        });

        let replaces = pjsip_replaces_hdr_create(lib.pool);
        (*replaces).call_id = lib.copy(b"c");
        (*replaces).to_tag = lib.copy(b"t");
        (*replaces).from_tag = lib.copy(b"f");
        every_size("Replaces: c;to-tag=t;from-tag=f", |buffer, size| {
            pjsip_hdr_print_on(replaces.cast(), buffer, size as pj_size_t) as isize
        });
        pjsip_endpt_destroy(endpoint);
    }
}

#[test]
fn media_types() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let content_type =
        header(&lib, "Content-Type", "application/sdp;charset=utf-8").cast::<pjsip_ctype_hdr>();
    every_size("application/sdp;charset=utf-8", |buffer, size| {
        // SAFETY: the buffer has `size` bytes and more behind.
        unsafe { pjsip_media_type_print(buffer, size as u32, &(*content_type).media) as isize }
    });
    // SAFETY: nothing of the endpoint is used afterwards.
    unsafe { pjsip_endpt_destroy(endpoint) };
}

#[test]
fn a_hidden_route_prints_nothing_with_and_without_lr() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    for value in ["<sip:h;lr;hide>", "<sip:h;hide>"] {
        let route = header(&lib, "Route", value);
        let mut buffer = [0 as c_char; 100];
        // SAFETY: the buffer has the size that is given.
        let printed = unsafe { pjsip_hdr_print_on(route.cast(), buffer.as_mut_ptr(), 100) };
        assert_eq!(printed, 0, "{value}");
    }
    // SAFETY: nothing of the endpoint is used afterwards.
    unsafe { pjsip_endpt_destroy(endpoint) };
}

#[test]
fn a_received_multipart_body_without_parts_does_not_print() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let content_type = header(&lib, "Content-Type", "multipart/mixed;boundary=b").cast::<pjsip_ctype_hdr>();
    let text = lib.copy(b"--b--\r\n");
    // SAFETY: the text is NUL-terminated and lives as long as the pool.
    unsafe {
        let body =
            pjsip_multipart_parse(lib.pool, text.ptr, text.slen as pj_size_t, &(*content_type).media, 0);
        assert!(!body.is_null());
        let mut buffer = [0 as c_char; 100];
        assert!((*body).print_body.unwrap()(body, buffer.as_mut_ptr(), 100) < 0);
        pjsip_endpt_destroy(endpoint);
    }
}

#[test]
fn multipart_bodies() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let content_type = header(&lib, "Content-Type", "multipart/mixed;boundary=b").cast::<pjsip_ctype_hdr>();
    let text = lib.copy(b"--b\r\nContent-Type: text/plain\r\nX-Long: 0123456789\r\n\r\nhello\r\n--b--\r\n");
    // SAFETY: as above.
    unsafe {
        let body =
            pjsip_multipart_parse(lib.pool, text.ptr, text.slen as pj_size_t, &(*content_type).media, 0);
        assert!(!body.is_null());
        let whole = "\r\n--b\r\nContent-Type: text/plain\r\nX-Long: 0123456789\r\n\r\nhello\r\n--b--\r\n";
        every_size(whole, |buffer, size| {
            (*body).print_body.unwrap()(body, buffer, size as pj_size_t) as isize
        });
        pjsip_endpt_destroy(endpoint);
    }
}

unsafe extern "C" fn claims_too_much(_: *mut pjsip_msg_body, _: *mut c_char, size: pj_size_t) -> c_int {
    size as c_int + 70_004
}

/// A response with one header and a body of `text`.
fn message(lib: &Lib, text: &[u8]) -> *mut pjsip_msg {
    // SAFETY: everything lives in the pool.
    unsafe {
        let message = pjsip_msg_create(lib.pool, PJSIP_RESPONSE_MSG);
        (*message).line.status.code = 200;
        (*message).line.status.reason = lib.copy(b"OK");
        let (kind, subtype, text) = (lib.copy(b"text"), lib.copy(b"plain"), lib.copy(text));
        (*message).body = pjsip_msg_body_create(lib.pool, &kind, &subtype, &text);
        message
    }
}

#[test]
fn a_message_believes_no_printer_that_claims_too_much() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let message = message(&lib, b"x");
    let mut buffer = vec![CANARY; 100_000];
    // SAFETY: the buffer is longer than what is given as its size.
    unsafe {
        (*(*message).body).print_body = Some(claims_too_much);
        assert!(pjsip_msg_print(message, buffer.as_mut_ptr().cast(), 4000) < 0);
        pjsip_endpt_destroy(endpoint);
    }
    assert!(buffer[4000..].iter().all(|byte| *byte == CANARY));
}

#[test]
fn a_message_and_its_nul_stay_inside_the_buffer() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let message = message(&lib, &[b'x'; 300]);
    for size in 256..500 {
        let mut buffer = vec![CANARY; size + 64];
        // SAFETY: the buffer is longer than what is given as its size.
        let printed = unsafe { pjsip_msg_print(message, buffer.as_mut_ptr().cast(), size as pj_size_t) };
        assert!(buffer[size..].iter().all(|byte| *byte == CANARY), "wrote behind {size} bytes");
        assert!(printed < size as pj_ssize_t, "{size}");
    }
    // SAFETY: nothing of the endpoint is used afterwards.
    unsafe { pjsip_endpt_destroy(endpoint) };
}

#[test]
fn a_content_length_is_whole_or_none() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    for (length, fits) in [(99_999, true), (100_000, false)] {
        let message = message(&lib, &vec![b'x'; length]);
        let mut buffer = vec![0_u8; 200_000];
        // SAFETY: the buffer has the size that is given.
        let printed = unsafe { pjsip_msg_print(message, buffer.as_mut_ptr().cast(), 200_000) };
        assert_eq!(printed > 0, fits, "{length}");
        if fits {
            let text = bytes(&pj_str_t { ptr: buffer.as_mut_ptr().cast(), slen: 200 });
            assert!(String::from_utf8_lossy(text).contains("Content-Length: 99999\r\n"));
        }
    }
    // SAFETY: nothing of the endpoint is used afterwards.
    unsafe { pjsip_endpt_destroy(endpoint) };
}
