//! Why an endpoint did not start.

use crate::config::ConfigError;

/// Why [`super::Endpoint::start`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// PJSIP keeps its state in statics: one endpoint at a time per process.
    #[error("a SIP endpoint is running in this process already; shut it down first")]
    AlreadyRunning,
    /// The configuration is not usable.
    #[error("the configuration is not usable")]
    Config(#[from] ConfigError),
    /// A trunk could not be set up: a port in use, a certificate that cannot be read.
    #[error("trunk {trunk:?} could not be set up: {detail}")]
    Trunk {
        /// The trunk's name.
        trunk: String,
        /// PJSIP's own words.
        detail: String,
    },
    /// PJSIP did not start.
    #[error("PJSIP did not start: {0}")]
    Pjsip(String),
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[from] std::io::Error),
}
