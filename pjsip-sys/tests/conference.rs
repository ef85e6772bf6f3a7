//! The bridge, where PJSUA registers every stream.

mod support;

use pjsip_sys::*;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};
use support::Lib;

const PJ_EINVAL: pj_status_t = 70004;

static BRIDGE: AtomicPtr<pjmedia_conf> = AtomicPtr::new(ptr::null_mut());
/// What the bridge says to connecting and removing a port that is being removed.
static ANSWERS: Mutex<Vec<(pj_status_t, pj_status_t)>> = Mutex::new(Vec::new());

unsafe extern "C" fn operation(info: *const pjmedia_conf_op_info) {
    // SAFETY: given by the bridge; a removal has the parameters of one.
    unsafe {
        if (*info).op_type != PJMEDIA_CONF_OP_REMOVE_PORT {
            return;
        }
        let bridge = BRIDGE.load(Ordering::Relaxed);
        let slot = (*info).op_param.remove_port.port;
        let connected = pjmedia_conf_connect_port(bridge, slot, 0, 0);
        let removed = pjmedia_conf_remove_port(bridge, slot);
        ANSWERS.lock().unwrap().push((connected, removed));
    }
}

#[test]
fn a_port_under_removal_is_closed() {
    let lib = Lib::new();
    let (mut bridge, mut port, mut slot) = (ptr::null_mut(), ptr::null_mut(), 0);
    // SAFETY: bridge and port live in the pool; the bridge has no clock and one thread, as ours.
    unsafe {
        let status = pjmedia_conf_create(lib.pool, 4, 8000, 1, 160, 16, PJMEDIA_CONF_NO_DEVICE, &mut bridge);
        assert_eq!(status, 0);
        BRIDGE.store(bridge, Ordering::Relaxed);
        assert_eq!(pjmedia_conf_set_op_cb(bridge, Some(operation)), 0);
        assert_eq!(pjmedia_null_port_create(lib.pool, 8000, 1, 160, 16, &mut port), 0);
        assert_eq!(pjmedia_conf_add_port(bridge, lib.pool, port, ptr::null(), &mut slot), 0);
        assert_eq!(pjmedia_conf_remove_port(bridge, slot), 0);
        assert_eq!(*ANSWERS.lock().unwrap(), [(PJ_EINVAL, PJ_EINVAL)]);
        // The slot is free again.
        assert_eq!(pjmedia_conf_connect_port(bridge, slot, 0, 0), PJ_EINVAL);
        assert_eq!(pjmedia_conf_destroy(bridge), 0);
    }
}
