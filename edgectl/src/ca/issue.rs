//! What the authority signs, and how each certificate looks.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use edge_protocol::id::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::DnsName;

use super::{
    AUTHORITY_DAYS, Authority, CONTROL_PLANE, Error, ISSUED_DAYS, Issued, OPERATOR_PREFIX, Signed,
    Validity,
};

impl Authority {
    /// A new authority that lives in memory only: for tests and the demo.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn in_memory() -> Result<Self, Error> {
        Self::new("edge-agent lab", Validity::days(AUTHORITY_DAYS)?)
    }

    /// A new authority called `name`.
    pub(super) fn new(name: &str, validity: Validity) -> Result<Self, Error> {
        let key = new_key()?;
        let mut params = params(name, validity)?;
        // It signs certificates and no further authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params
            .self_signed(&key)
            .map_err(|source| Error::Crypto { operation: "sign the authority", source })?;
        Ok(Self {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
            not_after_ms: ms(validity.not_after),
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's private key, for the one file that holds it.
    pub(super) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A client certificate for `node`, valid for [`ISSUED_DAYS`], with a new key.
    ///
    /// # Errors
    /// [`Error::ReservedName`], [`Error::OutlivesAuthority`].
    pub fn issue_node(&self, node: &NodeId) -> Result<Issued, Error> {
        self.issue_node_with(node, Validity::days(ISSUED_DAYS)?)
    }

    /// As [`Self::issue_node`], valid as said: a past window makes an expired certificate.
    ///
    /// # Errors
    /// As [`Self::issue_node`].
    pub fn issue_node_with(&self, node: &NodeId, validity: Validity) -> Result<Issued, Error> {
        self.issue(client_params(node_name(node)?, validity)?, validity)
    }

    /// Signs the key in a node's certificate request, so that the key never leaves the node.
    /// Nothing but the key is taken from it: name, purpose and validity are ours.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it can't be read, isn't signed by its own key or names
    /// another node; else as [`Self::issue_node`].
    pub fn sign_request(
        &self,
        node: &NodeId,
        csr_pem: &str,
        validity: Validity,
    ) -> Result<Signed, Error> {
        let request = request(csr_pem)?;
        let named = common_name(&request);
        if let Some(named) = named.filter(|named| named != node.as_str()) {
            let reason = format!("it names {named:?}, not {:?}", node.as_str());
            return Err(Error::BadRequest { reason });
        }
        let params = client_params(node_name(node)?, validity)?;
        let cert_pem = self.sign(&params, &request.public_key, validity)?;
        Ok(Signed { cert_pem, not_after_ms: ms(validity.not_after) })
    }

    /// A client certificate for the control plane, with a new key.
    ///
    /// # Errors
    /// [`Error::OutlivesAuthority`].
    pub fn issue_control_plane(&self, validity: Validity) -> Result<Issued, Error> {
        self.issue(client_params(CONTROL_PLANE, validity)?, validity)
    }

    /// A client certificate for the operator `name`, with a new key; its common name is
    /// [`OPERATOR_PREFIX`] and the name.
    ///
    /// # Errors
    /// [`Error::BadOperator`], [`Error::OutlivesAuthority`].
    pub fn issue_operator(&self, name: &str, validity: Validity) -> Result<Issued, Error> {
        let common_name: NodeId = format!("{OPERATOR_PREFIX}{name}")
            .parse()
            .map_err(|_| Error::BadOperator { name: name.to_owned() })?;
        self.issue(client_params(common_name.as_str(), validity)?, validity)
    }

    /// A server certificate for a broker that is reached as any of `hosts` (DNS names or IP
    /// addresses), valid for [`ISSUED_DAYS`], with a new key.
    ///
    /// # Errors
    /// [`Error::NoHost`], [`Error::BadHost`], [`Error::OutlivesAuthority`].
    pub fn issue_broker(&self, hosts: &[&str]) -> Result<Issued, Error> {
        self.issue_broker_with(hosts, Validity::days(ISSUED_DAYS)?)
    }

    /// As [`Self::issue_broker`], valid as said.
    ///
    /// # Errors
    /// As [`Self::issue_broker`].
    pub fn issue_broker_with(&self, hosts: &[&str], validity: Validity) -> Result<Issued, Error> {
        let first = hosts.first().ok_or(Error::NoHost)?;
        for host in hosts {
            if host.parse::<IpAddr>().is_err() && DnsName::try_from(*host).is_err() {
                return Err(Error::BadHost { host: (*host).to_owned() });
            }
        }
        let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = params(first, validity)?;
        params.subject_alt_names = CertificateParams::new(names)
            .map_err(|source| Error::Crypto { operation: "name the broker's hosts", source })?
            .subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, validity)
    }

    fn issue(&self, params: CertificateParams, validity: Validity) -> Result<Issued, Error> {
        let key = new_key()?;
        Ok(Issued {
            cert_pem: self.sign(&params, &key, validity)?,
            key_pem: key.serialize_pem(),
            not_after_ms: ms(validity.not_after),
        })
    }

    fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
        validity: Validity,
    ) -> Result<String, Error> {
        if ms(validity.not_after) > self.not_after_ms {
            return Err(Error::OutlivesAuthority);
        }
        let cert = params
            .signed_by(key, &self.issuer)
            .map_err(|source| Error::Crypto { operation: "sign the certificate", source })?;
        Ok(cert.pem())
    }
}

/// The node that a certificate request asks for. Whoever signs it vouches for that name.
///
/// # Errors
/// [`Error::BadRequest`] when it can't be read, isn't signed by its own key or names no node.
pub fn requested_node(csr_pem: &str) -> Result<NodeId, Error> {
    let named = common_name(&request(csr_pem)?).unwrap_or_default();
    named.parse().map_err(|error| {
        let reason = format!("it names {named:?}, which is no node: {error}");
        Error::BadRequest { reason }
    })
}

fn request(csr_pem: &str) -> Result<CertificateSigningRequestParams, Error> {
    CertificateSigningRequestParams::from_pem(csr_pem)
        .map_err(|error| Error::BadRequest { reason: error.to_string() })
}

fn common_name(request: &CertificateSigningRequestParams) -> Option<String> {
    request.params.distinguished_name.get(&DnType::CommonName).map(text)
}

fn node_name(node: &NodeId) -> Result<&str, Error> {
    let reserved = node == CONTROL_PLANE || node.as_str().starts_with(OPERATOR_PREFIX);
    if reserved { Err(Error::ReservedName) } else { Ok(node.as_str()) }
}

fn client_params(name: &str, validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = params(name, validity)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = validity.not_before.into();
    params.not_after = validity.not_after.into();
    // Ours, not derived from the key: a renewed certificate keeps its key and needs a new serial.
    params.serial_number = Some(serial()?);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 127 random bits: positive and, but for bad luck, 16 bytes long.
fn serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    bytes[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&bytes))
}

fn new_key() -> Result<KeyPair, Error> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|source| Error::Crypto { operation: "make a key", source })
}

fn text(value: &DnValue) -> String {
    match value {
        DnValue::Utf8String(text) => text.clone(),
        DnValue::PrintableString(text) => text.as_str().to_owned(),
        DnValue::Ia5String(text) => text.as_str().to_owned(),
        DnValue::TeletexString(text) => text.as_str().to_owned(),
        // The wide encodings, which no request for an id has a use for: never equal to one.
        wide @ (DnValue::BmpString(_) | DnValue::UniversalString(_) | _) => format!("{wide:?}"),
    }
}

/// Milliseconds since the Unix epoch, 0 before it.
fn ms(at: SystemTime) -> u64 {
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
