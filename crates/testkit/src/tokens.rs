//! A server that gives out tokens for a registry as the distribution project specifies them (`docs/spec/auth/{token,jwt}.md` there):
//! JSON web tokens, signed by ECDSA on P-256 with a certificate that the registry is given.
//!
//! [`USER`] may do everything but with repositories below `denied/`; who gives no name may read those below `public/`.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::CertificateParams;
use rcgen::KeyPair;
use ring::rand::SystemRandom;
use ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use ring::signature::EcdsaKeyPair;
use serde_json::Value;
use serde_json::json;

use crate::http::Request;
use crate::http::Response;
use crate::http::Server;
use crate::registry::USER;
use crate::registry::basic;
use crate::registry::error;
use crate::registry::pairs_of;

/// What `docker-registry` forgives of a token's time.
const LEEWAY: Duration = Duration::from_secs(60);

/// How long a token lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// What its reader is told.
    pub told: Duration,
    /// After which the registry refuses it.
    pub real: Duration,
}

/// A running server of tokens.
#[derive(Debug)]
pub struct Tokens {
    server: Server,
    certificate: String,
}

impl Tokens {
    /// Whom a token is for.
    pub const SERVICE: &str = "docker-registry of tests";
    /// Who gives it out.
    pub const ISSUER: &str = "tokens of tests";

    /// Starts one.
    ///
    /// # Panics
    /// When there is no loopback.
    pub fn start(life: Life) -> Self {
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new([String::from("tokens.example")]).unwrap();
        let certificate = names.self_signed(&key).unwrap();
        let random = SystemRandom::new();
        let signer =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random)
                .unwrap();
        let head = json!({ "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(certificate.der())] });
        let given = AtomicU64::new(0);
        let server = Server::start(move |request| {
            let sign = |message: &[u8]| signer.sign(&random, message).unwrap().as_ref().to_vec();
            let id = given.fetch_add(1, Ordering::Relaxed);
            answer(request, &head, life, id, &sign)
        });
        let certificate = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(certificate.der())
        );
        Self { server, certificate }
    }

    /// Where tokens are asked for.
    pub fn realm(&self) -> String {
        self.server.url("/token")
    }

    /// What its tokens are judged by, in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// All that was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }
}

fn answer(request: &Request, head: &Value, life: Life, id: u64, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> Response {
    let given = request.header("authorization");
    let is_user = given == Some(&basic(USER.0, USER.1));
    if given.is_some() && !is_user {
        return error(401, "UNAUTHORIZED");
    }
    if request.method != "GET" {
        return Response::status(405);
    }
    let query = request.path.split_once('?').map_or("", |(_, query)| query);
    let mut access = Vec::new();
    for (_, scopes) in pairs_of(query).into_iter().filter(|(name, _)| name == "scope") {
        for scope in scopes.split(' ') {
            let (name, actions) =
                scope.strip_prefix("repository:").and_then(|of| of.rsplit_once(':')).unwrap();
            let may = |action: &&str| {
                if is_user {
                    !name.starts_with("denied/")
                } else {
                    name.starts_with("public/") && *action == "pull"
                }
            };
            let actions: Vec<&str> = actions.split(',').filter(may).collect();
            if !actions.is_empty() {
                access.push(json!({ "type": "repository", "name": name, "actions": actions }));
            }
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({
        "iss": Tokens::ISSUER,
        "sub": if is_user { USER.0 } else { "" },
        "aud": Tokens::SERVICE,
        "exp": (now + life.real).saturating_sub(LEEWAY).as_secs(),
        "nbf": now.saturating_sub(LEEWAY + LEEWAY).as_secs(),
        "iat": now.as_secs(),
        "jti": id.to_string(),
        "access": access,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(head), part(&claims));
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign(signed.as_bytes())));
    Response::ok(json!({ "token": token, "expires_in": life.told.as_secs() }).to_string())
}
