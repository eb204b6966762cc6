//! A certificate authority for one test, and the identities it signs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use edge_agent::link;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

static AUTHORITIES: AtomicU32 = AtomicU32::new(1);

pub(crate) struct Authority {
    pub(crate) ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        // Of its own name, so that a stranger's is unknown, not wrongly signed.
        let number = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        let mut params = params(&format!("Test CA {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = params.self_signed(&key).unwrap().pem();
        Self { ca_pem, issuer: Issuer::new(params, key) }
    }

    /// An identity for `common_name`; good for a broker on the loopback addresses, too.
    pub(crate) fn identity(&self, common_name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let cert = params(common_name).signed_by(&key, &self.issuer).unwrap();
        Identity { cert_pem: cert.pem(), key_pem: key.serialize_pem() }
    }

    /// What a node or the control plane connects with.
    pub(crate) fn client(&self, common_name: &str) -> Arc<ClientConfig> {
        let Identity { cert_pem, key_pem } = self.identity(common_name);
        let tls = link::tls(self.ca_pem.as_bytes(), cert_pem.as_bytes(), key_pem.as_bytes());
        Arc::new(tls.unwrap())
    }

    /// What a scripted broker listens with: it asks for a certificate, as a real one does.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.server_with(rustls::DEFAULT_VERSIONS)
    }

    /// As [`Self::server`], with these versions of TLS.
    pub(crate) fn server_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let Identity { cert_pem, key_pem } = self.identity("broker");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(cert_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap(),
            );
        Arc::new(config.unwrap())
    }
}

fn params(common_name: &str) -> CertificateParams {
    let names = ["127.0.0.1", "::1", "localhost"].map(String::from);
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
