//! Ends of calls that a dial plan has.

use outdial::call::{CallEvent, EndReason};

use super::common::{Story, within};
use super::pbx::{
    BUSY, CONGESTION, HANGS_UP, NO_SUCH_NUMBER, REJECTED, RINGS, account, one, through_kamailio, to_asterisk,
};

#[tokio::test]
async fn every_end_that_a_dial_plan_has() {
    for way in [to_asterisk("udp"), through_kamailio("udp")] {
        let phone = one(&format!("codecs = [\"pcmu\"]\n{way}\n{}", account("alice"))).await;
        let rows = [
            (BUSY, EndReason::Busy),
            (CONGESTION, EndReason::Unreachable),
            (REJECTED, EndReason::Rejected),
            (NO_SUCH_NUMBER, EndReason::NotFound),
            (HANGS_UP, EndReason::Completed),
        ];
        let mut calls = Vec::new();
        for (number, reason) in rows {
            calls.push((number, reason, phone.dial(number).await));
        }
        let call = phone.dial(RINGS).await;
        let mut events = call.events();
        while within("the ringing", events.next()).await != Some(CallEvent::Ringing) {}
        let end = within("the end", call.hangup()).await;
        assert_eq!((end.reason, end.sip.map(|status| status.code)), (EndReason::Cancelled, Some(487)));
        for (number, reason, call) in calls {
            let story = Story::of(&call).await;
            assert_eq!(story.end.reason, reason, "{number}: {}", story.ending());
        }
        phone.shutdown().await;
    }
}
