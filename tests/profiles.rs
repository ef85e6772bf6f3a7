//! What each kind of trunk is sent: the INVITE and the REGISTER of `tests/profiles/NAME.sip`, as sipp receives them.
//!
//! After a change that is meant, `OUTDIAL_BLESS=1 cargo test --test profiles` writes the files anew; look at the
//! difference before you commit it.

mod common;

use std::net::SocketAddr;
use std::path::Path;

use common::sipp::Message;
use common::{Phone, Sipp, Story, trunk};
use outdial::config::{Config, Profile};
use outdial::sip::Registration;

const NUMBER: &str = "+12025550123";

/// An operator's table for the profile, but for what every one of these tests needs.
fn table(profile: Profile) -> &'static str {
    match profile {
        Profile::Asterisk | Profile::Freeswitch | Profile::Kamailio => {
            "server = \"pbx.example.com\"\nuser = \"agents\"\ncaller_id = \"+12025550199\"\ncaller_name = \"Praxis\""
        }
        Profile::Sonetel => "user = \"anna\"\nfrom_domain = \"example.org\"",
        Profile::Voxbone => "user = \"agents\"\ncaller_id = \"+12025550199\"\ndiversion = \"+12025550199\"",
        Profile::Sonus => "server = \"sbc.example.com\"\ncaller_id = \"+12025550199\"",
        Profile::TwilioElastic => {
            "server = \"praxis.pstn.twilio.com\"\nuser = \"agents\"\ncaller_id = \"+12025550199\""
        }
        Profile::Telnyx => "user = \"agents\"\ncaller_id = \"+12025550199\"",
        _ => "server = \"sip.example.com\"\nuser = \"agents\"\ncaller_id = \"+12025550199\"",
    }
}

/// The profile's trunk, which reaches sipp through a proxy, over UDP and with plain RTP: sipp has neither TLS nor SRTP.
fn config(profile: Profile, proxy: SocketAddr, register: bool) -> String {
    let account = table(profile).contains("user = ");
    let password = if account { trunk::password("profile") } else { String::new() };
    format!(
        "[endpoint]\nbind = \"{own}\"\nmax_calls = 8\n[trunks.{name}]\nprofile = \"{profile}\"\n{table}\n{password}\n\
         outbound_proxy = \"{proxy}\"\ntransport = \"udp\"\nregister = {register}\nkeep_alive = \"0s\"\n",
        own = trunk::loopback(1),
        name = trunk::NAME,
        profile = profile.name(),
        table = table(profile),
    )
}

/// A message without what differs from one run to the next.
fn lasting(message: &Message, proxy: SocketAddr) -> String {
    let own = trunk::loopback(1).to_string();
    let text = message.text().replace(&proxy.to_string(), "PROXY");
    let passing = ["Via:", "Call-ID:", "CSeq:", "Content-Length:", "Max-Forwards:", "a=ssrc:", "o="];
    let lines = text.lines().filter(|line| !passing.iter().any(|start| line.starts_with(start)));
    let line = |line: &str| {
        let line = line.split(";tag=").next().unwrap_or_default();
        let mut out = String::new();
        for (index, part) in line.split(&own).enumerate() {
            let part = match index {
                0 => part,
                _ => {
                    out.push_str("OWN");
                    part.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit())
                }
            };
            out.push_str(part);
        }
        match out.split(' ').next() {
            Some("m=audio") => out.replacen(out.split(' ').nth(1).unwrap_or_default(), "PORT", 1),
            Some(first) if first.starts_with("a=rtcp:") => out.replacen(first, "a=rtcp:PORT", 1),
            _ => out,
        }
    };
    lines.map(line).collect::<Vec<_>>().join("\n").trim_end().to_owned() + "\n"
}

async fn invite(profile: Profile) -> String {
    let keys = [("status", "486 Busy Here"), ("header", "X-None: 0")];
    let sipp = Sipp::serve_with("refuse", &keys).await;
    let proxy = sipp.address();
    let phone = Phone::start(&config(profile, proxy, false)).await;
    let call = phone.dial(NUMBER).await;
    assert_eq!(Story::of(&call).await.ending(), "busy by remote: 486 Busy Here");
    phone.shutdown().await;
    lasting(sipp.finish().await.request("INVITE"), proxy)
}

async fn register(profile: Profile) -> String {
    let sipp =
        Sipp::serve_with("register-forbidden", &[("status", "403 Forbidden"), ("header", "X-None: 0")]).await;
    let proxy = sipp.address();
    let phone = Phone::start(&config(profile, proxy, true)).await;
    phone.registration(|state| matches!(state, Registration::Failed { .. })).await;
    phone.shutdown().await;
    lasting(sipp.finish().await.request("REGISTER"), proxy)
}

#[tokio::test]
async fn every_profile_sends_what_its_trunk_wants() {
    let mut wrong = Vec::new();
    for profile in Profile::all() {
        let mut sent = invite(profile).await;
        // One has no account, the other takes no registration.
        if !matches!(profile, Profile::Sonus | Profile::TwilioElastic) {
            sent = format!("{sent}\n{}", register(profile).await);
        }
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/profiles/{}.sip", profile.name()));
        if std::env::var_os("OUTDIAL_BLESS").is_some() {
            std::fs::write(&path, &sent).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if sent != expected {
            wrong.push(format!("{}:\n{sent}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "sent was, other than in the files:\n{}", wrong.join("\n"));
}

#[test]
fn the_tables_of_the_documentation_are_read() {
    for profile in Profile::all().filter(|profile| *profile != Profile::Generic) {
        let page = format!("docs/trunks/{}.md", profile.name());
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&page)).expect(&page);
        let (_, rest) = text.split_once("```toml\n").expect(&page);
        let (table, _) = rest.split_once("```").expect(&page);
        let config = Config::parse(table).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(config.trunks.values().all(|trunk| trunk.profile == profile), "{page}");
    }
}

#[test]
fn a_trunk_of_twilios_has_twilios_name_and_registers_nowhere() {
    for (text, key) in [
        ("server = \"sip.twilio.com\"", "server"),
        ("server = \"praxis.pstn.twilio.com\"\nuser = \"a\"\nregister = true", "register"),
    ] {
        let error = Config::parse(&format!("[trunks.t]\nprofile = \"twilio-elastic\"\n{text}")).unwrap_err();
        assert!(error.to_string().contains(&format!("trunks.t.{key}")), "{error}");
    }
}
