//! The SIP messages of this process, as the library traces them.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

static LISTENING: AtomicBool = AtomicBool::new(false);
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Listens until it is dropped. Made before the endpoint.
pub struct Wire(());

impl Wire {
    pub fn listen() -> Self {
        HEARD.lock().unwrap().clear();
        LISTENING.store(true, Ordering::Relaxed);
        super::phone::log();
        tracing::callsite::rebuild_interest_cache();
        Self(())
    }

    /// What was received and begins with this.
    pub fn heard(&self, start: &str) -> Vec<String> {
        let heard = HEARD.lock().unwrap();
        let received = heard.iter().filter(|message| message.contains("received from"));
        let messages = received.filter_map(|message| message.split_once('\n')).map(|(_, message)| message);
        messages.filter(|message| message.starts_with(start)).map(str::to_owned).collect()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        LISTENING.store(false, Ordering::Relaxed);
    }
}

/// The part of the log that keeps messages for a `Wire`.
pub(super) fn layer<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let listening = dynamic_filter_fn(|event, _| {
        event.target() == "outdial::sip::trace" && LISTENING.load(Ordering::Relaxed)
    });
    fmt::layer().with_ansi(false).with_writer(Keep).with_filter(listening)
}

struct Keep;

impl<'w> MakeWriter<'w> for Keep {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        Self
    }
}

impl io::Write for Keep {
    /// A layer writes each event at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        HEARD.lock().unwrap().push(String::from_utf8_lossy(event).replace("\r\n", "\n"));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
