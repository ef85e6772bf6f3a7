//! Counts in PJSUA's configuration.

use pjsip_sys::*;
use std::mem::MaybeUninit;

const PJ_ETOOMANY: pj_status_t = 70010;

#[test]
fn too_many_proxies_are_refused() {
    let mut config = MaybeUninit::<pjsua_config>::zeroed();
    // SAFETY: one thread, the one that creates PJSUA; the configuration is initialised.
    unsafe {
        assert_eq!(pjsua_create(), 0);
        pj_log_set_level(0);
        pjsua_config_default(config.as_mut_ptr());
        let mut config = config.assume_init();
        let room = config.outbound_proxy.len() as u32;
        config.outbound_proxy_cnt = room + 1;
        assert_eq!(pjsua_init(&config, std::ptr::null(), std::ptr::null()), PJ_ETOOMANY);
        config.outbound_proxy_cnt = 0;
        config.nameserver_count = config.nameserver.len() as u32 + 1;
        assert_eq!(pjsua_init(&config, std::ptr::null(), std::ptr::null()), PJ_ETOOMANY);
        pjsua_destroy();
    }
}
