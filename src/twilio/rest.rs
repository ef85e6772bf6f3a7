//! Twilio's REST interface, as far as calls need it: order one, end one, look at one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method};
use rust_decimal::Decimal;
use rustls::RootCertStore;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::account::Account;
use super::retry::{Answer, Next, after_harmless};
use super::status::{CallStatus, Report, is_call_sid};
use crate::https;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take. Twilio answers within a second or two; queued calls are answered at once too.
const REQUEST: Duration = Duration::from_secs(15);
/// How often a harmless request is made: with the pauses between them, for some two minutes.
const HARMLESS: u32 = 12;
/// No answer about a call is longer.
const LONGEST_BODY: usize = 256 * 1024;

/// See the [module](self).
pub(super) struct Rest {
    client: Client,
    account: Arc<Account>,
    /// Without a slash at the end.
    api_url: String,
}

/// A call to be ordered.
pub(super) struct Order {
    pub(super) to: String,
    pub(super) from: String,
    pub(super) twiml: SecretString,
    pub(super) status_callback: String,
    /// After how many seconds of ringing Twilio itself gives up.
    pub(super) ring_seconds: u64,
    /// After how many seconds of talking Twilio itself hangs up, where that is not its own limit.
    pub(super) talk_seconds: Option<u64>,
}

/// Twilio's description of a call, as far as it is of use.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Resource {
    sid: String,
    status: String,
    duration: Option<String>,
    price: Option<String>,
    price_unit: Option<String>,
}

impl Resource {
    /// The call sid.
    pub(super) fn sid(&self) -> &str {
        &self.sid
    }

    /// What it says of the call's state.
    pub(super) fn report(&self) -> Option<Report> {
        Some(Report {
            sid: Some(&self.sid).filter(|sid| is_call_sid(sid))?.clone(),
            status: self.status.parse::<CallStatus>().ok()?,
            sip_code: None,
            error_code: None,
            duration: self
                .duration
                .as_ref()
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
        })
    }

    /// What the call cost, and in which currency, once it is known. Twilio writes charges as negative amounts.
    pub(super) fn price(&self) -> Option<(Decimal, String)> {
        let amount: Decimal = self.price.as_ref()?.trim().parse().ok()?;
        let currency = self.price_unit.as_deref().unwrap_or("USD").trim().to_ascii_uppercase();
        let known = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
        known.then(|| (amount.abs(), currency))
    }
}

/// Twilio's description of an error.
#[derive(Debug, Deserialize)]
struct ApiError {
    code: u32,
    #[serde(default)]
    message: String,
}

/// What a request brought.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The call.
    Call(Box<Resource>),
    /// Nothing of the kind.
    Failed(Failure),
}

/// Why there is no call in an answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) answer: Answer,
    /// In words, without secrets and numbers.
    pub(super) detail: String,
}

impl Failure {
    /// The HTTP status, if there was one.
    pub(super) fn code(&self) -> Option<u16> {
        match self.answer {
            Answer::Status { code, .. } => Some(code),
            Answer::NotSent | Answer::Lost => None,
        }
    }
}

impl Rest {
    /// `api_url` has been checked: HTTPS, or this machine.
    pub(super) fn new(account: Arc<Account>, api_url: &str) -> Result<Self, String> {
        let authorities = https::authorities(api_url.starts_with("https:"))?;
        Self::trusting(account, api_url, authorities)
    }

    fn trusting(account: Arc<Account>, api_url: &str, authorities: RootCertStore) -> Result<Self, String> {
        let client = https::client(authorities, api_url.starts_with("https:"))?;
        let client = client.connect_timeout(CONNECT).timeout(REQUEST);
        let client = client.build().map_err(|error| words(&error))?;
        Ok(Self { client, account, api_url: api_url.trim_end_matches('/').to_owned() })
    }

    /// Orders a call, once.
    pub(super) async fn order(&self, order: &Order) -> Outcome {
        let (ring, talk) = (order.ring_seconds.to_string(), order.talk_seconds.map(|talk| talk.to_string()));
        let mut fields = vec![
            ("To", order.to.as_str()),
            ("From", order.from.as_str()),
            ("Twiml", order.twiml.expose_secret()),
            ("StatusCallback", order.status_callback.as_str()),
            ("StatusCallbackMethod", "POST"),
            ("Timeout", &ring),
        ];
        fields.extend(talk.as_deref().map(|talk| ("TimeLimit", talk)));
        for event in ["initiated", "ringing", "answered", "completed"] {
            fields.push(("StatusCallbackEvent", event));
        }
        self.request(Method::POST, "Calls.json", &fields).await
    }

    /// Ends a call, whatever its state, and asks until Twilio has taken it. A call that is over already is no error.
    pub(super) async fn end(&self, sid: &str) -> Outcome {
        // `canceled` would end a call that rings and leave one that was answered in that moment.
        self.insist(Method::POST, sid, &[("Status", "completed")], HARMLESS).await
    }

    /// Looks at a call; `attempts` times at most, until there is an answer.
    pub(super) async fn fetch(&self, sid: &str, attempts: u32) -> Outcome {
        self.insist(Method::GET, sid, &[], attempts).await
    }

    async fn insist(&self, method: Method, sid: &str, fields: &[(&str, &str)], most: u32) -> Outcome {
        let path = format!("Calls/{sid}.json");
        let mut attempt = 0;
        loop {
            let outcome = self.request(method.clone(), &path, fields).await;
            let Outcome::Failed(failure) = &outcome else { return outcome };
            let Next::Again(pause) = after_harmless(&failure.answer, attempt, most) else { return outcome };
            tracing::debug!(target: "outdial::twilio", call = sid, detail = failure.detail, "asking again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn request(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Outcome {
        let url = format!("{}/2010-04-01/Accounts/{}/{path}", self.api_url, self.account.sid());
        let keys = self.account.keys();
        let mut request =
            self.client.request(method, url).basic_auth(keys.user(), Some(keys.password().expose_secret()));
        if !fields.is_empty() {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(fields);
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish());
        }
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => Outcome::Failed(Failure {
                // What failed while connecting, or before, was never sent.
                answer: if error.is_connect() || error.is_builder() { Answer::NotSent } else { Answer::Lost },
                detail: words(&error),
            }),
        }
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("account", &self.account.sid()).field("api_url", &self.api_url).finish()
    }
}

async fn read(mut response: reqwest::Response) -> Outcome {
    let code = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_BODY => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Ok(Some(_)) | Err(_) => {
                let detail = format!("the answer {code} was cut short");
                return Outcome::Failed(Failure { answer: Answer::Lost, detail });
            }
        }
    }
    judge(code, retry_after, &body)
}

/// What an answer means.
fn judge(code: u16, retry_after: Option<Duration>, body: &[u8]) -> Outcome {
    let failed = |refused, detail| {
        Outcome::Failed(Failure { answer: Answer::Status { code, retry_after, refused }, detail })
    };
    if (200..300).contains(&code) {
        return match serde_json::from_slice::<Resource>(body) {
            Ok(call) if call.report().is_some() => Outcome::Call(Box::new(call)),
            _ => failed(false, format!("the answer {code} does not describe a call")),
        };
    }
    match serde_json::from_slice::<ApiError>(body) {
        // Their text may repeat the number; the error's own number says enough.
        Ok(error) => {
            let text = without_digits(&error.message);
            failed(true, format!("{code}, Twilio error {}: {text}", error.code))
        }
        Err(_) => failed(false, format!("the answer is {code}")),
    }
}

/// Numbers of more than four digits are left out: they are somebody's.
fn without_digits(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - start);
        kept.push_str(&rest[..start]);
        kept.push_str(if digits > 5 { "***" } else { &rest[start..start + digits] });
        rest = &rest[start + digits..];
    }
    kept.push_str(rest);
    kept.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Seconds, the only form that Twilio uses.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// An error with its causes, without the address: that names the account.
fn words(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio::account::Keys;

    const CALL: &str = r#"{"sid":"CA0123456789abcdef0123456789abcdef","status":"completed","duration":"15",
        "price":"-0.03000","price_unit":"usd","answered_by":null}"#;

    fn failure(outcome: Outcome) -> Failure {
        match outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Call(call) => panic!("{call:?}"),
        }
    }

    #[test]
    fn a_call_is_read_with_its_price() {
        let Outcome::Call(call) = judge(200, None, CALL.as_bytes()) else { panic!("no call") };
        assert_eq!(call.price(), Some((Decimal::new(3_000, 5), "USD".to_owned())));
        let report = call.report().unwrap();
        assert_eq!((report.status, report.duration), (CallStatus::Completed, Some(Duration::from_secs(15))));
        let unpriced = CALL.replace("\"-0.03000\"", "null");
        let Outcome::Call(call) = judge(201, None, unpriced.as_bytes()) else { panic!("no call") };
        assert_eq!(call.price(), None);
    }

    #[test]
    fn an_answer_that_is_no_call_is_told_apart() {
        for body in
            ["", "<html>", "{}", "[]", &CALL.replace("CA01", "XX01"), &CALL.replace("completed", "dozing")]
        {
            let failure = failure(judge(201, None, body.as_bytes()));
            assert_eq!(
                failure.answer,
                Answer::Status { code: 201, retry_after: None, refused: false },
                "{body}"
            );
        }
        let body =
            r#"{"code":21211,"message":"The 'To' number +12025550123 is not a valid number.","status":400}"#;
        let refused = failure(judge(400, None, body.as_bytes()));
        assert_eq!(refused.answer, Answer::Status { code: 400, retry_after: None, refused: true });
        assert_eq!(refused.detail, "400, Twilio error 21211: The 'To' number +*** is not a valid number.");
        assert_eq!(failure(judge(503, None, b"upstream connect error")).detail, "the answer is 503");
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, "3".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(3)));
        headers.insert(RETRY_AFTER, "soon".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let account = Account::new("AC1", Keys::for_tests("marker"));
        let rest = Rest::new(Arc::new(account), "http://127.0.0.1:1/").unwrap();
        assert!(!format!("{rest:?}").contains("marker"));
    }

    /// A Twilio over TLS that answers one request with a call. Returns its port and its certificate.
    async fn twilio_with_tls() -> (u16, rustls::pki_types::CertificateDer<'static>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)
                .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            while let Ok((socket, _)) = listener.accept().await {
                // A client that refuses the certificate.
                let Ok(mut tls) = acceptor.accept(socket).await else { continue };
                let mut request = vec![0; 4096];
                let read = tls.read(&mut request).await.unwrap();
                assert!(
                    request[..read].starts_with(b"GET /2010-04-01/Accounts/AC1/Calls/CA1.json HTTP/1.1\r\n")
                );
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{CALL}", CALL.len());
                tls.write_all(answer.as_bytes()).await.unwrap();
                tls.shutdown().await.unwrap();
            }
        });
        (port, certificate)
    }

    #[tokio::test]
    async fn twilio_s_certificate_is_verified() {
        let (port, certificate) = twilio_with_tls().await;
        let url = |host: &str| format!("https://{host}:{port}");
        let account = || Arc::new(Account::new("AC1", Keys::for_tests("marker")));
        let mut known = RootCertStore::empty();
        known.add(certificate).unwrap();

        let rest = Rest::trusting(account(), &url("localhost"), known.clone()).unwrap();
        assert!(matches!(rest.fetch("CA1", 1).await, Outcome::Call(_)));
        // Signed by nobody we know, and of another name: nothing is sent, the password least of all.
        for (authorities, host) in [(RootCertStore::empty(), "localhost"), (known, "127.0.0.1")] {
            let rest = Rest::trusting(account(), &url(host), authorities).unwrap();
            let failure = failure(rest.fetch("CA1", 1).await);
            assert_eq!(failure.answer, Answer::NotSent, "{failure:?}");
            assert!(failure.detail.contains("certificate"), "{failure:?}");
            assert!(!failure.detail.contains("AC1"), "{failure:?}");
        }
    }
}
