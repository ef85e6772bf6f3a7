use serde::Serialize;

use crate::call::CallEnd;
use crate::provider::{AgentId, E164};

/// Something that the operator must be able to prove later.
///
/// It serialises as one JSON object: `type` first, then the fields in camelCase and in this order, absent values as
/// null. Telephone numbers are masked, amounts are numbers, and no key has a name that the host's redaction would
/// take for a credential's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum AuditEvent {
    /// The request for a call has left.
    #[serde(rename = "voice.call.start")]
    CallStart(CallStart),
    /// A call has ended. There is exactly one for each start.
    #[serde(rename = "voice.call.end")]
    CallEnd(Box<CallEnded>),
    /// Keys were sent to the callee.
    #[serde(rename = "voice.call.dtmf")]
    Dtmf {
        /// Who calls.
        agent_id: String,
        /// The call.
        call_id: String,
        /// The keys, or an asterisk for each of them where they are confidential.
        digits: String,
    },
    /// A call was handed on.
    #[serde(rename = "voice.call.transfer")]
    Transfer {
        /// Who calls.
        agent_id: String,
        /// The call.
        call_id: String,
        /// Whose wish it is: `agent` or `callee`.
        by: String,
        /// Where to, masked.
        target: String,
        /// `requested`, `completed`, `failed`, or `refused` where a callee asked in vain.
        outcome: String,
        /// The final status of the new call, if there is one.
        sip_code: Option<u16>,
    },
    /// What is said in a call is kept from here on, or no longer.
    #[serde(rename = "voice.call.recording")]
    Recording {
        /// Who calls.
        agent_id: String,
        /// The call.
        call_id: String,
        /// `started`, `paused` or `resumed`.
        state: String,
        /// When, in milliseconds since the answer.
        at_ms: u64,
    },
    /// What was said in a call is in a file that is complete.
    #[serde(rename = "voice.call.recorded")]
    Recorded(Box<CallRecorded>),
    /// A call was asked for and not made.
    #[serde(rename = "voice.call.refused")]
    Refused {
        /// Who asked.
        agent_id: String,
        /// Which kind of provider would have made it.
        provider: String,
        /// The number, masked.
        to: String,
        /// The error's stable name, [`DialError::kind`](crate::provider::DialError::kind).
        kind: String,
        /// The rule that refused it, if it was one.
        rule: Option<String>,
        /// In words.
        reason: String,
    },
    /// A secret was read.
    #[serde(rename = "voice.credential.used")]
    CredentialUsed {
        /// Its name: of the variable, the file or the entry.
        name: String,
        /// `env`, `file` or `store`.
        source: String,
        /// The trunk that it is for.
        trunk: String,
    },
    /// The last line of the log was torn by a loss of power or of the process, and has been ended.
    #[serde(rename = "voice.audit.repaired")]
    Repaired {
        /// The torn line, counted from 1.
        line: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
}

/// The beginning of a call, see [`AuditEvent::CallStart`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallStart {
    /// Who calls.
    pub agent_id: String,
    /// The call: its Call-ID, or the provider's own name for it.
    pub call_id: String,
    /// `sip` or `twilio`.
    pub provider: String,
    /// The trunk, if there are trunks.
    pub trunk: Option<String>,
    /// The number that is called, masked.
    pub to: String,
    /// The caller that is shown, masked if it is a number.
    pub from: Option<String>,
    /// The request's reference to the callee's consent.
    pub consent: Option<String>,
}

impl CallStart {
    /// A call by an agent to a number.
    pub fn new(agent: &AgentId, call_id: impl Into<String>, provider: impl Into<String>, to: &E164) -> Self {
        Self {
            agent_id: agent.as_str().to_owned(),
            call_id: call_id.into(),
            provider: provider.into(),
            trunk: None,
            to: to.masked(),
            from: None,
            consent: None,
        }
    }
}

/// The end of a call, see [`AuditEvent::CallEnd`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallEnded {
    /// Who called.
    pub agent_id: String,
    /// The call.
    pub call_id: String,
    /// `sip` or `twilio`.
    pub provider: String,
    /// The trunk, if there are trunks.
    pub trunk: Option<String>,
    /// The number that was called, masked.
    pub to: String,
    /// `local`, `remote` or `network`.
    pub ended_by: String,
    /// Why, [`EndReason::as_str`](crate::call::EndReason::as_str).
    pub reason: String,
    /// The SIP status that ended it.
    pub sip_code: Option<u16>,
    /// Its phrase.
    pub sip_phrase: Option<String>,
    /// The cause of the telephone network.
    pub q850_cause: Option<u8>,
    /// How long it rang, in milliseconds.
    pub ring_ms: u64,
    /// How long it lasted from the answer, in milliseconds.
    pub talk_ms: u64,
    /// The codec.
    pub codec: Option<String>,
    /// The SRTP suite; null for plain RTP.
    pub srtp: Option<String>,
    /// What it cost in US dollars, if it was rated.
    pub cost_usd: Option<f64>,
    /// Whether the end was written by the next process, after the one that made the call had died.
    pub recovered: bool,
}

/// A recording or a transcript, see [`AuditEvent::Recorded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallRecorded {
    /// Who called.
    pub agent_id: String,
    /// The call.
    pub call_id: String,
    /// `recording` or `transcript`.
    pub what: String,
    /// The file's name in the folder of recordings; null if there is none.
    pub file: Option<String>,
    /// The SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
    /// How long the recording is, in milliseconds; null if that is not known.
    pub duration_ms: Option<u64>,
    /// How much of it is silence because it was paused, in milliseconds.
    pub paused_ms: u64,
    /// How much of it is silence because the disk was too slow, in milliseconds.
    pub lost_ms: u64,
    /// Why it ends before the call did, if so: `disk_full`, `io`, `too_long` or `encoder`.
    pub fault: Option<String>,
    /// The request's reference to the callee's consent.
    pub consent: Option<String>,
    /// Whether it was completed by the next process, after the one that made the call had died: then the call may have been
    /// longer.
    pub recovered: bool,
}

impl CallEnded {
    /// The end of the call that `start` began.
    pub fn new(start: &CallStart, end: &CallEnd) -> Self {
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            agent_id: start.agent_id.clone(),
            call_id: start.call_id.clone(),
            provider: start.provider.clone(),
            trunk: start.trunk.clone(),
            to: start.to.clone(),
            ended_by: end.ended_by.as_str().to_owned(),
            reason: end.reason.as_str().to_owned(),
            sip_code: end.sip.as_ref().map(|status| status.code),
            sip_phrase: end.sip.as_ref().map(|status| status.phrase.clone()),
            q850_cause: end.q850.as_ref().map(|q850| q850.cause),
            ring_ms: millis(end.ring_time),
            talk_ms: millis(end.talk_time),
            codec: end.media.as_ref().map(|media| media.codec.clone()),
            srtp: end.media.as_ref().and_then(|media| media.srtp.clone()),
            cost_usd: None,
            recovered: false,
        }
    }
}
