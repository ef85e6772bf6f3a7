//! What the tool tells the shell when it ends: one number per outcome, stable for scripts.

use std::fmt::Write as _;
use std::process::ExitCode;

use outdial::call::EndReason;
use outdial::provider::DialError;

/// The exit codes. `docs/exit-codes.md` and `outdial dial --help` show the same table; tests compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The call was answered and hung up; or, of other commands, all is well.
    Completed = 0,
    /// Anything that has no code of its own.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Configuration = 3,
    /// No call was made, and later it may work.
    Unavailable = 4,
    /// `outdial check` or `outdial audit verify` found something wrong.
    Problems = 5,
    Busy = 10,
    NoAnswer = 11,
    Declined = 12,
    Rejected = 13,
    Unreachable = 14,
    NotFound = 15,
    AuthFailed = 16,
    MediaFailed = 17,
    Cancelled = 18,
    Timeout = 19,
    Policy = 20,
    /// Ctrl-C twice.
    Interrupted = 130,
}

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: [Self; 18] = [
        Self::Completed,
        Self::Failed,
        Self::Usage,
        Self::Configuration,
        Self::Unavailable,
        Self::Problems,
        Self::Busy,
        Self::NoAnswer,
        Self::Declined,
        Self::Rejected,
        Self::Unreachable,
        Self::NotFound,
        Self::AuthFailed,
        Self::MediaFailed,
        Self::Cancelled,
        Self::Timeout,
        Self::Policy,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The name in the tables; for the end of a call, that of its reason.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Unavailable => "unavailable",
            Self::Problems => "problems",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Declined => "declined",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::NotFound => "not_found",
            Self::AuthFailed => "auth_failed",
            Self::MediaFailed => "media_failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Policy => "policy",
            Self::Interrupted => "interrupted",
        }
    }

    /// What it means, in one line.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Completed => "the call was answered, and one side hung up; or the command found all well",
            Self::Failed => "something else went wrong",
            Self::Usage => "the command line is wrong, the number is no E.164 number",
            Self::Configuration => "the configuration, or a secret that it names, cannot be read or is wrong",
            Self::Unavailable => "no call was made: at capacity, no free port; later it may work",
            Self::Problems => "`outdial check` or `outdial audit verify` found something wrong",
            Self::Busy => "the callee is in another call",
            Self::NoAnswer => "it rang, and nobody answered",
            Self::Declined => "the callee refused the call",
            Self::Rejected => "the trunk or the network refused the call: account, caller id, country",
            Self::Unreachable => "no connection to the trunk, or the trunk has no way to the callee",
            Self::NotFound => "there is no such number",
            Self::AuthFailed => "the trunk refused the user name or the password",
            Self::MediaFailed => "no common codec, encryption refused, or no sound",
            Self::Cancelled => "given up before an answer, as by Ctrl-C",
            Self::Timeout => "no answer to the request, or nothing final",
            Self::Policy => "a rule of the operator forbids the call, or ended it",
            Self::Interrupted => "Ctrl-C twice: the tool did not wait for the end of the call",
        }
    }

    /// The code of a call that ended so.
    pub(crate) const fn of_end(reason: EndReason) -> Self {
        match reason {
            EndReason::Completed => Self::Completed,
            EndReason::Busy => Self::Busy,
            EndReason::NoAnswer => Self::NoAnswer,
            EndReason::Declined => Self::Declined,
            EndReason::Rejected => Self::Rejected,
            EndReason::Unreachable => Self::Unreachable,
            EndReason::NotFound => Self::NotFound,
            EndReason::AuthFailed => Self::AuthFailed,
            EndReason::MediaFailed => Self::MediaFailed,
            EndReason::Cancelled => Self::Cancelled,
            EndReason::Timeout => Self::Timeout,
            EndReason::Policy => Self::Policy,
            _ => Self::Failed,
        }
    }

    /// The code of a call that never was.
    pub(crate) fn of_refusal(error: &DialError) -> Self {
        match error {
            DialError::InvalidRequest { .. } | DialError::Unsupported(_) => Self::Usage,
            DialError::UnknownAgent(_) | DialError::UnknownTrunk(_) | DialError::Configuration { .. } => {
                Self::Configuration
            }
            DialError::Refused { .. } => Self::Policy,
            DialError::Rejected { .. } => Self::Rejected,
            DialError::TrunkUnavailable { code: Some(401 | 403 | 407), .. } => Self::AuthFailed,
            DialError::Unreachable { .. } | DialError::TrunkUnavailable { .. } => Self::Unreachable,
            DialError::AtCapacity { .. } | DialError::Media { .. } | DialError::ShutDown => Self::Unavailable,
            _ => Self::Failed,
        }
    }

    /// The table for `--help`.
    pub(crate) fn table() -> String {
        Self::ALL.iter().fold("Exit codes:\n".to_owned(), |mut table, exit| {
            // Writing to a String cannot fail.
            let _ = writeln!(table, "  {:>3}  {:<13} {}", exit.code(), exit.name(), exit.meaning());
            table
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// An error with the exit code that it deserves.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }
}

/// Gives an error its exit code.
pub(crate) trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_end_of_a_call_has_a_code_of_its_own_by_the_same_name() {
        let codes: BTreeSet<_> = EndReason::ALL.map(|reason| Exit::of_end(reason).code()).into();
        assert_eq!(codes.len(), EndReason::ALL.len());
        for reason in EndReason::ALL {
            assert_eq!(Exit::of_end(reason).name(), reason.as_str());
        }
        assert_eq!(Exit::of_end(EndReason::Completed).code(), 0);
    }

    #[test]
    fn no_code_stands_for_two_things() {
        let codes: BTreeSet<_> = Exit::ALL.map(Exit::code).into();
        let names: BTreeSet<_> = Exit::ALL.map(Exit::name).into();
        assert_eq!((codes.len(), names.len()), (Exit::ALL.len(), Exit::ALL.len()));
    }

    #[test]
    fn a_refusal_has_the_code_of_its_cause() {
        let unavailable = |code| DialError::TrunkUnavailable { trunk: "t".into(), code, detail: "d".into() };
        assert_eq!(Exit::of_refusal(&unavailable(Some(403))), Exit::AuthFailed);
        assert_eq!(Exit::of_refusal(&unavailable(None)), Exit::Unreachable);
        let refused = DialError::Refused { rule: "quiet_hours", reason: "it is night there".into() };
        assert_eq!(Exit::of_refusal(&refused), Exit::Policy);
        assert_eq!(Exit::of_refusal(&DialError::UnknownTrunk("t".into())), Exit::Configuration);
        assert_eq!(Exit::of_refusal(&DialError::ShutDown), Exit::Unavailable);
    }

    #[test]
    fn the_book_has_the_same_table() {
        let book = include_str!("../../docs/exit-codes.md");
        for exit in Exit::ALL {
            let row = format!("| {} | `{}` | {} |", exit.code(), exit.name(), exit.meaning());
            assert!(book.contains(&row), "docs/exit-codes.md lacks: {row}");
        }
    }
}
