//! Each of the usual mistakes, made on purpose: `outdial check` names it, once, and says what to do.

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;

use common::peer::Peer;
use common::{Sandbox, json_lines, outdial};
use outdial_sandbox::{Builder, Codec, Sandbox as Office, SrtpPolicy};
use serde_json::Value;
use tempfile::TempDir;

const ANSWERS: &str = "+12025550116";

/// A configuration of its own, in a folder of its own.
struct Setup {
    folder: TempDir,
    config: PathBuf,
}

impl Setup {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let config = folder.path().join("outdial.toml");
        let records = format!("[records]\nfolder = {:?}\n", folder.path().join("records"));
        std::fs::write(&config, format!("{records}{text}")).expect("space");
        Self { folder, config }
    }

    /// A trunk over UDP. This side has an address of its own, where nobody else's ports are.
    fn udp(server: SocketAddr, more: &str) -> Self {
        let [.., high, low] = std::process::id().to_be_bytes();
        let endpoint = format!("[endpoint]\nbind = \"127.77.{high}.{low}\"\n");
        Self::new(&format!("{endpoint}[trunks.t]\nserver = \"{server}\"\ntransport = \"udp\"\n{more}"))
    }

    fn findings(&self, options: &[&str]) -> Vec<Value> {
        let mut command = outdial(&["check", "--json", "--config"]);
        json_lines(&command.arg(&self.config).args(options).output().expect("outdial runs"))
    }

    /// The causes of all problems, each of which must say in one line what to do.
    fn causes(&self, options: &[&str]) -> Vec<String> {
        causes(&self.findings(options), "problem")
    }
}

fn causes(findings: &[Value], status: &str) -> Vec<String> {
    let found = findings.iter().filter(|finding| finding["status"] == status);
    let named = found.map(|finding| {
        for line in ["what", "remedy"] {
            let text = finding[line].as_str().unwrap_or_else(|| panic!("{finding}"));
            assert!(!text.is_empty() && !text.contains('\n'), "{finding}");
        }
        finding["cause"].as_str().unwrap_or_else(|| panic!("no cause: {finding}")).to_owned()
    });
    named.collect()
}

const ACCOUNT: &str = "register = true\nuser = \"anna\"\npassword = { source = \"env\", id = \"PATH\" }\n";

/// A registrar whose answers to REGISTER are a test's, and which knows OPTIONS.
fn registrar(register: impl Fn(&str) -> Option<String> + Send + 'static) -> Peer {
    Peer::sip(move |method, text| match method {
        "OPTIONS" => Some("200 OK".to_owned()),
        "REGISTER" => register(text),
        _ => None,
    })
}

fn challenge(more: &str) -> Option<String> {
    // Each time another nonce.
    let nonce = rand::random::<u64>();
    Some(format!(
        "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"pbx\", nonce=\"{nonce:x}\", algorithm=MD5{more}"
    ))
}

#[test]
fn names() {
    let zone = |name: &str, kind: u16| -> Option<(u8, Vec<Vec<u8>>)> {
        let (a, aaaa, srv) = (1, 28, 33);
        match name {
            "empty.test" => Some((0, Vec::new())),
            "six.test" if kind == aaaa => {
                Some((0, vec![vec![0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]))
            }
            "six.test" => Some((0, Vec::new())),
            "broken.test" => Some((2, Vec::new())),
            "refused.test" if kind == a => Some((0, vec![vec![127, 0, 0, 1]])),
            "refused.test" => Some((0, Vec::new())),
            // The target "." with priority, weight and port.
            "_sip._udp.refused.test" if kind == srv => Some((0, vec![vec![0, 0, 0, 0, 0, 0, 0]])),
            name if name.ends_with("refused.test") => Some((3, Vec::new())),
            "silent.test" => None,
            _ => Some((3, Vec::new())),
        }
    };
    let server = Peer::dns(zone);
    for (host, cause) in [
        ("nobody.test", "dns_no_such_name"),
        ("empty.test", "dns_no_address"),
        ("six.test", "address_family"),
        ("broken.test", "dns_no_name_server"),
        ("refused.test", "dns_service_not_offered"),
    ] {
        let setup = Setup::new(&format!(
            "[endpoint]\nnameservers = [\"{}\"]\n[trunks.t]\nserver = \"{host}\"\ntransport = \"udp\"\n",
            server.address()
        ));
        assert_eq!(setup.causes(&[]), [cause], "{host}");
    }
    // Nobody there, and nobody who answers.
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for (server, host) in [(closed, "nobody.test"), (server.address(), "silent.test")] {
        let setup = Setup::new(&format!(
            "[endpoint]\nnameservers = [\"{server}\"]\n[trunks.t]\nserver = \"{host}\"\ntransport = \"udp\"\n"
        ));
        assert_eq!(setup.causes(&[]), ["dns_no_name_server"], "{host}");
    }
    let six = Setup::new("[trunks.t]\nserver = \"[fd00::1]\"\n");
    assert_eq!(six.causes(&[]), ["address_family"]);
}

#[test]
fn another_transport_answers_there() {
    let udp_only = Sandbox::start(&["--tls", "off", "--tcp", "off", "--no-password"]);
    let address = udp_only.ready["udp"].as_str().unwrap().to_owned();
    for transport in ["tls", "tcp"] {
        let setup = Setup::new(&format!("[trunks.t]\nserver = \"{address}\"\ntransport = \"{transport}\"\n"));
        let findings = setup.findings(&[]);
        assert_eq!(causes(&findings, "problem"), ["wrong_transport"], "{transport}");
        let problem = findings.iter().find(|finding| finding["status"] == "problem").unwrap();
        assert!(problem["remedy"].as_str().unwrap().contains("transport = \"udp\""), "{problem}");
    }
    let streams = Sandbox::start(&["--udp", "off", "--no-password"]);
    let (tcp, tls) = (streams.ready["tcp"].as_str().unwrap(), streams.ready["tls"].as_str().unwrap());
    for (address, configured, right) in [(tcp, "tls", "tcp"), (tls, "tcp", "tls"), (tls, "udp", "tls")] {
        let setup =
            Setup::new(&format!("[trunks.t]\nserver = \"{address}\"\ntransport = \"{configured}\"\n"));
        let findings = setup.findings(&[]);
        assert_eq!(
            causes(&findings, "problem"),
            ["wrong_transport"],
            "{configured} to {right}: {findings:?}"
        );
        let problem = findings.iter().find(|finding| finding["status"] == "problem").unwrap();
        assert!(
            problem["remedy"].as_str().unwrap().contains(&format!("transport = \"{right}\"")),
            "{problem}"
        );
    }
}

#[test]
fn silence_and_servers_of_another_kind() {
    let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let setup = Setup::udp(deaf.local_addr().unwrap(), "");
    assert_eq!(setup.causes(&[]), ["silent_drop"]);
    let setup = Setup::udp(deaf.local_addr().unwrap(), ACCOUNT);
    assert_eq!(setup.causes(&[]), ["registrar_silent"]);
    // Takes connections, and hangs up.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let setup = Setup::new(&format!("[trunks.t]\nserver = \"{address}\"\ntransport = \"tcp\"\n"));
    assert_eq!(setup.causes(&[]), ["connection_closed"]);
    let setup = Setup::new(&format!("[trunks.t]\nserver = \"{address}\"\ntransport = \"tls\"\n"));
    assert_eq!(setup.causes(&[]), ["tls_failed"]);
}

#[test]
fn registrars_that_refuse() {
    let user_of = |text: &str| text.contains("From: <sip:anna@");
    type Registers = fn(&str) -> Option<String>;
    let table: [(&str, Registers, &str); 6] = [
        ("it knows nobody", |_| Some("404 Not Found".to_owned()), "unknown_user"),
        ("it permits nobody", |_| Some("403 Forbidden".to_owned()), "registration_forbidden"),
        ("it challenges for ever", |_| challenge(""), "wrong_credentials"),
        ("every nonce is stale", |_| challenge(", stale=true"), "challenge_loop"),
        (
            "403 to a wrong password",
            |text| {
                if text.contains("Authorization:") { Some("403 Forbidden".to_owned()) } else { challenge("") }
            },
            "wrong_credentials",
        ),
        ("it is out of service", |_| Some("500 Server Internal Error".to_owned()), "registration_failed"),
    ];
    for (what, answer, cause) in table {
        let peer = registrar(answer);
        assert_eq!(Setup::udp(peer.address(), ACCOUNT).causes(&[]), [cause], "{what}");
    }
    let peer =
        registrar(move |text| if user_of(text) { challenge("") } else { Some("404 Not Found".to_owned()) });
    assert_eq!(Setup::udp(peer.address(), ACCOUNT).causes(&[]), ["wrong_password"]);
    let realm = Setup::udp(peer.address(), &format!("{ACCOUNT}realm = \"other\"\n"));
    assert_eq!(realm.causes(&[]), ["wrong_realm"], "and no second problem that follows from it");
    let none = Setup::udp(peer.address(), "register = true\nuser = \"anna\"\n");
    assert_eq!(none.causes(&[]), ["password_missing"]);
}

#[test]
fn the_clock_of_a_trunk_that_tells_it() {
    let peer = Peer::sip(|_, _| Some("200 OK\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT".to_owned()));
    let findings = Setup::udp(peer.address(), "").findings(&[]);
    assert!(causes(&findings, "warning").contains(&"clock_wrong".to_owned()), "{findings:?}");
}

/// A certificate for a client that no authority of the server's has signed.
#[test]
fn client_certificates_that_are_refused() {
    let sandbox = Sandbox::start(&["--demand-client-certificate", "--no-password"]);
    let folder = sandbox.folder.path();
    let own = rcgen::generate_simple_self_signed(vec!["me".to_owned()]).unwrap();
    let other_key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.join("own.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.join("own.key"), own.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("other.key"), other_key.serialize_pem()).unwrap();
    let mut old = rcgen::CertificateParams::new(vec!["me".to_owned()]).unwrap();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    old.not_before = rcgen::date_time_ymd(2019, 1, 1);
    let old_key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.join("old.pem"), old.self_signed(&old_key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("old.key"), old_key.serialize_pem()).unwrap();
    for (certificate, key, cause) in [
        ("own.pem", "own.key", "client_certificate_refused"),
        ("own.pem", "other.key", "client_certificate_unusable"),
        ("own.pem", "own.pem", "client_certificate_unusable"),
        ("old.pem", "old.key", "client_certificate_unusable"),
    ] {
        let changed =
            sandbox.changed_config(|text| text.replace("client.pem", certificate).replace("client.key", key));
        let output = outdial(&["check", "--json", "--config"]).arg(&changed).output().unwrap();
        let found = causes(&json_lines(&output), "problem");
        assert_eq!(found, [cause], "{certificate} {key}");
    }
    let without = sandbox.changed_config(|text| {
        text.lines().filter(|line| !line.starts_with("client_")).map(|line| format!("{line}\n")).collect()
    });
    let output = outdial(&["check", "--json", "--config"]).arg(&without).output().unwrap();
    assert_eq!(causes(&json_lines(&output), "problem"), ["client_certificate_missing"]);
}

#[test]
fn a_ca_file_without_a_certificate() {
    let sandbox = Sandbox::start(&[]);
    let empty = sandbox.folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let changed = sandbox.changed_config(|text| text.replace("ca.pem", "empty.pem"));
    let output = outdial(&["check", "--json", "--config"]).arg(&changed).output().unwrap();
    let found = causes(&json_lines(&output), "problem");
    assert_eq!(found, ["certificate_file"]);
}

#[test]
fn what_the_machine_does_not_permit() {
    let setup = Setup::new("[endpoint]\nmax_calls = 1000\n[trunks.t]\nserver = \"127.0.0.1:9\"\n");
    let tool = env!("CARGO_BIN_EXE_outdial");
    // As root a process without the capability, as anybody else one without the limit.
    let lowered = "ulimit -n 300 && ulimit -r 0 && exec \"$@\"";
    let command = outdial(&[]);
    let mut shell = std::process::Command::new("setpriv");
    let inherited: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(|v| v.to_owned()))).collect();
    shell.args(["--bounding-set=-sys_nice", "--inh-caps=-sys_nice", "sh", "-c", lowered, "sh", tool]);
    shell.args(["check", "--json", "--config"]).arg(&setup.config);
    for (name, value) in inherited {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if !rustix::process::geteuid().is_root() {
        // Dropping from the bounding set takes a capability itself; there is nothing to drop.
        shell = std::process::Command::new("sh");
        shell.args(["-c", lowered, "sh", tool, "check", "--json", "--config"]).arg(&setup.config);
    }
    let findings = json_lines(&shell.output().unwrap());
    assert!(causes(&findings, "problem").contains(&"file_descriptors".to_owned()), "{findings:?}");
    assert!(causes(&findings, "warning").contains(&"no_realtime_scheduling".to_owned()), "{findings:?}");
}

/// A sandbox in this process, where more can be said than on the command line.
async fn office(settings: impl FnOnce(Builder) -> Builder) -> Office {
    settings(Office::builder().without_authentication()).start().await.expect("a sandbox")
}

fn calling(number: &str) -> [&str; 2] {
    ["--call", number]
}

/// The causes of a test call over UDP, while the sandbox of this process goes on.
async fn call(server: SocketAddr, more: &'static str, number: &'static str) -> Vec<Value> {
    tokio::task::spawn_blocking(move || Setup::udp(server, more).findings(&calling(number))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_refused() {
    let good = office(|builder| builder).await;
    let udp = good.udp().unwrap();
    let findings = call(udp, "", ANSWERS).await;
    assert_eq!(causes(&findings, "problem"), [""; 0], "{findings:?}");
    for id in ["call", "codec", "srtp", "rtp"] {
        let found = findings.iter().find(|finding| finding["id"] == id);
        assert_eq!(found.map(|finding| &finding["status"]), Some(&"ok".into()), "{id}: {findings:?}");
    }
    for (number, cause) in [
        ("+12025550122", "caller_id_refused"),
        ("+12025550123", "number_unknown"),
        ("+12025550158", "trunk_limit"),
        ("+12025550121", "account_blocked"),
        // No sound comes from this one.
        ("+12025550111", "no_rtp_back"),
        ("+12025550162", "codec_mismatch"),
        ("+12025550167", "codec_mismatch"),
    ] {
        let findings = call(udp, "", number).await;
        assert_eq!(causes(&findings, "problem"), [cause], "{number}: {findings:?}");
    }
    let busy = call(udp, "", "+12025550102").await;
    assert!(busy.iter().any(|finding| finding["id"] == "call" && finding["status"] == "skipped"), "{busy:?}");
    // The rules hold for test calls too.
    let premium = call(udp, "", "+19005550100").await;
    assert_eq!(causes(&premium, "problem"), ["policy_refuses"], "{premium:?}");
    let from = office(|builder| builder.account_in_from()).await;
    let findings =
        call(from.udp().unwrap(), "user = \"anna\"\ncaller_id = \"+12025550199\"\n", ANSWERS).await;
    assert_eq!(causes(&findings, "problem"), ["caller_id_refused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_two_sides_do_not_agree_on() {
    let encrypts = office(|builder| builder.srtp(SrtpPolicy::Required)).await;
    let findings = call(encrypts.udp().unwrap(), "", ANSWERS).await;
    assert_eq!(causes(&findings, "problem"), ["srtp_mismatch"], "{findings:?}");
    let plain = office(|builder| builder.srtp(SrtpPolicy::Off)).await;
    let required = "srtp = \"required\"\nallow_sdes_without_tls = true\n";
    let findings = call(plain.udp().unwrap(), required, ANSWERS).await;
    assert_eq!(causes(&findings, "problem"), ["srtp_mismatch"], "{findings:?}");
    // Answers without encrypting, instead of refusing.
    let downgrades = office(|builder| builder).await;
    let findings = call(downgrades.udp().unwrap(), required, "+12025550172").await;
    assert_eq!(causes(&findings, "problem"), ["srtp_mismatch"], "{findings:?}");
    let wideband = office(|builder| builder.codecs([Codec::G722])).await;
    let findings = call(wideband.udp().unwrap(), "codecs = [\"pcmu\"]\n", ANSWERS).await;
    assert_eq!(causes(&findings, "problem"), ["codec_mismatch"], "{findings:?}");
}

#[test]
fn sound_to_a_private_address() {
    let peer = Peer::sip(|method, text| {
        let sdp = "v=0\r\no=- 1 1 IN IP4 10.255.255.1\r\ns=-\r\nc=IN IP4 10.255.255.1\r\nt=0 0\r\n\
                   m=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";
        // Where the request was sent to.
        let own = text.split([' ', ';']).nth(1).unwrap_or_default();
        Some(match method {
            "INVITE" => format!("200 OK\r\nContact: <{own}>\r\nContent-Type: application/sdp\r\n\r\n{sdp}"),
            _ => "200 OK".to_owned(),
        })
    });
    let setup = Setup::udp(peer.address(), "codecs = [\"pcma\"]\n");
    assert_eq!(setup.causes(&calling(ANSWERS)), ["rtp_to_private_address"]);
    drop(setup.folder);
}
