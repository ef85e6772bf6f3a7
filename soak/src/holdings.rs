//! What this process holds: sockets, threads, memory.

use std::fs;

use serde::Serialize;

/// Counted at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Holdings {
    /// Open sockets.
    pub sockets: usize,
    /// Open descriptors of any kind.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory in kilobytes.
    pub memory_kb: u64,
}

impl Holdings {
    /// Counts now.
    pub(crate) fn now() -> Self {
        let entries = |folder: &str| fs::read_dir(folder).map_or(0, Iterator::count);
        let sockets = fs::read_dir("/proc/self/fd").map_or(0, |entries| {
            // A descriptor may close between the two, the one of this very reading for example.
            let targets = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
            targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
        });
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory_kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        Self {
            sockets,
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            memory_kb: memory_kb.unwrap_or_default(),
        }
    }
}

/// The slope of a line through points of (minutes, kilobytes): least squares.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if spread == 0.0 {
        return 0.0;
    }
    points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_what_does_not_grow_has_none() {
        let line: Vec<(f64, f64)> = (0..10).map(|x| (f64::from(x), 7.0 + 3.0 * f64::from(x))).collect();
        assert!((slope(&line) - 3.0).abs() < 1e-9);
        assert_eq!(slope(&[(0.0, 5.0), (1.0, 5.0)]), 0.0);
        assert_eq!(slope(&[(1.0, 5.0)]), 0.0);
    }

    #[test]
    fn an_open_socket_is_counted() {
        let before = Holdings::now();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(Holdings::now().sockets, before.sockets + 1);
        drop(socket);
        assert!(before.memory_kb > 0 && before.threads > 0);
    }
}
