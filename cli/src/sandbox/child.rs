//! A sandbox as a process of its own, for a call to the trunk `sandbox` that nobody configured.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Ready;

/// A start that takes longer has failed. Keys are made, files are written: a second or two on a busy machine.
const START: Duration = Duration::from_secs(30);
/// How long it may take to say goodbye to callers.
const END: Duration = Duration::from_secs(5);

/// A running sandbox; it ends with this process at the latest.
pub(crate) struct SandboxProcess {
    child: Child,
    pub(crate) ready: Ready,
}

impl SandboxProcess {
    /// Starts this same program as a sandbox and waits until it listens.
    pub(crate) async fn start() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the program that is running")?;
        let mut child = Command::new(program)
            .args(["sandbox", "--json", "--until-stdin-closes"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // Ctrl-C on the terminal is for us: the sandbox must still be there to take the BYE.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the sandbox")?;
        let mut out =
            BufReader::new(child.stdout.take().ok_or_else(|| anyhow!("the sandbox has no output"))?);
        let mut line = String::new();
        timeout(START, out.read_line(&mut line)).await.context("the sandbox did not start in time")??;
        if line.is_empty() {
            bail!("the sandbox ended while it was starting");
        }
        #[derive(Deserialize)]
        struct First {
            sandbox: Ready,
        }
        let First { sandbox: ready } =
            serde_json::from_str(&line).with_context(|| format!("the sandbox said {line:?}"))?;
        // What it tells later is read away, or it would wait for a reader some day.
        tokio::spawn(async move {
            let mut ignored = [0; 4096];
            while out.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
        });
        Ok(Self { child, ready })
    }

    /// Ends it and waits for that.
    pub(crate) async fn end(mut self) {
        // Its standard input closes, which tells it to go.
        drop(self.child.stdin.take());
        if timeout(END, self.child.wait()).await.is_err() {
            // Dropping the child kills it.
            tracing::warn!("the sandbox did not end in time");
        }
    }
}
