//! A text that a service says sentence by sentence, each with a request of its own.

use std::future::Future;

use tokio::sync::mpsc;

use super::{Body, Service};
use crate::speech::{AdapterError, SpeechSink, Text};

/// A voice that is asked for one sentence at a time.
pub(in crate::speech) trait Voice: Sync {
    fn service(&self) -> &Service;

    /// Asks for the sound of a sentence, 16-bit little-endian mono PCM; `before` is the sentence before it.
    fn ask(&self, sentence: &str, before: &str) -> impl Future<Output = Result<Body, AdapterError>> + Send;
}

/// Says a text. A sentence is heard while its sound is being made, and the next one is asked for meanwhile; no more than
/// one is ahead.
pub(in crate::speech) async fn say_sentences(
    voice: &impl Voice,
    text: Text,
    hz: u32,
    sink: &SpeechSink,
) -> Result<(), AdapterError> {
    let (sender, receiver) = mpsc::channel(1);
    let ask = async {
        ask(voice, text, sender).await;
        Ok(())
    };
    tokio::try_join!(ask, say(voice.service(), receiver, hz, sink)).map(|_| ())
}

/// A sentence, and its sound if it has any.
struct Asked {
    sentence: String,
    body: Result<Option<Body>, AdapterError>,
}

async fn ask(voice: &impl Voice, mut text: Text, asked: mpsc::Sender<Asked>) {
    let mut before = String::new();
    // What cannot be passed on any more is wanted by nobody.
    while let Ok(place) = asked.reserve().await {
        let Some(sentence) = text.next_sentence().await else { return };
        let sounds = sentence.contains(char::is_alphanumeric);
        let body = if sounds { voice.ask(sentence.trim(), &before).await.map(Some) } else { Ok(None) };
        let failed = body.is_err();
        sentence.trim().clone_into(&mut before);
        place.send(Asked { sentence, body });
        if failed {
            return;
        }
    }
}

async fn say(
    service: &Service,
    mut asked: mpsc::Receiver<Asked>,
    hz: u32,
    sink: &SpeechSink,
) -> Result<(), AdapterError> {
    while let Some(Asked { sentence, body }) = asked.recv().await {
        let body = body?;
        sink.saying(sentence).await?;
        let Some(mut body) = body else { continue };
        body.is_pcm(service)?;
        let mut odd = None;
        while let Some(samples) = body.next_samples(service, &mut odd).await? {
            sink.sound(&samples, hz).await?;
        }
    }
    Ok(())
}
