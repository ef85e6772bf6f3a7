//! The Contacts of a registration are replaced as a whole.

mod support;

use pjsip_sys::*;
use std::ptr;
use support::{Lib, bytes};

unsafe extern "C" fn ignore(_: *mut pjsip_regc_cbparam) {}

/// Tries to replace the Contacts by `replacement`; the status, and the Contacts of the next REGISTER
/// as (host, expires).
fn registered(replacement: &[&str]) -> (pj_status_t, Vec<(String, u32)>) {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let (mut client, mut request) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the factory is leaked, the strings live in the pool, the rest until it is destroyed.
    unsafe {
        assert_eq!(pjsip_regc_create(endpoint, ptr::null_mut(), Some(ignore), &mut client), 0);
        let (registrar, identity) = (lib.text("sip:registrar.example"), lib.text("sip:u@registrar.example"));
        let contact = lib.text("<sip:u@old.example>");
        assert_eq!(pjsip_regc_init(client, &registrar, &identity, &identity, 1, &contact, 300), 0);

        let replacement: Vec<pj_str_t> = replacement.iter().map(|value| lib.text(value)).collect();
        let status = pjsip_regc_update_contact(client, replacement.len() as i32, replacement.as_ptr());

        assert_eq!(pjsip_regc_register(client, 0, &mut request), 0);
        let mut contacts = Vec::new();
        let end = (&raw mut (*(*request).msg).hdr).cast::<pjsip_hdr>();
        let mut header = (*end).next;
        while header != end {
            if (*header).type_ == PJSIP_H_CONTACT {
                let contact = header.cast::<pjsip_contact_hdr>();
                let uri = pjsys_uri_get_uri((*contact).uri.cast()).cast::<pjsip_sip_uri>();
                let host = String::from_utf8_lossy(bytes(&(*uri).host)).into_owned();
                contacts.push((host, (*contact).expires));
            }
            header = (*header).next;
        }
        pjsip_tx_data_dec_ref(request);
        pjsip_regc_destroy(client);
        pjsip_endpt_destroy(endpoint);
        (status, contacts)
    }
}

const NO_EXPIRES: u32 = u32::MAX;

#[test]
fn a_good_contact_replaces_the_old_one() {
    let (status, contacts) = registered(&["<sip:u@new.example>"]);
    assert_eq!(status, 0);
    assert_eq!(contacts, [("new.example".into(), NO_EXPIRES), ("old.example".into(), 0)]);
}

#[test]
fn a_contact_that_does_not_parse_changes_nothing() {
    for bad in ["<sip:u@foo:bar:5060>", "<sip:", "*"] {
        let (status, contacts) = registered(&["<sip:u@new.example>", bad]);
        assert_ne!(status, 0, "{bad}");
        assert_eq!(contacts, [("old.example".into(), NO_EXPIRES)], "{bad}");
    }
}
