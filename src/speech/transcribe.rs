//! A call's sound on its way to a recogniser.

use std::time::Duration;

use super::{Transcriber, Transcription};
use crate::audio::{ListenSink, Listener, SampleRate, listen};

/// How much sound waits for a recogniser that does something else, such as to connect again.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Listens to a callee: [`Call::transcribe`](crate::call::Call::transcribe) for those who hold the streams.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub fn transcribe(mut listener: Listener, transcriber: &dyn Transcriber) -> Transcription {
    let (frames, mut sink) = queue(listener.rate(), transcriber.rate(listener.rate()));
    let transcription = transcriber.transcribe(frames);
    transcription.fed_by(tokio::spawn(async move {
        while let Some(frame) = listener.recv().await {
            sink.push_frame(&frame);
        }
    }))
}

/// A queue for frames from one rate to another.
pub(super) fn queue(from: SampleRate, to: SampleRate) -> (Listener, ListenSink) {
    let (listener, mut sink) = listen(to, PATIENCE);
    sink.set_wire_rate(from);
    (listener, sink)
}
