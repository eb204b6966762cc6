//! The key, and the request to sign it.

use std::path::{Path, PathBuf};

use edge_protocol::id::NodeId;
use rcgen::PublicKeyData as _;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use super::{Error, KEY, REQUEST, files, fingerprint_of, key, show};

/// A node with a key, and what is to be signed.
#[derive(Debug)]
pub struct Made {
    /// Who it is to be.
    pub node: NodeId,
    /// Whether the key was made now; one that was there is kept.
    pub new_key: bool,
    /// SHA-256 of the public key, 64 hexadecimal digits.
    pub key_fingerprint: String,
    /// The request, as a file.
    pub request: PathBuf,
}

/// Makes a key for `node` in `folder` and a request to sign it; what is there of both is kept.
///
/// # Errors
/// [`Error::IsAnother`] when the node has a certificate under another name, [`Error::BadKey`], and
/// what keeps a file from being read or written.
pub fn init(folder: &Path, node: &NodeId) -> Result<Made, Error> {
    files::make_folder(folder)?;
    show::is_not_another(folder, node)?;
    let (key, new_key) = match key(folder)? {
        Some(key) => (key, false),
        None => (make_key(folder)?, true),
    };
    let request = folder.join(REQUEST);
    let there = files::read_if_there(&request)?;
    if there.and_then(|pem| asks(&pem, &key)).as_ref() != Some(node) {
        files::write_public(&request, request_pem(&key, node)?.as_bytes())?;
    }
    let key_fingerprint = fingerprint_of(&key);
    Ok(Made { node: node.clone(), new_key, key_fingerprint, request })
}

/// Who the request in `folder` asks for with `key`, if there is one that does.
pub(super) fn asked_for(folder: &Path, key: &KeyPair) -> Result<Option<NodeId>, Error> {
    let pem = files::read_if_there(&folder.join(REQUEST))?;
    Ok(pem.and_then(|pem| asks(&pem, key)))
}

fn make_key(folder: &Path) -> Result<KeyPair, Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(|source| Error::Crypto { operation: "make a key", source })?;
    files::write_secret(&folder.join(KEY), key.serialize_pem().as_bytes())?;
    Ok(key)
}

fn request_pem(key: &KeyPair, node: &NodeId) -> Result<String, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, node.as_str());
    let request = params.serialize_request(key).and_then(|request| request.pem());
    request.map_err(|source| Error::Crypto { operation: "make a certificate request", source })
}

fn asks(pem: &[u8], key: &KeyPair) -> Option<NodeId> {
    let (_, pem) = parse_x509_pem(pem).ok()?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).ok()?;
    let info = request.certification_request_info;
    if info.subject_pki.raw != key.subject_public_key_info() {
        return None;
    }
    info.subject.iter_common_name().next()?.as_str().ok()?.parse().ok()
}
