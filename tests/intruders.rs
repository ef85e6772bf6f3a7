//! An outbound endpoint takes no calls and no orders from strangers.

mod common;

use std::net::{SocketAddr, UdpSocket};

use common::{Phone, Sipp, Story, trunk};

const NUMBER: &str = "+12025550123";

/// A port on our own address; it is free, since nobody else uses the address.
fn listening() -> (SocketAddr, String) {
    let address = UdpSocket::bind((trunk::loopback(1), 0)).and_then(|socket| socket.local_addr()).unwrap();
    (address, format!("local_port = {}", address.port()))
}

#[tokio::test]
async fn nobody_calls_us() {
    let (address, port) = listening();
    let phone = Phone::start(&trunk::plain(SocketAddr::new(trunk::loopback(9), 5060), port)).await;
    Sipp::call("stray-invite", address, &[]).await.finish().await;
    assert_eq!(phone.stats().pjsip_calls, 0);
    phone.shutdown().await;
}

#[tokio::test]
async fn requests_from_outside_every_dialog_are_answered_and_do_nothing() {
    let (address, port) = listening();
    let phone = Phone::start(&trunk::plain(SocketAddr::new(trunk::loopback(9), 5060), port)).await;
    let table = [
        ("OPTIONS", "200"),
        ("REFER", "405"),
        ("MESSAGE", "405"),
        ("SUBSCRIBE", "405"),
        ("NOTIFY", "481"),
        ("BYE", "481"),
    ];
    for (method, status) in table {
        Sipp::call("stray-request", address, &[("method", method), ("expected", status)])
            .await
            .finish()
            .await;
    }
    phone.shutdown().await;
}

#[tokio::test]
async fn nobody_replaces_a_call_or_makes_us_dial() {
    let sipp = Sipp::serve("intruder-in-call").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    let story = Story::of(&call).await;
    story.assert("initiated trying ringing answered ended", "completed by remote: 200 OK");
    let transcript = sipp.finish().await;
    assert_eq!(transcript.requests("INVITE").len(), 1, "a REFER made us dial");
    phone.shutdown().await;
}
