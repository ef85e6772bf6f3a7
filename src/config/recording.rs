use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::section::Section;
use super::values::{Word, word, words};
use super::{Config, Problem};
use crate::provider::Record;

words!(Record: "off" = Nothing, "sound" = Sound, "transcript" = Transcript, "both" = Both);

/// The kind of file that a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RecordingFormat {
    /// 16-bit PCM, sample for sample what was on the wire: 115 MB for an hour at 8 kHz.
    #[default]
    Wav,
    /// Opus in Ogg (RFC 7845), a stream of its own for each side: some 10 MB for an hour at 8 kHz.
    OggOpus,
}

words!(RecordingFormat: "wav" = Wav, "ogg-opus" = OggOpus);

impl RecordingFormat {
    /// The ending of the file's name.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::OggOpus => "opus",
        }
    }
}

/// What is recorded, and where recordings and transcripts are kept. The table `[recording]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RecordingConfig {
    /// What is kept of a call for which neither its request nor its agent nor its trunk says it. Default `off`.
    pub record: Record,
    /// The folder. Default: `recordings` in the folder of `[records]`.
    pub folder: Option<PathBuf>,
    /// What kind of file a recording is. Default `wav`.
    pub format: RecordingFormat,
    /// Whether a call begins with its recording paused, so that nothing is kept until the agent has the callee's consent
    /// and calls [`resume_recording`](crate::Call::resume_recording). Default false.
    pub start_paused: bool,
}

impl RecordingConfig {
    pub(super) fn read(mut section: Section<'_, '_>, base: Option<&Path>) -> Self {
        let mut recording = Self::default();
        section.set("record", &mut recording.record);
        section.set("folder", &mut recording.folder);
        section.set("format", &mut recording.format);
        section.set("start_paused", &mut recording.start_paused);
        section.finish(&[
            ("enabled", "it is `record = \"sound\"`, `\"transcript\"` or `\"both\"`"),
            ("consent", "nothing is kept until the callee agrees with `start_paused = true`"),
        ]);
        if let (Some(folder), Some(base)) = (&mut recording.folder, base) {
            *folder = base.join(&*folder);
        }
        recording
    }

    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self.folder.as_ref().is_some_and(|folder| folder.as_os_str().is_empty()) {
            problems.push(Problem::new("recording.folder", "must be a folder"));
        }
    }
}

impl Config {
    /// The folder of recordings and transcripts that is used.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        self.recording.folder.clone().unwrap_or_else(|| self.records.folder().join("recordings"))
    }

    /// Whether calls are recorded of which no request says so.
    pub(crate) fn records_anything(&self) -> bool {
        let trunks = self.trunks.values().filter_map(|trunk| trunk.record);
        let providers = self.providers.values().filter_map(|provider| provider.record);
        let agents = self.agents.values().filter_map(|agent| agent.record);
        let mut all = trunks.chain(providers).chain(agents).chain([self.recording.record]);
        all.any(|record| record != Record::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{AgentId, DialRequest, E164};

    const TWO: &str = "[trunks.a]\nserver = \"h\"\n[trunks.b]\nserver = \"h\"\nrecord = \"sound\"\n";

    fn kept(config: &str, agent: &str, trunk: &str, own: Option<Record>) -> Record {
        let config = Config::parse(&format!("{TWO}{config}")).unwrap();
        let mut request =
            DialRequest::new(AgentId::new(agent).unwrap(), E164::parse("+12025550100").unwrap());
        request.trunk = Some(trunk.to_owned());
        request.record = own;
        config.plan(&request).unwrap().record
    }

    #[test]
    fn nothing_is_kept_unless_somebody_says_so() {
        assert_eq!(kept("", "x", "a", None), Record::Nothing);
        assert_eq!(Config::parse("").unwrap().recording, RecordingConfig::default());
    }

    #[test]
    fn the_request_counts_then_the_agent_then_the_trunk_then_the_table() {
        let agents = "[agents.x]\nrecord = \"both\"\n[agents.y]\n[recording]\nrecord = \"transcript\"\n";
        assert_eq!(kept(agents, "y", "a", None), Record::Transcript);
        assert_eq!(kept(agents, "y", "b", None), Record::Sound);
        assert_eq!(kept(agents, "x", "b", None), Record::Both);
        assert_eq!(kept(agents, "x", "b", Some(Record::Nothing)), Record::Nothing);
    }

    #[test]
    fn the_table_is_read_and_its_mistakes_are_told() {
        let config = Config::parse(
            "[recording]\nfolder = \"/calls\"\nformat = \"ogg-opus\"\nrecord = \"both\"\nstart_paused = true\n",
        )
        .unwrap();
        let recording = &config.recording;
        assert_eq!((recording.format, recording.record), (RecordingFormat::OggOpus, Record::Both));
        assert!(recording.start_paused && config.recordings() == Path::new("/calls"));
        for (text, words) in [
            ("record = true", "\"transcript\""),
            ("format = \"mp3\"", "ogg-opus"),
            ("folder = \"\"", "folder"),
            ("enabled = true", "record = "),
        ] {
            let error = Config::parse(&format!("[recording]\n{text}\n")).unwrap_err();
            assert!(error.problems()[0].to_string().contains(words), "{text}: {error}");
        }
    }
}
