//! Where Twilio's callbacks and streams find their call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::account::Keys;
use super::media::{Sound, StreamEnd};
use super::rest::Outcome;
use super::status::Report;
use super::token::StreamToken;
use crate::audio::dtmf::Digit;
use crate::call::{Command, LocalCause};

/// What happens to a call; its task takes it in order.
#[derive(Debug)]
pub(super) enum News {
    /// An order of the application.
    Command(Command),
    /// The provider ends all calls.
    End(LocalCause),
    /// Twilio called back.
    Report(Report),
    /// What became of a request to look at the call, or to end it.
    Looked(Outcome),
    /// The media stream has begun.
    StreamBegan,
    /// The callee pressed a key.
    Digit(Digit),
    /// The callee's sound has stopped coming, or comes again.
    Stalled(bool),
    /// The media stream is over.
    StreamEnded(StreamEnd),
}

/// One call, as the server knows it.
pub(super) struct Line {
    key: String,
    news: mpsc::UnboundedSender<News>,
    /// The secrets of the moment in which it began.
    keys: Arc<Keys>,
    /// What the stream has to show, until it has shown it.
    token: Mutex<Option<StreamToken>>,
    /// The two queues, until the stream takes them.
    sound: Mutex<Option<Sound>>,
    /// Twilio's name of the call, once it is known.
    sid: watch::Sender<Option<String>>,
    /// The stream is to close.
    closed: watch::Sender<bool>,
}

impl Line {
    /// See [`Lines::new_key`].
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Tells the call's task. When that has ended, nobody needs to know.
    pub(super) fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }

    /// The way to the call's task.
    pub(super) fn news(&self) -> mpsc::UnboundedSender<News> {
        self.news.clone()
    }

    /// The secrets of the moment in which it began.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn set_sid(&self, sid: &str) {
        self.sid.send_replace(Some(sid.to_owned()));
    }

    /// Whether Twilio's name of the call can be this one: it is, or it is not known yet.
    pub(super) fn may_be(&self, sid: &str) -> bool {
        self.sid.borrow().as_deref().is_none_or(|known| known == sid)
    }

    /// Takes the queues for a stream that shows the token. The token is good for one look: after a wrong one another
    /// may come, after the right one none.
    pub(super) fn admit(&self, shown: &str) -> Option<Sound> {
        let mut token = lock(&self.token);
        if *self.closed.borrow() || !token.as_ref()?.is(shown) {
            return None;
        }
        *token = None;
        lock(&self.sound).take()
    }

    /// Closes the stream, or keeps one from coming. The queues of a call without a stream end here.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
        drop(lock(&self.sound).take());
    }

    /// Resolves when the stream is to close.
    pub(super) async fn closing(&self) {
        // The sender lives as long as this does.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}

/// All calls of a provider.
#[derive(Default)]
pub(super) struct Lines {
    state: Mutex<State>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    lines: HashMap<String, Arc<Line>>,
    /// No call is to begin any more.
    closed: bool,
}

impl Lines {
    /// The unguessable part of a call's addresses: 32 hexadecimal digits.
    pub(super) fn new_key() -> String {
        format!("{:032x}", rand::random::<u128>())
    }

    /// Makes a line with the account's secrets, a token and the queues, and gives the call's task its end. `None` after
    /// [`close`](Self::close).
    pub(super) fn open(
        &self,
        key: String,
        keys: Arc<Keys>,
        token: StreamToken,
        sound: Sound,
    ) -> Option<(Arc<Line>, mpsc::UnboundedReceiver<News>)> {
        let (news, inbox) = mpsc::unbounded_channel();
        let line = Arc::new(Line {
            key,
            news,
            keys,
            token: Mutex::new(Some(token)),
            sound: Mutex::new(Some(sound)),
            sid: watch::Sender::new(None),
            closed: watch::Sender::new(false),
        });
        let mut state = lock(&self.state);
        if state.closed {
            return None;
        }
        state.lines.insert(line.key.clone(), Arc::clone(&line));
        self.count.send_replace(state.lines.len());
        Some((line, inbox))
    }

    /// Takes no further calls.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
    }

    /// The call with this key.
    pub(super) fn find(&self, key: &str) -> Option<Arc<Line>> {
        lock(&self.state).lines.get(key).cloned()
    }

    /// The call is over, for Twilio too.
    pub(super) fn forget(&self, key: &str) {
        let mut state = lock(&self.state);
        state.lines.remove(key);
        self.count.send_replace(state.lines.len());
    }

    /// Tells all calls to end.
    pub(super) fn end_all(&self, cause: LocalCause) {
        for line in lock(&self.state).lines.values() {
            line.tell(News::End(cause));
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Resolves when there are none.
    pub(super) async fn idle(&self) {
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(lines: &Lines, token: StreamToken) -> Option<(Arc<Line>, mpsc::UnboundedReceiver<News>)> {
        lines.open(Lines::new_key(), Arc::new(Keys::for_tests("secret")), token, Sound::for_tests())
    }

    #[test]
    fn a_token_is_good_once() {
        let lines = Lines::default();
        let token = StreamToken::random();
        let text = token.expose().to_owned();
        let (line, _inbox) = open(&lines, token).unwrap();
        assert!(lines.find(line.key()).is_some() && lines.find("0").is_none());
        assert!(line.admit("").is_none() && line.admit("wrong").is_none());
        assert!(line.admit(&text).is_some(), "a wrong one before it changes nothing");
        assert!(line.admit(&text).is_none());
        lines.forget(line.key());
        assert!(lines.find(line.key()).is_none() && lines.count() == 0);
    }

    #[test]
    fn a_call_that_is_over_admits_no_stream() {
        let lines = Lines::default();
        let token = StreamToken::random();
        let text = token.expose().to_owned();
        let (line, _inbox) = open(&lines, token).unwrap();
        line.close();
        assert!(line.admit(&text).is_none());
    }

    #[test]
    fn nothing_begins_after_the_end() {
        let lines = Lines::default();
        lines.close();
        assert!(open(&lines, StreamToken::random()).is_none());
        assert_eq!(lines.count(), 0);
    }

    #[test]
    fn another_call_s_sid_is_not_this_one_s() {
        let lines = Lines::default();
        let (line, _inbox) = open(&lines, StreamToken::random()).unwrap();
        assert!(line.may_be("CA1"));
        line.set_sid("CA1");
        assert!(line.may_be("CA1") && !line.may_be("CA2"));
    }
}
