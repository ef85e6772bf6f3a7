//! What this process takes: processor time, by thread too, and memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike as _;

/// A moment's reading of what was used since the process began.
#[derive(Debug, Clone)]
pub(super) struct Used {
    /// User and system time of the whole process.
    pub(super) cpu: Duration,
    /// The same by thread name, as the scheduler counts it.
    threads: BTreeMap<String, Duration>,
}

impl Used {
    pub(super) fn now() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).context("getrusage")?;
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Ok(Self { cpu: Duration::from_micros(micros.unsigned_abs()), threads: threads()? })
    }

    /// What each thread took since `before`, by name, the most first.
    pub(super) fn threads_since(&self, before: &Self) -> Vec<(String, Duration)> {
        let mut taken: Vec<_> = self
            .threads
            .iter()
            .map(|(name, now)| {
                let before = before.threads.get(name).copied().unwrap_or_default();
                (name.clone(), now.saturating_sub(before))
            })
            .collect();
        taken.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        taken
    }
}

/// Time on a processor by thread name, in nanoseconds as the first figure of `schedstat`.
fn threads() -> Result<BTreeMap<String, Duration>> {
    let mut threads = BTreeMap::<String, Duration>::new();
    for task in fs::read_dir("/proc/self/task").context("/proc/self/task")? {
        let task = task?.path();
        // A thread may end between the two looks.
        let read = |file| fs::read_to_string(task.join(file)).unwrap_or_default();
        let nanos = read("schedstat").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        *threads.entry(read("comm").trim().to_owned()).or_default() += Duration::from_nanos(nanos);
    }
    Ok(threads)
}

/// Resident memory in KB.
pub(super) fn resident_kb() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Permits as many sockets as the system lets us: a call has two, and 1,024 descriptors are the usual limit.
pub(super) fn permit_many_sockets() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("getrlimit")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("setrlimit")
}
