//! A service with a WebSocket, whose messages a test writes.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, StatusCode, Uri};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// A WebSocket that was opened.
pub struct Line {
    stream: WebSocketStream<TcpStream>,
}

impl Line {
    /// The next text or binary message; `None` when the client has gone.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match self.stream.next().await {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return Some(message),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next text message, as JSON.
    pub async fn next_json(&mut self) -> Option<Value> {
        loop {
            if let Message::Text(text) = self.next().await? {
                return Some(serde_json::from_str(&text).unwrap());
            }
        }
    }

    /// Sends a text; whoever is gone does not hear it.
    pub async fn send(&mut self, text: impl std::fmt::Display) {
        let _ = self.stream.send(Message::text(text.to_string())).await;
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        let _ = self.stream.send(Message::binary(bytes)).await;
    }

    /// Closes it with a code and a reason, and waits for the other side.
    pub async fn close(&mut self, code: u16, reason: &'static str) {
        let _ = self.stream.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await;
        while self.next().await.is_some() {}
    }

    /// Breaks the connection off without a word.
    pub fn hang_up(self) {}
}

/// How a handshake was asked for.
#[derive(Debug, Clone)]
pub struct Opened {
    pub uri: Uri,
    pub headers: HeaderMap,
}

impl Opened {
    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = form_urlencoded::parse(self.uri.query()?.as_bytes());
        query.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Runs until it is dropped.
pub struct Service {
    url: String,
    opened: Arc<Mutex<Vec<Opened>>>,
    working: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What the service does with the handshake of a connection: the status of a refusal, its headers and its body.
pub type Refusal = Option<(u16, &'static [(&'static str, &'static str)], &'static str)>;

impl Service {
    /// `talk` is given each WebSocket with its number, from 0 on.
    pub async fn start<F>(talk: impl Fn(usize, Line) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::refusing(|_| None, talk).await
    }

    /// The same, but asks `refuse` about each handshake first.
    pub async fn refusing<F>(
        refuse: impl Fn(usize) -> Refusal + Send + 'static,
        talk: impl Fn(usize, Line) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (opened, working) = (Arc::<Mutex<Vec<Opened>>>::default(), Arc::<AtomicUsize>::default());
        let (all, at_work) = (Arc::clone(&opened), Arc::clone(&working));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let nth = all.lock().unwrap().len();
                let refusal = refuse(nth);
                // The library wants it so.
                #[allow(clippy::result_large_err)]
                let note = |request: &Request, response: Response| {
                    let opened = Opened { uri: request.uri().clone(), headers: request.headers().clone() };
                    all.lock().unwrap().push(opened);
                    let Some((status, headers, body)) = refusal else { return Ok(response) };
                    let mut refused = ErrorResponse::new(Some(body.to_owned()));
                    *refused.status_mut() = StatusCode::from_u16(status).unwrap();
                    refused.headers_mut().insert("content-length", body.len().into());
                    for (name, value) in headers {
                        refused.headers_mut().insert(*name, value.parse().unwrap());
                    }
                    Err(refused)
                };
                let Ok(stream) = tokio_tungstenite::accept_hdr_async(socket, note).await else { continue };
                let work = AtWork::new(&at_work);
                let talk = talk(nth, Line { stream });
                tokio::spawn(async move {
                    let _work = work;
                    talk.await;
                });
            }
        });
        Self { url, opened, working, task }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn opened(&self) -> Vec<Opened> {
        self.opened.lock().unwrap().clone()
    }

    /// How many talks are under way.
    pub fn working(&self) -> usize {
        self.working.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
