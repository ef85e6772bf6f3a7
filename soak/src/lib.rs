//! A soak: mixed calls at a steady rate for as long as is asked, while the PBX is killed and started anew, packets are
//! lost, delayed, swapped and repeated, the disk is full, and RTP ports, descriptors and call slots run out.
//!
//! What must hold is in [`Report::broken`]: no call is left over, no telephone rings twice for one call, no callback
//! panics, threads and sockets are as many after it as before, and the records are whole.

mod caller;
mod holdings;
mod lines;
mod pbx;
mod records;
mod report;
mod trouble;

pub use caller::{Options, run};
pub use pbx::{PbxCommand, serve};
pub use report::Report;
