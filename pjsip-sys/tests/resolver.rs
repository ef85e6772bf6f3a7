//! The life of DNS queries: cancelled, timed out, destroyed.

mod support;

use pjsip_sys::*;
use std::ffi::c_void;
use std::net::UdpSocket;
use std::ptr;
use support::Lib;

const PJ_ECANCELLED: pj_status_t = 70014;
const PJ_ETIMEDOUT: pj_status_t = 70009;
const TYPE_A: i32 = 1;

/// A resolver whose name server never answers.
struct Resolver {
    resolver: *mut pj_dns_resolver,
    timers: *mut pj_timer_heap_t,
    queue: *mut pj_ioqueue_t,
    _server: UdpSocket,
}

impl Resolver {
    fn new(lib: &Lib) -> Self {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = lib.copy(b"127.0.0.1");
        let port = server.local_addr().unwrap().port();
        let (mut resolver, mut timers, mut queue) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: all of it lives as long as the pool factory, which is leaked.
        unsafe {
            assert_eq!(pj_timer_heap_create(lib.pool, 64, &mut timers), 0);
            assert_eq!(pj_ioqueue_create(lib.pool, 8, &mut queue), 0);
            let name = c"test".as_ptr();
            assert_eq!(pj_dns_resolver_create(lib.factory(), name, 0, timers, queue, &mut resolver), 0);
            assert_eq!(pj_dns_resolver_set_ns(resolver, 1, &address, &port), 0);
            let mut settings = std::mem::zeroed::<pj_dns_settings>();
            assert_eq!(pj_dns_resolver_get_settings(resolver, &mut settings), 0);
            // Also how long the name server is on probation: three times this.
            settings.qretr_delay = 500;
            settings.qretr_count = 1;
            assert_eq!(pj_dns_resolver_set_settings(resolver, &settings), 0);
        }
        Resolver { resolver, timers, queue, _server: server }
    }

    fn start(&self, lib: &Lib, name: &str, owner: &Owner) -> *mut pj_dns_async_query {
        let mut query = ptr::null_mut();
        // SAFETY: the owner is outlived by the query's callback: each test ends the query first.
        let status = unsafe {
            let name = lib.copy(name.as_bytes());
            let owner = ptr::from_ref(owner).cast_mut().cast();
            pj_dns_resolver_start_query(self.resolver, &name, TYPE_A, 0, Some(tell), owner, &mut query)
        };
        assert_eq!(status, 0);
        query
    }

    /// Until `done`, for two seconds at most.
    fn poll_until(&self, done: impl Fn() -> bool) {
        for _ in 0..200 {
            if done() {
                return;
            }
            let wait = pj_time_val { sec: 0, msec: 10 };
            // SAFETY: timers and queue are used by this thread alone.
            unsafe {
                pj_timer_heap_poll(self.timers, ptr::null_mut());
                pj_ioqueue_poll(self.queue, &wait);
            }
        }
    }
}

/// Who asks, and what it was told.
#[derive(Default)]
struct Owner {
    told: std::cell::RefCell<Vec<pj_status_t>>,
    /// Asked again from the callback.
    asks_again: std::cell::Cell<*mut pj_dns_resolver>,
    asked_again: std::cell::Cell<pj_status_t>,
}

unsafe extern "C" fn tell(owner: *mut c_void, status: pj_status_t, _: *mut pj_dns_parsed_packet) {
    // SAFETY: given to start_query by this test, whose thread this is.
    let owner = unsafe { &*owner.cast::<Owner>() };
    owner.told.borrow_mut().push(status);
    let resolver = owner.asks_again.get();
    if !resolver.is_null() {
        let mut again = *b"again";
        let name = pj_str_t { ptr: again.as_mut_ptr().cast(), slen: 5 };
        // SAFETY: the resolver calls us, so it is there.
        let status = unsafe {
            pj_dns_resolver_start_query(resolver, &name, TYPE_A, 0, None, ptr::null_mut(), ptr::null_mut())
        };
        owner.asked_again.set(status);
    }
}

#[test]
fn a_cancelled_query_is_told_once() {
    let lib = Lib::new();
    let resolver = Resolver::new(&lib);
    let owner = Owner::default();
    let query = resolver.start(&lib, "one.example", &owner);
    // SAFETY: the query is pending, since nothing has polled.
    unsafe {
        assert_eq!(pj_dns_resolver_cancel_query(query, 1), 0);
        assert_eq!(pj_dns_resolver_cancel_query(query, 1), 0);
    }
    // SAFETY: the resolver is not used after this.
    unsafe { pj_dns_resolver_destroy(resolver.resolver, 1) };
    assert_eq!(*owner.told.borrow(), [PJ_ECANCELLED]);
}

#[test]
fn a_cancelled_query_does_not_block_the_next() {
    let lib = Lib::new();
    let resolver = Resolver::new(&lib);
    let (first, second) = (Owner::default(), Owner::default());
    let query = resolver.start(&lib, "two.example", &first);
    // SAFETY: the query is pending, since nothing has polled.
    assert_eq!(unsafe { pj_dns_resolver_cancel_query(query, 0) }, 0);
    resolver.start(&lib, "two.example", &second);
    resolver.poll_until(|| !second.told.borrow().is_empty());
    assert_eq!(*second.told.borrow(), [PJ_ETIMEDOUT]);
    assert!(first.told.borrow().is_empty());
    // SAFETY: the resolver is not used after this.
    unsafe { pj_dns_resolver_destroy(resolver.resolver, 0) };
}

#[test]
fn destroying_cancels_what_is_pending() {
    let lib = Lib::new();
    let resolver = Resolver::new(&lib);
    let owners = [Owner::default(), Owner::default(), Owner::default()];
    for (owner, name) in owners.iter().zip(["a.example", "a.example", "b.example"]) {
        owner.asks_again.set(resolver.resolver);
        resolver.start(&lib, name, owner);
    }
    // SAFETY: the resolver is not used after this, but by the callbacks that this calls.
    unsafe { pj_dns_resolver_destroy(resolver.resolver, 1) };
    for owner in &owners {
        assert_eq!(*owner.told.borrow(), [PJ_ECANCELLED]);
        assert_eq!(owner.asked_again.get(), PJ_ECANCELLED);
    }
    // SAFETY: the heap belongs to the test.
    assert_eq!(unsafe { pj_timer_heap_count(resolver.timers) }, 0);
}
