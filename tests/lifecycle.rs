//! Starting, shutting down and starting again leaves nothing behind.

mod common;

use std::time::Duration;

use common::process::Holdings;
use common::stranger::{Received, Stranger};
use common::{Phone, Story, trunk, within};
use outdial::call::{Call, CallEvent};
use outdial::config::Config;
use outdial::provider::{DialError, DialProvider};
use outdial::sip::{Endpoint, Registration, Shutdown, StartError};
use outdial_sandbox::Sandbox;

const ECHO: &str = "+12025550116";
const RINGS: &str = "+12025550103";

#[tokio::test]
async fn a_second_endpoint_is_refused_while_the_first_one_lives() {
    let config = trunk::plain((trunk::loopback(9), 5060).into(), "");
    let phone = Phone::start(&config).await;
    let parsed = Config::parse(&config).unwrap();
    // As often as it is tried: a refusal must not give the place away.
    for _ in 0..3 {
        let Err(error) = within("the start", Endpoint::start(&parsed)).await else { panic!("two endpoints") };
        assert!(matches!(error, StartError::AlreadyRunning), "{error:?}");
        assert!(error.to_string().contains("shut it down first"), "{error}");
    }
    phone.shutdown().await;
    Phone::start(&config).await.shutdown().await;
}

#[tokio::test]
async fn a_start_that_failed_leaves_room_for_one_that_works() {
    let server = (trunk::loopback(9), 5060).into();
    let taken = std::net::UdpSocket::bind((trunk::loopback(1), 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Phone::try_start(&trunk::plain(server, format!("local_port = {port}"))).await.err();
    assert!(matches!(&error, Some(StartError::Trunk { trunk, .. }) if trunk == trunk::NAME), "{error:?}");
    let secret = "user = \"a\"\npassword = { source = \"file\", id = \"/nowhere/at/all\" }";
    let error = Phone::try_start(&trunk::plain(server, secret)).await.err();
    assert!(
        matches!(&error, Some(StartError::Trunk { detail, .. }) if detail.contains("/nowhere/at/all")),
        "{error:?}"
    );
    Phone::start(&trunk::plain(server, "")).await.shutdown().await;
}

#[tokio::test]
async fn a_hundred_endpoints_one_after_the_other_leave_nothing_behind() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let config = format!(
        "{}\n[trunks.second]\nserver = \"localhost:{}\"\nca_file = {:?}\n",
        trunk::sandbox_udp(&sandbox, "register = true"),
        sandbox.tls().unwrap().port(),
        sandbox.ca_path(),
    );
    let round = async |calls: bool| {
        let phone = Phone::start(&config).await;
        if calls {
            let call = phone.dial_with(common::phone::request(ECHO).trunk(trunk::NAME)).await;
            within("the answer", call.answered()).await.unwrap();
            within("the end", call.hangup()).await;
        }
        phone.shutdown().await;
    };
    // What is made once for the whole process is there after the first rounds.
    for _ in 0..3 {
        round(true).await;
    }
    let before = settled().await;
    for index in 0..100 {
        round(index % 10 == 0).await;
    }
    let after = settled().await;
    assert_eq!(
        (&after.threads, after.sockets()),
        (&before.threads, before.sockets()),
        "{before:?}\n{after:?}"
    );
    assert_eq!(after.descriptors, before.descriptors);
    sandbox.shutdown().await;
}

/// What the process holds once the sandbox's tasks have closed what their calls had.
async fn settled() -> Holdings {
    let mut last = Holdings::now();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = Holdings::now();
        if now == last {
            return now;
        }
        last = now;
    }
}

#[tokio::test]
async fn a_shutdown_ends_what_is_up() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "register = true")).await;
    let talking = phone.dial(ECHO).await;
    within("the answer", talking.answered()).await.unwrap();
    let ringing = phone.dial(RINGS).await;
    let mut events = ringing.events();
    let rings = async { while events.next().await != Some(CallEvent::Ringing) {} };
    within("ringing", rings).await;
    within("the shutdown", phone.endpoint().shutdown(Shutdown::HangUp)).await;
    assert_eq!(Story::of(&talking).await.ending(), "completed by local: 200 OK");
    let story = Story::of(&ringing).await;
    assert!(story.ending().starts_with("cancelled by local"), "{}", story.ending());
    for call in [&talking, &ringing] {
        let record = within("the sandbox's record", sandbox.call_ended(call.id().as_str())).await;
        assert!(record.outcome.is_some());
    }
    assert!(sandbox.registrations().is_empty());
    assert!(matches!(phone.dial_in_vain(ECHO).await, DialError::ShutDown));
    // A second one has nothing to do; orders to calls of an endpoint that is gone do no harm.
    within("the second shutdown", phone.endpoint().shutdown(Shutdown::HangUp)).await;
    within("a late hang-up", talking.hangup()).await;
    drop(phone);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_drain_takes_no_new_call_and_lets_the_old_one_finish() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    // It hangs up by itself, two seconds after its answer.
    let call: Call = phone.dial("+12025550109").await;
    within("the answer", call.answered()).await.unwrap();
    let endpoint = phone.endpoint().clone();
    let drain = tokio::spawn(async move { endpoint.shutdown(Shutdown::Drain(common::PATIENCE)).await });
    let refused = async {
        loop {
            match phone.endpoint().dial_with(common::phone::request(RINGS)).await {
                Err(DialError::ShutDown) => return,
                Err(other) => panic!("{other:?}"),
                // The drain had not begun.
                Ok(call) => drop(call.hangup().await),
            }
        }
    };
    within("the refusal of a new call", refused).await;
    assert_eq!(Story::of(&call).await.ending(), "completed by remote: 200 OK (16)");
    within("the drain", drain).await.unwrap();
    drop(phone);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn dropping_every_handle_shuts_down_by_itself() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let config = trunk::sandbox_udp(&sandbox, "");
    let phone = Phone::start(&config).await;
    let call = phone.dial(RINGS).await;
    let events = call.events();
    drop(phone);
    // The call's handle keeps the endpoint.
    assert!(call.end().is_none());
    drop(call);
    assert!(Story::told_by(events).await.ending().starts_with("cancelled by local"));
    // The next start waits until the first endpoint is gone.
    Phone::start(&config).await.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_start_that_is_not_waited_for_leaves_room_for_the_next() {
    let config = Config::parse(&trunk::plain((trunk::loopback(9), 5060).into(), "")).unwrap();
    let _turn = common::phone::turn().await;
    for _ in 0..5 {
        tokio::select! {
            biased;
            started = Endpoint::start(&config) => drop(started),
            () = std::future::ready(()) => {}
        }
        let endpoint = within("the next start", common::phone::start(&config)).await.unwrap();
        within("the shutdown", endpoint.shutdown(Shutdown::HangUp)).await;
    }
}

/// The first REGISTER is answered, and nothing after it: the account is never taken off, and each restart would keep its
/// socket.
#[tokio::test]
async fn a_registrar_that_falls_silent_keeps_nothing_open() {
    let round = async || {
        let mut asked = false;
        let registrar = Stranger::new(move |message: &Received| {
            let first = !std::mem::replace(&mut asked, true);
            let contact = format!("Contact: {};expires=600\r\n", message.header("Contact"));
            first.then(|| message.respond("200 OK", &contact, b"")).into_iter().collect()
        })
        .await;
        let more = format!("register = true\nuser = \"alice\"\n{}", trunk::password("wonderland"));
        let phone = Phone::start(&trunk::plain(registrar.address(), more)).await;
        phone.registration(|state| matches!(state, Registration::Registered { .. })).await;
        phone.shutdown().await;
    };
    round().await;
    let before = settled().await;
    for _ in 0..3 {
        round().await;
    }
    assert_eq!(settled().await.sockets(), before.sockets(), "{before:?}");
}
