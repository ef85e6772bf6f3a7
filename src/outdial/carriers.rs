//! What carries calls: the SIP endpoint with all trunks, and each other provider by its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::OutdialError;
use crate::config::{Config, ProviderKind};
use crate::provider::DialProvider;
use crate::sip::{Endpoint, Shutdown};

/// A provider that can be shut down.
#[async_trait]
pub(super) trait Carrier: DialProvider {
    /// Ends all calls as `how` says, and returns when all is done, within a bound.
    async fn shutdown(&self, how: Shutdown);
}

#[async_trait]
impl Carrier for Endpoint {
    async fn shutdown(&self, how: Shutdown) {
        Endpoint::shutdown(self, how).await;
    }
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
        if let Some((name, provider)) = config.providers.iter().next() {
            match &provider.kind {
                ProviderKind::Twilio(_) => {
                    return Err(OutdialError::Provider {
                        provider: name.clone(),
                        detail: "this build cannot call over Twilio".to_owned(),
                    });
                }
            }
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
