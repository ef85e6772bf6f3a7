//! Wakes the control thread out of its poll, so that a command does not wait for the poll to time out.

use std::ffi::c_void;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixDatagram;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pjsip_sys as sys;

use super::error::{PjError, check};

/// `PJ_IOQUEUE_ALWAYS_ASYNC`, a macro with a cast that bindgen does not translate: call back also when data waits.
const ALWAYS_ASYNC: u32 = 1 << 31;

/// Wakes the control thread; a cheap clone.
#[derive(Clone)]
pub(crate) struct Waker(Arc<Shared>);

struct Shared {
    socket: UnixDatagram,
    /// A byte is under way and has not been read: no second one is needed.
    pending: AtomicBool,
}

impl Waker {
    /// Makes the control thread return from its poll, or not enter the next one.
    pub(crate) fn wake(&self) {
        if !self.0.pending.swap(true, Ordering::AcqRel) {
            // A full socket means that bytes are waiting, which serves as well.
            let _ = self.0.socket.send(&[1]);
        }
    }

    /// The control thread is about to look at its queues: from here on a wake counts anew.
    pub(crate) fn acknowledge(&self) {
        self.0.pending.store(false, Ordering::Release);
    }
}

/// The reading end, registered with PJSIP's I/O queue.
pub(super) struct WakeSocket {
    key: *mut sys::pj_ioqueue_key_t,
    operation: *mut Operation,
}

struct Operation {
    key: sys::pj_ioqueue_op_key_t,
    buffer: [u8; 8],
}

impl WakeSocket {
    /// Registers a socket pair's reading end with the I/O queue of the SIP endpoint.
    #[doc(alias = "pj_ioqueue_register_sock")]
    pub(super) fn register(
        pool: *mut sys::pj_pool_t,
        ioqueue: *mut sys::pj_ioqueue_t,
    ) -> Result<(Self, Waker), PjError> {
        let (reader, writer) = pair().map_err(|error| PjError {
            operation: "socketpair",
            status: error.raw_os_error().unwrap_or_default(),
            text: error.to_string(),
        })?;
        let operation = Box::into_raw(Box::new(Operation {
            // SAFETY: a record of integers and pointers, for which zeros are valid; the I/O queue initialises it.
            key: unsafe { std::mem::zeroed() },
            buffer: [0; 8],
        }));
        // SAFETY: a table of function pointers, for which zeros mean none.
        let mut callbacks: sys::pj_ioqueue_callback = unsafe { std::mem::zeroed() };
        callbacks.on_read_complete = Some(on_readable);
        let mut key = ptr::null_mut();
        let socket = sys::pj_sock_t::from(reader.into_raw_fd());
        // SAFETY: pool and queue belong to the running endpoint; the descriptor is ours and passes to the queue,
        // which closes it when the key is unregistered; `operation` lives until then.
        let status = unsafe {
            sys::pj_ioqueue_op_key_init(
                &raw mut (*operation).key,
                size_of::<sys::pj_ioqueue_op_key_t>() as _,
            );
            sys::pj_ioqueue_register_sock(
                pool,
                ioqueue,
                socket,
                operation.cast::<c_void>(),
                &raw const callbacks,
                &raw mut key,
            )
        };
        if let Err(error) = check("pj_ioqueue_register_sock", status) {
            // SAFETY: not registered, so both are still ours alone.
            unsafe {
                drop(Box::from_raw(operation));
                sys::pj_sock_close(socket);
            }
            return Err(error);
        }
        // SAFETY: just registered with this record.
        unsafe { receive(key, operation) };
        Ok((
            Self { key, operation },
            Waker(Arc::new(Shared { socket: writer, pending: AtomicBool::new(false) })),
        ))
    }
}

impl Drop for WakeSocket {
    #[doc(alias = "pj_ioqueue_unregister")]
    fn drop(&mut self) {
        // SAFETY: registered in `register` and unregistered once; this is the thread that polls, so that no callback
        // runs beside us or after, and the record can go.
        unsafe {
            sys::pj_ioqueue_unregister(self.key);
            drop(Box::from_raw(self.operation));
        }
    }
}

fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
    let (reader, writer) = UnixDatagram::pair()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    Ok((reader, writer))
}

/// Asks for the next byte.
///
/// # Safety
///
/// `key` is registered and `operation` is its record.
unsafe fn receive(key: *mut sys::pj_ioqueue_key_t, operation: *mut Operation) {
    // SAFETY: the record outlives the registration, see `Drop`.
    unsafe {
        let mut length = size_of::<[u8; 8]>() as sys::pj_ssize_t;
        sys::pj_ioqueue_recv(
            key,
            &raw mut (*operation).key,
            (&raw mut (*operation).buffer).cast::<c_void>(),
            &raw mut length,
            ALWAYS_ASYNC,
        );
    }
}

unsafe extern "C" fn on_readable(
    key: *mut sys::pj_ioqueue_key_t,
    _operation: *mut sys::pj_ioqueue_op_key_t,
    _read: sys::pj_ssize_t,
) {
    // SAFETY: the I/O queue passes the key that we registered; its user data is our record.
    unsafe {
        let operation = sys::pj_ioqueue_get_user_data(key).cast::<Operation>();
        if !operation.is_null() {
            receive(key, operation);
        }
    }
}
