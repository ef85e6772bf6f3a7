//! Running the tool, and a sandbox for it to call.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod peer;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A safety net: nothing here takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The tool, with no configuration of this machine's user in its way.
pub fn outdial(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outdial"));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("HOME", HOME.with(|home| home.path().to_owned()))
        .stdin(Stdio::null());
    command
}

thread_local! {
    /// A home of this test's own: the tool keeps its records there where a configuration names no folder.
    static HOME: TempDir = tempfile::tempdir().expect("a folder");
}

/// Runs the tool to its end.
pub fn run(arguments: &[&str]) -> Output {
    outdial(arguments).output().expect("outdial runs")
}

/// The exit code, and what was printed if it is not the expected one.
pub fn expect_exit(output: &Output, code: i32) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
}

/// Standard output as JSON lines.
pub fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// A program whose JSON lines are read while it runs.
pub struct Running {
    pub child: Child,
    lines: Receiver<Value>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("outdial runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line whose `event` is this.
    pub fn wait_for(&self, event: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {event}"));
            if line["event"] == event {
                return line;
            }
        }
    }

    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it is our child");
    }

    pub fn exit_code(mut self) -> Option<i32> {
        // What is left to say is read away, or it would wait for us.
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().expect("it is our child").code()
    }
}

/// A sandbox process with a folder of its own.
pub struct Sandbox {
    running: Running,
    pub folder: TempDir,
    pub ready: Value,
}

impl Sandbox {
    pub fn start(options: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().to_str().expect("UTF-8");
        let mut command = outdial(&["sandbox", "--json", "--until-stdin-closes", "--dir", path]);
        command.args(options).stdin(Stdio::piped());
        let running = Running::start(command);
        let ready = running.wait_for("ready")["sandbox"].clone();
        Self { running, folder, ready }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.running.child.id()
    }

    /// The configuration that it wrote.
    pub fn config(&self) -> PathBuf {
        PathBuf::from(self.ready["config"].as_str().expect("a path"))
    }

    /// Its configuration, changed.
    pub fn changed_config(&self, change: impl FnOnce(String) -> String) -> PathBuf {
        let text = std::fs::read_to_string(self.config()).expect("a configuration");
        let path = self.folder.path().join("changed.toml");
        std::fs::write(&path, change(text)).expect("space");
        path
    }

    pub fn wait_for(&self, event: &str) -> Value {
        self.running.wait_for(event)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Its standard input closes, so it ends; waiting for it leaves no zombie.
        drop(self.running.child.stdin.take());
        let _ = self.running.child.wait();
    }
}

/// A WAV file with a second of a tone.
pub fn tone(folder: &Path) -> PathBuf {
    let path = folder.join("tone.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(&path, spec).expect("a file");
    for n in 0..16_000 {
        let sample = (f64::from(n) * 500.0 * std::f64::consts::TAU / 16_000.0).sin() * 8_000.0;
        file.write_sample(sample as i16).expect("space");
    }
    file.finalize().expect("space");
    path
}

/// How many seconds of a recording are louder than a line's noise, in pieces of 20 ms.
pub fn loud_seconds(path: &Path) -> f64 {
    let mut file = hound::WavReader::open(path).expect("a WAV file");
    let piece = file.spec().sample_rate as usize / 50;
    let samples: Vec<i16> = file.samples().collect::<Result<_, _>>().expect("samples");
    let loud = samples.chunks(piece).filter(|piece| {
        let power: f64 = piece.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        power > piece.len() as f64 * 300.0_f64.powi(2)
    });
    loud.count() as f64 / 50.0
}
