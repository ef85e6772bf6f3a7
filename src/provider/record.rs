/// What is kept of what is said in a call. See [`recording`](crate::recording).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Record {
    /// Nothing.
    #[default]
    Nothing,
    /// A recording of the sound.
    Sound,
    /// A transcript of the words.
    Transcript,
    /// Both.
    Both,
}

impl Record {
    /// Whether there is a recording.
    #[must_use]
    pub const fn sound(self) -> bool {
        matches!(self, Self::Sound | Self::Both)
    }

    /// Whether there is a transcript.
    #[must_use]
    pub const fn transcript(self) -> bool {
        matches!(self, Self::Transcript | Self::Both)
    }
}
