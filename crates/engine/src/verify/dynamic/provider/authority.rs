//! A certificate authority that nobody knows, made for one check, and a server's certificate of it for `127.0.0.1` and `localhost`.
//! Its key never leaves the memory.

use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;

use crate::pem;

/// The authority.
#[derive(Debug)]
pub(crate) struct Authority {
    pem: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// A new one; the error says which step failed.
    pub(crate) fn new() -> Result<Self, String> {
        Self::make().map_err(|error| format!("no certificate can be made: {error}"))
    }

    fn make() -> Result<Self, Box<dyn std::error::Error>> {
        let named = |name: &str, names: Vec<String>| -> Result<CertificateParams, rcgen::Error> {
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            Ok(params)
        };
        let mut params = named("pinfold verify, for one check", Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);
        let mut leaf = named("127.0.0.1", vec!["127.0.0.1".into(), "localhost".into()])?;
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf_key = KeyPair::generate()?;
        let leaf = leaf.signed_by(&leaf_key, &issuer)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(leaf_key.serialize_der())?)?;
        Ok(Self { pem: pem::of("CERTIFICATE", certificate.der()), server: Arc::new(server) })
    }

    /// Its certificate, as it stands in a bundle.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// What a server of it answers with.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}
