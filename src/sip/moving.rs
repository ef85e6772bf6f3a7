//! A call that its callee has moved to somebody else (RFC 5589 §6): a second call is made to that one, and takes the
//! first one's place behind the application's handle.

use std::sync::Arc;
use std::time::Instant;

use super::active::ActiveCall;
use crate::call::{EndFacts, Signal};
use crate::pj::{CallKey, PinnedStream};

/// How often the callee of one call may ask: each time somebody's telephone may ring.
const MOST: u32 = 3;

/// Where a call stands that its callee wants to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Moving {
    /// Nobody has asked, or it came to nothing.
    #[default]
    No,
    /// Agreed to; the second call is being made.
    Asked,
    /// The second call is there, not answered yet.
    Calling(CallKey),
    /// The second call carries the sound.
    Moved(CallKey),
}

/// What an [`ActiveCall`] keeps of it.
#[derive(Default)]
pub(super) struct Succession {
    pub(super) moving: Moving,
    asked: u32,
    /// The callee's end has hung up on this call, which goes on with another one.
    left: bool,
    /// The call that is moved to whoever answers this one.
    pub(super) predecessor: Option<CallKey>,
    /// A stream that begins to be served with the answer.
    early_stream: Option<Arc<PinnedStream>>,
}

impl Succession {
    /// The second call, as soon as it is there.
    pub(super) fn successor(&self) -> Option<CallKey> {
        match self.moving {
            Moving::Calling(key) | Moving::Moved(key) => Some(key),
            Moving::No | Moving::Asked => None,
        }
    }

    /// Takes the callee's wish, if it can be followed now.
    pub(super) fn ask(&mut self) -> bool {
        let free = self.moving == Moving::No && self.asked < MOST && self.predecessor.is_none();
        if free {
            self.moving = Moving::Asked;
            self.asked += 1;
        }
        free
    }

    /// Whether the callee's end has hung up, and the call goes on.
    pub(super) fn has_left(&self) -> bool {
        self.left
    }

    pub(super) fn keep_stream(&mut self, stream: Arc<PinnedStream>) {
        self.early_stream = Some(stream);
    }

    pub(super) fn take_stream(&mut self) -> Option<Arc<PinnedStream>> {
        self.early_stream.take()
    }
}

impl ActiveCall {
    /// The callee's end has hung up after it asked for the call to be moved. From now on the time of the second call
    /// counts.
    pub(super) fn left_by_callee(&mut self, now: Instant) {
        self.succession.left = true;
        self.slot = None;
        self.put_away_stream();
        self.signal(now, Signal::Left);
    }

    /// The second call is over: how it ended is how this one ends.
    pub(super) fn ends_like(&mut self, successor: &EndFacts) {
        let facts = self.facts_mut();
        facts.bye_from_remote = successor.bye_from_remote;
        facts.q850.clone_from(&successor.q850);
        facts.local = facts.local.or(successor.local);
    }
}
