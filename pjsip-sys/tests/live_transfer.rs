//! A callee that transfers, where the program allows it.

mod support;

use pjsip_sys::*;
use std::ffi::CString;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};
use support::peer::Phone;

static WATCH: AtomicPtr<pjsip_module> = AtomicPtr::new(std::ptr::null_mut());
/// For each transaction of the subscription that ended, whether it still led to the subscription.
static ENDED: Mutex<Vec<bool>> = Mutex::new(Vec::new());

unsafe extern "C" fn allow(
    _: pjsua_call_id,
    _: *const pj_str_t,
    code: *mut pjsip_status_code,
    _: *mut pjsua_call_setting,
) {
    // SAFETY: PJSUA waits for the code.
    unsafe { *code = PJSIP_SC_ACCEPTED };
}

/// Puts the module behind those that the dialog has by now, subscriptions among them.
unsafe extern "C" fn on_transaction(
    _: pjsua_call_id,
    transaction: *mut pjsip_transaction,
    _: *mut pjsip_event,
) {
    // SAFETY: the transaction and its dialog live during the call; the module is leaked.
    unsafe {
        let dialog = pjsip_tsx_get_dlg(transaction);
        if !dialog.is_null() && !pjsip_tsx_get_evsub(transaction).is_null() {
            // Once for each dialog: again is an error that changes nothing.
            pjsip_dlg_add_usage(dialog, WATCH.load(Ordering::SeqCst), std::ptr::null_mut());
        }
    }
}

unsafe extern "C" fn on_end(transaction: *mut pjsip_transaction, _: *mut pjsip_event) {
    // SAFETY: the transaction lives during the call; where the pointer leads is not looked at.
    unsafe {
        if (*transaction).state == PJSIP_TSX_STATE_TERMINATED {
            ENDED.lock().unwrap().push(!pjsip_tsx_get_evsub(transaction).is_null());
        }
    }
}

#[test]
fn the_last_transaction_of_a_subscription_forgets_it() {
    let mut phone = Phone::with(false, |config| {
        config.cb.on_call_transfer_request2 = Some(allow);
        config.cb.on_call_tsx_state = Some(on_transaction);
    });
    // SAFETY: the module is leaked, and with it its name; this thread makes all calls.
    unsafe {
        let module: &mut pjsip_module = Box::leak(Box::new(std::mem::zeroed()));
        let name = CString::new("watch").unwrap().into_raw();
        module.name = pj_str_t { ptr: name, slen: 5 };
        module.id = -1;
        module.priority = PJSIP_MOD_PRIORITY_APPLICATION as i32;
        module.on_tsx_state = Some(on_end);
        assert_eq!(pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), module), 0);
        WATCH.store(module, Ordering::SeqCst);
        // Transactions end soon.
        pjsip_tsx_set_timers(50, 100, 100, 1_000);
    }
    let invite = phone.talk();
    let target = phone.contact().replace("Contact: <sip:callee", "Refer-To: <sip:other");
    phone.request("REFER", &invite, true, &target, "");
    phone.expect("SIP/2.0 202");
    let notify = phone.expect("NOTIFY");
    phone.respond(&notify, "200 OK", "", "");
    let other = phone.expect("INVITE sip:other");
    phone.respond(&other, "486 Busy Here", "", "");
    loop {
        let last = phone.expect("NOTIFY");
        phone.respond(&last, "200 OK", "", "");
        if last.header("Subscription-State").starts_with("terminated") {
            break;
        }
    }
    // The REFER, and at least the first and the last NOTIFY.
    phone.until("three transactions end", || ENDED.lock().unwrap().len() >= 3);
    phone.rest();
    assert_eq!(ENDED.lock().unwrap().last(), Some(&false), "{:?}", ENDED.lock().unwrap());
}
