//! `outdial sandbox`: a telephone company on this machine, for demos and tests.

mod child;
mod fragment;
mod list;
mod log;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use outdial_sandbox::{Builder, Sandbox, ServerCertificate, Speech, SrtpPolicy};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

pub(crate) use child::SandboxProcess;

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;

/// Be a telephone company: a SIP registrar and callee whose dialled number chooses what happens
///
/// It runs until Ctrl-C. `--list` shows what each number does.
#[derive(Debug, Args)]
pub(crate) struct SandboxCommand {
    /// Print what each number does, and end
    #[arg(long)]
    list: bool,
    /// Print JSON, one object per line: first the addresses, then what happens
    #[arg(long)]
    json: bool,
    /// Where to listen for SIP over UDP, port 0 for any free one; "off" for not at all
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    udp: Listen,
    /// Where to listen for SIP over TCP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    tcp: Listen,
    /// Where to listen for SIP over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    tls: Listen,
    /// Where certificates, outdial.toml and the recordings of what callees heard go; otherwise a temporary folder
    /// without recordings
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// The account's name
    #[arg(long, default_value = "sandbox")]
    user: String,
    /// The account's password
    #[arg(long, default_value = "sandbox")]
    password: String,
    /// Ask nobody for a password
    #[arg(long)]
    no_password: bool,
    /// Whether sound must, may or must not be encrypted
    #[arg(long, value_enum, default_value = "optional")]
    srtp: Srtp,
    /// What is wrong with the TLS certificate
    #[arg(long, value_enum, default_value = "valid")]
    certificate: Certificate,
    /// Take TLS connections only from clients that show the certificate client.pem
    #[arg(long)]
    demand_client_certificate: bool,
    /// What +12025550101 says
    #[arg(long, value_name = "TEXT")]
    greeting: Option<String>,
    /// What it says when the caller has spoken, in the place of the tone behind its greeting
    #[arg(long, value_name = "TEXT")]
    reply: Option<String>,
    /// Which voice speaks
    #[arg(long, value_enum, default_value = "auto")]
    voice: Voice,
    /// End when standard input does: for programs that start a sandbox
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

/// An address to listen at, or none.
#[derive(Debug, Clone, Copy)]
struct Listen(Option<SocketAddr>);

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let address =
            text.parse().map_err(|_| "an address is 127.0.0.1:5060, [::1]:5060 or off".to_owned())?;
        Ok(Self(Some(address)))
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Srtp {
    Off,
    Optional,
    Required,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Voice {
    /// Whatever is installed
    Auto,
    EspeakNg,
    Flite,
    /// Needs nothing installed
    Melodies,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Certificate {
    Valid,
    Expired,
    NotYetValid,
    WrongHost,
    Wildcard,
    UnknownAuthority,
}

/// The first line of `--json`: where the sandbox is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) udp: Option<SocketAddr>,
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) ca_file: PathBuf,
    /// A configuration with the trunk `sandbox`.
    pub(crate) config: PathBuf,
    pub(crate) voice: String,
}

impl SandboxCommand {
    /// Runs the sandbox until it is told to end.
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        if self.list {
            list::print(self.json)?;
            return Ok(Exit::Completed);
        }
        let mut interrupts = Interrupts::listen()?;
        let sandbox = self.builder().start().await?;
        let mut events = sandbox.events();
        let ready = self.ready(&sandbox)?;
        let mut out = anstream::stdout();
        if self.json {
            writeln!(out, "{}", log::ready(&ready))?;
        } else {
            self.greet(&mut out, &ready)?;
        }
        out.flush()?;
        let mut parent = tokio::io::stdin();
        let mut ignored = [0; 64];
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { break };
                    let line = if self.json { log::json(&event) } else { log::text(&event) };
                    if let Some(line) = line {
                        writeln!(out, "{line}")?;
                        out.flush()?;
                    }
                }
                () = interrupts.next() => break,
                read = parent.read(&mut ignored), if self.until_stdin_closes => {
                    if read.unwrap_or(0) == 0 {
                        break;
                    }
                }
            }
        }
        sandbox.shutdown().await;
        Ok(Exit::Completed)
    }

    fn builder(&self) -> Builder {
        let mut builder = Sandbox::builder()
            .udp(self.udp.0)
            .tcp(self.tcp.0)
            .tls(self.tls.0)
            .account(&self.user, &self.password)
            .srtp(match self.srtp {
                Srtp::Off => SrtpPolicy::Off,
                Srtp::Optional => SrtpPolicy::Optional,
                Srtp::Required => SrtpPolicy::Required,
            })
            .certificate(match self.certificate {
                Certificate::Valid => ServerCertificate::Valid,
                Certificate::Expired => ServerCertificate::Expired,
                Certificate::NotYetValid => ServerCertificate::NotYetValid,
                Certificate::WrongHost => ServerCertificate::WrongHost,
                Certificate::Wildcard => ServerCertificate::Wildcard,
                Certificate::UnknownAuthority => ServerCertificate::UnknownAuthority,
            });
        if let Some(folder) = &self.dir {
            builder = builder.directory(folder);
        }
        if let Some(greeting) = &self.greeting {
            builder = builder.greeting(greeting);
        }
        if let Some(reply) = &self.reply {
            builder = builder.reply(reply);
        }
        builder = builder.speech(match self.voice {
            Voice::Auto => Speech::Auto,
            Voice::EspeakNg => Speech::EspeakNg,
            Voice::Flite => Speech::Flite,
            Voice::Melodies => Speech::Melodies,
        });
        if self.no_password {
            builder = builder.without_authentication();
        }
        if self.demand_client_certificate {
            builder = builder.demand_client_certificate();
        }
        builder.max_call(Duration::from_secs(600))
    }

    /// Writes the configuration for callers beside the certificates.
    fn ready(&self, sandbox: &Sandbox) -> Result<Ready> {
        let ca_file = std::path::absolute(sandbox.ca_path())?;
        let folder = ca_file.parent().ok_or_else(|| anyhow!("the certificates lie in no folder"))?;
        let ready = Ready {
            udp: sandbox.udp(),
            tcp: sandbox.tcp(),
            tls: sandbox.tls(),
            config: folder.join("outdial.toml"),
            voice: sandbox.speech().to_string(),
            ca_file: ca_file.clone(),
        };
        let account = (!self.no_password).then_some((self.user.as_str(), self.password.as_str()));
        let text = self.fragment(&ready)?;
        if let Some((_, password)) = account {
            write_private(&folder.join(fragment::PASSWORD_FILE), password)?;
        }
        std::fs::write(&ready.config, text)
            .with_context(|| format!("cannot write {}", ready.config.display()))?;
        Ok(ready)
    }

    fn fragment(&self, ready: &Ready) -> Result<String> {
        let user = (!self.no_password).then_some(self.user.as_str());
        fragment::trunk(ready, user, self.demand_client_certificate)
            .ok_or_else(|| anyhow!("the sandbox listens nowhere: --udp, --tcp and --tls are all off"))
    }

    fn greet(&self, out: &mut impl std::io::Write, ready: &Ready) -> Result<()> {
        let config = ready.config.display();
        writeln!(
            out,
            "The sandbox listens until Ctrl-C; `outdial sandbox --list` shows what each number does.\n"
        )?;
        for (name, address) in [("UDP", ready.udp), ("TCP", ready.tcp), ("TLS", ready.tls)] {
            if let Some(address) = address {
                writeln!(out, "  {name}        {address}")?;
            }
        }
        if !self.no_password {
            writeln!(out, "  account    {}, password {}", self.user, self.password)?;
        }
        writeln!(out, "  authority  {}", ready.ca_file.display())?;
        writeln!(out, "  voice      {}\n", ready.voice)?;
        writeln!(out, "The trunk for it, as {config} has it:\n\n{}", self.fragment(ready)?)?;
        writeln!(out, "Try: outdial dial +12025550101 --config {config} --say \"Hello, this is a test.\"\n")?;
        Ok(())
    }
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let problem = || format!("cannot write {}", path.display());
    // A file left by an earlier run keeps its mode when it is opened again, so it goes first.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(problem);
        }
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(problem)?;
    file.write_all(text.as_bytes()).with_context(problem)
}
