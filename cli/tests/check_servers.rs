//! Servers of other kinds, registrars with answers of their own, and routes that lead nowhere: what stands where a trunk should
//! be is named, once and in one line.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use common::peer::Peer;
use common::{Sandbox, json_lines, outdial};
use tempfile::TempDir;

const REGISTERS: &str = "register = true\nuser = \"anna\"\npassword = { source = \"env\", id = \"PATH\" }\n";

/// The causes of all problems of a trunk's table, each of which says in one line what is so and what to do.
fn causes(table: &str, options: &[&str]) -> Vec<String> {
    let folder = TempDir::new().expect("a folder");
    let config: PathBuf = folder.path().join("outdial.toml");
    let records = format!("[records]\nfolder = {:?}\n", folder.path().join("records"));
    std::fs::write(&config, format!("{records}{table}")).expect("space");
    let json =
        outdial(&["check", "--json", "--config"]).arg(&config).args(options).output().expect("it runs");
    let problems = json_lines(&json).into_iter().filter(|finding| finding["status"] == "problem");
    let named: Vec<(String, String)> = problems
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap_or_else(|| panic!("{finding}")).to_owned();
            let line = format!("{}: {} → {}", text("cause"), text("what"), text("remedy"));
            assert!(!line.contains('\n'), "{line}");
            (text("cause"), line)
        })
        .collect();
    if options.is_empty() {
        // For people the same, each in one line that has all of it.
        let output = outdial(&["check", "--config"]).arg(&config).output().expect("it runs");
        let shown = String::from_utf8(output.stdout).expect("a text");
        for (cause, _) in &named {
            let lines: Vec<&str> =
                shown.lines().filter(|line| line.contains(&format!(" {cause}: "))).collect();
            let count = named.iter().filter(|(other, _)| other == cause).count();
            assert!(
                lines.len() == count && lines.iter().all(|line| line.contains(" → ")),
                "{cause}: {shown}"
            );
        }
    }
    named.into_iter().map(|(cause, _)| cause).collect()
}

fn trunk(server: SocketAddr, transport: &str, more: &str) -> String {
    format!("[trunks.t]\nserver = \"{server}\"\ntransport = \"{transport}\"\n{more}")
}

/// A TCP server that does something with each connection.
fn server(each: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = each.clone();
            std::thread::spawn(move || each(stream));
        }
    });
    address
}

#[test]
fn servers_of_another_kind() {
    let web = server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    let shell = server(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        let _ = stream.read(&mut [0; 4096]);
        std::thread::sleep(std::time::Duration::from_secs(5));
    });
    for (kind, address) in [("web", web), ("ssh", shell)] {
        for transport in ["tcp", "tls"] {
            assert_eq!(causes(&trunk(address, transport, ""), &[]), ["no_sip_answer"], "{kind}, {transport}");
        }
    }
    let echo = Peer::datagrams(|packet| vec![packet.to_vec()]);
    assert_eq!(causes(&trunk(echo.address(), "udp", ""), &[]), ["no_sip_answer"]);
}

fn digest() -> String {
    let nonce = rand::random::<u64>();
    format!("401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"pbx\", nonce=\"{nonce:x}\", qop=\"auth\"")
}

fn registrar(register: impl Fn(&str) -> String + Send + 'static) -> Peer {
    Peer::sip(move |method, text| {
        Some(if method == "REGISTER" { register(text) } else { "200 OK".to_owned() })
    })
}

#[test]
fn registrars_with_answers_of_their_own() {
    type Answer = fn(&str) -> String;
    let table: [(&str, Answer, &str); 7] = [
        ("no registrar", |_| "405 Method Not Allowed".to_owned(), "not_a_registrar"),
        ("another host is", |_| "302 Moved\r\nContact: <sip:127.0.0.1:9>".to_owned(), "not_a_registrar"),
        ("Kamailio, of another domain", |_| "403 Not relaying".to_owned(), "wrong_domain"),
        ("Basic", |_| "401 No\r\nWWW-Authenticate: Basic realm=\"a\"".to_owned(), "challenge_not_understood"),
        ("nothing to answer", |_| "401 No".to_owned(), "challenge_not_understood"),
        (
            "Asterisk, without a place for registrations",
            |text| if text.contains("username=\"anna\"") { "403 Forbidden".to_owned() } else { digest() },
            "registration_forbidden",
        ),
        (
            "FreeSWITCH, and a wrong password",
            |text| if text.contains("Authorization:") { "403 Forbidden".to_owned() } else { digest() },
            "wrong_credentials",
        ),
    ];
    for (what, answer, cause) in table {
        let peer = registrar(answer);
        assert_eq!(causes(&trunk(peer.address(), "udp", REGISTERS), &[]), [cause], "{what}");
    }
}

#[test]
fn a_registrar_of_its_own_is_looked_at() {
    let calls = registrar(|_| "200 OK".to_owned());
    for (host, cause) in [("reg.outdial.invalid", "dns_no_such_name"), ("127.0.0.1:9", "port_closed")] {
        let more = format!("{REGISTERS}registrar = \"{host}\"\n");
        assert_eq!(causes(&trunk(calls.address(), "udp", &more), &[]), [cause], "{host}");
    }
}

/// Where a trunk does not register and challenges OPTIONS, as Asterisk does, no call is needed to try the password.
#[test]
fn a_password_is_tried_without_a_registration() {
    let sandbox = Sandbox::start(&["--tls", "off", "--tcp", "off"]);
    let address: SocketAddr = sandbox.ready["udp"].as_str().unwrap().parse().unwrap();
    let account =
        |user: &str| format!("user = \"{user}\"\npassword = {{ source = \"env\", id = \"PATH\" }}\n");
    let peer = Peer::sip(|_, _| Some(digest()));
    assert_eq!(causes(&trunk(peer.address(), "udp", &account("anna")), &[]), ["wrong_credentials"]);
    let takes = Peer::sip(|_, text| {
        Some(if text.contains("username=\"anna\"") { "200 OK".to_owned() } else { digest() })
    });
    assert_eq!(causes(&trunk(takes.address(), "udp", &account("anna")), &[]), [""; 0]);
    // A server that answers OPTIONS to everybody is asked nothing.
    assert_eq!(causes(&trunk(address, "udp", &account("anna")), &[]), [""; 0]);
}

#[test]
fn one_mistake_is_one_problem() {
    let web = server(drop);
    assert_eq!(causes(&trunk(web, "tls", "ca_file = \"/nonexistent.pem\"\n"), &[]), ["certificate_file"]);
    let key = "client_cert = \"/nonexistent.pem\"\nclient_key = \"/nonexistent.key\"\n";
    assert_eq!(causes(&trunk(web, "tls", key), &[]), ["certificate_file", "certificate_file"]);
    assert_eq!(causes("[trunks.t\nserver = \"a\"\n", &[]), ["configuration_invalid"]);
}

#[test]
fn a_password_of_two_lines_and_one_that_others_read() {
    let peer = registrar(|_| "200 OK".to_owned());
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    let more = format!("user = \"anna\"\npassword = {{ source = \"file\", id = {file:?} }}\n");
    std::fs::write(&file, "one\ntwo").unwrap();
    let permit = |mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (mode, expected) in [(0o600, "secret_unusable"), (0o644, "secret_unusable")] {
        permit(mode);
        assert_eq!(causes(&trunk(peer.address(), "udp", &more), &[]), [expected], "{mode:o}");
    }
    std::fs::write(&file, "one\r\n").unwrap();
    permit(0o600);
    assert_eq!(
        causes(&trunk(peer.address(), "udp", &more), &[]),
        [""; 0],
        "a line's end after it does no harm"
    );
}

#[test]
fn refusals_that_are_not_of_the_caller_id() {
    for (answer, cause) in
        [("403 Not relaying", "wrong_domain"), ("403 Forbidden auth ID", "auth_user_mismatch")]
    {
        let peer =
            Peer::sip(move |method, _| Some(if method == "INVITE" { answer } else { "200 OK" }.to_owned()));
        assert_eq!(causes(&trunk(peer.address(), "udp", ""), &["--call", "+12025550100"]), [cause]);
    }
}

/// Certificates that nobody should sign, and chains with a gap.
#[test]
fn certificates_of_other_faults() {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    let folder = TempDir::new().unwrap();
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let (root_key, middle_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root_params = authority("the root");
    let root = root_params.self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(root_params, &root_key);
    let middle_params = authority("the intermediate");
    let _middle = middle_params.signed_by(&middle_key, &root_issuer).unwrap();
    let middle_issuer = Issuer::new(middle_params, &middle_key);
    std::fs::write(folder.path().join("ca.pem"), root.pem()).unwrap();
    let listen = |issuer: &Issuer<'_, &KeyPair>, purpose| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, issuer).unwrap();
        let mut acceptor =
            openssl::ssl::SslAcceptor::mozilla_intermediate_v5(openssl::ssl::SslMethod::tls_server())
                .unwrap();
        acceptor
            .set_certificate(&openssl::x509::X509::from_pem(certificate.pem().as_bytes()).unwrap())
            .unwrap();
        let key = openssl::pkey::PKey::private_key_from_pem(key.serialize_pem().as_bytes()).unwrap();
        acceptor.set_private_key(&key).unwrap();
        let acceptor = acceptor.build();
        server(move |stream| drop(acceptor.accept(stream)))
    };
    let ca = format!("ca_file = {:?}\n", folder.path().join("ca.pem"));
    let gap = listen(&middle_issuer, ExtendedKeyUsagePurpose::ServerAuth);
    assert_eq!(causes(&trunk(gap, "tls", &ca), &[]), ["unknown_authority"]);
    let client = listen(&root_issuer, ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(causes(&trunk(client, "tls", &ca), &[]), ["certificate_unsuitable"]);
}
