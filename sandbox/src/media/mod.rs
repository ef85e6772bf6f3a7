//! One call's RTP: sockets, the 20 ms clock, echo, playing, keys, recording.

pub(crate) mod clip;
pub(crate) mod codec;
mod dtmf;
mod impairment;
mod ports;
mod recorder;
mod rtcp;
pub(crate) mod srtp;
mod stream;

use std::net::{IpAddr, SocketAddr};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use self::clip::Clip;
pub(crate) use self::impairment::Impairment;
use self::ports::Ports;
use self::stream::Stream;
use crate::sdp::Agreed;

/// What a call's media came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaCounts {
    /// RTP packets received and understood.
    pub received: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Packets that sequence numbers show to be missing.
    pub lost: u64,
    /// Packets that SRTP did not accept: wrong key, tampered with, replayed, or not encrypted at all.
    pub rejected: u64,
    /// RTCP packets received and understood.
    pub rtcp_received: u64,
}

/// What is sent when nothing is being played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Idle {
    /// Nothing at all.
    #[default]
    Mute,
    /// Frames of silence.
    Silence,
    /// What is received, at once and unchanged, keys included.
    Echo,
}

/// Something heard from the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heard {
    Key(char),
}

enum Command {
    Configure(Box<Agreed>),
    Idle(Idle),
    Impair(Impairment),
    Play(Clip, oneshot::Sender<()>),
    StopPlaying,
    Press(String, oneshot::Sender<()>),
    AwaitTurn(oneshot::Sender<()>),
}

/// The end of a stream: its counts and what it has recorded, with the rate in Hz.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) counts: MediaCounts,
    pub(crate) recording: Option<(Vec<i16>, u32)>,
}

/// The handle of a running stream; dropping it ends the stream.
pub(crate) struct Media {
    /// The sandbox's RTP address.
    pub(crate) address: SocketAddr,
    commands: mpsc::UnboundedSender<Command>,
    pub(crate) heard: mpsc::Receiver<Heard>,
    report: oneshot::Receiver<Report>,
}

impl Media {
    /// Opens a pair of ports on `ip` and starts the stream, which is mute until told otherwise.
    pub(crate) async fn start(ip: IpAddr, tasks: &TaskTracker) -> std::io::Result<Self> {
        let ports = Ports::open(ip).await?;
        let address = ports.address;
        let (commands, receiver) = mpsc::unbounded_channel();
        let (sender, heard) = mpsc::channel(64);
        let (finished, report) = oneshot::channel();
        let stream = Stream::new(ports, sender);
        tasks.spawn(async move {
            // Nobody may be waiting for the report.
            let _ = finished.send(stream.run(receiver).await);
        });
        Ok(Self { address, commands, heard, report })
    }

    /// Applies the result of an offer and answer.
    pub(crate) fn configure(&self, agreed: Agreed) {
        self.command(Command::Configure(Box::new(agreed)));
    }

    pub(crate) fn idle(&self, idle: Idle) {
        self.command(Command::Idle(idle));
    }

    pub(crate) fn impair(&self, impairment: Impairment) {
        self.command(Command::Impair(impairment));
    }

    /// Plays a clip; the receiver resolves after its last frame, or with an error when it is cut short.
    pub(crate) fn play(&self, clip: Clip) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        self.command(Command::Play(clip, done));
        finished
    }

    pub(crate) fn stop_playing(&self) {
        self.command(Command::StopPlaying);
    }

    /// Presses keys as soon as the caller is heard, or two seconds into a call in which it is not; resolves after the
    /// last.
    pub(crate) fn press(&self, keys: &str) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        self.command(Command::Press(keys.to_owned(), done));
        finished
    }

    /// Resolves when the caller has said something, from now on, and then nothing for a second.
    pub(crate) fn turn(&self) -> oneshot::Receiver<()> {
        let (done, finished) = oneshot::channel();
        self.command(Command::AwaitTurn(done));
        finished
    }

    /// Ends the stream and returns what it came to.
    pub(crate) async fn finish(self) -> Report {
        drop(self.commands);
        self.report.await.unwrap_or_default()
    }

    fn command(&self, command: Command) {
        // A stream outlives its handle only by moments, so a failed send has nobody to disappoint.
        let _ = self.commands.send(command);
    }
}
