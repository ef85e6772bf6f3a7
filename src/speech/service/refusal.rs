//! What a service says when it does not do what it was asked.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::timeout;

use super::Service;
use crate::speech::AdapterError;

/// No description of an error is longer.
const LONGEST_BODY: usize = 16 * 1024;
/// How much of it is passed on, in characters.
const LONGEST_MESSAGE: usize = 200;
/// A pause that a service asks for is kept up to here; a callee waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An attempt that failed, and whether another one can help.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: AdapterError,
    again: bool,
}

impl Failed {
    pub(super) fn again(error: AdapterError) -> Self {
        Self { error, again: true }
    }

    pub(super) fn last(error: AdapterError) -> Self {
        Self { error, again: false }
    }

    /// How long to wait for the next attempt, if there is to be one; `own` where the service does not say.
    pub(super) fn pause(&self, own: Duration) -> Option<Duration> {
        let asked = match &self.error {
            AdapterError::Limited { retry_after, .. } => *retry_after,
            _ => None,
        };
        Some(asked.unwrap_or(own)).filter(|pause| self.again && *pause <= LONGEST_PAUSE)
    }
}

/// Reads a refusal.
pub(super) async fn read(service: &Service, mut response: Response, key: Option<&SecretString>) -> Failed {
    let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
    let mut body = Vec::new();
    let whole = async {
        while let Ok(Some(part)) = response.chunk().await {
            body.extend_from_slice(&part);
            if body.len() > LONGEST_BODY {
                break;
            }
        }
    };
    // Its status says enough where its words do not come.
    let _ = timeout(service.limits.idle, whole).await;
    judge(service.name, status, retry_after, &body, key)
}

/// What an answer means that is none.
fn judge(
    name: &str,
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    key: Option<&SecretString>,
) -> Failed {
    let (code, message) = words(body);
    let message = clean(&message, key);
    let service = name.to_owned();
    // ElevenLabs tells a used up quota as 401, OpenAI as 429.
    if code.contains("quota") || status == 402 {
        return Failed::last(AdapterError::Limited { service, status, retry_after, message });
    }
    match status {
        401 | 403 => Failed::last(AdapterError::Unauthorized { service, status, message }),
        429 => Failed::again(AdapterError::Limited { service, status, retry_after, message }),
        408 | 425 | 500..=599 => Failed::again(AdapterError::Refused { service, status, message }),
        _ => Failed::last(AdapterError::Refused { service, status, message }),
    }
}

/// The code and the message in the description of an error, in the forms that these services and FastAPI use.
fn words(body: &[u8]) -> (String, String) {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        // A page of something between us and it says nothing in its first line.
        let text = String::from_utf8_lossy(body);
        let page = text.trim_start().starts_with('<');
        return (String::new(), if page { String::new() } else { text.into_owned() });
    };
    let inner = ["error", "detail"].iter().find_map(|key| value.get(key)).unwrap_or(&value);
    let inner = inner.get(0).unwrap_or(inner);
    let text = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| inner.get(key).or_else(|| value.get(key))?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let code = text(&["code", "status", "err_code", "type"]);
    let message =
        inner.as_str().map_or_else(|| text(&["message", "msg", "err_msg", "reason"]), str::to_owned);
    (code, message)
}

/// One line of bounded length, without the key.
pub(super) fn clean(message: &str, key: Option<&SecretString>) -> String {
    let secret = key.map(|key| key.expose_secret()).filter(|key| !key.is_empty());
    let message = secret.map_or_else(|| message.to_owned(), |key| message.replace(key, "***"));
    message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_MESSAGE).collect()
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    let date = Duration::from_secs(u64::try_from(date.timestamp()).ok()?);
    Some(date.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let openai = r#"{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
        let eleven = r#"{"detail":{"status":"quota_exceeded","message":"0 credits remaining"}}"#;
        let bad_key = r#"{"detail":{"status":"invalid_api_key","message":"Invalid API key"}}"#;
        let deepgram = r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials.","request_id":"1"}"#;
        let fastapi = r#"{"detail":[{"loc":["body","voice"],"msg":"field required","type":"missing"}]}"#;
        let table = [
            (429, openai, "limited", false, "You exceeded your current quota."),
            (401, eleven, "limited", false, "0 credits remaining"),
            (401, bad_key, "unauthorized", false, "Invalid API key"),
            (401, deepgram, "unauthorized", false, "Invalid credentials."),
            (403, "", "unauthorized", false, ""),
            (402, r#"{"err_code":"ASR_PAYMENT_REQUIRED"}"#, "limited", false, ""),
            (429, "slow down", "limited", true, "slow down"),
            (400, r#"{"error":"no such voice"}"#, "refused", false, "no such voice"),
            (422, fastapi, "refused", false, "field required"),
            (500, "<html><h1>502", "refused", true, ""),
            (503, r#"{"detail":"loading"}"#, "refused", true, "loading"),
            (404, "[]", "refused", false, ""),
        ];
        for (status, body, kind, again, message) in table {
            let failed = judge("test", status, None, body.as_bytes(), None);
            assert_eq!((failed.error.kind(), failed.again), (kind, again), "{status} {body}");
            assert!(failed.error.to_string().ends_with(message), "{}", failed.error);
        }
    }

    #[test]
    fn the_key_is_in_no_message() {
        let key = SecretString::from("sk-marker");
        let body = br#"{"error":{"message":"Incorrect API key\nprovided: sk-marker."}}"#;
        let error = judge("test", 401, None, body, Some(&key)).error;
        assert_eq!(error.to_string(), "test does not accept the key (401): Incorrect API key provided: ***.");
        assert_eq!(clean(&"a".repeat(500), None).len(), LONGEST_MESSAGE);
    }

    #[test]
    fn a_pause_is_kept_if_a_callee_can_wait_for_it() {
        let own = Duration::from_millis(200);
        let pause = |status, seconds: Option<f64>| {
            let asked = seconds.map(Duration::from_secs_f64);
            judge("test", status, asked, b"", None).pause(own)
        };
        assert_eq!(pause(429, None), Some(own));
        assert_eq!(pause(429, Some(0.5)), Some(Duration::from_millis(500)));
        assert_eq!(pause(429, Some(30.0)), None);
        assert_eq!(pause(503, None), Some(own));
        assert_eq!(pause(401, None), None);
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        for (value, found) in [
            ("7", Some(Duration::from_secs(7))),
            ("soon", None),
            ("-1", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(Duration::ZERO)),
        ] {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            assert_eq!(retry_after(&headers), found, "{value}");
        }
    }
}
