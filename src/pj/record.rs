//! C records that a PJSIP function fills.

use std::mem::MaybeUninit;

/// Makes a record in its final place, zeroed, and lets `fill` complete it there. Some of PJSIP's records hold heads of
/// linked lists, which point to themselves: they must not be moved once they are filled.
///
/// # Safety
///
/// Zeros must be a valid value of `T`: numbers, pointers, and arrays and records of them.
pub(super) unsafe fn filled<T>(fill: impl FnOnce(*mut T)) -> Box<T> {
    let mut record = Box::new(MaybeUninit::<T>::zeroed());
    fill(record.as_mut_ptr());
    // SAFETY: the caller vouches that zeros are valid, and `fill` only adds to them; a box of `MaybeUninit` has the
    // layout of a box of its content.
    unsafe { Box::from_raw(Box::into_raw(record).cast::<T>()) }
}
