//! Asterisk 22, from Debian's unstable suite, in a folder of its own.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::packages::{self, Package};
use crate::run::Step;

/// Where it listens: UDP and TCP 5060, TLS 5061, TLS with client certificates 5062.
pub(super) const ADDRESS: &str = "127.0.0.10";

const NEEDED: &[Package] = &[packages::package("mmdebstrap", "installs Asterisk into a folder of its own")];

/// Installs it if need be, configures it from `tests/asterisk/` and starts it.
pub(super) fn start(folder: &Path) -> anyhow::Result<()> {
    let system = install(folder)?;
    configure(folder, &system)?;
    let log = fs::File::create(folder.join("asterisk.log"))?;
    let mut command = packages::as_root("chroot")?;
    command.arg(&system).args(["asterisk", "-f", "-C", "/etc/peer/asterisk.conf"]);
    let mut asterisk = command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log).spawn()?;
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_up() {
        if let Some(status) = asterisk.try_wait()? {
            bail!("Asterisk ended at once ({status}); see {}", folder.join("asterisk.log").display());
        }
        if Instant::now() > patience {
            bail!("Asterisk does not listen on {ADDRESS}; see {}", folder.join("asterisk.log").display());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Ends it, if it runs.
pub(super) fn stop(folder: &Path) -> anyhow::Result<()> {
    let Ok(pid) = fs::read_to_string(folder.join("asterisk/run/peer/asterisk.pid")) else { return Ok(()) };
    let pid = pid.trim();
    // The number may be another program's by now: its command line tells.
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if command.starts_with(b"asterisk\0") {
        // The shell's own kill: the program of that name is not on every machine.
        let mut kill = packages::as_root("sh")?;
        kill.args(["-c", "kill \"$0\"", pid]);
        Step::new(kill).run()?;
        let patience = Instant::now() + Duration::from_secs(10);
        while is_up() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

pub(super) fn is_up() -> bool {
    // The transport that is opened last.
    TcpStream::connect((ADDRESS, 5062)).is_ok()
}

/// The installed system's root.
fn install(folder: &Path) -> anyhow::Result<PathBuf> {
    let system = folder.join("asterisk");
    if system.join("usr/sbin/asterisk").is_file() {
        return Ok(system);
    }
    let mirror = outdial_vendoring::debian_mirrors().into_iter().next();
    let mirror = mirror.context(
        "the test peer Asterisk comes from Debian's archive, and this machine names no mirror of it",
    )?;
    packages::ensure(&[NEEDED])?;
    eprintln!("installing the test peer Asterisk into {}: a minute, 350 MB", system.display());
    // Beside the place where it will be, so that an interrupted installation is never taken for a whole one.
    let fresh = folder.join("asterisk.new");
    remove(&fresh)?;
    fs::create_dir_all(folder)?;
    let mut command = packages::as_root("mmdebstrap")?;
    command
        .args(["--quiet", "--variant=minbase", "--include=asterisk"])
        // A mirror's index of unstable may be past its date; its signature is checked all the same.
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg("--keyring=/usr/share/keyrings/debian-archive-keyring.gpg")
        .arg("sid")
        .arg(&fresh)
        .arg(mirror);
    Step::new(command).run()?;
    remove(&system)?;
    let mut rename = packages::as_root("mv")?;
    rename.arg(&fresh).arg(&system);
    Step::new(rename).run()?;
    Ok(system)
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let mut command = packages::as_root("rm")?;
        command.args(["-rf", "--one-file-system"]).arg(folder);
        Step::new(command).run()?;
    }
    Ok(())
}

/// Puts configuration and certificates where Asterisk looks for them.
fn configure(folder: &Path, system: &Path) -> anyhow::Result<()> {
    let ready = folder.join("etc");
    if ready.exists() {
        fs::remove_dir_all(&ready)?;
    }
    fs::create_dir_all(&ready)?;
    let modules = modules(system)?;
    for entry in fs::read_dir(crate::root().join("tests/asterisk"))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?.replace("@MODULES@", &modules);
        fs::write(ready.join(path.file_name().context("a file without a name")?), text)?;
    }
    for file in ["ca.pem", "server.pem", "server.key"] {
        fs::copy(folder.join("pki").join(file), ready.join(file))?;
    }
    let inside = |path: &str| system.join(path);
    let mut make = packages::as_root("mkdir")?;
    make.arg("-p")
        .args(["etc/peer", "var/lib/peer", "var/spool/peer", "var/log/peer", "run/peer"].map(inside));
    Step::new(make).run()?;
    let mut copy = packages::as_root("cp")?;
    copy.arg("-r").arg(ready.join(".")).arg(inside("etc/peer"));
    Step::new(copy).run()
}

/// Asterisk's folder of modules, which is named after the machine's architecture.
fn modules(system: &Path) -> anyhow::Result<String> {
    for entry in fs::read_dir(system.join("usr/lib"))? {
        let modules = entry?.path().join("asterisk/modules");
        if modules.is_dir() {
            let inside = modules.strip_prefix(system)?;
            return Ok(format!("/{}", inside.display()));
        }
    }
    bail!("there are no modules of Asterisk in {}", system.display())
}
