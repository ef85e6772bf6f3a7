//! The one provider of a host: it chooses what carries a call, and around all of them stand the same rules and the same
//! evidence.

mod carriers;

use std::sync::Arc;

use async_trait::async_trait;

use crate::call::Call;
use crate::config::{Config, ConfigError};
use crate::provider::{DialError, DialProvider, DialRequest};
use crate::sip::{Endpoint, Shutdown, StartError};
use carriers::Carriers;

/// Everything that a configuration names, as one [`DialProvider`].
///
/// SIP trunks and web services stand behind it, chosen by agent, by prefix or by default. A cheap clone.
///
/// Dropping the last handle, of this and of its calls, shuts down in the background; [`shutdown`](Self::shutdown) is the
/// orderly way.
#[derive(Clone)]
pub struct Outdial(Arc<Shared>);

struct Shared {
    config: Config,
    carriers: Carriers,
}

/// How an [`Outdial`] is put together; see [`Outdial::builder`].
pub struct OutdialBuilder {
    config: Config,
}

impl OutdialBuilder {
    /// Starts everything.
    ///
    /// # Errors
    ///
    /// [`OutdialError`] says what is wrong; nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// What was started when it is cancelled shuts down by itself.
    pub async fn start(self) -> Result<Outdial, OutdialError> {
        self.config.validate()?;
        let carriers = Carriers::start(&self.config).await?;
        Ok(Outdial(Arc::new(Shared { config: self.config, carriers })))
    }
}

impl Outdial {
    /// Starts what the configuration names.
    ///
    /// # Errors
    ///
    /// Those of [`OutdialBuilder::start`].
    ///
    /// # Cancel safety
    ///
    /// What was started when it is cancelled shuts down by itself.
    pub async fn from_config(config: &Config) -> Result<Self, OutdialError> {
        Self::builder(config).start().await
    }

    /// Begins with the configuration; a host adds what it brings itself.
    pub fn builder(config: &Config) -> OutdialBuilder {
        OutdialBuilder { config: config.clone() }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The SIP provider, for its registrations and counters; `None` without trunks. A call that is made with it directly
    /// goes past the rules and leaves no record.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.carriers.endpoint()
    }

    /// Ends all calls as `how` says and returns when everything is shut down.
    ///
    /// # Cancel safety
    ///
    /// Once polled it shuts down even if the future is dropped.
    pub async fn shutdown(&self, how: Shutdown) {
        self.0.carriers.shutdown(how).await;
    }
}

#[async_trait]
impl DialProvider for Outdial {
    async fn dial_with(&self, mut request: DialRequest) -> Result<Call, DialError> {
        request.validate()?;
        let plan = self.0.config.plan(&request)?;
        let name = plan.name.to_owned();
        request.trunk = Some(name.clone());
        request.caller_id = plan.caller_id;
        request.caller_name = plan.caller_name;
        request.ring_timeout = Some(plan.ring_timeout);
        request.talk_limit = Some(plan.talk_limit);
        request.audio_rate = Some(plan.audio_rate);
        let provider = self.0.carriers.of(&name).ok_or(DialError::UnknownTrunk(name))?;
        provider.dial_with(request).await
    }
}

/// Why an [`Outdial`] did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutdialError {
    /// The configuration is not usable.
    #[error("the configuration is not usable")]
    Config(#[from] ConfigError),
    /// The SIP provider did not start.
    #[error(transparent)]
    Sip(#[from] StartError),
    /// Another provider did not start.
    #[error("provider {provider:?} could not be set up: {detail}")]
    Provider {
        /// Its name.
        provider: String,
        /// What is wrong; secrets by their names only.
        detail: String,
    },
}
