//! A host with its own speech: raw frames in both directions, barge-in and marks by hand. What the callee says is sent
//! back half a second later, and a key press stops it: `cargo run --example own_pipeline -- outdial.toml +12025550101`

use std::time::Duration;

use outdial::call::CallEvent;
use outdial::{AgentId, Config, DialProvider, E164, Outdial, Shutdown};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, number] = &arguments[..] else { return Err("own_pipeline CONFIG NUMBER".into()) };
    let outdial = Outdial::from_config(&Config::load(config)?).await?;
    let call = outdial.dial(&AgentId::new("own-pipeline")?, &E164::parse(number)?).await?;
    let audio = call.audio()?;
    let (speaker, mut listener) = (audio.speaker, audio.listener);
    if let Err(end) = call.answered().await {
        return Err(format!("not answered: {}", end.reason).into());
    }

    // Here stands your model: frames of 20 ms go in, and whatever comes out is spoken.
    let (to_model, mut from_callee) = mpsc::channel::<Vec<i16>>(64);
    let voice = speaker.clone();
    let model = tokio::spawn(async move {
        let mut spoken = 0;
        while let Some(samples) = from_callee.recv().await {
            // A send that is cleared was interrupted; one that fails otherwise says that the call is over.
            spoken += samples.len() * usize::from(voice.send(&samples).await.is_ok());
        }
        let mark = voice.mark("the last word");
        println!("{spoken} samples spoken, the last of them {:?}", mark.await);
    });
    speaker.send(&vec![0; speaker.rate().samples(500)]).await?;

    let mut events = call.events();
    let listen = async {
        loop {
            tokio::select! {
                frame = listener.recv() => match frame {
                    Some(frame) if frame.is_early() => {}
                    Some(frame) => to_model.send(frame.samples().to_vec()).await?,
                    None => return Ok::<(), Box<dyn std::error::Error>>(()),
                },
                event = events.next() => match event {
                    Some(CallEvent::Dtmf(key)) => println!("{key} stops {} samples", speaker.clear()),
                    Some(_) => {}
                    None => return Ok(()),
                },
            }
        }
    };
    // Four seconds are enough of an echo.
    if let Ok(ended) = tokio::time::timeout(Duration::from_secs(4), listen).await {
        ended?;
    }
    drop(to_model);
    model.await?;
    call.hangup().await;
    outdial.shutdown(Shutdown::HangUp).await;
    Ok(())
}
