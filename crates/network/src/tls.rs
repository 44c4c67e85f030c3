//! The TLS between a relay and a proxy that serves many: version 1.3 alone, `pinfold/1` alone, one authority.
//!
//! **Guarantees**: a certificate whose key is another's is refused when it is read, not at the first hand-shake. No session is
//! resumed and no early data taken, so a token is sent once for each connection and nothing of it can be played again.

use std::sync::Arc;
use std::sync::OnceLock;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;

/// What both sides agree to speak.
pub(crate) const PROTOCOL: &[u8] = b"pinfold/1";

/// Why certificates or a key cannot be used. Nothing of a key is shown.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in PEM.
    #[error("there is no certificate in PEM")]
    NoCertificate,
    /// No private key in PEM.
    #[error("there is no private key in PEM")]
    NoKey,
    /// The authority cannot be one.
    #[error("the certificate of the authority cannot be used: {0}")]
    Authority(String),
    /// Certificate and key do not go together, or cannot be used.
    #[error("certificate and key cannot be used: {0}")]
    Pair(String),
    /// The name cannot stand in a certificate.
    #[error("`{0}` is no name that a certificate could have")]
    Name(String),
}

impl Diagnose for TlsError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NoCertificate | Self::Authority(_) => {
                Some("a file of certificates has blocks that begin with `-----BEGIN CERTIFICATE-----`".into())
            }
            Self::NoKey => Some("a file of a key has a block that begins with `-----BEGIN PRIVATE KEY-----`".into()),
            Self::Pair(_) => Some(
                "give the certificate and the key that it was made for; `pinfold kube --secrets DIR` makes both".into(),
            ),
            Self::Name(_) => None,
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or(TlsError::NoCertificate)
}

/// The proxy's side: its certificate and key.
#[derive(Clone, Debug)]
pub struct ServerTls(pub(crate) Arc<ServerConfig>);

impl ServerTls {
    /// Of a certificate (with those between it and the authority) and its key, in PEM.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let pair = |error: rustls::Error| TlsError::Pair(error.to_string());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(pair)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }
}

/// The relay's side: whom it believes, and whom it means.
#[derive(Clone, Debug)]
pub(crate) struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl ClientTls {
    /// Believes what the authority in `pem` says of the server `name`.
    pub(crate) fn new(pem: &[u8], name: &str) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem)? {
            roots.add(certificate).map_err(|error| TlsError::Authority(error.to_string()))?;
        }
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| TlsError::Authority(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        Ok(Self { config: Arc::new(config), name })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::CertificateParams;
    use rcgen::KeyPair;

    use super::*;
    use crate::tests::world::Authority;
    use crate::tests::world::pem;

    #[test]
    fn certificate_and_key_must_go_together() {
        let authority = Authority::new();
        let [own, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let params = CertificateParams::new(vec!["pinfold-proxy".to_owned()]).unwrap();
        let certificate = pem("CERTIFICATE", &authority.sign(&params, &own));
        let key = |key: &KeyPair| pem("PRIVATE KEY", &key.serialize_der());
        let read = |certificate: &str, key: &str| ServerTls::from_pem(certificate.as_bytes(), key.as_bytes());
        let error = read(&certificate, &key(&other)).unwrap_err();
        assert!(matches!(error, TlsError::Pair(_)) && error.own_hint().unwrap().contains("it was made for"));
        let error = read(&certificate, &certificate).unwrap_err();
        assert!(matches!(error, TlsError::NoKey) && error.own_hint().unwrap().contains("PRIVATE KEY"));
        let error = read(&key(&own), &key(&own)).unwrap_err();
        assert!(
            matches!(error, TlsError::NoCertificate) && error.own_hint().unwrap().contains("CERTIFICATE")
        );
        // Negative control: its own key is taken.
        assert!(read(&certificate, &key(&own)).is_ok());
    }
}
