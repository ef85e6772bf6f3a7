//! `outdial check`: what is fine with a configuration and its trunks, and what to do about what is not.

mod configuration;
mod connect;
mod explain;
mod finding;
mod machine;
mod probe;
mod registration;
mod resolve;
mod response;
mod tls;

use anyhow::anyhow;
use clap::Args;
use outdial::config::{Config, TrunkConfig};

use crate::configuration::ConfigOption;
use crate::exit::{Exit, Failure};
use finding::{Finding, Findings};

/// Look for what is wrong with the configuration and the trunks
///
/// Each trunk's host is resolved and connected to, its certificate is verified, it is asked for its OPTIONS, and the
/// trunk is registered. Nobody is called. With `--trunk` only that one is looked at.
#[derive(Debug, Args)]
pub(crate) struct CheckCommand {
    #[command(flatten)]
    config: ConfigOption,
    /// Only this trunk
    #[arg(long, value_name = "NAME")]
    trunk: Option<String>,
    /// Look at nothing: show every setting of the trunks, and whether it is the file's, the profile's or the default
    #[arg(long)]
    explain: bool,
    /// Print JSON, one finding (or setting) per line
    #[arg(long)]
    json: bool,
}

impl CheckCommand {
    /// Checks everything; the exit code is 0 unless something is wrong.
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let path = self.config.path().ok_or_else(ConfigOption::missing)?;
        if self.explain {
            let config = Config::load(&path)
                .map_err(|error| Failure { exit: Exit::Configuration, error: error.into() })?;
            explain::print(&self.trunks(&config)?, self.json)?;
            return Ok(Exit::Completed);
        }
        let mut findings = Findings::default();
        findings.extend(machine::scheduling());
        if let Some(config) = configuration::load(&path, &mut findings) {
            let trunks = self.trunks(&config)?;
            findings.extend(machine::descriptors(config.endpoint.max_calls));
            for (name, trunk) in trunks {
                look_at(&config, name, trunk, &mut findings).await;
            }
        }
        findings.print(self.json)?;
        Ok(if findings.any_problem() { Exit::Problems } else { Exit::Completed })
    }

    fn trunks<'c>(&self, config: &'c Config) -> Result<Vec<(&'c str, &'c TrunkConfig)>, Failure> {
        let all = config.trunks.iter().map(|(name, trunk)| (name.as_str(), trunk));
        let Some(wanted) = &self.trunk else { return Ok(all.collect()) };
        let found: Vec<_> = all.filter(|(name, _)| name == wanted).collect();
        if found.is_empty() {
            let error = anyhow!("there is no trunk {wanted:?} in the configuration");
            return Err(Failure { exit: Exit::Configuration, error });
        }
        Ok(found)
    }
}

/// One trunk from the outside in; each step is taken only if the one before left something to stand on.
async fn look_at(config: &Config, name: &str, trunk: &TrunkConfig, findings: &mut Findings) {
    findings.of_trunk(name);
    let secrets_are_there = configuration::secrets(config, trunk, findings);
    let addresses = resolve::addresses(trunk, findings).await;
    let mut reached = false;
    if let Some(address) = connect::first_that_answers(trunk, &addresses, findings).await {
        reached = probe::ask(config, trunk, address, findings).await;
    }
    if !secrets_are_there {
        findings.add(Finding::skipped("registration", "not tried: a secret is missing"));
    } else if !reached && trunk.register {
        findings.add(Finding::skipped("registration", "not tried: the trunk cannot be reached"));
    } else {
        registration::register(config, name, trunk, findings).await;
    }
}
