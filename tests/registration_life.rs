//! A registration that outlives its registrar: away for a while, started anew, moved; and the connections under it.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Phone, trunk, within};
use outdial::call::EndReason;
use outdial::sip::Registration;
use outdial_sandbox::{Builder, Sandbox, Speech};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const NUMBER: &str = "+12025550116";
/// Retransmissions end after 3.2 s instead of 32.
const QUICK: &str = "register = true\n[endpoint.timers]\nt1 = \"50ms\"\nt2 = \"200ms\"\nt4 = \"250ms\"";

fn registered(state: &Registration) -> bool {
    matches!(state, Registration::Registered { .. })
}

fn lost(state: &Registration) -> bool {
    matches!(state, Registration::Failed { .. })
}

fn sandbox() -> Builder {
    Sandbox::builder().speech(Speech::Melodies)
}

async fn calls(phone: &Phone) {
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    assert_eq!(within("the end", call.hangup()).await.reason, EndReason::Completed);
}

/// Starts at an address that a sandbox just left: its connections may linger for a moment.
async fn again(builder: &Builder) -> Sandbox {
    let started = async {
        loop {
            match builder.clone().start().await {
                Ok(sandbox) => return sandbox,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    within("the start at the same address", started).await
}

#[tokio::test]
async fn a_registrar_that_is_away_for_a_while_is_found_again() {
    let address = SocketAddr::new(trunk::loopback(20), 5060);
    let builder = sandbox().udp(address).tcp(None).tls(None).max_expires(6);
    let first = builder.clone().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&first, QUICK)).await;
    phone.registration(registered).await;
    first.shutdown().await;
    phone.registration(lost).await;
    let second = again(&builder).await;
    phone.registration(registered).await;
    assert_eq!(second.registrations().len(), 1);
    calls(&phone).await;
    phone.shutdown().await;
    second.shutdown().await;
}

/// The first of two REGISTERs that refresh is lost; nobody notices.
#[tokio::test]
async fn a_request_that_is_lost_is_repeated() {
    let sandbox = sandbox().lose_first(3).start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, QUICK)).await;
    phone.registration(registered).await;
    calls(&phone).await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_tls_connection_that_is_lost_is_made_again_with_the_registration() {
    let folder = tempfile::tempdir().unwrap();
    let address = SocketAddr::new(trunk::loopback(21), 5061);
    let builder = sandbox().udp(None).tcp(None).tls(address).directory(folder.path());
    let first = builder.clone().start().await.unwrap();
    let more = format!(
        "ca_file = {:?}\ntls_server_name = \"localhost\"\n{}\n{QUICK}",
        first.ca_path(),
        trunk::account(&first)
    );
    let phone = Phone::start(&trunk::config(address, &more, "")).await;
    phone.registration(registered).await;
    // The connection ends with the sandbox, an hour before the registration would. The next one has another certificate,
    // of another authority, in the same file.
    first.shutdown().await;
    let second = again(&builder).await;
    let known = async {
        while second.registrations().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the registration", known).await;
    calls(&phone).await;
    phone.shutdown().await;
    second.shutdown().await;
}

/// A registrar of few words, over TCP: 200 to everything, and what it read between.
async fn registrar(listener: &TcpListener, pings: usize) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    let mut seen = 0;
    while seen < pings {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "the connection was closed after {seen} keep-alives");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        while let Some(rest) = text.strip_prefix("\r\n\r\n") {
            seen += 1;
            stream.write_all(b"\r\n").await.unwrap();
            text = rest.to_owned();
        }
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default()
            };
            let response = format!(
                "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=r\r\nCall-ID: {}\r\nCSeq: {}\r\n\
                 Contact: {};expires=3600\r\nContent-Length: 0\r\n\r\n",
                header("Via"),
                header("From"),
                header("To"),
                header("Call-ID"),
                header("CSeq"),
                header("Contact"),
            );
            stream.write_all(response.as_bytes()).await.unwrap();
            text = rest.to_owned();
        }
    }
}

/// RFC 5626 section 3.5.1, at the trunk's interval; and a connection that the other side closes is made again.
#[tokio::test]
async fn a_tcp_connection_is_kept_alive_and_made_again() {
    let listener = TcpListener::bind((trunk::loopback(22), 0)).await.unwrap();
    let config = format!(
        "[endpoint]\nbind = \"{}\"\n[trunks.{}]\nserver = \"{}\"\ntransport = \"tcp\"\nkeep_alive = \"1s\"\n\
         register = true\nuser = \"alice\"\n",
        trunk::loopback(1),
        trunk::NAME,
        listener.local_addr().unwrap()
    );
    let phone = Phone::start(&config).await;
    within("two keep-alives", registrar(&listener, 2)).await;
    // The registrar has closed. Another connection comes, and another REGISTER with it.
    within("a keep-alive of the next connection", registrar(&listener, 1)).await;
    phone.registration(registered).await;
    drop(listener);
    phone.shutdown().await;
}

/// A PBX that is starting up refuses whom it does not know yet.
#[tokio::test]
async fn a_registrar_that_refuses_for_a_while_is_asked_again() {
    let address = SocketAddr::new(trunk::loopback(23), 5060);
    let builder = sandbox().udp(address).tcp(None).tls(None).max_expires(6);
    let first = builder.clone().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&first, QUICK)).await;
    phone.registration(registered).await;
    first.shutdown().await;
    let starting = again(&builder.clone().refuse_registrations(404, "Not Found")).await;
    phone.registration(lost).await;
    starting.shutdown().await;
    let second = again(&builder).await;
    phone.registration(registered).await;
    calls(&phone).await;
    phone.shutdown().await;
    second.shutdown().await;
}
