//! What this machine permits.

use rustix::process::{Resource, getrlimit};
use thread_priority::{RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};

use super::finding::Finding;

/// Sockets of one call: RTP and RTCP.
const SOCKETS_PER_CALL: u64 = 2;
/// What a process has open besides.
const OTHERS: u64 = 128;

/// Whether there are descriptors for as many calls as configured.
pub(super) fn descriptors(max_calls: u32) -> Option<Finding> {
    let needed = u64::from(max_calls) * SOCKETS_PER_CALL + OTHERS;
    // No limit at all is `None`.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    Some(if limit >= needed {
        Finding::ok("file_descriptors", format!("room for {max_calls} calls"))
    } else {
        Finding::problem(
            "file_descriptors",
            format!("{max_calls} calls need {needed} open files, {limit} are permitted"),
            format!("raise the limit: ulimit -n {needed}, or LimitNOFILE={needed} in the systemd unit"),
        )
    })
}

/// Whether packets can leave on time under load: tried on a thread of its own, which then ends.
pub(super) fn scheduling() -> Option<Finding> {
    let tried = std::thread::spawn(|| {
        let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
        let lowest = ThreadPriority::Crossplatform(1u8.try_into().ok()?);
        let thread = thread_priority::thread_native_id();
        Some(thread_priority::set_thread_priority_and_policy(thread, lowest, policy).is_ok())
    });
    let permitted = tried.join().ok().flatten()?;
    Some(if permitted {
        Finding::ok("scheduling", "real-time scheduling (SCHED_FIFO) is permitted")
    } else {
        Finding::warning(
            "scheduling",
            "real-time scheduling (SCHED_FIFO) is not permitted: under load, packets leave some milliseconds late",
            "for many calls at once: ulimit -r 10, LimitRTPRIO=10 in the systemd unit, or the capability CAP_SYS_NICE",
        )
    })
}
