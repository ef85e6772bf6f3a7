//! Clients of web services: they verify certificates, and ask each thing once.

#[cfg(feature = "_service")]
mod trust;

use std::sync::Arc;

use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::RootCertStore;
#[cfg(feature = "_service")]
pub(crate) use trust::{authorities_in, distrust};

/// The certificate authorities of this system.
pub(crate) fn authorities(encrypted: bool) -> Result<RootCertStore, String> {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if authorities.is_empty() && encrypted {
        return Err("this system has no certificate authorities: install ca-certificates".to_owned());
    }
    Ok(authorities)
}

/// A client that trusts these. What is not encrypted stays on this machine, where no proxy helps.
pub(crate) fn client(authorities: RootCertStore, encrypted: bool) -> Result<ClientBuilder, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(authorities)
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("outdial/", env!("CARGO_PKG_VERSION")))
        // What is done again, and what is not, is decided in one place, and that is not inside the client.
        .retry(retry::never())
        .redirect(redirect::Policy::none());
    Ok(if encrypted { client } else { client.no_proxy() })
}
