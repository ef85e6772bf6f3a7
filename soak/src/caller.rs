//! The soak itself: an endpoint under load, in trouble, and then at rest.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use outdial::sip::Registration;
use outdial::{Config, Outdial, Shutdown};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::holdings::{Holdings, slope};
use crate::lines::{self, ASTERISK_TRUNK, Outcome};
use crate::pbx::Pbx;
use crate::records::{Records, SESSION};
use crate::report::Report;
use crate::trouble::{Scene, Trouble};

/// A file that must not grow gives this signal first.
const SIGXFSZ: i32 = 25;
/// How long what is left over may take to go: longer than PJSIP's longest timer and an idle connection's.
const REST: Duration = Duration::from_secs(90);
/// A call whose PBX dies is ended by nobody else.
const LIMIT: &str = "talk_limit = \"20s\"\n";
/// The shortest and the longest trouble, each with as long a pause after it.
const TROUBLE: (f64, f64) = (2.0, 15.0);

/// What to soak.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long, in minutes; what is left is waited for after that.
    pub minutes: f64,
    /// Calls at the same time.
    pub calls: u32,
    /// SIP's timer T1 at our end, from which the others follow: how long a dead PBX is waited for. 500 ms is usual.
    pub t1: Duration,
    /// A second PBX, `USER:PASSWORD@HOST`, which is not troubled.
    pub asterisk: Option<String>,
    /// The program that is the PBX: this crate's own.
    pub pbx: PathBuf,
}

/// Soaks.
///
/// # Errors
///
/// If PBX or endpoint do not start, or the machine does not let trouble be made. What the calls do is in the report.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    // From here on the signal is caught, and a write beyond the limit is an error.
    let _caught = signal(SignalKind::from_raw(SIGXFSZ))?;
    let at_first = Holdings::now();
    let place = tempfile::tempdir()?;
    let mut pbx = Pbx::start(&options.pbx, own_address(2), &place.path().join("pbx")).await?;
    let rtp = (own_address(1), 20_000..=20_000 + 2 * rtp_pairs(options.calls) - 1);
    let config = config(options, &pbx, &rtp, place.path())?;
    let outdial = Outdial::from_config(&config).await?;
    let trunks: Arc<[String]> = config.trunks.keys().cloned().collect();
    registered(&outdial).await?;
    let before = Holdings::now();

    let mut report = Report { lines: options.calls, at_first, before, ..Report::default() };
    let (stop, crowded) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let (told, mut outcomes) = unbounded_channel();
    let line = |stop: &Arc<AtomicBool>, told: &UnboundedSender<Outcome>| {
        let (trunks, stop, told) = (Arc::clone(&trunks), Arc::clone(stop), told.clone());
        tokio::spawn(lines::serve(outdial.clone(), trunks, stop, told))
    };
    let began = Instant::now();
    let length = Duration::from_secs_f64(60.0 * options.minutes);
    let mut running: Vec<_> = (0..options.calls).map(|_| line(&stop, &told)).collect();
    let records = place.path().join("records");
    let (mut memory, mut crowd) = (Vec::new(), Vec::new());
    report.troubles = {
        let mut scene = Scene { pbx: &mut pbx, rtp, records: &records, crowded: &crowded };
        let mut troubles = std::pin::pin!(suffer(&mut scene, began, length));
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                done = &mut troubles => break done?,
                Some(outcome) = outcomes.recv() => report.count(outcome),
                _ = tick.tick() => {
                    memory.push((began.elapsed().as_secs_f64() / 60.0, Holdings::now().memory_kb as f64));
                    // Half as many lines again as there are slots, for as long as that is the trouble.
                    if crowded.load(Ordering::Relaxed) && crowd.is_empty() {
                        let over = Arc::new(AtomicBool::new(false));
                        crowd.extend((0..options.calls / 2 + 1).map(|_| (line(&over, &told), Arc::clone(&over))));
                    } else if !crowded.load(Ordering::Relaxed) {
                        for (task, over) in crowd.drain(..) {
                            over.store(true, Ordering::Relaxed);
                            running.push(task);
                        }
                    }
                }
            }
        }
    };
    stop.store(true, Ordering::Relaxed);
    for (task, over) in crowd {
        over.store(true, Ordering::Relaxed);
        running.push(task);
    }
    drop(told);
    finish(running, &mut outcomes, &mut report).await?;
    report.minutes = began.elapsed().as_secs_f64() / 60.0;
    report.memory_slope = slope(&memory[memory.len() / 2..]);
    rest(&outdial, &mut report).await;
    outdial.shutdown(Shutdown::HangUp).await;
    drop(outdial);
    pbx.kill().await?;
    let rings = pbx.rings();
    report.double_rings = rings.into_iter().filter(|(_, rings)| *rings > 1).map(|(call, _)| call).collect();
    report.at_last = settled(at_first).await;
    report.records = Records::read(&records)?;
    Ok(report)
}

impl Report {
    fn count(&mut self, outcome: Outcome) {
        self.tried += 1;
        match outcome {
            Outcome::NotMade(kind) => *self.not_made.entry(kind).or_default() += 1,
            Outcome::Ended(reason) => *self.ended.entry(reason).or_default() += 1,
            Outcome::LeftOver(call) => self.leaked.push(call),
        }
    }
}

/// All kinds of trouble, again and again, and a pause after each, until the time is over.
async fn suffer(
    scene: &mut Scene<'_>,
    began: Instant,
    length: Duration,
) -> anyhow::Result<std::collections::BTreeMap<Trouble, u32>> {
    let mut suffered = std::collections::BTreeMap::new();
    // Each kind comes twice at least.
    let share = length.as_secs_f64() / (4.0 * Trouble::ALL.len() as f64);
    let time = Duration::from_secs_f64(share.clamp(TROUBLE.0, TROUBLE.1));
    for trouble in Trouble::ALL.into_iter().cycle() {
        if began.elapsed() + 2 * time > length {
            tokio::time::sleep(length.saturating_sub(began.elapsed())).await;
            return Ok(suffered);
        }
        tokio::time::sleep(time).await;
        scene.suffer(trouble, time).await.with_context(|| trouble.to_string())?;
        *suffered.entry(trouble).or_default() += 1;
    }
    unreachable!("a cycle has no end")
}

/// Waits for the calls that are up.
async fn finish(
    running: Vec<tokio::task::JoinHandle<()>>,
    outcomes: &mut UnboundedReceiver<Outcome>,
    report: &mut Report,
) -> anyhow::Result<()> {
    // A line has a bound of its own for each call.
    for task in running {
        task.await.context("a line panicked")?;
    }
    while let Some(outcome) = outcomes.recv().await {
        report.count(outcome);
    }
    Ok(())
}

/// Waits until provider, PJSIP and the system hold no more than before the first call, and notes what they hold.
async fn rest(outdial: &Outdial, report: &mut Report) {
    let end = Instant::now() + REST;
    loop {
        let stats = outdial.endpoint().map(outdial::sip::Endpoint::stats).unwrap_or_default();
        let held = stats.calls.max(stats.pjsip_calls).max(outdial.calls() as usize);
        let after = Holdings::now();
        let calm =
            held == 0 && after.sockets <= report.before.sockets && after.threads <= report.before.threads;
        if calm || Instant::now() >= end {
            (report.held, report.after) = (held, after);
            (report.panics, report.frames) = (stats.callback_panics, (stats.frames, stats.late_frames));
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What is held when the process has come to rest.
async fn settled(at_first: Holdings) -> Holdings {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let now = Holdings::now();
        if now.sockets <= at_first.sockets || Instant::now() >= end {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until each trunk that wants it is registered.
async fn registered(outdial: &Outdial) -> anyhow::Result<()> {
    let endpoint = outdial.endpoint().context("there are SIP trunks")?;
    for name in endpoint.trunks() {
        let mut state = endpoint.registration(name).context("it is configured")?;
        let known = state
            .wait_for(|state| matches!(state, Registration::Registered { .. } | Registration::NotRequired));
        tokio::time::timeout(REST, known).await.with_context(|| format!("{name} is not registered"))??;
    }
    Ok(())
}

/// A loopback address that no other process of this machine's soaks and tests uses.
fn own_address(last: u8) -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 160 + (high & 0x3f), low, last).into()
}

/// Pairs of RTP ports: one for each slot and some for calls that say goodbye.
fn rtp_pairs(calls: u32) -> u16 {
    u16::try_from(calls + 16).unwrap_or(4_000).min(4_000)
}

fn config(
    options: &Options,
    pbx: &Pbx,
    rtp: &(IpAddr, std::ops::RangeInclusive<u16>),
    place: &Path,
) -> anyhow::Result<Config> {
    let secret = |name: &str, password: &str| -> anyhow::Result<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = place.join(name);
        std::fs::write(&path, password)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(format!("password = {{ source = \"file\", id = {path:?} }}"))
    };
    let (ip, ports) = rtp;
    let mut text = format!(
        "[endpoint]\nbind = \"{ip}\"\nmax_calls = {calls}\nrtp_ports = \"{first}-{last}\"\n\
         [endpoint.timers]\nt1 = \"{t1}ms\"\nt2 = \"{t2}ms\"\nt4 = \"{t4}ms\"\n\
         [records]\nfolder = {records:?}\nsession = \"{SESSION}\"\n",
        calls = options.calls,
        t1 = options.t1.as_millis(),
        t2 = 8 * options.t1.as_millis(),
        t4 = 10 * options.t1.as_millis(),
        first = ports.start(),
        last = ports.end(),
        records = place.join("records"),
    );
    let account = format!(
        "user = \"sandbox\"\n{}\nregister = true\nring_timeout = \"10s\"\n{LIMIT}",
        secret("pbx-password", "sandbox")?
    );
    write!(text, "[trunks.plain]\nserver = \"{}\"\ntransport = \"udp\"\n{account}", pbx.udp)?;
    write!(
        text,
        "[trunks.secure]\nserver = \"{}\"\ntls_server_name = \"localhost\"\nca_file = {:?}\n{account}",
        pbx.tls,
        pbx.ca_file(),
    )?;
    if let Some(asterisk) = &options.asterisk {
        let (account, host) = asterisk.split_once('@').context("USER:PASSWORD@HOST")?;
        let (user, password) = account.split_once(':').context("USER:PASSWORD@HOST")?;
        write!(
            text,
            "[trunks.{ASTERISK_TRUNK}]\nprofile = \"asterisk\"\nserver = {host:?}\ntransport = \"udp\"\n\
             codecs = [\"pcmu\"]\nuser = {user:?}\n{}\nregister = true\nring_timeout = \"10s\"\n{LIMIT}",
            secret("asterisk-password", password)?
        )?;
    }
    Ok(Config::parse(&text)?)
}
