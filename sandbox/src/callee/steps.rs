//! The steps of a script, carried out.

use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use super::{Call, Over};
use crate::behaviour::{Answer, Reinvite, Step};
use crate::journal::Event;
use crate::media::clip::Clip;
use crate::media::codec::Codec;
use crate::sdp::{self, Direction, Format};
use crate::sip::ALLOW;
use crate::sip::message::Message;

/// The greeting of +1 202 555 0101 unless the builder has another.
const GREETING: &str = "Hello. This is the outdial sandbox. Please speak after the tone.";

impl Call {
    pub(super) async fn step(&mut self, step: &Step) -> Result<(), Over> {
        match *step {
            Step::Provisional(status, phrase) => self.provisional(status, phrase),
            Step::RingReliably => self.ring_reliably().await?,
            Step::Progress => self.progress(),
            Step::Fork => self.dialog.fork(),
            Step::Pause(milliseconds) => self.pause(Duration::from_millis(milliseconds)).await?,
            Step::Never | Step::Talk => self.until(std::future::pending()).await?,
            Step::Refuse(status, phrase, headers) => return Err(self.refuse(status, phrase, headers)),
            Step::Redirect => {
                let target = format!("<sip:+12025550100@{}>", self.dialog.flow.local());
                return Err(self.refuse(302, "Moved Temporarily", &[("Contact", &target)]));
            }
            Step::Answer(kind) => {
                self.answer(kind);
                self.until_acknowledged().await?;
            }
            Step::Idle(idle) => {
                if let Some(media) = &self.media {
                    media.idle(idle);
                }
            }
            Step::Impair(impairment) => {
                if let Some(media) = &self.media {
                    media.impair(impairment);
                }
            }
            Step::Say(text) => self.say(text).await?,
            Step::Greet => {
                let server = std::sync::Arc::clone(&self.server);
                self.say(server.settings.greeting.as_deref().unwrap_or(GREETING)).await?;
                match &server.settings.reply {
                    Some(reply) => self.reply(reply).await?,
                    None => self.play(Clip::tones(&[(1000.0, 300)])).await?,
                }
            }
            Step::Tone(frequency, milliseconds) => {
                self.play(Clip::tones(&[(frequency, milliseconds)])).await?
            }
            Step::BusyTone => self.play(Clip::tones(&[(480.0, 500), (0.0, 500)])).await?,
            Step::KeypadMenu(prompt) => self.keypad_menu(prompt).await?,
            Step::Press(keys) => {
                if let Some(media) = &self.media {
                    let pressed = media.press(keys);
                    let _ = self.until(pressed).await?;
                }
            }
            Step::PressByInfo(keys) => {
                for key in keys.chars() {
                    let body = format!("Signal={key}\r\nDuration=160\r\n");
                    self.request("INFO", |info| info.with_body("application/dtmf-relay", body)).await?;
                }
            }
            Step::Reinvite(kind) => self.reinvite(kind).await?,
            Step::Update => {
                self.request("UPDATE", |update| update).await?;
            }
            Step::Refer(user) => {
                let target = format!("<sip:{user}@{}>", self.dialog.flow.local());
                self.request("REFER", |refer| refer.with("Refer-To", target)).await?;
            }
            Step::TalkOn(sentences) => {
                for text in sentences.iter().cycle() {
                    self.say(text).await?;
                    self.pause(Duration::from_millis(300)).await?;
                }
            }
            Step::HangUp(reason) => {
                let with_reason = |bye: Message| match reason {
                    Some(reason) => bye.with("Reason", reason),
                    None => bye,
                };
                self.request("BYE", with_reason).await?;
                return Err(Over::CalleeHungUp);
            }
        }
        Ok(())
    }

    /// An answer to the INVITE with what belongs into one that makes a dialog.
    fn dialog_response(&self, status: u16, phrase: &str) -> Message {
        let mut invite = self.invite.clone();
        invite.tag = self.dialog.tag().to_owned();
        let mut response = invite.response(status, phrase);
        if let Some(proxy) = self.dialog.proxy() {
            response.push("Record-Route", proxy);
        }
        response.copy("Record-Route", &self.invite.request.message);
        response.with("Contact", self.dialog.contact()).with("Allow", ALLOW)
    }

    pub(super) fn refuse(&mut self, status: u16, phrase: &str, headers: &[(&str, &str)]) -> Over {
        let mut refusal = self.invite.response(status, phrase);
        for (name, value) in headers {
            refusal.push(name, *value);
        }
        self.entry.remove();
        self.invite.respond(&refusal);
        Over::Refused(status)
    }

    fn provisional(&mut self, status: u16, phrase: &str) {
        let response = self.dialog_response(status, phrase);
        self.invite.respond(&response);
        if matches!(status, 180 | 183) {
            self.note_ringing();
        }
    }

    fn note_ringing(&mut self) {
        if self.record.ringing.is_none() {
            self.record.ringing = Some(SystemTime::now());
            self.server.journal.store(&self.record);
            self.server.journal.tell(Event::CallRinging { call_id: self.record.call_id.clone() });
        }
    }

    fn progress(&mut self) {
        let response = self.dialog_response(183, "Session Progress");
        let response = self.with_session(response, Answer::Full);
        self.invite.respond(&response);
        self.note_ringing();
    }

    /// 180 by RFC 3262 where the caller knows it, else a common 180.
    async fn ring_reliably(&mut self) -> Result<(), Over> {
        let invite = &self.invite.request.message;
        if !invite.lists("Supported", "100rel") && !invite.lists("Require", "100rel") {
            self.provisional(180, "Ringing");
            return Ok(());
        }
        self.rseq += 1;
        let response = self.dialog_response(180, "Ringing");
        let response = response.with("Require", "100rel").with("RSeq", self.rseq.to_string());
        self.invite.respond(&response);
        self.note_ringing();
        self.repeat_until_acknowledged(self.invite.clone());
        self.until_acknowledged().await
    }

    pub(super) fn answer(&mut self, kind: Answer) {
        if kind == Answer::Twice {
            let first = self.dialog_response(200, "OK");
            let first = self.with_session(first, kind);
            self.invite.respond(&first);
            self.dialog.answer();
            self.dialog.fork();
        }
        let response = self.dialog_response(200, "OK");
        let response = self.with_session(response, kind);
        self.invite.respond(&response);
        self.dialog.answer();
        self.repeat_until_acknowledged(self.invite.clone());
        self.record.answered = Some(SystemTime::now());
        self.publish(Event::CallAnswered);
    }

    async fn say(&mut self, text: &str) -> Result<(), Over> {
        let server = std::sync::Arc::clone(&self.server);
        let clip = self.until(server.voice.say(text)).await?;
        self.play(clip).await
    }

    /// Speaks when the caller has spoken.
    async fn reply(&mut self, text: &str) -> Result<(), Over> {
        let Some(media) = &self.media else { return Ok(()) };
        let turn = media.turn();
        let _ = self.until(turn).await?;
        self.say(text).await
    }

    async fn play(&mut self, clip: Clip) -> Result<(), Over> {
        let Some(media) = &self.media else { return Ok(()) };
        let played = media.play(clip);
        // Cut short or not, the script goes on.
        let _ = self.until(played).await?;
        Ok(())
    }

    async fn keypad_menu(&mut self, prompt: &str) -> Result<(), Over> {
        let (sender, mut keys) = mpsc::unbounded_channel();
        self.keys = Some(sender);
        let mut next = self.say_until_key(prompt, &mut keys).await?;
        loop {
            let key = match next {
                Some(key) => key,
                None => match self.until(keys.recv()).await? {
                    Some(key) => key,
                    None => return Ok(()),
                },
            };
            let words = match key {
                '9' => {
                    self.say("Goodbye.").await?;
                    self.request("BYE", |bye| bye.with("Reason", "Q.850;cause=16")).await?;
                    return Err(Over::CalleeHungUp);
                }
                '*' => "You pressed star.".to_owned(),
                '#' => "You pressed pound.".to_owned(),
                key => format!("You pressed {key}."),
            };
            next = self.say_until_key(&words, &mut keys).await?;
        }
    }

    /// Speaks until the end or until a key is pressed, which is returned.
    async fn say_until_key(
        &mut self,
        text: &str,
        keys: &mut mpsc::UnboundedReceiver<char>,
    ) -> Result<Option<char>, Over> {
        let key = {
            // The clip is made beforehand, so that only the playing can be cut short.
            let server = std::sync::Arc::clone(&self.server);
            let clip = self.until(server.voice.say(text)).await?;
            let Some(media) = &self.media else { return Ok(None) };
            let played = media.play(clip);
            self.until(async {
                tokio::select! {
                    key = keys.recv() => key,
                    _ = played => None,
                }
            })
            .await?
        };
        if let (Some(_), Some(media)) = (key, &self.media) {
            media.stop_playing();
        }
        Ok(key)
    }

    /// Sends a re-INVITE and follows its answer; a refusal leaves everything as it was.
    async fn reinvite(&mut self, kind: Reinvite) -> Result<(), Over> {
        let Some(agreed) = self.session.agreed.clone() else { return Ok(()) };
        let Some(origin) = self.origin(true) else { return Ok(()) };
        let crypto = agreed.crypto.as_ref().map(|(ours, _)| ours);
        let direction = match kind {
            Reinvite::Hold | Reinvite::OldStyleHold => Direction::SendOnly,
            _ => Direction::SendRecv,
        };
        let mut format = agreed.format;
        if kind == Reinvite::OtherLaw {
            format = match format.codec {
                Codec::Pcmu => Format { codec: Codec::Pcma, payload_type: 8 },
                _ => Format { codec: Codec::Pcmu, payload_type: 0 },
            };
        }
        let mut text = sdp::offer(origin, &[format], agreed.events, crypto, direction);
        match kind {
            Reinvite::OldStyleHold => {
                let ip = origin.address.ip();
                text =
                    text.replace(&format!("c=IN IP4 {ip}"), "c=IN IP4 0.0.0.0").replace("a=sendonly\r\n", "");
            }
            Reinvite::AddVideo => text.push_str("m=video 6000 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"),
            _ => {}
        }
        if kind != Reinvite::LateOffer {
            self.session.offered = Some(crypto.cloned());
        }
        let fill = |invite: Message| match kind {
            Reinvite::LateOffer => invite.with("Allow", ALLOW),
            _ => invite.with("Allow", ALLOW).with_body("application/sdp", text),
        };
        let response = self.request("INVITE", fill).await?;
        let cseq = self.dialog.local_cseq();
        let Some(response) = response.filter(|response| response.status() < Some(300)) else {
            self.session.offered = None;
            return Ok(());
        };
        let mut ack = self.dialog.ack(cseq);
        if kind == Reinvite::LateOffer {
            if let Ok(negotiation) = sdp::negotiate(&response.body, &self.preferences()) {
                let agreed = negotiation.agreed.clone();
                self.session.negotiation = Some(negotiation);
                self.configure(agreed);
                ack = self.with_session(ack, Answer::Full);
            }
        } else {
            self.take_answer(&response.body);
        }
        self.dialog.flow.send(ack.encode());
        Ok(())
    }
}
