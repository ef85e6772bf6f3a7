//! What Deepgram says.

use std::time::Duration;

use serde::Deserialize;

/// A message of the service. Those that are not named here are for others.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Message {
    Results(Results),
    SpeechStarted {
        timestamp: f64,
    },
    UtteranceEnd {
        last_word_end: f64,
    },
    /// The summary at the end.
    Metadata {},
    Error {
        #[serde(default)]
        description: String,
    },
    #[serde(other)]
    Other,
}

/// Words of a piece of the sound. Times are in seconds since the connection's first sample.
#[derive(Debug, Deserialize)]
pub(super) struct Results {
    start: f64,
    duration: f64,
    #[serde(default)]
    pub(super) is_final: bool,
    #[serde(default)]
    pub(super) speech_final: bool,
    channel: Channel,
}

#[derive(Debug, Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Deserialize)]
struct Alternative {
    transcript: String,
    confidence: Option<f32>,
    #[serde(default)]
    words: Vec<Word>,
}

#[derive(Debug, Deserialize)]
struct Word {
    start: f64,
    end: f64,
}

/// What was understood, and where in the connection's sound.
#[derive(Debug, PartialEq)]
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    pub(super) start: Duration,
    pub(super) end: Duration,
    pub(super) confidence: Option<f32>,
}

impl Results {
    /// The piece of the sound that it is about.
    pub(super) fn span(&self) -> Option<(Duration, Duration)> {
        Some((time(self.start)?, time(self.start + self.duration)?))
    }

    /// The words, if there are any.
    pub(super) fn words(&self) -> Option<Words<'_>> {
        let best = self.channel.alternatives.first().filter(|best| !best.transcript.trim().is_empty())?;
        let (start, end) = match (best.words.first(), best.words.last()) {
            (Some(first), Some(last)) => (time(first.start)?, time(last.end)?),
            _ => self.span()?,
        };
        let confidence = best.confidence.filter(|confidence| (0.0..=1.0).contains(confidence));
        Some(Words { text: best.transcript.trim(), start, end: end.max(start), confidence })
    }
}

/// Seconds since the connection's first sample; `None` for what is no time.
pub(super) fn time(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(text: &str) -> Results {
        match serde_json::from_str(text).unwrap() {
            Message::Results(results) => results,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_have_the_times_of_the_first_and_the_last_one() {
        let heard = results(
            r#"{"type":"Results","channel_index":[0,1],"duration":1.98,"start":5.99,"is_final":true,"speech_final":true,
            "channel":{"alternatives":[{"transcript":"Tell me more.","confidence":0.98,"words":[
            {"word":"tell","start":6.07,"end":6.43,"confidence":0.99,"punctuated_word":"Tell"},
            {"word":"more","start":6.52,"end":7.01,"confidence":0.97,"punctuated_word":"more."}]}]},
            "metadata":{"request_id":"52cc","model_info":{},"model_uuid":"1"},"from_finalize":false}"#,
        );
        let ms = Duration::from_millis;
        let words = heard.words().unwrap();
        assert_eq!((words.text, words.start, words.end), ("Tell me more.", ms(6_070), ms(7_010)));
        assert_eq!(heard.span(), Some((ms(5_990), ms(7_970))));
        let silence = results(
            r#"{"type":"Results","duration":1,"start":0,"is_final":true,"channel":{"alternatives":[{"transcript":"","confidence":0.0,"words":[]}]}}"#,
        );
        assert_eq!(silence.words(), None);
        let untimed = results(
            r#"{"type":"Results","duration":1,"start":2,"channel":{"alternatives":[{"transcript":"yes","confidence":7}]}}"#,
        );
        let words = untimed.words().unwrap();
        assert_eq!((words.start, words.end, words.confidence), (ms(2_000), ms(3_000), None));
    }

    #[test]
    fn what_is_no_time_is_none_and_what_is_new_is_for_others() {
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(time(seconds), None);
        }
        assert!(matches!(serde_json::from_str(r#"{"type":"Novelty","x":1}"#).unwrap(), Message::Other));
        assert!(serde_json::from_str::<Message>(r#"{"type":"Results","start":0}"#).is_err());
    }
}
