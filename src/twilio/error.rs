//! Why the provider did not start.

use std::net::SocketAddr;

use crate::secrets::SecretError;

/// Why [`super::Twilio::start`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TwilioError {
    /// A secret could not be read.
    #[error("provider {provider:?}: a secret could not be read")]
    Secret {
        /// The provider's name.
        provider: String,
        /// Which, and why not.
        source: SecretError,
    },
    /// The address for callbacks and media streams is not free.
    #[error("provider {provider:?} cannot listen on {address}")]
    Listen {
        /// The provider's name.
        provider: String,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The client for Twilio's REST interface could not be made.
    #[error("provider {provider:?} cannot set up HTTPS: {detail}")]
    Client {
        /// The provider's name.
        provider: String,
        /// What is wrong: no certificate authorities on this system, for example.
        detail: String,
    },
}
