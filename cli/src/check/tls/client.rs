//! Our own certificate, for servers that ask for one.

use anyhow::{Context, Result};
use openssl::asn1::Asn1Time;
use openssl::pkey::PKey;
use openssl::ssl::SslConnectorBuilder;
use openssl::x509::X509;
use outdial::config::{Config, Pem, TrunkConfig};
use secrecy::ExposeSecret as _;

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Unusable {
    pub(super) what: String,
    pub(super) remedy: &'static str,
}

/// Whether what is configured can be read, whatever it holds.
pub(super) fn is_there(config: &Config, trunk: &TrunkConfig) -> bool {
    [&trunk.client_cert, &trunk.client_key].into_iter().flatten().all(|source| pem(config, source).is_ok())
}

/// Has the connection show the trunk's certificate, if it has one.
pub(super) fn present(config: &Config, trunk: &TrunkConfig, builder: &mut SslConnectorBuilder) -> Result<()> {
    let (Some(certificate), Some(key)) = (&trunk.client_cert, &trunk.client_key) else { return Ok(()) };
    let unusable = |what: String, remedy| Unusable { what, remedy };
    let chain = X509::stack_from_pem(&pem(config, certificate).context("client_cert")?).ok();
    let mut chain = chain.unwrap_or_default().into_iter();
    let own = chain.next().ok_or_else(|| {
        unusable("client_cert holds no certificate".to_owned(), "it must hold one as PEM, its chain after it")
    })?;
    let key = PKey::private_key_from_pem(&pem(config, key).context("client_key")?).map_err(|_| {
        unusable(
            "client_key holds no private key that can be read".to_owned(),
            "it must hold one as PEM, without a password",
        )
    })?;
    if !own.public_key()?.public_eq(&key) {
        return Err(unusable(
            "client_key is not the key of client_cert".to_owned(),
            "name the two files that were made together",
        )
        .into());
    }
    if own.not_after() < Asn1Time::days_from_now(0)? {
        return Err(unusable(
            format!("our client certificate has expired, at {}", own.not_after()),
            "have a new one signed by whoever gave you this one",
        )
        .into());
    }
    builder.set_certificate(&own)?;
    chain.try_for_each(|further| builder.add_extra_chain_cert(further))?;
    builder.set_private_key(&key)?;
    Ok(())
}

fn pem(config: &Config, source: &Pem) -> Result<Vec<u8>> {
    Ok(match source {
        Pem::File(path) => std::fs::read(path)?,
        Pem::Secret(reference) => {
            config.secrets.open().resolve(reference)?.expose_secret().as_bytes().to_vec()
        }
    })
}
