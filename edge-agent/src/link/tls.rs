//! The node's side of mutual TLS, from the three PEM files that the configuration names.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig, InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why the three files make no identity. Each says which file to mend, by its key in `[broker]`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA file is not PEM.
    #[error("ca_file is not readable as PEM: copy the CA certificate to this node again")]
    ReadCa(#[source] PemError),
    /// The CA file has no certificate.
    #[error("ca_file has no certificate: it needs the CA that signed the broker's, as PEM")]
    NoCa,
    /// A certificate of the CA file can't be trusted by.
    #[error("ca_file has a certificate that can't be used: replace it with the broker's CA")]
    UseCa(#[source] rustls::Error),
    /// The certificate file is not PEM.
    #[error("cert_file is not readable as PEM: copy the node's certificate to this node again")]
    ReadCert(#[source] PemError),
    /// The certificate file has no certificate.
    #[error("cert_file has no certificate: it needs this node's, as PEM, first in its chain")]
    NoCert,
    /// The node's certificate can't be read.
    #[error("cert_file has a certificate that can't be used: have this node's signed again")]
    UseCert(#[source] rustls::Error),
    /// The key file is not PEM.
    #[error("key_file is not readable as PEM: make the node's key and certificate again")]
    ReadKey(#[source] PemError),
    /// The key file has no key.
    #[error(
        "key_file has no private key that can be read: it needs an unencrypted one, as PEM (PKCS#8, SEC1 or PKCS#1)"
    )]
    NoKey,
    /// The key is of a kind that can't be used.
    #[error(
        "key_file has a key that can't be used: make an ECDSA P-256 or Ed25519 one, or RSA of 2048 bits"
    )]
    UseKey(#[source] rustls::Error),
    /// The key is another one than the certificate was made for.
    #[error("key_file does not belong to cert_file: install the two that were made together")]
    KeyMismatch,
}

/// The node's TLS: it trusts what `ca_pem` signed and proves itself by `cert_pem` and `key_pem`.
///
/// TLS 1.2 and 1.3, on ring.
///
/// # Errors
///
/// If one of the three can't be read or used, or the key is not the certificate's.
pub fn tls(ca_pem: &[u8], cert_pem: &[u8], key_pem: &[u8]) -> Result<ClientConfig, TlsError> {
    // Named here, not taken from the process: another library could install another one.
    let provider = Arc::new(default_provider());

    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(ca.map_err(TlsError::ReadCa)?).map_err(TlsError::UseCa)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCa);
    }

    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert_pem)
        .collect::<Result<_, _>>()
        .map_err(TlsError::ReadCert)?;
    if chain.is_empty() {
        return Err(TlsError::NoCert);
    }

    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| {
        if matches!(error, PemError::NoItemsFound) {
            TlsError::NoKey
        } else {
            TlsError::ReadKey(error)
        }
    })?;
    let key = provider.key_provider.load_private_key(key).map_err(TlsError::UseKey)?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(TlsError::KeyMismatch);
        }
        Err(error) => return Err(TlsError::UseCert(error)),
    }

    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has a cipher suite for every default version")
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    // A resumed session proves no certificate, so a revoked one would go on being let in.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Who does not trust whom, for a person, where that is why `error` happened.
pub(super) fn mistrust(error: &(dyn Error + 'static)) -> Option<String> {
    let error = tls_error(error)?;
    if let rustls::Error::InvalidCertificate(reason) = error {
        return Some(format!("this node does not accept the broker's certificate: {reason}"));
    }
    if let rustls::Error::AlertReceived(alert) = error
        && is_of_certificates(*alert)
    {
        return Some(format!("the broker does not accept this node's certificate: {alert:?}"));
    }
    None
}

/// What TLS said, as deep as it stands: an I/O error hides what it wraps from `source`.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(inner) => tls_error(inner),
        None => tls_error(error.source()?),
    }
}

/// Whether the other side ended the handshake because of our certificate.
fn is_of_certificates(alert: AlertDescription) -> bool {
    [
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::CertificateRequired,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
        AlertDescription::DecryptError,
    ]
    .contains(&alert)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_handshake_tells_whose_certificate_is_not_accepted() {
        let failed = |error: rustls::Error| mistrust(&io::Error::other(io::Error::other(error)));
        let ours = failed(rustls::Error::AlertReceived(AlertDescription::UnknownCA)).unwrap();
        assert_eq!(ours, "the broker does not accept this node's certificate: UnknownCA");
        let theirs = rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature);
        assert!(failed(theirs).unwrap().starts_with("this node does not accept the broker's"));
        assert_eq!(failed(rustls::Error::DecryptError), None);
        assert_eq!(mistrust(&io::Error::other("the card is gone")), None);
    }

    #[test]
    fn three_files_that_belong_together_make_an_identity() {
        let (cert, key) = identity();
        tls(cert.as_bytes(), cert.as_bytes(), key.as_bytes()).unwrap();
    }

    #[test]
    fn a_key_of_another_certificate_is_noticed() {
        let ((cert, _), (_, other)) = (identity(), identity());
        let error = tls(cert.as_bytes(), cert.as_bytes(), other.as_bytes()).unwrap_err();
        assert!(matches!(error, TlsError::KeyMismatch), "{error}");
    }

    #[test]
    fn every_error_names_the_file_that_is_wrong() {
        let (cert, key) = identity();
        let (cert, key) = (cert.as_bytes(), key.as_bytes());
        let cut = &cert[..cert.len() / 2];
        let no_cert = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let locked =
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for bad in [b"".as_slice(), b"no PEM at all", cut, no_cert, key] {
            assert!(message(bad, cert, key).starts_with("ca_file "));
            assert!(message(cert, bad, key).starts_with("cert_file "));
        }
        for bad in [b"".as_slice(), b"no PEM at all", &key[..key.len() / 2], no_key, cert, locked] {
            assert!(message(cert, cert, bad).starts_with("key_file "));
        }
    }

    fn message(ca: &[u8], cert: &[u8], key: &[u8]) -> String {
        tls(ca, cert, key).unwrap_err().to_string()
    }

    fn identity() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        (cert.pem(), key.serialize_pem())
    }
}
