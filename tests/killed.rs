//! A process that is killed at any moment: each call that began has one end and its cost, and no key rings twice.
//!
//! The processes that die are this test's own binary, started again with the name of the other test below. `OUTDIAL_DIALS`
//! says for how many dials to go on, 150 otherwise.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::phone::request;
use common::{trunk, within};
use outdial::audit::verify_file;
use outdial::ledger::LedgerReader;
use outdial::provider::Header;
use outdial::{CallEvent, Config, DialProvider, Outdial, Shutdown};
use outdial_sandbox::{Sandbox, Speech};
use serde_json::Value;

/// Where a process that dials finds its configuration.
const PLACE: &str = "OUTDIAL_TEST_PLACE";
/// Calls at the same time.
const TOGETHER: usize = 16;
/// How many keys of the process before are dialled again by the next one, which cannot know what came of them.
const AGAIN: usize = 30;

/// Answered, answered and hung up by the callee, busy, ringing, declined, refused.
const NUMBERS: [&str; 8] = [
    "+12025550116",
    "+12025550116",
    "+12025550102",
    "+12025550103",
    "+12025550116",
    "+12025550104",
    "+12025550112",
    "+12025550196",
];

/// A price of which each part counts: 30/6, a fee, a minimum, another currency.
const TARIFF: &str = r#"
    [trunks.test.tariff]
    currency = "EUR"
    usd_rate = "1.0837"
    rates = [
      { prefix = "1202", price = "0.123", increment = "30/6", connect_fee = "0.05", minimum = "0.06" },
      { prefix = "12025550116", price = "0.077", increment = "1/1", connect_fee = "0.01" },
    ]
"#;

/// The same prices, counted in whole millionths of a cent by hand: micro-dollars times 600 are exact.
fn cost_by_hand(to: &str, talk_ms: u64) -> String {
    if talk_ms == 0 {
        return "0".to_owned();
    }
    let seconds = talk_ms.div_ceil(1000);
    // In ten-thousandths of a euro times sixty.
    let amount = if to == "+12025550116" {
        770 * seconds.max(1) + 100 * 60
    } else {
        let billed = 30 + seconds.saturating_sub(30).div_ceil(6) * 6;
        (1_230 * billed + 500 * 60).max(600 * 60)
    };
    // Times 1.0837: in hundred-millionths of a dollar times sixty; rounded to millionths, halves up.
    let exact = u128::from(amount) * 10_837;
    let micro = (exact + 60 * 50) / (60 * 100);
    let text = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Starts a process that dials from key number `from` on, and dies when it is killed.
fn spawn(place: &Path, from: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "dials_until_it_is_killed", "--ignored", "--nocapture"]);
    command.env(PLACE, place).env("OUTDIAL_TEST_FROM", from.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// How many keys were dialled so far.
fn progress(place: &Path) -> usize {
    std::fs::read_to_string(place.join("progress")).map_or(0, |text| text.lines().count())
}

#[tokio::test]
#[ignore = "the process that the other test kills"]
async fn dials_until_it_is_killed() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let from: usize = std::env::var("OUTDIAL_TEST_FROM").unwrap().parse().unwrap();
    let config = Config::load(place.join("outdial.toml")).unwrap();
    let outdial = Outdial::from_config(&config).await.unwrap();
    let mut progress =
        std::fs::OpenOptions::new().append(true).create(true).open(place.join("progress")).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in from.saturating_sub(AGAIN).. {
        while tasks.len() >= TOGETHER {
            tasks.join_next().await;
        }
        if number >= from {
            writeln!(progress, "k{number}").unwrap();
        }
        let outdial = outdial.clone();
        tasks.spawn(async move { one(&outdial, number).await });
    }
}

async fn one(outdial: &Outdial, number: usize) {
    let key = format!("k{number}");
    let request = request(NUMBERS[number % NUMBERS.len()])
        .ring_timeout(Duration::from_secs(2))
        .header(Header::new("X-Key", &key).unwrap())
        .idempotency_key(key);
    let Ok(call) = outdial.dial_with(request).await else { return };
    let mut events = call.events();
    while let Some(event) = events.next().await {
        if matches!(event, CallEvent::Answered(_)) {
            // Some are over soon, some are up when the process dies.
            tokio::time::sleep(Duration::from_millis(100 + 400 * (number as u64 % 5))).await;
            call.hangup().await;
        }
    }
}

#[tokio::test]
async fn every_start_has_its_end_and_its_cost_and_no_key_rings_twice() {
    let wanted = std::env::var("OUTDIAL_DIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let place = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().speech(Speech::Melodies).without_authentication().start().await.unwrap();
    let mut rung = sandbox.events();
    let records = place.path().join("records");
    let config = format!("{TARIFF}\n[records]\nfolder = {records:?}\nsession = \"s1\"\n");
    let config = trunk::config(sandbox.udp().unwrap(), "transport = \"udp\"", config);
    std::fs::write(place.path().join("outdial.toml"), &config).unwrap();

    // The rings by key, collected as they come.
    let counting = tokio::spawn(async move {
        let mut rings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        while let Some(event) = rung.next().await {
            if let outdial_sandbox::Event::CallStarted(call) = event {
                let key = call.invite.lines().find_map(|line| line.strip_prefix("X-Key: ")).unwrap().trim();
                rings.entry(key.to_owned()).or_default().insert(call.call_id.clone());
            }
        }
        rings
    });
    let mut kills = 0;
    while progress(place.path()) < wanted {
        let from = progress(place.path());
        let mut child = spawn(place.path(), from);
        // Nobody knows where in its work the process is then; it is not killed before it has dialled anything new.
        let begun = async {
            while progress(place.path()) == from {
                assert!(child.try_wait().unwrap().is_none(), "the process ended by itself");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("the first dial of a process", begun).await;
        // Many dials are made by fewer processes that live longer.
        let longest = if wanted > 1_000 { 10_000 } else { 1_500 };
        tokio::time::sleep(Duration::from_millis(rand_ms(kills) % longest)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }

    // The last start recovers what the last kill left, and dials nothing.
    let config = Config::load(place.path().join("outdial.toml")).unwrap();
    let outdial = within("the last start", Outdial::from_config(&config)).await.unwrap();
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    sandbox.shutdown().await;
    let rings = within("the rings", counting).await.unwrap();

    let log = records.join("audit/s1/wire.jsonl");
    let report = verify_file(&log).unwrap();
    assert!(report.is_intact() && report.warnings.is_empty(), "{report:?}");
    let text = std::fs::read_to_string(&log).unwrap();
    let (mut starts, mut ends) = (BTreeMap::<String, u32>::new(), BTreeMap::<String, Vec<Value>>::new());
    for line in text.lines().skip(1) {
        let event = serde_json::from_str::<Value>(line).unwrap()["event"].take();
        let id = event["callId"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap() {
            "voice.call.start" => *starts.entry(id).or_default() += 1,
            "voice.call.end" => ends.entry(id).or_default().push(event),
            other => panic!("{other}"),
        }
    }
    assert!(starts.values().all(|count| *count == 1), "a call started twice");
    assert_eq!(starts.keys().collect::<Vec<_>>(), ends.keys().collect::<Vec<_>>());
    assert!(ends.values().all(|ends| ends.len() == 1), "a call ended twice");

    let calls = LedgerReader::open(&records).unwrap().calls(None).unwrap();
    let mut recovered = 0;
    let mut counted = BTreeSet::new();
    for call in &calls {
        let id = call.call_id.clone().unwrap();
        let usage = call.usage().unwrap_or_else(|| panic!("{id} has no usage"));
        let talk_ms = u64::try_from(usage.talk_time.as_millis()).unwrap();
        let end = &ends[&id][0];
        assert_eq!(
            (end["talkMs"].as_u64(), end["costUsd"].as_f64()),
            (Some(talk_ms), usage.cost_usd.try_into().ok())
        );
        assert_eq!(usage.cost_usd.to_string(), cost_by_hand(call.to.as_str(), talk_ms), "{} ms", talk_ms);
        recovered += usize::from(usage.recovered);
        assert!(counted.insert(id), "a call was counted twice");
    }
    assert_eq!(counted, starts.keys().cloned().collect(), "usage and starts differ");

    let twice: Vec<_> = rings.iter().filter(|(_, calls)| calls.len() > 1).collect();
    assert!(twice.is_empty(), "rang twice: {twice:?}");
    let rang: BTreeSet<_> = rings.values().flatten().cloned().collect();
    let unknown: Vec<_> = rang.difference(&counted).collect();
    assert!(unknown.is_empty(), "rang without a record: {unknown:?}");
    println!(
        "{} keys, {} calls, {} rang, {kills} kills, {recovered} recovered, {} audit records",
        progress(place.path()),
        calls.len(),
        rang.len(),
        report.records
    );
    assert!(recovered > 0, "no process died during a call");
}

/// Up to ten seconds, another time for each kill.
fn rand_ms(kills: u64) -> u64 {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    (u64::from(nanos / 1000) + kills * 37) % 10_000
}
