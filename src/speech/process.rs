//! Programs that speak or listen.

use std::future::Future;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::AdapterError;

/// A program of a Debian package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) package: &'static str,
}

impl Program {
    /// A command with both pipes, that is killed when nobody holds it any more.
    pub(super) fn command(self) -> Command {
        let mut command = Command::new(self.name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(super) fn spawn(self, command: &mut Command) -> Result<Child, AdapterError> {
        command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                AdapterError::MissingProgram { program: self.name, package: self.package }
            }
            _ => AdapterError::io(format!("cannot run {}", self.name), error),
        })
    }

    /// A pipe of the program failed.
    pub(super) fn pipe(self, error: io::Error) -> AdapterError {
        AdapterError::io(format!("a pipe of {}", self.name), error)
    }

    /// The program ended with an error and these last words.
    pub(super) fn failed(self, what: impl Into<String>) -> AdapterError {
        AdapterError::Program { program: self.name, what: what.into() }
    }

    /// What must not take longer than `limit`.
    pub(super) async fn within<T>(
        self,
        limit: Duration,
        work: impl Future<Output = Result<T, AdapterError>>,
    ) -> Result<T, AdapterError> {
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(AdapterError::TimedOut { what: format!("the answer of {}", self.name), limit }),
        }
    }
}
