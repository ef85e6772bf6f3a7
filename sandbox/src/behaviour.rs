//! The table: which number does what.
//!
//! Everything that knows the numbers reads them here: the callee, `outdial sandbox --list` and the book.

mod table;

use std::fmt;

use crate::builder::InviteChallenge;
use crate::media::codec::Codec;
use crate::media::{Idle, Impairment};

/// How outdial reports the end of a call (`outdial::EndReason`, by the same names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// Answered, and hung up by either side.
    Completed,
    /// 486, 600 or Q.850 cause 17.
    Busy,
    /// It rang and nobody answered.
    NoAnswer,
    /// A person refused: 603 after ringing, 607, Q.850 cause 21.
    Declined,
    /// The network refused: 403, 608, 603 without ringing …
    Rejected,
    /// No way to the callee: 480 without ringing, 500, 502, 503 …
    Unreachable,
    /// No such number: 404, 410, 484, 485, 604.
    NotFound,
    /// 401 or 407 in spite of credentials.
    AuthFailed,
    /// No agreement on media, or none that arrives.
    MediaFailed,
    /// The caller gave up.
    Cancelled,
    /// No final answer in time.
    Timeout,
    /// Anything else.
    Failed,
}

impl EndReason {
    /// The name in logs and JSON: `completed`, `no_answer` …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
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
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One number of the sandbox and what happens when it is dialled.
#[derive(Debug)]
pub struct Behaviour {
    line: u8,
    name: &'static str,
    summary: &'static str,
    ends: EndReason,
    pub(crate) arrival: Arrival,
    pub(crate) quirk: Quirk,
    pub(crate) steps: &'static [Step],
}

/// Behaviours are equal when they are the same line of the table.
impl PartialEq for Behaviour {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl Eq for Behaviour {}

impl Behaviour {
    /// Every number, in order.
    pub fn all() -> &'static [Self] {
        table::TABLE
    }

    /// The number in E.164 form, `+12025550100` to `+12025550199`.
    pub fn number(&self) -> String {
        format!("+120255501{:02}", self.line)
    }

    /// The heading under which the table has it.
    pub fn group(&self) -> &'static str {
        let groups = table::GROUPS.iter().rev();
        groups.into_iter().find(|(first, _)| *first <= self.line).map_or("", |(_, title)| title)
    }

    /// The short name, such as `busy` or `keypad-menu`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What happens, in one line.
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    /// How outdial reports the end of a call that nobody cuts short.
    ///
    /// For calls that the callee would keep up for ever this is the reason after the caller hangs up, and
    /// for numbers that ring for ever the reason after the caller's ring time.
    pub fn end_reason(&self) -> EndReason {
        self.ends
    }

    /// The entry with this short name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|behaviour| behaviour.name == name)
    }

    /// The entry that a dialled user part chooses.
    ///
    /// With or without `+`, with any prefix before the country code or none, with separators, or the last
    /// four digits alone.
    pub fn dialled(user: &str) -> Option<&'static Self> {
        let separator = |c: &char| !matches!(c, '-' | '.' | '(' | ')' | ' ' | '+');
        let digits: String = user.chars().filter(separator).collect();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let line = match digits.rsplit_once("20255501") {
            Some((_, line)) => line,
            None => digits.strip_prefix("01")?,
        };
        let line = (line.len() == 2).then(|| line.parse::<u8>().ok())??;
        Self::all().iter().find(|behaviour| behaviour.line == line)
    }
}

/// What happens to an INVITE before there is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is answered.
    Heard,
    /// Nobody is there: not even a 100.
    NeverHeard,
    /// Credentials are never good enough.
    ChallengedForever(InviteChallenge),
}

/// A habit that lasts the whole call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quirk {
    None,
    /// Plain RTP is refused with 488.
    EncryptedOnly,
    /// Only these codecs are accepted.
    Codecs(&'static [Codec]),
    /// A CANCEL comes too late: the call is answered all the same.
    CancelCrosses,
    /// BYE is never answered.
    DeafToBye,
    /// So many ACKs get lost.
    LosesAcks(u8),
    /// 422 for a Session-Expires below so many seconds (RFC 4028).
    MinSessionExpires(u32),
    /// What REFER is answered with, or what its NOTIFY reports in the end.
    Transfer(Transfer),
}

/// How a caller's transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// REFER is refused with 603.
    Refused,
    /// REFER is accepted, then the target is busy.
    TargetBusy,
}

/// One thing that the callee does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A provisional response without SDP: 180, 181, 182, 183.
    Provisional(u16, &'static str),
    /// 180 sent reliably (RFC 3262), and the wait for its PRACK.
    RingReliably,
    /// 183 with SDP; early media begins.
    Progress,
    /// From here on another fork answers, with another To tag.
    Fork,
    /// Milliseconds.
    Pause(u64),
    /// Until the caller gives up.
    Never,
    /// A final refusal: status, phrase, more headers.
    Refuse(u16, &'static str, &'static [(&'static str, &'static str)]),
    /// 302 to the sandbox's own echo number.
    Redirect,
    /// 200 to the INVITE.
    Answer(Answer),
    /// What is sent while nothing else is.
    Idle(Idle),
    Impair(Impairment),
    /// Speaks, and waits for the end of it.
    Say(&'static str),
    /// Speaks the greeting that may have been set on the builder, then a tone; or, where a reply has been set, waits for
    /// the caller to speak and replies.
    Greet,
    /// A tone of so many hertz and milliseconds.
    Tone(f64, u32),
    /// Busy tone, a second long.
    BusyTone,
    /// Speaks this prompt, which any key interrupts; says each key, hangs up on 9.
    KeypadMenu(&'static str),
    /// Presses keys as RTP events (RFC 4733).
    Press(&'static str),
    /// Presses keys by SIP INFO (application/dtmf-relay).
    PressByInfo(&'static str),
    /// A re-INVITE.
    Reinvite(Reinvite),
    /// UPDATE without SDP, as a session timer sends it.
    Update,
    /// REFER to this user at the sandbox.
    Refer(&'static str),
    /// Says these sentences over and over until the caller hangs up.
    TalkOn(&'static [&'static str]),
    /// BYE, with this Reason header.
    HangUp(Option<&'static str>),
    /// Until the caller hangs up.
    Talk,
}

/// The kinds of 200 to an INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// As it should be.
    Full,
    /// Without a body.
    NoSdp,
    /// With a body that is no SDP.
    MalformedSdp,
    /// With every stream declined.
    PortZero,
    /// With plain RTP whatever was offered.
    Downgraded,
    /// With a key that is not the one in use.
    WrongKey,
    /// With `a=recvonly`.
    ReceiveOnly,
    /// Once for each of two forks.
    Twice,
}

/// The kinds of re-INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reinvite {
    /// `a=sendonly`.
    Hold,
    /// `c=IN IP4 0.0.0.0`, as before RFC 3264.
    OldStyleHold,
    /// `a=sendrecv`.
    Resume,
    /// The other G.711 law.
    OtherLaw,
    /// A second stream, m=video.
    AddVideo,
    /// No SDP: the caller makes the offer.
    LateOffer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_many_spellings() {
        for user in ["+12025550102", "12025550102", "2025550102", "90012025550102", "+1-202-555-0102", "0102"]
        {
            assert_eq!(Behaviour::dialled(user).map(Behaviour::name), Some("busy"), "{user}");
        }
        for user in ["", "+1202555010", "+120255501023", "sandbox", "102", "+12025550202", "٠١٠٢"] {
            assert_eq!(Behaviour::dialled(user), None, "{user}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_its_names_are_unique() {
        let all = Behaviour::all();
        assert!(all.is_sorted_by(|a, b| a.line < b.line));
        for behaviour in all {
            assert_eq!(Behaviour::named(behaviour.name), Some(behaviour), "{}", behaviour.name);
            assert_eq!(Behaviour::dialled(&behaviour.number()), Some(behaviour));
            assert!(behaviour.line < 100 && !behaviour.summary.is_empty());
            assert!(behaviour.summary.len() <= 100, "{} is more than one line", behaviour.name);
        }
    }

    #[test]
    fn every_end_that_a_callee_can_cause_is_in_the_table() {
        use EndReason::*;
        for reason in [
            Completed,
            Busy,
            NoAnswer,
            Declined,
            Rejected,
            Unreachable,
            NotFound,
            AuthFailed,
            MediaFailed,
            Cancelled,
            Timeout,
            Failed,
        ] {
            assert!(Behaviour::all().iter().any(|behaviour| behaviour.ends == reason), "{reason}");
        }
    }
}
