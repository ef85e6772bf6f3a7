//! The lines of the time line, for people and for programs.

use std::time::Duration;

use outdial::call::{CallEnd, CallEvent, CallId, MediaStats, TransferOutcome};
use outdial::config::{Carrier, Plan, Srtp};
use outdial::provider::E164;
use serde_json::{Value, json};

use super::conversation::Why;
use super::recorder::Recording;
use crate::sandbox::Ready;

/// Something worth a line.
#[derive(Debug)]
pub(super) enum Note {
    /// A sandbox was started for this call.
    Sandbox(Ready),
    Dialling {
        to: E164,
        trunk: String,
        /// None for a provider that is not SIP.
        transport: Option<&'static str>,
        srtp: Option<Srtp>,
    },
    Registered(Duration),
    Call(CallId),
    Event(CallEvent),
    Speaking {
        text: Option<String>,
        length: Duration,
    },
    Spoken,
    Pressed {
        keys: String,
        failed: Option<String>,
    },
    /// The callee's voice, after a while of silence.
    Hearing,
    HangingUp(Why),
    Recorded(Recording),
    NotDialled {
        kind: &'static str,
        why: String,
    },
}

/// How a line is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tint {
    Plain,
    Good,
    Bad,
}

impl Note {
    pub(super) fn dialling(to: &E164, plan: &Plan<'_>) -> Self {
        let trunk = match plan.carrier {
            Carrier::Trunk(trunk) => Some(trunk),
            _ => None,
        };
        Self::Dialling {
            to: to.clone(),
            trunk: plan.name.to_owned(),
            transport: trunk.map(|trunk| trunk.transport.as_str()),
            srtp: trunk.map(|trunk| trunk.srtp),
        }
    }

    /// For people: the first line belongs to the time, further ones stand under it.
    pub(super) fn text(&self) -> Vec<String> {
        match self {
            Self::Sandbox(ready) => {
                vec![format!("sandbox started for this call, its voice is {}", ready.voice)]
            }
            Self::Dialling { to, trunk, transport, srtp } => {
                let transport = transport.map(|transport| format!(", {}", transport.to_uppercase()));
                let srtp = srtp.map(|srtp| format!(", SRTP {}", srtp_word(srtp)));
                let (transport, srtp) = (transport.unwrap_or_default(), srtp.unwrap_or_default());
                vec![format!("dialling {to} by trunk {trunk}{transport}{srtp}")]
            }
            Self::Registered(expires) => vec![format!("registered for {} s", expires.as_secs())],
            Self::Call(id) => vec![format!("Call-ID {id}")],
            Self::Event(event) => event_text(event),
            Self::Speaking { text: Some(text), length } => {
                vec![format!("speaking for {}: “{text}”", time(*length))]
            }
            Self::Speaking { text: None, length } => vec![format!("playing the file, {}", time(*length))],
            Self::Spoken => vec!["spoken to the last word".to_owned()],
            Self::Pressed { keys, failed: None } => vec![format!("pressed {keys}")],
            Self::Pressed { keys, failed: Some(why) } => vec![format!("could not press {keys}: {why}")],
            Self::Hearing => vec!["hearing the callee".to_owned()],
            Self::HangingUp(why) => vec![format!("hanging up: {}", why.as_str())],
            Self::Recorded(Recording { path, length }) => {
                vec![format!("recorded {} to {}", time(*length), path.display())]
            }
            Self::NotDialled { why, .. } => vec![format!("not dialled: {why}")],
        }
    }

    /// For programs: an object with the key `event`.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Sandbox(ready) => json!({ "event": "sandbox", "sandbox": ready }),
            Self::Dialling { to, trunk, transport, srtp } => json!({
                "event": "dialling", "to": to, "trunk": trunk, "transport": transport, "srtp": srtp.map(srtp_word),
            }),
            Self::Registered(expires) => json!({ "event": "registered", "expires_s": expires.as_secs() }),
            Self::Call(id) => json!({ "event": "call", "call_id": id.as_str() }),
            Self::Event(event) => event_json(event),
            Self::Speaking { text, length } => {
                json!({ "event": "speaking", "text": text, "length_ms": millis(*length) })
            }
            Self::Spoken => json!({ "event": "spoken" }),
            Self::Pressed { keys, failed } => json!({ "event": "pressed", "keys": keys, "failed": failed }),
            Self::Hearing => json!({ "event": "hearing" }),
            Self::HangingUp(why) => json!({ "event": "hanging_up", "why": why.as_str() }),
            Self::Recorded(Recording { path, length }) => {
                json!({ "event": "recorded", "path": path, "length_ms": millis(*length) })
            }
            Self::NotDialled { kind, why } => json!({ "event": "not_dialled", "kind": kind, "why": why }),
        }
    }

    pub(super) fn tint(&self) -> Tint {
        match self {
            Self::Event(CallEvent::Answered(_)) => Tint::Good,
            Self::Event(CallEvent::Ended(end)) if end.talk_time > Duration::ZERO => Tint::Good,
            Self::Event(
                CallEvent::Ended(_)
                | CallEvent::MediaStalled
                | CallEvent::SpeechFailed { .. }
                | CallEvent::RecordingFault { .. },
            )
            | Self::NotDialled { .. } => Tint::Bad,
            Self::Pressed { failed: Some(_), .. } => Tint::Bad,
            _ => Tint::Plain,
        }
    }
}

fn event_text(event: &CallEvent) -> Vec<String> {
    let line = match event {
        CallEvent::Initiated => "INVITE sent".to_owned(),
        CallEvent::Trying => "trying".to_owned(),
        CallEvent::Ringing => "ringing".to_owned(),
        CallEvent::EarlyMedia(status) => format!("early media ({status})"),
        CallEvent::Answered(answered) => {
            let srtp =
                answered.srtp.as_ref().map_or("not encrypted".to_owned(), |suite| format!("SRTP {suite}"));
            let remote = answered.remote.map(|remote| format!(", sound to {remote}")).unwrap_or_default();
            format!("answered: {}, {srtp}{remote}", answered.codec)
        }
        CallEvent::Dtmf(digit) => format!("the callee pressed {digit}"),
        CallEvent::Held => "on hold".to_owned(),
        CallEvent::Resumed => "off hold".to_owned(),
        CallEvent::TransferProgress(outcome) => match outcome {
            TransferOutcome::Progress(status) => format!("transfer: {status}"),
            TransferOutcome::Completed(status) => format!("transferred: {status}"),
            TransferOutcome::Failed(status) => format!("transfer failed: {status}"),
            TransferOutcome::Moved(answered) => format!("moved by the callee: {}", answered.codec),
            _ => "news of the transfer".to_owned(),
        },
        CallEvent::MediaStalled => "no sound comes any more".to_owned(),
        CallEvent::MediaResumed => "sound comes again".to_owned(),
        CallEvent::SpeechFailed { adapter, error, fallback, .. } => {
            let next = fallback.as_ref().map(|fallback| format!("; {fallback} goes on")).unwrap_or_default();
            format!("{adapter} failed: {error}{next}")
        }
        CallEvent::RecordingFault { error, over, .. } => {
            format!("{}: {error}", if *over { "recording has ended" } else { "the recording has a hole" })
        }
        CallEvent::Ended(end) => return end_text(end),
        _ => return Vec::new(),
    };
    vec![line]
}

fn end_text(end: &CallEnd) -> Vec<String> {
    let by = match end.ended_by.as_str() {
        "local" => "by this side",
        "remote" => "by the other side",
        _ => "by the network",
    };
    let mut lines = vec![format!("ended: {}, {by}", end.reason)];
    let causes =
        [end.sip.as_ref().map(|sip| format!("SIP {sip}")), end.q850.as_ref().map(ToString::to_string)];
    let causes: Vec<String> = causes.into_iter().flatten().collect();
    if !causes.is_empty() {
        lines.push(causes.join(", "));
    }
    lines.extend(end.detail.clone());
    if let Some(wait) = end.retry_after {
        lines.push(format!("asks to wait {} before another attempt", time(wait)));
    }
    lines.push(format!("rang {}, talked {}", time(end.ring_time), time(end.talk_time)));
    lines.extend(end.media.as_ref().map(media_text));
    lines
}

fn media_text(media: &MediaStats) -> String {
    let mut text = format!(
        "{} packets sent, {} received, {:.1} % lost, jitter {:.1} ms (at most {:.1})",
        media.packets_sent,
        media.packets_received,
        media.loss_received_percent,
        media.jitter_mean_ms,
        media.jitter_max_ms,
    );
    if let Some(round_trip) = media.round_trip_ms {
        text.push_str(&format!(", round trip {round_trip:.0} ms"));
    }
    if let Some(mos) = media.mos {
        text.push_str(&format!(", MOS {mos:.1}"));
    }
    text
}

fn event_json(event: &CallEvent) -> Value {
    match event {
        CallEvent::Initiated => json!({ "event": "initiated" }),
        CallEvent::Trying => json!({ "event": "trying" }),
        CallEvent::Ringing => json!({ "event": "ringing" }),
        CallEvent::EarlyMedia(status) => json!({ "event": "early_media", "sip": status }),
        CallEvent::Answered(answered) => json!({
            "event": "answered", "codec": answered.codec, "srtp": answered.srtp, "remote": answered.remote,
        }),
        CallEvent::Dtmf(digit) => json!({ "event": "dtmf", "digit": digit }),
        CallEvent::Held => json!({ "event": "held" }),
        CallEvent::Resumed => json!({ "event": "resumed" }),
        CallEvent::TransferProgress(outcome) => {
            let (state, status) = match outcome {
                TransferOutcome::Progress(status) => ("progress", Some(status)),
                TransferOutcome::Completed(status) => ("completed", Some(status)),
                TransferOutcome::Failed(status) => ("failed", Some(status)),
                TransferOutcome::Moved(_) => ("moved", None),
                _ => ("progress", None),
            };
            json!({ "event": "transfer", "state": state, "sip": status })
        }
        CallEvent::MediaStalled => json!({ "event": "media_stalled" }),
        CallEvent::MediaResumed => json!({ "event": "media_resumed" }),
        CallEvent::SpeechFailed { adapter, kind, error, fallback } => json!({
            "event": "speech_failed", "adapter": adapter, "kind": kind, "error": error, "fallback": fallback,
        }),
        CallEvent::RecordingFault { kind, error, over } => {
            json!({ "event": "recording_fault", "kind": kind, "error": error, "over": over })
        }
        CallEvent::Ended(end) => json!({ "event": "ended", "end": end }),
        _ => json!({ "event": "other" }),
    }
}

fn srtp_word(srtp: Srtp) -> &'static str {
    match srtp {
        Srtp::Off => "off",
        Srtp::Optional => "optional",
        Srtp::Required => "required",
    }
}

fn time(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(end: Value) -> Note {
        Note::Event(CallEvent::Ended(serde_json::from_value(end).unwrap()))
    }

    fn busy() -> Note {
        ended(json!({
            "ended_by": "remote", "reason": "busy", "sip": { "code": 486, "phrase": "Busy Here" },
            "q850": { "cause": 17, "text": null, "location": null }, "detail": null,
            "ring_time_ms": 1_500, "talk_time_ms": 0, "retry_after_ms": null, "media": null,
        }))
    }

    #[test]
    fn an_end_tells_who_why_and_how_long() {
        let expected = [
            "ended: busy, by the other side",
            "SIP 486 Busy Here, Q.850 cause 17 (user busy)",
            "rang 1.5 s, talked 0.0 s",
        ];
        assert_eq!(busy().text(), expected);
        assert_eq!(busy().tint(), Tint::Bad);
    }

    #[test]
    fn an_end_in_json_is_the_library_s() {
        let json = busy().json();
        assert_eq!((&json["event"], &json["end"]["reason"]), (&json!("ended"), &json!("busy")));
        assert_eq!(json["end"]["sip"]["code"], 486);
    }

    #[test]
    fn every_event_has_a_name_in_json() {
        for event in [CallEvent::Initiated, CallEvent::Trying, CallEvent::Ringing, CallEvent::Held] {
            let json = Note::Event(event).json();
            assert!(json["event"].as_str().is_some_and(|name| name != "other"), "{json}");
        }
    }
}
