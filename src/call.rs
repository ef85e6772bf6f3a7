//! One outbound call: the handle that every provider returns.
//!
//! A [`Call`] is the same type whichever provider carries it. It is a cheap clone; dropping the last clone hangs up.
//! Behind it stands a log of [`CallEvent`]s that the provider writes and any number of readers follow.

mod control;
mod end;
mod event;
mod log;
mod machine;
mod witness;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

pub(crate) use control::{CallControl, Command, TransferTarget};
pub use end::{CallEnd, EndReason, EndedBy, MediaFault, MediaStats, Q850, SipStatus};
pub(crate) use end::{EndFacts, LocalCause, mos, parse_reason};
pub use event::{Answered, CallEvent, TransferOutcome};
pub(crate) use log::CallLog;
pub use log::Events;
pub(crate) use machine::{CallMachine, Ending, Signal};
use tokio::sync::oneshot;
pub(crate) use witness::{CallWitness, Heard, Said, Scribe};

use crate::audio::dtmf::Digit;
use crate::audio::{Listener, Speaker};

/// Identifies a call in logs, audit records and on the wire: the Call-ID header for SIP (32 lower-case hexadecimal
/// digits, RFC 3261 §8.1.1.4), the call sid for Twilio.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(Arc<str>);

impl CallId {
    pub(crate) fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({})", self.0)
    }
}

/// The two directions of a call's sound, see [`Call::audio`].
#[derive(Debug)]
pub struct Audio {
    /// Speech to the callee.
    pub speaker: Speaker,
    /// What the callee says.
    pub listener: Listener,
}

/// Why an operation on a call was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call has ended.
    #[error("the call has ended")]
    Ended,
    /// The operation needs an answered call.
    #[error("the call has not been answered yet")]
    NotAnswered,
    /// The streams were already taken by an earlier [`Call::audio`].
    #[error("the audio streams of this call were taken before")]
    AudioTaken,
    /// This provider, or this trunk, cannot do it.
    #[error("{what} is not supported by {provider}")]
    Unsupported {
        /// The operation.
        what: &'static str,
        /// The provider's name.
        provider: &'static str,
    },
    /// The input does not fit the operation.
    #[error("{0}")]
    Invalid(String),
    /// A rule of the operator forbids it.
    #[error("refused by policy: {reason}")]
    Policy {
        /// The rule's stable name: `denied_prefix`, `premium_rate`.
        rule: &'static str,
        /// What the rule says, for people.
        reason: String,
    },
    /// The far end refused.
    #[error("the far end refused: {0}")]
    Refused(SipStatus),
    /// The signalling stack refused; its own words.
    #[error("{0}")]
    Failed(String),
}

/// A call. See the [module](self) for its life.
#[derive(Clone)]
pub struct Call(Arc<Handle>);

struct Handle {
    log: Arc<CallLog>,
    control: Box<dyn CallControl>,
    speaker: Option<Speaker>,
    audio: Mutex<Option<Audio>>,
    witness: OnceLock<Arc<dyn CallWitness>>,
}

/// A call that may be over, held by somebody who does not keep it up.
#[derive(Clone)]
pub(crate) struct WeakCall {
    log: Arc<CallLog>,
    provider: &'static str,
    handle: Weak<Handle>,
}

impl WeakCall {
    /// The call; without its streams and its control if no handle is left, since then it is over or being hung up.
    pub(crate) fn call(&self) -> Call {
        let handle = self.handle.upgrade().map(Call);
        handle.unwrap_or_else(|| Call::without_control(Arc::clone(&self.log), self.provider))
    }

    /// The log of the call, for those who write into it.
    pub(crate) fn log(&self) -> &Arc<CallLog> {
        &self.log
    }

    /// Ends the call for a reason of the operator's.
    pub(crate) fn end(&self, cause: LocalCause, detail: String) {
        if let Some(handle) = self.handle.upgrade() {
            handle.control.send(Command::End { cause, detail });
        }
    }
}

/// The control of a call that nobody can do anything with any more.
struct NoControl(&'static str);

impl CallControl for NoControl {
    fn provider(&self) -> &'static str {
        self.0
    }

    fn send(&self, _: Command) {}
}

impl Call {
    pub(crate) fn new(log: Arc<CallLog>, control: Box<dyn CallControl>, audio: Audio) -> Self {
        let speaker = Some(audio.speaker.clone());
        let audio = Mutex::new(Some(audio));
        Self(Arc::new(Handle { log, control, speaker, audio, witness: OnceLock::new() }))
    }

    fn without_control(log: Arc<CallLog>, provider: &'static str) -> Self {
        let control = Box::new(NoControl(provider));
        let (speaker, audio) = (None, Mutex::new(None));
        Self(Arc::new(Handle { log, control, speaker, audio, witness: OnceLock::new() }))
    }

    /// A call of which only the end is known.
    pub(crate) fn over(id: CallId, provider: &'static str, end: CallEnd) -> Self {
        let log = CallLog::new(id);
        log.append([CallEvent::Ended(end)]);
        Self::without_control(log, provider)
    }

    /// Whoever stands beside the call is told of what is done with it; the first one stays.
    pub(crate) fn witnessed_by(&self, witness: Arc<dyn CallWitness>) {
        // A second one would be told of the same things twice.
        let _ = self.0.witness.set(witness);
    }

    pub(crate) fn downgrade(&self) -> WeakCall {
        let log = Arc::clone(&self.0.log);
        WeakCall { log, provider: self.provider(), handle: Arc::downgrade(&self.0) }
    }

    /// The Call-ID header (SIP) or the call sid (Twilio).
    #[must_use]
    pub fn id(&self) -> &CallId {
        self.0.log.id()
    }

    /// The name of the provider that carries the call, `"sip"` or `"twilio"`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.0.control.provider()
    }

    /// The call's events from the first one on, however late this is called. Each reader gets all of them.
    ///
    /// A reader that is more than 1,024 events behind loses the oldest; `Ended` is never lost.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(Arc::clone(&self.0.log))
    }

    /// Waits for the callee to answer.
    ///
    /// # Errors
    ///
    /// The [`CallEnd`] when the call ends unanswered.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is lost and the call goes on.
    pub async fn answered(&self) -> Result<Answered, CallEnd> {
        self.0.log.answered().await
    }

    /// Waits for the end of the call, also when it is already over.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is lost and the call goes on.
    pub async fn ended(&self) -> CallEnd {
        self.0.log.ended().await
    }

    /// The end of the call if it is over.
    #[must_use]
    pub fn end(&self) -> Option<CallEnd> {
        self.0.log.end()
    }

    /// Takes the call's two audio streams; they may be used as soon as the call exists. Sound that is spoken before
    /// the answer waits in the queue, sound that is heard before the answer is marked as early media.
    ///
    /// # Errors
    ///
    /// [`CallError::AudioTaken`] on the second call.
    pub fn audio(&self) -> Result<Audio, CallError> {
        self.0.audio.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(CallError::AudioTaken)
    }

    /// The stream to the callee, as often as it is asked for: what all speak into it is played in turn.
    ///
    /// # Errors
    ///
    /// [`CallError::Ended`] where nothing but the end of the call is left.
    pub fn speaker(&self) -> Result<Speaker, CallError> {
        self.0.speaker.clone().ok_or(CallError::Ended)
    }

    /// Stops keeping what is said, while the callee reads out a card number for example: from the next 20 ms on the
    /// recording has silence, on both sides, and the transcript no words. The time goes on in both.
    ///
    /// Returns false if nothing of the call is kept; then, too, nothing is from here on.
    pub fn pause_recording(&self) -> bool {
        self.0.witness.get().is_some_and(|witness| witness.pause_recording(true))
    }

    /// Keeps what is said again; with `start_paused` in the configuration, for the first time.
    ///
    /// Returns false if nothing of the call is kept.
    pub fn resume_recording(&self) -> bool {
        self.0.witness.get().is_some_and(|witness| witness.pause_recording(false))
    }

    /// Who writes down the words of the call, if anybody does.
    pub(crate) fn scribe(&self) -> Option<Arc<dyn Scribe>> {
        self.0.witness.get()?.scribe()
    }

    /// The log of the call, for those who write into it.
    pub(crate) fn log(&self) -> &Arc<CallLog> {
        &self.0.log
    }

    /// Sends DTMF digits (`0-9*#A-D`) to the callee, by RFC 4733 or as the trunk is configured, one after the other.
    /// Returns when they are queued for sending.
    ///
    /// # Errors
    ///
    /// [`CallError::Invalid`] for a character that is no digit, [`CallError::NotAnswered`] before the answer,
    /// [`CallError::Failed`] when the callee did not agree to telephone events.
    ///
    /// # Cancel safety
    ///
    /// Once polled the digits may be sent even if the future is dropped.
    pub async fn send_dtmf(&self, digits: &str) -> Result<(), CallError> {
        self.press(digits, false).await
    }

    /// As [`send_dtmf`](Self::send_dtmf), for confidential keys such as a PIN: the audit log has an asterisk in place of
    /// each.
    ///
    /// # Errors
    ///
    /// As for [`send_dtmf`](Self::send_dtmf).
    ///
    /// # Cancel safety
    ///
    /// Once polled the digits may be sent even if the future is dropped.
    pub async fn send_dtmf_masked(&self, digits: &str) -> Result<(), CallError> {
        self.press(digits, true).await
    }

    async fn press(&self, text: &str, masked: bool) -> Result<(), CallError> {
        let digits = text
            .chars()
            .map(|c| Digit::try_from(c).map_err(|_| CallError::Invalid(format!("{c:?} is not a DTMF digit"))))
            .collect::<Result<Vec<_>, _>>()?;
        self.ask(|reply| Command::Dtmf { digits, reply }).await?;
        if let Some(witness) = self.0.witness.get() {
            witness.keys_sent(text, masked).await;
        }
        Ok(())
    }

    /// Puts the callee on hold (RFC 3264 §8.4: `sendonly`).
    ///
    /// # Errors
    ///
    /// [`CallError::NotAnswered`] before the answer; [`CallError::Failed`] when another offer is in progress.
    ///
    /// # Cancel safety
    ///
    /// Once polled the request may be sent even if the future is dropped.
    pub async fn hold(&self) -> Result<(), CallError> {
        self.ask(|reply| Command::Hold { reply }).await
    }

    /// Takes the callee back from hold.
    ///
    /// # Errors
    ///
    /// As for [`Call::hold`].
    ///
    /// # Cancel safety
    ///
    /// Once polled the request may be sent even if the future is dropped.
    pub async fn resume(&self) -> Result<(), CallError> {
        self.ask(|reply| Command::Resume { reply }).await
    }

    /// Hands the callee over to `target`, an E.164 number or a SIP URI, by REFER (RFC 3515, blind transfer). Returns
    /// when the request has been sent; the outcome arrives as [`CallEvent::TransferProgress`].
    ///
    /// # Errors
    ///
    /// [`CallError::NotAnswered`] before the answer, [`CallError::Unsupported`] where the provider has no transfer,
    /// [`CallError::Policy`] where a rule forbids to call the target.
    ///
    /// # Cancel safety
    ///
    /// Once polled the request may be sent even if the future is dropped.
    pub async fn transfer(&self, target: &str) -> Result<(), CallError> {
        self.hand_over(TransferTarget::parse(target)?).await
    }

    /// Connects the callee with whoever is on `other`, by REFER with Replaces (RFC 3891, RFC 5589 §7: attended
    /// transfer). Returns when the request has been sent; the outcome arrives as [`CallEvent::TransferProgress`] of this
    /// call. When it is [`Completed`](TransferOutcome::Completed) both calls end: keep both handles till then, since
    /// dropping one hangs up.
    ///
    /// The far ends must be able to reach each other, as two calls over one PBX are.
    ///
    /// # Errors
    ///
    /// As for [`transfer`](Self::transfer), where `other` has to be answered, too; [`CallError::Invalid`] if it is this
    /// very call or one of another provider.
    ///
    /// # Cancel safety
    ///
    /// Once polled the request may be sent even if the future is dropped.
    pub async fn transfer_to(&self, other: &Call) -> Result<(), CallError> {
        if self.provider() != other.provider() {
            return Err(CallError::Invalid("both calls must be of one provider".to_owned()));
        }
        if self.id() == other.id() {
            return Err(CallError::Invalid("a call cannot be transferred to itself".to_owned()));
        }
        if other.end().is_some() {
            return Err(CallError::Invalid("the call to transfer to has ended".to_owned()));
        }
        self.hand_over(TransferTarget::Call(other.id().clone())).await
    }

    async fn hand_over(&self, target: TransferTarget) -> Result<(), CallError> {
        let witness = self.0.witness.get();
        if let Some(witness) = witness {
            witness.may_transfer(&target)?;
        }
        self.ask(|reply| Command::Transfer { target: target.clone(), reply }).await?;
        if let Some(witness) = witness {
            witness.transferring(&target).await;
        }
        Ok(())
    }

    /// Ends the call: CANCEL before the answer, BYE after it. Returns when the call is over; calling it again, or
    /// after the callee hung up, returns the same end.
    ///
    /// # Cancel safety
    ///
    /// Once polled the call is being ended even if the future is dropped.
    pub async fn hangup(&self) -> CallEnd {
        self.0.control.send(Command::Hangup);
        self.ended().await
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), CallError>>) -> Command,
    ) -> Result<(), CallError> {
        if self.end().is_some() {
            return Err(CallError::Ended);
        }
        let (reply, answer) = oneshot::channel();
        self.0.control.send(command(reply));
        answer.await.unwrap_or(Err(CallError::Ended))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", self.id())
            .field("provider", &self.provider())
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.log.end().is_none() {
            self.control.send(Command::Hangup);
        }
    }
}
