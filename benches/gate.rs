//! What the gate costs of a call's set-up, in CPU time: `cargo bench --bench gate`.
//!
//! A call has the gate judge four messages: 100, 180, 200 with SDP, and the 200 to its BYE. Beside that stands what one
//! call, placed at the sandbox over UDP, answered and hung up, takes of the control thread, in which PJSIP and the gate
//! run. Only that thread counts: neither the sandbox, which runs in this process too, nor media.

use std::fs;
use std::hint::black_box;
use std::time::Duration;

use outdial::config::Config;
use outdial::provider::{AgentId, DialProvider, E164};
use outdial::sip::gate::{Verdict, inspect};
use outdial::sip::{Endpoint, Shutdown};
use outdial_sandbox::Sandbox;
use rustix::time::{ClockId, clock_gettime};

const CALLS: u32 = 500;
const ROUNDS: u32 = 20_000;

/// As trunks send them.
fn messages() -> [Vec<u8>; 4] {
    let head = |status: &str, method: &str| {
        format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport=5060;received=192.0.2.1;branch=z9hG4bKPj0c5ce1f4\r\n\
             From: \"Reminders\" <sip:+12025550100@trunk.example>;tag=4fd0ad3ab2a84a9bb2a34d7c8e1d2a55\r\n\
             To: <sip:+12025550123@trunk.example;user=phone>;tag=as58f4201b\r\n\
             Call-ID: 4fd0ad3ab2a84a9bb2a34d7c8e1d2a55\r\nCSeq: 4711 {method}\r\nServer: Trunk 1.0\r\n\
             Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE\r\n\
             Supported: replaces, timer\r\n"
        )
    };
    let dialog = "Contact: <sip:+12025550123@192.0.2.9:5060;transport=udp>\r\n\
                  Record-Route: <sip:edge.example;lr;ftag=4fd0ad3a>\r\n";
    let sdp = "v=0\r\no=- 1706 1707 IN IP4 192.0.2.9\r\ns=call\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
               m=audio 17432 RTP/SAVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
               a=fmtp:101 0-16\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\r\n\
               a=ptime:20\r\na=maxptime:150\r\na=sendrecv\r\n";
    let body = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
    let none = "Content-Length: 0\r\n\r\n";
    [
        head("100 Trying", "INVITE") + none,
        head("180 Ringing", "INVITE") + dialog + none,
        head("200 OK", "INVITE") + dialog + &body,
        head("200 OK", "BYE") + none,
    ]
    .map(String::into_bytes)
}

/// CPU time of this thread for the messages of one call.
fn gate() -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("CPU time is positive");
    let messages = messages();
    let start = now();
    for _ in 0..ROUNDS {
        for message in &messages {
            assert_eq!(inspect(black_box(message)), Verdict::Pass);
        }
    }
    (now() - start) / ROUNDS
}

/// CPU time of the control thread so far.
fn control_thread() -> Duration {
    for entry in fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        // The kernel keeps 15 letters of a name.
        if read("comm").trim() == "outdial-control" {
            let nanoseconds = read("schedstat").split(' ').next().and_then(|field| field.parse().ok());
            return Duration::from_nanos(nanoseconds.expect("the kernel keeps the scheduler's statistics"));
        }
    }
    panic!("the endpoint has a control thread")
}

async fn calls(endpoint: &Endpoint, count: u32) {
    let (agent, number) = (AgentId::new("bench").unwrap(), E164::parse("+12025550116").unwrap());
    for _ in 0..count {
        let call = endpoint.dial(&agent, &number).await.expect("the sandbox takes calls");
        call.answered().await.expect("the sandbox answers");
        call.hangup().await;
    }
}

#[tokio::main]
async fn main() {
    let sandbox = Sandbox::builder().without_authentication().start().await.expect("loopback has ports");
    let trunk = format!(
        "[endpoint]\nbind = \"127.0.0.1\"\n[trunks.sandbox]\nserver = \"{}\"\ntransport = \"udp\"\n",
        sandbox.udp().expect("UDP is on")
    );
    let endpoint =
        Endpoint::start(&Config::parse(&trunk).expect("it is right")).await.expect("nobody else has PJSIP");
    calls(&endpoint, 20).await;
    let before = control_thread();
    calls(&endpoint, CALLS).await;
    let call = (control_thread() - before) / CALLS;
    endpoint.shutdown(Shutdown::HangUp).await;
    sandbox.shutdown().await;

    let gate = gate();
    println!("gate, four messages of a call: {gate:.2?}");
    println!("control thread, the whole of a call: {call:.2?} ({CALLS} calls)");
    println!("share of the gate: {:.2} %", 100.0 * gate.as_secs_f64() / call.as_secs_f64());
}
