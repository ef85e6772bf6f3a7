//! `outdial bench`: what calls cost on this machine.

mod callee;
mod capacity;
mod codec;
mod floor;
mod peer;
mod plot;
mod probe;
mod reflector;
mod resources;
mod rig;
mod setup;
mod sip;
mod speech;
mod spread;
mod talk;

use clap::{Args, Subcommand};

use crate::exit::{Exit, Failure};

/// Measure what calls cost on this machine: processor time, memory, delay, and the time to set one up
///
/// The callee is another process on this machine, which is not counted. Measure with a release build, and with nothing
/// else running.
#[derive(Debug, Args)]
pub(crate) struct BenchCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Capacity(capacity::CapacityCommand),
    Floor(floor::FloorCommand),
    Setup(setup::SetupCommand),
    Speech(speech::SpeechCommand),
    Plot(plot::PlotCommand),
    /// The callee and RTP reflector that the others start
    #[command(hide = true)]
    Callee(callee::CalleeCommand),
}

impl BenchCommand {
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        match self.what {
            What::Capacity(command) => command.run().await,
            What::Floor(command) => command.run(),
            What::Setup(command) => command.run().await,
            What::Speech(command) => command.run().await,
            What::Plot(command) => command.run(),
            What::Callee(command) => command.run(),
        }
    }
}
