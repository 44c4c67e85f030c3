//! Which proxy a request goes through: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case, as curl
//! reads them. SOCKS is refused rather than ignored.

use std::net::IpAddr;

use super::HttpError;
use super::SafeUrl;
use super::Scheme;

/// The proxies of an environment.
#[derive(Clone, Default)]
pub struct Proxies {
    https: Option<ureq::Proxy>,
    http: Option<ureq::Proxy>,
    /// Lower case: `host`, `.suffix`, `host:port`, `address/bits`, `*`.
    except: Vec<String>,
}

impl std::fmt::Debug for Proxies {
    // Proxy addresses may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("https", &self.https.is_some())
            .field("http", &self.http.is_some())
            .field("except", &self.except)
            .finish()
    }
}

impl Proxies {
    /// Reads the variables through `lookup`, which is `std::env::var` in the program. Lower case goes before upper case.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, HttpError> {
        let value = |name: &str| {
            [name.to_ascii_lowercase(), name.to_owned()]
                .into_iter()
                .find_map(|name| lookup(&name).filter(|value| !value.is_empty()).map(|value| (name, value)))
        };
        let proxy = |names: [&str; 2]| -> Result<Option<ureq::Proxy>, HttpError> {
            let Some((variable, text)) = names.into_iter().find_map(value) else { return Ok(None) };
            let refused = || HttpError::ProxyVariable { variable: variable.clone() };
            let text = if text.contains("://") { text } else { format!("http://{text}") };
            if !text.starts_with("http://") && !text.starts_with("https://") {
                return Err(refused());
            }
            // The library takes a port that is no number for none.
            SafeUrl::parse(&text).map_err(|_| refused())?;
            ureq::Proxy::new(&text).map(Some).map_err(|_| refused())
        };
        let except = value("NO_PROXY").map(|(_, list)| list).unwrap_or_default();
        Ok(Self {
            https: proxy(["HTTPS_PROXY", "ALL_PROXY"])?,
            http: proxy(["HTTP_PROXY", "ALL_PROXY"])?,
            except: except
                .split([',', ' '])
                .map(|entry| entry.trim().to_ascii_lowercase())
                .filter(|entry| !entry.is_empty())
                .collect(),
        })
    }

    pub(super) fn for_url(&self, url: &SafeUrl) -> Option<&ureq::Proxy> {
        let proxy = match url.scheme() {
            Scheme::Https => self.https.as_ref(),
            Scheme::Http => self.http.as_ref(),
            Scheme::File => None,
        }?;
        (!self.excepts(url)).then_some(proxy)
    }

    fn excepts(&self, url: &SafeUrl) -> bool {
        let host = without_dot(url.host().trim_matches(['[', ']']));
        let address = host.parse::<IpAddr>().ok();
        self.except.iter().any(|entry| {
            if entry == "*" {
                return true;
            }
            if let Some((network, bits)) = entry.split_once('/') {
                return address.is_some_and(|address| is_within(address, network, bits));
            }
            if let (Some(address), Ok(own)) = (address, entry.parse::<IpAddr>()) {
                return address == own;
            }
            let name = match entry.rsplit_once(':') {
                Some((name, port)) if port.parse() == Ok(url.port()) => name.trim_matches(['[', ']']),
                Some(_) => return false,
                None => entry,
            };
            let suffix = without_dot(name.trim_start_matches("*.").trim_start_matches('.'));
            !suffix.is_empty()
                && (host == suffix
                    || address.is_none() && host.strip_suffix(suffix).is_some_and(|head| head.ends_with('.')))
        })
    }
}

/// The root's dot at the end of a name says nothing.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether an address lies in `network/bits` (RFC 4632, section 3.1; RFC 4291, section 2.3).
fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let prefix = |bits: u32, size: u32| (bits <= size).then(|| size - bits);
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (address, network.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(network))) => prefix(bits, 32)
            .is_some_and(|rest| (address.to_bits() ^ network.to_bits()).checked_shr(rest).unwrap_or(0) == 0),
        (IpAddr::V6(address), Ok(IpAddr::V6(network))) => prefix(bits, 128)
            .is_some_and(|rest| (address.to_bits() ^ network.to_bits()).checked_shr(rest).unwrap_or(0) == 0),
        _ => false,
    }
}

#[cfg(test)]
mod curl_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(vars: &[(&str, &str)]) -> Result<Proxies, HttpError> {
        Proxies::from_env(|name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn used(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.for_url(&url.parse().unwrap()).map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn the_scheme_chooses_and_lower_case_wins() {
        let found = proxies(&[
            ("https_proxy", "http://low:1"),
            ("HTTPS_PROXY", "http://up:1"),
            ("ALL_PROXY", "all:2"),
        ])
        .unwrap();
        assert_eq!(used(&found, "https://x/").as_deref(), Some("http://low:1/"));
        assert_eq!(used(&found, "http://x/").as_deref(), Some("http://all:2/"));
        assert_eq!(used(&found, "file:///x"), None);
        assert_eq!(used(&proxies(&[]).unwrap(), "https://x/"), None);
    }

    #[test]
    fn exceptions_match_hosts_suffixes_and_ports() {
        let found = proxies(&[("ALL_PROXY", "http://p"), ("NO_PROXY", "localhost, .corp,10.0.0.1:8080,::1")])
            .unwrap();
        for direct in [
            "https://localhost/",
            "https://a.corp/",
            "https://corp/",
            "http://10.0.0.1:8080/",
            "http://[::1]/",
        ] {
            assert_eq!(used(&found, direct), None, "{direct}");
        }
        for proxied in
            ["https://notlocalhost/", "https://acorp/", "http://10.0.0.1/", "https://corp.example/"]
        {
            assert!(used(&found, proxied).is_some(), "{proxied}");
        }
        assert_eq!(
            used(&proxies(&[("ALL_PROXY", "http://p"), ("NO_PROXY", "*")]).unwrap(), "https://x/"),
            None
        );
    }

    #[test]
    fn socks_is_an_error_that_hides_the_password() {
        let error = proxies(&[("ALL_PROXY", "socks5://me:s3cret@p")]).unwrap_err();
        assert!(error.to_string().contains("`ALL_PROXY`") && !error.to_string().contains("s3cret"));
        let found = proxies(&[("ALL_PROXY", "http://me:s3cret@p")]).unwrap();
        assert!(!format!("{found:?}").contains("s3cret"));
    }
}
