//! Configurations.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use outdial_sandbox::Sandbox;

/// The name of the trunk in all these configurations.
pub const NAME: &str = "test";

/// An address of 127.0.0.0/8 that no other test process uses, so that their ports cannot collide. `last` tells
/// several of one process apart.
pub fn loopback(last: u8) -> IpAddr {
    let process = std::process::id();
    // Process numbers have 15 bits on most machines, 22 at most; two of them that are equal here do not run together.
    let [_, _, high, low] = process.to_be_bytes();
    Ipv4Addr::new(127, 32 + (high & 0x7f), low, last).into()
}

/// A trunk that knows us by our address, over UDP and with plain RTP, with further keys of the trunk's table.
pub fn plain(server: SocketAddr, more: impl Display) -> String {
    config(server, "transport = \"udp\"\ncodecs = [\"pcmu\"]", more)
}

/// A trunk at the sandbox's UDP port with its account, not registered, with plain RTP.
pub fn sandbox_udp(sandbox: &Sandbox, more: impl Display) -> String {
    let server = sandbox.udp().expect("UDP is on");
    config(server, &format!("transport = \"udp\"\n{}", account(sandbox)), more)
}

/// A trunk at the sandbox's TLS port with its account and authority, not registered, with SRTP required.
pub fn sandbox_tls(sandbox: &Sandbox, more: impl Display) -> String {
    let server = sandbox.tls().expect("TLS is on");
    let server = format!("localhost:{}", server.port());
    config(server, &format!("ca_file = {:?}\n{}", sandbox.ca_path(), account(sandbox)), more)
}

/// A configuration with one trunk.
pub fn config(server: impl Display, kind: &str, more: impl Display) -> String {
    format!(
        "[endpoint]\nbind = \"{own}\"\nmax_calls = 64\n\n[trunks.{NAME}]\nserver = \"{server}\"\n\
         keep_alive = \"0s\"\n{kind}\n{more}\n",
        own = loopback(1),
    )
}

/// The sandbox's account.
pub fn account(sandbox: &Sandbox) -> String {
    format!("user = {:?}\n{}", sandbox.username(), password(sandbox.password()))
}

/// A password, in a file that only we can read.
pub fn password(password: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("password-{password}"));
    // Written beside and renamed: another test may be reading it, or writing the same.
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(password.as_bytes())?;
        Ok(file.persist(&path)?)
    });
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    format!("password = {{ source = \"file\", id = {path:?} }}")
}
