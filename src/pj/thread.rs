//! PJLIB must know each thread that calls it.

use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr;

use pjsip_sys as sys;

use super::error::{PjError, check};

/// Lets the current thread go before others of the system's, where that is permitted: it has little to do, and a call
/// waits for it. After the media clock, which has the real-time scheduler.
#[doc(alias = "setpriority")]
pub(crate) fn take_precedence() {
    const NICE: libc::c_int = -10;
    // SAFETY: no memory is passed; 0 is the calling thread, of which Linux keeps a nice value of its own. What is
    // refused stays as it was.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

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
