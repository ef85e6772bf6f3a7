//! Hostile and silly input, and nothing left behind.

mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use common::{Client, Rtp, media_address};
use outdial_sandbox::{CallOutcome, Sandbox, StartError, Transport};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// Spoils a message: bytes changed, cut out, doubled, or the whole cut off.
fn mutate(rng: &mut StdRng, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..rng.random_range(1..6) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        let length = rng.random_range(0..20.min(bytes.len() - at + 1));
        match rng.random_range(0..6) {
            0 => bytes[at] = rng.random(),
            1 => drop(bytes.drain(at..at + length.min(bytes.len() - at))),
            2 => {
                let piece = bytes[at..at + length.min(bytes.len() - at)].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => bytes.truncate(at),
            4 => drop(bytes.splice(at..at, "\r\n".bytes())),
            _ => drop(bytes.splice(at..at, "\"<>;,:=%é\0".bytes())),
        }
    }
    bytes
}

async fn is_alive(sandbox: &Sandbox) {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut client = Client::new(sandbox, transport).await;
        client.send("OPTIONS", "sip:sandbox", &[], "").await;
        assert_eq!(client.final_response("OPTIONS").await.status(), 200, "{transport}");
    }
}

#[tokio::test]
async fn spoilt_messages_over_udp_and_tcp() {
    let sandbox =
        Sandbox::builder().without_authentication().t1(Duration::from_millis(10)).start().await.unwrap();
    let mut rng = StdRng::seed_from_u64(20_260_801);
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    let (uri, sdp) = (client.uri("+12025550100"), Rtp::new().await.plain_offer());
    let crypto =
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\r\n";
    let credentials =
        ("Authorization", "Digest username=\"sandbox\", realm=\"sandbox\", nonce=\"a\", nc=00000001");
    let seeds = [
        client.request("INVITE", &uri, &[credentials, ("Supported", "100rel")], &format!("{sdp}{crypto}")),
        client.request("REGISTER", "sip:sandbox", &[credentials, ("Expires", "60")], ""),
        client.request("OPTIONS", &uri, &[("Route", "<sip:a;lr>, \"x\" <sip:b>"), ("Require", "x")], ""),
        client.request("BYE", &uri, &[("Reason", "Q.850;cause=16")], ""),
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nCSeq: 1 BYE\r\n\r\n".to_owned(),
    ];
    let noise = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for round in 0..4000 {
        let bytes = mutate(&mut rng, seeds[round % seeds.len()].as_bytes());
        let _ = noise.send_to(&bytes, sandbox.udp().unwrap()).await;
        if round % 64 == 0 {
            // Lets the receiver keep up, or the kernel would throw the rest away.
            tokio::task::yield_now().await;
        }
    }
    for round in 0..200 {
        let mut stream = TcpStream::connect(sandbox.tcp().unwrap()).await.unwrap();
        let bytes = mutate(&mut rng, seeds[round % seeds.len()].as_bytes());
        let _ = stream.write_all(&bytes).await;
    }
    is_alive(&sandbox).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn noise_on_the_media_port() {
    let sandbox = Sandbox::builder().without_authentication().start().await.unwrap();
    let mut rng = StdRng::seed_from_u64(7);
    let rtp = Rtp::new().await;
    let crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
    for offer in [rtp.plain_offer(), rtp.offer("RTP/SAVP", crypto)] {
        let mut client = Client::new(&sandbox, Transport::Udp).await;
        let answer = client.invite("+12025550116", &offer).await;
        let address = media_address(&answer.body);
        let control = SocketAddr::new(address.ip(), address.port() + 1);
        let seed = common::packet(101, 1, 2, &[1, 2, 3, 4]);
        let report =
            [0x81, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for _ in 0..1000 {
            let _ = rtp.socket.send_to(&mutate(&mut rng, &seed), address).await;
            let _ = rtp.socket.send_to(&mutate(&mut rng, &report), control).await;
        }
        assert_eq!(client.bye().await.status(), 200);
        let record = sandbox.call_ended(&client.call_id).await;
        assert!(matches!(record.outcome, Some(CallOutcome::CallerHungUp { .. })));
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn streams_in_pieces_keep_alives_and_floods() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Tcp).await;
    let text = client.request("OPTIONS", "sip:sandbox", &[], "");
    for byte in text.as_bytes() {
        client.send_raw(&[*byte]).await;
    }
    assert_eq!(client.final_response("OPTIONS").await.status(), 200);

    let mut stream = TcpStream::connect(sandbox.tcp().unwrap()).await.unwrap();
    stream.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\r\n");

    // Neither an endless head nor an endless body is waited for.
    for text in ["x".repeat(100_000), "OPTIONS sip:a SIP/2.0\r\nContent-Length: 999999999\r\n\r\n".to_owned()]
    {
        let mut stream = TcpStream::connect(sandbox.tcp().unwrap()).await.unwrap();
        let _ = stream.write_all(text.as_bytes()).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }
    is_alive(&sandbox).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn requests_outside_any_dialog() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut client = Client::new(&sandbox, Transport::Udp).await;
    client.to_tag = Some("made-up".to_owned());
    for method in ["BYE", "INFO", "UPDATE", "PRACK", "REFER", "INVITE", "CANCEL"] {
        client.send(method, "sip:sandbox", &[], "").await;
        assert_eq!(client.final_response(method).await.status(), 481, "{method}");
    }
    client.to_tag = None;
    let text = client.request("OPTIONS", "sip:sandbox", &[], "").replace("Call-ID: ", "X-Call-ID: ");
    client.send_raw(text.as_bytes()).await;
    let refusal = client.receive().await;
    assert_eq!((refusal.status(), refusal.phrase()), (400, "Bad Request: Call-ID"));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn shutdown_hangs_up_and_leaves_nothing() {
    let open = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    // The runtime opens descriptors of its own with the first socket.
    Sandbox::builder().start().await.unwrap().shutdown().await;
    let before = open();
    for round in 0..20 {
        let sandbox = Sandbox::builder().without_authentication().start().await.unwrap();
        let addresses = (sandbox.udp().unwrap(), sandbox.tcp().unwrap(), sandbox.tls().unwrap());
        let certificates: PathBuf = sandbox.ca_path().parent().unwrap().to_owned();
        let mut events = sandbox.events();
        let mut client =
            Client::new(&sandbox, if round % 2 == 0 { Transport::Udp } else { Transport::Tls }).await;
        let rtp = Rtp::new().await;
        client.invite("+12025550116", &rtp.plain_offer()).await;
        let mut ringing = Client::new(&sandbox, Transport::Udp).await;
        let uri = ringing.uri("+12025550103");
        ringing.send("INVITE", &uri, &[], "").await;
        ringing.response(180).await;
        sandbox.shutdown().await;
        client.incoming("BYE").await;
        assert_eq!(ringing.final_response("INVITE").await.status(), 480);
        while events.next().await.is_some() {}
        assert!(!certificates.exists());
        drop((client, rtp, ringing));
        UdpSocket::bind(addresses.0).await.unwrap();
        assert!(TcpStream::connect(addresses.1).await.is_err());
        assert!(TcpStream::connect(addresses.2).await.is_err());
    }
    assert_eq!(open(), before);
}

#[tokio::test]
async fn a_taken_address_is_one_clear_error() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let taken = sandbox.tcp().unwrap();
    match Sandbox::builder().tcp(taken).start().await {
        Err(StartError::Bind { address, transport, .. }) => {
            assert_eq!((address, transport), (taken, Transport::Tcp))
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn many_calls_at_once() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let call = |index: usize| {
        let sandbox = &sandbox;
        async move {
            let mut client = Client::new(sandbox, Transport::Udp).await;
            let rtp = Rtp::new().await;
            let number = ["+12025550116", "+12025550102", "+12025550196"][index % 3];
            let answer = client.invite(number, &rtp.plain_offer()).await;
            match index % 3 {
                0 => assert_eq!(client.bye().await.status(), 200),
                1 => assert_eq!(answer.status(), 486),
                _ => {
                    let bye = client.incoming("BYE").await;
                    client.answer(&bye, 200, "").await;
                }
            }
            sandbox.call_ended(&client.call_id).await;
        }
    };
    // This client does not retransmit, so a burst must fit into the kernel's buffer.
    for burst in 0..5 {
        common::join_all((0..30).map(|index| call(burst * 30 + index))).await;
    }
    assert_eq!(sandbox.calls().len(), 150);
    sandbox.shutdown().await;
}
