//! Descriptors that the I/O queue cannot watch.

mod support;

use pjsip_sys::*;
use std::fs::File;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr;
use support::Lib;

#[test]
fn failed_registrations_do_not_use_up_keys() {
    const KEYS: usize = 4;

    let lib = Lib::new();
    let (mut queue, mut lock) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: no callback is set, and none is called: the queue is never polled.
    let callbacks = unsafe { std::mem::zeroed::<pj_ioqueue_callback>() };
    // SAFETY: queue and lock live in the pool; the reference is for this test.
    unsafe {
        assert_eq!(pj_ioqueue_create(lib.pool, KEYS as pj_size_t, &mut queue), 0);
        assert_eq!(pj_grp_lock_create(lib.pool, ptr::null(), &mut lock), 0);
        pjsys_grp_lock_add_ref(lock);
    }
    let register = |descriptor: i32| {
        let mut key = ptr::null_mut();
        // SAFETY: the callbacks are copied; everything lives as long as the pool.
        let status = unsafe {
            pj_ioqueue_register_sock2(
                lib.pool,
                queue,
                descriptor.into(),
                lock,
                ptr::null_mut(),
                &callbacks,
                &mut key,
            )
        };
        (status, key)
    };

    // epoll refuses regular files.
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    for _ in 0..10 * KEYS {
        let (status, key) = register(file.as_raw_fd());
        assert_ne!(status, 0);
        assert!(key.is_null());
        // SAFETY: referenced by this test.
        assert_eq!(unsafe { pj_grp_lock_get_ref(lock) }, 1);
    }
    // All keys are there still, and their locks work.
    for _ in 0..KEYS {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap().into_raw_fd();
        let (status, key) = register(socket);
        assert_eq!(status, 0);
        // SAFETY: just registered; closes the socket.
        assert_eq!(unsafe { pj_ioqueue_unregister(key) }, 0);
        // SAFETY: referenced by this test.
        assert_eq!(unsafe { pj_grp_lock_get_ref(lock) }, 1);
    }
}
