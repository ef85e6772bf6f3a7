//! Small promises of PJLIB.

mod support;

use pjsip_sys::*;
use std::ffi::CStr;
use std::ptr;
#[cfg(not(pool_debug))]
use std::sync::atomic::{AtomicUsize, Ordering};
use support::Lib;

#[cfg(not(pool_debug))]
static EXHAUSTED: AtomicUsize = AtomicUsize::new(0);

/// Returns, where PJLIB's own callback would jump over the frames of this test.
#[cfg(not(pool_debug))]
unsafe extern "C" fn exhausted(_pool: *mut pj_pool_t, _size: pj_size_t) {
    EXHAUSTED.fetch_add(1, Ordering::Relaxed);
}

// Where each block is one of malloc, the patched function is not there.
#[cfg(not(pool_debug))]
#[test]
fn calloc_refuses_a_product_that_wraps() {
    let lib = Lib::new();
    // SAFETY: the factory is initialised; what comes from the pool is not used after its release.
    unsafe {
        let pool = pjsys_pool_create_cb(lib.factory(), c"calloc".as_ptr(), 1000, 1000, Some(exhausted));
        assert!(!pjsys_pool_calloc(pool, 10, 10).is_null());
        assert!(!pjsys_pool_calloc(pool, 0, 10).is_null());
        // 2^62 + 1 times 4 is 4.
        assert!(pjsys_pool_calloc(pool, (1 << 62) + 1, 4).is_null());
        assert!(pjsys_pool_calloc(pool, pj_size_t::MAX / 2, 3).is_null());
        assert_eq!(EXHAUSTED.load(Ordering::Relaxed), 2);
        pjsys_pool_release(pool);
    }
}

#[test]
fn erasing_from_an_empty_array_does_nothing() {
    let mut array = [1_u32, 2, 3];
    // SAFETY: three elements of four bytes.
    unsafe {
        pj_array_erase(array.as_mut_ptr().cast(), 4, 0, 0);
        assert_eq!(array, [1, 2, 3]);
        pj_array_erase(array.as_mut_ptr().cast(), 4, 3, 0);
    }
    assert_eq!(array[..2], [2, 3]);
}

/// The name that PJLIB gives this thread when it registers as `name`.
fn registered_as(name: &'static CStr) -> String {
    std::thread::spawn(move || {
        let description = Box::leak(Box::new([0; 64]));
        let mut thread = ptr::null_mut();
        // SAFETY: the description is leaked, so it outlives the thread and stays where it is.
        unsafe {
            assert_eq!(pj_thread_register(name.as_ptr(), description.as_mut_ptr(), &mut thread), 0);
            CStr::from_ptr(pj_thread_get_name(thread)).to_str().unwrap().to_owned()
        }
    })
    .join()
    .unwrap()
}

#[test]
fn a_name_is_not_a_format() {
    let _lib = Lib::new();
    for name in [c"50%", c"%d%d%d%d", c"%p-%p", c"a%%b"] {
        assert_eq!(registered_as(name), name.to_str().unwrap());
    }
    assert_eq!(registered_as(c"plain"), "plain");
    let pointer = registered_as(c"thr%p");
    assert!(pointer.starts_with("thr0x"), "{pointer}");
}
