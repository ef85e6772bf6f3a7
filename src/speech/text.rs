//! What is to be said.

mod sentence;

use std::collections::VecDeque;
use std::fmt;

use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};

/// What is to be said: a text that is there, or pieces that are still being written, as a language model gives them.
///
/// A synthesizer takes it piece by piece or sentence by sentence, whichever suits it. Pieces are joined as they are, and
/// may begin and end anywhere, in the middle of a word too.
pub struct Text {
    pieces: BoxStream<'static, String>,
    sentences: sentence::Splitter,
    ready: VecDeque<String>,
    ended: bool,
}

impl Text {
    /// A text of pieces that are still to come. It ends when the stream does.
    ///
    /// The stream is asked for the next piece when a synthesizer wants it: a stream over a bounded channel makes the
    /// language model wait for the callee's ears.
    pub fn from_pieces<S>(pieces: S) -> Self
    where
        S: Stream + Send + 'static,
        S::Item: Into<String>,
    {
        Self {
            pieces: pieces.map(Into::into).boxed(),
            sentences: sentence::Splitter::default(),
            ready: VecDeque::new(),
            ended: false,
        }
    }

    /// The next piece, as it came. `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next_piece(&mut self) -> Option<String> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        let rest = self.sentences.finish();
        if rest.is_some() {
            return rest;
        }
        loop {
            match self.more().await {
                Some(piece) if piece.is_empty() => {}
                piece => return piece,
            }
        }
    }

    /// The next sentence, as soon as the pieces show that it is complete: when another one begins behind it, or the text
    /// ends. Joined, the sentences are the text; each but the last ends with the white space behind it. A sentence of
    /// more than a thousand characters comes in parts. `None` at the end.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next_sentence(&mut self) -> Option<String> {
        loop {
            if let Some(sentence) = self.ready.pop_front() {
                return Some(sentence);
            }
            match self.more().await {
                Some(piece) => self.ready.extend(self.sentences.push(&piece)),
                None => return self.sentences.finish(),
            }
        }
    }

    async fn more(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let piece = self.pieces.next().await;
        self.ended = piece.is_none();
        piece
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from_pieces(stream::iter([text]))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is said to people is nobody else's business.
        f.debug_struct("Text").field("ended", &self.ended).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sentences(mut text: Text) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(sentence) = text.next_sentence().await {
            all.push(sentence);
        }
        all
    }

    #[tokio::test]
    async fn pieces_become_sentences() {
        let pieces = ["Good", " morning. How", " are you", "? It", " costs 3", ".50 dollars."];
        let text = Text::from_pieces(stream::iter(pieces));
        assert_eq!(sentences(text).await, ["Good morning. ", "How are you? ", "It costs 3.50 dollars."]);
    }

    #[tokio::test]
    async fn a_sentence_is_given_before_the_next_one_is_complete() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<String>();
        let pieces = stream::unfold(receiver, async |mut receiver| {
            let piece = receiver.recv().await?;
            Some((piece, receiver))
        });
        let mut text = Text::from_pieces(pieces);
        sender.send("One is here. T".into()).unwrap();
        assert_eq!(text.next_sentence().await.as_deref(), Some("One is here. "));
        drop(sender);
        assert_eq!(text.next_sentence().await.as_deref(), Some("T"));
        assert_eq!(text.next_sentence().await, None);
    }

    #[tokio::test]
    async fn pieces_come_as_they_are_and_after_a_sentence_the_rest_of_its_piece() {
        let mut text = Text::from_pieces(stream::iter(["", "One thing. Two", " things"]));
        assert_eq!(text.next_sentence().await.as_deref(), Some("One thing. "));
        assert_eq!(text.next_piece().await.as_deref(), Some("Two"));
        assert_eq!(text.next_piece().await.as_deref(), Some(" things"));
        assert_eq!(text.next_piece().await, None);
    }
}
