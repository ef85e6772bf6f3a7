//! When a request to Twilio is made again, and when that could ring twice.
//!
//! Twilio promises that a request answered with 429 was not processed. Everything else depends on what the request
//! does: fetching a call, or ending it, can be done twice; ordering one cannot. The answer to a lost order comes by
//! another way: each call has a status callback of its own.

use std::time::Duration;

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// A pause that Twilio asks for is kept up to here.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// No connection was made: nothing was sent.
    NotSent,
    /// The request may have arrived, and no whole answer came.
    Lost,
    /// Twilio, or something between, answered.
    Status {
        /// The HTTP status.
        code: u16,
        /// Its Retry-After.
        retry_after: Option<Duration>,
        /// The body is an error of Twilio's own interface: the request was looked at and refused.
        refused: bool,
    },
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask again after this pause.
    Again(Duration),
    /// Nothing was ordered, and asking again is of no use.
    GiveUp,
    /// Perhaps it was done: to order again could ring twice.
    Unknown,
}

/// After an attempt to order a call, the `attempt`th from 0 on, of at most `most`.
pub(super) fn after_order(answer: &Answer, attempt: u32, most: u32) -> Next {
    let again = |asked: Option<Duration>| {
        if attempt + 1 < most { Next::Again(pause(attempt, asked)) } else { Next::GiveUp }
    };
    match *answer {
        Answer::NotSent => again(None),
        Answer::Status { code: 429, retry_after, .. } => again(retry_after),
        // A 503 of Twilio's interface is a refusal; that of a gateway may hide an order that went through.
        Answer::Status { code: 503, retry_after, refused: true } => again(retry_after),
        Answer::Status { code: 400..=499, .. } => Next::GiveUp,
        Answer::Status { .. } | Answer::Lost => Next::Unknown,
    }
}

/// After an attempt at something that can be done twice.
pub(super) fn after_harmless(answer: &Answer, attempt: u32, most: u32) -> Next {
    let retry_after = match *answer {
        Answer::Status { code: 429 | 500..=599, retry_after, .. } => retry_after,
        Answer::NotSent | Answer::Lost => None,
        Answer::Status { .. } => return Next::GiveUp,
    };
    if attempt + 1 < most { Next::Again(pause(attempt, retry_after)) } else { Next::GiveUp }
}

/// Twice as long each time, and half of it by chance, so that calls that failed together do not ask together again.
fn pause(attempt: u32, asked: Option<Duration>) -> Duration {
    let whole = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST);
    let spread = whole.mul_f64(0.5 + 0.5 * rand::random::<f64>());
    spread.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, refused: bool) -> Answer {
        Answer::Status { code, retry_after: None, refused }
    }

    fn is_again(next: Next) -> bool {
        matches!(next, Next::Again(_))
    }

    #[test]
    fn an_order_is_repeated_only_if_it_surely_was_not_taken() {
        for again in [Answer::NotSent, status(429, true), status(429, false), status(503, true)] {
            assert!(is_again(after_order(&again, 0, 4)), "{again:?}");
            assert_eq!(after_order(&again, 3, 4), Next::GiveUp, "{again:?}");
        }
        for unknown in [
            Answer::Lost,
            status(500, true),
            status(502, false),
            status(503, false),
            status(504, false),
            // Done, but the body says nothing that we understand.
            status(201, false),
            status(302, false),
        ] {
            assert_eq!(after_order(&unknown, 0, 4), Next::Unknown, "{unknown:?}");
        }
        for refused in [400, 401, 403, 404] {
            assert_eq!(after_order(&status(refused, true), 0, 4), Next::GiveUp);
        }
    }

    #[test]
    fn what_can_be_done_twice_is_repeated() {
        for again in
            [Answer::NotSent, Answer::Lost, status(429, false), status(500, false), status(503, false)]
        {
            assert!(is_again(after_harmless(&again, 0, 4)), "{again:?}");
            assert_eq!(after_harmless(&again, 3, 4), Next::GiveUp);
        }
        assert_eq!(after_harmless(&status(404, true), 0, 4), Next::GiveUp);
    }

    #[test]
    fn pauses_grow_and_heed_what_is_asked() {
        for attempt in 0..40 {
            let whole = Duration::from_millis(250).saturating_mul(1 << attempt.min(16)).min(LONGEST);
            let pause = pause(attempt, None);
            assert!(pause >= whole / 2 && pause <= whole, "{attempt}: {pause:?}");
        }
        assert_eq!(pause(0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(pause(0, Some(Duration::from_secs(7_000))), LONGEST_ASKED);
    }
}
