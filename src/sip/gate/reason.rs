//! Why a message is refused.

/// Why a message is refused. What [`limits`](super::limits) says about each is the "too many".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The first line is neither that of a request nor of a response.
    #[error("not a SIP message")]
    NotSip,
    /// Start line beyond its limit.
    #[error("start line too long")]
    StartLineTooLong,
    /// A header field beyond its limit.
    #[error("header field too long")]
    HeaderTooLong,
    /// More header fields than the limit.
    #[error("too many header fields")]
    TooManyHeaders,
    /// A NUL byte in the head: no header field may have one (RFC 3261 §25.1), and C ends there.
    #[error("NUL in the header")]
    Nul,
    /// A CR without its LF in the head (RFC 3261 §25.1): the end of a line to PJSIP, but not to others.
    #[error("CR without LF in the header")]
    BareCr,
    /// A field that occurs once (Call-ID, CSeq, From, To, Content-Length, Content-Type, Max-Forwards) occurs twice.
    #[error("header field repeated")]
    Repeated,
    /// Via values.
    #[error("too many Via values")]
    TooManyVias,
    /// Record-Route or Route values.
    #[error("too many Record-Route or Route values")]
    TooManyRoutes,
    /// Service-Route values.
    #[error("too many Service-Route values")]
    TooManyServiceRoutes,
    /// Contact values.
    #[error("too many Contact values")]
    TooManyContacts,
    /// Challenges.
    #[error("too many challenges")]
    TooManyChallenges,
    /// Content-Length is not a number.
    #[error("Content-Length is not a number")]
    ContentLength,
    /// The message ends before its body does.
    #[error("body shorter than Content-Length")]
    BodyTooShort,
    /// There is more than line ends after the body.
    #[error("body longer than Content-Length")]
    BodyTooLong,
    /// Lines of a session description.
    #[error("session description too long")]
    SdpTooLong,
    /// Media descriptions.
    #[error("too many media descriptions")]
    TooManyMedia,
    /// Formats of a media description.
    #[error("too many formats")]
    TooManyFormats,
    /// Attributes of the session or of a media description.
    #[error("too many SDP attributes")]
    TooManyAttributes,
    /// Keys of a media description.
    #[error("too many keys")]
    TooManyKeys,
    /// The tag of a key is not a number, or too large a one.
    #[error("tag of a key out of range")]
    KeyTag,
    /// A payload type that RTP cannot carry.
    #[error("payload type out of range")]
    PayloadType,
    /// A multipart body without a boundary, or with nothing between its delimiters.
    #[error("multipart body without parts")]
    NoParts,
    /// Parts of a multipart body.
    #[error("too many body parts")]
    TooManyParts,
    /// Multiparts inside each other.
    #[error("body parts nested too deeply")]
    PartsTooDeep,
    /// Elements of XML inside each other.
    #[error("XML nested too deeply")]
    XmlTooDeep,
}

impl Reason {
    /// Name for metrics: lower-case words, stable.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotSip => "not_sip",
            Self::StartLineTooLong => "start_line_too_long",
            Self::HeaderTooLong => "header_too_long",
            Self::TooManyHeaders => "too_many_headers",
            Self::Nul => "nul",
            Self::BareCr => "bare_cr",
            Self::Repeated => "repeated",
            Self::TooManyVias => "too_many_vias",
            Self::TooManyRoutes => "too_many_routes",
            Self::TooManyServiceRoutes => "too_many_service_routes",
            Self::TooManyContacts => "too_many_contacts",
            Self::TooManyChallenges => "too_many_challenges",
            Self::ContentLength => "content_length",
            Self::BodyTooShort => "body_too_short",
            Self::BodyTooLong => "body_too_long",
            Self::SdpTooLong => "sdp_too_long",
            Self::TooManyMedia => "too_many_media",
            Self::TooManyFormats => "too_many_formats",
            Self::TooManyAttributes => "too_many_attributes",
            Self::TooManyKeys => "too_many_keys",
            Self::KeyTag => "key_tag",
            Self::PayloadType => "payload_type",
            Self::NoParts => "no_parts",
            Self::TooManyParts => "too_many_parts",
            Self::PartsTooDeep => "parts_too_deep",
            Self::XmlTooDeep => "xml_too_deep",
        }
    }

    /// What a request that is refused for this reason is answered with: 488 for what a session description asks for
    /// (RFC 3261 §21.4.26: the call goes on as it was), 400 for the rest.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::SdpTooLong
            | Self::TooManyMedia
            | Self::TooManyFormats
            | Self::TooManyAttributes
            | Self::TooManyKeys
            | Self::KeyTag
            | Self::PayloadType => 488,
            _ => 400,
        }
    }
}
