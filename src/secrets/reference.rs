use std::fmt;
use std::path::PathBuf;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Where a secret is. The configuration holds these and never a secret itself.
///
/// ```toml
/// password = { source = "env", id = "SIP_PASSWORD" }
/// password = { source = "file", id = "/run/secrets/sip_password" }
/// password = { source = "store", id = "SIP_PASSWORD" }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretRef {
    /// An environment variable of the process.
    Env(String),
    /// A file that only its owner can read, with the secret as its content.
    File(PathBuf),
    /// An entry of the encrypted store.
    Store(SecretName),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Store(name) => write!(f, "store entry {name}"),
        }
    }
}

/// The name of an entry of the encrypted store: `^[A-Z][A-Z0-9_]{0,127}$`, and none of the eleven that the host
/// keeps for its settings and would drop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

/// Names that the host takes for settings: it drops such an entry when it next saves the store.
const RESERVED: [&str; 11] = [
    "HYBRIDAI_BASE_URL",
    "HYBRIDAI_MODEL",
    "HYBRIDAI_CHATBOT_ID",
    "CONTAINER_IMAGE",
    "CONTAINER_MEMORY",
    "CONTAINER_CPUS",
    "CONTAINER_TIMEOUT",
    "DISCORD_PREFIX",
    "HEALTH_PORT",
    "LOG_LEVEL",
    "DB_PATH",
];

impl SecretName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`SecretNameError`] for a name of the wrong form, and for a reserved one.
    pub fn new(name: impl Into<String>) -> Result<Self, SecretNameError> {
        let name = name.into();
        if !well_formed(&name) {
            return Err(SecretNameError::Form);
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(SecretNameError::Reserved { name });
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a name has the form that the store's file permits.
pub(super) fn well_formed(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 128
        && bytes.next().is_some_and(|b| b.is_ascii_uppercase())
        && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for SecretName {
    type Err = SecretNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

/// Why a text is not the name of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretNameError {
    /// It has other characters, or too many.
    #[error("a secret's name is a capital letter, then at most 127 capital letters, digits and underscores")]
    Form,
    /// The host keeps this name for one of its settings.
    #[error("the name {name} is reserved by the host for a setting")]
    Reserved {
        /// Which.
        name: String,
    },
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RefVisitor)
    }
}

/// Reads the table, and answers a secret written in its place without repeating it.
struct RefVisitor;

const NOT_HERE: &str = "a secret is never written into the configuration: put it into an environment variable, a file or the \
                        encrypted store, and refer to it, as in { source = \"env\", id = \"SIP_PASSWORD\" }";

impl<'de> Visitor<'de> for RefVisitor {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reference such as { source = \"env\", id = \"SIP_PASSWORD\" }")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretRef, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretRef, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretRef, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretRef, E> {
        Err(E::custom(NOT_HERE))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
        let (mut source, mut id) = (None::<String>, None::<String>);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "source" => source = Some(map.next_value()?),
                "id" => id = Some(map.next_value()?),
                // The value is not even read into an error: it may be the secret.
                _ => {
                    return Err(de::Error::custom(format_args!(
                        "unknown key `{key}`: a reference has `source` and `id`"
                    )));
                }
            }
        }
        let source = source.ok_or_else(|| de::Error::missing_field("source"))?;
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| de::Error::missing_field("id"))?;
        match source.as_str() {
            "env" if id.contains(['=', '\0']) => {
                Err(de::Error::custom("an environment variable's name has no `=`"))
            }
            "env" => Ok(SecretRef::Env(id)),
            "file" => Ok(SecretRef::File(id.into())),
            "store" => SecretName::new(id).map(SecretRef::Store).map_err(de::Error::custom),
            _ => Err(de::Error::custom("the source of a secret is `env`, `file` or `store`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<SecretRef, String> {
        #[derive(Deserialize)]
        struct Doc {
            password: SecretRef,
        }
        toml::from_str::<Doc>(&format!("password = {value}"))
            .map(|doc| doc.password)
            .map_err(|e| e.message().to_owned())
    }

    #[test]
    fn the_three_sources() {
        assert_eq!(read("{ source = \"env\", id = \"A\" }"), Ok(SecretRef::Env("A".into())));
        assert_eq!(read("{ source = \"file\", id = \"/x\" }"), Ok(SecretRef::File("/x".into())));
        assert_eq!(
            read("{ id = \"A\", source = \"store\" }"),
            Ok(SecretRef::Store(SecretName::new("A").unwrap()))
        );
    }

    #[test]
    fn a_secret_in_place_of_a_reference_is_refused_and_not_repeated() {
        for value in ["\"marker\"", "112358", "1.25e7"] {
            assert_eq!(read(value), Err(NOT_HERE.to_owned()));
        }
        for value in ["true", "[\"marker\"]", "{ value = \"marker\" }", "{ source = \"marker\", id = \"A\" }"]
        {
            let error = read(value).unwrap_err();
            assert!(!error.contains("marker"), "{error}");
        }
    }

    #[test]
    fn half_a_reference_says_what_is_missing() {
        assert!(read("{ id = \"A\" }").unwrap_err().contains("source"));
        assert!(read("{ source = \"env\" }").unwrap_err().contains("id"));
        assert!(read("{ source = \"env\", id = \"\" }").unwrap_err().contains("id"));
        assert!(read("{ source = \"store\", id = \"lower\" }").unwrap_err().contains("capital"));
    }

    #[test]
    fn names_follow_the_store_s_rule() {
        for name in ["A", "SIP_PASSWORD", "A1_", &"A".repeat(128)] {
            assert_eq!(SecretName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a", "_A", "1A", "A-B", "A B", "Ä", &"A".repeat(129)] {
            assert_eq!(SecretName::new(name), Err(SecretNameError::Form), "{name}");
        }
        for name in RESERVED {
            assert_eq!(SecretName::new(name), Err(SecretNameError::Reserved { name: name.into() }));
        }
    }
}
