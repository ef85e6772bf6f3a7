//! `outdial check`: what is fine with a configuration and its trunks, and what to do about what is not.

mod account;
mod call;
mod configuration;
mod connect;
mod digest;
mod elsewhere;
mod explain;
mod finding;
mod foreign;
mod machine;
mod mistake;
mod network;
mod probe;
mod records;
mod registration;
mod request;
mod resolve;
mod response;
mod rules;
mod tls;
mod wire;

use std::net::SocketAddr;

use anyhow::anyhow;
use clap::Args;
use outdial::config::{Config, TrunkConfig};

use crate::configuration::ConfigOption;
use crate::exit::{Exit, Failure};
use call::CallOptions;
use finding::{Finding, Findings, Status};
use probe::Answers;

/// Of so many servers of a trunk one must answer within the patience of whoever waits.
const SERVERS: usize = 4;

/// Look for what is wrong with the configuration and the trunks
///
/// The folder of the records and the rules of the policy are looked at. Each trunk's host is resolved and connected to,
/// its certificate is verified, it is asked for its OPTIONS, and the trunk is registered. Nobody is called, unless you
/// name a number with `--call`; that shows the rest: caller id, codecs, SRTP, and whether sound comes back. With `--trunk`
/// only that one is looked at.
#[derive(Debug, Args)]
pub(crate) struct CheckCommand {
    #[command(flatten)]
    config: ConfigOption,
    /// Only this trunk
    #[arg(long, value_name = "NAME")]
    trunk: Option<String>,
    #[command(flatten)]
    call: CallOptions,
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
        findings.extend(machine::clock());
        findings.extend(machine::scheduling());
        if let Some(config) = configuration::load(&path, &mut findings) {
            let trunks = self.trunks(&config)?;
            findings.extend(machine::descriptors(config.endpoint.max_calls));
            findings.add(records::look_at(&config.records));
            findings.extend(rules::look_at(&config));
            let called = self.call.trunk(&config, self.trunk.as_deref(), &mut findings);
            for (name, trunk) in trunks {
                let server = look_at(&config, name, trunk, &mut findings).await;
                if called == Some(name) {
                    self.call.place(&config, name, trunk, server, &mut findings).await;
                }
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

/// One trunk from the outside in; each step is taken only if the one before left something to stand on. Returns the server
/// that was reached.
async fn look_at(
    config: &Config,
    name: &str,
    trunk: &TrunkConfig,
    findings: &mut Findings,
) -> Option<SocketAddr> {
    findings.of_trunk(name);
    let secrets_are_there = configuration::secrets(config, trunk, findings);
    let (server, answers) = reach(config, trunk, findings).await;
    let (registrar, answers) = match registrar_apart(trunk) {
        Some(apart) => reach(config, &apart, findings).await,
        None => (server, answers),
    };
    if !secrets_are_there {
        findings.add(Finding::skipped("registration", "not tried: a secret is missing"));
    } else if !answers.reached && trunk.register {
        findings.add(Finding::skipped("registration", "not tried: the trunk cannot be reached"));
    } else {
        registration::register(config, name, trunk, registrar, &answers, findings).await;
    }
    server
}

/// Finds the first server that answers to SIP, as calls do, and asks it.
async fn reach(
    config: &Config,
    trunk: &TrunkConfig,
    findings: &mut Findings,
) -> (Option<SocketAddr>, Answers) {
    let addresses = resolve::addresses(config, trunk, findings).await;
    let servers = connect::those_that_answer(config, trunk, addresses, findings).await;
    let mut silent: Vec<(SocketAddr, Vec<Finding>, Answers)> = Vec::new();
    for &server in servers.iter().take(SERVERS) {
        let (found, answers) = probe::ask(config, trunk, server).await;
        if answers.answered {
            // Calls go on to this one; those that are down for good should not be listed.
            let problems = silent.into_iter().flat_map(|(_, found, _)| found);
            let problems = problems.filter(|finding| finding.status == Status::Problem);
            findings.extend(problems.map(|finding| Finding { status: Status::Warning, ..finding }));
            findings.extend(found);
            return (Some(server), answers);
        }
        silent.push((server, found, answers));
    }
    match silent.into_iter().next() {
        Some((server, found, answers)) => {
            findings.extend(found);
            (Some(server), answers)
        }
        None => (None, Answers::default()),
    }
}

/// The trunk as its registrar sees it, where that is another host than the one that takes calls.
fn registrar_apart(trunk: &TrunkConfig) -> Option<TrunkConfig> {
    let registrar = trunk.registrar().filter(|registrar| **registrar != trunk.server)?;
    if !trunk.register || trunk.outbound_proxy.is_some() {
        return None;
    }
    let mut apart = trunk.clone();
    (apart.server, apart.registrar) = (registrar.clone(), None);
    Some(apart)
}
