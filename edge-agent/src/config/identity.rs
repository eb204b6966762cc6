//! Who this node is: its certificate and the key that proves it.

use edge_protocol::id::NodeId;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Flaw, file, named};

/// What the certificate says of the node.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) node: NodeId,
    pub(super) expires_at_ms: u64,
}

impl Identity {
    /// Reads the three files that `broker` names, and makes sure that they fit together.
    pub(super) fn load(broker: &file::Broker) -> Result<Self, Flaw> {
        certificates("ca_file", &broker.ca_file)?;
        let certificates = certificates("cert_file", &broker.cert_file)?;
        let own = certificates.first().expect("a file without a certificate is refused");
        let wrong = |reason: String| {
            let file = broker.cert_file.get_ref().display();
            Flaw::at(&broker.cert_file, format!("cert_file {file}: {reason}"))
        };
        let (_, parsed) = X509Certificate::from_der(own)
            .map_err(|error| wrong(format!("the certificate can't be read: {error}")))?;
        let identity = Self {
            node: common_name(&parsed).map_err(wrong)?,
            expires_at_ms: u64::try_from(parsed.validity().not_after.timestamp())
                .unwrap_or(0)
                .saturating_mul(1000),
        };
        key_fits(broker, certificates)?;
        Ok(identity)
    }
}

fn common_name(certificate: &X509Certificate<'_>) -> Result<NodeId, String> {
    let name = certificate
        .subject()
        .iter_common_name()
        .next()
        .ok_or("the certificate has no common name (CN); it must be the node's id")?
        .as_str()
        .map_err(|error| format!("the certificate's common name is no text: {error}"))?;
    name.parse().map_err(|error| format!("the certificate's common name: {error}"))
}

fn key_fits(broker: &file::Broker, certificates: Vec<CertificateDer<'static>>) -> Result<(), Flaw> {
    let file = &broker.key_file;
    let wrong =
        |reason: String| Flaw::at(file, format!("key_file {}: {reason}", file.get_ref().display()));
    let pem = named::read(file.get_ref()).map_err(wrong)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| wrong(format!("holds no private key in PEM: {error}")))?;
    let key = any_supported_type(&key)
        .map_err(|error| wrong(format!("is of a kind that TLS here can't use: {error}")))?;
    CertifiedKey::new(certificates, key).keys_match().map_err(|_| {
        let certificate = broker.cert_file.get_ref().display();
        wrong(format!("is not the key of the certificate in {certificate}"))
    })
}

fn certificates(
    key: &str,
    file: &toml::Spanned<std::path::PathBuf>,
) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let wrong =
        |reason: String| Flaw::at(file, format!("{key} {}: {reason}", file.get_ref().display()));
    let pem = named::read(file.get_ref()).map_err(wrong)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("is not PEM: {error}")))?;
    if found.is_empty() { Err(wrong("holds no certificate in PEM".into())) } else { Ok(found) }
}
