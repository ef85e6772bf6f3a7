//! Where the peers are installed: a Debian of its own, of the unstable suite, outside the work tree.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::packages::{self, Package};
use crate::run::Step;

const NEEDED: &[Package] =
    &[packages::package("mmdebstrap", "installs the peers into a folder of their own")];

/// What is installed, and the program by which it is known to be there.
const PEERS: [(&str, &str); 4] = [
    ("asterisk", "usr/sbin/asterisk"),
    ("kamailio", "usr/sbin/kamailio"),
    ("kamailio-tls-modules", "usr/sbin/kamailio"),
    ("sip-tester", "usr/bin/sipp"),
];

/// The installed system.
pub(super) struct System {
    /// Where the peers are kept.
    folder: PathBuf,
    root: PathBuf,
}

impl System {
    /// Installs it if it is not there, or is an older one that lacks a peer.
    pub(super) fn install(folder: &Path) -> anyhow::Result<Self> {
        let system = Self { folder: folder.to_owned(), root: folder.join("asterisk") };
        if PEERS.iter().all(|(_, program)| system.root.join(program).is_file()) {
            return Ok(system);
        }
        let mirror = outdial_vendoring::debian_mirrors().into_iter().next();
        let mirror = mirror
            .context("the test peers come from Debian's archive, and this machine names no mirror of it")?;
        packages::ensure(&[NEEDED])?;
        eprintln!("installing the test peers into {}: a minute, 450 MB", system.root.display());
        // Beside the place where it will be, so that an interrupted installation is never taken for a whole one.
        let fresh = folder.join("asterisk.new");
        remove(&fresh)?;
        fs::create_dir_all(folder)?;
        let mut command = packages::as_root("mmdebstrap")?;
        command
            .args(["--quiet", "--variant=minbase"])
            .arg(format!("--include={}", PEERS.map(|(package, _)| package).join(",")))
            // A mirror's index of unstable may be past its date; its signature is checked all the same.
            .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
            .arg("--keyring=/usr/share/keyrings/debian-archive-keyring.gpg")
            .arg("sid")
            .arg(&fresh)
            .arg(mirror);
        Step::new(command).run()?;
        remove(&system.root)?;
        let mut rename = packages::as_root("mv")?;
        rename.arg(&fresh).arg(&system.root);
        Step::new(rename).run()?;
        Ok(system)
    }

    /// A file of it, seen from outside.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// The one folder below `parent` that has `inside`, seen from within. Debian names folders after the machine's
    /// architecture.
    pub(super) fn find(&self, parent: &str, inside: &str) -> anyhow::Result<String> {
        for entry in fs::read_dir(self.path(parent))? {
            let found = entry?.path().join(inside);
            if found.is_dir() {
                return Ok(format!("/{}", found.strip_prefix(&self.root)?.display()));
            }
        }
        bail!("there is no {inside} in {}", self.path(parent).display())
    }

    /// Puts configuration from `tests/` and certificates where a peer looks for them, with words replaced.
    pub(super) fn configure(&self, peer: &str, words: &[(&str, &str)]) -> anyhow::Result<()> {
        let ready = self.folder.join("etc").join(peer);
        if ready.exists() {
            fs::remove_dir_all(&ready)?;
        }
        fs::create_dir_all(&ready)?;
        for entry in fs::read_dir(crate::root().join("tests").join(peer))? {
            let path = entry?.path();
            // The tests themselves stand beside it.
            if path.extension().is_none_or(|extension| extension == "rs") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let text = words.iter().fold(text, |text, (word, value)| text.replace(word, value));
            fs::write(ready.join(path.file_name().context("a file without a name")?), text)?;
        }
        for file in ["ca.pem", "server.pem", "server.key"] {
            fs::copy(self.folder.join("pki").join(file), ready.join(file))?;
        }
        let place = self.path("etc/peer");
        let mut make = packages::as_root("mkdir")?;
        make.arg("-p")
            .arg(&place)
            .args(["var/lib/peer", "var/spool/peer", "var/log/peer", "run/peer"].map(|path| self.path(path)));
        Step::new(make).run()?;
        remove(&place.join(peer))?;
        let mut copy = packages::as_root("cp")?;
        copy.arg("-r").arg(&ready).arg(&place);
        Step::new(copy).run()
    }

    /// Starts a program of it and waits until it listens.
    pub(super) fn start(
        &self,
        program: &str,
        arguments: &[&str],
        is_up: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let path = self.log(program);
        let log = fs::File::create(&path)?;
        let mut command = packages::as_root("chroot")?;
        command.arg(&self.root).arg(program).args(arguments);
        let mut child = command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log).spawn()?;
        wait(&mut child, is_up).with_context(|| format!("{program}; see {}", path.display()))
    }

    fn log(&self, program: &str) -> PathBuf {
        self.folder.join(program).with_extension("log")
    }

    /// A script beside it that runs its sipp on this machine: with its own libraries, and no root.
    pub(super) fn write_sipp(&self) -> anyhow::Result<()> {
        let libraries = self.find("usr/lib", "asterisk/modules")?;
        let libraries = self.path(libraries.trim_start_matches('/').trim_end_matches("/asterisk/modules"));
        let loader = fs::read_dir(self.path("usr/lib64"))
            .or_else(|_| fs::read_dir(&libraries))?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")));
        let loader = loader.context("the peers' system has no loader of programs")?;
        let script = format!(
            "#!/bin/sh\nexec \"{}\" --library-path \"{}\" \"{}\" \"$@\"\n",
            loader.display(),
            libraries.display(),
            self.path("usr/bin/sipp").display(),
        );
        let path = self.folder.join("sipp");
        fs::write(&path, script)?;
        let mut executable = Command::new("chmod");
        executable.arg("755").arg(path);
        Step::new(executable).run()
    }
}

/// Ends a program whose number stands in a file, if it runs.
pub(super) fn stop(
    folder: &Path,
    program: &str,
    pid_file: &str,
    is_up: impl Fn() -> bool,
) -> anyhow::Result<()> {
    let Ok(pid) = fs::read_to_string(folder.join("asterisk").join(pid_file)) else { return Ok(()) };
    let pid = pid.trim();
    // The number may be another program's by now: its command line tells.
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if command.split(|byte| *byte == 0).next() == Some(program.as_bytes()) {
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

/// Whether somebody listens there.
pub(super) fn listens(address: &str, port: u16) -> bool {
    TcpStream::connect((address, port)).is_ok()
}

fn wait(child: &mut Child, is_up: impl Fn() -> bool) -> anyhow::Result<()> {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_up() {
        if let Some(status) = child.try_wait()? {
            bail!("it ended at once: {status}");
        }
        if Instant::now() > patience {
            bail!("it does not listen");
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let mut command = packages::as_root("rm")?;
        command.args(["-rf", "--one-file-system"]).arg(folder);
        Step::new(command).run()?;
    }
    Ok(())
}
