//! Calls: the basic ones over every transport, with sound.

mod common;

use common::{Client, Rtp, media_address, packet};
use outdial_sandbox::{CallOutcome, Codec, InviteChallenge, Sandbox, Speech, Transport};

#[tokio::test]
async fn echo_over_every_transport() {
    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut client = Client::new(&sandbox, transport).await;
        let rtp = Rtp::new().await;
        let response = client.invite("+12025550100", &rtp.plain_offer()).await;
        assert_eq!(response.status(), 200, "{transport}");
        client.response(180).await;
        let address = media_address(&response.body);
        // Every byte of µ-law, then A-law-coded nonsense, must come back as it is.
        for number in 0..8_u8 {
            let payload: Vec<u8> = (0..160).map(|n| n ^ number.wrapping_mul(31)).collect();
            let sent = packet(0, number.into(), u32::from(number) * 160, &payload);
            rtp.socket.send_to(&sent, address).await.unwrap();
            let echoed = rtp.receive().await;
            let echoed = rtp_types::RtpPacket::parse(&echoed).unwrap();
            assert_eq!((echoed.payload_type(), echoed.payload()), (0, &payload[..]));
        }
        assert_eq!(client.bye().await.status(), 200);
        let record = sandbox.call_ended(&client.call_id).await;
        assert_eq!(record.outcome, Some(CallOutcome::CallerHungUp { reason: None }));
        assert_eq!((record.transport, record.codec, record.srtp), (transport, Some(Codec::Pcmu), None));
        assert_eq!(record.media.received, 8);
        assert_eq!(record.recording.unwrap().samples.len(), 8 * 160);
        assert!(record.answered.is_some() && record.confirmed.is_some());
        assert_eq!(record.faults, [""; 0]);
    }
    assert_eq!(sandbox.active_calls(), 0);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn busy_and_decline() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for (number, status, phrase) in [
        ("+12025550102", 486, "Busy Here"),
        ("12025550104", 603, "Decline"),
        ("0139", 600, "Busy Everywhere"),
    ] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let response = client.invite(number, &Rtp::new().await.plain_offer()).await;
        assert_eq!((response.status(), response.phrase()), (status, phrase));
        let record = sandbox.call_ended(&client.call_id).await;
        assert_eq!(record.outcome, Some(CallOutcome::Refused(status)));
        assert_eq!(record.dialled, number);
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn ringing_is_cancelled_with_487() {
    let sandbox = Sandbox::builder().invite_challenge(InviteChallenge::ProxyAuthenticationRequired).start();
    let sandbox = sandbox.await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let (uri, sdp) = (client.uri("+12025550103"), Rtp::new().await.plain_offer());
    client.send("INVITE", &uri, &[], &sdp).await;
    let challenge = client.response(407).await;
    client.retry(&challenge, "INVITE", &uri, &[], &sdp).await;
    let ringing = client.response(180).await;
    assert!(ringing.to_tag().is_some());
    client.send("CANCEL", &uri, &[("Reason", "SIP;cause=487")], "").await;
    assert_eq!(client.final_response("CANCEL").await.status(), 200);
    let refusal = client.final_response("INVITE").await;
    assert_eq!((refusal.status(), refusal.to_tag()), (487, ringing.to_tag()));
    client.ack_refusal(&refusal, &uri).await;
    let record = sandbox.call_ended(&client.call_id).await;
    assert_eq!(record.outcome, Some(CallOutcome::Cancelled { reason: Some("SIP;cause=487".to_owned()) }));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn numbers_outside_the_table_are_not_found() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for number in ["+12025550200", "sandbox", "911"] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let response = client.invite(number, "").await;
        assert_eq!(response.status(), 404);
        assert!(response.header("Warning").unwrap().contains("--list"));
    }
    assert!(sandbox.calls().is_empty());
    sandbox.shutdown().await;
}
