//! The server side of TLS from the sandbox's own certificates.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::pki::Pki;

/// An acceptor for the server certificate; with `demand_client`, only for clients that the CA has signed.
pub(crate) fn acceptor(pki: &Pki, demand_client: bool) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if demand_client {
        let mut roots = RootCertStore::empty();
        roots.add(pki.ca_der.clone())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pki.server_key_der.clone()));
    let config = builder.with_single_cert(pki.server_chain.clone(), key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
