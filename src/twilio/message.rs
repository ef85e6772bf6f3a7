//! The messages of Twilio Media Streams: JSON, one object for each WebSocket message.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What Twilio sends. Fields that we have no use for are not read.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Incoming {
    /// The first message.
    Connected {},
    /// The second: which stream, of which call.
    Start { start: Start },
    /// A piece of what the callee says.
    Media { media: Media },
    /// The callee pressed a key.
    Dtmf { dtmf: Dtmf },
    /// What we sent before the mark of this name has been played, or was cleared.
    Mark { mark: Mark },
    /// The last message: the call, or its stream, is over.
    Stop {},
    /// A message of later days.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start {
    pub(super) stream_sid: String,
    pub(super) account_sid: String,
    pub(super) call_sid: String,
    #[serde(default)]
    pub(super) custom_parameters: HashMap<String, String>,
    pub(super) media_format: MediaFormat,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MediaFormat {
    encoding: String,
    sample_rate: u32,
    channels: u32,
}

impl MediaFormat {
    /// The only format that Twilio has: µ-law, 8 kHz, one channel.
    pub(super) fn is_mu_law(&self) -> bool {
        self.encoding == "audio/x-mulaw" && self.sample_rate == 8_000 && self.channels == 1
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Media {
    #[serde(default)]
    track: Option<String>,
    /// Milliseconds from the start of the stream, as text.
    #[serde(default)]
    timestamp: Option<String>,
    payload: String,
}

impl Media {
    /// Whether it is the callee's sound. A stream that we did not ask for may also bring our own.
    pub(super) fn is_inbound(&self) -> bool {
        self.track.as_deref().is_none_or(|track| track == "inbound")
    }

    /// Milliseconds from the start of the stream.
    pub(super) fn timestamp(&self) -> Option<u64> {
        self.timestamp.as_ref()?.parse().ok()
    }

    /// The µ-law codes.
    pub(super) fn codes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Dtmf {
    pub(super) digit: char,
}

#[derive(Debug, Deserialize)]
pub(super) struct Mark {
    pub(super) name: String,
}

/// A piece of speech for the callee. `stream_sid` has letters and digits only.
pub(super) fn media(stream_sid: &str, codes: &[u8]) -> String {
    let payload = STANDARD.encode(codes);
    format!(r#"{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":"{payload}"}}}}"#)
}

/// A mark behind the speech so far, which comes back when it has been played.
pub(super) fn mark(stream_sid: &str, position: u64) -> String {
    format!(r#"{{"event":"mark","streamSid":"{stream_sid}","mark":{{"name":"{position}"}}}}"#)
}

/// Drops the speech that has not been played.
pub(super) fn clear(stream_sid: &str) -> String {
    format!(r#"{{"event":"clear","streamSid":"{stream_sid}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Incoming {
        serde_json::from_str(text).unwrap()
    }

    /// In the form of Twilio's documentation.
    #[test]
    fn the_documented_messages_are_read() {
        assert!(matches!(
            read(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#),
            Incoming::Connected {}
        ));
        let start = r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1",
            "tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},
            "customParameters":{"token":"t"}},"streamSid":"MZ1"}"#;
        let Incoming::Start { start } = read(start) else { panic!("no start") };
        assert_eq!((start.stream_sid.as_str(), start.call_sid.as_str()), ("MZ1", "CA1"));
        assert_eq!((start.account_sid.as_str(), start.custom_parameters["token"].as_str()), ("AC1", "t"));
        assert!(start.media_format.is_mu_law());
        let media = r#"{"event":"media","sequenceNumber":"3","media":{"track":"inbound","chunk":"1","timestamp":"5",
            "payload":"//7+"},"streamSid":"MZ1"}"#;
        let Incoming::Media { media } = read(media) else { panic!("no media") };
        assert_eq!(
            (media.is_inbound(), media.timestamp(), media.codes()),
            (true, Some(5), Some(vec![255, 254, 254]))
        );
        let dtmf = "{\"event\":\"dtmf\",\"streamSid\":\"MZ1\",\"dtmf\":{\"track\":\"inbound_track\",\"digit\":\"#\"}}";
        let Incoming::Dtmf { dtmf } = read(dtmf) else { panic!("no dtmf") };
        assert_eq!(dtmf.digit, '#');
        let mark = r#"{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"160"}}"#;
        let Incoming::Mark { mark } = read(mark) else { panic!("no mark") };
        assert_eq!(mark.name, "160");
        let stop = r#"{"event":"stop","sequenceNumber":"5","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}"#;
        assert!(matches!(read(stop), Incoming::Stop {}));
        assert!(matches!(read(r#"{"event":"weather","sky":"blue"}"#), Incoming::Other));
        for wrong in ["", "[]", "{}", r#"{"event":"start"}"#, r#"{"event":"dtmf","dtmf":{"digit":"12"}}"#] {
            assert!(serde_json::from_str::<Incoming>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_we_send_is_json_of_the_documented_form() {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let sent = json(&media("MZ1", &[255, 254, 254]));
        assert_eq!((&sent["event"], &sent["streamSid"]), (&"media".into(), &"MZ1".into()));
        assert_eq!(sent["media"]["payload"], "//7+");
        assert_eq!(json(&mark("MZ1", 160))["mark"]["name"], "160");
        assert_eq!(json(&clear("MZ1"))["event"], "clear");
    }
}
