//! A provider of calls and what is behind it, SIP or Twilio alike.
#![allow(dead_code, unreachable_pub)] // Every test uses another part of it.

use outdial::audio::SampleRate;
use outdial::call::Call;
use outdial::config::ProviderKind;
use outdial::provider::DialProvider;
use outdial::{Config, Shutdown, Twilio};
use outdial_sandbox::{Builder, Sandbox};

use crate::common::phone::request;
use crate::common::voice::words_in;
use crate::common::{Phone, trunk, within};
use crate::fake_twilio::FakeTwilio;

/// A provider and what is behind it.
pub enum Bench {
    Sip(Box<Phone>, Box<Sandbox>),
    Twilio(Box<Twilio>, FakeTwilio),
}

impl Bench {
    pub async fn sip() -> Self {
        Self::with(Sandbox::builder()).await
    }

    /// With a sandbox of this kind.
    pub async fn with(sandbox: Builder) -> Self {
        let sandbox = sandbox.start().await.unwrap();
        let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
        Self::Sip(phone.into(), sandbox.into())
    }

    pub async fn twilio() -> Self {
        let fake = FakeTwilio::start().await;
        let config = Config::parse(&fake.config("")).unwrap();
        let provider = &config.providers["cloud"];
        let ProviderKind::Twilio(settings) = &provider.kind else { panic!("no Twilio") };
        let twilio = Twilio::start("cloud", provider, settings, &config.secrets.open()).await.unwrap();
        Self::Twilio(twilio.into(), fake)
    }

    pub async fn dial(&self, number: &str) -> Call {
        let provider: &dyn DialProvider = match self {
            Self::Sip(phone, _) => phone.endpoint(),
            Self::Twilio(twilio, _) => &**twilio,
        };
        let request = request(number).audio_rate(SampleRate::Hz16000);
        within("the dial", provider.dial_with(request)).await.unwrap()
    }

    /// Hangs up; returns the words that the callee heard.
    pub async fn hang_up(&self, call: Call) -> String {
        within("the end", call.hangup()).await;
        let samples = match self {
            Self::Sip(_, sandbox) => {
                let record = within("the record", sandbox.call_ended(call.id().as_str())).await;
                // Whoever heard nothing at all has no recording.
                record.recording.map(|recording| recording.samples).unwrap_or_default()
            }
            Self::Twilio(_, fake) => fake.call_ended(call.id().as_str()).await.samples().into(),
        };
        words_in(&samples, SampleRate::Hz8000).join(" ")
    }

    pub async fn finish(self) {
        match self {
            Self::Sip(phone, sandbox) => {
                phone.shutdown().await;
                sandbox.shutdown().await;
            }
            Self::Twilio(twilio, fake) => {
                within("the shutdown", twilio.shutdown(Shutdown::HangUp)).await;
                fake.finish();
            }
        }
    }
}
