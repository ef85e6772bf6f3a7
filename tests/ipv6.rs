//! Calls over IPv6: signalling and sound, with plain RTP and over TLS with SRTP.

mod common;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use common::{Caller, FarEnd, Phone, Rtp, Story, trunk, within};
use outdial::sip::Registration;
use outdial_sandbox::{Sandbox, Speech};

const LOOPBACK: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const FAR: f64 = 700.0;
const NEAR: f64 = 1_500.0;

fn config(server: &str, more: &str) -> String {
    format!("[endpoint]\nbind = \"::1\"\n\n[trunks.{}]\nserver = \"{server}\"\n{more}\n", trunk::NAME)
}

#[tokio::test]
async fn a_registration_and_a_call_over_udp_with_sound_in_both_directions() {
    let mut far = FarEnd::on(LOOPBACK).await;
    let rtp = Rtp::on(LOOPBACK, FAR, far.address()).await;
    far.media_at(rtp.address());
    let more = "transport = \"udp\"\ncodecs = [\"pcmu\"]\nregister = true\nuser = \"alice\"";
    let phone = Phone::start(&config(&far.address().to_string(), more)).await;
    phone.registration(|state| matches!(state, Registration::Registered { .. })).await;
    let call = phone.dial("+12025550123").await;
    let near = far.called().await;
    assert!(near.is_ipv6(), "{near}");
    rtp.send_to(near);
    within("the answer", call.answered()).await.unwrap();
    let mut caller = Caller::new(&call, NEAR);
    rtp.hears(NEAR).await;
    caller.hears(FAR).await;
    // The far end's sound moves to another port, as it may.
    let moved = Rtp::on(LOOPBACK, FAR, far.address()).await;
    far.media_at(moved.address());
    moved.send_to(far.reinvite().await);
    moved.hears(NEAR).await;
    within("the end", call.hangup()).await;
    Story::of(&call).await.assert("initiated answered ended", "completed by local: 200 OK");
    assert!(far.got("INVITE").await.contact().contains("[::1]"));
    phone.shutdown().await;
}

#[tokio::test]
async fn a_call_over_tls_with_srtp() {
    let any = SocketAddr::new(LOOPBACK, 0);
    let sandbox =
        Sandbox::builder().udp(None).tcp(any).tls(any).speech(Speech::Melodies).start().await.unwrap();
    let secure = format!(
        "tls_server_name = \"localhost\"\nca_file = {:?}\nregister = true\n{}",
        sandbox.ca_path(),
        trunk::account(&sandbox)
    );
    let plain = format!("transport = \"tcp\"\nregister = true\n{}", trunk::account(&sandbox));
    for (server, more, srtp) in [(sandbox.tls(), secure, true), (sandbox.tcp(), plain, false)] {
        let phone = Phone::start(&config(&server.unwrap().to_string(), &more)).await;
        phone.registration(|state| matches!(state, Registration::Registered { .. })).await;
        // It echoes.
        let call = phone.dial("+12025550116").await;
        let answered = within("the answer", call.answered()).await.unwrap();
        assert_eq!(answered.srtp.is_some(), srtp, "{answered:?}");
        let mut caller = Caller::new(&call, NEAR);
        caller.hears(NEAR).await;
        within("the end", call.hangup()).await;
        phone.shutdown().await;
    }
    sandbox.shutdown().await;
}
