//! A password that changes is used without a call being dropped.

mod common;

use std::time::Duration;

use common::phone::{request, turn};
use common::{trunk, within};
use outdial::secrets::{SecretName, Store};
use outdial::sip::Registration;
use outdial::{Config, DialProvider, EndReason, Outdial, Shutdown};
use outdial_sandbox::{Sandbox, Speech};

async fn registration(outdial: &Outdial, wanted: impl FnMut(&Registration) -> bool) {
    let mut registration = outdial.endpoint().unwrap().registration(trunk::NAME).unwrap();
    within("the registration", registration.wait_for(wanted)).await.unwrap();
}

#[tokio::test]
async fn a_rotated_password_registers_anew_and_the_call_goes_on() {
    let _turn = turn().await;
    let sandbox =
        Sandbox::builder().speech(Speech::Melodies).account("rotating", "first").start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("secrets"));
    let name = SecretName::new("SIP_PASSWORD").unwrap();
    store.set(&name, &"first".into()).unwrap();
    let more = format!(
        "register = true\n[secrets]\nhome = {:?}\n[records]\nfolder = {:?}",
        store.home(),
        folder.path().join("records")
    );
    let kind =
        "transport = \"udp\"\nuser = \"rotating\"\npassword = { source = \"store\", id = \"SIP_PASSWORD\" }";
    let config = Config::parse(&trunk::config(sandbox.udp().unwrap(), kind, more)).unwrap();
    let outdial = within("the start", Outdial::from_config(&config)).await.unwrap();
    registration(&outdial, |state| matches!(state, Registration::Registered { .. })).await;
    let call = within("the call", outdial.dial_with(request("+12025550116"))).await.unwrap();
    within("the answer", call.answered()).await.unwrap();
    let mut audio = call.audio().unwrap();

    // Nothing has changed: nothing happens.
    assert!(within("the renewal", outdial.renew_secrets()).await.unwrap().is_empty());
    registration(&outdial, |state| matches!(state, Registration::Registered { .. })).await;
    // The registrar does not know the new password, which shows that it is the one in use.
    store.rotate(&name, &"second".into()).unwrap();
    assert_eq!(within("the renewal", outdial.renew_secrets()).await.unwrap(), [trunk::NAME]);
    registration(&outdial, Registration::credentials_refused).await;
    assert_eq!(outdial.dial_with(request("+12025550116")).await.unwrap_err().kind(), "trunk_unavailable");
    store.rotate(&name, &"first".into()).unwrap();
    assert_eq!(within("the renewal", outdial.renew_secrets()).await.unwrap(), [trunk::NAME]);
    registration(&outdial, |state| matches!(state, Registration::Registered { .. })).await;

    // Sound comes, and further calls can be made.
    while audio.listener.try_recv().is_ok() {}
    assert!(within("sound", audio.listener.recv()).await.is_some());
    let other = within("the call", outdial.dial_with(request("+12025550116"))).await.unwrap();
    within("the answer", other.answered()).await.unwrap();
    assert!(call.end().is_none());
    for call in [other, call] {
        assert_eq!(within("the end", call.hangup()).await.reason, EndReason::Completed);
    }
    within("the shutdown", outdial.shutdown(Shutdown::Drain(Duration::from_secs(1)))).await;
    let log = std::fs::read_to_string(folder.path().join("records/audit/outdial/wire.jsonl")).unwrap();
    assert_eq!(log.matches("voice.credential.used").count(), 3);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_changes_nothing() {
    let _turn = turn().await;
    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let more = format!("register = true\n[records]\nfolder = {:?}", folder.path());
    let password = folder.path().join("password");
    let write = || {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(&password, sandbox.password()).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write();
    let kind = format!(
        "transport = \"udp\"\nuser = {:?}\npassword = {{ source = \"file\", id = {password:?} }}",
        sandbox.username()
    );
    let config = Config::parse(&trunk::config(sandbox.udp().unwrap(), &kind, more)).unwrap();
    let outdial = within("the start", Outdial::from_config(&config)).await.unwrap();
    registration(&outdial, |state| matches!(state, Registration::Registered { .. })).await;
    std::fs::remove_file(&password).unwrap();
    assert!(outdial.renew_secrets().await.is_err());
    registration(&outdial, |state| matches!(state, Registration::Registered { .. })).await;
    write();
    assert!(outdial.renew_secrets().await.unwrap().is_empty());
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_rotated_client_certificate_is_shown_by_the_next_call() {
    let _turn = turn().await;
    let sandbox =
        Sandbox::builder().speech(Speech::Melodies).demand_client_certificate().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("secrets"));
    let name = |name: &str| SecretName::new(name).unwrap();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let certificate = read(sandbox.client_certificate_path());
    let key = read(sandbox.client_key_path());
    store.import([(name("CERTIFICATE"), certificate.clone().into()), (name("KEY"), key.into())]).unwrap();
    let more = format!(
        "client_cert = {{ source = \"store\", id = \"CERTIFICATE\" }}\n\
         client_key = {{ source = \"store\", id = \"KEY\" }}\n\
         [secrets]\nhome = {:?}\n[records]\nfolder = {:?}",
        store.home(),
        folder.path().join("records")
    );
    let config = Config::parse(&trunk::sandbox_tls(&sandbox, more)).unwrap();
    let outdial = within("the start", Outdial::from_config(&config)).await.unwrap();
    let first = within("the call", outdial.dial_with(request("+12025550116"))).await.unwrap();
    within("the answer", first.answered()).await.unwrap();
    // A certificate of nobody's is refused: it is the one that is shown.
    let stranger = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let (other, other_key) = (read(stranger.client_certificate_path()), read(stranger.client_key_path()));
    let own_key = read(sandbox.client_key_path());
    store.import([(name("CERTIFICATE"), other.into()), (name("KEY"), other_key.into())]).unwrap();
    assert_eq!(within("the renewal", outdial.renew_secrets()).await.unwrap(), [trunk::NAME]);
    let refused = match within("the dial", outdial.dial_with(request("+12025550116"))).await {
        Ok(call) => within("the end", call.ended()).await.reason,
        Err(error) => {
            assert_eq!(error.kind(), "unreachable");
            EndReason::Unreachable
        }
    };
    assert!(matches!(refused, EndReason::Unreachable | EndReason::Timeout), "{refused}");
    store.import([(name("CERTIFICATE"), certificate.into()), (name("KEY"), own_key.into())]).unwrap();
    assert_eq!(within("the renewal", outdial.renew_secrets()).await.unwrap(), [trunk::NAME]);
    let second = within("the call", outdial.dial_with(request("+12025550116"))).await.unwrap();
    within("the answer", second.answered()).await.unwrap();
    assert!(first.end().is_none());
    for call in [first, second] {
        assert_eq!(within("the end", call.hangup()).await.reason, EndReason::Completed);
    }
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    stranger.shutdown().await;
    sandbox.shutdown().await;
}

/// As certificates are renewed by a program beside, under their old names.
#[tokio::test]
async fn a_client_certificate_that_is_renewed_on_disk_is_noticed() {
    let _turn = turn().await;
    let sandbox =
        Sandbox::builder().speech(Speech::Melodies).demand_client_certificate().start().await.unwrap();
    let stranger = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    let renew = |from: &Sandbox| {
        std::fs::copy(from.client_certificate_path(), &certificate).unwrap();
        std::fs::copy(from.client_key_path(), &key).unwrap();
    };
    // One that the server does not accept; then the right one.
    renew(&stranger);
    let more = format!(
        "client_cert = {certificate:?}\nclient_key = {key:?}\n[records]\nfolder = {:?}",
        folder.path().join("records")
    );
    let config = Config::parse(&trunk::sandbox_tls(&sandbox, more)).unwrap();
    let outdial = within("the start", Outdial::from_config(&config)).await.unwrap();
    assert!(within("the renewal", outdial.renew_secrets()).await.unwrap().is_empty());
    renew(&sandbox);
    assert_eq!(within("the renewal", outdial.renew_secrets()).await.unwrap(), [trunk::NAME]);
    let call = within("the call", outdial.dial_with(request("+12025550116"))).await.unwrap();
    within("the answer", call.answered()).await.unwrap();
    assert_eq!(within("the end", call.hangup()).await.reason, EndReason::Completed);
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    for sandbox in [stranger, sandbox] {
        sandbox.shutdown().await;
    }
}
