//! Sentences that nobody has written are spoken, cross a call in both directions, and are understood: over each codec,
//! plain and encrypted.
//!
//! They are made up at run time from a grammar of seventeen thousand. The seed is printed; `OUTDIAL_SEED` sets another one.

mod common;

use std::time::Duration;

use common::phone::request;
use common::{Phone, trunk, within};
use outdial::speech::{Flite, Pocketsphinx, TranscriptEvent};
use outdial_sandbox::{Sandbox, Speech};

const ECHO: &str = "+12025550116";
/// How many sentences are tried at most over each trunk.
const ATTEMPTS: usize = 3;

/// One word of each makes a sentence. They are words that the recogniser tells apart at 8 kHz.
const SLOTS: [(&str, &[&str]); 6] = [
    ("who", &["alice", "robert", "jennifer", "michael", "elizabeth", "alexander"]),
    ("does", &["ordered", "delivered", "photographed", "painted"]),
    ("number", &["two", "three", "five", "nine", "eleven", "twenty"]),
    ("colour", &["yellow", "purple", "green", "orange"]),
    ("what", &["umbrellas", "envelopes", "pictures", "potatoes", "keyboards", "trucks"]),
    ("day", &["on wednesday", "on thursday", "on monday", "yesterday", "last october"]),
];

fn grammar() -> String {
    let mut jsgf = "#JSGF V1.0;\ngrammar orders;\npublic <order> =".to_owned();
    for (name, _) in SLOTS {
        jsgf.push_str(&format!(" <{name}>"));
    }
    jsgf.push_str(";\n");
    for (name, words) in SLOTS {
        jsgf.push_str(&format!("<{name}> = {};\n", words.join(" | ")));
    }
    jsgf
}

/// SplitMix64: the same sentences from the same seed, on each machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn sentence(&mut self) -> String {
        SLOTS.map(|(_, words)| words[self.below(words.len())]).join(" ")
    }
}

/// One trunk for each codec, plain and encrypted, all to the same sandbox.
fn config(sandbox: &Sandbox) -> (String, Vec<String>) {
    let mut config = trunk::config(sandbox.udp().unwrap(), "transport = \"udp\"", "");
    let mut names = Vec::new();
    for codec in ["pcmu", "g722", "opus"] {
        for (kind, server, more) in [
            ("plain", sandbox.udp().unwrap().to_string(), "transport = \"udp\"".to_owned()),
            (
                "srtp",
                format!("localhost:{}", sandbox.tls().unwrap().port()),
                format!("ca_file = {:?}", sandbox.ca_path()),
            ),
        ] {
            let name = format!("{codec}-{kind}");
            let account = trunk::account(sandbox);
            config.push_str(&format!(
                "\n[trunks.{name}]\nserver = \"{server}\"\nkeep_alive = \"0s\"\ncodecs = [\"{codec}\"]\n{more}\n{account}\n"
            ));
            names.push(name);
        }
    }
    (config, names)
}

/// What is understood of an echo of this, or of silence where there is nothing to say.
async fn understood(phone: &Phone, trunk: &str, sentence: &str) -> Vec<String> {
    let call = phone.dial_with(request(ECHO).trunk(trunk)).await;
    let mut transcription = call.transcribe(&Pocketsphinx::with_grammar(grammar())).unwrap();
    let answered = within("the answer", call.answered()).await.unwrap();
    let (codec, kind) = trunk.split_once('-').unwrap();
    assert!(answered.codec.to_lowercase().starts_with(codec), "{trunk}: {}", answered.codec);
    assert_eq!(answered.srtp.is_some(), kind == "srtp", "{trunk}: {:?}", answered.srtp);
    if sentence.is_empty() {
        tokio::time::sleep(Duration::from_secs(2)).await;
    } else {
        within("the sentence", call.say(&Flite::default(), sentence)).await.unwrap();
        // The end of the echo, which is what ends the sentence for the recogniser.
        while !matches!(
            within("the end of the echo", transcription.next()).await,
            Some(Ok(TranscriptEvent::SpeechEnded { .. })) | None
        ) {}
    }
    call.hangup().await;
    let mut texts = Vec::new();
    while let Some(event) = within("the words", transcription.next()).await {
        if let TranscriptEvent::Final(words) = event.unwrap() {
            texts.push(words.text);
        }
    }
    texts
}

/// Fails unless one of the sentences is understood to the word: a machine that is busy with other things loses sound, and
/// each attempt is one of seventeen thousand.
async fn is_understood(phone: &Phone, trunk: &str, sentences: &[String]) {
    for said in sentences {
        let texts = understood(phone, trunk, said).await;
        println!("{trunk}: said {said:?}, understood {texts:?}");
        if texts == [said.as_str()] {
            return;
        }
    }
    panic!("none of the sentences was understood over {trunk}");
}

#[tokio::test]
async fn made_up_sentences_are_understood_over_each_codec_plain_and_encrypted() {
    let seed = std::env::var("OUTDIAL_SEED").map_or(20_261_123, |seed| seed.parse().expect("a number"));
    println!("OUTDIAL_SEED={seed}");
    let mut random = Random(seed);
    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let (config, names) = config(&sandbox);
    let phone = Phone::start(&config).await;
    // Two at a time: a machine with two cores has a recogniser for each.
    for pair in names.chunks(2) {
        let sentences = [(); 2].map(|()| [(); ATTEMPTS].map(|()| random.sentence()));
        tokio::join!(
            is_understood(&phone, &pair[0], &sentences[0]),
            is_understood(&phone, &pair[1], &sentences[1])
        );
    }
    // With the same grammar nothing is understood where nothing is said.
    assert_eq!(understood(&phone, "pcmu-plain", "").await, Vec::<String>::new());
    phone.shutdown().await;
    sandbox.shutdown().await;
}
