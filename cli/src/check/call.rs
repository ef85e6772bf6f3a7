//! `outdial check --call`: a real call, and what it shows that nothing else does.

mod media;
mod refusal;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use outdial::Outdial;
use outdial::call::{Answered, CallEnd, EndReason, MediaFault};
use outdial::config::{Carrier, Codec, Config, Srtp, Transport, TrunkConfig};
use outdial::provider::{AgentId, DialError, DialProvider, DialRequest, E164, Shutdown};

use super::finding::{Finding, Findings};
use super::mistake::Mistake;
use media::Sound;

/// How long the callee is listened to.
const LISTEN: Duration = Duration::from_secs(4);
/// Nobody has to run to the telephone for a test.
const RING: Duration = Duration::from_secs(30);

/// The test call.
#[derive(Debug, Clone, Args)]
pub(super) struct CallOptions {
    /// Call this number too, once the trunk is reached. IT RINGS THERE: name one of your own that answers, such as a voice
    /// mailbox. The callee hears a few seconds of silence
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    call: Option<E164>,
    /// Make the test call as this agent
    #[arg(long, value_name = "NAME", default_value = "cli", requires = "call")]
    agent: AgentId,
}

impl CallOptions {
    /// The trunk that would carry the test call, if there is to be one.
    pub(super) fn trunk<'c>(
        &self,
        config: &'c Config,
        chosen: Option<&str>,
        findings: &mut Findings,
    ) -> Option<&'c str> {
        let request = self.request(self.call.as_ref()?, chosen);
        match config.plan(&request) {
            Ok(plan) if matches!(plan.carrier, Carrier::Trunk(_)) => Some(plan.name),
            Ok(plan) => {
                findings.add(Finding::skipped("call", format!("{} is no SIP trunk", plan.name)));
                None
            }
            Err(error) => {
                findings.add(Mistake::CallFailed.found(error.to_string(), "name the trunk with --trunk"));
                None
            }
        }
    }

    fn request(&self, to: &E164, trunk: Option<&str>) -> DialRequest {
        let mut request = DialRequest::new(self.agent.clone(), to.clone()).ring_timeout(RING);
        request.trunk = trunk.map(str::to_owned);
        request
    }

    /// Calls over `name` and judges; `server` is the address that it goes to.
    pub(super) async fn place(
        &self,
        config: &Config,
        name: &str,
        trunk: &TrunkConfig,
        server: Option<SocketAddr>,
        findings: &mut Findings,
    ) {
        let Some(to) = &self.call else { return };
        if findings.trunk_has_problem(name) {
            findings.add(Finding::skipped("call", "not made: the trunk has a problem already"));
            return;
        }
        anstream::eprintln!("calling {} over {name}: it rings there", to.masked());
        let caller = config.plan(&self.request(to, Some(name))).ok().and_then(|plan| plan.caller_id);
        let outcome = self.attempt(config, name, to, |_| {}).await;
        match outcome {
            Outcome::NotStarted(error) => findings.add(Mistake::CallFailed.found(
                format!("the call cannot be made: {error:#}"),
                "end the other process, or name another folder for this one's [records]",
            )),
            Outcome::Refused(error) => findings.add(refusal::before(&error)),
            Outcome::Over(_, end) if end.reason == EndReason::MediaFailed => {
                findings.add(self.why_no_media(config, name, trunk, to, &end).await);
            }
            Outcome::Over(None, end) => findings.add(refusal::after(trunk, caller.as_ref(), &end)),
            Outcome::Over(Some(answered), end) => {
                findings
                    .add(Finding::ok("call", format!("answered after {:.1} s", end.ring_time.as_secs_f64())));
                let public = trunk.public_address.or(config.endpoint.public_address);
                findings.extend(Sound::new(public, server, answered, &end).findings());
            }
        }
    }

    /// Makes the call with a changed trunk.
    async fn attempt(
        &self,
        config: &Config,
        name: &str,
        to: &E164,
        change: impl FnOnce(&mut TrunkConfig),
    ) -> Outcome {
        let mut config = config.clone();
        for (other, trunk) in &mut config.trunks {
            if other != name {
                silence(trunk);
            }
        }
        if let Some(trunk) = config.trunks.get_mut(name) {
            change(trunk);
        }
        let outdial = match Outdial::from_config(&config).await {
            Ok(outdial) => outdial,
            Err(error) => return Outcome::NotStarted(error.into()),
        };
        let outcome = match outdial.dial_with(self.request(to, Some(name))).await {
            Err(error) => Outcome::Refused(error),
            Ok(call) => {
                // Held on to, so that the sound flows: silence is sent.
                let _audio = call.audio();
                let answered = call.answered().await.ok();
                if answered.is_some() {
                    let _ = tokio::time::timeout(LISTEN, call.ended()).await;
                }
                Outcome::Over(answered, Box::new(call.hangup().await))
            }
        };
        outdial.shutdown(Shutdown::HangUp).await;
        outcome
    }

    /// What the two sides could not agree on. Where the refusal does not say it, other offers do: a call that is refused
    /// so has not rung, and the first that is not refused so is hung up.
    async fn why_no_media(
        &self,
        config: &Config,
        name: &str,
        trunk: &TrunkConfig,
        to: &E164,
        end: &CallEnd,
    ) -> Finding {
        let said = refusal::words(end);
        match refusal::media_fault(end) {
            Some(MediaFault::Srtp) => return srtp_mismatch(trunk, &said),
            Some(MediaFault::Codec) => return codec_mismatch(trunk, &said),
            Some(_) => {
                return Mistake::NoMedia
                    .found(said, "the trunk's answer is of no use: show it to its operator (-vvv)");
            }
            None => {}
        }
        let other_codecs = self.accepted(config, name, to, every_codec).await;
        if other_codecs {
            return codec_mismatch(trunk, &said);
        }
        if self.accepted(config, name, to, other_encryption).await {
            return srtp_mismatch(trunk, &said);
        }
        let both = |trunk: &mut TrunkConfig| {
            every_codec(trunk);
            other_encryption(trunk);
        };
        if self.accepted(config, name, to, both).await {
            return srtp_mismatch(trunk, &format!("{said}; and the codecs do not fit either"));
        }
        codec_mismatch(
            trunk,
            &format!("{said}, whether encrypted or not, for every codec that there is here"),
        )
    }

    /// Whether an offer gets further than a refusal of its media.
    async fn accepted(
        &self,
        config: &Config,
        name: &str,
        to: &E164,
        change: impl FnOnce(&mut TrunkConfig),
    ) -> bool {
        match self.attempt(config, name, to, change).await {
            Outcome::Over(_, end) => end.reason != EndReason::MediaFailed,
            _ => false,
        }
    }
}

enum Outcome {
    NotStarted(anyhow::Error),
    Refused(DialError),
    Over(Option<Answered>, Box<CallEnd>),
}

/// A trunk that is not under test needs no secrets and registers nowhere.
fn silence(trunk: &mut TrunkConfig) {
    trunk.register = false;
    (trunk.registrar, trunk.auth_user, trunk.password) = (None, None, None);
    (trunk.ca_file, trunk.client_cert, trunk.client_key) = (None, None, None);
}

fn every_codec(trunk: &mut TrunkConfig) {
    trunk.codecs = vec![Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus, Codec::L16];
}

/// The sound of a test call is silence: it may travel as it likes.
fn other_encryption(trunk: &mut TrunkConfig) {
    if trunk.srtp == Srtp::Off {
        trunk.srtp = Srtp::Required;
        trunk.allow_sdes_without_tls = trunk.transport != Transport::Tls;
    } else {
        trunk.srtp = Srtp::Off;
        trunk.allow_sdes_without_tls = false;
    }
}

fn srtp_mismatch(trunk: &TrunkConfig, said: &str) -> Finding {
    if trunk.srtp == Srtp::Off {
        let tls =
            if trunk.transport == Transport::Tls { "" } else { ", and transport = \"tls\" to hide the keys" };
        Mistake::SrtpMismatch.found(
            format!("the trunk wants the sound encrypted: {said}"),
            format!("set srtp = \"required\"{tls}"),
        )
    } else {
        Mistake::SrtpMismatch.found(
            format!("the trunk does not encrypt the sound: {said}"),
            "have SRTP switched on at the trunk; or, if it may be readable on the way, set srtp = \"off\"",
        )
    }
}

fn codec_mismatch(trunk: &TrunkConfig, said: &str) -> Finding {
    let ours: Vec<&str> = trunk.codecs.iter().map(|codec| codec.encoding()).collect();
    Mistake::CodecMismatch.found(
        format!("no codec in common, {} were offered: {said}", ours.join(", ")),
        "put one that the trunk takes into codecs = […], or permit one of these at the trunk",
    )
}
