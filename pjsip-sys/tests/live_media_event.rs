//! What a call's media tell PJSUA.

mod support;

use pjsip_sys::*;
use support::peer::Phone;

unsafe extern "C" fn on_event(_: pjsua_call_id, _: u32, _: *mut pjmedia_event) {}

#[test]
fn an_event_during_hangup_takes_no_memory() {
    let mut phone = Phone::with(false, |config| config.cb.on_call_media_event = Some(on_event));
    phone.talk();
    // SAFETY: call 0 has one media; the event is copied.
    unsafe {
        let mut event: pjmedia_event = std::mem::zeroed();
        let first = pjsys_media_event_during_hangup(0, &mut event);
        for _ in 0..100 {
            assert_eq!(pjsys_media_event_during_hangup(0, &mut event), first);
        }
    }
}
