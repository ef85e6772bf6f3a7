//! A callee that the tests play, by Asterisk's REST interface (ARI).

use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::common::within;
use super::pbx::{ADDRESS, MISSING};

/// Takes the calls to the number that nobody else answers.
pub struct Player {
    events: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// One of these calls, at Asterisk's end.
pub struct Played {
    channel: String,
}

impl Player {
    /// Takes calls from now on. Asterisk has one application of this name: the tests that play take turns.
    pub async fn new(application: &str) -> Self {
        let url = format!("ws://{ADDRESS}:8088/ari/events?app={application}&api_key=tests:tests");
        let (events, _) = connect_async(url).await.unwrap_or_else(|error| panic!("{MISSING}: {error}"));
        Self { events }
    }

    /// Waits for the next call.
    pub async fn call(&mut self) -> Played {
        within("a call in ARI", async {
            loop {
                let Some(Ok(message)) = self.events.next().await else { panic!("ARI is gone") };
                let Message::Text(text) = message else { continue };
                let event: serde_json::Value = serde_json::from_str(&text).unwrap();
                if event["type"] == "StasisStart" {
                    return Played { channel: event["channel"]["id"].as_str().unwrap().to_owned() };
                }
            }
        })
        .await
    }
}

impl Played {
    pub async fn answer(&self) {
        self.ask("POST", "answer").await;
    }

    /// Offers `sendonly`.
    pub async fn hold(&self) {
        self.ask("POST", "hold").await;
    }

    /// Offers `sendrecv` again.
    pub async fn resume(&self) {
        self.ask("DELETE", "hold").await;
    }

    /// Leaves the rest to the dial plan, at a number.
    pub async fn go_on_at(&self, number: &str) {
        let number = number.replace('+', "%2B");
        self.ask("POST", &format!("continue?context=numbers&extension={number}&priority=1")).await;
    }

    async fn ask(&self, method: &str, what: &str) {
        let path = format!("/ari/channels/{}/{what}", self.channel);
        // tests:tests
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {ADDRESS}\r\nAuthorization: Basic dGVzdHM6dGVzdHM=\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n",
            path.trim_end_matches('/'),
        );
        let mut stream = TcpStream::connect((ADDRESS, 8088)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("ARI's answer", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{method} {path}: {answer}");
    }
}
