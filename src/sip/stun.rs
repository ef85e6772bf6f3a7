//! Our own address as a server on the other side of a translation (NAT) sees it: a STUN binding request (RFC 8489).
//!
//! PJNATH has a client, too; it waits with `select`, which cannot see descriptors above 1,023, and asks anew for each call,
//! on the thread that all calls share.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::config::Server;

/// The port of STUN servers that say no other (RFC 8489 §8.1).
const PORT: u16 = 3478;
/// When the request is sent again, after the one before: some five seconds in all (RFC 8489 §6.2.1, cut short).
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(1_500),
    Duration::from_millis(2_000),
];
const COOKIE: u32 = 0x2112_a442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const MAPPED_ADDRESS: u16 = 0x0001;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Asks a server for the address that packets from `bind` seem to come from.
pub(super) async fn public_address(server: &Server, bind: IpAddr) -> io::Result<IpAddr> {
    let found = tokio::net::lookup_host((server.host(), server.port().unwrap_or(PORT))).await?;
    let server = found.into_iter().find(|found| found.is_ipv4() == bind.is_ipv4());
    let server = server.ok_or_else(|| io::Error::other("the STUN server has no address of our family"))?;
    let socket = UdpSocket::bind((bind, 0)).await?;
    // From now on packets of nobody else are received.
    socket.connect(server).await?;
    let transaction: [u8; 12] = rand::random();
    let request = [&BINDING_REQUEST.to_be_bytes()[..], &[0; 2], &COOKIE.to_be_bytes(), &transaction].concat();
    for pause in PAUSES {
        socket.send(&request).await?;
        if let Ok(answer) = tokio::time::timeout(pause, answer(&socket, &transaction)).await {
            return answer;
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the STUN server does not answer"))
}

async fn answer(socket: &UdpSocket, transaction: &[u8; 12]) -> io::Result<IpAddr> {
    let mut packet = [0; 1_500];
    loop {
        let length = socket.recv(&mut packet).await?;
        if let Some(mapped) = mapped_address(&packet[..length], transaction) {
            return Ok(mapped.ip());
        }
    }
}

/// The address in a success response to the request of this transaction; `None` for anything else.
fn mapped_address(packet: &[u8], transaction: &[u8; 12]) -> Option<SocketAddr> {
    let (head, mut attributes) = packet.split_at_checked(20)?;
    let number = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let ours = number(0) == BINDING_SUCCESS
        && usize::from(number(2)) == attributes.len()
        && head[4..8] == COOKIE.to_be_bytes()
        && head[8..] == *transaction;
    if !ours {
        return None;
    }
    let mut plain = None;
    while let Some((&[a, b, c, d], rest)) = attributes.split_first_chunk() {
        let (kind, length) = (u16::from_be_bytes([a, b]), usize::from(u16::from_be_bytes([c, d])));
        let value = rest.get(..length)?;
        match kind {
            XOR_MAPPED_ADDRESS => return address(value, Some(transaction)),
            MAPPED_ADDRESS => plain = address(value, None),
            _ => {}
        }
        // Values are padded to four bytes; the last padding may be missing.
        attributes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    plain
}

/// RFC 8489 §14.1 and, with the transaction, §14.2.
fn address(value: &[u8], xor: Option<&[u8; 12]>) -> Option<SocketAddr> {
    let (&[_, family, high, low], ip) = value.split_first_chunk()?;
    let cookie = COOKIE.to_be_bytes();
    let mask: Vec<u8> = match xor {
        Some(transaction) => [&cookie[..], transaction].concat(),
        None => vec![0; 16],
    };
    let port = u16::from_be_bytes([high ^ mask[0], low ^ mask[1]]);
    let ip: Vec<u8> = ip.iter().zip(&mask).map(|(byte, mask)| byte ^ mask).collect();
    let ip = match (family, ip.len()) {
        (1, 4) => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        (2, 16) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample responses of RFC 5769, sections 2.2 and 2.3, without their integrity, which is another key's.
    const TRANSACTION: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
    const SOFTWARE: [u8; 16] = *b"\x80\x22\x00\x0btest vector ";

    fn response(attributes: &[&[u8]]) -> Vec<u8> {
        let attributes = attributes.concat();
        let length = u16::try_from(attributes.len()).unwrap();
        [&[1, 1][..], &length.to_be_bytes(), &COOKIE.to_be_bytes(), &TRANSACTION, &attributes].concat()
    }

    const V4: [u8; 12] = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
    const V6: [u8; 24] = [
        0, 0x20, 0, 20, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4,
        0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
    ];

    #[test]
    fn the_vectors_of_rfc_5769_are_read() {
        let mapped = |attributes: &[&[u8]]| mapped_address(&response(attributes), &TRANSACTION);
        assert_eq!(mapped(&[&SOFTWARE, &V4]), Some("192.0.2.1:32853".parse().unwrap()));
        assert_eq!(
            mapped(&[&SOFTWARE, &V6]),
            Some("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap())
        );
        // A server of RFC 3489, and one that sends both.
        let old = [0, 1, 0, 8, 0, 1, 0x10, 0x20, 203, 0, 113, 9];
        assert_eq!(mapped(&[&old]), Some("203.0.113.9:4128".parse().unwrap()));
        assert_eq!(mapped(&[&old, &V4]), Some("192.0.2.1:32853".parse().unwrap()));
    }

    #[test]
    fn what_is_no_answer_of_ours_is_none() {
        let good = response(&[&V4]);
        assert!(mapped_address(&good, &[0; 12]).is_none(), "another transaction's");
        for (at, byte) in [(0, 0), (1, 0x11), (3, 13), (4, 0), (25, 3), (23, 9), (23, 200)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(mapped_address(&bad, &TRANSACTION).is_none(), "byte {at} is {byte}");
        }
        for length in 0..good.len() {
            assert!(mapped_address(&good[..length], &TRANSACTION).is_none(), "{length} bytes");
        }
        assert!(mapped_address(&response(&[&SOFTWARE]), &TRANSACTION).is_none());
    }
}
