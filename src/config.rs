//! The configuration, `outdial.toml`: the endpoint, its trunks, and what each agent may do.
//!
//! ```toml
//! default_trunk = "carrier"
//!
//! [endpoint]
//! max_calls = 100
//! public_address = "203.0.113.7"          # only behind a fixed translation (NAT)
//!
//! [trunks.carrier]
//! server = "sip.example.com"
//! register = true
//! user = "account-7"
//! password = { source = "env", id = "SIP_PASSWORD" }
//! caller_id = "+12025550199"
//!
//! [trunks.pbx]
//! server = "192.0.2.10:5060"
//! transport = "udp"
//! number_format = { prefix = "000" }      # outside line, then international access
//! max_calls = 8
//!
//! [agents.reminders]
//! trunk = "pbx"
//! caller_id = "4711"
//! talk_limit = "10m"
//! ```
//!
//! What is not said has a safe default: TLS with its certificate verified, SRTP required, limits on ringing and
//! talking. Unknown keys are refused, and all mistakes are told at once, each with its line. Times are written with
//! their unit (`"90s"`, `"2h"`). Secrets are never in the file: see [`SecretRef`](crate::secrets::SecretRef).

mod address;
mod agent;
mod endpoint;
mod error;
mod explain;
mod hints;
mod identity;
mod policy;
mod prefix;
mod profile;
mod provider;
mod recording;
mod records;
mod route;
mod secrets;
mod section;
mod suite;
mod tariff;
mod trunk;
mod twilio;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

pub use address::{Server, ServerError};
pub use agent::AgentConfig;
pub use endpoint::{EndpointConfig, MAX_CALLS, Timers};
pub use error::{ConfigError, Problem};
pub use explain::{Origin, Setting};
pub use prefix::PrefixRoute;
pub use profile::Profile;
pub use provider::{ProviderConfig, ProviderKind};
pub use recording::{RecordingConfig, RecordingFormat};
pub use records::RecordsConfig;
pub use route::{Carrier, Plan, Route};
pub use secrets::SecretsConfig;
pub use suite::SrtpSuite;
pub use trunk::TrunkConfig;
pub use twilio::TwilioConfig;
pub use values::{
    Codec, DtmfMethod, FromUser, IdentityHeader, NumberFormat, Pem, PortRange, Srtp, Transport,
};

use crate::policy::Rules;
use crate::provider::AgentId;
use section::Text;

/// Everything that `outdial.toml` says. See the [module](self) for the text form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Config {
    /// The machine's own side.
    pub endpoint: EndpointConfig,
    /// Where the encrypted store is.
    pub secrets: SecretsConfig,
    /// What may be called, when and how often.
    pub policy: Rules,
    /// Where the evidence is kept.
    pub records: RecordsConfig,
    /// What is recorded of what is said, and where.
    pub recording: RecordingConfig,
    /// The trunks by their names: 1 to 64 letters, digits, `-` and `_`.
    pub trunks: BTreeMap<String, TrunkConfig>,
    /// The providers that are not SIP trunks, by their names, which no trunk has.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Which trunk or provider carries the calls to which numbers.
    pub routes: Vec<PrefixRoute>,
    /// The agents by their names. If any is listed, others are refused, unless there is a default.
    pub agents: BTreeMap<AgentId, AgentConfig>,
    /// The trunk, or the provider, for whoever has none of their own.
    pub default_trunk: Option<String>,
    /// The agent whose settings agents that are not listed get.
    pub default_agent: Option<AgentId>,
}

impl Config {
    /// Reads and checks a file. Paths in it that are not absolute are taken from the file's own folder.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Read`] if the file cannot be read, [`ConfigError::Invalid`] with everything that is wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::read(&text, path.parent())
            .map_err(|problems| ConfigError::Invalid { file: Some(path.to_owned()), problems })
    }

    /// Reads and checks a text. Paths in it stay as they are.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::read(text, None).map_err(|problems| ConfigError::Invalid { file: None, problems })
    }

    fn read(source: &str, base: Option<&Path>) -> Result<Self, Vec<Problem>> {
        let text = Text::new(source);
        let mut config = Self::default();
        let mut root = text.root();
        root.set("default_trunk", &mut config.default_trunk);
        root.set("default_agent", &mut config.default_agent);
        if let Some(section) = root.table("endpoint") {
            config.endpoint = EndpointConfig::read(section);
        }
        if let Some(section) = root.table("secrets") {
            config.secrets = SecretsConfig::read(section, base);
        }
        if let Some(section) = root.table("policy") {
            config.policy = policy::read(section, base);
        }
        if let Some(section) = root.table("records") {
            config.records = RecordsConfig::read(section, base);
        }
        if let Some(section) = root.table("recording") {
            config.recording = RecordingConfig::read(section, base);
        }
        // A trunk with a mistake in it still exists: references to it are not mistakes too.
        let mut broken = Vec::new();
        for (name, section) in root.tables("trunks") {
            match TrunkConfig::read(section, base) {
                Some(trunk) => drop(config.trunks.insert(name, trunk)),
                None => broken.push(name),
            }
        }
        for (name, section) in root.tables("providers") {
            match ProviderConfig::read(section, base) {
                Some(provider) => drop(config.providers.insert(name, provider)),
                None => broken.push(name),
            }
        }
        config.routes = root.list("routes").into_iter().filter_map(PrefixRoute::read).collect();
        for (name, section) in root.tables("agents") {
            match AgentId::new(&name) {
                Ok(id) => drop(config.agents.insert(id, AgentConfig::read(section))),
                Err(error) => section.problem(error.to_string()),
            }
        }
        root.finish(&[
            ("trunk", "trunks are tables of `trunks`: [trunks.main]"),
            ("agent", "agents are tables of `agents`: [agents.support]"),
            ("provider", "providers are tables of `providers`: [providers.cloud]"),
            ("twilio", "providers are tables of `providers`: [providers.cloud], with kind = \"twilio\""),
            ("route", "routes are a list: [[routes]]"),
            ("default_provider", "a provider is named where a trunk is: default_trunk = \"…\""),
        ]);
        let problems = text.into_problems(config.problems(&broken));
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Checks what no single value tells: whether the settings fit together and the names exist. [`load`](Self::load)
    /// and [`parse`](Self::parse) do it; a host that builds a configuration itself calls it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with everything that is wrong, without line numbers.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let problems = self.problems(&[]);
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Invalid { file: None, problems }) }
    }

    /// `known` are the names of trunks that are not here and must not be missed.
    fn problems(&self, known: &[String]) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.endpoint.check(&mut problems);
        self.secrets.check(&mut problems);
        policy::check(&self.policy, &mut problems);
        self.records.check(&mut problems);
        self.recording.check(&mut problems);
        for (name, trunk) in &self.trunks {
            let path = format!("trunks.{name}");
            if !is_trunk_name(name) {
                let message = "a trunk's name has 1 to 64 letters, digits, hyphens and underscores";
                problems.push(Problem::new(path.clone(), message));
            }
            trunk.check(&path, &mut problems);
        }
        for (name, provider) in &self.providers {
            let path = format!("providers.{name}");
            if !is_trunk_name(name) {
                let message = "a provider's name has 1 to 64 letters, digits, hyphens and underscores";
                problems.push(Problem::new(path.clone(), message));
            }
            if self.trunks.contains_key(name) {
                let message = "has the name of a trunk: the two are named in the same places";
                problems.push(Problem::new(path.clone(), message));
            }
            provider.check(&path, &mut problems);
        }
        let exists = |name: &String| self.carrier(name).is_some() || known.contains(name);
        let unknown_trunk = |name: &str| {
            let names = self.trunks.keys().chain(self.providers.keys());
            let names: Vec<&str> = names.map(String::as_str).collect();
            match section::closest(name, &names) {
                Some(right) => format!("there is no trunk {name:?}; did you mean {right:?}?"),
                None => format!("there is no trunk {name:?}: [trunks.{name}]"),
            }
        };
        for (id, agent) in &self.agents {
            let path = format!("agents.{id}");
            agent.check(&path, &mut problems);
            match &agent.trunk {
                Some(name) if !exists(name) => {
                    problems.push(Problem::new(format!("{path}.trunk"), unknown_trunk(name)));
                }
                name => {
                    let name = name.as_ref().or(self.default_trunk.as_ref());
                    let trunk = name.and_then(|name| self.trunks.get(name));
                    if trunk.is_some_and(|trunk| trunk.caller_goes_nowhere(agent.caller_id.as_ref())) {
                        problems.push(Problem::new(format!("{path}.caller_id"), trunk::NOWHERE));
                    }
                }
            }
        }
        for (index, route) in self.routes.iter().enumerate() {
            let path = format!("routes[{index}]");
            route.check(&path, &mut problems);
            if !exists(&route.trunk) {
                problems.push(Problem::new(format!("{path}.trunk"), unknown_trunk(&route.trunk)));
            }
            if let Some(id) =
                route.agents.iter().find(|id| !self.agents.is_empty() && !self.agents.contains_key(*id))
            {
                let message = format!("there is no agent {:?}: [agents.{id}]", id.as_str());
                problems.push(Problem::new(format!("{path}.agents"), message));
            }
        }
        if let Some(name) = self.default_trunk.as_ref().filter(|name| !exists(name)) {
            problems.push(Problem::new("default_trunk", unknown_trunk(name)));
        }
        if let Some(id) = self.default_agent.as_ref().filter(|id| !self.agents.contains_key(id)) {
            problems.push(Problem::new(
                "default_agent",
                format!("there is no agent {:?}: [agents.{id}]", id.as_str()),
            ));
        }
        problems
    }
}

fn is_trunk_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests;
