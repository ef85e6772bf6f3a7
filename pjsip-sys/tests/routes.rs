//! Route sets that peers choose.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use std::ptr;
use support::{Lib, bytes};

/// The request URI's host, and the host that the request is sent to, of an in-dialog request with
/// the route of a peer's Record-Route.
fn routed(route: &str) -> (String, String) {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let mut request = ptr::null_mut();
    let mut target = MaybeUninit::<pjsip_host_info>::zeroed();
    // SAFETY: the factory is leaked, the strings live in the pool, the request until it is released.
    unsafe {
        let (callee, caller) = (lib.text("sip:callee@b.example"), lib.text("sip:caller@a.example"));
        assert_eq!(
            pjsip_endpt_create_request(
                endpoint,
                pjsip_get_ack_method(),
                &callee,
                &caller,
                &callee,
                ptr::null(),
                ptr::null(),
                -1,
                ptr::null(),
                &mut request,
            ),
            0
        );
        let (name, value) = (lib.text("Route"), lib.text(route));
        let header =
            pjsip_parse_hdr((*request).pool, &name, value.ptr, value.slen as pj_size_t, ptr::null_mut());
        pjsys_msg_add_hdr((*request).msg, header.cast());

        assert_eq!(pjsip_process_route_set(request, target.as_mut_ptr()), 0);
        let uri = pjsys_uri_get_uri((*(*request).msg).line.req.uri.cast()).cast::<pjsip_sip_uri>();
        let host = String::from_utf8_lossy(bytes(&(*uri).host)).into_owned();
        let target = String::from_utf8_lossy(bytes(&(*target.as_ptr()).addr.host)).into_owned();
        pjsip_tx_data_dec_ref(request);
        pjsip_endpt_destroy(endpoint);
        (host, target)
    }
}

#[test]
fn a_loose_route_leaves_the_request_uri_alone() {
    assert_eq!(routed("<sip:proxy.example;lr>"), ("b.example".into(), "proxy.example".into()));
}

#[test]
fn a_hidden_route_is_loose() {
    assert_eq!(routed("<sip:proxy.example;hide>"), ("b.example".into(), "proxy.example".into()));
}

#[test]
fn a_strict_route_becomes_the_request_uri() {
    assert_eq!(routed("<sip:proxy.example>"), ("proxy.example".into(), "proxy.example".into()));
}
