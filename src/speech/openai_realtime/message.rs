//! What the service says, and what it is told.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::speech::AdapterError;
use crate::speech::service::{Reader, Service};

/// The names of those of our events whose refusal matters.
pub(super) const SETTINGS: &str = "settings";
pub(super) const RESPOND: &str = "respond";

/// An event of the service. Those that are not named here are for others.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Message {
    #[serde(rename = "session.updated")]
    Updated {},
    #[serde(rename = "input_audio_buffer.speech_started")]
    SpeechStarted { audio_start_ms: i64, item_id: String },
    #[serde(rename = "input_audio_buffer.speech_stopped")]
    SpeechStopped { audio_end_ms: i64, item_id: String },
    #[serde(rename = "conversation.item.input_audio_transcription.delta")]
    CalleeWords {
        item_id: String,
        #[serde(default)]
        delta: String,
    },
    #[serde(rename = "conversation.item.input_audio_transcription.completed")]
    CalleeSaid { item_id: String, transcript: String },
    #[serde(rename = "conversation.item.input_audio_transcription.failed")]
    CalleeNotUnderstood { item_id: String },
    #[serde(rename = "response.created")]
    ResponseCreated {},
    #[serde(rename = "response.output_audio.delta", alias = "response.audio.delta")]
    Sound { item_id: String, delta: String },
    #[serde(rename = "response.output_audio_transcript.delta", alias = "response.audio_transcript.delta")]
    Words { item_id: String, delta: String },
    #[serde(rename = "response.output_item.done")]
    ItemDone { item: Item },
    #[serde(rename = "response.done")]
    ResponseDone { response: Response },
    #[serde(rename = "error")]
    Error { error: Fault },
    #[serde(other)]
    Other,
}

/// An item of the conversation.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    #[serde(default)]
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) call_id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    status_details: Option<Details>,
}

#[derive(Debug, Deserialize)]
struct Details {
    #[serde(default)]
    error: Option<Fault>,
}

/// A description of an error.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fault {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    /// Which of our events it is about.
    #[serde(default)]
    event_id: Option<String>,
}

impl Response {
    /// Why it failed, if it did.
    pub(super) fn into_fault(self) -> Option<Fault> {
        let failed = self.status.as_deref() == Some("failed");
        failed.then(|| self.status_details.and_then(|details| details.error).unwrap_or_default())
    }
}

impl Fault {
    pub(super) fn is_about(&self, event: &str) -> bool {
        self.event_id.as_deref() == Some(event)
    }

    pub(super) fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }

    /// Whether nothing will be said to the callee any more.
    pub(super) fn is_final(&self) -> bool {
        let words = [self.code(), self.kind.as_deref().unwrap_or_default()];
        words
            .iter()
            .any(|word| word.contains("api_key") || word.contains("authentication") || word.contains("quota"))
    }

    pub(super) fn into_error(self, service: &Service, reader: &Reader) -> AdapterError {
        let (code, kind) = (self.code().to_owned(), self.kind.unwrap_or_default());
        let message = reader.clean(self.message.as_deref().unwrap_or(&code));
        let service = service.name().to_owned();
        if code.contains("quota") || code.contains("rate_limit") || kind.contains("rate_limit") {
            AdapterError::Limited { service, status: 429, retry_after: None, message }
        } else if code.contains("api_key") || kind.contains("authentication") {
            AdapterError::Unauthorized { service, status: 401, message }
        } else if kind == "server_error" {
            AdapterError::Refused { service, status: 500, message }
        } else {
            AdapterError::Refused { service, status: 400, message }
        }
    }
}

/// More of the callee's sound.
pub(super) fn append(sound: String) -> Value {
    json!({ "type": "input_audio_buffer.append", "audio": sound })
}

/// The model is to say something.
pub(super) fn respond(instructions: Option<&str>) -> Value {
    let mut event = json!({ "type": "response.create", "event_id": RESPOND });
    if let Some(instructions) = instructions {
        event["response"] = json!({ "instructions": instructions });
    }
    event
}

/// It is to stop.
pub(super) fn cancel() -> Value {
    json!({ "type": "response.cancel" })
}

/// Of what it said so much has been heard.
pub(super) fn truncate(item: &str, heard_ms: u64) -> Value {
    json!({ "type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": heard_ms })
}

/// It has not said this.
pub(super) fn delete(item: &str) -> Value {
    json!({ "type": "conversation.item.delete", "item_id": item })
}

/// What came of a tool.
pub(super) fn tool_result(call: &str, output: &str) -> Value {
    let item = json!({ "type": "function_call_output", "call_id": call, "output": output });
    json!({ "type": "conversation.item.create", "item": item })
}

/// What was said in an earlier session.
pub(super) fn said(by_callee: bool, text: &str) -> Value {
    let (role, kind) = if by_callee { ("user", "input_text") } else { ("assistant", "output_text") };
    let content = json!([{ "type": kind, "text": text }]);
    json!({ "type": "conversation.item.create", "item": { "type": "message", "role": role, "content": content } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Message {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn events_are_understood_by_their_names_of_today_and_of_the_beta() {
        for name in ["response.output_audio.delta", "response.audio.delta"] {
            let text = format!(
                r#"{{"event_id":"event_1","type":"{name}","response_id":"resp_1","item_id":"item_1","output_index":0,"content_index":0,"delta":"AQA="}}"#
            );
            assert!(
                matches!(parse(&text), Message::Sound { item_id, delta } if item_id == "item_1" && delta == "AQA=")
            );
        }
        let failed = parse(
            r#"{"type":"response.done","event_id":"e","response":{"id":"r","object":"realtime.response","status":"failed",
            "status_details":{"type":"failed","error":{"type":"tokens","code":"rate_limit_exceeded","message":"slow"}},"output":[]}}"#,
        );
        let Message::ResponseDone { response } = failed else { panic!("{failed:?}") };
        assert_eq!(response.into_fault().unwrap().code(), "rate_limit_exceeded");
        let done = parse(
            r#"{"type":"response.done","response":{"status":"cancelled","status_details":{"type":"cancelled","reason":"turn_detected"}}}"#,
        );
        let Message::ResponseDone { response } = done else { panic!("{done:?}") };
        assert!(response.into_fault().is_none());
        assert!(matches!(parse(r#"{"type":"rate_limits.updated","rate_limits":[]}"#), Message::Other));
        assert!(serde_json::from_str::<Message>(r#"{"type":"response.output_audio.delta"}"#).is_err());
    }
}
