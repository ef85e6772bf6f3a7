//! Finds its way through a keypad menu: it listens for what the menu offers, presses the key for support, and hears that
//! it was taken: `cargo run --example ivr -- outdial.toml +12025550107`

use std::time::Duration;

use outdial::speech::{Pocketsphinx, TranscriptEvent, Transcription};
use outdial::{AgentId, Config, DialProvider, E164, Outdial, Shutdown};

/// What a menu says, as a grammar: the recogniser knows these words and no others.
const MENU: &str = "#JSGF V1.0;
grammar menu;
<key> = one | two | three | four | five | six | seven | eight | nine;
<what> = sales | support | an operator;
<offer> = [press | or] <key> (for <what> | to hang up);
public <menu> = welcome | [welcome] <offer>+ | you pressed <key>;";

const KEYS: [(&str, &str); 9] = [
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
];

/// The next sentence of the menu that has these words, within half a minute.
async fn hears(menu: &mut Transcription, words: &str) -> Result<String, Box<dyn std::error::Error>> {
    let listen = async {
        while let Some(event) = menu.next().await {
            if let TranscriptEvent::Final(sentence) = event? {
                println!("the menu: {}", sentence.text);
                if sentence.text.contains(words) {
                    return Ok(sentence.text);
                }
            }
        }
        Err("the call ended before the menu said it".into())
    };
    tokio::time::timeout(Duration::from_secs(30), listen).await?
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, number] = &arguments[..] else { return Err("ivr CONFIG NUMBER".into()) };
    let outdial = Outdial::from_config(&Config::load(config)?).await?;
    let call = outdial.dial(&AgentId::new("ivr")?, &E164::parse(number)?).await?;
    let mut menu = call.transcribe(&Pocketsphinx::with_grammar(MENU))?;

    let offer = hears(&mut menu, "for support").await?;
    // The key that was named last before "for support".
    let before = offer.split("for support").next().unwrap_or_default();
    let named = before.split_whitespace().rev().find_map(|word| KEYS.iter().find(|(name, _)| *name == word));
    let (name, key) = named.ok_or("the menu named no key")?;
    println!("pressing {key}");
    call.send_dtmf(key).await?;
    hears(&mut menu, &format!("you pressed {name}")).await?;
    println!("arrived at support");

    call.hangup().await;
    outdial.shutdown(Shutdown::HangUp).await;
    Ok(())
}
