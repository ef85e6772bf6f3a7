//! What is said in the call: a text through the synthesiser that is installed, or a file.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use outdial::audio::wav;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::RATE;

/// A synthesiser that takes longer than this hangs. They are a hundred times faster than speech.
const SYNTHESIS: Duration = Duration::from_secs(60);

/// Sound to be played, 16-bit mono at [`RATE`].
pub(super) struct Prompt {
    /// The words, if there were words.
    pub(super) text: Option<String>,
    pub(super) samples: Vec<i16>,
    pub(super) length: Duration,
}

impl Prompt {
    /// Synthesises `say`, or reads `file`; `None` when there is neither.
    pub(super) async fn prepare(
        say: Option<&str>,
        voice: Option<&str>,
        file: Option<&Path>,
    ) -> Result<Option<Self>> {
        let (text, samples) = match (say, file) {
            (Some(text), _) => (Some(text.to_owned()), synthesize(text, voice).await?),
            (None, Some(file)) => {
                let owned = file.to_owned();
                let samples = tokio::task::spawn_blocking(move || wav::read(owned, RATE)).await?;
                (None, samples.with_context(|| format!("cannot play {}", file.display()))?)
            }
            (None, None) => return Ok(None),
        };
        if samples.is_empty() {
            bail!("there is nothing to be heard in what is to be said");
        }
        let length = RATE.duration(samples.len() as u64);
        Ok(Some(Self { text, samples, length }))
    }
}

async fn synthesize(text: &str, voice: Option<&str>) -> Result<Vec<i16>> {
    let sound = if is_installed("espeak-ng") {
        espeak(text, voice.unwrap_or("en-us")).await?
    } else if is_installed("flite") {
        flite(text, voice.unwrap_or("rms")).await?
    } else {
        bail!(
            "--say needs a synthesiser: install the package espeak-ng (apt-get install espeak-ng) or flite"
        );
    };
    wav::decode(&sound[..], RATE).context("the synthesiser's sound cannot be read")
}

async fn espeak(text: &str, voice: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("espeak-ng");
    // By standard input: a text may begin with a hyphen.
    command.args(["--stdout", "--stdin", "-b", "1", "-v", voice]);
    let output = run(command, text.as_bytes()).await?;
    Ok(output.stdout)
}

async fn flite(text: &str, voice: &str) -> Result<Vec<u8>> {
    let mut words = tempfile::NamedTempFile::new()?;
    words.write_all(text.as_bytes())?;
    let sound = tempfile::NamedTempFile::new()?;
    let mut command = Command::new("flite");
    command.args(["-voice", voice, "-f"]).arg(words.path()).arg("-o").arg(sound.path());
    run(command, &[]).await?;
    Ok(std::fs::read(sound.path())?)
}

async fn run(mut command: Command, input: &[u8]) -> Result<Output> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    let mut stdin = child.stdin.take().ok_or_else(|| anyhow!("{name} has no input"))?;
    let work = async {
        // It speaks while it reads, so both go on at the same time; that it stopped reading shows in its status.
        let (_, output) = tokio::join!(
            async move {
                let written = stdin.write_all(input).await;
                drop(stdin);
                written
            },
            child.wait_with_output()
        );
        output
    };
    let output =
        timeout(SYNTHESIS, work).await.with_context(|| format!("{name} does not come to an end"))??;
    if !output.status.success() {
        bail!("{name}: {} ({})", String::from_utf8_lossy(&output.stderr).trim(), output.status);
    }
    Ok(output)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
