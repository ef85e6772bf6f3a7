//! The machine's own apt sources, in both of their formats.

use crate::Apt;
use std::fs;
use std::path::Path;

/// Debian or Ubuntu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distribution {
    Debian,
    Ubuntu,
}

pub(super) struct System {
    distribution: Distribution,
    /// `bookworm`, `noble`.
    codename: String,
}

/// Where the machine gets its packages from, and with which keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    uri: String,
    components: &'static str,
    signed_by: Option<String>,
}

/// One entry, in either format.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

/// From /etc/os-release; `None` on other systems.
pub(super) fn system() -> Option<System> {
    parse_os_release(&fs::read_to_string("/etc/os-release").ok()?)
}

fn parse_os_release(text: &str) -> Option<System> {
    let value = |key: &str| {
        let (_, value) =
            text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| *name == key)?;
        Some(value.trim_matches('"').to_owned())
    };
    let distribution = match value("ID")?.as_str() {
        "debian" => Distribution::Debian,
        "ubuntu" => Distribution::Ubuntu,
        _ => return None,
    };
    Some(System { distribution, codename: value("VERSION_CODENAME").unwrap_or_default() })
}

impl System {
    pub(super) fn is_debian(&self) -> bool {
        self.distribution == Distribution::Debian
    }

    /// The suites in which a package is to be looked for.
    pub(super) fn suites<'a>(&self, apt: &'a Apt) -> &'a [String] {
        match self.distribution {
            Distribution::Debian => &apt.debian,
            Distribution::Ubuntu => &apt.ubuntu,
        }
    }

    /// The mirrors of the distribution itself, in the machine's order.
    pub(super) fn mirrors(&self) -> Vec<Mirror> {
        self.pick(&entries(Path::new("/etc/apt")))
    }

    fn pick(&self, entries: &[Entry]) -> Vec<Mirror> {
        // Third parties publish under our code names too; if one comes first, its index has no
        // such package and the next mirror is asked.
        let own = |suite: &String| {
            *suite == self.codename || ["stable", "testing", "unstable", "sid", "devel"].contains(&&**suite)
        };
        let mut mirrors: Vec<Mirror> = Vec::new();
        for entry in entries {
            if !entry.suites.iter().any(own) || !entry.components.iter().any(|name| name == "main") {
                continue;
            }
            for uri in &entry.uris {
                // What is on a disk of this machine has no other suites.
                let local = ["cdrom:", "file:", "copy:"].iter().any(|scheme| uri.starts_with(scheme));
                if !local && !mirrors.iter().any(|mirror| mirror.uri == *uri) {
                    mirrors.push(Mirror {
                        uri: uri.clone(),
                        components: match self.distribution {
                            Distribution::Debian => "main",
                            Distribution::Ubuntu => "main universe",
                        },
                        signed_by: entry.signed_by.clone(),
                    });
                }
            }
        }
        mirrors
    }
}

impl Mirror {
    pub(super) fn address(&self) -> String {
        self.uri.clone()
    }

    /// A deb-src entry for another suite of the same mirror.
    pub(super) fn stanza(&self, suite: &str) -> String {
        let mut text =
            format!("Types: deb-src\nURIs: {}\nSuites: {suite}\nComponents: {}\n", self.uri, self.components);
        if let Some(keys) = &self.signed_by {
            text.push_str(&format!("Signed-By: {keys}\n"));
        }
        text
    }
}

/// What apt itself reads: sources.list, then sources.list.d/*.list and *.sources by name.
fn entries(etc: &Path) -> Vec<Entry> {
    let mut files = vec![etc.join("sources.list")];
    let mut below: Vec<_> = fs::read_dir(etc.join("sources.list.d"))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    below.sort();
    files.append(&mut below);
    files
        .iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            match path.extension()?.to_str()? {
                "list" => Some(parse_list(&text)),
                "sources" => Some(parse_deb822(&text)),
                _ => None,
            }
        })
        .flatten()
        .collect()
}

/// `deb [signed-by=… arch=…] URI SUITE COMPONENT…`
fn parse_list(text: &str) -> Vec<Entry> {
    text.lines().filter_map(parse_list_line).collect()
}

fn parse_list_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t']))?.trim_start();
    let mut signed_by = None;
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(|paths| paths.replace(',', " "));
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Entry {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

/// Stanzas of `Field: value`, continued on lines that begin with white space.
fn parse_deb822(text: &str) -> Vec<Entry> {
    let mut stanzas = vec![Vec::<(String, String)>::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(fields) = stanzas.last_mut() else { break };
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                // The line break is kept: a key in the text of Signed-By has several lines.
                value.push_str(&format!("\n {}", line.trim()));
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    stanzas.iter().filter_map(|fields| entry(fields)).collect()
}

fn entry(fields: &[(String, String)]) -> Option<Entry> {
    let value =
        |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let words = |wanted: &str| {
        value(wanted).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    if value("enabled") == Some("no") || !words("types").iter().any(|kind| kind == "deb") {
        return None;
    }
    Some(Entry {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signed_by: value("signed-by").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
    const UBUNTU: &str = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n";

    fn stanza(system: &str, entries: &[Entry], suite: &str) -> String {
        parse_os_release(system).unwrap().pick(entries)[0].stanza(suite)
    }

    #[test]
    fn one_line_format() {
        let entries = parse_list(
            "# deb http://commented.example/debian bookworm main\n\
             deb-src http://sources.example/debian bookworm main\n\
             deb [signed-by=/k/other.gpg] https://other.example/apt stable stable\n\
             deb http://security.example/debian-security bookworm-security main\n\
             deb [ arch=amd64 signed-by=/k/a.gpg,/k/b.gpg ] http://mirror.example/debian bookworm main contrib # x\n",
        );
        assert_eq!(
            stanza(DEBIAN, &entries, "sid"),
            "Types: deb-src\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\n\
             Signed-By: /k/a.gpg /k/b.gpg\n"
        );
    }

    #[test]
    fn deb822_format() {
        let entries = parse_deb822(
            "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\
             \n\
             Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
             Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        );
        assert_eq!(
            stanza(DEBIAN, &entries, "trixie"),
            "Types: deb-src\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        );
    }

    #[test]
    fn a_key_in_the_text_keeps_its_lines() {
        let entries = parse_deb822(
            "Types: deb deb-src\nURIs: http://mirror.example/ubuntu/\nSuites: noble\n\
             Components: main universe\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n",
        );
        assert_eq!(
            stanza(UBUNTU, &entries, "devel"),
            "Types: deb-src\nURIs: http://mirror.example/ubuntu/\nSuites: devel\nComponents: main universe\n\
             Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n"
        );
    }

    #[test]
    fn discs_and_strangers_are_not_asked() {
        let entries = parse_list(
            "deb cdrom:[Debian 12]/ bookworm main\ndeb file:/srv/debian bookworm main\n\
             deb https://vendor.example/apt nodistro main\n",
        );
        assert_eq!(parse_os_release(DEBIAN).unwrap().pick(&entries), []);
    }

    #[test]
    fn other_systems_have_no_such_archive() {
        assert!(parse_os_release("ID=fedora\nVERSION_CODENAME=\"\"\n").is_none());
    }
}
