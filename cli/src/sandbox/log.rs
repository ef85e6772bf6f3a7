//! What happens in the sandbox, as lines.

use std::time::SystemTime;

use outdial_sandbox::{CallRecord, Event};
use serde_json::{Value, json};

use super::Ready;

/// The first line of `--json`.
pub(super) fn ready(ready: &Ready) -> Value {
    json!({ "event": "ready", "sandbox": ready })
}

/// An event for people.
pub(super) fn text(event: &Event) -> Option<String> {
    let line = match event {
        Event::Registered { user, contact, expires, transport, algorithm } => {
            let by = algorithm.map(|algorithm| format!(", digest {algorithm:?}")).unwrap_or_default();
            format!("registered {user} at {contact} for {expires} s over {transport}{by}")
        }
        Event::Unregistered { user, contact } => format!("{user} left {contact}"),
        Event::AuthenticationRefused { method, peer, reason } => {
            format!("refused {method} of {peer}: {reason}")
        }
        Event::TlsRefused { peer, reason } => format!("no TLS with {peer}: {reason}"),
        Event::CallStarted(call) => {
            let behaviour = call.behaviour;
            of(
                &call.call_id,
                &format!("{} dialled: {}, {}", call.dialled, behaviour.name(), behaviour.summary()),
            )
        }
        Event::CallRinging { call_id } => of(call_id, "rings"),
        Event::CallAnswered(call) => of(&call.call_id, &format!("answered{}", media(call))),
        Event::Digit { call_id, digit } => of(call_id, &format!("pressed {digit}")),
        Event::CallEnded(call) => {
            let heard = call.recording.as_ref().and_then(|recording| recording.wav.as_ref());
            let heard = heard.map(|path| format!("; what was heard is in {}", path.display()));
            let outcome = call.outcome.as_ref().map_or_else(String::new, ToString::to_string);
            of(&call.call_id, &format!("over: {outcome}{}", heard.unwrap_or_default()))
        }
        _ => return None,
    };
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let time = now.split(['T', 'Z']).nth(1).unwrap_or_default();
    Some(format!("{time} {line}"))
}

fn of(call_id: &str, line: &str) -> String {
    let short: String = call_id.chars().take(8).collect();
    format!("{short} {line}")
}

fn media(call: &CallRecord) -> String {
    let codec = call.codec.map(|codec| format!(", {codec:?}")).unwrap_or_default();
    let srtp = call.srtp.map_or_else(|| ", not encrypted".to_owned(), |suite| format!(", SRTP {suite:?}"));
    format!("{codec}{srtp}")
}

/// An event for programs.
pub(super) fn json(event: &Event) -> Option<String> {
    let value = match event {
        Event::Registered { user, contact, expires, transport, .. } => json!({
            "event": "registered", "user": user, "contact": contact, "expires": expires,
            "transport": transport.to_string(),
        }),
        Event::Unregistered { user, contact } => {
            json!({ "event": "unregistered", "user": user, "contact": contact })
        }
        Event::AuthenticationRefused { method, peer, reason } => json!({
            "event": "authentication_refused", "method": method, "peer": peer, "reason": reason,
        }),
        Event::TlsRefused { peer, reason } => {
            json!({ "event": "tls_refused", "peer": peer, "reason": reason })
        }
        Event::CallStarted(call) => call_json("call_started", call),
        Event::CallRinging { call_id } => json!({ "event": "call_ringing", "call_id": call_id }),
        Event::CallAnswered(call) => call_json("call_answered", call),
        Event::CallConfirmed { call_id } => json!({ "event": "call_confirmed", "call_id": call_id }),
        Event::Digit { call_id, digit } => json!({ "event": "digit", "call_id": call_id, "digit": digit }),
        Event::CallEnded(call) => call_json("call_ended", call),
        _ => return None,
    };
    Some(value.to_string())
}

fn call_json(event: &str, call: &CallRecord) -> Value {
    json!({
        "event": event,
        "call_id": call.call_id,
        "dialled": call.dialled,
        "behaviour": call.behaviour.name(),
        "transport": call.transport.to_string(),
        "codec": call.codec.map(|codec| format!("{codec:?}")),
        "srtp": call.srtp.map(|suite| format!("{suite:?}")),
        "digits": call.digits,
        "packets_received": call.media.received,
        "recording": call.recording.as_ref().and_then(|recording| recording.wav.as_ref()),
        "outcome": call.outcome.as_ref().map(ToString::to_string),
    })
}
