//! The simple STUN client believes the server that it has asked, and nothing that was not received.

mod support;

use pjsip_sys::*;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;
use support::Lib;

const MAPPED_ADDRESS: u16 = 1;

/// A binding response with the id of `request` and one address attribute of `length` bytes.
fn response(request: &[u8], attribute: &[u8]) -> Vec<u8> {
    let mut packet = vec![1, 1];
    packet.extend((attribute.len() as u16).to_be_bytes());
    packet.extend(&request[4..20]);
    packet.extend(attribute);
    packet
}

fn mapped(address: [u8; 4], port: u16) -> Vec<u8> {
    let mut attribute = MAPPED_ADDRESS.to_be_bytes().to_vec();
    attribute.extend([0, 8, 0, 1]);
    attribute.extend(port.to_be_bytes());
    attribute.extend(address);
    attribute
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// Asks the servers for the mapped address of a socket while `answer` runs for each request that one
/// of them gets: (server, its number, request, client).
fn asked(
    servers: usize,
    answer: impl Fn(&UdpSocket, usize, &[u8], SocketAddr) + Send + Sync,
) -> Result<([u8; 4], u16), pj_status_t> {
    let lib = Lib::new();
    let client = socket();
    let servers: Vec<UdpSocket> = (0..servers).map(|_| socket()).collect();
    let port = |number: usize| servers.get(number).map_or(0, |s| i32::from(s.local_addr().unwrap().port()));
    // SAFETY: plain data that is filled below.
    let mut setting: pjstun_setting = unsafe { std::mem::zeroed() };
    setting.af = 2;
    setting.srv1 = lib.text("127.0.0.1");
    setting.port1 = port(0);
    setting.srv2 = lib.text("127.0.0.1");
    setting.port2 = port(1);
    // SAFETY: as above.
    let mut address: pj_sockaddr_in = unsafe { std::mem::zeroed() };
    let mut descriptor = pj_sock_t::from(client.as_raw_fd());
    let factory = lib.factory();

    let status = std::thread::scope(|scope| {
        let answer = &answer;
        for (number, server) in servers.iter().enumerate() {
            scope.spawn(move || {
                let mut packet = [0; 512];
                let (length, from) = server.recv_from(&mut packet).unwrap();
                answer(server, number, &packet[..length], from);
            });
        }
        // SAFETY: the descriptor is open, there is one address for the one socket.
        unsafe { pjstun_get_mapped_addr2(factory, &setting, 1, &mut descriptor, &mut address) }
    });
    if status == 0 {
        Ok((address.sin_addr.s_addr.to_ne_bytes(), u16::from_be(address.sin_port)))
    } else {
        Err(status)
    }
}

#[test]
fn a_stranger_is_ignored_and_does_not_end_the_wait() {
    let told = asked(1, |server, _, request, client| {
        let stranger = socket();
        // What a stranger can guess: small numbers; and a good id from the wrong place.
        let guessed = [&request[..12], &[0; 8]].concat();
        stranger.send_to(&response(&guessed, &mapped([6, 6, 6, 6], 666)), client).unwrap();
        stranger.send_to(&response(request, &mapped([6, 6, 6, 6], 666)), client).unwrap();
        server.send_to(&response(&[0xFF; 20], &mapped([6, 6, 6, 6], 666)), client).unwrap();
        server.send_to(&response(request, &mapped([192, 0, 2, 1], 4000)), client).unwrap();
    });
    assert_eq!(told, Ok(([192, 0, 2, 1], 4000)));
}

#[test]
fn an_address_must_be_whole() {
    let told = asked(1, |server, _, request, client| {
        server.send_to(&response(request, &[0, 1, 0, 4, 0, 1, 2, 3]), client).unwrap();
    });
    assert!(told.is_err(), "{told:?}");
}

#[test]
fn the_second_server_is_asked_too() {
    let told = asked(2, |server, _, request, client| {
        server.send_to(&response(request, &mapped([192, 0, 2, 1], 4000)), client).unwrap();
    });
    assert_eq!(told, Ok(([192, 0, 2, 1], 4000)));
    // Two servers that see two addresses: a symmetric NAT.
    let told = asked(2, |server, number, request, client| {
        let port = 4000 + number as u16;
        server.send_to(&response(request, &mapped([192, 0, 2, 1], port)), client).unwrap();
    });
    assert!(told.is_err(), "{told:?}");
}

#[test]
fn messages_of_every_length_parse_or_do_not() {
    let _lib = Lib::new();
    let whole =
        response(&[7; 20], &[mapped([192, 0, 2, 1], 4000), vec![0x80, 0x22, 0, 2, 1, 2, 0, 0]].concat());
    for length in 0..=whole.len() {
        // A copy of its own, which AddressSanitizer sees the end of.
        let mut packet = whole[..length].to_vec().into_boxed_slice();
        if length >= 20 {
            packet[2..4].copy_from_slice(&((length - 20) as u16).to_be_bytes());
        }
        // SAFETY: the message is plain data; the packet has the length that is given.
        let status = unsafe {
            let mut message: pjstun_msg = std::mem::zeroed();
            pjstun_parse_msg(packet.as_mut_ptr().cast(), length as pj_size_t, &mut message)
        };
        assert_eq!(status == 0, [20, 32, 40].contains(&length), "{length}");
    }
}
