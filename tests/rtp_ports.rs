//! Calls find RTP ports that are free, whoever has the others.

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use common::phone::Phone;
use common::{trunk, within};
use outdial::{DialError, DialProvider as _};
use outdial_sandbox::Sandbox;

/// The callee answers.
const NUMBER: &str = "+12025550101";
/// Pairs, from 20,000 on.
const PAIRS: u16 = 400;
const LAST: u16 = 20_000 + 2 * (PAIRS - 1);

/// A socket of somebody else on the first port of each pair but the last, and on that one too if `all`.
fn others(all: bool) -> Vec<UdpSocket> {
    let pairs = if all { PAIRS } else { PAIRS - 1 };
    (0..pairs).map(|pair| UdpSocket::bind((trunk::loopback(1), 20_000 + 2 * pair)).unwrap()).collect()
}

/// Trunks that differ in name only, each with its own way through the range.
async fn phone(sandbox: &Sandbox, trunks: u16) -> Phone {
    let server = sandbox.udp().unwrap();
    let mut config = format!(
        "[endpoint]\nbind = \"{}\"\nmax_calls = 64\nrtp_ports = \"20000-{}\"\n",
        trunk::loopback(1),
        LAST + 1
    );
    for number in 0..trunks {
        let account = trunk::account(sandbox);
        config += &format!(
            "[trunks.trunk-{number}]\nserver = \"{server}\"\ntransport = \"udp\"\nsrtp = \"off\"\n{account}\n"
        );
    }
    Phone::start(&config).await
}

fn request(trunk: u16) -> outdial::DialRequest {
    let mut request = common::phone::request(NUMBER);
    request.trunk = Some(format!("trunk-{trunk}"));
    request
}

#[tokio::test]
async fn the_last_free_pair_is_found() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let _others = others(false);
    let phone = phone(&sandbox, 6).await;
    for trunk in 0..6 {
        let call = phone.dial_with(request(trunk)).await;
        within("the answer", call.answered()).await.unwrap();
        within("the end", call.hangup()).await;
        phone.idle().await;
        let free = async {
            while UdpSocket::bind((trunk::loopback(1), LAST)).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("the end of the call's sockets", free).await;
    }
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn without_a_free_pair_there_is_no_call_and_the_reason_is_told() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let _others = others(true);
    let phone = phone(&sandbox, 1).await;
    match within("the dial", phone.endpoint().dial_with(request(0))).await {
        Err(DialError::Media { detail }) => assert!(detail.contains("RTP ports"), "{detail}"),
        other => panic!("{other:?}"),
    }
    phone.idle().await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}
