//! The PBX: a sandbox in a process of its own, so that it can be killed, stopped and started anew at its address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use outdial_sandbox::{Event, Sandbox, Speech};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// How it is started.
#[derive(Debug, clap::Args)]
pub struct PbxCommand {
    /// Where it listens for SIP over UDP
    #[arg(long)]
    udp: SocketAddr,
    /// Where it listens for SIP over TLS
    #[arg(long)]
    tls: SocketAddr,
    /// Where its certificates are kept
    #[arg(long)]
    folder: PathBuf,
}

/// Runs a sandbox until standard input closes; tells `ready`, and `ringing CALL-ID` for each telephone that rings.
///
/// # Errors
///
/// If the sandbox does not start.
pub async fn serve(command: &PbxCommand) -> anyhow::Result<()> {
    let sandbox = Sandbox::builder()
        .udp(command.udp)
        .tcp(None)
        .tls(command.tls)
        .directory(&command.folder)
        .speech(Speech::Melodies)
        .max_expires(60)
        // A little loss of signalling at each start.
        .lose_first(3)
        .start()
        .await?;
    println!("ready");
    let mut events = sandbox.events();
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::CallRinging { call_id }) => println!("ringing {call_id}"),
                Some(_) => {}
                None => return Ok(()),
            },
            line = input.next_line() => if !matches!(line, Ok(Some(_))) {
                sandbox.shutdown().await;
                return Ok(());
            },
        }
    }
}

/// The PBX as the soak has it.
pub(crate) struct Pbx {
    program: PathBuf,
    pub(crate) udp: SocketAddr,
    pub(crate) tls: SocketAddr,
    folder: PathBuf,
    rings: Arc<Mutex<BTreeMap<String, u32>>>,
    running: Option<(Child, JoinHandle<()>)>,
}

impl Pbx {
    pub(crate) async fn start(program: &Path, ip: std::net::IpAddr, folder: &Path) -> anyhow::Result<Self> {
        let mut pbx = Self {
            program: program.to_owned(),
            udp: SocketAddr::new(ip, 5060),
            tls: SocketAddr::new(ip, 5061),
            folder: folder.to_owned(),
            rings: Arc::default(),
            running: None,
        };
        pbx.run().await?;
        Ok(pbx)
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("pbx").args(["--udp", &self.udp.to_string(), "--tls", &self.tls.to_string()]);
        command.arg("--folder").arg(&self.folder).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| self.program.display().to_string())?;
        let out = child.stdout.take().context("it is piped")?;
        let mut lines = BufReader::new(out).lines();
        let ready = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
        let ready = ready.context("the PBX does not get ready")??;
        anyhow::ensure!(ready.as_deref() == Some("ready"), "the PBX did not start: {ready:?}");
        let rings = Arc::clone(&self.rings);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(call) = line.strip_prefix("ringing ") {
                    let mut rings = rings.lock().unwrap_or_else(PoisonError::into_inner);
                    *rings.entry(call.to_owned()).or_default() += 1;
                }
            }
        });
        self.running = Some((child, reading));
        Ok(())
    }

    /// Ends it without a word to anybody.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some((mut child, reading)) = self.running.take() {
            child.kill().await.context("kill the PBX")?;
            // What it had said before is read to its end.
            let _ = reading.await;
        }
        Ok(())
    }

    /// Packets to it, and from it, wait until [`go_on`](Self::go_on).
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.running.as_ref().and_then(|(child, _)| child.id());
        let pid = child.and_then(|id| Pid::from_raw(id.cast_signed())).context("the PBX does not run")?;
        kill_process(pid, signal).context("signal the PBX")
    }

    /// How often each call made a telephone ring, by Call-ID.
    pub(crate) fn rings(&self) -> BTreeMap<String, u32> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
