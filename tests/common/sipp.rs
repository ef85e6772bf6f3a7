//! sipp, running a scenario of `tests/sipp`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::{trunk, within};

/// After this many seconds a scenario has failed.
const TIMEOUT: &str = "40";

/// Each sipp has an address of its own, so that their ports for RTP cannot collide.
static NEXT: AtomicU8 = AtomicU8::new(10);

/// A running sipp.
pub struct Sipp {
    child: Child,
    scenario: String,
    address: SocketAddr,
    folder: TempDir,
}

impl Sipp {
    /// Waits for one call and handles it as the scenario says.
    pub async fn serve(scenario: &str) -> Self {
        Self::run(scenario, &[], None).await
    }

    /// The same, with values for the scenario's own keywords.
    pub async fn serve_with(scenario: &str, keys: &[(&str, &str)]) -> Self {
        Self::run(scenario, keys, None).await
    }

    /// Calls `target` as the scenario says.
    pub async fn call(scenario: &str, target: SocketAddr, keys: &[(&str, &str)]) -> Self {
        Self::run(scenario, keys, Some(target)).await
    }

    /// Waits for a call at an address that the peer of the test knows.
    pub async fn serve_at(scenario: &str, address: SocketAddr) -> Self {
        Self::start("sipp".as_ref(), &[], scenario, &[], None, address).await
    }

    /// Waits for a call over TLS, with the sipp and the certificate that `cargo xtask peers` keeps in a folder.
    pub async fn serve_tls(scenario: &str, peers: &Path) -> Self {
        let address = SocketAddr::new(trunk::loopback(NEXT.fetch_add(1, Ordering::Relaxed)), 5061);
        let file = |name: &str| peers.join("pki").join(name).display().to_string();
        let options = [
            ("-t", "l1".to_owned()),
            ("-tls_cert", file("server.pem")),
            ("-tls_key", file("server.key")),
            ("-tls_version", "1.2".to_owned()),
        ];
        let options: Vec<String> =
            options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Self::start(&peers.join("sipp"), &options, scenario, &[], None, address).await
    }

    async fn run(scenario: &str, keys: &[(&str, &str)], target: Option<SocketAddr>) -> Self {
        let address = SocketAddr::new(trunk::loopback(NEXT.fetch_add(1, Ordering::Relaxed)), 5060);
        Self::start("sipp".as_ref(), &[], scenario, keys, target, address).await
    }

    async fn start(
        program: &Path,
        options: &[String],
        scenario: &str,
        keys: &[(&str, &str)],
        target: Option<SocketAddr>,
        address: SocketAddr,
    ) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder takes folders");
        let file = folder.path().join("scenario.xml");
        std::fs::write(&file, text_of(scenario, keys)).expect("the temporary folder takes files");
        let mut command = Command::new(program);
        command.args(options);
        command.args(target.map(|target| target.to_string()));
        command.arg("-sf").arg(file);
        command.args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()]);
        command.args(["-m", "1", "-nostdin", "-rtp_echo", "-timeout", TIMEOUT, "-timeout_error"]);
        command.arg("-trace_err").arg("-error_file").arg(folder.path().join("errors"));
        command.arg("-trace_msg").arg("-message_file").arg(folder.path().join("messages"));
        let child = command
            .current_dir(folder.path())
            .env("TERM", "dumb")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "cannot run sipp: {error}. It is in Debian's package sip-tester: apt-get install sip-tester"
            )
        });
        let mut sipp = Self { child, scenario: scenario.to_owned(), address, folder };
        // One that calls may be done before anybody has looked.
        if target.is_none() {
            let table = if options.is_empty() { "/proc/net/udp" } else { "/proc/net/tcp" };
            within("sipp's socket", sipp.listens(table)).await;
        }
        sipp
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the end of the scenario, which must have gone as written, and returns its messages.
    pub async fn finish(mut self) -> Transcript {
        let status = within("the end of sipp", self.child.wait()).await.expect("it was started");
        let messages = self.read("messages");
        if !status.success() {
            panic!("{}", self.failure(status, &messages));
        }
        Transcript::parse(&messages)
    }

    fn failure(&self, status: ExitStatus, messages: &str) -> String {
        let errors = self.read("errors");
        format!("sipp: {} failed with {status}\n{errors}\n--- its messages\n{messages}", self.scenario)
    }

    fn read(&self, file: &str) -> String {
        // A sipp with nothing to report writes no file.
        let bytes = std::fs::read(self.folder.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the socket is there: a request before that would be lost.
    async fn listens(&mut self, table: &str) {
        let SocketAddr::V4(address) = self.address else { panic!("sipp has an IPv4 address") };
        // The kernel's table has addresses as numbers of the machine's own byte order.
        let ip = u32::from_ne_bytes(address.ip().octets());
        let line = format!(" {ip:08X}:{:04X} ", address.port());
        while !std::fs::read_to_string(table).expect("Linux").contains(&line) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if let Some(status) = self.child.try_wait().expect("it was started") {
                let mut words = String::new();
                let mut stderr = self.child.stderr.take().expect("it is piped");
                let _ = stderr.read_to_string(&mut words).await;
                panic!("sipp: {} did not start: {status}\n{words}", self.scenario);
            }
        }
    }
}

/// A scenario with the values of its own keywords. sipp's option `-key` does not do for status lines, which sipp
/// reads when it starts.
fn text_of(scenario: &str, keys: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sipp").join(scenario).with_extension("xml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    keys.iter().fold(text, |text, (keyword, value)| text.replace(&format!("[{keyword}]"), value))
}

/// The messages of a scenario, as sipp saw them.
#[derive(Debug)]
pub struct Transcript {
    pub received: Vec<Message>,
    pub sent: Vec<Message>,
}

/// A SIP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(String);

impl Transcript {
    fn parse(log: &str) -> Self {
        let mut transcript = Self { received: Vec::new(), sent: Vec::new() };
        for part in log.split("-----------------------------------------------").skip(1) {
            let Some((what, message)) = part.split_once(":\n\n") else { continue };
            let message = Message(message.replace("\r\n", "\n"));
            if what.contains(" received ") {
                transcript.received.push(message);
            } else {
                transcript.sent.push(message);
            }
        }
        transcript
    }

    /// The requests that came with this method, repetitions left out.
    pub fn requests(&self, method: &str) -> Vec<&Message> {
        let mut found: Vec<&Message> = Vec::new();
        for message in &self.received {
            let again = found.iter().any(|other| other.header("Via") == message.header("Via"));
            if message.first_line().starts_with(&format!("{method} ")) && !again {
                found.push(message);
            }
        }
        found
    }

    /// The one request that came with this method.
    pub fn request(&self, method: &str) -> &Message {
        match self.requests(method)[..] {
            [one] => one,
            ref found => panic!("{} {method} instead of one: {self:#?}", found.len()),
        }
    }

    /// The responses that came to requests of this method.
    pub fn responses(&self, method: &str) -> Vec<&Message> {
        let to = |message: &&Message| {
            message.first_line().starts_with("SIP/2.0 ")
                && message.header("CSeq").is_some_and(|v| v.ends_with(method))
        };
        self.received.iter().filter(to).collect()
    }
}

impl Message {
    /// The request or status line.
    pub fn first_line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\n\n").next().unwrap_or_default();
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The whole message.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The body.
    pub fn body(&self) -> &str {
        self.0.split_once("\n\n").map(|(_, body)| body).unwrap_or_default()
    }
}
