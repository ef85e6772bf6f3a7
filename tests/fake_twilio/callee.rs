//! What happens to a call: the number's behaviour, played step by step.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use hmac::Mac as _;
use tokio::sync::mpsc;

use super::stream::{self, Closing, Sound};
use super::{ACCOUNT, BREATH, State};

/// What a number does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Rings, answers, sends back what it hears.
    Echo,
    /// Answers, and says a sentence after a second.
    Greets,
    /// Answers at once, sends back what it hears.
    InstantEcho,
    Busy,
    RingsForever,
    /// Rings, then refuses.
    Decline,
    /// Answers and hangs up after two seconds.
    HangsUp,
    /// No route.
    Unavailable,
    NotFound,
    /// Rings, then nobody is there.
    Absent,
    /// Answers, presses `1234#`.
    SendsDigits,
    /// Answers with a tone of 1004 Hz.
    TestTone,
    /// The first order is answered with 429, then it is an echo.
    TooManyRequests,
    /// The first order is refused with 503 by Twilio itself, then it is an echo.
    Unready,
    /// The order is taken, and a gateway answers 503.
    GatewayError,
    /// The order is taken, and no answer comes.
    AnswerLost,
    /// A gateway gives up on the order, which was not taken.
    OrderLost,
    /// A gateway gives up on the order, which was taken, and the callbacks begin only after 17 seconds.
    LateCallback,
    /// The order is taken, and the answer is no JSON.
    MalformedAnswer,
    /// Twilio refuses the number.
    InvalidNumber,
    /// Twilio refuses the account.
    Unauthorized,
    /// The stream breaks after half a second.
    StreamBreaks,
    /// The stream stops, and the final callback never comes.
    LosesLastCallback,
    /// No callback comes at all.
    NoCallbacks,
    /// Callbacks of somebody else come first: not signed, signed with another token.
    Forged,
    /// Strangers try the stream first: without a token, with a wrong one, for another call.
    Strangers,
    /// The callee answers and no stream comes.
    NoStream,
    /// Looks and requests to end it are answered 500 twice each.
    Shaky,
    /// Rubbish in the stream between good messages.
    Rubbish,
    /// The callee's sound stops after a second.
    GoesSilent,
}

impl Behaviour {
    pub fn of(number: &str) -> Self {
        match number.strip_prefix("+120255501").unwrap_or_default() {
            "00" => Self::Echo,
            "01" => Self::Greets,
            "02" => Self::Busy,
            "03" => Self::RingsForever,
            "04" => Self::Decline,
            "09" => Self::HangsUp,
            "12" => Self::Unavailable,
            "14" => Self::SendsDigits,
            "16" => Self::InstantEcho,
            "18" => Self::TestTone,
            "23" => Self::NotFound,
            "30" => Self::Absent,
            "60" => Self::TooManyRequests,
            "61" => Self::Unready,
            "62" => Self::GatewayError,
            "63" => Self::AnswerLost,
            "64" => Self::OrderLost,
            "65" => Self::MalformedAnswer,
            "66" => Self::StreamBreaks,
            "67" => Self::Forged,
            "68" => Self::Strangers,
            "69" => Self::NoCallbacks,
            "70" => Self::NoStream,
            "71" => Self::InvalidNumber,
            "72" => Self::Unauthorized,
            "73" => Self::Shaky,
            "74" => Self::LateCallback,
            "75" => Self::LosesLastCallback,
            "76" => Self::Rubbish,
            "77" => Self::GoesSilent,
            other => panic!("nobody is at …{other}"),
        }
    }

    fn rings(self) -> bool {
        !matches!(self, Self::InstantEcho | Self::TestTone | Self::Busy | Self::Unavailable | Self::NotFound)
    }

    /// The status and SIP code of a call that is not answered.
    fn refusal(self) -> Option<(&'static str, u16)> {
        match self {
            Self::Busy => Some(("busy", 486)),
            Self::Decline => Some(("busy", 603)),
            Self::Unavailable => Some(("failed", 503)),
            Self::NotFound => Some(("failed", 404)),
            Self::Absent => Some(("failed", 480)),
            _ => None,
        }
    }

    fn sound(self) -> Sound {
        match self {
            Self::TestTone => Sound::Tone,
            Self::Greets => Sound::Voice,
            Self::HangsUp | Self::SendsDigits => Sound::Silence,
            Self::GoesSilent => Sound::Stops,
            _ => Sound::Echo,
        }
    }
}

/// A call that was ordered.
pub(super) struct Callee {
    pub(super) state: Arc<State>,
    pub(super) sid: String,
    pub(super) to: String,
    pub(super) from: String,
    pub(super) callback: String,
    pub(super) stream_url: String,
    pub(super) token: String,
    pub(super) hang_up: mpsc::UnboundedReceiver<()>,
    sequence: u32,
}

impl Callee {
    pub(super) fn new(
        state: Arc<State>,
        sid: &str,
        fields: &[(String, String)],
        hang_up: mpsc::UnboundedReceiver<()>,
    ) -> Self {
        let field = |name: &str| {
            fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let twiml = field("Twiml");
        let between = |start: &str| {
            let rest = twiml.split_once(start).map(|(_, rest)| rest).unwrap_or_default();
            rest.split('"').next().unwrap_or_default().replace("&amp;", "&")
        };
        let stream_url = between("<Response><Connect><Stream url=\"");
        if stream_url.contains('?') || !stream_url.starts_with("ws") {
            state.violation(format!("a stream's address is {stream_url:?}"));
        }
        Self {
            state,
            sid: sid.to_owned(),
            to: field("To"),
            from: field("From"),
            callback: field("StatusCallback"),
            stream_url,
            token: between("<Parameter name=\"token\" value=\""),
            hang_up,
            sequence: 0,
        }
    }

    /// Plays the call to its end.
    pub(super) async fn run(mut self) {
        let behaviour = Behaviour::of(&self.to);
        if behaviour == Behaviour::LateCallback {
            tokio::time::sleep(Duration::from_secs(17)).await;
        }
        if behaviour == Behaviour::Forged {
            self.forge().await;
        }
        self.tell(behaviour, "initiated", None).await;
        if behaviour.rings() {
            self.tell(behaviour, "ringing", None).await;
            if !self.pause(2 * BREATH).await {
                return self.tell(behaviour, "canceled", Some((487, 0))).await;
            }
        }
        if behaviour == Behaviour::RingsForever {
            let _ = self.hang_up.recv().await;
            return self.tell(behaviour, "canceled", Some((487, 0))).await;
        }
        if let Some((status, code)) = behaviour.refusal() {
            self.pause(BREATH).await;
            return self.tell(behaviour, status, Some((code, 0))).await;
        }
        let answered = std::time::Instant::now();
        self.state.update(&self.sid, |call| call.answered = true);
        self.tell(behaviour, "in-progress", None).await;
        if behaviour == Behaviour::NoStream {
            let _ = self.hang_up.recv().await;
        } else {
            self.talk(behaviour).await;
        }
        let duration = answered.elapsed().as_secs();
        self.tell(behaviour, "completed", Some((200, duration))).await;
    }

    async fn talk(&mut self, behaviour: Behaviour) {
        if behaviour == Behaviour::Strangers {
            let (sid, token) = (self.sid.clone(), self.token.clone());
            for secret in ["", "another-token"] {
                stream::unsigned(&self.state, &self.sid, &self.stream_url, secret).await;
            }
            for (sid, token) in
                [(&*sid, ""), (&*sid, "wrong"), ("CA00000000000000000000000000000000", &*token)]
            {
                stream::stranger(&self.state, &self.sid, &self.stream_url, sid, token).await;
            }
        }
        let closing = stream::run(self, behaviour.sound(), behaviour).await;
        match closing {
            Closing::Broken => {}
            // A stream that is over leaves nothing to do: the call ends.
            Closing::Hung | Closing::ByServer => {}
        }
        if behaviour == Behaviour::Strangers {
            // The token was used: another stream may not have it.
            let (sid, token) = (self.sid.clone(), self.token.clone());
            stream::stranger(&self.state, &self.sid, &self.stream_url, &sid, &token).await;
        }
    }

    /// Waits, unless the call is hung up. Returns whether it goes on.
    async fn pause(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.hang_up.recv()).await.is_err()
    }

    /// The call's status changed.
    async fn tell(&mut self, behaviour: Behaviour, status: &str, end: Option<(u16, u64)>) {
        // The resource knows no `initiated`.
        let known = if status == "initiated" { "queued" } else { status };
        self.state.update(&self.sid, |call| call.status = known.to_owned());
        let lost = match behaviour {
            Behaviour::NoCallbacks => true,
            Behaviour::LosesLastCallback => end.is_some(),
            _ => false,
        };
        if lost {
            return;
        }
        let fields = self.fields(status, end);
        let answer = self.post(&fields, &self.token_of_account()).await;
        if !(200..300).contains(&answer) {
            self.state.violation(format!("the callback {status} was answered {answer}"));
        }
    }

    fn fields(&mut self, status: &str, end: Option<(u16, u64)>) -> Vec<(String, String)> {
        let mut fields = vec![
            ("Called", self.to.clone()),
            ("To", self.to.clone()),
            ("ToCountry", "US".to_owned()),
            ("CallSid", self.sid.clone()),
            ("From", self.from.clone()),
            ("Caller", self.from.clone()),
            ("AccountSid", ACCOUNT.to_owned()),
            ("ApiVersion", "2010-04-01".to_owned()),
            ("Direction", "outbound-api".to_owned()),
            ("CallStatus", status.to_owned()),
            ("CallbackSource", "call-progress-events".to_owned()),
            ("SequenceNumber", self.sequence.to_string()),
            ("Timestamp", "Sun, 22 Nov 2026 20:00:00 +0000".to_owned()),
        ];
        if let Some((code, seconds)) = end {
            fields.push(("SipResponseCode", code.to_string()));
            fields.push(("CallDuration", seconds.to_string()));
            fields.push(("Duration", seconds.div_ceil(60).to_string()));
        }
        self.sequence += 1;
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Callbacks that are not Twilio's: they must change nothing.
    async fn forge(&mut self) {
        let fields = self.fields("completed", Some((200, 60)));
        for token in ["", "another-token"] {
            let answer = self.post(&fields, token).await;
            if answer != 403 {
                self.state.violation(format!("a forged callback was answered {answer}"));
            }
        }
        // Signed, but for another account.
        let foreign: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                let value = if name == "AccountSid" { "AC00000000000000000000000000000000" } else { value };
                (name.clone(), value.to_owned())
            })
            .collect();
        let answer = self.post(&foreign, &self.token_of_account()).await;
        if answer != 400 {
            self.state.violation(format!("a callback of another account was answered {answer}"));
        }
    }

    fn token_of_account(&self) -> String {
        self.state.lock().token.clone()
    }

    async fn post(&self, fields: &[(String, String)], token: &str) -> u16 {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = self
            .state
            .http
            .post(&self.callback)
            .header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
            .body(body);
        if !token.is_empty() {
            request = request.header("X-Twilio-Signature", sign(token, &self.callback, fields));
        }
        let answer = match request.send().await {
            Ok(response) => response.status().as_u16(),
            // The provider under test was shut down.
            Err(_) => 204,
        };
        self.state.update(&self.sid, |call| call.callback_answers.push(answer));
        answer
    }
}

/// X-Twilio-Signature, from Twilio's description of it.
pub(super) fn sign(token: &str, url: &str, fields: &[(String, String)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort();
    let text = sorted.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(token.as_bytes()).expect("a key of any length");
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}
