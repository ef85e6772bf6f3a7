//! What a call told: its events, as words that compare well.

use outdial::call::{Call, CallEnd, CallEvent, Events, TransferOutcome};

use super::within;

/// All events of a call.
pub struct Story {
    events: Vec<CallEvent>,
    /// How it ended.
    pub end: CallEnd,
}

impl Story {
    /// Follows a call to its end, and checks what is promised of every call: one `Ended`, the last event, the same
    /// for everybody who asks.
    pub async fn of(call: &Call) -> Self {
        let story = Self::told_by(call.events()).await;
        assert_eq!(call.ended().await, story.end);
        assert_eq!(call.end().as_ref(), Some(&story.end));
        let id = call.id().as_str();
        let hex = if call.provider() == "twilio" { id.strip_prefix("CA").unwrap_or_default() } else { id };
        assert!(hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        story
    }

    /// Follows a call by its events alone; its handles may be gone.
    pub async fn told_by(mut reader: Events) -> Self {
        let mut events = Vec::new();
        while let Some(event) = within("the next event", reader.next()).await {
            events.push(event);
        }
        let ends = events.iter().filter(|event| matches!(event, CallEvent::Ended(_))).count();
        assert_eq!(ends, 1, "{events:?}");
        let Some(CallEvent::Ended(end)) = events.last().cloned() else {
            panic!("the end is not the last: {events:?}")
        };
        assert_eq!(events.first(), Some(&CallEvent::Initiated), "{events:?}");
        Self { events, end }
    }

    /// The events in words: `initiated trying ringing answered dtmf-1 held ended`.
    pub fn words(&self) -> String {
        let words: Vec<String> = self.events.iter().map(word).collect();
        words.join(" ")
    }

    /// The end in words.
    pub fn ending(&self) -> String {
        told(&self.end)
    }

    /// Checks both.
    #[track_caller]
    pub fn assert(&self, words: &str, ending: &str) {
        assert_eq!((self.words().as_str(), self.ending().as_str()), (words, ending), "{:?}", self.end);
    }
}

/// An event in a word.
pub fn word(event: &CallEvent) -> String {
    match event {
        CallEvent::Initiated => "initiated".into(),
        CallEvent::Trying => "trying".into(),
        CallEvent::Ringing => "ringing".into(),
        CallEvent::EarlyMedia(status) => format!("early-{}", status.code),
        CallEvent::Answered(_) => "answered".into(),
        CallEvent::Dtmf(digit) => format!("dtmf-{digit}"),
        CallEvent::Held => "held".into(),
        CallEvent::Resumed => "resumed".into(),
        CallEvent::TransferProgress(TransferOutcome::Progress(status)) => format!("transfer-{}", status.code),
        CallEvent::TransferProgress(TransferOutcome::Completed(_)) => "transferred".into(),
        CallEvent::TransferProgress(TransferOutcome::Moved(_)) => "moved".into(),
        CallEvent::TransferProgress(TransferOutcome::Failed(status)) => {
            format!("not-transferred-{}", status.code)
        }
        CallEvent::MediaStalled => "stalled".into(),
        CallEvent::MediaResumed => "flowing".into(),
        CallEvent::Ended(_) => "ended".into(),
        other => format!("{other:?}"),
    }
}

/// An end in words: reason, side, the status line if the far end sent one, the Q.850 cause if it told one.
/// `busy by remote: 486 Busy Here (17)`.
pub fn told(end: &CallEnd) -> String {
    let status = end.sip.as_ref().map(|status| format!(": {status}")).unwrap_or_default();
    let cause = end.q850.as_ref().map(|q850| format!(" ({})", q850.cause)).unwrap_or_default();
    format!("{} by {}{status}{cause}", end.reason, end.ended_by)
}
