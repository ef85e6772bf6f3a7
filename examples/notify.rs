//! Says a sentence to a number and hangs up: `cargo run --example notify -- outdial.toml +12025550101 "Your parcel is
//! here."`

use outdial::speech::{Espeak, FallbackSynthesizer, Flite};
use outdial::{AgentId, Config, DialProvider, E164, Outdial, Shutdown};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, number, text] = &arguments[..] else { return Err("notify CONFIG NUMBER TEXT".into()) };
    let outdial = Outdial::from_config(&Config::load(config)?).await?;
    let call = outdial.dial(&AgentId::new("notify")?, &E164::parse(number)?).await?;

    // When one voice fails in the middle of a sentence, the other one goes on.
    let voice = FallbackSynthesizer::new(Flite::default(), Espeak::default());
    if call.answered().await.is_ok() {
        let spoken = call.say(&voice, text.as_str()).await?;
        println!("said: {}", spoken.text);
    }
    let end = call.hangup().await;
    println!("ended: {}", end.reason);
    outdial.shutdown(Shutdown::HangUp).await;
    Ok(())
}
