//! The file and the secrets that it names.

use std::path::Path;

use outdial::config::{Config, ConfigError, Pem, Srtp, Transport, TrunkConfig};
use outdial::secrets::{SecretError, SecretRef};
use secrecy::ExposeSecret as _;

use super::finding::{Finding, Findings};
use super::mistake::Mistake;

/// More mistakes than this nobody mends at once.
const SHOWN: usize = 20;

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
            // What is no TOML makes other mistakes of what follows it.
            let problems = error.problems();
            let broken = problems.iter().any(|problem| problem.key.is_empty());
            for problem in problems.iter().filter(|problem| !broken || problem.key.is_empty()).take(SHOWN) {
                let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
                let at =
                    if broken { "is no TOML".to_owned() } else { format!("is wrong at `{}`", problem.key) };
                let what = format!("{}{line} {at}", path.display());
                findings.add(Mistake::ConfigurationInvalid.found(what, problem.message.clone()));
            }
            None
        }
    }
}

/// Looks for what the trunk names: secrets and files. Returns whether all is there.
pub(super) fn secrets(config: &Config, trunk: &TrunkConfig, findings: &mut Findings) -> bool {
    let secrets = config.secrets.open();
    let mut wrong = Vec::new();
    let references = [
        ("password", trunk.password.as_ref()),
        ("client_cert", trunk.client_cert.as_ref().and_then(secret)),
        ("client_key", trunk.client_key.as_ref().and_then(secret)),
    ];
    for (key, reference) in references.into_iter().filter_map(|(key, found)| found.map(|found| (key, found)))
    {
        match secrets.resolve(reference) {
            Ok(text) if key == "password" && text.expose_secret().contains(['\r', '\n']) => {
                wrong.push(Mistake::SecretUnusable.found(
                    "the password has a line's end in the midst of it",
                    format!("a password is one line: look at what {reference} holds"),
                ));
            }
            Ok(_) => {}
            Err(SecretError::Missing { .. }) => {
                let remedy = match reference {
                    SecretRef::Env(name) => {
                        format!("set {name} in the environment of the process that calls")
                    }
                    SecretRef::File(path) => format!("write it there, then chmod 600 {}", path.display()),
                    SecretRef::Store(name) => format!("put it into the store: outdial secrets set {name}"),
                    _ => "put it there".to_owned(),
                };
                let what = format!("{key}: there is no secret in {reference}");
                wrong.push(Mistake::SecretMissing.found(what, remedy));
            }
            Err(error) => {
                let remedy = match (&error, reference) {
                    (SecretError::TooOpen { path, .. }, _) => format!("chmod 600 {}", path.display()),
                    (_, SecretRef::File(path)) => format!(
                        "it must be a file of one text, which the user that calls owns: chown, chmod 600 {}",
                        path.display()
                    ),
                    _ => "see whether the store and its master key are those of this user: outdial secrets list".to_owned(),
                };
                let what = format!("{key}: {:#}", anyhow::Error::from(error));
                wrong.push(Mistake::SecretUnusable.found(what, remedy));
            }
        }
    }
    let files = [("ca_file", trunk.ca_file.as_deref())];
    let pems = [("client_cert", &trunk.client_cert), ("client_key", &trunk.client_key)];
    let pems = pems.into_iter().map(|(key, pem)| (key, pem.as_ref().and_then(file)));
    for (key, path) in files.into_iter().chain(pems) {
        if let Some((path, error)) = path.and_then(|path| Some((path, std::fs::read(path).err()?))) {
            let what = format!("{key}: {} cannot be read: {error}", path.display());
            wrong.push(Mistake::CertificateFile.found(what, "name the right file, or let this user read it"));
        }
    }
    let complete = wrong.is_empty();
    findings.extend(wrong);
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
