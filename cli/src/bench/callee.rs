//! `outdial bench callee`: the process at the other end, which answers every call at once and reflects its sound.
//!
//! It prints one line of JSON with its addresses, and then one for each line on standard input: `reset` begins a
//! measurement, `report` tells it. It ends when standard input does.

use std::io::{self, BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::codec::Codec;
use super::reflector::{Impairment, Reflector, large_buffers};
use super::resources;
use super::sip::Request;
use crate::exit::{Exit, Failure};

#[derive(Debug, Args)]
pub(super) struct CalleeCommand {
    #[arg(long, value_enum)]
    codec: Codec,
    #[command(flatten)]
    impairment: Impairment,
}

/// The first line.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) sip: SocketAddr,
    /// An RTP port without impairments, for the floor.
    pub(super) rtp: SocketAddr,
}

impl CalleeCommand {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        resources::permit_many_sockets()?;
        let sip = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("SIP port")?;
        large_buffers(&sip)?;
        let reflector = Reflector::start(self.impairment)?;
        let mut out = io::stdout().lock();
        let ready = Ready { sip: sip.local_addr()?, rtp: reflector.ports()[0] };
        writeln!(out, "{}", serde_json::to_string(&ready)?)?;
        out.flush()?;
        let ports = reflector.ports().to_vec();
        thread::spawn(move || answer_all(&sip, self.codec, &ports));
        for line in io::stdin().lock().lines() {
            let report = match line?.trim() {
                "reset" => {
                    reflector.reset();
                    "{}".to_owned()
                }
                "report" => serde_json::to_string(&reflector.report())?,
                other => return Err(anyhow::anyhow!("no such command: {other}").into()),
            };
            writeln!(out, "{report}")?;
            out.flush()?;
        }
        Ok(Exit::Completed)
    }
}

fn answer_all(sip: &UdpSocket, codec: Codec, ports: &[SocketAddr]) {
    let mut buffer = [0; 4096];
    let mut calls = 0;
    loop {
        // An ICMP error of an earlier response is no reason to stop.
        let Ok((length, from)) = sip.recv_from(&mut buffer) else { continue };
        match respond(&buffer[..length], codec, ports[calls % ports.len()], sip) {
            Ok(Some(response)) => {
                calls += 1;
                let _ = sip.send_to(response.as_bytes(), from);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a message without an answer"),
        }
    }
}

fn respond(datagram: &[u8], codec: Codec, rtp: SocketAddr, sip: &UdpSocket) -> Result<Option<String>> {
    let Ok(text) = std::str::from_utf8(datagram) else { bail!("not UTF-8") };
    let Some(request) = Request::read(text) else { return Ok(None) };
    Ok(match request.method {
        "ACK" => None,
        "INVITE" => {
            let contact = format!(
                "Contact: <sip:callee@{}>\r\nContent-Type: application/sdp\r\n",
                sip.local_addr().context("our own address")?
            );
            Some(match request.answer(codec, rtp) {
                Some(answer) => request.response("200 OK", &contact, &answer),
                None => request.response("488 Not Acceptable Here", "", ""),
            })
        }
        _ => Some(request.response("200 OK", "", "")),
    })
}
