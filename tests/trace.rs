//! A call is part of the trace of whoever dials: its span is a child of the current one, and says how it ended.

mod common;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use common::phone::{request, turn};
use common::{trunk, within};
use outdial::{Config, DialProvider, EndReason, Outdial, Shutdown};
use outdial_sandbox::{Sandbox, Speech};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument as _, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// The spans of calls: their parent's name, and their fields.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<HashMap<u64, Seen>>>);

type Seen = (Option<&'static str>, HashMap<String, String>);

struct Fields<'a>(&'a mut HashMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != "outdial::call" {
            return;
        }
        let parent = context.span(id).and_then(|span| span.parent().map(|parent| parent.name()));
        let mut fields = HashMap::new();
        attributes.record(&mut Fields(&mut fields));
        self.0.lock().unwrap().insert(id.into_u64(), (parent, fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some((_, fields)) = self.0.lock().unwrap().get_mut(&id.into_u64()) {
            values.record(&mut Fields(fields));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_a_span_below_that_of_whoever_dials() {
    let _turn = turn().await;
    let spans = Spans::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans.clone())).unwrap();
    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = trunk::sandbox_udp(&sandbox, format!("[records]\nfolder = {:?}\n", folder.path()));
    let outdial = Outdial::from_config(&Config::parse(&text).unwrap()).await.unwrap();
    let skill = tracing::info_span!("skill");
    let call = within("a call", outdial.dial_with(request("+12025550102")).instrument(skill)).await.unwrap();
    let id = call.id().to_string();
    assert_eq!(within("the end", call.ended()).await.reason, EndReason::Busy);
    within("the last record", outdial.shutdown(Shutdown::HangUp)).await;
    let spans = spans.0.lock().unwrap();
    let (parent, fields) = spans.values().next().expect("a span");
    assert_eq!((spans.len(), *parent), (1, Some("skill")));
    for (field, value) in [
        ("call_id", id.as_str()),
        ("trunk", "test"),
        ("provider", "sip"),
        ("reason", "busy"),
        ("sip_code", "486"),
        ("to", "+1***0102"),
    ] {
        assert_eq!(fields.get(field).map(String::as_str), Some(value), "{field}: {fields:?}");
    }
}
