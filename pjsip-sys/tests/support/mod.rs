//! What the tests of single functions of PJSIP need: an initialised library and a pool.
#![allow(dead_code)]

pub(crate) mod peer;
pub(crate) mod side;

use pjsip_sys::*;
use std::cell::UnsafeCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

thread_local! {
    /// PJLIB keeps a pointer to it as long as the thread lives.
    static DESCRIPTION: UnsafeCell<pj_thread_desc> = const { UnsafeCell::new([0; 64]) };
}

/// PJLIB, a pool factory and a pool for one test. Tests of one process take turns.
///
/// What the test has made of the factory, and left, goes with it.
pub(crate) struct Lib {
    pub(crate) pool: *mut pj_pool_t,
    factory: *mut pj_caching_pool,
    _turn: MutexGuard<'static, ()>,
}

impl Lib {
    pub(crate) fn new() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the factory is on the heap until the drop, zeroed and of the type that the function initialises.
        let (factory, pool) = unsafe {
            let factory = Box::into_raw(Box::new(std::mem::zeroed::<pj_caching_pool>()));
            assert_eq!(pj_init(), 0);
            pj_log_set_level(0);
            if pj_thread_is_registered() == 0 {
                let mut handle = std::ptr::null_mut();
                let description = DESCRIPTION.with(UnsafeCell::get).cast();
                assert_eq!(pj_thread_register(c"test".as_ptr(), description, &mut handle), 0);
            }
            pj_caching_pool_init(factory, pj_pool_factory_get_default_policy(), 0);
            (factory, pjsys_pool_create(factory.cast(), c"test".as_ptr(), 4000, 4000))
        };
        assert!(!pool.is_null());
        Lib { pool, factory, _turn: turn }
    }

    pub(crate) fn factory(&self) -> *mut pj_pool_factory {
        // The factory is the first member, as C's own casts have it.
        self.factory.cast()
    }

    /// A SIP endpoint, which also makes the parser ready.
    pub(crate) fn sip_endpoint(&self) -> *mut pjsip_endpoint {
        let mut endpoint = std::ptr::null_mut();
        // SAFETY: the factory is leaked.
        let status = unsafe { pjsip_endpt_create(self.factory(), c"test".as_ptr(), &mut endpoint) };
        assert_eq!(status, 0);
        endpoint
    }

    pub(crate) fn text(&self, text: &str) -> pj_str_t {
        self.copy(text.as_bytes())
    }

    /// A NUL-terminated copy of `text` in the pool.
    pub(crate) fn copy(&self, text: &[u8]) -> pj_str_t {
        // SAFETY: the pool gives text.len() + 1 zeroed bytes.
        let ptr = unsafe { pjsys_pool_zalloc(self.pool, text.len() + 1) }.cast::<u8>();
        // SAFETY: both are valid for text.len() bytes and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), ptr, text.len()) };
        pj_str_t { ptr: ptr.cast(), slen: text.len() as pj_ssize_t }
    }

    pub(crate) fn sdp(&self, lines: &[&str]) -> *mut pjmedia_sdp_session {
        let text = self.copy((lines.join("\r\n") + "\r\n").as_bytes());
        let mut sdp = std::ptr::null_mut();
        // SAFETY: the text is NUL-terminated and lives as long as the pool.
        let status = unsafe { pjmedia_sdp_parse(self.pool, text.ptr, text.slen as pj_size_t, &mut sdp) };
        assert_eq!(status, 0, "{lines:?}");
        sdp
    }
}

impl Drop for Lib {
    fn drop(&mut self) {
        // SAFETY: made in `new`; the test is over, and with it all that it has made of them.
        unsafe {
            pjsys_pool_release(self.pool);
            pj_caching_pool_destroy(self.factory);
            drop(Box::from_raw(self.factory));
        }
    }
}

/// The bytes of a string of PJLIB.
pub(crate) fn bytes<'a>(string: &pj_str_t) -> &'a [u8] {
    if string.slen <= 0 {
        return &[];
    }
    // SAFETY: the tests only ask for strings that live in the pool of the running test.
    unsafe { std::slice::from_raw_parts(string.ptr.cast(), string.slen as usize) }
}

/// `PJ_ETOOMANY`: bindgen does not see through the macro.
pub(crate) const PJ_ETOOMANY: pj_status_t = 70010;
