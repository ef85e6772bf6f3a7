//! Debian's and Ubuntu's source archives, through apt with a state of its own.
//!
//! The machine's apt configuration is read (mirrors, keys, proxies) and not touched: lists and
//! caches go to a private folder, and the deb-src entry exists only there. The signature of the
//! index is checked by apt; the index vouches for the file's SHA-256.

mod sources;

use super::{Archive, Wanted};
use crate::{Apt, Error};
use sources::Mirror;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const HELPER: &str = "/usr/lib/apt/apt-helper";

pub(super) fn fetch(wanted: &Wanted, work: &Path, progress: &mut dyn FnMut(&str)) -> Result<Archive, Error> {
    let refuse = |reason: &str| Error::Origin { origin: "apt".to_owned(), reason: reason.to_owned() };
    let Some(apt) = &wanted.source.apt else { return Err(refuse("no package is known to have it")) };
    if !Path::new(HELPER).is_file() {
        return Err(refuse("not on this machine"));
    }
    let system = sources::system().ok_or_else(|| refuse("this is neither Debian nor Ubuntu"))?;
    let suites = system.suites(apt);
    let mut last = refuse("it has no mirror that could be asked");
    for mirror in system.mirrors() {
        for suite in suites {
            progress(&format!("{wanted}: asking the source index of {suite}"));
            match Index::new(work, &mirror, suite).and_then(|index| index.fetch(apt, wanted, progress)) {
                Ok(archive) => return Ok(archive),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

/// The addresses of the Debian mirrors that this machine uses, its first one first; empty elsewhere than on Debian.
pub fn debian_mirrors() -> Vec<String> {
    let system = sources::system().filter(sources::System::is_debian);
    system.map(|system| system.mirrors().iter().map(Mirror::address).collect()).unwrap_or_default()
}

/// A file as `apt-get --print-uris` describes it.
#[derive(Debug, PartialEq, Eq)]
struct Listed {
    uri: String,
    name: String,
    bytes: u64,
    sha256: String,
}

/// apt's view of one suite of one mirror.
struct Index {
    folder: PathBuf,
    suite: String,
}

impl Index {
    /// Writes the private configuration.
    fn new(work: &Path, mirror: &Mirror, suite: &str) -> Result<Self, Error> {
        let folder = work.join("apt");
        super::remove(&folder)?;
        for below in ["state/lists/partial", "cache/archives/partial", "parts"] {
            let path = folder.join(below);
            fs::create_dir_all(&path).map_err(Error::io(&path))?;
        }
        let path = folder.join("parts/vendor.sources");
        fs::write(&path, mirror.stanza(suite)).map_err(Error::io(&path))?;
        Ok(Self { folder, suite: suite.to_owned() })
    }

    fn fetch(&self, apt: &Apt, wanted: &Wanted, progress: &mut dyn FnMut(&str)) -> Result<Archive, Error> {
        self.run("apt-get", &["-qq", "update"])?;
        let output = self.run(
            "apt-get",
            &["-qq", "--print-uris", "--download-only", "--only-source", "source", &apt.package],
        )?;
        let listed = output
            .lines()
            .filter_map(parse)
            .find(|listed| listed.name.contains(&apt.file))
            .ok_or_else(|| self.refuse(&format!("no file `{}` in {}", apt.file, apt.package)))?;

        progress(&format!("{wanted}: fetching {} ({} kB)", listed.name, listed.bytes.div_ceil(1000)));
        let path = self.folder.with_file_name("apt.archive");
        let wanted = format!("SHA256:{}", listed.sha256);
        self.run(HELPER, &["download-file", &listed.uri, &path.display().to_string(), &wanted])?;
        // apt-helper has checked it; an apt that one day does not must not go unnoticed.
        let sha256 = super::sha256(&path)?;
        if sha256 != listed.sha256 {
            let expected = format!("the index of {} wants {}", self.suite, listed.sha256);
            return Err(Error::Hash { archive: listed.name, found: sha256, expected });
        }
        Ok(Archive { path, sha256, origin: listed.name })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let folder = self.folder.display();
        let options = [
            format!("Dir::State={folder}/state"),
            format!("Dir::Cache={folder}/cache"),
            "Dir::Etc::SourceList=/dev/null".to_owned(),
            format!("Dir::Etc::SourceParts={folder}/parts"),
            // A mirror that was frozen is fine: the signature is checked, and the version pinned.
            "Acquire::Check-Valid-Until=false".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::http::Timeout=30".to_owned(),
            "Acquire::https::Timeout=30".to_owned(),
            // An update that could not fetch everything is no update.
            "APT::Update::Error-Mode=any".to_owned(),
            // The unprivileged user has no access to a private folder, and apt would complain.
            "APT::Sandbox::User=root".to_owned(),
        ];
        let output = Command::new(program)
            .env("LC_ALL", "C")
            .args(options.iter().flat_map(|option| ["-o", option]))
            .args(arguments)
            .output()
            .map_err(Error::io(program))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.starts_with("E:")).or(text.lines().next());
        Err(self.refuse(line.unwrap_or("apt failed").trim_start_matches("E: ")))
    }

    fn refuse(&self, reason: &str) -> Error {
        Error::Origin { origin: format!("apt ({})", self.suite), reason: reason.to_owned() }
    }
}

/// `'URI' NAME BYTES SHA256:HEX`
fn parse(line: &str) -> Option<Listed> {
    let (uri, rest) = line.strip_prefix('\'')?.split_once('\'')?;
    let mut words = rest.split_whitespace();
    let (name, bytes, hash) = (words.next()?, words.next()?, words.next()?);
    Some(Listed {
        uri: uri.to_owned(),
        name: name.to_owned(),
        bytes: bytes.parse().ok()?,
        sha256: hash.strip_prefix("SHA256:")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_file() {
        let line = "'http://mirror.example/pool/x%2b1.orig.tar.gz' x+1.orig.tar.gz 640869 SHA256:54fa";
        let expected = Listed {
            uri: "http://mirror.example/pool/x%2b1.orig.tar.gz".to_owned(),
            name: "x+1.orig.tar.gz".to_owned(),
            bytes: 640_869,
            sha256: "54fa".to_owned(),
        };
        assert_eq!(parse(line), Some(expected));
    }

    #[test]
    fn a_file_without_a_sha256_is_not_taken() {
        assert_eq!(parse("'http://mirror.example/x' x 1 MD5Sum:00"), None);
        assert_eq!(parse("'http://mirror.example/x' x 1"), None);
        assert_eq!(parse("NOTICE: packaging is maintained in Git"), None);
    }
}
