//! PJLIB, initialised once, and memory for one input.

use pjsip_sys::*;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, OnceLock};

/// A pointer that lives as long as the process.
pub(crate) struct Global<T>(pub(crate) *mut T);

// SAFETY: whoever runs a target has `TURN`, and its thread is registered with PJLIB.
unsafe impl<T> Send for Global<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Global<T> {}

/// Descriptions of the threads that have run a target. PJLIB keeps pointers to them; held here, they are no leak.
static THREADS: Mutex<Vec<&'static pj_thread_desc>> = Mutex::new(Vec::new());

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// The pools' factory. The thread that asks may use PJLIB from then on.
pub(crate) fn factory() -> *mut pj_pool_factory {
    static FACTORY: OnceLock<Global<pj_caching_pool>> = OnceLock::new();
    let factory = FACTORY.get_or_init(|| {
        let factory = Box::leak(Box::new(MaybeUninit::<pj_caching_pool>::zeroed())).as_mut_ptr();
        // SAFETY: the memory is leaked, zeroed and of the type that the functions initialise; no level, no log.
        unsafe {
            assert_eq!(pj_init(), 0);
            pj_log_set_level(0);
            pj_caching_pool_init(factory, pj_pool_factory_get_default_policy(), 0);
        }
        Global(factory)
    });
    if !REGISTERED.replace(true) {
        let description: &'static mut pj_thread_desc = Box::leak(Box::new([0; 64]));
        // SAFETY: the description is leaked and does not move.
        unsafe {
            if pj_thread_is_registered() == 0 {
                let mut handle = ptr::null_mut();
                assert_eq!(pj_thread_register(c"target".as_ptr(), description.as_mut_ptr(), &mut handle), 0);
            }
        }
        THREADS.lock().expect("nothing panics with it").push(description);
    }
    // The factory is the first member, as C's own casts have it.
    factory.0.cast()
}

/// A pool for one input.
pub(crate) struct Pool(*mut pj_pool_t);

impl Pool {
    pub(crate) fn new() -> Self {
        // SAFETY: the factory is leaked.
        let pool = unsafe { pjsys_pool_create(factory(), c"input".as_ptr(), 4000, 4000) };
        assert!(!pool.is_null());
        Self(pool)
    }

    pub(crate) fn as_ptr(&self) -> *mut pj_pool_t {
        self.0
    }

    /// A copy with a NUL behind it, which some of PJSIP's parsers stop at.
    pub(crate) fn copy(&self, bytes: &[u8]) -> pj_str_t {
        // SAFETY: the pool gives one byte more than is copied, zeroed.
        let ptr = unsafe { pjsys_pool_zalloc(self.0, bytes.len() + 1) }.cast::<u8>();
        // SAFETY: both are valid for that many bytes and do not overlap.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), ptr, bytes.len()) };
        pj_str_t { ptr: ptr.cast(), slen: bytes.len() as pj_ssize_t }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: what was made of it goes out of use with it.
        unsafe { pjsys_pool_release(self.0) };
    }
}
