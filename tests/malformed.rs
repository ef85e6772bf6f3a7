//! What the far end of a call, and a registrar, say that is not in order, while calls are up: no call is lost, and both
//! directions of their sound go on.
//!
//! Unlike a stranger's (`torture.rs`), these messages and packets come from where they are believed, and what is encrypted
//! is authentic. They are made by chance, from seeds: `OUTDIAL_SEED` is the first, `OUTDIAL_SEEDS` says how many. `cargo
//! xtask test --asan` runs this with AddressSanitizer.

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::noise::{Noise, seeds};
use common::phone::request;
use common::stranger::{Received, Stranger};
use common::{Caller, FarEnd, Phone, Rtp, Story, srtp, trunk, within};
use outdial::call::Call;
use outdial::sip::gate;
use tokio::net::UdpSocket;

const NUMBER: &str = "+12025550123";
const FAR: f64 = 700.0;
const NEAR: f64 = 1_500.0;

/// A call with sound in both directions, and its far end.
struct Line {
    far: FarEnd,
    rtp: Rtp,
    /// From here come reports.
    rtcp: UdpSocket,
    encrypted: bool,
    call: Call,
    caller: Caller,
    /// Where the caller's end wants the sound to.
    near: SocketAddr,
}

impl Line {
    /// Calls over the trunk of this name.
    async fn new(phone: &Phone, trunk: &str, mut far: FarEnd, encrypted: bool) -> Self {
        let ip = trunk::loopback(30);
        let nobody = SocketAddr::new(trunk::loopback(99), 9);
        let rtp = Rtp::on(ip, FAR, nobody).await;
        let rtcp = UdpSocket::bind((ip, 0)).await.unwrap();
        far.media_at(rtp.address());
        if encrypted {
            far.encrypts();
        }
        let call = phone.dial_with(request(NUMBER).trunk(trunk)).await;
        let near = far.called().await;
        if encrypted {
            let invite = far.got("INVITE").await;
            rtp.encrypt(srtp::OURS, invite.crypto(srtp::SUITE).expect("an offer of keys"));
        }
        rtp.send_to(near);
        within("the answer", call.answered()).await.unwrap();
        let caller = Caller::new(&call, NEAR);
        let mut line = Self { far, rtp, rtcp, encrypted, call, caller, near };
        line.talks().await;
        line
    }

    /// Waits until there is sound in both directions.
    async fn talks(&mut self) {
        println!(
            "waits for sound on {}",
            if self.encrypted { "the encrypted call" } else { "the plain call" }
        );
        self.rtp.hears(NEAR).await;
        self.caller.hears(FAR).await;
    }

    /// The far end makes an offer that is in order, after which the call must be as it was.
    async fn recovers(&mut self, after: &str) {
        assert_eq!(self.call.end(), None, "the call was lost after {after}");
        let answer = loop {
            let answer = self.far.offer("INVITE", self.far.sdp().as_bytes()).await;
            // An offer of the caller's end may still be under way (RFC 3261 section 14.2).
            if !answer.status().starts_with("491") {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(answer.status().starts_with("200"), "{} after {after}", answer.status());
        self.near = answer.media().expect("an answer in the 200");
        self.rtp.send_to(self.near);
        if self.encrypted {
            self.rtp.encrypt(srtp::OURS, answer.crypto(srtp::SUITE).expect("keys in the answer"));
        }
        self.talks().await;
    }

    /// Offers, by INVITE and UPDATE, and answers to offers of ours.
    async fn descriptions(&mut self, noise: &mut Noise) {
        for number in 0..8 {
            let sdp = noise.mangle(self.far.sdp().as_bytes());
            let shown = format!("this SDP, {number}:\n{}", sdp.escape_ascii());
            if number % 4 < 3 {
                let method = if number % 2 == 0 { "INVITE" } else { "UPDATE" };
                self.far.offer(method, &sdp).await;
            } else {
                // An answer that the gate drops is one that never comes, which takes half a minute to find out.
                if passes(&sdp) {
                    self.far.answer_oddly(sdp);
                }
                self.call.hold().await.unwrap();
                let resumed = async {
                    while self.call.resume().await.is_err() {
                        // The offer before is still under way.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                };
                within(&format!("the end of the hold after {shown}"), resumed).await;
            }
            self.recovers(&shown).await;
        }
    }

    /// Packets of the far end's own, among those of its stream.
    async fn packets(&mut self, noise: &mut Noise) {
        for _ in 0..60 {
            for _ in 0..5 {
                let packet = self.rtp.next_packet();
                match noise.next(3) {
                    // What is inside is odd, and authentic.
                    0 | 1 => self.rtp.send_sealed(&self.inside(noise, &packet)).await,
                    _ => self.rtp.send_raw(&noise.distort(&packet)).await,
                }
                let kind = noise.next(REPORTS.len());
                let report = noise.distort(REPORTS[kind]);
                let control = SocketAddr::new(self.near.ip(), self.near.port() + 1);
                let to = if noise.next(8) == 0 { self.near } else { control };
                self.rtcp.send_to(&report, to).await.unwrap();
            }
            // No more at once than the caller's end reads at a time.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.call.end(), None, "the call was lost");
        self.talks().await;
    }

    /// A packet that is odd behind its encryption. There the sequence number stays as it is: one that jumps ahead makes
    /// replays of what follows (RFC 3711 section 3.3.2), as it should.
    fn inside(&self, noise: &mut Noise, packet: &[u8]) -> Vec<u8> {
        let mut odd = noise.distort(packet);
        if self.encrypted && odd.len() >= 4 {
            odd[2..4].copy_from_slice(&packet[2..4]);
        }
        odd
    }

    async fn end(self) {
        within("the end", self.call.hangup()).await;
        assert_eq!(Story::of(&self.call).await.ending(), "completed by local: 200 OK");
    }
}

/// RTCP (RFC 3550 section 6, RFC 4585, RFC 3611): reports of sender and receiver, descriptions, goodbye, feedback,
/// extended reports.
const REPORTS: [&[u8]; 7] = [
    b"\x81\xc8\0\x0c\0\0\0\x01\x83\xaa\x7e\x80\0\0\0\0\0\0\x1f\x40\0\0\0\x32\0\0\x1f\x40\0\0\0\x02\x01\0\0\x03\0\0\x10\0\0\0\0\x20\x7e\x80\0\0\0\x01\0\0",
    b"\x81\xc9\0\x07\0\0\0\x01\0\0\0\x02\0\xff\xff\xff\0\x01\0\x64\0\0\0\x14\0\0\0\0\0\0\0\0",
    b"\x80\xc9\0\x01\0\0\0\x01\x81\xca\0\x03\0\0\0\x01\x01\x05far-x\0\0\0",
    b"\x81\xcb\0\x02\0\0\0\x01\x03bye",
    b"\x81\xcd\0\x03\0\0\0\x01\0\0\0\x02\0\x11\xff\xff",
    b"\x83\xce\0\x04\0\0\0\x01\0\0\0\x02\x08\x60\x01\x02\x03\x04\x05\x06",
    b"\x80\xcf\0\x0a\0\0\0\x01\x04\0\0\x02\x83\xaa\x7e\x80\0\0\0\0\x05\0\0\x03\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0",
];

/// Whether the gate lets an answer with this SDP pass.
fn passes(sdp: &[u8]) -> bool {
    let head = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\
         Call-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:c@d>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
        sdp.len(),
    );
    gate::inspect(&[head.as_bytes(), sdp].concat()) == gate::Verdict::Pass
}

/// A process with two such calls, one of them encrypted, and with further trunks.
struct Scene {
    phone: Phone,
    lines: [Line; 2],
}

impl Scene {
    async fn new(more: &str) -> Self {
        let [plain, secure] = [FarEnd::on(trunk::loopback(30)).await, FarEnd::on(trunk::loopback(31)).await];
        let secured = format!(
            "[trunks.secure]\nserver = \"{}\"\ntransport = \"udp\"\ncodecs = [\"pcmu\"]\nsrtp = \"required\"\n\
             allow_sdes_without_tls = true\nkeep_alive = \"0s\"\n{more}",
            secure.address(),
        );
        let phone = Phone::start(&trunk::plain(plain.address(), secured)).await;
        let plain = Line::new(&phone, trunk::NAME, plain, false).await;
        let secure = Line::new(&phone, "secure", secure, true).await;
        Self { phone, lines: [plain, secure] }
    }

    async fn end(self) {
        for line in self.lines {
            line.end().await;
        }
        self.phone.shutdown().await;
    }
}

#[tokio::test]
async fn session_descriptions() {
    let mut scene = Scene::new("").await;
    for seed in seeds() {
        let [plain, secure] = &mut scene.lines;
        let (mut one, mut other) = (Noise::new(seed), Noise::new(!seed));
        tokio::join!(plain.descriptions(&mut one), secure.descriptions(&mut other));
    }
    scene.end().await;
}

#[tokio::test]
async fn packets() {
    let mut scene = Scene::new("").await;
    for seed in seeds() {
        let [plain, secure] = &mut scene.lines;
        let (mut one, mut other) = (Noise::new(seed), Noise::new(!seed));
        tokio::join!(plain.packets(&mut one), secure.packets(&mut other));
    }
    scene.end().await;
}

/// Trunks that register at the same time.
const TRUNKS: usize = 40;

#[tokio::test]
async fn answers_of_registrars() {
    for seed in seeds() {
        let mut noise = Noise::new(seed);
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let counted = Arc::clone(&asked);
        let registrar = Stranger::new(move |message: &Received| {
            let name = message.header("To").to_owned();
            *counted.lock().unwrap().entry(name).or_insert(0) += 1;
            vec![answer(&mut noise, message)]
        })
        .await;
        let trunks: String = (0..TRUNKS)
            .map(|number| {
                format!(
                    "[trunks.r{number}]\nserver = \"{}\"\ntransport = \"udp\"\nregister = true\nuser = \"r{number}\"\n\
                     keep_alive = \"0s\"\n{}\n",
                    registrar.address(),
                    trunk::password("malformed"),
                )
            })
            .collect();
        let mut scene = Scene::new(&trunks).await;
        let all = async {
            while asked.lock().unwrap().len() < TRUNKS {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("a REGISTER of each", all).await;
        for line in &mut scene.lines {
            line.recovers("the registrar's answers").await;
        }
        scene.end().await;
    }
}

/// An answer of some kind, with damage anywhere but to what makes it an answer to this request.
fn answer(noise: &mut Noise, message: &Received) -> Vec<u8> {
    let contact = message.header("Contact");
    let good = format!(
        "Contact: {contact};expires=60\r\nExpires: 60\r\nService-Route: <sip:edge.example;lr>\r\n\
         P-Associated-URI: <sip:us@example.com>\r\nDate: Sat, 13 Nov 2010 23:29:00 GMT\r\n\
         Supported: path, outbound, gruu\r\n",
    );
    let challenge = "Digest realm=\"far\", nonce=\"abc\", algorithm=MD5, qop=\"auth,auth-int\", opaque=\"x\", stale=false";
    let (status, headers) = match noise.next(6) {
        0 | 1 => ("200 OK", good),
        2 => ("401 Unauthorized", format!("WWW-Authenticate: {challenge}\r\n")),
        3 => ("407 Proxy Authentication Required", format!("Proxy-Authenticate: {challenge}\r\n")),
        4 => ("423 Interval Too Brief", "Min-Expires: 120\r\nRetry-After: 5 (soon)\r\n".to_owned()),
        _ => ("302 Moved Temporarily", "Contact: <sip:other@127.0.0.1:5070>;q=0.5, <tel:+1>\r\n".to_owned()),
    };
    let mut headers = noise.mangle(headers.as_bytes());
    // An empty line would end the head: what follows is the body, as long as nothing.
    while let Some(at) = headers.windows(4).position(|window| window == b"\r\n\r\n") {
        headers.drain(at..at + 2);
    }
    let plain =
        String::from_utf8(message.respond(status, "X-Here: 1\r\n", b"")).expect("a response in ASCII");
    let odd = [
        "received=[::1",
        "received=foo:bar",
        "received=;rport=x",
        "rport=99999999999",
        "rport",
        "received=1.2.3.4",
    ];
    let plain = plain.replacen(";rport", &format!(";{}", odd[noise.next(odd.len())]), 1);
    let (before, after) = plain.split_once("X-Here: 1\r\n").expect("it was put there");
    let whole = [before.as_bytes(), &headers, after.as_bytes()].concat();
    // One in eight is damaged anywhere.
    if noise.next(8) == 0 { noise.damage(&whole) } else { whole }
}
