//! `outdial bench floor`: the system calls alone that carry so many calls.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::json;

use super::codec::Codec;
use super::peer::Peer;
use super::reflector::Impairment;
use super::resources::{Used, permit_many_sockets};
use crate::exit::{Exit, Failure};

/// Measure the bare system calls for the same packets: sendto, epoll_wait and recvfrom, 50 each way and second
///
/// No program that sends and receives each packet by a call of its own can cost less.
#[derive(Debug, Args)]
pub(super) struct FloorCommand {
    /// So many sockets, one for each call
    #[arg(long, value_name = "N", default_value_t = 500)]
    calls: usize,
    /// The packets' length is that of this codec
    #[arg(long, value_enum, default_value = "pcmu")]
    codec: Codec,
    /// The packets are as long as encrypted ones
    #[arg(long)]
    srtp: bool,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl FloorCommand {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        permit_many_sockets()?;
        let peer = Peer::start(self.codec, Impairment::default())?;
        let window = Duration::from_secs(self.seconds);
        let floor = measure(peer.ready().rtp, self.calls, self.codec.packet(self.srtp), window)?;
        if self.json {
            println!(
                "{}",
                json!({
                    "calls": self.calls,
                    "codec": self.codec.name(),
                    "srtp": self.srtp,
                    "seconds": self.seconds,
                    "floor_us_per_call_second": floor,
                })
            );
        } else {
            println!("floor: {floor:.0} µs of CPU per call-second, {} calls", self.calls);
        }
        Ok(Exit::Completed)
    }
}

/// Sub-slots of a packet time, as in the media clock: not all sockets send at once.
const SLOTS: usize = 4;
const SLOT: Duration = Duration::from_millis(5);
/// What is not measured at the beginning.
const WARM_UP: Duration = Duration::from_secs(1);

/// CPU µs per call-second of `calls` sockets that send `length` bytes each 20 ms and receive them back from `peer`.
pub(super) fn measure(peer: SocketAddr, calls: usize, length: usize, window: Duration) -> Result<f64> {
    let epoll = Epoll::new(EpollCreateFlags::empty()).context("epoll")?;
    let mut sockets = Vec::new();
    for index in 0..calls {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a socket for each call")?;
        socket.set_nonblocking(true)?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        sockets.push(socket);
    }
    let packet = vec![0; length];
    let mut events = [EpollEvent::empty(); 128];
    let mut buffer = [0; 2048];
    let started = Instant::now();
    let (mut from, mut received) = (None, 0_u64);
    for slot in 0_u32.. {
        let due = started + SLOT * slot;
        if from.is_none() && due >= started + WARM_UP {
            from = Some(Used::now()?);
            received = 0;
        }
        if due >= started + WARM_UP + window {
            break;
        }
        // Until it is time to send again, what comes is received.
        loop {
            // Rounded up: looking again and again for the rest of a millisecond would count as work.
            let left = due.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            let timeout = EpollTimeout::from(u8::try_from(left).unwrap_or(u8::MAX));
            let ready = epoll.wait(&mut events, timeout).unwrap_or(0);
            for event in &events[..ready] {
                received += u64::from(sockets[event.data() as usize].recv_from(&mut buffer).is_ok());
            }
            if ready == 0 && Instant::now() >= due {
                break;
            }
        }
        for socket in sockets.iter().skip(slot as usize % SLOTS).step_by(SLOTS) {
            socket.send_to(&packet, peer).context("sendto")?;
        }
    }
    let cpu = Used::now()?.cpu - from.context("nothing was measured")?.cpu;
    let call_seconds = calls as f64 * window.as_secs_f64();
    tracing::info!(received, expected = call_seconds * 50.0, "floor");
    Ok(cpu.as_secs_f64() * 1e6 / call_seconds)
}
