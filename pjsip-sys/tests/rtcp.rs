//! What RTCP statistics make of long uptimes and of odd reports.

mod support;

use pjsip_sys::*;
use std::mem::MaybeUninit;
use support::Lib;

/// A session; it must not move, it has a pointer to its name.
fn session(clock_rate: u32) -> Box<pjmedia_rtcp_session> {
    let mut session = Box::new(MaybeUninit::<pjmedia_rtcp_session>::zeroed());
    // SAFETY: initialised by the call; the name is static.
    unsafe {
        pjmedia_rtcp_init(session.as_mut_ptr(), c"rtcp".as_ptr().cast_mut(), clock_rate, 160, 1);
        session.assume_init()
    }
}

fn now() -> u64 {
    let mut now = pj_timestamp { u64_: 0 };
    // SAFETY: written by the call, and any bits are a u64.
    unsafe {
        assert_eq!(pj_get_timestamp(&mut now), 0);
        now.u64_
    }
}

/// A clock rate whose product with the uptime passes a multiple of 2^64 between the two times.
///
/// At 8 kHz that takes 26.7 days. At 2^31 it happens every 8.6 s, and the rate decides when.
fn rate_that_wraps_between(from: u64, until: u64) -> u32 {
    let (from, until) = (u128::from(from), u128::from(until));
    let wraps = (until << 31 >> 64) + 1;
    let rate = (wraps << 64) / until + 1;
    assert!(rate * from < wraps << 64, "an uptime of years needs more than 20 ms");
    u32::try_from(rate).expect("the machine is up for more than 9 s")
}

#[test]
fn jitter_survives_the_wrap_of_uptime_times_rate() {
    const MILLISECOND: u64 = 1_000_000;

    let _lib = Lib::new();
    let start = now();
    let rate = rate_that_wraps_between(start + 30 * MILLISECOND, start + 50 * MILLISECOND);
    let mut session = session(rate);
    // SAFETY: read by nobody else; PJLIB's ticks are nanoseconds here, as the test assumes.
    assert_eq!(unsafe { session.ts_freq.u64_ }, 1_000 * MILLISECOND);

    // Packets whose timestamps are their time of arrival: no jitter but that of this loop.
    let mut worst = 0;
    for seq in 1.. {
        let time = now();
        if time > start + 80 * MILLISECOND && seq > 100 {
            break;
        }
        let arrival = (u128::from(time) * u128::from(rate) / u128::from(1_000 * MILLISECOND)) as u32;
        // SAFETY: the session is initialised.
        unsafe { pjmedia_rtcp_rx_rtp(&mut *session, seq, arrival, 160) };
        // Sixteenths of a sample (RFC 3550 A.8). What `stat` has of it is no use at such rates.
        worst = worst.max(session.jitter >> 4);
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    // The wrap moves the arrival by 2^64/10^9 modulo 2^32 samples, 0.3 s or more, and the jitter
    // by a sixteenth of it: 18 ms.
    let limit = rate / 1_000 * 15;
    assert!(worst < limit, "{worst} of {rate} samples per second");
}

#[test]
fn timestamps_that_begin_anew_are_no_jitter() {
    const RATE: u64 = 8_000;
    let _lib = Lib::new();
    let mut session = session(RATE as u32);
    let mut seq = 0;
    let mut packet = |timestamp: u32| {
        seq += 1;
        // SAFETY: the session is initialised.
        unsafe { pjmedia_rtcp_rx_rtp(&mut *session, seq, timestamp, 160) };
        session.jitter >> 4
    };
    // Packets whose timestamps are their time of arrival, and so many samples besides.
    let timely = |besides: u32| ((now() / 1_000 * RATE / 1_000_000) as u32).wrapping_add(besides);
    let mut last = 0;
    // Four minutes ahead, and two back: each would be a jitter of seconds.
    for besides in [0, 2_000_000, 1_000_000] {
        for _ in 0..60 {
            last = timely(besides);
            let jitter = packet(last);
            assert!(jitter < RATE as u32, "{jitter} of {RATE} samples per second, {besides} besides");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    // Half a second late is late: a sixteenth of it (RFC 3550 A.8).
    std::thread::sleep(std::time::Duration::from_millis(500));
    let jitter = packet(last + 160);
    assert!(jitter >= 200, "{jitter} samples");
}

#[test]
fn negative_cumulative_loss_is_no_loss() {
    let report = |lost: [u8; 3]| {
        let mut packet = vec![0x81, 201, 0, 7, 0, 0, 0, 9, 0, 0, 0, 1, 0];
        packet.extend(lost);
        packet.resize(32, 0);
        packet
    };
    let _lib = Lib::new();
    let mut session = session(8000);
    let mut receive = |lost| {
        let packet = report(lost);
        // SAFETY: the session is initialised, the packet is valid for its length.
        unsafe { pjmedia_rtcp_rx_rtcp(&mut *session, packet.as_ptr().cast(), packet.len() as pj_size_t) };
        session.stat.tx.loss
    };
    assert_eq!(receive([0, 0, 5]), 5);
    assert_eq!(receive([0xFF, 0xFF, 0xFF]), 0);
    assert_eq!(receive([0x80, 0, 0]), 0);
    assert_eq!(receive([0x7F, 0xFF, 0xFF]), 0x7F_FFFF);
}
