//! What is secret of an export, made anew: an authority and a certificate of it, a token with its identity, and the providers' keys as
//! this machine has them.
//!
//! **Guarantees**: nothing of it is written to a disk, said in a word of a command or in an error. The authority's own key goes away
//! with the call: who needs another certificate makes all of them anew.
//!
//! The export lies in a directory that others may write to, and names both a key and where it goes. **Refuses** to find a key by the name
//! there unless a built-in recipe sends it to the same place; any other is the caller's word.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_kube::objects::PROXY;
use pinfold_kube::objects::secrets::Secrets;
use pinfold_kube::objects::secrets::Tls;
use pinfold_network::BaseUrl;
use pinfold_network::Credential;
use pinfold_network::Identity;
use pinfold_network::Surroundings;
use pinfold_network::Token;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;

use super::error::KubeError;
use super::read;
use super::read::Read;
use crate::context::Context;
use crate::pem;
use crate::project::recipe::Recipe;
use crate::proxy::RouteFile;
use crate::run::Key;
use crate::ship::login;

/// A part of what is secret; each can be made anew without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The authority and the proxy's certificate.
    Certificate,
    /// The token of the sandbox, and what the proxy knows of it.
    Token,
    /// The providers' keys.
    Keys,
}

/// Objects with what is secret, as a stream of documents. `Debug` shows nothing of it.
pub struct Stream {
    text: String,
    goes: Goes,
}

/// Where each key goes: its name, and hosts with their ports.
type Goes = BTreeMap<String, BTreeSet<String>>;

impl Stream {
    /// The text, for the pipe that it goes into.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Where the proxy sends each key that is in it, in words.
    pub fn goes(&self) -> impl Iterator<Item = Shown> {
        self.goes.iter().map(|(name, places)| shown!("{name} goes to {}", joined(places)))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(…)")
    }
}

/// Makes the parts of what the export in a directory waits for; all of them when none is named.
pub fn secrets(
    context: &Context,
    directory: &Path,
    said: &[Key],
    parts: &BTreeSet<Part>,
) -> Result<Stream, KubeError> {
    let export = read::directory(directory)?;
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let mut secrets = Secrets {
        namespace: export.namespace.clone(),
        proxy_namespace: format!("{}-proxy", export.namespace),
        ..Secrets::default()
    };
    let mut goes = Goes::new();
    // First, because it may fail.
    if wanted(Part::Keys) {
        goes = places(&export);
        secrets.keys = Some(keys(context, &export, said)?);
    }
    if wanted(Part::Certificate) {
        secrets.tls = Some(certificate()?);
    }
    if wanted(Part::Token) {
        let list = if export.kind == "SandboxWarmPool" {
            "# Each claim has a list of its own.\n".to_owned()
        } else {
            let token = Token::generate()?;
            let line = identity(&export.name, &token, &export, None)?;
            secrets.tokens.insert(format!("{}-token", export.name), token.reveal());
            line
        };
        secrets.identities.insert(0, BTreeMap::from([(export.name.clone(), list)]));
    }
    Ok(Stream { text: secrets.stream(), goes })
}

/// The line by which the proxy knows a token.
pub(super) fn identity(
    name: &str,
    token: &Token,
    export: &Read,
    address: Option<std::net::IpAddr>,
) -> Result<String, KubeError> {
    let policy = export.proxy.policy.keys().next().map_or("", String::as_str);
    let identity = Identity::new(name, token.hash(), policy, address)
        .map_err(|problem| KubeError::value("the identity", format!("cannot be written: {problem}")))?;
    Ok(format!("{identity}\n"))
}

fn joined(places: &BTreeSet<String>) -> String {
    places.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The place of an address, as it is told and compared.
fn place(address: &BaseUrl) -> String {
    let scheme = if address.is_tls() { "https" } else { "http" };
    format!("{scheme}://{}", address.target())
}

/// The name of a route's key, which is a variable's.
fn named(route: &RouteFile) -> Option<&str> {
    route.key.file_name().and_then(OsStr::to_str)
}

fn places(export: &Read) -> Goes {
    let mut goes = Goes::new();
    for route in export.proxy.policy.values().flat_map(|policy| &policy.route) {
        if let Some(name) = named(route) {
            goes.entry(name.to_owned()).or_default().insert(place(&route.upstream));
        }
    }
    goes
}

/// Whether built-in recipes send the key of this name to all these places.
fn is_usual(name: &str, places: &BTreeSet<String>) -> bool {
    let routes = || Recipe::built_in_agents().flat_map(|recipe| &recipe.run.route);
    let known: BTreeSet<String> = routes()
        .filter(|route| route.key.iter().any(|key| key == name))
        .filter_map(|route| route.upstream.parse().ok())
        .map(|address: BaseUrl| place(&address))
        .collect();
    places.is_subset(&known)
}

/// The providers' keys that the proxy's configuration names, found as `run` finds those of an agent.
fn keys(context: &Context, export: &Read, said: &[Key]) -> Result<BTreeMap<String, String>, KubeError> {
    let places = places(export);
    let names: BTreeSet<&str> = places.keys().map(String::as_str).collect();
    for Key { provider, .. } in said {
        let provider = provider.as_deref().unwrap_or_default();
        if !names.contains(provider) {
            let known = names.iter().copied().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            return Err(KubeError::value(
                "`--key`",
                format!("names no key of this export: write NAME=SOURCE, where NAME is of {known}"),
            ));
        }
    }
    let around: Surroundings = login::around(context);
    let mut keys = BTreeMap::new();
    for (name, places) in &places {
        let name = name.as_str();
        let source = said.iter().find(|key| key.provider.as_deref() == Some(name)).map(|key| &key.source);
        let failed = |source| KubeError::Key { name: name.to_owned(), source };
        let credential = match source {
            Some(source) => source.find(&around).map_err(failed)?,
            None if !is_usual(name, places) => {
                return Err(KubeError::Elsewhere { name: name.to_owned(), places: joined(places) });
            }
            None if context.environment.filled(name).is_some() => Credential::Env(name.to_owned()),
            None => return Err(KubeError::NoKey(name.to_owned())),
        };
        keys.insert(name.to_owned(), credential.read().map_err(failed)?.reveal());
    }
    Ok(keys)
}

/// An authority for nothing but this, and the proxy's certificate of it, for ten years: who has the Secret renews it at will.
fn certificate() -> Result<Tls, rcgen::Error> {
    let named = |name: &str, names: Vec<String>| -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2036, 1, 1);
        Ok(params)
    };
    let mut params = named("pinfold proxy, authority", Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let authority = pem::of("CERTIFICATE", params.self_signed(&key)?.der());
    let issuer = Issuer::new(params, key);
    let mut leaf = named(PROXY, vec![PROXY.to_owned()])?;
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate()?;
    let certificate = pem::of("CERTIFICATE", leaf.signed_by(&leaf_key, &issuer)?.der());
    Ok(Tls { authority, certificate, key: pem::of("PRIVATE KEY", &leaf_key.serialize_der()) })
}
