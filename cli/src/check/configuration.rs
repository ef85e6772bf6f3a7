//! The file and the secrets that it names.

use std::path::Path;

use outdial::config::{Config, ConfigError, Pem, Srtp, Transport, TrunkConfig};
use outdial::secrets::SecretRef;

use super::finding::{Finding, Findings};
use super::mistake::Mistake;

/// Reads the file; each mistake is a finding.
pub(super) fn load(path: &Path, findings: &mut Findings) -> Option<Config> {
    match Config::load(path) {
        Ok(config) if config.trunks.is_empty() && config.providers.is_empty() => {
            findings.add(Mistake::ConfigurationInvalid.found(
                format!("{} has no trunk", path.display()),
                "describe one: a table [trunks.NAME] with server = \"…\"",
            ));
            None
        }
        Ok(config) => {
            let trunks = config.trunks.len();
            let what =
                format!("{} is read, {trunks} trunk{}", path.display(), if trunks == 1 { "" } else { "s" });
            findings.add(Finding::ok("configuration", what));
            Some(config)
        }
        Err(ConfigError::Read { path, source }) => {
            findings.add(Mistake::ConfigurationUnreadable.found(
                format!("{} cannot be read: {source}", path.display()),
                "name the right file with --config, or let this user read it",
            ));
            None
        }
        Err(error) => {
            for problem in error.problems() {
                let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
                let what = format!("{}{line} is wrong at `{}`", path.display(), problem.key);
                findings.add(Mistake::ConfigurationInvalid.found(what, problem.message.clone()));
            }
            None
        }
    }
}

/// Looks for what the trunk names: secrets and files. Returns whether all is there.
pub(super) fn secrets(config: &Config, trunk: &TrunkConfig, findings: &mut Findings) -> bool {
    let secrets = config.secrets.open();
    let mut complete = true;
    let mut missing = |finding| {
        findings.add(finding);
        complete = false;
    };
    let references = [
        ("password", trunk.password.as_ref()),
        ("client_cert", trunk.client_cert.as_ref().and_then(secret)),
        ("client_key", trunk.client_key.as_ref().and_then(secret)),
    ];
    for (key, reference) in references.into_iter().filter_map(|(key, found)| found.map(|found| (key, found)))
    {
        if let Err(error) = secrets.resolve(reference) {
            let remedy = match reference {
                SecretRef::Env(name) => format!("set {name} in the environment of the process that calls"),
                SecretRef::File(path) => format!("write it there, then chmod 600 {}", path.display()),
                _ => "put it into the store under that name".to_owned(),
            };
            missing(Mistake::SecretMissing.found(format!("{key}: {:#}", anyhow::Error::from(error)), remedy));
        }
    }
    let files = [("ca_file", trunk.ca_file.as_deref())];
    let pems = [("client_cert", &trunk.client_cert), ("client_key", &trunk.client_key)];
    let pems = pems.into_iter().map(|(key, pem)| (key, pem.as_ref().and_then(file)));
    for (key, path) in files.into_iter().chain(pems) {
        if let Some((path, error)) = path.and_then(|path| Some((path, std::fs::read(path).err()?))) {
            let what = format!("{key}: {} cannot be read: {error}", path.display());
            missing(Mistake::CertificateFile.found(what, "name the right file, or let this user read it"));
        }
    }
    if complete && trunk.password.is_some() {
        findings.add(Finding::ok("secret", "the password is there"));
    }
    encryption(trunk, findings);
    complete
}

/// What the operator has switched off, or may believe to be on.
fn encryption(trunk: &TrunkConfig, findings: &mut Findings) {
    if trunk.danger_accept_any_certificate {
        findings.add(Mistake::NotVerified.suspected(
            "every certificate is accepted: whoever stands between reads the calls",
            "remove danger_accept_any_certificate and name the trunk's authority with ca_file",
        ));
    }
    match (trunk.transport, trunk.srtp) {
        (Transport::Tls, Srtp::Required) => {
            findings.add(Finding::ok("encryption", "signalling by TLS, sound by SRTP, both required"));
        }
        (Transport::Tls, _) => findings.add(Mistake::NotEncrypted.suspected(
            "the sound may travel unencrypted",
            "set srtp = \"required\" if the trunk can encrypt",
        )),
        _ => findings.add(Mistake::NotEncrypted.suspected(
            "signalling travels readable to everybody on the way, and so does the sound",
            "set transport = \"tls\" if the trunk offers it",
        )),
    }
}

fn secret(pem: &Pem) -> Option<&SecretRef> {
    match pem {
        Pem::Secret(reference) => Some(reference),
        Pem::File(_) => None,
    }
}

fn file(pem: &Pem) -> Option<&Path> {
    match pem {
        Pem::File(path) => Some(path),
        Pem::Secret(_) => None,
    }
}
