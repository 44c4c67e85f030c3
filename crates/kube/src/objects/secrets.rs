//! Objects with secrets in them: for a pipe into `kubectl apply --server-side`, and never for a file.
//!
//! **Guarantees**: these are the only objects with a key, a token or a certificate; [`template`] has their names alone.

use std::collections::BTreeMap;
use std::fmt;

use super::AUTHORITY;
use super::File;
use super::PROXY;
use super::PROXY_IDENTITIES;
use super::PROXY_KEYS;
use super::PROXY_TLS;
use super::Use;
use super::Writing;
use super::export::Export;
use super::export::Form;
use super::kinds::Data;
use super::meta::Strings;
use super::meta::labels;
use super::meta::object;
use super::yaml;

/// What is secret of an export; each part may be left as it is in the cluster.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The namespace of sandboxes.
    pub namespace: String,
    /// The namespace of the proxy.
    pub proxy_namespace: String,
    /// The proxy's certificate.
    pub tls: Option<Tls>,
    /// Lists of identities, by the number of their Secret and the name of the list.
    pub identities: BTreeMap<usize, BTreeMap<String, String>>,
    /// The providers' keys, by name.
    pub keys: Option<BTreeMap<String, String>>,
    /// Tokens, by the name of their Secret.
    pub tokens: BTreeMap<String, String>,
}

/// The proxy's certificate, in PEM.
#[derive(Clone)]
pub struct Tls {
    /// What it is checked against.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, keys, tokens, .. } = self;
        let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
        let (keys, tokens) = (keys.as_ref().map(names), names(tokens));
        f.debug_struct("Secrets")
            .field("namespace", namespace)
            .field("keys", &keys)
            .field("tokens", &tokens)
            .finish_non_exhaustive()
    }
}

/// How many Secrets lists of identities are in at most.
pub const IDENTITY_PARTS: usize = 4;

/// The name of the Secret with lists of identities that has this number.
pub fn identities_name(part: usize) -> String {
    if part == 0 { PROXY_IDENTITIES.into() } else { format!("{PROXY_IDENTITIES}-{part}") }
}

impl Secrets {
    /// The objects, as one stream of documents.
    pub fn stream(&self) -> String {
        let (inside, outside) = (&self.namespace, &self.proxy_namespace);
        let mut out = String::new();
        let mut add = |text: String| {
            out.push_str("---\n");
            out.push_str(&text);
        };
        let secret = |namespace: &str, name: &str, kind, part: &str, data: &Strings| {
            yaml::document(&super::secret(namespace, name, kind, labels(part), data))
        };
        if let Some(Tls { authority, certificate, key }) = &self.tls {
            let data = Data { data: Strings::from([("ca.pem".into(), authority.clone())]) };
            let map = object("v1", "ConfigMap", inside, AUTHORITY, labels(super::AGENT_ACCOUNT), data);
            add(yaml::document(&map));
            let data = [("tls.crt", certificate), ("tls.key", key)]
                .map(|(name, text)| (name.to_owned(), text.clone()));
            add(secret(outside, PROXY_TLS, "kubernetes.io/tls", PROXY, &Strings::from(data)));
        }
        for (part, lists) in &self.identities {
            add(secret(outside, &identities_name(*part), "Opaque", PROXY, lists));
        }
        if let Some(keys) = &self.keys {
            add(secret(outside, PROXY_KEYS, "Opaque", PROXY, keys));
        }
        for (name, token) in &self.tokens {
            let data = Strings::from([("token".into(), token.clone())]);
            add(secret(inside, name, "Opaque", super::AGENT_ACCOUNT, &data));
        }
        out
    }
}

/// The name of the Secret with an export's token; a pool has none.
pub fn token_name(export: &Export) -> Option<String> {
    (!matches!(export.form, Form::Pool { .. })).then(|| super::agent::token(export))
}

/// The Secrets' names and what is in each, without anything of it.
pub(super) fn template(export: &Export) -> File {
    let (inside, outside) = (&export.namespace, &export.proxy_namespace());
    let keys = export.proxy.keys.iter().cloned().collect::<Vec<_>>().join(", ");
    let keys = if keys.is_empty() { "none".to_owned() } else { keys };
    let about = format!(
        "Secrets that pods wait for, without what they hold. They are not applied with the others, which would empty them:\n\
         \n    pinfold kube --secrets . | kubectl apply --server-side --field-manager=pinfold-{0} -f -\n\
         \n\
         Each call makes a new authority, certificate and token: later `--only token` or `--only keys`.\n\
         \n\
         {PROXY_TLS}: tls.crt and tls.key, a certificate for the name {PROXY}\n\
         {PROXY_IDENTITIES}: files of lines NAME SHA256 POLICY [ADDRESS]\n\
         {PROXY_KEYS}: a file for each key: {keys}\n\
         {0}-token: token, 64 hexadecimal digits; sandboxes of a pool are handed theirs\n\
         The ConfigMap {AUTHORITY} (ca.pem) comes with them.",
        export.name
    );
    let empty = |namespace: &str, name: &str, kind, part: &str| {
        super::secret(namespace, name, kind, labels(part), &Strings::new())
    };
    let mut file = Writing::begin("secrets.template.yaml", Use::Example, &about)
        .add(&empty(outside, PROXY_IDENTITIES, "Opaque", PROXY))
        .add(&empty(outside, PROXY_KEYS, "Opaque", PROXY));
    if let Some(name) = token_name(export) {
        file = file.add(&empty(inside, &name, "Opaque", super::AGENT_ACCOUNT));
    }
    file.end()
}
