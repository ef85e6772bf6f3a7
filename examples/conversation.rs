//! Asks a question and understands the answer, from two synthetic persons of this machine:
//! `cargo run --example conversation -- outdial.toml +12025550101 "the parcel has arrived this morning" …`
//!
//! The sentences at the end are those that the callee can say.

use std::time::Duration;

use outdial::speech::{Conversation, Flite, Pocketsphinx};
use outdial::{AgentId, Config, DialProvider, E164, Outdial, Shutdown};
use tokio::time::timeout;

const QUESTION: &str = "Good morning, this is the shipping department. Has the parcel arrived?";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, number, sentences @ ..] = &arguments[..] else {
        return Err("conversation CONFIG NUMBER SENTENCE…".into());
    };
    let outdial = Outdial::from_config(&Config::load(config)?).await?;
    let call = outdial.dial(&AgentId::new("conversation")?, &E164::parse(number)?).await?;

    let conversation = Conversation::start(&call, Flite::default(), Pocketsphinx::with_sentences(sentences))?;
    let patience = Duration::from_secs(30);
    if let Ok(answered) = call.answered().await {
        println!("connected: {}, {}", answered.codec, answered.srtp.as_deref().unwrap_or("not encrypted"));
        // The callee says who is there; then we ask, and may be interrupted, and then there is an answer.
        for question in [None, Some(QUESTION)] {
            if let Some(question) = question {
                let spoken = conversation.say(question).await?;
                println!("agent:  {}", spoken.text);
            }
            match timeout(patience, conversation.answer()).await?? {
                Some(words) => println!("callee: {}", words.text),
                None => println!("callee: hung up"),
            }
        }
    }
    call.hangup().await;
    outdial.shutdown(Shutdown::HangUp).await;
    Ok(())
}
