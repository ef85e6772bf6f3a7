//! The text of the store's file, and the encryption of its entries.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::master_key::MasterKey;
use super::reference::well_formed;

const ALGORITHM: &str = "aes-256-gcm";

/// The host decodes with trailing bits of any value.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The whole file. Entries keep their order: the host's tools show it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Document {
    version: serde_json::Number,
    pub(super) entries: IndexMap<String, Entry>,
}

/// One encrypted value. The keys are written in this order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    alg: String,
    nonce: String,
    ciphertext: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_rotated_at: Option<String>,
}

impl Document {
    pub(super) fn empty() -> Self {
        Self { version: 1.into(), entries: IndexMap::new() }
    }

    /// Reads a file as strictly as the host does: one bad entry makes all of it invalid there, and lost with its
    /// next save. The error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document: Self = serde_json::from_str(text).map_err(|e| {
            // Only the place: serde's words can repeat a value.
            format!("it is not the JSON of a store, see line {} column {}", e.line(), e.column())
        })?;
        if document.version.as_f64() != Some(1.0) {
            return Err("it has a version other than 1".to_owned());
        }
        for (name, entry) in &document.entries {
            if !well_formed(name) {
                return Err("one of its names is not of capital letters, digits and underscores".to_owned());
            }
            entry.check().map_err(|what| format!("its entry {name} has {what}"))?;
        }
        Ok(document)
    }

    /// The text of the file: two spaces of indent and a final newline.
    pub(super) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers are JSON");
        text.push('\n');
        text
    }
}

impl Entry {
    /// Encrypts a value under a new nonce.
    pub(super) fn seal(
        key: &MasterKey,
        name: &str,
        value: &str,
        dates: Dates,
    ) -> Result<Self, getrandom::Error> {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: value.as_bytes(), aad: name.as_bytes() };
        let sealed =
            cipher(key).encrypt(&Nonce::from(nonce), payload).expect("a value is shorter than 64 GB");
        Ok(Self {
            alg: ALGORITHM.to_owned(),
            nonce: STANDARD.encode(nonce),
            ciphertext: STANDARD.encode(sealed),
            created_at: dates.created_at,
            last_rotated_at: dates.last_rotated_at,
        })
    }

    /// Decrypts the value, or returns `None`: wrong key, wrong name or changed bytes, which nobody can tell apart.
    pub(super) fn open(&self, key: &MasterKey, name: &str) -> Option<Zeroizing<String>> {
        let nonce: [u8; 12] = LOOSE.decode(&self.nonce).ok()?.try_into().ok()?;
        let sealed = LOOSE.decode(&self.ciphertext).ok()?;
        let payload = Payload { msg: &sealed, aad: name.as_bytes() };
        let plain = Zeroizing::new(cipher(key).decrypt(&Nonce::from(nonce), payload).ok()?);
        // The host reads invalid UTF-8 as U+FFFD; a value that was written as text never has it.
        Some(Zeroizing::new(str::from_utf8(&plain).ok()?.to_owned()))
    }

    pub(super) fn dates(&self) -> Dates {
        Dates { created_at: self.created_at.clone(), last_rotated_at: self.last_rotated_at.clone() }
    }

    fn check(&self) -> Result<(), &'static str> {
        let digit = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
        if self.alg != ALGORITHM {
            return Err("an unknown algorithm");
        }
        if self.nonce.len() != 16 || !self.nonce.bytes().all(digit) {
            return Err("a nonce that is not 12 bytes of base64");
        }
        let text = self.ciphertext.as_bytes();
        let digits = text.len() - text.iter().rev().take(2).take_while(|b| **b == b'=').count();
        if text.len() < 24 || !text.len().is_multiple_of(4) || !text[..digits].iter().copied().all(digit) {
            return Err("a ciphertext that is not base64");
        }
        Ok(())
    }
}

/// When an entry was made and when its value changed last, as `YYYY-MM-DDTHH:MM:SS.mmmZ`.
#[derive(Debug, Clone, Default)]
pub(super) struct Dates {
    pub(super) created_at: Option<String>,
    pub(super) last_rotated_at: Option<String>,
}

fn cipher(key: &MasterKey) -> Aes256Gcm {
    Aes256Gcm::new(key.bytes().into())
}
