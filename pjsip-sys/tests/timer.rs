//! The timer heap, seen from a thread that does not own it.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;
use support::Lib;

const PJ_ENOTFOUND: pj_status_t = 70006;

unsafe extern "C" fn never(_heap: *mut pj_timer_heap_t, _entry: *mut pj_timer_entry) {}

/// A heap with a lock, and the lock.
fn heap(lib: &Lib) -> (*mut pj_timer_heap_t, *mut pj_lock_t) {
    let (mut heap, mut lock) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: both live in the pool.
    unsafe {
        assert_eq!(pj_timer_heap_create(lib.pool, 16, &mut heap), 0);
        assert_eq!(pj_lock_create_recursive_mutex(lib.pool, c"timer".as_ptr(), &mut lock), 0);
        pj_timer_heap_set_lock(heap, lock, 0);
    }
    (heap, lock)
}

#[test]
fn an_empty_heap_has_no_earliest_time() {
    let lib = Lib::new();
    let (heap, _) = heap(&lib);
    let mut time = pj_time_val { sec: 0, msec: 0 };
    // SAFETY: the heap is initialised.
    unsafe {
        assert_eq!(pj_timer_heap_count(heap), 0);
        assert_eq!(pj_timer_heap_earliest_time(heap, &mut time), PJ_ENOTFOUND);
    }
}

#[test]
fn the_size_is_read_under_the_lock() {
    struct Heap(*mut pj_timer_heap_t);
    // SAFETY: the heap has a lock, and the functions of PJLIB take it.
    unsafe impl Send for Heap {}

    let lib = Lib::new();
    let (heap, lock) = heap(&lib);
    let mut entry = Box::new(MaybeUninit::<pj_timer_entry>::zeroed());
    let entry = entry.as_mut_ptr();
    let delay = pj_time_val { sec: 60, msec: 0 };
    // SAFETY: the lock is recursive and held by this thread; the entry outlives the heap's use.
    unsafe {
        pj_timer_entry_init(entry, 1, ptr::null_mut(), Some(never));
        pj_lock_acquire(lock);
    }
    let other = Heap(heap);
    let count = std::thread::spawn(move || {
        let other = other;
        let description = Box::leak(Box::new([0; 64]));
        let mut thread = ptr::null_mut();
        // SAFETY: the description is leaked; the heap outlives this thread, which is joined below.
        unsafe {
            assert_eq!(pj_thread_register(c"other".as_ptr(), description.as_mut_ptr(), &mut thread), 0);
            pj_timer_heap_count(other.0)
        }
    });
    // Time for a reader that does not wait to see the heap as it is; one that waits passes anyhow.
    std::thread::sleep(Duration::from_millis(200));
    // SAFETY: as above.
    unsafe {
        assert_eq!(pj_timer_heap_schedule_dbg(heap, entry, &delay, c"timer.rs".as_ptr(), 1), 0);
        pj_lock_release(lock);
    }
    assert_eq!(count.join().unwrap(), 1);
}
