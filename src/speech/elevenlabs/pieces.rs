//! A text that is still being written, over a WebSocket.

use std::future::pending;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::ElevenLabs;
use super::message::{Message, Told};
use crate::speech::service::{Reader, Received, Service, Socket, Writer, samples};
use crate::speech::{AdapterError, SpeechSink, Text};

/// After how many characters the service makes sound of what it has; fifty are the fewest that it takes.
const SCHEDULE: [u32; 4] = [50, 90, 120, 150];
/// For how many seconds the service waits for text; it takes no more.
const INACTIVITY: &str = "180";
/// How long a connection that takes nothing more may need to say why.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Says `begin` and what comes behind it, at `hz`.
pub(super) async fn say(
    voice: &ElevenLabs,
    begin: String,
    text: Text,
    (hz, format): (u32, &str),
    sink: &SpeechSink,
) -> Result<(), AdapterError> {
    let service = &*voice.service;
    let mut url = voice.url("stream-input", format);
    url.query_pairs_mut()
        .append_pair("model_id", &voice.model)
        .append_pair("sync_alignment", "true")
        .append_pair("inactivity_timeout", INACTIVITY);
    if let Some(language) = &voice.language {
        url.query_pairs_mut().append_pair("language_code", language);
    }
    let Socket { mut writer, mut reader } = service.open(&url).await?;
    let sent = watch::Sender::new(Sent::default());
    let mut read = std::pin::pin!(read(service, &mut reader, &sent, hz, sink));
    let error = tokio::select! {
        biased;
        ended = &mut read => return ended,
        Err(error) = write(voice, &mut writer, begin, text, &sent) => error,
    };
    // It may have said why it takes nothing more.
    match timeout(LAST_WORDS, read).await {
        Ok(Err(reason)) => Err(reason),
        _ => Err(error),
    }
}

/// What the service has been told to say.
#[derive(Debug, Default)]
struct Sent {
    /// Text that no sound has been told to say.
    untold: String,
    /// Since when sound is owed: a sentence is there.
    owed: Option<Instant>,
    /// The text is over.
    all: bool,
    /// The service itself tells which words its sound says.
    aligned: bool,
}

/// Sends the text; returns with an error only.
async fn write(
    voice: &ElevenLabs,
    writer: &mut Writer,
    begin: String,
    mut text: Text,
    sent: &watch::Sender<Sent>,
) -> Result<(), AdapterError> {
    let service = &*voice.service;
    let mut first = json!({ "text": " ", "generation_config": { "chunk_length_schedule": SCHEDULE } });
    if !voice.settings.is_empty() {
        first["voice_settings"] = voice.settings.clone().into();
    }
    writer.send_json(service, &first).await?;
    let (mut waiting, mut over) = (begin, false);
    loop {
        let words = words(&mut waiting, over);
        if !words.trim().is_empty() {
            // What is a sentence need not wait for more.
            let flush = over || is_sentence(&words);
            let spaced = if words.ends_with(' ') { words.clone() } else { format!("{words} ") };
            let mut message = json!({ "text": spaced });
            if flush {
                message["flush"] = true.into();
            }
            writer.send_json(service, &message).await?;
            sent.send_modify(|sent| {
                sent.untold.push_str(&words);
                if flush {
                    sent.owed = sent.owed.or(Some(Instant::now()));
                }
            });
        }
        if over {
            break;
        }
        match text.next_piece().await {
            Some(piece) => waiting.push_str(&piece),
            None => over = true,
        }
    }
    writer.send_json(service, &json!({ "text": "" })).await?;
    sent.send_modify(|sent| {
        sent.all = true;
        sent.owed = Some(Instant::now());
    });
    pending().await
}

/// Takes the whole words out of a text, or all of it.
fn words(waiting: &mut String, all: bool) -> String {
    let end = if all { waiting.len() } else { waiting.rfind(char::is_whitespace).map_or(0, |at| at + 1) };
    // White space can be longer than a byte.
    let end = (end..=waiting.len()).find(|end| waiting.is_char_boundary(*end)).unwrap_or(waiting.len());
    let rest = waiting.split_off(end);
    std::mem::replace(waiting, rest)
}

/// Whether a sentence ends here.
fn is_sentence(words: &str) -> bool {
    words.trim_end().ends_with(['.', '!', '?', ':', '…', '。', '！', '？']) || words.ends_with('\n')
}

/// Passes the sound on, until it ends.
async fn read(
    service: &Service,
    reader: &mut Reader,
    sent: &watch::Sender<Sent>,
    hz: u32,
    sink: &SpeechSink,
) -> Result<(), AdapterError> {
    let mut news = sent.subscribe();
    let (mut odd, mut heard_at) = (None, Instant::now());
    loop {
        let (owed, all) = {
            let sent = news.borrow_and_update();
            (sent.owed, sent.all)
        };
        let limit = service.limits().first_byte.max(service.limits().idle);
        let late = async {
            match owed {
                Some(since) => sleep_until(since.max(heard_at) + limit).await,
                None => pending().await,
            }
        };
        let text = tokio::select! {
            biased;
            received = reader.next(service) => match received? {
                Some(Received::Text(text)) => text,
                Some(Received::Pong) => continue,
                // Some close the connection in place of a last message.
                None if all => return Ok(()),
                None => return Err(service.cut_off()),
            },
            Ok(()) = news.changed() => continue,
            () = late => return Err(service.late("the next piece of speech", limit)),
        };
        let message: Message =
            serde_json::from_str(&text).map_err(|error| service.malformed(error.to_string()))?;
        if let Some(told) = message.error() {
            return Err(refusal(service, reader, told));
        }
        let sound = message.sound().map_err(|_| service.malformed("sound that is no base64"))?;
        if let Some(sound) = sound {
            let sound = samples(&sound, &mut odd);
            pass_on(&message, &sound, sent, hz, sink).await?;
            heard_at = Instant::now();
        }
        if message.is_final() {
            return if odd.is_some() {
                Err(service.malformed("it ends in the middle of a sample"))
            } else {
                Ok(())
            };
        }
    }
}

/// Passes a piece of sound on, and which words it says.
async fn pass_on(
    message: &Message,
    sound: &[i16],
    sent: &watch::Sender<Sent>,
    hz: u32,
    sink: &SpeechSink,
) -> Result<(), AdapterError> {
    let words = message.alignment.as_ref().map(|alignment| alignment.words(hz, sound.len()));
    let (mut done, mut untold) = (0, String::new());
    sent.send_if_modified(|sent| {
        if !sent.all {
            sent.owed = None;
        }
        sent.aligned |= words.as_ref().is_some_and(|words| !words.is_empty());
        if !sent.aligned {
            untold = std::mem::take(&mut sent.untold);
        }
        false
    });
    if !untold.is_empty() {
        sink.saying(untold).await?;
    }
    for (at, word) in words.into_iter().flatten() {
        sink.sound(&sound[done..at], hz).await?;
        sink.saying(word).await?;
        done = at;
    }
    Ok(sink.sound(&sound[done..], hz).await?)
}

fn refusal(service: &Service, reader: &Reader, told: Told) -> AdapterError {
    let (name, message) = (service.name().to_owned(), reader.clean(&told.words));
    match told.kind.as_str() {
        kind if kind.contains("quota") || kind.contains("limit") || kind.contains("too_many") => {
            AdapterError::Limited { service: name, status: told.code, retry_after: None, message }
        }
        kind if kind.contains("api_key") || kind.contains("auth") || kind.contains("permission") => {
            AdapterError::Unauthorized { service: name, status: told.code, message }
        }
        _ => AdapterError::Refused { service: name, status: told.code, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_sent_in_whole_words() {
        let mut waiting = String::new();
        let mut sent = Vec::new();
        for (piece, over) in
            [("Good mor", false), ("ning.\u{2003}How", false), (" are", false), (" you?", true)]
        {
            waiting.push_str(piece);
            sent.push(words(&mut waiting, over));
        }
        assert_eq!(sent, ["Good ", "morning.\u{2003}", "How ", "are you?"]);
        assert!(waiting.is_empty());
        let ends: Vec<_> = sent.iter().map(|words| is_sentence(words)).collect();
        assert_eq!(ends, [false, true, false, true]);
    }
}
