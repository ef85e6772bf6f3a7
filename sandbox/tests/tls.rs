//! What a TLS client gets to see, good and bad.

mod common;

use common::{handshake, tls_config};
use outdial_sandbox::{Event, Sandbox, ServerCertificate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

async fn connect(sandbox: &Sandbox, name: &str) -> Result<(), String> {
    let stream = TcpStream::connect(sandbox.tls().unwrap()).await.unwrap();
    handshake(stream, tls_config(sandbox.ca_pem()), name).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_certificate_is_good_for_every_name_of_the_sandbox() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for name in ["localhost", "127.0.0.1", sandbox.host_name()] {
        assert_eq!(connect(&sandbox, name).await, Ok(()), "{name}");
    }
    assert!(connect(&sandbox, "example.org").await.is_err());
    let on_disk = std::fs::read_to_string(sandbox.ca_path()).unwrap();
    assert_eq!(on_disk, sandbox.ca_pem());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn faults_are_what_they_say() {
    for (fault, word) in [
        (ServerCertificate::Expired, "expired"),
        (ServerCertificate::NotYetValid, "not valid yet"),
        (ServerCertificate::WrongHost, "not valid for name"),
        (ServerCertificate::UnknownAuthority, "UnknownIssuer"),
    ] {
        let sandbox = Sandbox::builder().certificate(fault).start().await.unwrap();
        let mut events = sandbox.events();
        let error = connect(&sandbox, sandbox.host_name()).await.unwrap_err();
        assert!(error.contains(word), "{fault:?}: {error}");
        assert!(matches!(events.next().await, Some(Event::TlsRefused { .. })));
        sandbox.shutdown().await;
    }
    // This client follows the web's rules and takes a wildcard; SIP's rules (RFC 5922) would not.
    let sandbox = Sandbox::builder().certificate(ServerCertificate::Wildcard).start().await.unwrap();
    assert_eq!(connect(&sandbox, "sandbox.outdial.test").await, Ok(()));
    assert!(connect(&sandbox, "localhost").await.is_err());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_client_certificate_can_be_demanded() {
    let sandbox = Sandbox::builder().demand_client_certificate().start().await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(sandbox.ca_path()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let with_certificate = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(sandbox.client_certificate_path()).unwrap()],
            PrivateKeyDer::from_pem_file(sandbox.client_key_path()).unwrap(),
        )
        .unwrap();
    let options = "OPTIONS sip:sandbox SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK1\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:sandbox>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    for (config, answered) in [(with_certificate, true), (tls_config(sandbox.ca_pem()), false)] {
        let stream = TcpStream::connect(sandbox.tls().unwrap()).await.unwrap();
        // Under TLS 1.3 a missing certificate shows only after the client's side of the handshake.
        let mut stream = handshake(stream, config, "localhost").await.unwrap();
        let _ = stream.write_all(options.as_bytes()).await;
        let mut reply = [0; 1024];
        let length = stream.read(&mut reply).await.unwrap_or(0);
        assert_eq!(reply[..length].starts_with(b"SIP/2.0 200"), answered);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(sandbox.client_key_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    sandbox.shutdown().await;
}
