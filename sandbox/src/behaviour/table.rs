//! The rows.

use super::Step::*;
use super::{Answer as Kind, Arrival, Behaviour, EndReason as End, Quirk, Reinvite as Re, Step, Transfer};
use crate::builder::InviteChallenge;
use crate::media::codec::Codec;
use crate::media::{Idle as While, Impairment};

const RING: Step = Provisional(180, "Ringing");
const ANSWER: Step = Answer(Kind::Full);
const ECHO: Step = Idle(While::Echo);
const SILENCE: Step = Idle(While::Silence);

const fn row(
    line: u8,
    name: &'static str,
    ends: End,
    summary: &'static str,
    steps: &'static [Step],
) -> Behaviour {
    Behaviour { line, name, summary, ends, arrival: Arrival::Heard, quirk: Quirk::None, steps }
}

impl Behaviour {
    const fn but(mut self, quirk: Quirk) -> Self {
        self.quirk = quirk;
        self
    }

    const fn arriving(mut self, arrival: Arrival) -> Self {
        self.arrival = arrival;
        self
    }
}

/// The headings, each with the first line below it.
pub(super) static GROUPS: &[(u8, &str)] = &[
    (0, "What people and machines do"),
    (20, "Refusals by status"),
    (50, "Refusals by reason"),
    (60, "Odd answers and odd dialogs"),
    (85, "Bad networks, odd ringing, transfers"),
];

/// Sentences without end, for interrupting.
const STORY: &[&str] = &[
    "I will keep talking until you hang up.",
    "This is useful to try out interruptions, and to measure for how long a call holds.",
    "The quick brown fox jumps over the lazy dog.",
    "Pack my box with five dozen liquor jugs.",
];

#[rustfmt::skip] // One row is easier to compare with the next than one argument with the next.
pub(super) static TABLE: &[Behaviour] = &[
    row(0, "echo", End::Completed, "rings for a second, answers, sends back whatever it hears",
        &[RING, Pause(1000), ANSWER, ECHO, Talk]),
    row(1, "greeting", End::Completed, "answers, speaks a greeting, then listens and records",
        &[RING, Pause(500), ANSWER, SILENCE, Greet, Talk]),
    row(2, "busy", End::Busy, "486 Busy Here",
        &[Refuse(486, "Busy Here", &[])]),
    row(3, "rings-forever", End::NoAnswer, "rings for ever; a CANCEL is answered with 487",
        &[RING, Never]),
    row(4, "decline", End::Declined, "rings, then 603 Decline",
        &[RING, Pause(1000), Refuse(603, "Decline", &[])]),
    row(5, "early-media", End::Completed, "183 with an announcement before the answer, then echo",
        &[Progress, Say("Please hold the line while you are being connected."), Pause(300), ANSWER, ECHO, Talk]),
    row(6, "not-in-service", End::NotFound, "183 with an announcement, then 404 with Q.850 cause 1",
        &[Progress, Say("The number you have dialled is not in service."),
          Refuse(404, "Not Found", &[("Reason", "Q.850;cause=1;text=\"Unallocated (unassigned) number\"")])]),
    row(7, "keypad-menu", End::Completed, "a spoken menu: says each key that it hears, hangs up on 9",
        &[RING, Pause(500), ANSWER, SILENCE,
          KeypadMenu("Welcome. Press one for sales, two for support, or nine to hang up.")]),
    row(8, "voicemail", End::Completed, "rings three seconds, a greeting, a beep, then records",
        &[RING, Pause(3000), ANSWER, SILENCE,
          Say("Hello, you have reached the voice mail of the sandbox. Please leave a message after the tone."),
          Pause(300), Tone(1000.0, 800), Talk]),
    row(9, "hangs-up", End::Completed, "answers and hangs up after two seconds, Q.850 cause 16",
        &[RING, Pause(500), ANSWER, SILENCE, Pause(2000),
          HangUp(Some("Q.850;cause=16;text=\"Normal call clearing\""))]),
    row(10, "hold", End::Completed, "echo, puts the caller on hold after a second, resumes after two more",
        &[RING, Pause(500), ANSWER, ECHO, Pause(1000), Reinvite(Re::Hold), Pause(2000), Reinvite(Re::Resume), Talk]),
    row(11, "no-media", End::Completed, "answers with good SDP and never sends a packet",
        &[RING, Pause(500), ANSWER, Talk]),
    row(12, "unavailable", End::Unreachable, "503 with Retry-After",
        &[Refuse(503, "Service Unavailable", &[("Retry-After", "60")])]),
    row(13, "slow-answer", End::Completed, "rings for ten seconds, then echo",
        &[RING, Pause(10_000), ANSWER, ECHO, Talk]),
    row(14, "sends-digits", End::Completed, "presses 1234# at the caller (RFC 4733)",
        &[RING, Pause(500), ANSWER, SILENCE, Pause(500), Press("1234#"), Talk]),
    row(15, "encrypted-only", End::MediaFailed, "488 for plain RTP; with SRTP it is an echo and completes",
        &[RING, Pause(500), ANSWER, ECHO, Talk]).but(Quirk::EncryptedOnly),
    row(16, "instant-answer", End::Completed, "answers at once without ringing, then echo",
        &[ANSWER, ECHO, Talk]),
    row(17, "says-goodbye", End::Completed, "answers, says one sentence and hangs up",
        &[RING, Pause(500), ANSWER, SILENCE, Say("Thank you for calling. Goodbye."), HangUp(None)]),
    row(18, "test-tone", End::Completed, "answers with ten seconds of 1004 Hz for measurements, then silence",
        &[ANSWER, SILENCE, Tone(1004.0, 10_000), Talk]),
    row(19, "talks-on", End::Completed, "talks without end, to try out barge-in",
        &[RING, Pause(500), ANSWER, SILENCE, TalkOn(STORY)]),

    row(20, "bad-request", End::Failed, "400 Bad Request", &[Refuse(400, "Bad Request", &[])]),
    row(21, "payment-required", End::Rejected, "402 Payment Required", &[Refuse(402, "Payment Required", &[])]),
    row(22, "forbidden", End::Rejected, "403 Forbidden", &[Refuse(403, "Forbidden", &[])]),
    row(23, "not-found", End::NotFound, "404 Not Found", &[Refuse(404, "Not Found", &[])]),
    row(24, "timeout-unrung", End::Timeout, "408 before any ringing", &[Refuse(408, "Request Timeout", &[])]),
    row(25, "timeout-rung", End::NoAnswer, "rings, then 408",
        &[RING, Pause(500), Refuse(408, "Request Timeout", &[])]),
    row(26, "gone", End::NotFound, "410 Gone", &[Refuse(410, "Gone", &[])]),
    row(27, "unsupported-media", End::MediaFailed, "415 Unsupported Media Type",
        &[Refuse(415, "Unsupported Media Type", &[("Accept", "application/sdp")])]),
    row(28, "bad-extension", End::Failed, "420 Bad Extension",
        &[Refuse(420, "Bad Extension", &[("Unsupported", "timer")])]),
    row(29, "absent-unrung", End::Unreachable, "480 before any ringing",
        &[Refuse(480, "Temporarily Unavailable", &[])]),
    row(30, "absent-rung", End::NoAnswer, "rings, then 480",
        &[RING, Pause(500), Refuse(480, "Temporarily Unavailable", &[])]),
    row(31, "loop", End::Failed, "482 Loop Detected", &[Refuse(482, "Loop Detected", &[])]),
    row(32, "incomplete", End::NotFound, "484 Address Incomplete", &[Refuse(484, "Address Incomplete", &[])]),
    row(33, "ambiguous", End::NotFound, "485 Ambiguous", &[Refuse(485, "Ambiguous", &[])]),
    row(34, "not-acceptable-here", End::MediaFailed, "488 Not Acceptable Here",
        &[Refuse(488, "Not Acceptable Here", &[("Warning", "305 sandbox \"Incompatible media format\"")])]),
    row(35, "server-error", End::Unreachable, "500 Server Internal Error",
        &[Refuse(500, "Server Internal Error", &[])]),
    row(36, "bad-gateway", End::Unreachable, "502 Bad Gateway", &[Refuse(502, "Bad Gateway", &[])]),
    row(37, "gateway-timeout", End::Timeout, "504 Server Time-out", &[Refuse(504, "Server Time-out", &[])]),
    row(38, "too-large", End::Failed, "513 Message Too Large", &[Refuse(513, "Message Too Large", &[])]),
    row(39, "busy-everywhere", End::Busy, "600 Busy Everywhere", &[Refuse(600, "Busy Everywhere", &[])]),
    row(40, "decline-unrung", End::Rejected, "603 before any ringing, which no person does",
        &[Refuse(603, "Decline", &[])]),
    row(41, "network-blocked", End::Rejected, "603 Network Blocked (603+), an analytics engine",
        &[Refuse(603, "Network Blocked", &[])]),
    row(42, "exists-nowhere", End::NotFound, "604 Does Not Exist Anywhere",
        &[Refuse(604, "Does Not Exist Anywhere", &[])]),
    row(43, "not-acceptable", End::MediaFailed, "606 Not Acceptable", &[Refuse(606, "Not Acceptable", &[])]),
    row(44, "unwanted", End::Declined, "rings, then 607 Unwanted",
        &[RING, Pause(500), Refuse(607, "Unwanted", &[])]),
    row(45, "rejected", End::Rejected, "608 Rejected, an intermediary", &[Refuse(608, "Rejected", &[])]),
    row(46, "redirect", End::Failed, "302 to the echo number; refused unless the caller follows redirects",
        &[Redirect]),
    row(47, "anonymity", End::Rejected, "433 Anonymity Disallowed", &[Refuse(433, "Anonymity Disallowed", &[])]),
    row(48, "not-acceptable-406", End::MediaFailed, "406 Not Acceptable", &[Refuse(406, "Not Acceptable", &[])]),
    row(49, "session-interval", End::Completed, "422 for a session timer below 600 s; else an echo",
        &[RING, Pause(500), ANSWER, ECHO, Talk]).but(Quirk::MinSessionExpires(600)),

    row(50, "q850-17", End::Busy, "480 with Q.850 cause 17, user busy",
        &[Refuse(480, "Temporarily Unavailable", &[("Reason", "Q.850;cause=17;text=\"User busy\"")])]),
    row(51, "q850-1", End::NotFound, "500 with Q.850 cause 1, unallocated number",
        &[Refuse(500, "Server Internal Error", &[("Reason", "Q.850;cause=1")])]),
    row(52, "q850-34", End::Unreachable, "503 with Q.850 cause 34, no circuit available",
        &[Refuse(503, "Service Unavailable", &[("Reason", "Q.850;cause=34;text=\"No circuit available\"")])]),
    row(53, "q850-57", End::Rejected, "403 with Q.850 cause 57, bearer capability not authorized",
        &[Refuse(403, "Forbidden", &[("Reason", "Q.850 ;cause=57")])]),
    row(54, "q850-21", End::Declined, "rings, then 603 with Q.850 cause 21, call rejected",
        &[RING, Pause(500), Refuse(603, "Decline", &[("Reason", "Q.850;cause=21;text=\"Call rejected\"")])]),
    row(55, "q850-19", End::NoAnswer, "480 with Q.850 cause 19, no answer",
        &[RING, Pause(500), Refuse(480, "No Answer", &[("Reason", "Q.850;cause=19")])]),
    row(56, "two-reasons", End::Unreachable, "480 with both a SIP and a Q.850 Reason, cause 20",
        &[Refuse(480, "Temporarily Unavailable",
            &[("Reason", "SIP;cause=480;text=\"x, y\", Q.850;cause=20;text=\"Subscriber absent\"")])]),
    row(57, "q850-65", End::MediaFailed, "503 with Q.850 cause 65, bearer capability not implemented",
        &[Refuse(503, "Service Unavailable", &[("Reason", "Q.850;cause=65")])]),
    row(58, "rate-limit", End::Unreachable, "503 CPS limit exceeded: wait, do not fail over",
        &[Refuse(503, "CPS limit exceeded", &[("Retry-After", "1")])]),
    row(59, "rings-then-busy", End::Busy, "rings for five seconds, then 486",
        &[RING, Pause(5000), Refuse(486, "Busy Here", &[])]),

    row(60, "no-sdp", End::MediaFailed, "200 without SDP",
        &[RING, Pause(500), Answer(Kind::NoSdp), Talk]),
    row(61, "malformed-sdp", End::MediaFailed, "200 with a body that is no SDP",
        &[RING, Pause(500), Answer(Kind::MalformedSdp), Talk]),
    row(62, "port-zero", End::MediaFailed, "200 that declines the audio stream (port 0)",
        &[RING, Pause(500), Answer(Kind::PortZero), Talk]),
    row(63, "forked", End::Completed, "183s of two forks, the second one answers, then echo",
        &[Progress, Pause(300), Fork, Progress, Pause(300), ANSWER, ECHO, Talk]),
    row(64, "answered-twice", End::Completed, "two forks answer; the caller must hang up one",
        &[RING, Pause(300), Answer(Kind::Twice), ECHO, Talk]),
    row(65, "media-stops", End::Completed, "sends a tone for three seconds, then no packet any more",
        &[RING, Pause(500), ANSWER, Tone(440.0, 3000), Idle(While::Mute), Talk]),
    row(66, "g722-only", End::Completed, "accepts only G.722, then echo",
        &[RING, Pause(500), ANSWER, ECHO, Talk]).but(Quirk::Codecs(&[Codec::G722])),
    row(67, "opus-only", End::Completed, "accepts only Opus, then echo",
        &[RING, Pause(500), ANSWER, ECHO, Talk]).but(Quirk::Codecs(&[Codec::Opus])),
    row(68, "codec-change", End::Completed, "echo in one G.711 law, then a re-INVITE to the other",
        &[RING, Pause(500), ANSWER, ECHO, Pause(1500), Reinvite(Re::OtherLaw), Talk])
        .but(Quirk::Codecs(&[Codec::Pcmu, Codec::Pcma])),
    row(69, "adds-video", End::Completed, "echo, then a re-INVITE that offers m=video as well",
        &[RING, Pause(500), ANSWER, ECHO, Pause(1000), Reinvite(Re::AddVideo), Talk]),
    row(70, "refers-to-premium", End::Completed, "asks the caller to dial a premium number (REFER), then echo",
        &[RING, Pause(500), ANSWER, ECHO, Pause(1000), Refer("+19005550199"), Talk]),
    row(71, "hangs-up-31", End::Completed, "answers and hangs up with Q.850 cause 31",
        &[RING, Pause(500), ANSWER, SILENCE, Pause(1000), HangUp(Some("Q.850;cause=31;text=\"Normal, unspecified\""))]),
    row(72, "srtp-downgrade", End::MediaFailed, "answers with plain RTP although SRTP was offered",
        &[RING, Pause(500), Answer(Kind::Downgraded), ECHO, Talk]),
    row(73, "srtp-wrong-key", End::Completed, "answers with an SRTP key that is not its own: nothing is ever heard",
        &[RING, Pause(500), Answer(Kind::WrongKey), SILENCE, Talk]),
    row(74, "held-forever", End::Completed, "echo, then puts the caller on hold for good",
        &[RING, Pause(500), ANSWER, ECHO, Pause(1000), Reinvite(Re::Hold), Talk]),
    row(75, "old-style-hold", End::Completed, "echo, hold with the address 0.0.0.0, resumes two seconds later",
        &[RING, Pause(500), ANSWER, ECHO, Pause(1000), Reinvite(Re::OldStyleHold), Pause(2000), Reinvite(Re::Resume), Talk]),
    row(76, "late-offer", End::Completed, "echo, then a re-INVITE without SDP: the caller must offer",
        &[RING, Pause(500), ANSWER, ECHO, Pause(1000), Reinvite(Re::LateOffer), Talk]),
    row(77, "cancel-crosses", End::Cancelled, "rings; its 200 crosses the caller's CANCEL",
        &[RING, Never]).but(Quirk::CancelCrosses),
    row(78, "deaf-to-bye", End::Completed, "echo; never answers the caller's BYE",
        &[RING, Pause(500), ANSWER, ECHO, Talk]).but(Quirk::DeafToBye),
    row(79, "trying-forever", End::Timeout, "100 Trying, then nothing more",
        &[Never]),
    row(80, "nobody-there", End::Timeout, "no answer of any kind, as behind a firewall", &[])
        .arriving(Arrival::NeverHeard),
    row(81, "wrong-password", End::AuthFailed, "401 whatever the credentials", &[])
        .arriving(Arrival::ChallengedForever(InviteChallenge::Unauthorized)),
    row(82, "wrong-password-407", End::AuthFailed, "407 whatever the credentials", &[])
        .arriving(Arrival::ChallengedForever(InviteChallenge::ProxyAuthenticationRequired)),
    row(83, "loses-acks", End::Completed, "misses the first two ACKs and repeats its 200, then echo",
        &[RING, Pause(500), ANSWER, ECHO, Talk]).but(Quirk::LosesAcks(2)),
    row(84, "reliable-ringing", End::Completed, "180 sent reliably (100rel) and its PRACK, then echo",
        &[RingReliably, Pause(500), ANSWER, ECHO, Talk]),

    row(85, "loses-packets", End::Completed, "echo that loses every twentieth packet (5 %)",
        &[RING, Pause(500), ANSWER, Impair(Impairment::LoseEvery(20)), ECHO, Talk]),
    row(86, "jitter", End::Completed, "echo with up to 60 ms of jitter",
        &[RING, Pause(500), ANSWER, Impair(Impairment::Jitter(60)), ECHO, Talk]),
    row(87, "reorders", End::Completed, "echo that swaps every tenth packet with the next",
        &[RING, Pause(500), ANSWER, Impair(Impairment::SwapEvery(10)), ECHO, Talk]),
    row(88, "repeats", End::Completed, "echo that sends every tenth packet twice",
        &[RING, Pause(500), ANSWER, Impair(Impairment::RepeatEvery(10)), ECHO, Talk]),
    row(89, "digits-by-info", End::Completed, "presses 1234# at the caller by SIP INFO",
        &[RING, Pause(500), ANSWER, SILENCE, Pause(500), PressByInfo("1234#"), Talk]),

    row(90, "progress-without-sdp", End::Completed, "183 without SDP, then 180, then echo",
        &[Provisional(183, "Session Progress"), Pause(300), RING, Pause(500), ANSWER, ECHO, Talk]),
    row(91, "forwarded", End::Completed, "181 and 182 before the ringing, then echo",
        &[Provisional(181, "Call Is Being Forwarded"), Provisional(182, "Queued"), RING, Pause(500), ANSWER, ECHO, Talk]),
    row(92, "refreshes", End::Completed, "echo; refreshes the session with UPDATE every two seconds",
        &[RING, Pause(500), ANSWER, ECHO, Pause(2000), Update, Pause(2000), Update, Talk]),
    row(93, "transfer-busy", End::Completed, "echo; accepts a transfer, then reports that its target is busy",
        &[RING, Pause(500), ANSWER, ECHO, Talk]).but(Quirk::Transfer(Transfer::TargetBusy)),
    row(94, "transfer-refused", End::Completed, "echo; refuses a transfer with 603",
        &[RING, Pause(500), ANSWER, ECHO, Talk]).but(Quirk::Transfer(Transfer::Refused)),
    row(95, "receive-only", End::Completed, "answers a=recvonly: listens and never speaks",
        &[RING, Pause(500), Answer(Kind::ReceiveOnly), Talk]),
    row(96, "hangs-up-at-once", End::Completed, "answers and hangs up as soon as the ACK is there",
        &[ANSWER, HangUp(Some("Q.850;cause=16"))]),
    row(97, "network-failure", End::Completed, "answers and hangs up with Q.850 cause 41, temporary failure",
        &[RING, Pause(500), ANSWER, SILENCE, Pause(1000), HangUp(Some("Q.850;cause=41;text=\"Temporary failure\""))]),
    row(98, "rings-both-ways", End::Completed, "180, then 183 with a ring-back tone, then echo",
        &[RING, Pause(300), Progress, Tone(440.0, 1000), Pause(500), ANSWER, ECHO, Talk]),
    row(99, "busy-tone", End::NoAnswer, "183 and a busy tone for ever: busy to an ear, ringing to SIP",
        &[Progress, SILENCE, BusyTone, BusyTone, BusyTone, BusyTone, Never]),
];
