//! Raw bindings to PJSIP: pjlib, pjmedia, pjsip and pjsua, compiled from source with OpenSSL and
//! libsrtp.
//!
//! The functions and types are those of upstream's documentation; `pjsys_*` stands for what is a
//! macro or an inline function there (see `c/shim.h`). C enumerations are integer constants.
//!
//! Nothing here is safe to call from a thread that pjlib does not know: every thread but the one
//! that called `pj_init` registers itself first, with a descriptor that outlives it and never moves.

// OpenSSL is linked by openssl-sys, whose symbols are used from C alone.
use openssl_sys as _;

#[allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals)]
#[allow(unnecessary_transmutes, unreachable_pub, unsafe_op_in_unsafe_fn)]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;
