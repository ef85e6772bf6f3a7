//! Tags of dialogs.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use support::Lib;

/// `pj_hash_calc` makes 0 of it.
const TAG: &[u8] = b"aib3aib5";

#[test]
fn a_tag_that_hashes_to_zero_is_a_tag() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let mut dialog = Box::new(MaybeUninit::<pjsip_dialog>::zeroed());
    let dialog = dialog.as_mut_ptr();
    // SAFETY: of a dialog, registering reads the role and the local party, which are set.
    unsafe {
        assert_eq!(pj_hash_calc(0, TAG.as_ptr().cast(), TAG.len() as u32), 0);
        assert_eq!(pjsip_tsx_layer_init_module(endpoint), 0);
        assert_eq!(pjsip_ua_init_module(endpoint, std::ptr::null()), 0);
        (*dialog).role = PJSIP_ROLE_UAC;
        (*dialog).local.info = pjsip_from_hdr_create(lib.pool);
        (*(*dialog).local.info).tag = lib.copy(TAG);
        let ua = pjsip_ua_instance();
        assert_eq!(pjsip_ua_register_dlg(ua, dialog), 0);
        assert_eq!(pjsip_ua_get_dlg_set_count(), 1);
        assert_eq!(pjsip_ua_unregister_dlg(ua, dialog), 0);
        assert_eq!(pjsip_ua_get_dlg_set_count(), 0);
        pjsip_endpt_destroy(endpoint);
    }
}
