//! Calls to a real PBX: Asterisk 22, configured by `tests/asterisk/`, and Kamailio in front of it, configured by
//! `tests/kamailio/`. `cargo xtask peers up` starts both. `docs/interop.md` lists the rows.

#![allow(unreachable_pub)] // One crate, in files that share their helpers.

mod common;

#[path = "asterisk/encryption.rs"]
mod encryption;
#[path = "asterisk/ends.rs"]
mod ends;
#[path = "asterisk/identity.rs"]
mod identity;
#[path = "asterisk/keys.rs"]
mod keys;
#[path = "asterisk/manager.rs"]
mod manager;
#[path = "asterisk/media.rs"]
mod media;
#[path = "asterisk/pbx.rs"]
mod pbx;
#[path = "asterisk/played.rs"]
mod played;
#[path = "asterisk/signalling.rs"]
mod signalling;
#[path = "asterisk/transfer.rs"]
mod transfer;
#[path = "asterisk/ways.rs"]
mod ways;
