//! What Asterisk saw of a call, from its manager interface: the dial plan tells it in events of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::common::within;

/// A session with the manager. It hears what the dial plan tells from now on.
pub struct Manager {
    heard: Arc<Heard>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    events: Mutex<Vec<Fields>>,
    more: Notify,
}

/// One event: `Came`, `Read`, `Gone` of `extensions.conf`.
#[derive(Debug, Clone, Default)]
pub struct Fields(HashMap<String, String>);

impl Manager {
    pub async fn new() -> Self {
        let stream = within("Asterisk's manager", TcpStream::connect((super::pbx::ADDRESS, 5038))).await;
        let stream = stream.unwrap_or_else(|error| panic!("{}: {error}", super::pbx::MISSING));
        let (reader, mut writer) = stream.into_split();
        let login = "Action: Login\r\nUsername: tests\r\nSecret: tests\r\n\r\n";
        writer.write_all(login.as_bytes()).await.unwrap();
        let heard = Arc::new(Heard::default());
        let theirs = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            // The session lasts as long as both halves.
            let _writer = writer;
            let mut lines = BufReader::new(reader).lines();
            let mut fields = Fields::default();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((name, value)) = line.split_once(": ") {
                    fields.0.insert(name.to_owned(), value.to_owned());
                } else if line.is_empty() {
                    theirs.events.lock().unwrap().push(std::mem::take(&mut fields));
                    theirs.more.notify_waiters();
                }
            }
        });
        let manager = Self { heard, task };
        let answer = manager.find("the manager's answer", |fields| fields.0.contains_key("Response")).await;
        assert_eq!(answer.get("Response"), "Success", "{answer:?}");
        manager
    }

    /// Waits until the dial plan has told this of a call, or finds it among what it has told.
    pub async fn told(&self, what: &str, call_id: &str) -> Fields {
        let is = |fields: &Fields| fields.get("UserEvent") == what && fields.get("CallID") == call_id;
        self.find(&format!("{what} of {call_id}"), is).await
    }

    async fn find(&self, what: &str, is: impl Fn(&Fields) -> bool) -> Fields {
        within(what, async {
            loop {
                let more = self.heard.more.notified();
                let found = self.heard.events.lock().unwrap().iter().find(|fields| is(fields)).cloned();
                if let Some(found) = found {
                    return found;
                }
                more.await;
            }
        })
        .await
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fields {
    /// A value; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A value that the dial plan wrote in base64.
    pub fn text(&self, name: &str) -> String {
        let bytes =
            STANDARD.decode(self.get(name)).unwrap_or_else(|error| panic!("{name}: {error}: {self:?}"));
        String::from_utf8_lossy(&bytes).strip_prefix('=').expect("the dial plan's sign").to_owned()
    }

    /// A number.
    pub fn count(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or_else(|error| panic!("{name}: {error}: {self:?}"))
    }
}
