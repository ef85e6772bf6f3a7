//! How long a service may take.

use std::time::Duration;

/// Time limits of a service on the network. A service that breaks one has failed, and a fallback goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// For the connection, TLS included. 3 s.
    pub connect: Duration,
    /// From the request to the first byte of its answer. 5 s.
    pub first_byte: Duration,
    /// Between two parts of an answer, and for a message to be taken. 5 s.
    pub idle: Duration,
    /// How often a request is made at most: again after a lost connection, a fault of the server, or when it asks for a
    /// pause of at most a second, and only before the first byte of its answer. 2.
    pub attempts: u32,
}

impl Limits {
    /// Another limit for the connection.
    #[must_use]
    pub fn connect(mut self, limit: Duration) -> Self {
        self.connect = limit;
        self
    }

    /// Another limit for the first byte of an answer.
    #[must_use]
    pub fn first_byte(mut self, limit: Duration) -> Self {
        self.first_byte = limit;
        self
    }

    /// Another limit between two parts of an answer.
    #[must_use]
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// Another number of attempts; one is the least.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(3), first_byte: seconds(5), idle: seconds(5), attempts: 2 }
    }
}
