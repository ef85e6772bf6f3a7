//! A call is set up without a look-up of the host's own name: where no name server answers for it, each call would keep
//! the control thread, and with it all other calls, waiting for five seconds.

#![expect(unsafe_code, reason = "a function of the C library is stood in for")]

mod common;

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Phone, trunk, within};
use outdial_sandbox::{Sandbox, Speech};

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// Stands in for the C library's function: all that is linked into this program, PJSIP among it, calls this one.
// SAFETY: it has the arguments of the function that it stands in for, reads none and fails with EAI_FAIL, as that may.
#[unsafe(no_mangle)]
extern "C" fn getaddrinfo(
    _node: *const c_char,
    _service: *const c_char,
    _hints: *const c_void,
    _found: *mut *mut c_void,
) -> c_int {
    LOOKUPS.fetch_add(1, Ordering::Relaxed);
    -4
}

#[tokio::test]
async fn a_call_asks_nobody_for_the_host_s_own_name() {
    // It stands where it should: the standard library's own look-up comes here.
    assert!(std::net::ToSocketAddrs::to_socket_addrs("host.invalid:1").is_err());
    assert_eq!(LOOKUPS.swap(0, Ordering::Relaxed), 1);

    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    for config in [trunk::sandbox_udp(&sandbox, "register = true"), trunk::sandbox_udp(&sandbox, "")] {
        let phone = Phone::start(&config).await;
        let call = phone.dial("+12025550116").await;
        within("the answer", call.answered()).await.unwrap();
        call.hangup().await;
        phone.shutdown().await;
    }
    assert_eq!(LOOKUPS.load(Ordering::Relaxed), 0, "look-ups by the C library");
    sandbox.shutdown().await;
}
