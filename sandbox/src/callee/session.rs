//! The call's offers and answers, its media stream and its recording.

use std::path::PathBuf;

use rand::RngExt as _;

use super::{Call, Over};
use crate::behaviour::{Answer, Quirk, Step};
use crate::builder::SrtpPolicy;
use crate::media::Media;
use crate::media::codec::Codec;
use crate::media::srtp::Crypto;
use crate::sdp::{self, Agreed, Direction, Disagreement, Format, Negotiation, Origin, Preferences};
use crate::sip::message::Message;

/// The payload type of our own telephone-event offers.
const EVENTS: u8 = 101;

/// Where offer and answer stand.
pub(super) struct Session {
    id: u32,
    version: u32,
    /// The caller's last offer with our answer to it.
    pub(super) negotiation: Option<Negotiation>,
    pub(super) agreed: Option<Agreed>,
    /// The key of an offer of ours that waits for its answer; the inner option is encryption itself.
    pub(super) offered: Option<Option<Crypto>>,
}

impl Session {
    pub(super) fn new() -> Self {
        Self { id: rand::rng().random(), version: 0, negotiation: None, agreed: None, offered: None }
    }
}

impl Call {
    /// Checks the offer and opens ports before anything rings, if the script will ever want sound.
    pub(super) async fn prepare_media(&mut self) -> Result<(), Over> {
        let wants_sound = |step: &Step| matches!(step, Step::Progress | Step::Answer(_));
        let crosses = self.behaviour.quirk == Quirk::CancelCrosses;
        if !crosses && !self.behaviour.steps.iter().any(wants_sound) {
            return Ok(());
        }
        self.check_session_interval()?;
        let body = self.invite.request.message.body.clone();
        if !body.is_empty() {
            match sdp::negotiate(&body, &self.preferences()) {
                Ok(negotiation) => self.session.negotiation = Some(negotiation),
                Err(Disagreement::Malformed) => return Err(self.refuse(400, "Bad Request: SDP", &[])),
                Err(Disagreement::NotAcceptable(why)) => {
                    let warning = format!("305 sandbox \"{why}\"");
                    return Err(self.refuse(488, "Not Acceptable Here", &[("Warning", &warning)]));
                }
            }
        }
        match Media::start(self.dialog.flow.local().ip(), &self.server.tasks).await {
            Ok(media) => self.media = Some(media),
            Err(error) => {
                tracing::warn!(%error, "no ports for media");
                return Err(self.refuse(503, "Service Unavailable: no media ports", &[]));
            }
        }
        if let Some(negotiation) = &self.session.negotiation {
            self.configure(negotiation.agreed.clone());
        }
        Ok(())
    }

    /// Refuses a session timer that is too short for this number (RFC 4028 section 6).
    fn check_session_interval(&mut self) -> Result<(), Over> {
        let Quirk::MinSessionExpires(least) = self.behaviour.quirk else { return Ok(()) };
        let asked = self.invite.request.message.header("Session-Expires");
        let seconds = asked.and_then(|value| value.split(';').next()?.trim().parse::<u32>().ok());
        if seconds.is_some_and(|seconds| seconds < least) {
            return Err(self.refuse(422, "Session Interval Too Small", &[("Min-SE", &least.to_string())]));
        }
        Ok(())
    }

    pub(super) fn preferences(&self) -> Preferences {
        let settings = &self.server.settings;
        let codecs = match self.behaviour.quirk {
            Quirk::Codecs(codecs) => codecs.to_vec(),
            // A codec without PCM can be echoed but neither spoken nor played.
            _ if self.plays() => {
                settings.codecs.iter().copied().filter(|codec| codec.sample_rate().is_some()).collect()
            }
            _ => settings.codecs.clone(),
        };
        let srtp = match self.behaviour.quirk {
            Quirk::EncryptedOnly => SrtpPolicy::Required,
            _ => settings.srtp,
        };
        Preferences { codecs, srtp }
    }

    fn plays(&self) -> bool {
        let plays = |step: &Step| {
            matches!(
                step,
                Step::Say(_) | Step::Greet | Step::Tone(..) | Step::KeypadMenu(_) | Step::TalkOn(_)
            )
        };
        self.behaviour.steps.iter().any(plays)
    }

    /// Lets the stream follow what was agreed.
    pub(super) fn configure(&mut self, mut agreed: Agreed) {
        // While the caller keeps its key we keep ours, so that rollover counters go on.
        if let (Some((_, theirs)), Some(before)) = (&agreed.crypto, &self.session.agreed)
            && before.crypto.as_ref().is_some_and(|(_, known)| known == theirs)
        {
            agreed.crypto = before.crypto.clone();
            if let Some(negotiation) = &mut self.session.negotiation {
                negotiation.agreed.crypto = before.crypto.clone();
            }
        }
        self.record.codec = Some(agreed.format.codec);
        self.record.srtp = agreed.crypto.as_ref().map(|(ours, _)| ours.suite);
        if let Some(media) = &self.media {
            media.configure(agreed.clone());
        }
        self.session.agreed = Some(agreed);
    }

    /// Our side's address and the next or, for a repetition, the same version.
    pub(super) fn origin(&mut self, is_new: bool) -> Option<Origin> {
        self.session.version += u32::from(is_new);
        let address = self.media.as_ref()?.address;
        Some(Origin { address, id: self.session.id, version: self.session.version })
    }

    /// Adds the answer to the caller's offer, or our own offer where the caller made none.
    pub(super) fn with_session(&mut self, response: Message, kind: Answer) -> Message {
        let Some(origin) = self.origin(false) else { return response };
        let Some(negotiation) = self.session.negotiation.clone() else {
            return self.with_offer(response);
        };
        let text = match kind {
            Answer::Full | Answer::Twice => negotiation.answer(origin),
            Answer::NoSdp => return response,
            Answer::MalformedSdp => "v=0\r\nthis is not a session description\r\nm=\r\n".to_owned(),
            Answer::PortZero => {
                let port = format!("m=audio {} ", origin.address.port());
                negotiation.answer(origin).replace(&port, "m=audio 0 ")
            }
            Answer::Downgraded => {
                let mut plain = negotiation.clone();
                plain.agreed.crypto = None;
                self.configure(plain.agreed.clone());
                plain.answer(origin).replace("RTP/SAVP", "RTP/AVP")
            }
            Answer::WrongKey => {
                let mut wrong = negotiation.clone();
                if let Some((ours, _)) = &mut wrong.agreed.crypto {
                    *ours = Crypto::generate(ours.tag, ours.suite);
                }
                wrong.answer(origin)
            }
            Answer::ReceiveOnly => {
                let mut deaf = negotiation.clone();
                deaf.agreed.direction = Direction::RecvOnly;
                self.configure(deaf.agreed.clone());
                deaf.answer(origin)
            }
        };
        response.with_body("application/sdp", text)
    }

    /// Adds an offer of all that the sandbox would accept.
    pub(super) fn with_offer(&mut self, message: Message) -> Message {
        let Some(origin) = self.origin(true) else { return message };
        let preferences = self.preferences();
        let format = |codec: Codec| Format { codec, payload_type: codec.static_payload_type().unwrap_or(96) };
        let formats: Vec<_> = preferences
            .codecs
            .into_iter()
            .filter(|codec| codec.sample_rate().is_some())
            .map(format)
            .collect();
        let crypto = (preferences.srtp == SrtpPolicy::Required)
            .then(|| Crypto::generate(1, crate::SrtpSuite::AesCm128HmacSha1_80));
        let text = sdp::offer(origin, &formats, Some(EVENTS), crypto.as_ref(), Direction::SendRecv);
        self.session.offered = Some(crypto);
        message.with_body("application/sdp", text)
    }

    /// Takes the caller's answer to an offer of ours; a bad one leaves the session as it was.
    pub(super) fn take_answer(&mut self, body: &[u8]) -> bool {
        let Some(offered) = self.session.offered.take() else { return false };
        match sdp::accept(body, offered.as_ref()) {
            Ok(agreed) => {
                self.configure(agreed);
                true
            }
            Err(error) => {
                tracing::debug!(?error, "the caller's answer is of no use");
                false
            }
        }
    }

    pub(super) async fn write_wav(&self, samples: &[i16], sample_rate: u32) -> Option<PathBuf> {
        let directory = self.server.settings.directory.clone()?;
        let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let call_id: String = self.record.call_id.chars().take(40).map(safe).collect();
        let path = directory.join(format!("{}-{call_id}.wav", self.behaviour.name()));
        let (samples, target) = (samples.to_vec(), path.clone());
        let written = tokio::task::spawn_blocking(move || {
            let spec = hound::WavSpec {
                channels: 1,
                sample_rate,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            let mut writer = hound::WavWriter::create(target, spec)?;
            for sample in samples {
                writer.write_sample(sample)?;
            }
            writer.finalize()
        });
        match written.await {
            Ok(Ok(())) => Some(path),
            Ok(Err(error)) => {
                tracing::warn!(%error, path = %path.display(), "cannot write a recording");
                None
            }
            Err(_) => None,
        }
    }
}
