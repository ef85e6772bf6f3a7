//! Behind a translation (NAT): network namespaces that the test makes, with a masquerading router between the endpoint and
//! the far end. It takes root, `ip` and `iptables`, which `cargo xtask test` installs.
//!
//! The endpoint and the far end are this test's own binary, started again in a namespace with the name of one of the other
//! tests below.

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Caller, FarEnd, Phone, Rtp, trunk, within};
use outdial::call::{EndReason, EndedBy};
use outdial::sip::Registration;
use outdial_sandbox::Sandbox;
use tokio::net::UdpSocket;

const INSIDE: &str = "10.99.0.2";
const ROUTER_INSIDE: &str = "10.99.0.1";
const ROUTER_OUTSIDE: &str = "198.51.100.1";
const OUTSIDE: &str = "198.51.100.2";
const SIP: u16 = 5060;
const STUN: u16 = 3478;
const FAR: f64 = 700.0;
const NEAR: f64 = 1_500.0;

/// The ports that the router forwards.
const FORWARDED: &str = "17000:17099";

/// A way to live behind a translation.
struct Way {
    endpoint: &'static str,
    trunk: &'static str,
    /// The address in our SDP.
    told: &'static str,
    /// Whether the far end answers where our sound comes from (RFC 4961), rather than where our SDP says.
    symmetric: bool,
}

const WAYS: [Way; 3] = [
    Way { endpoint: "", trunk: "", told: INSIDE, symmetric: true },
    Way {
        endpoint: "public_address = \"198.51.100.1\"\nrtp_ports = \"17000-17099\"",
        trunk: "",
        told: ROUTER_OUTSIDE,
        symmetric: false,
    },
    Way { endpoint: "", trunk: "stun_server = \"198.51.100.2\"", told: ROUTER_OUTSIDE, symmetric: true },
];

fn shell(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}\nThis takes root, iproute2 and iptables.");
}

/// Three namespaces in a row. They go with it.
struct Network {
    name: String,
}

impl Network {
    fn new() -> Self {
        let name = format!("outdial{}", std::process::id());
        let network = Self { name };
        let name = &network.name;
        shell(&format!(
            "for ns in in nat out; do ip netns add {name}-$ns; ip -n {name}-$ns link set lo up; done
             ip link add {name}a netns {name}-in type veth peer name {name}b netns {name}-nat
             ip link add {name}c netns {name}-out type veth peer name {name}d netns {name}-nat
             ip -n {name}-in addr add {INSIDE}/24 dev {name}a
             ip -n {name}-nat addr add {ROUTER_INSIDE}/24 dev {name}b
             ip -n {name}-nat addr add {ROUTER_OUTSIDE}/24 dev {name}d
             ip -n {name}-out addr add {OUTSIDE}/24 dev {name}c
             ip -n {name}-in link set {name}a up
             ip -n {name}-nat link set {name}b up
             ip -n {name}-nat link set {name}d up
             ip -n {name}-out link set {name}c up
             ip -n {name}-in route add default via {ROUTER_INSIDE}
             ip netns exec {name}-nat sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
             ip netns exec {name}-nat iptables -t nat -A POSTROUTING -o {name}d -j MASQUERADE
             ip netns exec {name}-nat iptables -t nat -A PREROUTING -i {name}d -p udp --dport {FORWARDED} \
               -j DNAT --to-destination {INSIDE}"
        ));
        network
    }

    /// This binary in a namespace, as one of the tests below.
    fn run(&self, place: &str, test: &str) -> Child {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-{place}", self.name)]);
        command.arg(std::env::current_exe().expect("this binary has a path"));
        command.args(["--exact", test, "--ignored", "--nocapture"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ip is there")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in ["in", "nat", "out"] {
            let name = format!("{}-{place}", self.name);
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

/// A registrar and callee in the world, and a STUN server.
#[tokio::test]
#[ignore = "the far end, in a namespace of its own"]
async fn the_far_end() {
    let ip: IpAddr = OUTSIDE.parse().unwrap();
    let mut far = FarEnd::at(UdpSocket::bind((ip, SIP)).await.unwrap());
    let stun = UdpSocket::bind((ip, STUN)).await.unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 1_500];
        while let Ok((length, from)) = stun.recv_from(&mut packet).await {
            let SocketAddr::V4(from) = from else { continue };
            // RFC 8489 section 14.2: the address, masked by the magic cookie.
            let cookie = 0x2112_a442_u32;
            let mut answer = vec![0x01, 0x01, 0, 12];
            answer.extend(&packet[4..length.min(20)]);
            answer.extend([0, 0x20, 0, 8, 0, 1]);
            answer.extend((from.port() ^ (cookie >> 16) as u16).to_be_bytes());
            answer.extend((u32::from(*from.ip()) ^ cookie).to_be_bytes());
            let _ = stun.send_to(&answer, from).await;
        }
    });
    println!("ready");
    for (before, Way { told, symmetric, .. }) in WAYS.into_iter().enumerate() {
        let rtp = Rtp::on(ip, FAR, far.address()).await;
        far.media_at(rtp.address());
        let near = far.called().await;
        assert_eq!(near.ip().to_string(), told, "what the caller's SDP says");
        if symmetric {
            rtp.follow();
        } else {
            rtp.send_to(near);
        }
        rtp.hears(NEAR).await;
        // The caller presses a key when it has heard us.
        let pressed = async {
            while far.count("INFO") <= before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("the key", pressed).await;
        far.bye().await;
    }
}

#[tokio::test]
#[ignore = "the endpoint, in a namespace of its own"]
async fn the_endpoint() {
    for Way { endpoint, trunk: way, .. } in WAYS {
        let config = format!(
            "[endpoint]\nbind = \"{INSIDE}\"\n{endpoint}\n[trunks.{}]\nserver = \"{OUTSIDE}\"\ntransport = \"udp\"\n\
             codecs = [\"pcmu\"]\ndtmf = \"info\"\nregister = true\nuser = \"alice\"\n{way}\n",
            trunk::NAME
        );
        let phone = Phone::start(&config).await;
        phone.registration(|state| matches!(state, Registration::Registered { .. })).await;
        let call = phone.dial("+12025550123").await;
        within("the answer", call.answered()).await.unwrap();
        let mut caller = Caller::new(&call, NEAR);
        caller.hears(FAR).await;
        call.send_dtmf("1").await.unwrap();
        // Its BYE finds the way to us.
        assert_eq!(within("the end", call.ended()).await.ended_by, EndedBy::Remote, "{way}");
        phone.shutdown().await;
    }
    println!("all is well");
}

#[tokio::test]
async fn calls_work_behind_a_translation_with_and_without_knowing_the_address() {
    let network = Network::new();
    let mut far = network.run("out", "the_far_end");
    let mut lines = BufReader::new(far.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("ready")), "no far end");
    let inside = network.run("in", "the_endpoint");
    let inside = tokio::task::spawn_blocking(move || inside.wait_with_output().unwrap());
    let output = within("the endpoint", inside).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let told: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(output.status.success() && said.contains("all is well"), "{said}\nthe far end: {told:#?}");
    assert!(far.wait().unwrap().success(), "{told:#?}");
}

/// A callee over TCP, until it is killed.
#[tokio::test]
#[ignore = "the far end, in a namespace of its own"]
async fn the_far_end_over_tcp() {
    let at = SocketAddr::new(OUTSIDE.parse().unwrap(), SIP);
    let _sandbox = Sandbox::builder().udp(None).tcp(at).tls(None).start().await.unwrap();
    println!("ready");
    std::future::pending().await
}

/// Whether the kernel has a connection from here to the far end, alive as far as it knows.
fn is_connected() -> bool {
    let IpAddr::V4(far) = OUTSIDE.parse().unwrap() else { panic!("IPv4") };
    // Numbers of the machine's own byte order; 01 is ESTABLISHED.
    let line = format!(" {:08X}:{SIP:04X} 01 ", u32::from_ne_bytes(far.octets()));
    std::fs::read_to_string("/proc/self/net/tcp").expect("Linux").contains(&line)
}

#[tokio::test]
#[ignore = "the endpoint, in a namespace of its own"]
async fn the_endpoint_over_tcp() {
    let config = format!(
        "[endpoint]\nbind = \"{INSIDE}\"\n[trunks.{}]\nserver = \"{OUTSIDE}\"\ntransport = \"tcp\"\n\
         codecs = [\"pcmu\"]\nkeep_alive = \"1s\"\nregister = true\nuser = \"sandbox\"\n{}\n",
        trunk::NAME,
        trunk::password("sandbox"),
    );
    let phone = Phone::start(&config).await;
    // It keeps its connection, which PJSIP would close when nothing has used it for half a minute.
    phone.registration(|state| matches!(state, Registration::Registered { .. })).await;
    let call = phone.dial("+12025550116").await;
    within("the answer", call.answered()).await.unwrap();
    assert!(is_connected());
    println!("talking");
    // From now on nothing is heard, as of a firewall that has forgotten the connection.
    let given_up = async {
        while is_connected() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within("the end of the connection", given_up).await;
    assert!(call.end().is_none(), "the call does not end with its connection: {:?}", call.end());
    println!("given up");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    // There is a way again: another connection takes both a new call and the goodbye of the old one.
    let other = phone.dial("+12025550116").await;
    within("the answer", other.answered()).await.unwrap();
    for call in [other, call] {
        let end = within("the end", call.hangup()).await;
        assert_eq!((end.reason, end.ended_by), (EndReason::Completed, EndedBy::Local), "{end:?}");
    }
    phone.shutdown().await;
    println!("all is well");
}

/// A connection that has died without a word is given up long before the kernel would (TCP_USER_TIMEOUT, RFC 5482), and the
/// call over it goes on.
#[tokio::test]
async fn a_connection_that_died_in_a_call_is_replaced() {
    let network = Network::new();
    let mut far = network.run("out", "the_far_end_over_tcp");
    let mut ready = BufReader::new(far.stdout.take().unwrap()).lines();
    assert!(ready.by_ref().map_while(Result::ok).any(|line| line.contains("ready")), "no far end");
    let mut inside = network.run("in", "the_endpoint_over_tcp");
    let mut lines = BufReader::new(inside.stdout.take().unwrap()).lines();
    let firewall = |what: &str| {
        shell(&format!("ip netns exec {}-nat iptables {what} FORWARD -p tcp -j DROP", network.name));
    };
    let mut told = Vec::new();
    for line in lines.by_ref().map_while(Result::ok) {
        if line.contains("talking") {
            firewall("-I");
        } else if line.contains("given up") {
            firewall("-D");
            inside.stdin.take().unwrap().write_all(b"\n").unwrap();
        }
        told.push(line);
    }
    let status = inside.wait().unwrap();
    far.kill().unwrap();
    far.wait().unwrap();
    assert!(status.success() && told.iter().any(|line| line.contains("all is well")), "{told:#?}");
}
