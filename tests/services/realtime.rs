//! The events of OpenAI's realtime interface, from the service's side.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::KEY;
use super::websocket::Line;

/// Opens a session; returns what it was asked for.
pub async fn begin(line: &mut Line) -> Value {
    line.send(json!({ "type": "session.created", "event_id": "e1", "session": { "type": "realtime" } }))
        .await;
    let settings = line.next_json().await.expect("the settings");
    assert_eq!(settings["type"], "session.update");
    line.send(json!({ "type": "session.updated", "event_id": "e2", "session": settings["session"] })).await;
    settings["session"].clone()
}

/// The next event that is no sound.
pub async fn told(line: &mut Line) -> Value {
    loop {
        let event = line.next_json().await.expect("an event");
        if event["type"] != "input_audio_buffer.append" {
            return event;
        }
    }
}

pub fn speech(started: bool, item: &str, ms: i64) -> Value {
    let (kind, field) =
        if started { ("speech_started", "audio_start_ms") } else { ("speech_stopped", "audio_end_ms") };
    json!({ "type": format!("input_audio_buffer.{kind}"), "event_id": "e", "item_id": item, field: ms })
}

pub fn understood(item: &str, text: &str) -> Value {
    json!({ "type": "conversation.item.input_audio_transcription.completed", "event_id": "e", "item_id": item,
        "content_index": 0, "transcript": text, "usage": { "type": "duration", "seconds": 1 } })
}

pub fn created() -> Value {
    json!({ "type": "response.created", "event_id": "e", "response": { "id": "r", "status": "in_progress" } })
}

pub fn delta(kind: &str, item: &str, delta: &str) -> Value {
    json!({ "type": format!("response.{kind}.delta"), "event_id": "e", "response_id": "r", "item_id": item,
        "output_index": 0, "content_index": 0, "delta": delta })
}

pub fn sound(item: &str, bytes: &[u8]) -> Value {
    delta("output_audio", item, &STANDARD.encode(bytes))
}

pub fn item_done(item: &str) -> Value {
    json!({ "type": "response.output_item.done", "event_id": "e", "response_id": "r", "output_index": 0,
        "item": { "id": item, "type": "message", "role": "assistant", "status": "completed", "content": [] } })
}

pub fn done(status: &str, error: Value) -> Value {
    let details = json!({ "type": status, "error": error });
    json!({ "type": "response.done", "event_id": "e",
        "response": { "id": "r", "status": status, "status_details": details, "output": [] } })
}

pub fn error(kind: &str, code: &str, about: Option<&str>) -> Value {
    let error = json!({ "type": kind, "code": code, "message": format!("{code}. Key: {KEY}"), "param": null,
        "event_id": about });
    json!({ "type": "error", "event_id": "e", "error": error })
}
