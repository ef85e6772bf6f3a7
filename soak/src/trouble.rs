//! What goes wrong, one thing after the other, with a pause to recover after each.

use std::fmt;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::pbx::Pbx;

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The PBX is killed, is away, and is started anew.
    PbxKilled,
    /// The PBX takes no packet and sends none, and then takes all that came at once.
    PbxSilent,
    /// No file can grow: the audit log and the ledger cannot be written.
    DiskFull,
    /// Another program has all free RTP ports.
    NoRtpPorts,
    /// The process may open no further descriptor.
    NoDescriptors,
    /// More calls than there are slots.
    NoSlots,
}

impl Trouble {
    /// The disk first: after the PBX was away, calls that wait for it hold the slots, and nobody would meet a full disk.
    pub(crate) const ALL: [Self; 6] = [
        Self::DiskFull,
        Self::PbxKilled,
        Self::NoRtpPorts,
        Self::PbxSilent,
        Self::NoDescriptors,
        Self::NoSlots,
    ];
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PbxKilled => "PBX killed and started anew",
            Self::PbxSilent => "PBX silent, then late",
            Self::DiskFull => "disk full",
            Self::NoRtpPorts => "no RTP port free",
            Self::NoDescriptors => "no descriptor free",
            Self::NoSlots => "no call slot free",
        })
    }
}

/// Where it happens.
pub(crate) struct Scene<'a> {
    pub(crate) pbx: &'a mut Pbx,
    /// Where RTP is bound, and the ports.
    pub(crate) rtp: (IpAddr, std::ops::RangeInclusive<u16>),
    pub(crate) records: &'a Path,
    /// More calls are wanted than there are slots.
    pub(crate) crowded: &'a AtomicBool,
}

impl Scene<'_> {
    /// Makes a kind of trouble for so long, and takes it back.
    pub(crate) async fn suffer(&mut self, trouble: Trouble, time: Duration) -> anyhow::Result<()> {
        match trouble {
            Trouble::PbxKilled => {
                self.pbx.kill().await?;
                tokio::time::sleep(time).await;
                self.pbx.run().await?;
            }
            Trouble::PbxSilent => {
                self.pbx.stop()?;
                tokio::time::sleep(time).await;
                self.pbx.go_on()?;
            }
            Trouble::DiskFull => {
                let shortest = shortest_file(self.records)?.context("there are no records")?;
                let _limit = Limit::lower(Resource::Fsize, shortest)?;
                tokio::time::sleep(time).await;
            }
            Trouble::NoRtpPorts => {
                let (ip, ports) = &self.rtp;
                let _taken: Vec<UdpSocket> =
                    ports.clone().filter_map(|port| UdpSocket::bind((*ip, port)).ok()).collect();
                tokio::time::sleep(time).await;
            }
            Trouble::NoDescriptors => {
                let highest = highest_descriptor()?;
                let _limit = Limit::lower(Resource::Nofile, highest + 1)?;
                // Those below are taken, also those that calls leave that end meanwhile.
                let mut taken = Vec::new();
                let end = tokio::time::Instant::now() + time;
                while tokio::time::Instant::now() < end {
                    taken.extend(std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Trouble::NoSlots => {
                self.crowded.store(true, Ordering::Relaxed);
                tokio::time::sleep(time).await;
                self.crowded.store(false, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// A limit of this process, lowered until it is dropped.
struct Limit {
    resource: Resource,
    before: Rlimit,
}

impl Limit {
    fn lower(resource: Resource, current: u64) -> anyhow::Result<Self> {
        let before = getrlimit(resource);
        setrlimit(resource, Rlimit { current: Some(current), ..before })?;
        Ok(Self { resource, before })
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // The hard limit has not been touched, so that this is always permitted.
        let _ = setrlimit(self.resource, self.before);
    }
}

/// What no file may exceed, so that none of those that have something in them can grow.
fn shortest_file(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut shortest = None;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let length = if entry.file_type()?.is_dir() {
            shortest_file(&entry.path())?
        } else {
            Some(entry.metadata()?.len()).filter(|length| *length > 0)
        };
        shortest = shortest.into_iter().chain(length).min();
    }
    Ok(shortest)
}

fn highest_descriptor() -> std::io::Result<u64> {
    let entries = std::fs::read_dir("/proc/self/fd")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max().unwrap_or(64))
}
