//! `outdial secrets`: the encrypted store.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use outdial::secrets::{SecretName, Store};
use secrecy::SecretString;
use serde_json::json;

use crate::configuration::ConfigOption;
use crate::exit::{Exit, Failure, OrExit as _};

/// Keep passwords and private keys in the encrypted store
///
/// A value is asked for without showing it, or read from standard input; it is never an argument, which everybody on the
/// machine could see.
#[derive(Debug, Args)]
pub(crate) struct SecretsCommand {
    #[command(flatten)]
    config: ConfigOption,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the store's folder and its master key, if there is none
    Init,
    /// Set a secret; an empty value removes it
    Set {
        /// Capital letters, digits and underscores: SIP_PASSWORD
        name: SecretName,
    },
    /// Show the names and when each was changed
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a secret
    Remove {
        /// Its name
        name: SecretName,
    },
    /// Give a secret that is there another value
    Rotate {
        /// Its name
        name: SecretName,
    },
    /// Set many in one step, from lines NAME=VALUE or a JSON object; without a file from standard input
    Import {
        /// The file
        file: Option<PathBuf>,
    },
}

impl SecretsCommand {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let config = self.config.load()?.unwrap_or_default();
        let secrets = config.secrets.open();
        let store = secrets.store();
        let mut out = anstream::stdout().lock();
        match self.action {
            Action::Init => {
                let made = store.init().or_exit(Exit::Configuration)?;
                let what = if made { "made a master key in" } else { "there is a master key for" };
                writeln!(out, "{what} {}", store.home().display()).context("cannot print")?;
            }
            Action::Set { name } => {
                let changed = store.set(&name, &ask(&name)?).or_exit(Exit::Configuration)?;
                let what = if changed { "set" } else { "unchanged" };
                writeln!(out, "{name}: {what}").context("cannot print")?;
            }
            Action::Rotate { name } => {
                let changed = store.rotate(&name, &ask(&name)?).or_exit(Exit::Configuration)?;
                let what = if changed { "rotated" } else { "unchanged: the value is the same" };
                writeln!(out, "{name}: {what}").context("cannot print")?;
            }
            Action::Remove { name } => {
                if !store.remove(&name).or_exit(Exit::Configuration)? {
                    return Err(anyhow!("there is no {name} in {}", store.home().display()).into());
                }
                writeln!(out, "{name}: removed").context("cannot print")?;
            }
            Action::List { json } => list(store, json)?,
            Action::Import { file } => {
                let text = match file {
                    Some(path) => {
                        std::fs::read_to_string(&path).with_context(|| path.display().to_string())?
                    }
                    None => standard_input()?,
                };
                let secrets = parse(&text).or_exit(Exit::Usage)?;
                let count = secrets.len();
                let changed = store.import(secrets).or_exit(Exit::Configuration)?;
                writeln!(out, "{count} read, {changed} changed").context("cannot print")?;
            }
        }
        Ok(Exit::Completed)
    }
}

/// The value: from the terminal without showing it, else all of standard input.
fn ask(name: &SecretName) -> Result<SecretString, Failure> {
    if std::io::stdin().is_terminal() {
        let value = rpassword::prompt_password(format!("{name}: ")).context("cannot read the value")?;
        return Ok(value.into());
    }
    let text = standard_input()?;
    if text.trim().is_empty() {
        return Err(Failure { exit: Exit::Usage, error: anyhow!("{name}: nothing came on standard input") });
    }
    Ok(text.into())
}

fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(text)
}

/// Lines `NAME=VALUE`, with blank ones and those that begin with `#` left out, or a JSON object of texts. Errors hold no
/// value.
fn parse(text: &str) -> anyhow::Result<Vec<(SecretName, SecretString)>> {
    let name =
        |name: &str, place: &str| name.parse::<SecretName>().map_err(|error| anyhow!("{place}: {error}"));
    if text.trim_start().starts_with('{') {
        // The parser's own message could hold what it read.
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
            .map_err(|error| anyhow!("not a JSON object: line {}", error.line()))?;
        return object
            .into_iter()
            .enumerate()
            .map(|(at, (key, value))| {
                let place = format!("entry {}", at + 1);
                let serde_json::Value::String(value) = value else {
                    return Err(anyhow!("{place}: the value is not a text"));
                };
                Ok((name(&key, &place)?, value.into()))
            })
            .collect();
    }
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    lines
        .map(|(at, line)| {
            let place = format!("line {}", at + 1);
            let (key, value) = line.split_once('=').ok_or_else(|| anyhow!("{place}: there is no ="))?;
            Ok((name(key.trim(), &place)?, SecretString::from(value)))
        })
        .collect()
}

fn list(store: &Store, json: bool) -> Result<(), Failure> {
    let entries = store.list().or_exit(Exit::Configuration)?;
    let mut out = anstream::stdout().lock();
    if json {
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| json!({ "name": entry.name, "createdAt": entry.created_at, "lastRotatedAt": entry.last_rotated_at }))
            .collect();
        writeln!(out, "{}", json!(entries)).context("cannot print")?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["NAME", "CREATED", "CHANGED"]);
    for entry in entries {
        table.add_row([
            entry.name,
            entry.created_at.unwrap_or_default(),
            entry.last_rotated_at.unwrap_or_default(),
        ]);
    }
    writeln!(out, "{table}").context("cannot print")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let secrets = parse(text).map_err(|error| error.to_string())?;
        Ok(secrets
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.expose_secret().to_owned()))
            .collect())
    }

    #[test]
    fn lines_and_json_are_read() {
        let two = vec![("A".to_owned(), "x=1".to_owned()), ("B_2".to_owned(), " y ".to_owned())];
        assert_eq!(read("# mine\n\nA=x=1\nB_2= y \n"), Ok(two));
        assert_eq!(read("{\"A\": \"two\\nlines\"}"), Ok(vec![("A".to_owned(), "two\nlines".to_owned())]));
    }

    #[test]
    fn mistakes_are_told_by_their_place_and_without_a_value() {
        for text in [
            "marker",
            "lower=marker",
            "{\"A\": 1, \"marker\"",
            "{\"a\": \"marker\"}",
            "{\"A\": [\"marker\"]}",
        ] {
            let error = read(text).unwrap_err();
            assert!(!error.contains("marker"), "{text}: {error}");
        }
    }
}
