//! What Twilio charges for a call, which it knows some time after its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::rest::{Outcome, Rest};
use crate::provider::Price;

/// How long to wait before each question for the price, in seconds: four minutes together.
const PRICE: [u64; 8] = [2, 3, 5, 10, 20, 40, 80, 80];

/// Asks for the price until Twilio knows it, or for long enough.
pub(super) async fn follow_price(rest: Arc<Rest>, sid: String, price: oneshot::Sender<Price>) {
    for pause in PRICE {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let Outcome::Call(call) = rest.fetch(&sid, 1).await else { continue };
        if let Some((amount, currency)) = call.price() {
            let _ = price.send(Price { amount, currency });
            return;
        }
    }
    tracing::warn!(target: "outdial::twilio", call = sid, "Twilio did not tell the price of a call");
}
