//! Whose certificates are trusted, and why one is not.

use std::error::Error;
use std::io;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, RootCertStore};

/// The certificate authorities of a file, in PEM.
pub(crate) fn authorities_in(file: &Path) -> Result<RootCertStore, String> {
    let failed = |why: String| format!("the authorities in {}: {why}", file.display());
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        authorities.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if authorities.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(authorities)
}

/// Why the server's certificate was not accepted, if that is why a request failed.
pub(crate) fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    let mut error = Some(error);
    while let Some(cause) = error {
        if let Some(rustls::Error::InvalidCertificate(why)) = cause.downcast_ref() {
            return Some(match why {
                // An authority of the same name and another key has not signed it either.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    "none of the known authorities has signed it".to_owned()
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "it is for another name".to_owned()
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "it has expired".to_owned()
                }
                other => other.to_string(),
            });
        }
        // An error that is wrapped into one of I/O is no source of it.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| cause.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_however_it_is_wrapped() {
        let signed = "none of the known authorities has signed it";
        for (why, told) in [
            (CertificateError::UnknownIssuer, Some(signed)),
            (CertificateError::BadSignature, Some(signed)),
            (CertificateError::Expired, Some("it has expired")),
            (CertificateError::NotValidForName, Some("it is for another name")),
        ] {
            let error = rustls::Error::InvalidCertificate(why);
            assert_eq!(distrust(&error).as_deref(), told);
            let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
            assert_eq!(distrust(&wrapped).as_deref(), told);
        }
        assert_eq!(distrust(&rustls::Error::DecryptError), None);
        assert_eq!(distrust(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
