//! Which address a registry's name means.
//!
//! A name is a host with or without a port, as it is written before a repository. It is asked by `https`, and by `http` where it is
//! on this machine's own loopback: written so in numbers, or `localhost`. (Docker does the same.) Anything else by `http`, and `https`
//! on loopback, takes the user's configuration.

use pinfold_base::authority::Authority;
use pinfold_base::authority::Grammar;
use pinfold_base::authority::Host;
use pinfold_base::http::Named;
use pinfold_base::http::SafeUrl;

use super::RegistryError;

/// Where a registry is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address that `v2/` stands below.
    pub base: SafeUrl,
    /// The host as files of logins have it.
    pub key: String,
    /// Who named it.
    pub named: Named,
}

impl Endpoint {
    /// The registry of that host. `insecure` says that the user's configuration wants it to be asked by `http`.
    pub fn of(host: &str, insecure: bool) -> Result<Self, RegistryError> {
        let wrong = |reason| RegistryError::Name { text: host.chars().take(300).collect(), reason };
        let authority = Authority::parse(host.as_bytes()).map_err(|_| wrong("is no host of a registry"))?;
        let scheme = if insecure || is_loopback(&authority.host) { "http" } else { "https" };
        let base =
            SafeUrl::parse(&format!("{scheme}://{host}/")).map_err(|_| wrong("is no host of a registry"))?;
        Ok(Self { base, key: host.to_ascii_lowercase(), named: Named::ByMachine })
    }

    /// The same by `https`, wherever it is.
    pub fn over_tls(host: &str) -> Result<Self, RegistryError> {
        let endpoint = Self::of(host, false)?;
        let base = SafeUrl::parse(&format!("https://{host}/")).map_err(|_| RegistryError::Name {
            text: host.chars().take(300).collect(),
            reason: "is no host of a registry",
        })?;
        Ok(Self { base, ..endpoint })
    }

    /// The same for a registry that a project names.
    #[must_use]
    pub fn of_project(self) -> Self {
        Self { named: Named::ByProject, ..self }
    }
}

/// Whether a host is written as this machine's own.
fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => &**name == "localhost",
    }
}

/// The host of an address, with its port where that is not the usual one.
pub(super) fn host_of(url: &SafeUrl) -> String {
    let text = url.without_secrets().to_string();
    let authority = text.split("://").nth(1).unwrap_or_default();
    authority.split('/').next().unwrap_or_default().to_owned()
}

/// A repository of a host, for people.
pub(super) fn place(host: &str, repository: &str) -> String {
    if repository.is_empty() { host.to_owned() } else { format!("{host}/{repository}") }
}

/// Whether an address is written as this machine's own.
pub(super) fn is_here(url: &SafeUrl) -> bool {
    Authority::read(url.host().as_bytes(), Grammar::Uri).is_ok_and(|authority| is_loopback(&authority.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_and_for_what_the_user_says() {
        for (host, insecure, base) in [
            ("registry.example", false, "https://registry.example/"),
            ("registry.example:5000", false, "https://registry.example:5000/"),
            ("registry.example:5000", true, "http://registry.example:5000/"),
            ("localhost:5000", false, "http://localhost:5000/"),
            ("localhost", false, "http://localhost/"),
            ("127.0.0.1:5000", false, "http://127.0.0.1:5000/"),
            ("127.8.8.8", false, "http://127.8.8.8/"),
            ("[::1]:5000", false, "http://[::1]:5000/"),
            // Names that only look like it, and private addresses: a network is between.
            ("localhost.example", false, "https://localhost.example/"),
            ("127.0.0.1.example", false, "https://127.0.0.1.example/"),
            ("10.0.0.1:5000", false, "https://10.0.0.1:5000/"),
            ("Registry.Example", false, "https://registry.example/"),
        ] {
            let endpoint = Endpoint::of(host, insecure).unwrap();
            assert_eq!(endpoint.base.to_string(), base, "{host}");
            assert_eq!(endpoint.key, host.to_ascii_lowercase());
            let secured = Endpoint::over_tls(host).unwrap();
            assert_eq!(secured.base.to_string(), base.replace("http://", "https://"));
            assert_eq!(format!("https://{}/", host_of(&endpoint.base)), base.replace("http://", "https://"));
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            "a b",
            "user:password@registry.example",
            "registry.example/x",
            "registry.example:99999",
            "[::1",
        ] {
            assert!(matches!(Endpoint::of(host, false), Err(RegistryError::Name { .. })), "{host}");
        }
    }
}
