//! `cargo xtask demo`: a call over TLS and SRTP between two processes of this machine, with both sides recorded, and
//! a check that each side heard what the other one said; then a conversation, in which the callee is understood.

mod envelope;

use crate::run::Step;
use crate::{packages, vendor};
use anyhow::{Context as _, bail, ensure};
use envelope::Envelope;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What talks to the second callee.
const EXAMPLE: &str = "conversation";
const NUMBER: &str = "+12025550101";
const SENTENCE: &str =
    "Hello. This call was made by outdial, over an encrypted line. Nobody has to listen to it.";
const GREETING: &str = "Good day, you have reached the sandbox. I am listening and I write down what I hear.";

/// What the recogniser knows; the callee says two of them.
const SENTENCES: [&str; 6] = [
    "nobody is at home right now",
    "please call me back on thursday",
    "hello who is calling",
    "i would like to speak to a person",
    "the parcel has arrived this morning",
    "we are still waiting for the parcel",
];

/// How alike two envelopes must be: the same words gave 0.90 and 0.99 through G.722, other words less than 0.4.
const ALIKE: f64 = 0.8;

/// Installs, fetches, builds, calls, listens.
pub(crate) fn run() -> anyhow::Result<()> {
    packages::ensure(&[packages::BUILD, packages::SPEECH])?;
    vendor::run()?;
    let (tool, example) = build()?;
    let folder = tool.ancestors().nth(2).context("the tool lies in no target folder")?.join("demo");
    std::fs::create_dir_all(&folder)?;

    println!("\nA sandbox, which is a telephone company for tests, starts as a process of its own.\n");
    let mut sandbox = Sandbox::start(&tool, &folder.join("callee"), &["--greeting", GREETING])?;
    let heard = folder.join("heard-by-the-caller.wav");
    let mut dial = Command::new(&tool);
    dial.args(["dial", NUMBER, "--say", SENTENCE, "--config"])
        .arg(&sandbox.config)
        .arg("--record")
        .arg(&heard);
    Step::new(dial).run()?;
    let said = folder.join("heard-by-the-callee.wav");
    let recording = sandbox.recording()?;
    std::fs::copy(&recording, &said).with_context(|| format!("copy {}", recording.display()))?;
    sandbox.end()?;

    let understood = converse(&tool, &example, &folder)?;
    println!("\nWhat was heard, against what was said:\n");
    let good = [
        judge("the callee heard the sentence", &said, &voice(SENTENCE, "175")?)?,
        judge("the caller heard the greeting", &heard, &voice(GREETING, "150")?)?,
    ];
    let player = ["play", "paplay", "aplay", "ffplay -autoexit"];
    let there = |line: &&&str| {
        Step::new(shell(&format!("command -v {}", line.split(' ').next().unwrap_or_default()))).succeeds()
    };
    let play = player.iter().find(there).copied().unwrap_or("aplay");
    println!("\nListen to them:\n\n  {play} {}\n  {play} {}\n", said.display(), heard.display());
    ensure!(good == [true, true], "a recording does not have the words that were spoken");
    ensure!(understood, "the callee's words were not understood");
    Ok(())
}

/// A question is asked and its answer understood, in a call over TLS with SRTP. Returns whether it was.
fn converse(tool: &Path, program: &Path, folder: &Path) -> anyhow::Result<bool> {
    println!("\nA second call, in which a recogniser listens. It knows these sentences and no others:\n");
    for sentence in SENTENCES {
        println!("  {sentence}");
    }
    let callee = ["--voice", "flite", "--greeting", SENTENCES[2], "--reply", SENTENCES[4]];
    let sandbox = Sandbox::start(tool, &folder.join("second-callee"), &callee)?;
    println!(
        "\nOf them the callee will say {:?}, and after our question {:?}.\n",
        SENTENCES[2], SENTENCES[4]
    );
    let mut talk = Command::new(program);
    talk.arg(&sandbox.config).arg(NUMBER).args(SENTENCES);
    let output = talk.stderr(Stdio::inherit()).output().context("the conversation")?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().for_each(|line| println!("  {line}"));
    sandbox.end()?;
    ensure!(output.status.success(), "the conversation: {}", output.status);
    let answer = format!("callee: {}", SENTENCES[4]);
    Ok(said.lines().next_back() == Some(&answer))
}

/// Builds the tool and the example `conversation`, and tells where they are.
fn build() -> anyhow::Result<(PathBuf, PathBuf)> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(crate::root()).args(["build", "--package", "outdial-cli", "--package", "outdial"]);
    build.args(["--bin", "outdial", "--example", EXAMPLE, "--message-format", "json-render-diagnostics"]);
    let output = build.stderr(Stdio::inherit()).output().context("cargo build")?;
    ensure!(output.status.success(), "the tool was not built");
    let messages: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let program = |name: &str| {
        let mut built = messages.iter().filter(|message| message["target"]["name"] == name);
        let path = built.find_map(|message| message["executable"].as_str().map(PathBuf::from));
        path.with_context(|| format!("cargo does not tell where {name} is"))
    };
    Ok((program("outdial")?, program(EXAMPLE)?))
}

/// The sandbox process; it ends when its standard input does, at the latest with us.
struct Sandbox {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    config: PathBuf,
}

impl Sandbox {
    fn start(tool: &Path, folder: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(tool);
        command.args(["sandbox", "--json", "--until-stdin-closes", "--dir"]).arg(folder).args(more);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the sandbox")?;
        let out = child.stdout.take().context("the sandbox has no output")?;
        let mut sandbox = Self { child, lines: BufReader::new(out).lines(), config: PathBuf::new() };
        let ready = sandbox.wait_for("ready")?;
        sandbox.config =
            ready["sandbox"]["config"].as_str().context("the sandbox has no configuration")?.into();
        Ok(sandbox)
    }

    fn wait_for(&mut self, event: &str) -> anyhow::Result<Value> {
        for line in self.lines.by_ref() {
            let line: Value = serde_json::from_str(&line?)?;
            if line["event"] == event {
                return Ok(line);
            }
        }
        bail!("the sandbox ended without telling {event}")
    }

    /// What the callee heard.
    fn recording(&mut self) -> anyhow::Result<PathBuf> {
        let ended = self.wait_for("call_ended")?;
        Ok(ended["recording"].as_str().context("the callee has recorded nothing")?.into())
    }

    fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the sandbox: {status}");
        Ok(())
    }
}

/// What espeak-ng makes of a sentence, at so many words per minute.
fn voice(sentence: &str, speed: &str) -> anyhow::Result<Envelope> {
    let mut command = Command::new("espeak-ng");
    let output =
        command.args(["--stdout", "-v", "en-us", "-s", speed, sentence]).output().context("espeak-ng")?;
    ensure!(output.status.success(), "espeak-ng: {}", output.status);
    Envelope::read(&output.stdout[..])
}

/// Compares a recording with the words that it should have.
fn judge(what: &str, recording: &Path, words: &Envelope) -> anyhow::Result<bool> {
    let file = std::fs::File::open(recording).with_context(|| recording.display().to_string())?;
    let found = Envelope::read(BufReader::new(file))?;
    let likeness = found.likeness_to(words);
    let verdict = if likeness >= ALIKE { "yes" } else { "NO" };
    let (length, wanted) = (found.seconds(), words.seconds());
    println!(
        "  {verdict:<4} {what}: {:.0} % alike ({length:.1} s recorded, {wanted:.1} s of speech)",
        likeness * 100.0
    );
    Ok(likeness >= ALIKE)
}

fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command
}
