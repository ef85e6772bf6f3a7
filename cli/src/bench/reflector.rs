//! Sends RTP back where it came from, as it came or impaired, and notes when it came.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};

use super::spread::Spread;

/// Ports for RTP, which the calls share in turn: fewer sockets have more to do at a time.
const PORTS: usize = 32;
/// A pause after each round, so that a round is worth its system calls. It is part of the echo's delay.
const PAUSE: Duration = Duration::from_micros(500);

/// What a bad network does to packets.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct Impairment {
    /// Lose so many per cent of the packets on their way back
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub(super) loss: f64,
    /// Let so many per cent of the packets be overtaken by the next one or two
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub(super) reorder: f64,
    /// Delay each packet by a random time up to so many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    pub(super) jitter: f64,
}

impl Impairment {
    fn is_none(&self) -> bool {
        self.loss == 0.0 && self.reorder == 0.0 && self.jitter == 0.0
    }

    /// How long a packet is held back; `None` if it is lost.
    fn fate(&self) -> Option<Duration> {
        let percent = || rand::random::<f64>() * 100.0;
        if percent() < self.loss {
            return None;
        }
        let overtaken = if percent() < self.reorder { 30.0 } else { 0.0 };
        Some(Duration::from_secs_f64((rand::random::<f64>() * self.jitter + overtaken) / 1000.0))
    }
}

/// Sockets read in bursts.
pub(super) fn large_buffers(socket: &UdpSocket) -> Result<()> {
    // As far as the system permits; it cuts what is too much.
    setsockopt(socket, sockopt::RcvBuf, &(2 << 20)).context("SO_RCVBUF")
}

/// What was noted since the last reset.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Report {
    /// Packets that came.
    pub(super) packets: u64,
    /// Time between two packets of one call, by the kernel's clock at their arrival.
    pub(super) interval_ms: Option<Spread>,
}

#[derive(Default)]
struct Notes {
    packets: u64,
    /// When the last packet came from each sender, in nanoseconds.
    last: HashMap<SocketAddrV4, i64>,
    intervals: Vec<u32>,
}

/// A thread that reflects.
pub(super) struct Reflector {
    ports: Vec<SocketAddr>,
    notes: Arc<Mutex<Notes>>,
}

impl Reflector {
    /// Opens pairs of ports and starts.
    pub(super) fn start(impairment: Impairment) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::empty()).context("epoll")?;
        let (mut sockets, mut ports) = (Vec::new(), Vec::new());
        for _ in 0..PORTS {
            let (rtp, rtcp) = pair()?;
            ports.push(rtp.local_addr()?);
            for socket in [rtp, rtcp] {
                large_buffers(&socket)?;
                setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("SO_TIMESTAMPNS")?;
                epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, sockets.len() as u64))?;
                sockets.push(socket);
            }
        }
        let notes = Arc::new(Mutex::new(Notes::default()));
        let worker =
            Worker { epoll, sockets, impairment, notes: Arc::clone(&notes), held: BinaryHeap::new() };
        thread::Builder::new().name("reflector".to_owned()).spawn(move || worker.run())?;
        Ok(Self { ports, notes })
    }

    pub(super) fn ports(&self) -> &[SocketAddr] {
        &self.ports
    }

    pub(super) fn reset(&self) {
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = Notes::default();
    }

    pub(super) fn report(&self) -> Report {
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        Report { packets: notes.packets, interval_ms: Spread::of(notes.intervals) }
    }
}

/// Two ports one after the other, the first of them even (RFC 3550 §11).
fn pair() -> Result<(UdpSocket, UdpSocket)> {
    loop {
        let rtp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("RTP port")?;
        let port = rtp.local_addr()?.port();
        if !port.is_multiple_of(2) {
            continue;
        }
        if let Ok(rtcp) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port + 1)) {
            return Ok((rtp, rtcp));
        }
    }
}

/// A packet that is held back.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    socket: usize,
    to: SocketAddrV4,
    packet: Vec<u8>,
}

struct Worker {
    epoll: Epoll,
    /// RTP at even places, RTCP behind each.
    sockets: Vec<UdpSocket>,
    impairment: Impairment,
    notes: Arc<Mutex<Notes>>,
    held: BinaryHeap<Reverse<Held>>,
}

impl Worker {
    fn run(mut self) {
        let mut events = vec![EpollEvent::empty(); 2 * PORTS];
        let mut buffer = [0; 2048];
        let mut control = nix::cmsg_space!(TimeSpec);
        loop {
            let timeout = if self.held.is_empty() { EpollTimeout::NONE } else { EpollTimeout::from(1_u8) };
            let ready = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => return tracing::error!(%error, "the reflector ends"),
            };
            for event in &events[..ready] {
                let socket = event.data() as usize;
                while self.one(socket, &mut buffer, &mut control) {}
            }
            self.release();
            thread::sleep(PAUSE);
        }
    }

    /// Takes one packet of a socket; false if there is none.
    fn one(&mut self, socket: usize, buffer: &mut [u8], control: &mut [u8]) -> bool {
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let received =
            recvmsg::<SockaddrIn>(self.sockets[socket].as_raw_fd(), &mut parts, Some(control), flags);
        let Ok(message) = received else { return received != Err(Errno::EAGAIN) };
        // RTCP is read, so that no buffer fills, and not answered.
        let (true, Some(from)) = (socket.is_multiple_of(2), message.address) else { return true };
        let (from, length) = (SocketAddrV4::from(from), message.bytes);
        let stamp = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|one| match one {
                ControlMessageOwned::ScmTimestampns(time) => {
                    Some(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
                }
                _ => None,
            })
        });
        if let Some(stamp) = stamp {
            self.note(from, stamp);
        }
        self.reflect(socket, from, &buffer[..length]);
        true
    }

    fn note(&self, from: SocketAddrV4, stamp: i64) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.packets += 1;
        if let Some(last) = notes.last.insert(from, stamp) {
            let interval = (stamp - last).max(0) / 1000;
            notes.intervals.push(u32::try_from(interval).unwrap_or(u32::MAX));
        }
    }

    fn reflect(&mut self, socket: usize, to: SocketAddrV4, packet: &[u8]) {
        if self.impairment.is_none() {
            // Who hung up in the meantime does not want it.
            let _ = self.sockets[socket].send_to(packet, to);
        } else if let Some(delay) = self.impairment.fate() {
            let due = Instant::now() + delay;
            self.held.push(Reverse(Held { due, socket, to, packet: packet.to_vec() }));
        }
    }

    /// Sends what has been held back long enough.
    fn release(&mut self) {
        let now = Instant::now();
        while self.held.peek().is_some_and(|Reverse(next)| next.due <= now) {
            if let Some(Reverse(held)) = self.held.pop() {
                let _ = self.sockets[held.socket].send_to(&held.packet, held.to);
            }
        }
    }
}
