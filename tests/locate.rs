//! Finding the server: names are looked up as RFC 3263 says, without holding anybody up, and a call whose server fails
//! before it rings goes to the next one.

mod common;

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use common::phone::request;
use common::{Phone, Story, trunk, within};
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, NAPTR, SOA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use outdial::call::CallEvent;
use outdial::provider::{DialError, DialProvider as _};
use outdial::sip::Registration;
use outdial_sandbox::{CallOutcome, Sandbox, ServerCertificate};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const NUMBER: &str = "+12025550116";
const RINGS_FOR_EVER: &str = "+12025550103";
const HANGS_UP: &str = "+12025550109";
/// Long enough for no test to see it pass.
const HOUR: u32 = 3600;

/// A name server of the test's own.
struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Zone {
    records: HashMap<(Name, RecordType), (u32, Vec<RData>)>,
    /// How long what is missing stays so, in seconds.
    negative_ttl: u32,
    /// Names that are never answered.
    silent: HashSet<Name>,
    asked: Vec<(Name, RecordType)>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind((trunk::loopback(200), 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone { negative_ttl: HOUR, ..Zone::default() }));
        let theirs = Arc::clone(&zone);
        let task = tokio::spawn(async move {
            let mut packet = [0; 2048];
            loop {
                let (length, from) = socket.recv_from(&mut packet).await.unwrap();
                let query = Message::from_vec(&packet[..length]).expect("a DNS message");
                let answer = theirs.lock().unwrap().answer(&query);
                if let Some(answer) = answer {
                    socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
                }
            }
        });
        Self { address, zone, task }
    }

    fn set(&self, owner: &str, ttl: u32, records: Vec<RData>) {
        let kind = records[0].record_type();
        self.zone.lock().unwrap().records.insert((name(owner), kind), (ttl, records));
    }

    /// A host with one address.
    fn host(&self, owner: &str, ttl: u32, server: SocketAddr) {
        let IpAddr::V4(ip) = server.ip() else { panic!("IPv4") };
        self.set(owner, ttl, vec![RData::A(A(ip))]);
    }

    /// SRV records for `servers`, tried in this order, which are hosts of their own.
    fn servers(&self, service: &str, servers: &[SocketAddr]) {
        let mut records = Vec::new();
        for (index, server) in servers.iter().enumerate() {
            let target = format!("s{index}.{}", service.trim_start_matches('_').replace("._", "-"));
            self.host(&target, HOUR, *server);
            records.push(srv(index as u16, 1, *server, &target));
        }
        self.set(service, HOUR, records);
    }

    /// How often a name was asked for.
    fn asked(&self, owner: &str, kind: RecordType) -> usize {
        let zone = self.zone.lock().unwrap();
        zone.asked.iter().filter(|asked| **asked == (name(owner), kind)).count()
    }

    fn config(&self, trunks: &str) -> String {
        format!(
            "[endpoint]\nbind = \"{}\"\nmax_calls = 64\nnameservers = [\"{}\"]\n\n\
             [endpoint.timers]\nt1 = \"50ms\"\nt2 = \"200ms\"\nt4 = \"250ms\"\n\n{trunks}",
            trunk::loopback(1),
            self.address
        )
    }

    /// With one trunk over UDP.
    fn udp(&self, server: &str) -> String {
        self.config(&udp_trunk(trunk::NAME, server))
    }
}

fn udp_trunk(name: &str, server: &str) -> String {
    format!(
        "[trunks.{name}]\nserver = \"{server}\"\ntransport = \"udp\"\ncodecs = [\"pcmu\"]\nkeep_alive = \"0s\"\n\n"
    )
}

impl Zone {
    fn answer(&mut self, query: &Message) -> Option<Message> {
        let question = query.queries.first()?.clone();
        let (owner, kind) = (name(&question.name().to_string().to_lowercase()), question.query_type());
        self.asked.push((owner.clone(), kind));
        if self.silent.contains(&owner) {
            return None;
        }
        let mut answer = Message::response(query.metadata.id, OpCode::Query);
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        answer.add_query(question.clone());
        if let Some((ttl, records)) = self.records.get(&(owner.clone(), kind)) {
            for data in records {
                answer.add_answer(Record::from_rdata(question.name().clone(), *ttl, data.clone()));
            }
        } else {
            let exists = self.records.keys().any(|(other, _)| *other == owner);
            answer.metadata.response_code =
                if exists { ResponseCode::NoError } else { ResponseCode::NXDomain };
            let soa = SOA::new(name("ns.test"), name("admin.test"), 1, 60, 60, 60, self.negative_ttl);
            answer.add_authority(Record::from_rdata(name("test"), self.negative_ttl, RData::SOA(soa)));
        }
        Some(answer)
    }
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn srv(priority: u16, weight: u16, server: SocketAddr, target: &str) -> RData {
    RData::SRV(SRV::new(priority, weight, server.port(), name(target)))
}

fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    let text = |text: &str| text.as_bytes().into();
    RData::NAPTR(NAPTR::new(order, 1, text("s"), text(service), text(""), name(replacement)))
}

/// A far end on UDP that says the same to every request.
struct Server {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    /// With where they came from.
    requests: Arc<Mutex<Vec<(String, SocketAddr)>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Each has an address of its own.
static NEXT: AtomicU8 = AtomicU8::new(10);

impl Server {
    /// Answers with these status lines, one after the other; headers may follow each.
    async fn saying(answers: &'static [&'static str]) -> Self {
        let last = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = Arc::new(UdpSocket::bind((trunk::loopback(last), 5060)).await.unwrap());
        let address = socket.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (ours, log) = (Arc::clone(&socket), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            let mut packet = [0; 4096];
            loop {
                let (length, from) = ours.recv_from(&mut packet).await.unwrap();
                let text = String::from_utf8_lossy(&packet[..length]).into_owned();
                log.lock().unwrap().push((text.clone(), from));
                for answer in answers.iter().filter(|_| !text.starts_with("ACK ")) {
                    ours.send_to(response(&text, answer).as_bytes(), from).await.unwrap();
                }
            }
        });
        Self { address, socket, requests, task }
    }

    /// Says nothing.
    async fn silent() -> Self {
        Self::saying(&[]).await
    }

    /// Answers the first request now.
    async fn answers(&self, status: &str) {
        let (request, from) = self.requests.lock().unwrap()[0].clone();
        self.socket.send_to(response(&request, status).as_bytes(), from).await.unwrap();
    }

    /// The Call-IDs of the INVITEs that came, repetitions left out, each with the From of its attempt.
    fn invites(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let requests = self.requests.lock().unwrap();
        for (request, _) in requests.iter().filter(|(text, _)| text.starts_with("INVITE ")) {
            let field = |name: &str| {
                let line = request.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            let invite = (field("Call-ID:"), field("From:"));
            if !found.contains(&invite) {
                found.push(invite);
            }
        }
        found
    }
}

fn response(request: &str, status: &str) -> String {
    let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let fields = request.lines().filter(|line| copied.iter().any(|field| line.starts_with(field)));
    let fields: String =
        fields
            .map(|line| {
                if line.starts_with("To:") { format!("{line};tag=there\r\n") } else { format!("{line}\r\n") }
            })
            .collect();
    format!("SIP/2.0 {status}\r\n{fields}Content-Length: 0\r\n\r\n")
}

/// Calls, and returns how it ended.
async fn call(phone: &Phone) -> String {
    Story::of(&phone.dial(NUMBER).await).await.ending()
}

#[tokio::test]
async fn a_dial_that_is_dropped_before_its_invite_sends_none_and_leaves_its_place() {
    let names = NameServer::start().await;
    let server = Server::saying(&["486 Busy Here"]).await;
    names.host("pbx.test", HOUR, server.address);
    names.zone.lock().unwrap().silent.insert(name("pbx.test"));
    let trunks = udp_trunk(trunk::NAME, "pbx.test:5060") + &udp_trunk("known", &server.address.to_string());
    let one_call = names.config(&trunks).replace("max_calls = 64", "max_calls = 1");
    let phone = Phone::start(&one_call).await;
    let asked = async {
        while names.asked("pbx.test", RecordType::A) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // The name server is asked and says nothing: there is no server yet that an INVITE could go to.
    tokio::select! {
        call = phone.endpoint().dial_with(request(NUMBER).trunk(trunk::NAME)) => panic!("{call:?}"),
        () = within("the question", asked) => {}
    }
    let next = phone.dial_with(request(NUMBER).trunk("known")).await;
    assert_eq!(Story::of(&next).await.ending(), "busy by remote: 486 Busy Here");
    // Once the answer comes nothing is made up for.
    names.zone.lock().unwrap().silent.clear();
    let last = phone.dial_with(request(NUMBER).trunk(trunk::NAME)).await;
    assert_eq!(Story::of(&last).await.ending(), "busy by remote: 486 Busy Here");
    let calls: Vec<_> = server.invites().into_iter().map(|(call, _)| call).collect();
    assert_eq!(calls, [next.id().as_str(), last.id().as_str()]);
    phone.shutdown().await;
}

#[tokio::test]
async fn a_dial_that_is_dropped_when_its_invite_has_left_is_cancelled() {
    let names = NameServer::start().await;
    let sandbox = Sandbox::builder().tls(None).start().await.unwrap();
    let server = sandbox.udp().unwrap();
    names.host("pbx.test", HOUR, server);
    names.zone.lock().unwrap().silent.insert(name("pbx.test"));
    let config = names.udp(&format!("pbx.test:{}", server.port()));
    let phone = Phone::start(&(config.trim_end().to_owned() + "\n" + &trunk::account(&sandbox))).await;
    // Its own end by the ring limit is far away.
    let forever = request(RINGS_FOR_EVER).ring_timeout(Duration::from_secs(HOUR.into()));
    let mut dial = phone.endpoint().dial_with(forever);
    // Looked at once, by which the order is given, and never again: its answer lies there unread when it is dropped.
    let waits = poll_fn(|context| Poll::Ready(dial.as_mut().poll(context).is_pending())).await;
    assert!(waits, "no server is known yet");
    names.zone.lock().unwrap().silent.clear();
    let rings = sandbox.wait_until(|sandbox| sandbox.calls().into_iter().find(|call| call.ringing.is_some()));
    let rings = within("the ringing at the callee", rings).await;
    drop(dial);
    let record = within("the end of the call", sandbox.call_ended(&rings.call_id)).await;
    assert!(matches!(record.outcome, Some(CallOutcome::Cancelled { .. })), "{:?}", record.outcome);
    // The endpoint goes on, without it.
    phone.idle().await;
    let next = phone.dial(HANGS_UP).await;
    assert_eq!(Story::of(&next).await.ending(), "completed by remote: 200 OK (16)");
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn servers_are_tried_by_priority_and_among_equals_by_weight() {
    let names = NameServer::start().await;
    let chosen = Server::saying(&["486 Busy Here"]).await;
    let (weightless, later) = (Server::silent().await, Server::silent().await);
    for (host, server) in [("a.test", &later), ("b.test", &weightless), ("c.test", &chosen)] {
        names.host(host, HOUR, server.address);
    }
    // Without weight, one in 65,536 calls goes there.
    names.set(
        "_sip._udp.pbx.test",
        HOUR,
        vec![
            srv(20, 65535, later.address, "a.test"),
            srv(10, 0, weightless.address, "b.test"),
            srv(10, 65535, chosen.address, "c.test"),
        ],
    );
    let phone = Phone::start(&names.udp("pbx.test")).await;
    for _ in 0..2 {
        assert_eq!(call(&phone).await, "busy by remote: 486 Busy Here");
    }
    assert_eq!((chosen.invites().len(), weightless.invites().len(), later.invites().len()), (2, 0, 0));
    assert_eq!(names.asked("_sip._udp.pbx.test", RecordType::SRV), 1, "the second call needs no lookup");
    phone.shutdown().await;
}

#[tokio::test]
async fn a_naptr_record_names_the_service_of_the_trunks_transport() {
    let names = NameServer::start().await;
    let chosen = Server::saying(&["486 Busy Here"]).await;
    let other = Server::silent().await;
    names.set(
        "pbx.test",
        HOUR,
        vec![
            naptr(1, "SIP+D2T", "_sip._tcp.other.test"),
            naptr(3, "SIP+D2U", "_sip._udp.other.test"),
            naptr(2, "SIP+D2U", "_named._udp.chosen.test"),
        ],
    );
    names.servers("_named._udp.chosen.test", &[chosen.address]);
    for service in ["_sip._udp.pbx.test", "_sip._udp.other.test", "_sip._tcp.other.test"] {
        names.servers(service, &[other.address]);
    }
    let phone = Phone::start(&names.udp("pbx.test")).await;
    assert_eq!(call(&phone).await, "busy by remote: 486 Busy Here");
    assert_eq!((chosen.invites().len(), other.invites().len()), (1, 0));
    phone.shutdown().await;
}

#[tokio::test]
async fn a_name_without_service_records_has_the_usual_port_and_one_with_a_port_is_only_a_host() {
    let names = NameServer::start().await;
    let server = Server::saying(&["486 Busy Here"]).await;
    names.host("pbx.test", HOUR, server.address);
    let phone = Phone::start(&names.udp("pbx.test")).await;
    assert_eq!(call(&phone).await, "busy by remote: 486 Busy Here");
    assert_eq!(names.asked("_sip._udp.pbx.test", RecordType::SRV), 1);
    phone.shutdown().await;

    names.zone.lock().unwrap().asked.clear();
    let phone = Phone::start(&names.udp("pbx.test:5060")).await;
    assert_eq!(call(&phone).await, "busy by remote: 486 Busy Here");
    assert_eq!(names.zone.lock().unwrap().asked, [(name("pbx.test"), RecordType::A)]);
    phone.shutdown().await;
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_and_remembered_for_its_time() {
    let names = NameServer::start().await;
    let phone = Phone::start(&names.udp("nowhere.test")).await;
    for _ in 0..2 {
        match phone.dial_in_vain(NUMBER).await {
            DialError::Unreachable { detail, .. } => assert_eq!(detail, "there is no host nowhere.test"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names.asked("nowhere.test", RecordType::A), 1);
    phone.shutdown().await;

    names.zone.lock().unwrap().negative_ttl = 1;
    let phone = Phone::start(&names.udp("late.test")).await;
    phone.dial_in_vain(NUMBER).await;
    let server = Server::saying(&["486 Busy Here"]).await;
    names.host("late.test", HOUR, server.address);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(call(&phone).await, "busy by remote: 486 Busy Here");
    phone.shutdown().await;
}

#[tokio::test]
async fn an_answer_counts_until_its_time_has_passed() {
    let names = NameServer::start().await;
    let (first, second) =
        (Server::saying(&["486 Busy Here"]).await, Server::saying(&["404 Not Found"]).await);
    for (ttl, ending) in [(HOUR, "busy by remote: 486 Busy Here"), (1, "not_found by remote: 404 Not Found")]
    {
        names.host("pbx.test", ttl, first.address);
        let phone = Phone::start(&names.udp("pbx.test:5060")).await;
        assert_eq!(call(&phone).await, "busy by remote: 486 Busy Here");
        names.host("pbx.test", ttl, second.address);
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        assert_eq!(call(&phone).await, ending);
        phone.shutdown().await;
    }
}

#[tokio::test]
async fn a_name_that_is_being_looked_up_holds_no_other_trunk_up() {
    let names = NameServer::start().await;
    for silent in ["hangs.test", "_sip._udp.hangs.test"] {
        names.zone.lock().unwrap().silent.insert(name(silent));
    }
    let server = Server::saying(&["486 Busy Here"]).await;
    let trunks = udp_trunk("hangs", "hangs.test") + &udp_trunk("works", &server.address.to_string());
    let phone = Phone::start(&names.config(&trunks)).await;
    let endpoint = phone.endpoint().clone();
    let hangs = tokio::spawn(async move { endpoint.dial_with(request(NUMBER).trunk("hangs")).await });
    let asked = async {
        while names.asked("_sip._udp.hangs.test", RecordType::SRV) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the question", asked).await;
    let story = Story::of(&phone.dial_with(request(NUMBER).trunk("works")).await).await;
    assert_eq!(story.ending(), "busy by remote: 486 Busy Here");
    assert!(!hangs.is_finished(), "no name server has answered yet");
    match within("the end of the lookup", hangs).await.unwrap() {
        Err(DialError::Unreachable { detail, .. }) => assert!(detail.contains("hangs.test"), "{detail}"),
        other => panic!("{other:?}"),
    }
    phone.shutdown().await;
}

#[tokio::test]
async fn an_endpoint_shuts_down_while_a_name_is_looked_up() {
    let names = NameServer::start().await;
    names.zone.lock().unwrap().silent.insert(name("hangs.test"));
    let account = format!("register = true\nuser = \"alice\"\n{}\n", trunk::password("wonderland"));
    let phone = Phone::start(&(names.udp("hangs.test:5060") + &account)).await;
    let endpoint = phone.endpoint().clone();
    let dial = tokio::spawn(async move { endpoint.dial_with(request(NUMBER)).await });
    while names.asked("hangs.test", RecordType::A) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    within("the shutdown", phone.endpoint().shutdown(outdial::Shutdown::HangUp)).await;
    assert!(within("the dial", dial).await.unwrap().is_err());
}

#[tokio::test]
async fn a_call_whose_server_is_unavailable_goes_to_the_next_and_so_do_those_after_it() {
    let names = NameServer::start().await;
    let first = Server::saying(&["503 Service Unavailable\r\nRetry-After: 120"]).await;
    let second = Server::saying(&["486 Busy Here"]).await;
    names.servers("_sip._udp.pbx.test", &[first.address, second.address]);
    let phone = Phone::start(&names.udp("pbx.test")).await;
    let call = phone.dial(NUMBER).await;
    Story::of(&call).await.assert("initiated ended", "busy by remote: 486 Busy Here");
    let (one, other) = (first.invites(), second.invites());
    assert_eq!((one.len(), other.len()), (1, 1));
    assert_eq!((one[0].0.as_str(), other[0].0.as_str()), (call.id().as_str(), call.id().as_str()));
    assert_ne!(one[0].1, other[0].1, "each attempt is a request of its own");
    // The first one is left alone for the time that it asked for.
    assert_eq!(self::call(&phone).await, "busy by remote: 486 Busy Here");
    assert_eq!((first.invites().len(), second.invites().len()), (1, 2));
    phone.shutdown().await;
}

#[tokio::test]
async fn where_all_servers_fail_the_last_failure_counts() {
    let names = NameServer::start().await;
    let first = Server::saying(&["503 First\r\nRetry-After: 120"]).await;
    let second = Server::saying(&["503 Second\r\nReason: Q.850;cause=34"]).await;
    names.servers("_sip._udp.pbx.test", &[first.address, second.address]);
    let phone = Phone::start(&names.udp("pbx.test")).await;
    let story = Story::of(&phone.dial(NUMBER).await).await;
    story.assert("initiated ended", "unreachable by remote: 503 Second (34)");
    assert_eq!(story.end.retry_after, None, "that was the first one's");
    assert_eq!((first.invites().len(), second.invites().len()), (1, 1));
    phone.shutdown().await;
}

#[tokio::test]
async fn a_call_whose_server_is_silent_goes_to_the_next() {
    let names = NameServer::start().await;
    let first = Server::silent().await;
    let second = Server::saying(&["100 Trying", "180 Ringing", "486 Busy Here"]).await;
    names.servers("_sip._udp.pbx.test", &[first.address, second.address]);
    let phone = Phone::start(&names.udp("pbx.test")).await;
    let story = Story::of(&phone.dial(NUMBER).await).await;
    story.assert("initiated trying ringing ended", "busy by remote: 486 Busy Here");
    assert_eq!((first.invites().len(), second.invites().len()), (1, 1));
    phone.shutdown().await;
}

#[tokio::test]
async fn what_a_server_that_was_given_up_says_later_does_not_count() {
    let names = NameServer::start().await;
    let (first, second) = (Server::silent().await, Server::saying(&["100 Trying"]).await);
    names.servers("_sip._udp.pbx.test", &[first.address, second.address]);
    let phone = Phone::start(&names.udp("pbx.test")).await;
    let call = phone.dial(NUMBER).await;
    let mut events = call.events();
    within("the second server", async { while events.next().await != Some(CallEvent::Trying) {} }).await;
    first.answers("180 Ringing").await;
    first.answers("486 Busy Here").await;
    second.answers("404 Not Found").await;
    Story::of(&call).await.assert("initiated trying ended", "not_found by remote: 404 Not Found");
    phone.shutdown().await;
}

#[tokio::test]
async fn what_the_callee_or_the_account_is_told_is_no_reason_to_ask_another_server() {
    for (answers, ending) in [
        (&["486 Busy Here"] as &'static [&'static str], "busy by remote: 486 Busy Here"),
        (&["603 Decline"], "rejected by remote: 603 Decline"),
        (&["403 Forbidden"], "rejected by remote: 403 Forbidden"),
        (&["600 Busy Everywhere"], "busy by remote: 600 Busy Everywhere"),
        (&["503 CPS limit exceeded"], "unreachable by remote: 503 CPS limit exceeded"),
        (&["408 Request Timeout"], "timeout by remote: 408 Request Timeout"),
        // It has rung.
        (&["180 Ringing", "503 Service Unavailable"], "unreachable by remote: 503 Service Unavailable"),
    ] {
        let names = NameServer::start().await;
        let first = Server::saying(answers).await;
        let second = Server::silent().await;
        names.servers("_sip._udp.pbx.test", &[first.address, second.address]);
        let phone = Phone::start(&names.udp("pbx.test")).await;
        assert_eq!(call(&phone).await, ending);
        assert_eq!((first.invites().len(), second.invites().len()), (1, 0), "{answers:?}");
        phone.shutdown().await;
    }
}

#[tokio::test]
async fn a_call_that_is_hung_up_goes_to_no_other_server() {
    let names = NameServer::start().await;
    let (first, second) = (Server::silent().await, Server::silent().await);
    names.servers("_sip._udp.pbx.test", &[first.address, second.address]);
    let phone = Phone::start(&names.udp("pbx.test")).await;
    let call = phone.dial(NUMBER).await;
    within("the end", call.hangup()).await;
    assert!(Story::of(&call).await.ending().starts_with("cancelled by local"));
    // Waits until PJSIP is done with the INVITE.
    phone.shutdown().await;
    assert_eq!(second.invites(), []);
}

#[tokio::test]
async fn a_refused_connection_leads_to_the_next_server() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let names = NameServer::start().await;
    let nobody = SocketAddr::new(trunk::loopback(11), 5060);
    names.servers("_sip._tcp.pbx.test", &[nobody, sandbox.tcp().unwrap()]);
    let tcp = format!(
        "[trunks.{}]\nserver = \"pbx.test\"\ntransport = \"tcp\"\n{}\n",
        trunk::NAME,
        trunk::account(&sandbox)
    );
    let phone = Phone::start(&names.config(&tcp)).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    assert_eq!(Story::of(&call).await.ending(), "completed by local: 200 OK");
    phone.shutdown().await;
    sandbox.shutdown().await;
}

fn tls_trunk(server: &str, sandbox: &Sandbox) -> String {
    format!(
        "[trunks.{}]\nserver = \"{server}\"\nca_file = {:?}\n{}\n",
        trunk::NAME,
        sandbox.ca_path(),
        trunk::account(sandbox)
    )
}

#[tokio::test]
async fn a_server_whose_certificate_is_refused_leads_to_the_next() {
    let bad = Sandbox::builder().certificate(ServerCertificate::UnknownAuthority).start().await.unwrap();
    let good = Sandbox::builder().start().await.unwrap();
    let names = NameServer::start().await;
    let service = format!("_sips._tcp.{}", good.host_name());
    names.servers(&service, &[bad.tls().unwrap(), good.tls().unwrap()]);
    let phone = Phone::start(&names.config(&tls_trunk(good.host_name(), &good))).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    assert_eq!(Story::of(&call).await.ending(), "completed by local: 200 OK");
    assert!(bad.calls().is_empty());
    phone.shutdown().await;
    bad.shutdown().await;
    good.shutdown().await;
}

/// Whoever can forge an answer of a name server must not choose whose certificate is good.
#[tokio::test]
async fn the_certificate_is_checked_for_the_configured_name_wherever_srv_points() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let names = NameServer::start().await;
    let server = sandbox.tls().unwrap();
    let host = sandbox.host_name();
    names.servers(&format!("_sips._tcp.{host}"), &[server]);
    let phone = Phone::start(&names.config(&tls_trunk(host, &sandbox))).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    phone.shutdown().await;

    // The name that SRV points to is in the certificate, the configured one is not.
    names.host(host, HOUR, server);
    names.set("_sips._tcp.pbx.test", HOUR, vec![srv(1, 1, server, host)]);
    let phone = Phone::start(&names.config(&tls_trunk("pbx.test", &sandbox))).await;
    match phone.dial_in_vain(NUMBER).await {
        DialError::Unreachable { detail, .. } => assert!(detail.contains("identity"), "{detail}"),
        other => panic!("{other:?}"),
    }
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_registrar_that_fails_leads_to_the_next_and_calls_go_where_we_are_registered() {
    let sandbox = Sandbox::builder().require_registration().start().await.unwrap();
    let names = NameServer::start().await;
    let first = Server::saying(&["503 Service Unavailable"]).await;
    names.servers("_sip._udp.pbx.test", &[first.address, sandbox.udp().unwrap()]);
    let account = format!("register = true\n{}\n", trunk::account(&sandbox));
    let phone = Phone::start(&(names.udp("pbx.test").trim_end().to_owned() + "\n" + &account)).await;
    let state = phone.registration(|state| matches!(state, Registration::Registered { .. })).await;
    assert!(matches!(state, Registration::Registered { .. }));
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    assert_eq!(first.invites(), []);
    phone.shutdown().await;
    sandbox.shutdown().await;
}

/// A PBX that moves: its name has another address, and both are up.
#[tokio::test]
async fn a_registration_follows_its_name_to_another_address() {
    let at = |last: u8| SocketAddr::new(trunk::loopback(last), 5060);
    let pbx = |last: u8| Sandbox::builder().udp(at(last)).tcp(None).tls(None).max_expires(6).start();
    let (old, new) = (pbx(24).await.unwrap(), pbx(25).await.unwrap());
    let names = NameServer::start().await;
    names.host("pbx.test", 1, at(24));
    let config = format!("{}register = true\n{}", names.udp("pbx.test:5060"), trunk::account(&old));
    let phone = Phone::start(&config).await;
    phone.registration(|state| matches!(state, Registration::Registered { .. })).await;
    assert_eq!((old.registrations().len(), new.registrations().len()), (1, 0));
    names.host("pbx.test", HOUR, at(25));
    let moved = async {
        while new.registrations().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the registration at the new address", moved).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    within("the end", call.hangup()).await;
    assert_eq!(new.calls().len(), 1);
    phone.shutdown().await;
    for sandbox in [old, new] {
        sandbox.shutdown().await;
    }
}

/// RFC 3596: the name of a service on IPv6 alone.
#[tokio::test]
async fn an_endpoint_on_ipv6_goes_by_aaaa_records() {
    let loopback = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    let sandbox = Sandbox::builder().udp(loopback).tcp(None).tls(None).start().await.unwrap();
    let names = NameServer::start().await;
    names.set("_sip._udp.pbx.test", HOUR, vec![srv(1, 1, sandbox.udp().unwrap(), "six.pbx.test")]);
    names.set("six.pbx.test", HOUR, vec![RData::AAAA(AAAA(std::net::Ipv6Addr::LOCALHOST))]);
    let config = names.udp("pbx.test").replace(&trunk::loopback(1).to_string(), "::1");
    let phone = Phone::start(&format!("{config}{}", trunk::account(&sandbox))).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    within("the end", call.hangup()).await;
    assert_eq!(sandbox.calls().len(), 1);
    assert_eq!(names.asked("six.pbx.test", RecordType::A), 0);
    phone.shutdown().await;
    sandbox.shutdown().await;
}
