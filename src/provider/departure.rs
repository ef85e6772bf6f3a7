use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{DialError, E164, Price};
use crate::audio::DuplexSink;
use crate::call::CallId;

/// What a provider tells whoever answers for the call: when the request leaves, and what it will cost.
///
/// It travels inside the [`DialRequest`](super::DialRequest). Without a witness it does nothing, so a provider tells it
/// all the same when it is used alone.
#[derive(Clone, Default)]
pub(crate) struct Departure(Option<Arc<dyn Witness>>);

/// Keeps the evidence of one attempt.
#[async_trait]
pub(crate) trait Witness: Send + Sync {
    /// See [`Departure::leaving`].
    async fn leaving(&self, call: &CallId) -> Result<(), DialError>;
    /// See [`Departure::sent`].
    async fn sent(&self) -> Result<(), DialError>;
    /// See [`Departure::stayed`].
    fn stayed(&self);
    /// See [`Departure::recorder`].
    fn recorder(&self) -> Option<DuplexSink>;
    /// See [`Departure::price_follows`].
    fn price_follows(&self, price: oneshot::Receiver<Price>);
    /// Whether the callee may have the call moved to this number, as far as the number alone tells. It must not wait.
    fn may_move(&self, to: &E164) -> bool;
    /// The callee asked for the call to be moved and was refused; `to` is `None` where no number was named. It must not
    /// wait.
    fn move_refused(&self, to: Option<&E164>);
    /// Calls whoever the callee has the call moved to, by a request with [`moves`](super::DialRequest) set, and tells if no
    /// call comes to be. It must not wait.
    fn move_to(&self, to: &E164, call: &CallId, failed: Box<dyn FnOnce(&DialError) + Send>);
}

impl Departure {
    pub(crate) fn new(witness: Arc<dyn Witness>) -> Self {
        Self(Some(witness))
    }

    /// Who answers for the call, if anybody does.
    pub(crate) fn witness(&self) -> Option<&Arc<dyn Witness>> {
        self.0.as_ref()
    }

    /// The call has its name: the record of its start is made. A provider that chooses the name itself says so just
    /// before the request leaves, another one as soon as it knows the name.
    ///
    /// # Errors
    ///
    /// The call must not be, or must not go on: its start could not be recorded, or nobody wants it any more. The
    /// provider ends it and returns this error.
    pub(crate) async fn leaving(&self, call: &CallId) -> Result<(), DialError> {
        match &self.0 {
            Some(witness) => witness.leaving(call).await,
            None => Ok(()),
        }
    }

    /// From now on somebody's telephone may ring, even if the answer to the request is lost: a dial that fails later
    /// does not free the idempotency key. For a provider that learns the call's name from that answer.
    ///
    /// # Errors
    ///
    /// The request must not be sent: nobody wants the call any more, or it could not be noted down.
    #[cfg_attr(not(feature = "twilio"), expect(dead_code, reason = "for providers that ask a web service"))]
    pub(crate) async fn sent(&self) -> Result<(), DialError> {
        match &self.0 {
            Some(witness) => witness.sent().await,
            None => Ok(()),
        }
    }

    /// The request of which [`sent`](Self::sent) told has surely made nothing ring: it was refused.
    #[cfg_attr(not(feature = "twilio"), expect(dead_code, reason = "for providers that ask a web service"))]
    pub(crate) fn stayed(&self) {
        if let Some(witness) = &self.0 {
            witness.stayed();
        }
    }

    /// Where both directions of the call's sound go from the answer on, if it is to be recorded. The provider takes it
    /// once, before the call has sound.
    pub(crate) fn recorder(&self) -> Option<DuplexSink> {
        self.0.as_ref().and_then(|witness| witness.recorder())
    }

    /// The price comes some time after the end. The usage event waits until it is sent or the sender is dropped; the
    /// provider bounds that time.
    #[cfg_attr(not(feature = "twilio"), expect(dead_code, reason = "for providers that ask a web service"))]
    pub(crate) fn price_follows(&self) -> oneshot::Sender<Price> {
        let (sender, price) = oneshot::channel();
        if let Some(witness) = &self.0 {
            witness.price_follows(price);
        }
        sender
    }
}

impl fmt::Debug for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Departure(witnessed)" } else { "Departure" })
    }
}

/// Requests are compared by what they ask for.
impl PartialEq for Departure {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Departure {}
