//! The HTTP server that Twilio calls: status callbacks and media streams.
//!
//! It speaks plain HTTP and stands behind the operator's reverse proxy. Each call has addresses of its own with 128
//! random bits in them; a callback must have Twilio's signature, a stream must show its call's token.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::account::Account;
use super::line::{Line, Lines, News};
use super::media;
use super::signature::is_genuine;
use super::status::Report;

/// No callback is longer; they have some thirty short fields.
const LONGEST_BODY: usize = 64 * 1024;
/// Nor is a message of a stream: 20 ms of sound have 160 bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// What the server knows.
pub(super) struct Reception {
    pub(super) lines: Arc<Lines>,
    pub(super) account: Arc<Account>,
    pub(super) addresses: Addresses,
    /// After how long without sound a stream counts as stalled; `None` for never.
    pub(super) stall_after: Option<Duration>,
}

impl Reception {
    /// Whether Twilio signed a request that came to one of these addresses: with the account's token, or with the one
    /// that the account had when the call began.
    fn is_signed(
        &self,
        urls: &[String],
        fields: &[(String, String)],
        headers: &HeaderMap,
        line: Option<&Line>,
    ) -> bool {
        let signature =
            headers.get("x-twilio-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let current = self.account.keys();
        let tokens = [Some(&*current), line.map(Line::keys)].into_iter().flatten();
        tokens
            .flat_map(|keys| urls.iter().map(move |url| (keys.auth_token(), url)))
            .any(|(token, url)| is_genuine(token, url, fields, signature))
    }
}

/// The addresses by which Twilio reaches us.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    /// Scheme, host and path, without a slash at the end. It has been checked.
    public_url: String,
}

impl Addresses {
    pub(super) fn new(public_url: &str) -> Self {
        Self { public_url: public_url.trim_end_matches('/').to_owned() }
    }

    /// Where the status of a call is told.
    pub(super) fn status(&self, key: &str) -> String {
        format!("{}/status/{key}", self.public_url)
    }

    /// Where the sound of a call goes.
    pub(super) fn stream(&self, key: &str) -> String {
        let url = format!("{}/stream/{key}", self.public_url);
        match url.split_once("://") {
            Some(("http", rest)) => format!("ws://{rest}"),
            Some((_, rest)) => format!("wss://{rest}"),
            None => url,
        }
    }

    /// What Twilio may have signed when it opens the stream: the address as the TwiML has it, or the same with a slash
    /// behind it, which some of its libraries add.
    fn signed_for_stream(&self, key: &str) -> [String; 2] {
        let url = self.stream(key);
        [format!("{url}/"), url]
    }

    /// The path in front of ours: proxies pass it on or take it off, as they are configured.
    fn path(&self) -> &str {
        let host = self.public_url.split_once("://").map_or("", |(_, rest)| rest);
        host.find('/').map_or("", |at| &host[at..])
    }
}

/// Serves until `stop` is true.
pub(super) async fn serve(listener: TcpListener, reception: Arc<Reception>, mut stop: watch::Receiver<bool>) {
    let own = Router::new().route("/status/{key}", post(status)).route("/stream/{key}", get(stream));
    let path = reception.addresses.path().to_owned();
    let routes = if path.is_empty() { own } else { own.clone().nest(&path, own) };
    let app = routes.layer(DefaultBodyLimit::max(LONGEST_BODY)).with_state(reception);
    let stopped = async move {
        // Without the sender nobody is left to serve.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stopped).await {
        tracing::error!(target: "outdial::twilio", %error, "the server for callbacks and streams has failed");
    }
}

/// A status callback.
async fn status(
    State(reception): State<Arc<Reception>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let line = reception.lines.find(&key);
    let url = reception.addresses.status(&key);
    if !reception.is_signed(&[url], &fields, &headers, line.as_deref()) {
        tracing::warn!(
            target: "outdial::twilio",
            "a status callback without Twilio's signature was refused: if there are many, public_url or auth_token is wrong"
        );
        return StatusCode::FORBIDDEN;
    }
    let Some(report) = Report::read(&fields, reception.account.sid()) else { return StatusCode::BAD_REQUEST };
    // What comes after the end of a call is no error of Twilio's.
    if let Some(line) = line.filter(|line| line.may_be(&report.sid)) {
        line.tell(News::Report(report));
    }
    StatusCode::NO_CONTENT
}

/// A media stream. Twilio signs the request that opens it, over the address alone; what the stream then shows to belong to
/// the call is the token.
async fn stream(
    State(reception): State<Arc<Reception>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(line) = reception.lines.find(&key) else { return StatusCode::NOT_FOUND.into_response() };
    if !reception.is_signed(&reception.addresses.signed_for_stream(&key), &[], &headers, Some(&line)) {
        tracing::warn!(
            target: "outdial::twilio",
            "a media stream without Twilio's signature was refused: if there are many, public_url or auth_token is wrong"
        );
        return StatusCode::FORBIDDEN.into_response();
    }
    let (account, stall_after) = (reception.account.sid().to_owned(), reception.stall_after);
    upgrade
        .max_message_size(LONGEST_MESSAGE)
        .max_frame_size(LONGEST_MESSAGE)
        .on_upgrade(move |socket| media::serve(socket, line, account, stall_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_from_the_public_one() {
        let addresses = Addresses::new("https://voice.example.com/twilio/");
        assert_eq!(addresses.status("0a"), "https://voice.example.com/twilio/status/0a");
        assert_eq!(addresses.stream("0a"), "wss://voice.example.com/twilio/stream/0a");
        assert_eq!(addresses.path(), "/twilio");
        let plain = Addresses::new("http://127.0.0.1:8085");
        assert_eq!((plain.stream("0a").as_str(), plain.path()), ("ws://127.0.0.1:8085/stream/0a", ""));
    }
}
