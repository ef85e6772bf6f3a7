//! Dialogs: forks, lost and crossing messages, requests from both sides.

mod common;

use std::time::Duration;

use common::{Client, Rtp, media_address, packet};
use outdial_sandbox::{Behaviour, Builder, CallOutcome, Codec, Event, Sandbox, Speech, Transport};

fn builder() -> Builder {
    Sandbox::builder().without_authentication().speech(Speech::Melodies)
}

fn number(name: &str) -> String {
    Behaviour::named(name).expect("a name of the table").number()
}

#[tokio::test]
async fn forks_ring_with_two_tags_and_the_second_answers() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let answer = client.invite(&number("forked"), &rtp.plain_offer()).await;
    let first = client.response(183).await;
    let second = client.response(183).await;
    assert_ne!(first.to_tag(), second.to_tag());
    assert_eq!(answer.to_tag(), second.to_tag());
    assert!(first.body.contains("m=audio") && second.body.contains("m=audio"));
    assert_eq!(client.bye().await.status(), 200);
    sandbox.shutdown().await;
}

/// Whichever of the two the caller keeps, the call goes on with that one.
#[tokio::test]
async fn two_forks_answer_and_one_is_hung_up() {
    let sandbox = builder().start().await.unwrap();
    for kept in [0, 1] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let rtp = Rtp::new().await;
        let uri = client.uri(&number("answered-twice"));
        client.send("INVITE", &uri, &[], &rtp.plain_offer()).await;
        let answers = [client.response(200).await, client.response(200).await];
        assert_ne!(answers[0].to_tag(), answers[1].to_tag());
        let invite_cseq = client.cseq;
        for answer in &answers {
            client.follow(answer);
            client.cseq = invite_cseq;
            client.send_within("ACK").await;
        }
        client.follow(&answers[1 - kept]);
        assert_eq!(client.bye().await.status(), 200);
        assert_eq!(client.bye().await.status(), 481, "there is nobody any more");
        rtp.socket.send_to(&packet(0, 1, 160, &[9; 160]), media_address(&answers[kept].body)).await.unwrap();
        rtp.receive().await;
        // In this dialog the BYE is the first request after the INVITE.
        client.follow(&answers[kept]);
        client.cseq = invite_cseq;
        assert_eq!(client.bye().await.status(), 200);
        let record = sandbox.call_ended(&client.call_id).await;
        assert_eq!(record.outcome, Some(CallOutcome::CallerHungUp { reason: None }));
        assert_eq!(record.faults, [""; 0]);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_answer_is_repeated_until_its_ack_over_every_transport() {
    let sandbox = builder().t1(Duration::from_millis(20)).start().await.unwrap();
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut client = Client::new(&sandbox, transport).await;
        let uri = client.uri(&number("instant-answer"));
        client.send("INVITE", &uri, &[], &Rtp::new().await.plain_offer()).await;
        for _ in 0..3 {
            client.to_tag = client.response(200).await.to_tag().map(str::to_owned);
        }
        client.send("ACK", &uri, &[], "").await;
        assert_eq!(client.bye().await.status(), 200);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn lost_acks_bring_the_answer_again() {
    let sandbox = builder().t1(Duration::from_millis(20)).start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let uri = client.uri(&number("loses-acks"));
    client.send("INVITE", &uri, &[], &Rtp::new().await.plain_offer()).await;
    let invite_cseq = client.cseq;
    for _ in 0..3 {
        assert!(sandbox.call(&client.call_id).is_none_or(|call| call.confirmed.is_none()));
        client.to_tag = client.response(200).await.to_tag().map(str::to_owned);
        client.cseq = invite_cseq;
        client.send("ACK", &uri, &[], "").await;
    }
    let confirmed = sandbox.wait_until(|sandbox| sandbox.call(&client.call_id)?.confirmed).await;
    assert!(confirmed <= std::time::SystemTime::now());
    assert_eq!(client.bye().await.status(), 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_nobody_acknowledges_ends_with_bye() {
    let sandbox = builder().t1(Duration::from_millis(5)).start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let uri = client.uri(&number("instant-answer"));
    client.send("INVITE", &uri, &[], &Rtp::new().await.plain_offer()).await;
    client.incoming("BYE").await;
    let record = sandbox.call_ended(&client.call_id).await;
    assert_eq!(record.outcome, Some(CallOutcome::NeverAcknowledged));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_cancel_can_cross_the_answer() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let uri = client.uri(&number("cancel-crosses"));
    client.send("INVITE", &uri, &[], &Rtp::new().await.plain_offer()).await;
    client.response(180).await;
    client.send("CANCEL", &uri, &[], "").await;
    assert_eq!(client.final_response("CANCEL").await.status(), 200);
    let answer = client.final_response("INVITE").await;
    assert_eq!(answer.status(), 200);
    assert!(answer.body.contains("m=audio"));
    client.to_tag = answer.to_tag().map(str::to_owned);
    client.send("ACK", &uri, &[], "").await;
    assert_eq!(client.bye().await.status(), 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_bye_can_go_unanswered() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.invite(&number("deaf-to-bye"), &Rtp::new().await.plain_offer()).await;
    let uri = client.uri("sandbox");
    client.send("BYE", &uri, &[("Reason", "Q.850;cause=16")], "").await;
    let record = sandbox.call_ended(&client.call_id).await;
    assert_eq!(record.outcome, Some(CallOutcome::CallerHungUp { reason: Some("Q.850;cause=16".to_owned()) }));
    client.send("OPTIONS", "sip:sandbox", &[], "").await;
    let next = client
        .receive_where(|received| received.header("CSeq").is_some_and(|cseq| !cseq.ends_with("INVITE")));
    assert!(next.await.header("CSeq").unwrap().ends_with("OPTIONS"));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_callee_hangs_up_with_a_cause() {
    let sandbox = builder().start().await.unwrap();
    for (name, reason) in [
        ("hangs-up", Some("Q.850;cause=16;text=\"Normal call clearing\"")),
        ("hangs-up-31", Some("Q.850;cause=31;text=\"Normal, unspecified\"")),
        ("hangs-up-at-once", Some("Q.850;cause=16")),
        ("network-failure", Some("Q.850;cause=41;text=\"Temporary failure\"")),
        ("says-goodbye", None),
    ] {
        let mut client = Client::new(&sandbox, Transport::Tcp).await;
        client.invite(&number(name), &Rtp::new().await.plain_offer()).await;
        let bye = client.incoming("BYE").await;
        assert_eq!(bye.header("Reason"), reason, "{name}");
        assert_eq!(bye.header("Call-ID"), Some(client.call_id.as_str()));
        client.answer(&bye, 200, "").await;
        let record = sandbox.call_ended(&client.call_id).await;
        assert_eq!(
            (record.outcome, record.replies),
            (Some(CallOutcome::CalleeHungUp), vec![("BYE", 200)]),
            "{name}"
        );
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn provisional_responses_come_in_the_order_of_the_table() {
    let sandbox = builder().start().await.unwrap();
    for (name, expected) in [
        ("progress-without-sdp", &[100, 183, 180, 200][..]),
        ("forwarded", &[100, 181, 182, 180, 200]),
        ("rings-both-ways", &[100, 180, 183, 200]),
        ("instant-answer", &[100, 200]),
    ] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let uri = client.uri(&number(name));
        client.send("INVITE", &uri, &[], &Rtp::new().await.plain_offer()).await;
        let mut got = Vec::new();
        while got.last() != Some(&200) {
            got.push(client.receive().await.status());
        }
        assert_eq!(got, expected, "{name}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn ringing_can_be_reliable() {
    let sandbox = builder().t1(Duration::from_millis(20)).start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let uri = client.uri(&number("reliable-ringing"));
    client.send("INVITE", &uri, &[("Supported", "timer, 100rel")], &Rtp::new().await.plain_offer()).await;
    let ringing = client.response(180).await;
    let repeated = client.response(180).await;
    assert_eq!(
        (ringing.header("Require"), ringing.header("RSeq")),
        (Some("100rel"), repeated.header("RSeq"))
    );
    client.to_tag = ringing.to_tag().map(str::to_owned);
    let invite_cseq = client.cseq;
    client.send("PRACK", &uri, &[("RAck", "77 1 INVITE")], "").await;
    assert_eq!(client.final_response("PRACK").await.status(), 481);
    let rack = format!("{} {invite_cseq} INVITE", ringing.header("RSeq").unwrap());
    client.send("PRACK", &uri, &[("RAck", &rack)], "").await;
    assert_eq!(client.final_response("PRACK").await.status(), 200);
    let answer = client.receive_where(|r| r.status() == 200 && r.header("CSeq").unwrap().ends_with("INVITE"));
    answer.await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_callee_holds_and_resumes() {
    let sandbox = builder().start().await.unwrap();
    for (name, held) in [("hold", "a=sendonly"), ("old-style-hold", "c=IN IP4 0.0.0.0")] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let rtp = Rtp::new().await;
        client.invite(&number(name), &rtp.plain_offer()).await;
        let hold = client.incoming("INVITE").await;
        assert!(hold.body.contains(held), "{name}: {}", hold.body);
        client.answer(&hold, 200, &rtp.offer("RTP/AVP", "a=recvonly\r\n")).await;
        assert_eq!(
            client.incoming("ACK").await.header("CSeq").unwrap().split(' ').next(),
            hold.header("CSeq").unwrap().split(' ').next()
        );
        let resume = client.incoming("INVITE").await;
        assert!(resume.body.contains("a=sendrecv") && !resume.body.contains("0.0.0.0"), "{}", resume.body);
        client.answer(&resume, 200, &rtp.plain_offer()).await;
        client.incoming("ACK").await;
        assert_eq!(client.bye().await.status(), 200);
        let record = sandbox.call_ended(&client.call_id).await;
        assert_eq!(record.replies, [("INVITE", 200), ("INVITE", 200)], "{name}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_callee_changes_the_codec() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    client.invite(&number("codec-change"), &rtp.plain_offer()).await;
    let reinvite = client.incoming("INVITE").await;
    assert!(reinvite.body.contains("RTP/AVP 8 "), "{}", reinvite.body);
    let answer = rtp.plain_offer().replace("RTP/AVP 0 8", "RTP/AVP 8");
    client.answer(&reinvite, 200, &answer).await;
    client.incoming("ACK").await;
    let address = media_address(&reinvite.body);
    rtp.socket.send_to(&packet(8, 1, 160, &[0x55; 160]), address).await.unwrap();
    assert_eq!(rtp_types::RtpPacket::parse(&rtp.receive().await).unwrap().payload_type(), 8);
    assert_eq!(client.bye().await.status(), 200);
    assert_eq!(sandbox.call_ended(&client.call_id).await.codec, Some(Codec::Pcma));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_refused_reinvite_changes_nothing() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let answer = client.invite(&number("adds-video"), &rtp.plain_offer()).await;
    let reinvite = client.incoming("INVITE").await;
    assert!(reinvite.body.contains("m=video 6000"), "{}", reinvite.body);
    client.answer(&reinvite, 488, "").await;
    client.incoming("ACK").await;
    rtp.socket.send_to(&packet(0, 1, 160, &[1; 160]), media_address(&answer.body)).await.unwrap();
    rtp.receive().await;
    assert_eq!(client.bye().await.status(), 200);
    assert_eq!(sandbox.call_ended(&client.call_id).await.replies, [("INVITE", 488)]);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_late_offer_comes_from_the_caller() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    client.invite(&number("late-offer"), &rtp.plain_offer()).await;
    let reinvite = client.incoming("INVITE").await;
    assert!(reinvite.body.is_empty());
    client.answer(&reinvite, 200, &rtp.plain_offer()).await;
    let ack = client.incoming("ACK").await;
    assert!(ack.body.contains("m=audio"), "{}", ack.body);
    assert_eq!(client.bye().await.status(), 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_invite_without_an_offer_gets_one() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    let uri = client.uri(&number("instant-answer"));
    client.send("INVITE", &uri, &[], "").await;
    let answer = client.response(200).await;
    assert!(answer.body.contains("PCMU/8000"), "{}", answer.body);
    client.to_tag = answer.to_tag().map(str::to_owned);
    client.send("ACK", &uri, &[], &rtp.plain_offer()).await;
    sandbox.wait_until(|sandbox| sandbox.call(&client.call_id)?.confirmed).await;
    rtp.socket.send_to(&packet(0, 1, 160, &[7; 160]), media_address(&answer.body)).await.unwrap();
    assert_eq!(rtp_types::RtpPacket::parse(&rtp.receive().await).unwrap().payload(), [7; 160]);
    assert_eq!(client.bye().await.status(), 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_caller_holds_updates_and_asks_for_options() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let rtp = Rtp::new().await;
    client.invite(&number("instant-answer"), &rtp.plain_offer()).await;
    let uri = client.uri("sandbox");
    client.send("INVITE", &uri, &[], &rtp.offer("RTP/AVP", "a=sendonly\r\n")).await;
    let held = client.final_response("INVITE").await;
    assert!(held.body.contains("a=recvonly"), "{}", held.body);
    client.send("ACK", &uri, &[], "").await;
    client.send("UPDATE", &uri, &[], &rtp.plain_offer()).await;
    let resumed = client.final_response("UPDATE").await;
    assert!(resumed.body.contains("a=sendrecv"), "{}", resumed.body);
    client.send("OPTIONS", &uri, &[], "").await;
    assert_eq!(client.final_response("OPTIONS").await.status(), 200);
    client
        .send("INFO", &uri, &[("Content-Type", "application/dtmf-relay")], "Signal=#\r\nDuration=100\r\n")
        .await;
    assert_eq!(client.final_response("INFO").await.status(), 200);
    client.send("INVITE", &uri, &[], "not sdp").await;
    let refused = client.final_response("INVITE").await;
    assert_eq!(refused.status(), 400);
    client.ack_refusal(&refused, &uri).await;
    let out_of_order =
        client.request("INFO", &uri, &[], "").replace(&format!("CSeq: {} ", client.cseq), "CSeq: 1 ");
    client.send_raw(out_of_order.as_bytes()).await;
    assert_eq!(client.response(500).await.header("CSeq"), Some("1 INFO"));
    assert_eq!(client.bye().await.status(), 200);
    assert_eq!(sandbox.call_ended(&client.call_id).await.digits, "#");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_callee_sends_requests_of_its_own() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.invite(&number("refers-to-premium"), &Rtp::new().await.plain_offer()).await;
    let refer = client.incoming("REFER").await;
    assert!(refer.header("Refer-To").unwrap().contains("+19005550199"));
    client.answer(&refer, 603, "").await;
    sandbox
        .wait_until(|sandbox| (sandbox.call(&client.call_id)?.replies == [("REFER", 603)]).then_some(()))
        .await;
    assert_eq!(client.bye().await.status(), 200);

    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.invite(&number("refreshes"), &Rtp::new().await.plain_offer()).await;
    let update = client.incoming("UPDATE").await;
    client.answer(&update, 200, "").await;
    assert_eq!(client.bye().await.status(), 200);

    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.invite(&number("digits-by-info"), &Rtp::new().await.plain_offer()).await;
    for key in ["1", "2", "3", "4", "#"] {
        let info = client.incoming("INFO").await;
        assert_eq!(info.body.lines().next(), Some(format!("Signal={key}").as_str()));
        client.answer(&info, 200, "").await;
    }
    assert_eq!(client.bye().await.status(), 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn transfers_succeed_fail_and_are_refused() {
    let sandbox = builder().start().await.unwrap();
    for (name, status, result) in [
        ("instant-answer", 202, Some("SIP/2.0 200 OK")),
        ("transfer-busy", 202, Some("SIP/2.0 486 Busy Here")),
        ("transfer-refused", 603, None),
    ] {
        let mut client = Client::new(&sandbox, Transport::Tcp).await;
        client.invite(&number(name), &Rtp::new().await.plain_offer()).await;
        let uri = client.uri("sandbox");
        client.send("REFER", &uri, &[("Refer-To", "<sip:+12025550100@127.0.0.1>")], "").await;
        assert_eq!(client.final_response("REFER").await.status(), status);
        if let Some(result) = result {
            let trying = client.incoming("NOTIFY").await;
            assert!(trying.body.starts_with("SIP/2.0 100"), "{}", trying.body);
            client.answer(&trying, 200, "").await;
            let last = client.incoming("NOTIFY").await;
            assert_eq!(last.body.trim(), result);
            assert!(last.header("Subscription-State").unwrap().starts_with("terminated"));
            client.answer(&last, 200, "").await;
        }
        assert_eq!(client.bye().await.status(), 200);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn odd_answers() {
    let sandbox = builder().start().await.unwrap();
    for (name, check) in [
        ("no-sdp", (|body| body.is_empty()) as fn(&str) -> bool),
        ("malformed-sdp", |body| !body.is_empty() && !body.contains("m=audio")),
        ("port-zero", |body| body.contains("m=audio 0 RTP/AVP")),
        ("receive-only", |body| body.contains("a=recvonly")),
    ] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let answer = client.invite(&number(name), &Rtp::new().await.plain_offer()).await;
        assert_eq!(answer.status(), 200, "{name}");
        assert!(check(&answer.body), "{name}: {}", answer.body);
        assert_eq!(client.bye().await.status(), 200, "{name}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn only_one_codec_is_acceptable() {
    let sandbox = builder().start().await.unwrap();
    for (name, rtpmap, payload_type) in [("g722-only", "G722/8000", 9), ("opus-only", "opus/48000/2", 96)] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        assert_eq!(
            client.invite(&number(name), &Rtp::new().await.plain_offer()).await.status(),
            488,
            "{name}"
        );
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let rtp = Rtp::new().await;
        let offer = rtp
            .offer("RTP/AVP", &format!("a=rtpmap:{payload_type} {rtpmap}\r\n"))
            .replace(" 0 8 101", &format!(" 0 8 {payload_type} 101"));
        let answer = client.invite(&number(name), &offer).await;
        assert!(answer.body.contains(rtpmap), "{}", answer.body);
        let payload: Vec<u8> = (0..50).collect();
        let sent = packet(payload_type, 1, 960, &payload);
        rtp.socket.send_to(&sent, media_address(&answer.body)).await.unwrap();
        assert_eq!(rtp_types::RtpPacket::parse(&rtp.receive().await).unwrap().payload(), payload);
        assert_eq!(client.bye().await.status(), 200);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_bye_before_the_answer_ends_the_call_too() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let uri = client.uri(&number("rings-forever"));
    client.send("INVITE", &uri, &[], "").await;
    client.to_tag = client.response(180).await.to_tag().map(str::to_owned);
    assert_eq!(client.bye().await.status(), 200);
    client.response(487).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_long_call_reaches_the_limit() {
    let sandbox = builder().max_call(Duration::from_millis(200)).start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.invite(&number("instant-answer"), &Rtp::new().await.plain_offer()).await;
    client.incoming("BYE").await;
    assert_eq!(sandbox.call_ended(&client.call_id).await.outcome, Some(CallOutcome::TimedOut));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn events_tell_a_call_in_order() {
    let sandbox = builder().start().await.unwrap();
    let mut events = sandbox.events();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.invite(&number("echo"), &Rtp::new().await.plain_offer()).await;
    client.bye().await;
    let mut told = Vec::new();
    while told.last() != Some(&"ended") {
        told.push(match events.next().await {
            Some(Event::CallStarted(_)) => "started",
            Some(Event::CallRinging { .. }) => "ringing",
            Some(Event::CallAnswered(call)) => {
                assert_eq!(call.codec, Some(Codec::Pcmu));
                "answered"
            }
            Some(Event::CallConfirmed { .. }) => "confirmed",
            Some(Event::CallEnded(_)) => "ended",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(told, ["started", "ringing", "answered", "confirmed", "ended"]);
    sandbox.shutdown().await;
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_caller_that_follows_contact_and_route_set_is_without_fault() {
    let sandbox = builder().behind_proxy().start().await.unwrap();
    for transport in [Transport::Udp, Transport::Tls] {
        let mut client = Client::new(&sandbox, transport).await;
        let answer = client.invite(&number("instant-answer"), &Rtp::new().await.plain_offer()).await;
        assert!(answer.header("Contact").unwrap().contains("198.51.100.1"));
        assert_eq!(client.bye().await.status(), 200);
        assert_eq!(sandbox.call_ended(&client.call_id).await.faults, [""; 0]);
    }
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let uri = client.uri(&number("instant-answer"));
    client.send("INVITE", &uri, &[], &Rtp::new().await.plain_offer()).await;
    client.to_tag = client.response(200).await.to_tag().map(str::to_owned);
    client.cseq += 1;
    client.send("ACK", &uri, &[], "").await;
    client.bye().await;
    let faults = sandbox.call_ended(&client.call_id).await.faults;
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(faults[0].starts_with("ACK to sip:+12025550116@"), "{faults:?}");
    assert!(faults[1].starts_with("ACK without the Route"), "{faults:?}");
    assert_eq!(faults[2], "ACK with CSeq 2 for an INVITE with 1");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_session_interval_that_is_too_small_is_refused_and_the_retry_is_a_new_call() {
    let sandbox = builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let (number, sdp) = (number("session-interval"), Rtp::new().await.plain_offer());
    let refusal = client.invite_with(&number, &[("Session-Expires", "90;refresher=uac")], &sdp).await;
    assert_eq!((refusal.status(), refusal.header("Min-SE")), (422, Some("600")));
    client.to_tag = None;
    let answer = client.invite_with(&number, &[("Session-Expires", "600"), ("Min-SE", "600")], &sdp).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(client.bye().await.status(), 200);
    assert_eq!(sandbox.calls().iter().filter(|call| call.call_id == client.call_id).count(), 2);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn calls_over_ipv6() {
    let any = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    let sandbox = builder().udp(any).tcp(any).tls(any).start().await.unwrap();
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut client = Client::new(&sandbox, transport).await;
        let rtp = Rtp::bind("[::1]:0").await;
        let offer = rtp.plain_offer().replace("IN IP4 127.0.0.1", "IN IP6 ::1");
        let answer = client.invite(&number("instant-answer"), &offer).await;
        assert!(answer.body.contains("c=IN IP6 ::1\r\n"), "{}", answer.body);
        let address = std::net::SocketAddr::new(any.ip(), media_address(&answer.body).port());
        rtp.socket.send_to(&packet(0, 1, 160, &[3; 160]), address).await.unwrap();
        assert_eq!(rtp_types::RtpPacket::parse(&rtp.receive().await).unwrap().payload(), [3; 160]);
        assert_eq!(client.bye().await.status(), 200);
        assert_eq!(sandbox.call_ended(&client.call_id).await.faults, [""; 0]);
    }
    sandbox.shutdown().await;
}
