//! What this machine permits.

use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};
use thread_priority::{RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};

use super::finding::Finding;
use super::mistake::Mistake;

/// Sockets of one call: RTP and RTCP.
const SOCKETS_PER_CALL: u64 = 2;
/// What a process has open besides.
const OTHERS: u64 = 128;

/// What no clock is off by through inattention.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether there are descriptors for as many calls as configured.
pub(super) fn descriptors(max_calls: u32) -> Option<Finding> {
    let needed = u64::from(max_calls) * SOCKETS_PER_CALL + OTHERS;
    // No limit at all is `None`.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    Some(if limit >= needed {
        Finding::ok("file_descriptors", format!("room for {max_calls} calls"))
    } else {
        Mistake::FileDescriptors.found(
            format!("{max_calls} calls need {needed} open files, {limit} are permitted"),
            format!("raise the limit: ulimit -n {needed}, or LimitNOFILE={needed} in the systemd unit"),
        )
    })
}

/// Whether this machine's clock can be right: nothing runs before it was built.
pub(super) fn clock() -> Option<Finding> {
    let built = std::env::current_exe().and_then(|path| path.metadata()?.modified()).ok()?;
    let behind = built.duration_since(SystemTime::now()).ok().filter(|behind| *behind > DAY)?;
    Some(Mistake::ClockWrong.found(
        format!("this machine's clock is {} days behind the day when this program was built", behind.as_secs() / DAY.as_secs()),
        "set it, or let the network do it: timedatectl set-ntp true; until then certificates are judged wrongly",
    ))
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
        Mistake::NoRealTime.suspected(
            "real-time scheduling (SCHED_FIFO) is not permitted: under load, packets leave some milliseconds late",
            "for many calls at once: ulimit -r 10, LimitRTPRIO=10 in the systemd unit, or the capability CAP_SYS_NICE",
        )
    })
}
