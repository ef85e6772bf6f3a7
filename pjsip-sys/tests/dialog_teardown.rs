//! A dialog is torn down once, whoever asks.

mod support;

use pjsip_sys::*;
use std::ptr;
use support::Lib;

#[test]
fn a_second_teardown_takes_nothing_away() {
    let lib = Lib::new();
    let endpoint = lib.sip_endpoint();
    let mut dialog = ptr::null_mut();
    // SAFETY: the factory is leaked, the strings live in the pool. The test's own reference keeps the
    // dialog until it is dropped.
    unsafe {
        assert_eq!(pjsip_tsx_layer_init_module(endpoint), 0);
        assert_eq!(pjsip_ua_init_module(endpoint, ptr::null()), 0);
        let (callee, caller) = (lib.text("sip:callee@b.example"), lib.text("sip:caller@a.example"));
        let agent = pjsip_ua_instance();
        assert_eq!(pjsip_dlg_create_uac(agent, &caller, ptr::null(), &callee, ptr::null(), &mut dialog), 0);
        let lock = (*dialog).grp_lock_;
        pjsys_grp_lock_add_ref(lock);

        assert_eq!(pjsip_dlg_terminate(dialog), 0);
        assert_eq!(pj_grp_lock_get_ref(lock), 1);
        assert_eq!(pjsip_dlg_terminate(dialog), 0);
        assert_eq!(pj_grp_lock_get_ref(lock), 1);

        // The same by the other path: a thread that was waiting for the lock.
        pjsip_dlg_inc_lock(dialog);
        pjsip_dlg_dec_lock(dialog);
        assert_eq!(pj_grp_lock_get_ref(lock), 1);

        pjsys_grp_lock_dec_ref(lock);
        pjsip_endpt_destroy(endpoint);
    }
}
