//! Certificates for the peers: an authority, a server, a client, and their keys in PEM.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Makes them anew: certificates of an earlier day may have expired.
pub(super) fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut authority = parameters("outdial test authority", &[])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    fs::write(folder.join("ca.pem"), authority.pem())?;
    for (name, names, purpose) in [
        (
            "server",
            &[
                "asterisk.test",
                "kamailio.test",
                "localhost",
                super::asterisk::ADDRESS,
                super::kamailio::ADDRESS,
            ][..],
            ExtendedKeyUsagePurpose::ServerAuth,
        ),
        ("client", &["client.test"][..], ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut leaf = parameters(name, names)?;
        leaf.extended_key_usages = vec![purpose];
        let key = KeyPair::generate()?;
        fs::write(folder.join(format!("{name}.pem")), leaf.signed_by(&key, &authority)?.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}

fn parameters(common_name: &str, names: &[&str]) -> anyhow::Result<CertificateParams> {
    let mut parameters =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    Ok(parameters)
}
