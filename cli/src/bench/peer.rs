//! The callee's process, from here.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

use super::callee::Ready;
use super::codec::Codec;
use super::reflector::{Impairment, Report};

/// The other end of all calls, in a process of its own. It ends when this is dropped, or when we end.
pub(super) struct Peer {
    child: Child,
    commands: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    ready: Ready,
}

impl Peer {
    pub(super) fn start(codec: Codec, impairment: Impairment) -> Result<Self> {
        let program = env::current_exe().context("where this program is")?;
        let mut child = Command::new(program)
            .args(["bench", "callee", "--codec", codec.name()])
            .args(["--loss", &impairment.loss.to_string()])
            .args(["--reorder", &impairment.reorder.to_string()])
            .args(["--jitter", &impairment.jitter.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the callee")?;
        let commands = child.stdin.take();
        let mut replies = BufReader::new(child.stdout.take().context("the callee's output")?);
        let ready = line(&mut replies)?;
        Ok(Self { child, commands, replies, ready })
    }

    /// Where it is.
    pub(super) fn ready(&self) -> Ready {
        self.ready
    }

    /// Begins a measurement at the wire.
    pub(super) fn reset(&mut self) -> Result<()> {
        self.ask::<serde_json::Value>("reset").map(drop)
    }

    /// What was measured since.
    pub(super) fn report(&mut self) -> Result<Report> {
        self.ask("report")
    }

    fn ask<T: DeserializeOwned>(&mut self, command: &str) -> Result<T> {
        let commands = self.commands.as_mut().context("the callee's input")?;
        writeln!(commands, "{command}").context("the callee is gone")?;
        line(&mut self.replies)
    }
}

fn line<T: DeserializeOwned>(replies: &mut BufReader<ChildStdout>) -> Result<T> {
    let mut text = String::new();
    replies.read_line(&mut text).context("the callee is gone")?;
    serde_json::from_str(&text).context("the callee said something else than expected")
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.commands = None;
        // It ends with its input; if it is gone already there is nothing to wait for.
        let _ = self.child.wait();
    }
}
