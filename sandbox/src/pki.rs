//! The sandbox's own certificate authority and the certificates it signs, made afresh at every start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::pki_types::CertificateDer;

/// The host name in the server certificate besides `localhost` and the loopback addresses.
pub(crate) const HOST: &str = "sandbox.outdial.test";

/// What is wrong with the certificate that the sandbox shows, for tests of a client's checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerCertificate {
    /// Nothing: signed by the sandbox's CA, valid now, for `localhost`, `127.0.0.1`, `::1` and
    /// `sandbox.outdial.test`.
    #[default]
    Valid,
    /// Its validity ended yesterday.
    Expired,
    /// Its validity begins tomorrow.
    NotYetValid,
    /// It names only `elsewhere.outdial.test`.
    WrongHost,
    /// It names only `*.outdial.test` (RFC 5922 section 7.2 forbids matching wildcards in SIP).
    Wildcard,
    /// A CA that nobody was told about has signed it.
    UnknownAuthority,
}

/// Certificates in the forms that TLS and files want.
pub(crate) struct Pki {
    pub(crate) ca_pem: String,
    pub(crate) ca_der: CertificateDer<'static>,
    pub(crate) server_chain: Vec<CertificateDer<'static>>,
    pub(crate) server_key_der: Vec<u8>,
    client_pem: String,
    client_key_pem: String,
}

impl Pki {
    pub(crate) fn new(fault: ServerCertificate) -> Result<Self, rcgen::Error> {
        let (ca, ca_cert) = authority("outdial sandbox CA")?;
        let (other_ca, _) = authority("somebody else's CA")?;

        let key = KeyPair::generate()?;
        let mut params = leaf("outdial sandbox", ExtendedKeyUsagePurpose::ServerAuth);
        params.subject_alt_names = match fault {
            ServerCertificate::WrongHost => vec![dns("elsewhere.outdial.test")?],
            ServerCertificate::Wildcard => vec![dns("*.outdial.test")?],
            _ => vec![
                dns("localhost")?,
                dns(HOST)?,
                SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ],
        };
        let now = OffsetDateTime::now_utc();
        match fault {
            ServerCertificate::Expired => {
                params.not_before = now - Duration::days(30);
                params.not_after = now - Duration::days(1);
            }
            ServerCertificate::NotYetValid => params.not_before = now + Duration::days(1),
            _ => {}
        }
        let issuer = if fault == ServerCertificate::UnknownAuthority { &other_ca } else { &ca };
        let server = params.signed_by(&key, issuer)?;

        let client_key = KeyPair::generate()?;
        let client = leaf("outdial sandbox client", ExtendedKeyUsagePurpose::ClientAuth)
            .signed_by(&client_key, &ca)?;
        Ok(Self {
            ca_pem: ca_cert.pem(),
            ca_der: ca_cert.der().clone(),
            server_chain: vec![server.der().clone()],
            server_key_der: key.serialize_der(),
            client_pem: client.pem(),
            client_key_pem: client_key.serialize_pem(),
        })
    }

    /// Writes `ca.pem`, `client.pem` and `client.key` into a directory; the key is readable by its owner only.
    pub(crate) fn write(&self, directory: &Path) -> std::io::Result<PkiFiles> {
        let files = PkiFiles {
            ca: directory.join("ca.pem"),
            client: directory.join("client.pem"),
            client_key: directory.join("client.key"),
        };
        std::fs::write(&files.ca, &self.ca_pem)?;
        std::fs::write(&files.client, &self.client_pem)?;
        write_private(&files.client_key, &self.client_key_pem)?;
        Ok(files)
    }
}

/// Where [`Pki::write`] put things.
#[derive(Clone, Debug)]
pub(crate) struct PkiFiles {
    pub(crate) ca: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) client_key: PathBuf,
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    // A file left by an earlier run keeps its mode when it is opened again, so it goes first.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn authority(name: &str) -> Result<(Issuer<'static, KeyPair>, rcgen::Certificate), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = validity(CertificateParams::default());
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((Issuer::new(params, key), certificate))
}

fn leaf(name: &str, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = validity(CertificateParams::default());
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

/// From an hour ago (clocks differ) to a year from now.
fn validity(mut params: CertificateParams) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(365);
    params
}

fn dns(name: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::DnsName(name.try_into()?))
}
