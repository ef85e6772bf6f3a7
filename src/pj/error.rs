//! PJSIP's status codes as errors.

use std::{fmt, io};

use pjsip_sys as sys;

use super::strings;

/// A PJSIP function returned something other than `PJ_SUCCESS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PjError {
    /// What was being done, for example `pjsua_init`.
    pub(crate) operation: &'static str,
    /// `pj_status_t`.
    pub(crate) status: i32,
    /// PJSIP's own words.
    pub(crate) text: String,
}

impl PjError {
    pub(super) fn new(operation: &'static str, status: sys::pj_status_t) -> Self {
        Self { operation, status, text: describe(status) }
    }

    /// Whether a port is somebody else's. Of what a call needs that is its pair for RTP and RTCP.
    #[doc(alias = "PJ_ERRNO_START_SYS")]
    pub(crate) fn is_address_in_use(&self) -> bool {
        // PJLIB's codes of the system's own errors begin there.
        let of_system = self.status - sys::PJ_ERRNO_START_SYS as i32;
        io::Error::from_raw_os_error(of_system).kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for PjError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.operation, self.text, self.status)
    }
}

impl std::error::Error for PjError {}

/// Turns a status into a result.
pub(super) fn check(operation: &'static str, status: sys::pj_status_t) -> Result<(), PjError> {
    if status == sys::PJ_SUCCESS as sys::pj_status_t { Ok(()) } else { Err(PjError::new(operation, status)) }
}

/// PJSIP's text for a status.
#[doc(alias = "pj_strerror")]
pub(super) fn describe(status: sys::pj_status_t) -> String {
    let mut buffer = [0; sys::PJ_ERR_MSG_SIZE as usize];
    // SAFETY: the buffer is as long as said; the result points into it or to static text, both alive here.
    unsafe {
        let text = sys::pj_strerror(status, buffer.as_mut_ptr(), buffer.len() as sys::pj_size_t);
        strings::copy(&text)
    }
}
