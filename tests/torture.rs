//! What odd and hostile peers send to a process that holds calls: it goes on, and so do the calls.
//!
//! The messages, session descriptions and packets are those of `fuzz/corpus`, among them the torture messages of RFC
//! 4475. `cargo xtask test --asan` runs this with AddressSanitizer.

mod common;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::noise::Noise;
use common::phone::request;
use common::stranger::{Received, Stranger};
use common::{Phone, Story, trunk, within};
use outdial::call::Call;
use outdial::provider::DialProvider as _;
use outdial::sip::{Registration, gate};
use outdial_sandbox::Sandbox;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

const ECHO: &str = "+12025550116";
const NUMBER: &str = "+12025550177";

/// The inputs of a fuzz target, with their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// A process with two calls that talk: one over UDP with plain RTP, one over TLS with SRTP.
struct Held {
    sandbox: Sandbox,
    phone: Phone,
    calls: Vec<Call>,
    /// Where we are reached over UDP.
    address: SocketAddr,
}

impl Held {
    /// `more` are further trunks.
    async fn new(more: &str) -> Self {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let free = UdpSocket::bind((trunk::loopback(1), 0)).await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let plain = format!(
            "[trunks.plain]\nserver = \"{}\"\ntransport = \"udp\"\nlocal_port = {}\n{}\n{more}",
            sandbox.udp().unwrap(),
            address.port(),
            trunk::account(&sandbox),
        );
        let phone = Phone::start(&trunk::sandbox_tls(&sandbox, plain)).await;
        let mut calls = Vec::new();
        for trunk in ["plain", trunk::NAME] {
            let call = phone.dial_with(request(ECHO).trunk(trunk)).await;
            let answered = within("the answer", call.answered()).await.unwrap();
            assert_eq!(answered.srtp.is_some(), trunk != "plain");
            calls.push(call);
        }
        Self { sandbox, phone, calls, address }
    }

    /// Both calls are up, and end as the caller wants.
    async fn go_on(self) {
        for call in &self.calls {
            assert_eq!(call.end(), None, "a call was lost");
            within("the end", call.hangup()).await;
            let story = Story::of(call).await;
            story.assert("initiated trying answered ended", "completed by local: 200 OK");
        }
        self.phone.shutdown().await;
        self.sandbox.shutdown().await;
    }

    /// Our UDP ports, those of media among them.
    fn ports(&self) -> Vec<SocketAddr> {
        let IpAddr::V4(ip) = self.address.ip() else { panic!("it is an IPv4 address") };
        let prefix = format!("{:08X}:", u32::from_ne_bytes(ip.octets()));
        let table = std::fs::read_to_string("/proc/net/udp").expect("Linux");
        let hexadecimal = |line: &str| {
            let port = line.split_whitespace().nth(1)?.strip_prefix(&prefix)?.to_owned();
            u16::from_str_radix(&port, 16).ok()
        };
        table.lines().filter_map(hexadecimal).map(|port| SocketAddr::new(ip.into(), port)).collect()
    }
}

/// Waits until what was sent before has been read: an OPTIONS behind it is answered.
async fn has_read(socket: &UdpSocket, address: SocketAddr, number: usize) {
    let call = format!("has-read-{number}");
    let options = format!(
        "OPTIONS sip:us@{address} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@y>;tag=1\r\nTo: <sip:us@{address}>\r\nCall-ID: {call}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n",
        socket.local_addr().unwrap(),
    );
    let answer = async {
        let mut packet = [0; 4_096];
        loop {
            // What was sent before may be answered too.
            let (length, _) = socket.recv_from(&mut packet).await.unwrap();
            let text = String::from_utf8_lossy(&packet[..length]);
            if text.starts_with("SIP/2.0 200 ") && text.contains(&call) {
                return;
            }
        }
    };
    tokio::pin!(answer);
    let patient = async {
        loop {
            socket.send_to(options.as_bytes(), address).await.unwrap();
            if tokio::time::timeout(Duration::from_millis(500), &mut answer).await.is_ok() {
                return;
            }
        }
    };
    within("an answer to OPTIONS", patient).await;
}

#[tokio::test]
async fn messages_of_strangers() {
    let held = Held::new("").await;
    let socket = UdpSocket::bind((trunk::loopback(201), 0)).await.unwrap();
    let mut noise = Noise::new(1);
    let messages = corpus("sip");
    let torture = messages.iter().filter(|(name, _)| name.starts_with("rfc4475-")).count();
    assert_eq!(torture, 49, "the messages of RFC 4475");
    let mut sent = 0;
    for (name, message) in messages {
        println!("{name}");
        let damaged = (0..20).map(|_| noise.damage(&message)).collect::<Vec<_>>();
        let cut = (1..8).map(|eighth| message[..message.len() * eighth / 8].to_vec());
        for message in std::iter::once(message.clone()).chain(damaged).chain(cut) {
            socket.send_to(&message, held.address).await.unwrap();
            sent += 1;
        }
        has_read(&socket, held.address, sent).await;
    }
    assert!(!held.phone.endpoint().refused_messages().is_empty(), "the gate saw none of it");
    held.go_on().await;
}

#[tokio::test]
async fn packets_of_strangers() {
    let held = Held::new("").await;
    let socket = UdpSocket::bind((trunk::loopback(201), 0)).await.unwrap();
    let ports = held.ports();
    assert!(ports.len() >= 5, "signalling, and RTP and RTCP of two calls: {ports:?}");
    let mut noise = Noise::new(2);
    for (name, input) in ["rtp", "srtp", "stun"].into_iter().flat_map(corpus) {
        println!("{name}");
        // The packets of an input stand one behind the other, as the fuzz target reads them.
        let mut packets = vec![&input[..]];
        let mut rest = &input[1..];
        while let Some((&[_, length], after)) = rest.split_first_chunk() {
            let length = if length == 0 { after.len() } else { usize::from(length).min(after.len()) };
            packets.push(&after[..length]);
            rest = &after[length..];
        }
        for packet in packets {
            for port in &ports {
                socket.send_to(packet, port).await.unwrap();
                socket.send_to(&noise.damage(packet), port).await.unwrap();
            }
        }
        has_read(&socket, held.address, noise.next(1 << 20)).await;
    }
    held.go_on().await;
}

/// Descriptions that no call can come of, and some that one can.
fn descriptions() -> Vec<Vec<u8>> {
    let mut noise = Noise::new(3);
    let seeds: Vec<_> =
        corpus("sdp").into_iter().map(|(_, text)| text).filter(|text| text.len() < 2_000).collect();
    let damaged: Vec<_> = seeds.iter().map(|text| noise.damage(text)).collect();
    seeds.into_iter().chain(damaged).chain([b"v=0\r\n".to_vec(), b"\0".repeat(100)]).collect()
}

/// One that is in order.
fn good() -> Vec<u8> {
    corpus("sdp").into_iter().find(|(name, _)| name == "audio").unwrap().1
}

#[tokio::test]
async fn session_descriptions_of_callees() {
    let descriptions = descriptions();
    let count = descriptions.len();
    // A call of its own for each description: it is the answer, and then an offer in the call if there is one.
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut of_call: HashMap<String, (usize, String)> = HashMap::new();
    let callee = Stranger::new(move |message: &Received| {
        let call = message.header("Call-ID").to_owned();
        let next = of_call.len();
        match message.method() {
            "INVITE" => {
                let contact =
                    message.header("Contact").split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                let (number, _) = of_call.entry(call).or_insert((next, contact));
                let answer = message.respond("200 OK", "", &descriptions[*number]);
                // An answer that the gate drops is one that never came, which takes half a minute to find out.
                let passes = gate::inspect(&answer) == gate::Verdict::Pass;
                vec![if passes { answer } else { message.respond("200 OK", "", &good()) }]
            }
            "ACK" => {
                let Some((number, contact)) = of_call.get(&call) else { return Vec::new() };
                let _ = tell.send(call);
                vec![message.request("INVITE", 7, contact, &descriptions[*number])]
            }
            "SIP/2.0" if message.header("CSeq").ends_with("INVITE") => {
                let Some((_, contact)) = of_call.get(&call) else { return Vec::new() };
                vec![message.acknowledge(contact)]
            }
            "SIP/2.0" => Vec::new(),
            _ => vec![message.respond("200 OK", "", b"")],
        }
    })
    .await;
    let server = callee.address();
    let trunk = format!(
        "[trunks.stranger]\nserver = \"{server}\"\ntransport = \"udp\"\n[trunks.secure]\nserver = \"{server}\"\n\
         transport = \"udp\"\nsrtp = \"optional\"\nallow_sdes_without_tls = true\n"
    );
    let held = Held::new(&trunk).await;
    for number in 0..count {
        let trunk = if number % 2 == 0 { "stranger" } else { "secure" };
        let call = held.phone.dial_with(request(NUMBER).trunk(trunk)).await;
        // The ACK comes whatever becomes of the answer.
        within("the ACK", told.recv()).await.unwrap();
        let _ = within("the answer", call.answered()).await;
        within("the end", call.hangup()).await;
        Story::of(&call).await;
    }
    held.go_on().await;
}

/// What a registrar can put into its answer: whole header lines.
fn answers() -> Vec<(&'static str, String)> {
    let routes = |count: usize| "Service-Route: <sip:edge.example;lr>\r\n".repeat(count);
    let realms = |count: usize| {
        (0..count)
            .map(|n| format!("WWW-Authenticate: Digest realm=\"r{n}\", nonce=\"n\"\r\n"))
            .collect::<String>()
    };
    let long = "a".repeat(1_500);
    [
        ("200 OK", "Contact: <sip:us@127.0.0.1>;expires=60\r\n".into()),
        ("200 OK", routes(8)),
        ("200 OK", routes(30)),
        ("200 OK", "Service-Route: <tel:+1>, *, <sip:;lr\r\n".into()),
        ("200 OK", "Contact: *\r\n".into()),
        ("200 OK", "Contact: <tel:+12025550100>;expires=4294967296\r\n".into()),
        ("200 OK", "Contact: <sip:us@127.0.0.1>;expires=-1\r\nExpires: 99999999999999999999\r\n".into()),
        ("200 OK", format!("Contact: <sip:{long}@127.0.0.1>\r\n")),
        ("200 OK", "Contact: <sip:us@[::1>;;;,,\r\n".into()),
        ("200 OK", "P-Associated-URI: <sip:\0@x>\r\n".into()),
        ("401 Unauthorized", realms(30)),
        ("401 Unauthorized", "WWW-Authenticate: Digest\r\n".into()),
        ("401 Unauthorized", "WWW-Authenticate: Digest realm=\"r, nonce=n, qop=\"x\r\n".into()),
        ("401 Unauthorized", "WWW-Authenticate: Negotiate x, Digest realm=r\r\n".into()),
        ("401 Unauthorized", format!("WWW-Authenticate: Digest realm=\"{long}\", nonce=\"{long}\"\r\n")),
        (
            "407 Proxy Authentication Required",
            "Proxy-Authenticate: Digest algorithm=X, realm=\"r\"\r\n".into(),
        ),
        ("423 Interval Too Brief", "Min-Expires: 4294967295\r\n".into()),
        ("423 Interval Too Brief", String::new()),
        ("439 First Hop Lacks Outbound Support", String::new()),
        ("301 Moved Permanently", "Contact: <sip:[::1]:99999>, <mailto:a@b>\r\n".into()),
        ("503 Service Unavailable", "Retry-After: 949302838503028349304023988 (never)\r\n".into()),
        ("999999999999 What", String::new()),
        ("200", String::new()),
    ]
    .to_vec()
}

#[tokio::test]
async fn answers_of_registrars() {
    let answers = answers();
    let trunks: Vec<String> = (0..answers.len()).map(|number| format!("r{number}")).collect();
    let asked = Arc::new(Mutex::new(HashMap::new()));
    let counted = asked.clone();
    let registrar = Stranger::new(move |message: &Received| {
        let name = message.header("To").split(['<', ':', '@']).nth(2).unwrap_or_default().to_owned();
        let Some((status, extra)) =
            name.strip_prefix('r').and_then(|n| answers.get(n.parse::<usize>().ok()?))
        else {
            return vec![message.respond("404 Not Found", "", b"")];
        };
        *counted.lock().unwrap().entry(name).or_insert(0) += 1;
        // Among what goes wrong is the address that a Via says we have (RFC 3581).
        let odd = ["received=[::1", "received=foo:bar", "received=;rport=x", "rport=99999999999"];
        let odd = odd[extra.len() % odd.len()];
        let answer = String::from_utf8_lossy(&message.respond(status, extra, b"")).replacen(
            ";rport",
            &format!(";{odd}"),
            1,
        );
        vec![answer.into_bytes()]
    })
    .await;
    let config: String = trunks
        .iter()
        .map(|name| {
            format!(
                "[trunks.{name}]\nserver = \"{}\"\ntransport = \"udp\"\nregister = true\nuser = \"{name}\"\n\
                 keep_alive = \"0s\"\n{}\n",
                registrar.address(),
                trunk::password("torture"),
            )
        })
        .collect();
    let held = Held::new(&config).await;
    let all = async {
        while asked.lock().unwrap().len() < trunks.len() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("a REGISTER of each", all).await;
    // The first is in order; what comes of it says that the others' answers were read too.
    let mut good = held.phone.endpoint().registration("r0").unwrap();
    let registered = good.wait_for(|state| matches!(state, Registration::Registered { .. }));
    let state = within("the registration", registered).await.map(|state| state.clone());
    assert!(state.is_ok(), "{state:?}");
    // Accounts are still good for calls: the registrar has no such number.
    for name in &trunks {
        if let Ok(call) = held.phone.endpoint().dial_with(request(NUMBER).trunk(name.as_str())).await {
            within("the end", call.ended()).await;
        }
    }
    held.go_on().await;
}
