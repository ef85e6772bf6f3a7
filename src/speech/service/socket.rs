//! A WebSocket (RFC 6455) to a service.
//!
//! The handshake is an ordinary HTTP request of the same client: its certificates, time limits and refusals are the same,
//! and the WebSocket library, which traces the requests that it makes, never sees the key.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Upgraded, Url};
use secrecy::SecretString;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};

pub(in crate::speech) use tokio_tungstenite::tungstenite::Message;

use super::{ApiKey, Service, refusal};
use crate::speech::AdapterError;

/// No message of a service is longer: half a minute of sound in base64.
const LONGEST_MESSAGE: usize = 4 << 20;

/// The two sides of a connection. Dropping them closes it.
pub(in crate::speech) struct Socket {
    pub(in crate::speech) writer: Writer,
    pub(in crate::speech) reader: Reader,
}

/// The way to the service.
pub(in crate::speech) struct Writer(SplitSink<WebSocketStream<Upgraded>, Message>);

/// The way from the service.
pub(in crate::speech) struct Reader {
    stream: SplitStream<WebSocketStream<Upgraded>>,
    key: Option<SecretString>,
}

/// The client's part of the opening handshake.
pub(super) struct Handshake {
    nonce: String,
}

impl Handshake {
    pub(super) fn new() -> Self {
        Self { nonce: generate_key() }
    }

    pub(super) fn request(&self, client: &Client, url: Url) -> RequestBuilder {
        client
            .get(url)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &self.nonce)
    }

    pub(super) async fn finish(self, service: &Service, response: Response) -> Result<Socket, AdapterError> {
        let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        let accepted = accept.is_some_and(|value| value == derive_accept_key(self.nonce.as_bytes()).as_str());
        if response.status() != StatusCode::SWITCHING_PROTOCOLS || !accepted {
            return Err(service.malformed("it opens no WebSocket"));
        }
        let upgraded = response.upgrade().await.map_err(|error| service.broken(error))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        let (writer, stream) = stream.split();
        let key = service.key.as_ref().map(ApiKey::secret);
        Ok(Socket { writer: Writer(writer), reader: Reader { stream, key } })
    }
}

impl Writer {
    /// Sends a message, and waits until the network has taken it.
    pub(in crate::speech) async fn send(
        &mut self,
        service: &Service,
        message: Message,
    ) -> Result<(), AdapterError> {
        let limit = service.limits.idle;
        match timeout(limit, self.0.send(message)).await {
            Ok(sent) => sent.map_err(|error| failed(service, error)),
            Err(_) => Err(service.late("the taking of a message", limit)),
        }
    }

    /// Sends a message of JSON.
    pub(in crate::speech) async fn send_json(
        &mut self,
        service: &Service,
        value: &serde_json::Value,
    ) -> Result<(), AdapterError> {
        self.send(service, Message::text(value.to_string())).await
    }
}

impl Reader {
    /// The next text of the service, or a `Pong`; `None` when it has closed the connection in order. Anything else is an
    /// error.
    pub(in crate::speech) async fn next(
        &mut self,
        service: &Service,
    ) -> Result<Option<Received>, AdapterError> {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(failed(service, error)),
                None => return Err(service.cut_off()),
            };
            return match message {
                Message::Text(text) => Ok(Some(Received::Text(text))),
                Message::Pong(_) => Ok(Some(Received::Pong)),
                // The library answers them.
                Message::Ping(_) | Message::Frame(_) => continue,
                Message::Binary(_) => Err(service.malformed("a binary message")),
                Message::Close(frame) => self.closed(service, frame),
            };
        }
    }

    fn closed(&self, service: &Service, frame: Option<CloseFrame>) -> Result<Option<Received>, AdapterError> {
        match frame {
            None | Some(CloseFrame { code: CloseCode::Normal, .. }) => Ok(None),
            Some(CloseFrame { code, reason }) => Err(AdapterError::Refused {
                service: service.name.to_owned(),
                status: code.into(),
                message: refusal::clean(&reason, self.key.as_ref()),
            }),
        }
    }

    /// A message of a service about an error, without the key.
    pub(in crate::speech) fn clean(&self, message: &str) -> String {
        refusal::clean(message, self.key.as_ref())
    }
}

/// What comes from a service.
pub(in crate::speech) enum Received {
    /// A text.
    Text(Utf8Bytes),
    /// It is there.
    Pong,
}

fn failed(service: &Service, error: tungstenite::Error) -> AdapterError {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => service.cut_off(),
        tungstenite::Error::Io(error) => AdapterError::connection(service.name, error),
        tungstenite::Error::Capacity(_) => service.malformed("a message that is too long"),
        tungstenite::Error::Utf8(_) => service.malformed("a text that is none"),
        other => AdapterError::connection(service.name, other),
    }
}
