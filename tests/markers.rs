//! A secret is put everywhere that secrets may be, and looked for everywhere that somebody may look.
//!
//! The process that has them is this test's own binary, started again with the name of the other test below.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use common::phone::request;
use common::{trunk, within};
use outdial::secrets::{SecretName, Store};
use outdial::{Config, DialProvider, Outdial, Shutdown};
use outdial_sandbox::{Sandbox, Speech};

const PLACE: &str = "OUTDIAL_TEST_PLACE";
const VARIABLE: &str = "OUTDIAL_TEST_MARKER";

/// What must be found nowhere: the password that works, one that does not, one in the store.
const RIGHT: &str = "marker-4f1c9a72-right";
const WRONG: &str = "marker-4f1c9a72-wrong";
const SPARE: &str = "marker-4f1c9a72-spare";

/// The process with the secrets: it says all that it can say of everything that it has.
#[tokio::test]
#[ignore = "the process that the other test starts"]
async fn says_all_that_it_can() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stderr).init();
    let path = place.join("outdial.toml");
    let config = Config::load(&path).unwrap();
    let store = config.secrets.open();
    println!("{config:?} {store:?} {:?}", store.store().list());
    for name in ["SPARE", "RIGHT", "CLIENT_KEY"] {
        println!("{:?}", store.resolve(&outdial::secrets::SecretRef::Store(SecretName::new(name).unwrap())));
    }
    // A secret in the wrong place of the configuration.
    let text = std::fs::read_to_string(&path).unwrap();
    for wrong in [
        format!("password = \"{RIGHT}\""),
        format!("pasword = \"{RIGHT}\""),
        format!("password = {{ source = \"{RIGHT}\" }}"),
        format!("password = {RIGHT}"),
    ] {
        let error =
            Config::parse(&format!("{text}\n[trunks.mistaken]\nserver = \"h\"\nuser = \"u\"\n{wrong}\n"))
                .unwrap_err();
        println!("{error} {error:?} {:?}", error.problems());
    }
    let outdial = Outdial::from_config(&config).await.unwrap();
    println!("{:?} {:?}", outdial.config(), outdial.refusals());
    for name in ["environment", "file", "store", "certificate", "refused"] {
        let request = request("+12025550116").trunk(name).idempotency_key(name);
        println!("{request:?}");
        match within("the call", outdial.dial_with(request)).await {
            Ok(call) => {
                println!("{call:?} {:?}", call.events());
                println!("{:?}", within("the answer", call.answered()).await);
                println!("{:?} {:?}", call.send_dtmf("12").await, within("the end", call.hangup()).await);
            }
            Err(error) => println!("{error} {error:?} {}", error.kind()),
        }
    }
    store.store().rotate(&SecretName::new("RIGHT").unwrap(), &WRONG.into()).unwrap();
    println!("{:?}", outdial.renew_secrets().await);
    store.store().rotate(&SecretName::new("RIGHT").unwrap(), &RIGHT.into()).unwrap();
    println!("{:?}", outdial.renew_secrets().await);
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    println!("everything was said");
}

#[tokio::test]
async fn no_secret_is_in_any_log_error_debug_output_record_or_trace() {
    let place = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder()
        .speech(Speech::Melodies)
        .account("marked", RIGHT)
        .demand_client_certificate()
        .start()
        .await
        .unwrap();
    let pem = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (certificate, key) = (pem(sandbox.client_certificate_path()), pem(sandbox.client_key_path()));
    let store = Store::open(place.path().join("secrets"));
    let entries =
        [("RIGHT", RIGHT), ("SPARE", SPARE), ("CLIENT_CERTIFICATE", &certificate), ("CLIENT_KEY", &key)];
    let entry = |(name, value): (&str, &str)| (SecretName::new(name).unwrap(), value.to_owned().into());
    store.import(entries.map(entry)).unwrap();
    let udp = sandbox.udp().unwrap();
    let plain = |name: &str, password: &str| {
        format!(
            "[trunks.{name}]\nserver = \"{udp}\"\ntransport = \"udp\"\nuser = \"marked\"\nregister = true\n{password}\n"
        )
    };
    // Beside what is looked into.
    let files = tempfile::tempdir().unwrap();
    let file = |password: &str| {
        let path = files.path().join(if password == RIGHT { "one" } else { "two" });
        std::fs::write(&path, password).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("password = {{ source = \"file\", id = {path:?} }}")
    };
    let tls = format!(
        "[trunks.certificate]\nserver = \"localhost:{}\"\nca_file = {:?}\nuser = \"marked\"\n{}\n\
         client_cert = {{ source = \"store\", id = \"CLIENT_CERTIFICATE\" }}\n\
         client_key = {{ source = \"store\", id = \"CLIENT_KEY\" }}\n",
        sandbox.tls().unwrap().port(),
        sandbox.ca_path(),
        file(RIGHT),
    );
    let config = [
        format!("[endpoint]\nbind = \"{}\"\n", trunk::loopback(1)),
        format!(
            "[secrets]\nhome = {:?}\n[records]\nfolder = {:?}\n",
            store.home(),
            place.path().join("records")
        ),
        plain("environment", &format!("password = {{ source = \"env\", id = \"{VARIABLE}\" }}")),
        plain("file", &file(RIGHT)),
        plain("store", "password = { source = \"store\", id = \"RIGHT\" }"),
        plain("refused", &file(WRONG)),
        tls,
    ];
    std::fs::write(place.path().join("outdial.toml"), config.concat()).unwrap();

    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "says_all_that_it_can", "--ignored", "--nocapture"]);
    command.env(PLACE, place.path()).env(VARIABLE, RIGHT).env("RUST_LOG", "trace").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let logged = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("everything was said"), "{said}\n{logged}");
    // It is no use to look into a log that says nothing.
    assert!(
        logged.contains("REGISTER sip:") && logged.contains("INVITE sip:"),
        "there is no SIP trace:\n{logged}"
    );
    assert!(said.contains("trunk_unavailable") && said.matches("Completed").count() >= 4, "{said}");

    let mut places =
        vec![("standard output".to_owned(), output.stdout), ("the log".to_owned(), output.stderr)];
    let mut folders = vec![place.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    for name in ["wire.jsonl", "ledger.sqlite", "credentials.json"] {
        assert!(places.iter().any(|(place, _)| place.ends_with(name)), "{name} was not looked into");
    }
    let key_line = key.lines().nth(1).unwrap();
    for secret in [RIGHT, WRONG, SPARE, key_line] {
        let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let escaped = secret.replace('-', "%2D");
        for form in [secret, encoded.trim_end_matches('='), &hex, &escaped] {
            for (place, content) in &places {
                let found = content.windows(form.len()).position(|window| window == form.as_bytes());
                assert_eq!(found, None, "{secret} is in {place}");
            }
        }
    }
    sandbox.shutdown().await;
}
