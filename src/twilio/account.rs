//! The account that calls are made with, and its secrets, which may change while calls are up.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};

use super::TwilioError;
use crate::config::TwilioConfig;
use crate::secrets::{SecretRef, Secrets};

/// What proves to Twilio who we are, and what proves to us who Twilio is.
pub(super) struct Keys {
    /// The user of basic authentication: the account's sid, or an API key's.
    user: String,
    password: SecretString,
    /// Twilio signs with it, also where an API key is used.
    auth_token: SecretString,
}

impl Keys {
    /// Reads the secrets; `name` is the provider's. It may block for as long as a disk does.
    pub(super) fn read(name: &str, config: &TwilioConfig, secrets: &Secrets) -> Result<Self, TwilioError> {
        let secret = |reference: &SecretRef| {
            let refuse = |source| TwilioError::Secret { provider: name.to_owned(), source };
            secrets.resolve(reference).map_err(refuse)
        };
        let auth_token = secret(&config.auth_token)?;
        let (user, password) = match (&config.api_key, &config.api_secret) {
            (Some(key), Some(reference)) => (key.clone(), secret(reference)?),
            _ => (config.account_sid.clone(), auth_token.clone()),
        };
        Ok(Self { user, password, auth_token })
    }

    /// The user of basic authentication.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The password of basic authentication.
    pub(super) fn password(&self) -> &SecretString {
        &self.password
    }

    /// What Twilio signs with.
    pub(super) fn auth_token(&self) -> &SecretString {
        &self.auth_token
    }

    fn are_those_of(&self, other: &Self) -> bool {
        let secrets = |keys: &Self| [keys.password.clone(), keys.auth_token.clone()];
        let same = |(one, other): (SecretString, SecretString)| one.expose_secret() == other.expose_secret();
        self.user == other.user && secrets(self).into_iter().zip(secrets(other)).all(same)
    }

    #[cfg(test)]
    pub(super) fn for_tests(secret: &str) -> Self {
        let secret = SecretString::from(secret);
        Self { user: "AC1".to_owned(), password: secret.clone(), auth_token: secret }
    }
}

/// See the [module](self).
pub(super) struct Account {
    sid: String,
    keys: RwLock<Arc<Keys>>,
}

impl Account {
    pub(super) fn new(sid: impl Into<String>, keys: Keys) -> Self {
        Self { sid: sid.into(), keys: RwLock::new(Arc::new(keys)) }
    }

    /// The account's sid.
    pub(super) fn sid(&self) -> &str {
        &self.sid
    }

    /// The secrets of this moment.
    pub(super) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses these secrets from now on. Returns whether they are others than before.
    pub(super) fn renew(&self, keys: Keys) -> bool {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let renewed = !current.are_those_of(&keys);
        if renewed {
            *current = Arc::new(keys);
        }
        renewed
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("sid", &self.sid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_are_the_same_are_no_new_ones() {
        let account = Account::new("AC1", Keys::for_tests("marker"));
        let first = account.keys();
        assert!(!account.renew(Keys::for_tests("marker")));
        assert!(Arc::ptr_eq(&first, &account.keys()));
        assert!(account.renew(Keys::for_tests("other")));
        assert_eq!(account.keys().auth_token().expose_secret(), "other");
        assert!(!format!("{account:?}").contains("other"));
    }
}
