//! Upstream's archive over HTTPS.

use super::{Archive, Wanted};
use crate::{Error, Upstream};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Several times the largest of our sources: a wrong page or an endless answer stops there.
const MAX_BYTES: u64 = 128 << 20;
const CONNECT: Duration = Duration::from_secs(20);
const TOTAL: Duration = Duration::from_secs(600);

pub(super) fn fetch(wanted: &Wanted, work: &Path, progress: &mut dyn FnMut(&str)) -> Result<Archive, Error> {
    let Upstream { url, sha256: expected } = &wanted.source.upstream;
    let refuse = |reason: String| Error::Origin { origin: url.clone(), reason };
    progress(&format!("{wanted}: fetching {url}"));

    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(TOTAL))
        .user_agent(concat!("outdial-vendoring/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut response = agent.get(url).call().map_err(|error| refuse(error.to_string()))?;
    let path = work.join("upstream.archive");
    let mut file = File::create(&path).map_err(Error::io(&path))?;
    let mut body = response.body_mut().with_config().limit(MAX_BYTES).reader();
    io::copy(&mut body, &mut file).map_err(|error| refuse(error.to_string()))?;
    drop(file);

    let sha256 = super::sha256(&path)?;
    if sha256 != *expected {
        return Err(Error::Hash {
            archive: url.clone(),
            found: sha256,
            expected: format!("vendor.toml wants {expected}"),
        });
    }
    Ok(Archive { path, sha256, origin: url.clone() })
}
