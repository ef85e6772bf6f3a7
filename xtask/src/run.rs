//! Running programs.

use anyhow::{Context as _, bail};
use std::env;
use std::process::{Command, Stdio};

/// A program whose success is needed.
pub(crate) struct Step {
    command: Command,
}

impl Step {
    pub(crate) fn new(command: Command) -> Self {
        Self { command }
    }

    /// The cargo that runs us, in the workspace's folder.
    pub(crate) fn cargo(arguments: &[&str]) -> Self {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(crate::root()).args(arguments);
        Self { command }
    }

    pub(crate) fn arguments(mut self, arguments: &[String]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with our own input and output.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let status = self.command.status().with_context(|| self.line())?;
        if !status.success() {
            bail!("`{}` failed: {status}", self.line());
        }
        Ok(())
    }

    /// Whether it can be run at all; its output is not shown.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.output().is_ok_and(|output| output.status.success())
    }

    /// Whether it succeeded, and what it wrote.
    pub(crate) fn output(mut self) -> anyhow::Result<(bool, String)> {
        let output = self.command.output().with_context(|| self.line())?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// What it wrote to its standard output; the rest is shown.
    pub(crate) fn lines(mut self) -> anyhow::Result<Vec<String>> {
        let output = self.command.stderr(Stdio::inherit()).output().with_context(|| self.line())?;
        if !output.status.success() {
            bail!("`{}` failed: {}", self.line(), output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    fn line(&self) -> String {
        let program = self.command.get_program().to_string_lossy();
        let name = program.rsplit('/').next().unwrap_or_default().to_owned();
        let arguments = self.command.get_args().map(|argument| argument.to_string_lossy());
        std::iter::once(name.into()).chain(arguments).collect::<Vec<_>>().join(" ")
    }
}
