//! PJLIB must know each thread that calls it.

use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr;

use pjsip_sys as sys;

use super::error::{PjError, check};

/// Registers the current thread with PJLIB for as long as it lives.
///
/// The descriptor is where PJLIB keeps the thread's data, found through thread-local storage: it is on the heap, does
/// not move and is kept until the thread's last call. `!Send`, since it belongs to the thread that made it.
pub(super) struct Registration {
    _descriptor: Box<sys::pj_thread_desc>,
    _not_send: PhantomData<*mut ()>,
}

impl Registration {
    /// Registers this thread under `name`.
    #[doc(alias = "pj_thread_register")]
    pub(super) fn new(name: &str) -> Result<Self, PjError> {
        let name = CString::new(name).unwrap_or_default();
        // SAFETY: the descriptor is an array of integers, for which zeros are valid.
        let mut descriptor: Box<sys::pj_thread_desc> = Box::new(unsafe { std::mem::zeroed() });
        let mut thread = ptr::null_mut();
        // SAFETY: PJLIB is initialised while an `Instance` lives, which outlives this thread; the descriptor is
        // zeroed, on the heap and kept by the returned value; the name is copied.
        let status =
            unsafe { sys::pj_thread_register(name.as_ptr(), descriptor.as_mut_ptr(), &raw mut thread) };
        check("pj_thread_register", status)?;
        Ok(Self { _descriptor: descriptor, _not_send: PhantomData })
    }
}
