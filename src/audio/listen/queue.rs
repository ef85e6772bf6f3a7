//! A ring of frames that keeps the newest.

use std::task::Waker;

/// Counters of a listen stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListenStats {
    /// Frames that have been read.
    pub delivered: u64,
    /// Frames that wait to be read.
    pub queued: u64,
    /// Frames that were dropped, the oldest first, because nobody read them in time.
    pub dropped: u64,
}

/// What is known of a frame beside its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) position: u64,
    pub(super) early: bool,
}

/// A fixed number of slots of one frame each, allocated once.
#[derive(Debug)]
pub(super) struct FrameQueue {
    heads: Box<[Head]>,
    samples: Box<[i16]>,
    frame_len: usize,
    first: usize,
    len: usize,
    delivered: u64,
    dropped: u64,
    ended: bool,
    waiting: Option<Waker>,
}

impl FrameQueue {
    pub(super) fn new(frames: usize, frame_len: usize) -> Self {
        Self {
            heads: vec![Head::default(); frames].into(),
            samples: vec![0; frames * frame_len].into(),
            frame_len,
            first: 0,
            len: 0,
            delivered: 0,
            dropped: 0,
            ended: false,
            waiting: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn stats(&self) -> ListenStats {
        ListenStats { delivered: self.delivered, queued: self.len as u64, dropped: self.dropped }
    }

    /// Where the next frame will be put.
    pub(super) fn next(&self) -> &[i16] {
        let slot = if self.len == 0 { 0 } else { (self.first + self.len) % self.heads.len() };
        &self.samples[slot * self.frame_len..][..self.frame_len]
    }

    /// Puts a frame in, in place of the oldest if the ring is full. Returns the task that waits for it.
    pub(super) fn push(&mut self, head: Head, samples: &[i16]) -> Option<Waker> {
        if self.len == self.heads.len() {
            self.first = (self.first + 1) % self.heads.len();
            self.len -= 1;
            self.dropped += 1;
        }
        if self.len == 0 {
            // A listener that keeps up always reads the same slot: the others stay out of the cache.
            self.first = 0;
        }
        let slot = (self.first + self.len) % self.heads.len();
        self.heads[slot] = head;
        self.samples[slot * self.frame_len..][..self.frame_len].copy_from_slice(samples);
        self.len += 1;
        self.waiting.take()
    }

    /// Takes the oldest frame out of a ring that is not empty.
    pub(super) fn pop(&mut self, samples: &mut [i16]) -> Head {
        assert!(self.len > 0, "the caller has seen a frame");
        let slot = self.first;
        samples.copy_from_slice(&self.samples[slot * self.frame_len..][..self.frame_len]);
        self.first = (self.first + 1) % self.heads.len();
        self.len -= 1;
        self.delivered += 1;
        self.heads[slot]
    }

    /// Wakes this task when a frame arrives, or none will any more.
    pub(super) fn wait(&mut self, waker: &Waker) {
        match &mut self.waiting {
            Some(waiting) => waiting.clone_from(waker),
            None => self.waiting = Some(waker.clone()),
        }
    }

    /// No frame will follow. Returns the task that waits for one.
    pub(super) fn end(&mut self) -> Option<Waker> {
        self.ended = true;
        self.waiting.take()
    }
}
