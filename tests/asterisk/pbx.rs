//! The peers as the tests see them, and rows of the matrix.

use std::any::Any;
use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use outdial::audio::SampleRate;
use outdial::call::{Answered, CallEnd, EndReason};
use outdial::provider::DialRequest;
use outdial::sip::Registration;

use super::common::phone::request;
use super::common::{Phone, sound, trunk, within};
use super::manager::{Fields, Manager};

/// Asterisk: UDP and TCP 5060, TLS 5061, TLS with client certificates 5062.
pub const ADDRESS: &str = "127.0.0.10";
/// Kamailio, with the same ports.
pub const PROXY: &str = "127.0.0.12";
/// The address that Asterisk trusts without a password.
pub const TRUSTED: &str = "127.0.0.20";
pub const MISSING: &str = "the test peers do not run: cargo xtask peers up";

/// How much is said into an echo, in milliseconds.
pub const SPOKEN: u32 = 1_000;

pub const ECHO: &str = "+12025550100";
pub const BUSY: &str = "+12025550102";
pub const RINGS: &str = "+12025550103";
pub const EARLY_MEDIA: &str = "+12025550105";
pub const HANGS_UP: &str = "+12025550109";
pub const CONGESTION: &str = "+12025550112";
pub const SENDS_DIGITS: &str = "+12025550114";
pub const READS_DIGITS: &str = "+12025550115";
pub const REJECTED: &str = "+12025550122";
pub const NO_SUCH_NUMBER: &str = "+12025550123";
pub const TRANSFERS_US: &str = "+12025550150";
pub const BRIDGED_ECHO: &str = "+12025550151";
pub const ANOTHER_ANSWERS: &str = "+12025550152";
pub const DIRECT: &str = "+12025550153";
pub const OTHER_CODEC_BY_REINVITE: &str = "+12025550155";
pub const OTHER_CODEC_BY_UPDATE: &str = "+12025550156";
pub const TRANSFERS_US_TO_ECHO: &str = "+12025550154";
pub const PLAYED: &str = "+12025550160";
pub const PLAYED_TOO: &str = "+12025550161";

/// Where the peers are kept, as `cargo xtask peers` decides it.
pub fn folder() -> PathBuf {
    let named = std::env::var_os("OUTDIAL_PEERS").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    named.or_else(|| Some(cache?.join("outdial-peers"))).expect("HOME is set")
}

pub fn pki(file: &str) -> String {
    folder().join("pki").join(file).display().to_string()
}

/// A trunk's table: how to reach a peer, by name.
pub fn way(kind: &str, host: &str) -> String {
    let authority = format!("ca_file = {:?}", pki("ca.pem"));
    let certificate = format!("client_cert = {:?}\nclient_key = {:?}", pki("client.pem"), pki("client.key"));
    match kind {
        "udp" | "tcp" => format!("transport = {kind:?}\nHOST = \"{host}\""),
        "tls" => format!("{authority}\nHOST = \"{host}:5061\""),
        "mtls" => format!("{authority}\n{certificate}\nHOST = \"{host}:5062\""),
        other => panic!("{other}"),
    }
}

/// Straight to Asterisk.
pub fn to_asterisk(kind: &str) -> String {
    way(kind, ADDRESS).replace("HOST", "server")
}

/// To Kamailio, as its subscriber.
pub fn to_kamailio(kind: &str) -> String {
    format!("profile = \"kamailio\"\n{}", way(kind, PROXY).replace("HOST", "server"))
}

/// To Asterisk by way of Kamailio.
pub fn through_kamailio(kind: &str) -> String {
    format!("server = \"{ADDRESS}\"\n{}", way(kind, PROXY).replace("HOST", "outbound_proxy"))
}

/// An account of a peer's.
pub fn account(user: &str) -> String {
    format!("user = {user:?}\n{}", trunk::password(&format!("{user}pw")))
}

/// One row: a trunk, and a call over it to a number that echoes.
pub struct Row {
    pub name: &'static str,
    /// The keys of the trunk's table.
    pub trunk: String,
    pub number: &'static str,
    /// How like each piece of the sound must be to what was said, 0 to 1.
    pub likeness: f64,
    pub request: fn(DialRequest) -> DialRequest,
    /// What the row is about.
    pub check: fn(&Outcome),
}

/// What came of a row.
pub struct Outcome {
    pub answered: Answered,
    pub end: CallEnd,
    /// What Asterisk saw of the INVITE.
    pub came: Fields,
    /// What Asterisk counted.
    pub gone: Fields,
    spoken: Vec<i16>,
    heard: Vec<i16>,
}

impl Row {
    pub fn new(name: &'static str, trunk: impl Into<String>, check: fn(&Outcome)) -> Self {
        Self { name, trunk: trunk.into(), number: ECHO, likeness: 0.9, request: |request| request, check }
    }

    /// The name of its trunk.
    fn label(&self) -> String {
        self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    }
}

/// An endpoint with a trunk for each row, all registered that want it.
async fn phone(bind: &str, rows: &[Row]) -> Phone {
    assert!(TcpStream::connect((ADDRESS, 5062)).is_ok(), "{MISSING}");
    assert!(TcpStream::connect((PROXY, 5062)).is_ok(), "{MISSING}");
    let mut config = format!("[endpoint]\nbind = \"{bind}\"\nmax_calls = 64\n");
    for row in rows {
        writeln!(config, "[trunks.{}]\nkeep_alive = \"0s\"\n{}", row.label(), row.trunk).unwrap();
    }
    let phone = Phone::start(&config).await;
    for row in rows {
        let mut registration = phone.endpoint().registration(&row.label()).expect("it is configured");
        let settled = registration.wait_for(|state| *state != Registration::Pending);
        let state = within("the registration", settled).await.expect("the endpoint runs").clone();
        let registers = row.trunk.contains("register = true");
        let fine = match state {
            Registration::Registered { .. } => registers,
            Registration::NotRequired => !registers,
            _ => false,
        };
        assert!(fine, "row {:?}: {state:?}", row.name);
    }
    phone
}

/// An endpoint with one trunk, named as the other tests name it.
pub async fn one(trunk: &str) -> Phone {
    phone(&trunk::loopback(1).to_string(), &[Row::new(trunk::NAME, trunk, |_| {})]).await
}

/// Runs all rows at once and names those that fail.
pub async fn rows(rows: Vec<Row>) {
    rows_from(&trunk::loopback(1).to_string(), rows).await;
}

/// The same, from an address.
pub async fn rows_from(bind: &str, rows: Vec<Row>) {
    let manager = Arc::new(Manager::new().await);
    let phone = Arc::new(phone(bind, &rows).await);
    let mut calls = Vec::new();
    for row in rows {
        let request = (row.request)(request(row.number).trunk(row.label()));
        let call = tokio::spawn(echoed(Arc::clone(&phone), Arc::clone(&manager), request));
        calls.push((row, call));
    }
    let mut failed = Vec::new();
    let mut outcomes = Vec::new();
    for (row, call) in calls {
        match call.await {
            Ok(outcome) => outcomes.push((row, outcome)),
            Err(error) => failed.push(format!("row {:?}: {}", row.name, words(&*error.into_panic()))),
        }
    }
    // Comparing takes the processor, which the calls needed.
    for (row, outcome) in outcomes {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outcome.check(&row)));
        match checked {
            Ok(()) => println!("row {:?}: {}, {:?}", row.name, outcome.answered.codec, outcome.answered.srtp),
            Err(panic) => failed.push(format!("row {:?}: {}", row.name, words(&*panic))),
        }
    }
    let phone = Arc::into_inner(phone).expect("the calls are over");
    phone.shutdown().await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Calls, speaks into the echo and hears it back.
async fn echoed(phone: Arc<Phone>, manager: Arc<Manager>, request: DialRequest) -> Outcome {
    let call = phone.dial_with(request).await;
    let audio = call.audio().unwrap();
    let answered = match within("the answer", call.answered()).await {
        Ok(answered) => answered,
        Err(end) => panic!("not answered: {end:?}"),
    };
    let spoken = sound::sweep(SampleRate::Hz16000, SPOKEN);
    let mut listener = audio.listener;
    let (sent, heard) =
        tokio::join!(audio.speaker.send(&spoken), sound::hear(&mut listener, 2 * spoken.len()));
    sent.unwrap();
    let came = manager.told("Came", call.id().as_str()).await;
    let end = within("the end", call.hangup()).await;
    let gone = manager.told("Gone", call.id().as_str()).await;
    Outcome { answered, end, came, gone, spoken, heard }
}

impl Outcome {
    fn check(&self, row: &Row) {
        let end = &self.end;
        assert_eq!(end.reason, EndReason::Completed, "{end:?}");
        let media = self.media();
        let (rate, least) = (SampleRate::Hz16000, row.likeness);
        sound::assert_came_back(row.name, rate, &self.spoken, &self.heard, least, media);
        assert_eq!(media.packets_lost, 0, "{end:?}");
        // What left here arrived there, and the other way round. The last packets may be on the way.
        let received = self.gone.count("Received");
        assert!(received > 0 && received <= media.packets_sent, "{:?} {media:?}", self.gone);
        assert!(received + 10 >= media.packets_sent, "{:?} {media:?}", self.gone);
        assert!(media.packets_received <= self.gone.count("Sent"), "{:?} {media:?}", self.gone);
        (row.check)(self);
    }

    pub fn media(&self) -> &outdial::call::MediaStats {
        self.end.media.as_ref().expect("it was answered")
    }
}
