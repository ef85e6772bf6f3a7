//! Calls a number and lets Prometheus scrape what is counted: `cargo run --features prometheus --example metrics --
//! outdial.toml 127.0.0.1:9464 +12025550101`, and in `prometheus.yml` a job with `targets: ["127.0.0.1:9464"]`.
//!
//! It serves `GET /metrics` until Ctrl-C, and ends in order: what the last call counted can be scraped as long as it runs.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use outdial::{AgentId, Config, DialProvider, E164, Outdial, Shutdown, metrics};
use tokio::net::TcpListener;
use tokio::signal;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, address, number] = &arguments[..] else {
        return Err("metrics CONFIG ADDRESS NUMBER".into());
    };
    let outdial = Outdial::from_config(&Config::load(config)?).await?;

    let counted = outdial.clone();
    let scrape = move || async move { ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], counted.metrics()) };
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/metrics", listener.local_addr()?);
    let stop = async {
        if signal::ctrl_c().await.is_err() {
            // Without the signal it serves until it is killed.
            std::future::pending::<()>().await;
        }
    };
    let server = axum::serve(listener, Router::new().route("/metrics", get(scrape)));
    let server = tokio::spawn(server.with_graceful_shutdown(stop).into_future());

    // What is counted meanwhile: a call that is hung up as soon as the callee has been heard for a second.
    let call = outdial.dial(&AgentId::new("metrics")?, &E164::parse(number)?).await?;
    let mut listener = call.audio()?.listener;
    if call.answered().await.is_ok() {
        for _ in 0..50 {
            listener.recv().await;
        }
    }
    println!("ended: {}", call.hangup().await.reason);

    server.await??;
    outdial.shutdown(Shutdown::HangUp).await;
    Ok(())
}
