//! The REST interface.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::callee::{Behaviour, Callee};
use super::{ACCOUNT, API_KEY, API_SECRET, CALLER, CallRecord, Entry, PRICE, State, facts};

pub(super) fn routes(state: Arc<State>) -> Router {
    Router::new()
        .route("/2010-04-01/Accounts/{account}/Calls.json", post(create))
        .route("/2010-04-01/Accounts/{account}/Calls/{call}", get(one).post(one))
        .with_state(state)
}

async fn create(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    if let Err(answer) = admit(&state, "create", "POST", &account, &headers, &fields) {
        return *answer;
    }
    let field =
        |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap();
    let (to, from) = (field("To"), field("From"));
    let order = {
        let mut inner = state.lock();
        let orders = inner.orders.entry(to.clone()).or_default();
        *orders += 1;
        *orders
    };
    state.touch();
    if from != CALLER {
        return refuse(400, 21_210, &format!("Source number {from} is not yet verified."));
    }
    match Behaviour::of(&to) {
        Behaviour::TooManyRequests if order == 1 => {
            let mut answer = refuse(429, 20_429, "Too Many Requests");
            answer.headers_mut().insert("Retry-After", "1".parse().unwrap());
            answer
        }
        Behaviour::Unready if order == 1 => refuse(503, 20_503, "Service is unavailable. Please try again"),
        Behaviour::InvalidNumber => {
            refuse(400, 21_211, &format!("The phone number you are attempting to call, {to}, is not valid."))
        }
        Behaviour::Unauthorized => refuse(401, 20_003, "Authenticate"),
        Behaviour::OrderLost => (StatusCode::GATEWAY_TIMEOUT, "no answer").into_response(),
        behaviour => {
            let call = place(&state, &fields);
            match behaviour {
                Behaviour::GatewayError => {
                    (StatusCode::SERVICE_UNAVAILABLE, "upstream reset").into_response()
                }
                Behaviour::LateCallback => (StatusCode::BAD_GATEWAY, "bad gateway").into_response(),
                Behaviour::AnswerLost => {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                    StatusCode::GATEWAY_TIMEOUT.into_response()
                }
                Behaviour::MalformedAnswer => (StatusCode::CREATED, "<html>created</html>").into_response(),
                _ => answer("create", &call),
            }
        }
    }
}

/// Makes a call and lets it run.
fn place(state: &Arc<State>, fields: &[(String, String)]) -> CallRecord {
    let field =
        |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap();
    let record = CallRecord {
        sid: format!("CA{:032x}", rand::random::<u128>()),
        to: field("To"),
        from: field("From"),
        status: "queued".to_owned(),
        order: fields.to_vec(),
        ..CallRecord::default()
    };
    let (sender, hang_up) = mpsc::unbounded_channel();
    state.lock().calls.insert(record.sid.clone(), Entry { record: record.clone(), hang_up: sender });
    state.touch();
    tokio::spawn(Callee::new(Arc::clone(state), &record.sid, fields, hang_up).run());
    record
}

async fn one(
    Shared(state): Shared<Arc<State>>,
    Path((account, call)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let operation = if method == Method::POST { "update" } else { "fetch" };
    if let Err(answer) = admit(&state, operation, method.as_str(), &account, &headers, &fields) {
        return *answer;
    }
    let Some(record) = call.strip_suffix(".json").and_then(|sid| state.record(sid)) else {
        return refuse(404, 20_404, "The requested resource was not found");
    };
    let mut asked = 0;
    state.update(&record.sid, |call| {
        let count = if operation == "update" { &mut call.ends } else { &mut call.fetches };
        *count += 1;
        asked = *count;
    });
    if Behaviour::of(&record.to) == Behaviour::Shaky && asked <= 2 {
        return refuse(500, 20_500, "Internal Server Error");
    }
    if operation == "update" && !record.is_over() {
        match fields.iter().find(|(name, _)| name == "Status").map(|(_, status)| status.as_str()) {
            Some("completed") => state.hang_up(&record.sid),
            Some("canceled") if !record.answered => state.hang_up(&record.sid),
            _ => {}
        }
    }
    answer(operation, &record)
}

/// Checks who asks, and what.
fn admit(
    state: &State,
    operation: &str,
    method: &str,
    account: &str,
    headers: &HeaderMap,
    fields: &[(String, String)],
) -> Result<(), Box<Response>> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encoded = header("authorization").strip_prefix("Basic ").unwrap_or_default();
    let credentials = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    let known = [format!("{ACCOUNT}:{}", state.lock().token), format!("{API_KEY}:{API_SECRET}")];
    if account != ACCOUNT || !known.iter().any(|known| known.as_bytes() == credentials) {
        state.violation(format!("{operation}: unknown account or wrong credentials"));
        return Err(refuse(401, 20_003, "Authenticate").into());
    }
    facts::check(operation, method, header("content-type"), fields).map_err(|what| {
        let answer = refuse(400, 20_001, &what);
        state.violation(what);
        answer.into()
    })
}

fn refuse(status: u16, code: u32, message: &str) -> Response {
    let body = json!({"code": code, "message": message, "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status});
    (StatusCode::from_u16(status).unwrap(), axum::http::HeaderMap::from_iter([json_type()]), body.to_string())
        .into_response()
}

fn json_type() -> (axum::http::HeaderName, axum::http::HeaderValue) {
    (axum::http::header::CONTENT_TYPE, "application/json".parse().unwrap())
}

fn answer(operation: &str, call: &CallRecord) -> Response {
    let over = call.is_over();
    let uri = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls/{}.json", call.sid);
    let text = |there: bool, value: &str| if there { Value::from(value) } else { Value::Null };
    let date = "Sun, 22 Nov 2026 20:00:00 +0000";
    let body = json!({
        "sid": call.sid, "account_sid": ACCOUNT, "api_version": "2010-04-01", "status": call.status,
        "to": call.to, "to_formatted": call.to, "from": call.from, "from_formatted": call.from,
        "direction": "outbound-api", "answered_by": null, "caller_name": null, "forwarded_from": null,
        "group_sid": null, "parent_call_sid": null, "phone_number_sid": null, "trunk_sid": null, "queue_time": "0",
        "date_created": text(operation != "create", date), "date_updated": text(operation != "create", date),
        "start_time": text(call.answered, date), "end_time": text(over, date),
        "duration": text(over && call.answered, "2"),
        // Twilio knows it some time after the end.
        "price": text(over && call.answered && call.fetches > 1, PRICE), "price_unit": "USD",
        "subresource_uris": {"events": uri.replace(".json", "/Events.json")}, "uri": uri,
    });
    facts::check_call(&body);
    let status = StatusCode::from_u16(facts::success(operation)).unwrap();
    (status, axum::http::HeaderMap::from_iter([json_type()]), body.to_string()).into_response()
}
