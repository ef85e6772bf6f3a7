//! What a service knows us by.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use crate::secrets::{SecretError, SecretRef, Secrets};

/// The key of a service. A clone is the same key; it is shown in no log, error or Debug output.
///
/// One that was [read](Self::read) from a place is read there again when the service refuses it, so that an exchanged key
/// needs no restart.
#[derive(Clone)]
pub struct ApiKey(Arc<Shared>);

struct Shared {
    current: Mutex<SecretString>,
    origin: Option<(Arc<Secrets>, SecretRef)>,
}

impl ApiKey {
    /// The key that `reference` names. It reads files and can compute for some 50 ms: call it at the start, from a thread
    /// that may block.
    ///
    /// # Errors
    ///
    /// [`SecretError`] if it is not there.
    pub fn read(secrets: &Arc<Secrets>, reference: SecretRef) -> Result<Self, SecretError> {
        let current = Mutex::new(secrets.resolve(&reference)?);
        Ok(Self(Arc::new(Shared { current, origin: Some((Arc::clone(secrets), reference)) })))
    }

    pub(super) fn secret(&self) -> SecretString {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads it again; whether it is another one.
    pub(super) async fn renew(&self) -> bool {
        let shared = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || {
            let (secrets, reference) = shared.origin.as_ref()?;
            let read = secrets.resolve(reference).ok()?;
            let mut current = shared.current.lock().unwrap_or_else(PoisonError::into_inner);
            let other = read.expose_secret() != current.expose_secret();
            *current = read;
            Some(other)
        });
        matches!(read.await, Ok(Some(true)))
    }
}

impl From<SecretString> for ApiKey {
    fn from(key: SecretString) -> Self {
        Self(Arc::new(Shared { current: Mutex::new(key), origin: None }))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKey").field(&self.0.origin.as_ref().map(|(_, reference)| reference)).finish()
    }
}
