//! What this process holds, counted.

use std::collections::BTreeMap;

/// Open descriptors and threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// By what they are: `socket`, `anon_inode:[eventpoll]`, a path.
    pub descriptors: BTreeMap<String, usize>,
    /// By name.
    pub threads: BTreeMap<String, usize>,
}

impl Holdings {
    /// Counts now.
    pub fn now() -> Self {
        let mut descriptors = BTreeMap::new();
        for entry in std::fs::read_dir("/proc/self/fd").expect("Linux").flatten() {
            // A descriptor may close between the two, the one of this very reading for example.
            let Ok(target) = std::fs::read_link(entry.path()) else { continue };
            let target = target.display().to_string();
            let kind = target.split(":[").next().unwrap_or_default().to_owned();
            if !kind.starts_with("/proc/") {
                *descriptors.entry(kind).or_default() += 1;
            }
        }
        let mut threads = BTreeMap::new();
        for entry in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
            let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) else { continue };
            *threads.entry(name.trim().to_owned()).or_default() += 1;
        }
        Self { descriptors, threads }
    }

    /// How many sockets.
    pub fn sockets(&self) -> usize {
        self.descriptors.get("socket").copied().unwrap_or_default()
    }
}
