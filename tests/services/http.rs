//! A service with an HTTP interface, whose answers a test writes: whole, in parts, cut off, or never.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// A request that has come.
#[derive(Debug, Clone)]
pub struct Asked {
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Runs until it is dropped.
pub struct Service {
    url: String,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

struct Shared {
    answer: Box<dyn Fn(usize, Asked) -> Answering + Send + Sync>,
    asked: Mutex<Vec<Asked>>,
}

impl Service {
    /// `answer` is asked with the number of the request, from 0 on.
    pub async fn start<F>(answer: impl Fn(usize, Asked) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            answer: Box::new(move |nth, asked| Box::pin(answer(nth, asked))),
            asked: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            tokio::select! {
                served = axum::serve(listener, router) => served.unwrap(),
                _ = stopped => {}
            }
        });
        Self { url, shared, _stop: stop }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let asked = Asked { uri: parts.uri, headers: parts.headers, body };
    let nth = {
        let mut all = shared.asked.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    (shared.answer)(nth, asked).await
}

/// An answer that is whole.
pub fn whole(status: u16, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", content_type.parse().unwrap());
    response
}

/// A refusal with a JSON body.
pub fn refusal(status: u16, body: &str) -> Response {
    whole(status, "application/json", body.to_owned())
}

/// The other end of an answer that is written part by part.
pub type Parts = mpsc::Sender<io::Result<Vec<u8>>>;

/// An answer of PCM that is written part by part; an error in it breaks the connection off, and it ends when the other
/// end is dropped. `open` counts the answers whose connection stands.
pub fn in_parts(open: &Arc<AtomicUsize>) -> (Parts, Response) {
    let (sender, receiver) = mpsc::channel(1);
    open.fetch_add(1, Ordering::SeqCst);
    let standing = Standing(Arc::clone(open));
    let parts = stream::unfold((receiver, standing), async |(mut receiver, standing)| {
        let part: io::Result<Vec<u8>> = receiver.recv().await?;
        Some((part, (receiver, standing)))
    });
    (sender, whole(200, "audio/pcm", Body::from_stream(parts)))
}

struct Standing(Arc<AtomicUsize>);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An answer that breaks off behind this.
pub fn cut_off(begin: Vec<u8>) -> Response {
    let parts = [Ok(begin), Err(io::Error::other("the script says so"))];
    // The part before the break is to be sent.
    let parts = stream::unfold(parts.into_iter(), async |mut parts| {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Some((parts.next()?, parts))
    });
    whole(200, "audio/pcm", Body::from_stream(parts))
}
