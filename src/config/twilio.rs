use std::path::Path;

use super::Problem;
use super::section::Section;
use crate::secrets::SecretRef;

/// An account of Twilio: the keys of a table `[providers.NAME]` with `kind = "twilio"`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TwilioConfig {
    /// The account's sid: `AC` and 32 lower-case hexadecimal digits.
    pub account_sid: String,
    /// The account's secret.
    pub auth_token: SecretRef,
}

impl TwilioConfig {
    /// An account.
    pub fn new(account_sid: impl Into<String>, auth_token: SecretRef) -> Self {
        Self { account_sid: account_sid.into(), auth_token }
    }

    /// Takes this kind's keys from the table; the caller takes the others.
    pub(super) fn read(section: &mut Section<'_, '_>, base: Option<&Path>) -> Option<Self> {
        let account_sid: Option<String> = section.require("account_sid", "the account's sid, AC…");
        let auth_token = section
            .require("auth_token", "where the account's secret is: { source = \"store\", id = \"…\" }");
        let mut account = Self::new(account_sid?, auth_token?);
        if let (SecretRef::File(path), Some(base)) = (&mut account.auth_token, base) {
            *path = base.join(&*path);
        }
        Some(account)
    }

    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        let hex = |text: &str| {
            text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        if !self.account_sid.strip_prefix("AC").is_some_and(hex) {
            let message = "must be AC and 32 lower-case hexadecimal digits";
            problems.push(Problem::new(format!("{path}.account_sid"), message));
        }
    }
}
