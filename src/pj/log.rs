//! PJSIP's log into `tracing`.
//!
//! PJSIP's own dump of SIP messages is off, since it shows credentials; [`super::wire`] traces messages without them.

use std::ffi::{c_char, c_int};

use tracing::level_filters::LevelFilter;

use super::callbacks::guarded;

/// The level up to which PJSIP need not be asked: `tracing` would drop it.
pub(super) fn level() -> u32 {
    match LevelFilter::current() {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => 1,
        LevelFilter::WARN => 2,
        LevelFilter::INFO => 3,
        LevelFilter::DEBUG => 4,
        _ => 5,
    }
}

/// PJSIP's log function. It runs on any thread that PJLIB knows.
pub(super) unsafe extern "C" fn write(level: c_int, data: *const c_char, length: c_int) {
    guarded("log", || {
        let Ok(length) = usize::try_from(length) else { return };
        if data.is_null() {
            return;
        }
        // SAFETY: PJLIB passes a buffer of that length, alive during the call.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim();
        match level {
            // What PJSIP calls an error is often one call's misfortune (a busy port, a lost connection).
            ..=1 => tracing::warn!(target: "pjsip", "{text}"),
            2 => tracing::info!(target: "pjsip", "{text}"),
            3 => tracing::debug!(target: "pjsip", "{text}"),
            _ => tracing::trace!(target: "pjsip", "{text}"),
        }
    });
}
