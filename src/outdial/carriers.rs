//! What carries calls: the SIP endpoint with all trunks, and each other provider by its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::OutdialError;
use crate::config::{Config, ProviderConfig, ProviderKind, TwilioConfig};
use crate::provider::{DialProvider, Shutdown};
use crate::sip::Endpoint;
#[cfg(feature = "twilio")]
use crate::twilio::{Twilio, TwilioError};

/// A provider that can be shut down.
#[async_trait]
pub(super) trait Carrier: DialProvider {
    /// Ends all calls as `how` says, and returns when all is done, within a bound.
    async fn shutdown(&self, how: Shutdown);

    /// Reads the secrets again and uses those that have changed. Returns the trunks that have new ones, or the provider.
    async fn renew_secrets(&self) -> Result<Vec<String>, OutdialError>;
}

#[async_trait]
impl Carrier for Endpoint {
    async fn shutdown(&self, how: Shutdown) {
        Endpoint::shutdown(self, how).await;
    }

    async fn renew_secrets(&self) -> Result<Vec<String>, OutdialError> {
        Ok(Endpoint::renew_secrets(self).await?)
    }
}

#[cfg(feature = "twilio")]
#[async_trait]
impl Carrier for Twilio {
    async fn shutdown(&self, how: Shutdown) {
        Twilio::shutdown(self, how).await;
    }

    async fn renew_secrets(&self) -> Result<Vec<String>, OutdialError> {
        let renewed = Twilio::renew_secrets(self).await.map_err(|error| refused(self.name(), &error))?;
        Ok(renewed.then(|| self.name().to_owned()).into_iter().collect())
    }
}

#[cfg(feature = "twilio")]
async fn start_twilio(
    config: &Config,
    name: &str,
    provider: &ProviderConfig,
    twilio: &TwilioConfig,
) -> Result<Arc<dyn Carrier>, OutdialError> {
    let started = Twilio::start(name, provider, twilio, &config.secrets.open()).await;
    Ok(Arc::new(started.map_err(|error| refused(name, &error))?))
}

#[cfg(feature = "twilio")]
fn refused(provider: &str, error: &TwilioError) -> OutdialError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    OutdialError::Provider { provider: provider.to_owned(), detail: format!("{error}{cause}") }
}

#[cfg(not(feature = "twilio"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn start_twilio(
    _: &Config,
    name: &str,
    _: &ProviderConfig,
    _: &TwilioConfig,
) -> Result<Arc<dyn Carrier>, OutdialError> {
    let detail = "this build cannot call over Twilio: its feature `twilio` is off".to_owned();
    Err(OutdialError::Provider { provider: name.to_owned(), detail })
}

/// See the [module](self).
pub(super) struct Carriers {
    /// None where there are no trunks.
    endpoint: Option<Endpoint>,
    providers: BTreeMap<String, Arc<dyn Carrier>>,
}

impl Carriers {
    /// Starts everything that the configuration names. After an error nothing is left running.
    pub(super) async fn start(config: &Config) -> Result<Self, OutdialError> {
        let mut carriers = Self { endpoint: None, providers: BTreeMap::new() };
        match carriers.start_all(config).await {
            Ok(()) => Ok(carriers),
            Err(error) => {
                carriers.shutdown(Shutdown::HangUp).await;
                Err(error)
            }
        }
    }

    async fn start_all(&mut self, config: &Config) -> Result<(), OutdialError> {
        for (name, provider) in &config.providers {
            let carrier = match &provider.kind {
                ProviderKind::Twilio(twilio) => start_twilio(config, name, provider, twilio).await?,
            };
            self.providers.insert(name.clone(), carrier);
        }
        if !config.trunks.is_empty() {
            self.endpoint = Some(Endpoint::start(config).await?);
        }
        Ok(())
    }

    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// The provider behind the name of a trunk or a provider, and its kind's name as it stands in the records.
    pub(super) fn of(&self, name: &str) -> Option<&dyn DialProvider> {
        match self.providers.get(name) {
            Some(provider) => Some(provider.as_ref()),
            None => self.endpoint.as_ref().map(|endpoint| endpoint as &dyn DialProvider),
        }
    }

    /// Has each of them use its new secrets. Returns the names of trunks and providers that have such.
    pub(super) async fn renew_secrets(&self) -> Result<Vec<String>, OutdialError> {
        let endpoint = self.endpoint.iter().map(|endpoint| endpoint as &dyn Carrier);
        let mut renewed = Vec::new();
        for carrier in endpoint.chain(self.providers.values().map(AsRef::as_ref)) {
            renewed.extend(carrier.renew_secrets().await?);
        }
        Ok(renewed)
    }

    /// Shuts all of them down at the same time.
    pub(super) async fn shutdown(&self, how: Shutdown) {
        let endpoint = async {
            if let Some(endpoint) = &self.endpoint {
                endpoint.shutdown(how).await;
            }
        };
        let others = self.providers.values().cloned().map(|provider| {
            tokio::spawn(async move {
                provider.shutdown(how).await;
            })
        });
        let others: Vec<_> = others.collect();
        endpoint.await;
        for other in others {
            // A provider that panicked has no calls any more.
            let _ = other.await;
        }
    }
}
