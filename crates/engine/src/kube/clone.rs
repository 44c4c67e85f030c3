//! A repository that a pod's workspace is cloned from.
//!
//! **Refuses** addresses with a login, and hosts whose text says that they are in no public network. A name may lead elsewhere in a
//! cluster than here: what this machine sees is told, and decides nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pinfold_base::address;
use pinfold_base::address::Reachability;
use pinfold_base::address::Resolve;
use pinfold_network::AllowList;

use super::error::KubeError;

/// A repository that is cloned.
pub(super) struct Clone {
    pub(super) url: String,
    /// The rule that lets the clone pass.
    pub(super) rule: String,
    /// Where it is below the workspace.
    pub(super) directory: String,
}

impl Clone {
    pub(super) fn of(url: &str) -> Result<Self, KubeError> {
        let rest = url.strip_prefix("https://").ok_or(KubeError::Git("it is no `https://` address"))?;
        let (host, path) = rest.split_once('/').ok_or(KubeError::Git("it has no path"))?;
        if host.contains('@') {
            return Err(KubeError::Git("it has a login, which would be readable in the objects"));
        }
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) || url.contains(['?', '#']) {
            return Err(KubeError::Git("it has a blank, a query or a fragment"));
        }
        AllowList::parse([host]).map_err(|_| KubeError::Git("its host is none"))?;
        if !is_public(host) {
            return Err(KubeError::Git(
                "its address is none of the public network, and the proxy leads there alone",
            ));
        }
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let directory = last.trim_end_matches(".git");
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if directory.is_empty() || directory.starts_with(['.', '-']) || !directory.chars().all(fits) {
            return Err(KubeError::Git("its last part is no name of a directory"));
        }
        Ok(Self { url: url.to_owned(), rule: host.to_owned(), directory: directory.to_owned() })
    }

    /// What is to be told of where its host is, as this machine sees it: the proxy leads to none of those addresses. Nothing where one is
    /// public, or where nobody says within `patience` which there are: a cluster may see others.
    pub(super) fn looked(&self, resolver: Arc<dyn Resolve>, patience: Duration) -> Option<String> {
        let name = name_of(&self.rule).to_owned();
        if name.parse::<IpAddr>().is_ok() {
            return None;
        }
        let (answers, answer) = mpsc::channel();
        let asked = name.clone();
        // Whoever waits in the resolver when this ends is left behind.
        thread::spawn(move || answers.send(resolver.resolve(&asked)));
        let addresses = answer.recv_timeout(patience).ok()?.ok()?;
        let refused = |address: &IpAddr| match address::classify(*address) {
            Reachability::Public => None,
            Reachability::Private(what) | Reachability::Never(what) => Some((*address, what)),
        };
        let all: Option<Vec<_>> = addresses.iter().map(refused).collect();
        let (address, what) = all?.first().copied()?;
        Some(format!(
            "`{name}` is at {address} here, {what}: if a cluster sees it there too, the clone fails, since the proxy leads to public addresses alone"
        ))
    }
}

/// Whether a host with or without a port may be in the public network, as far as its text tells.
fn is_public(host: &str) -> bool {
    let name = name_of(host);
    if let Ok(address) = name.parse::<IpAddr>() {
        return address::classify(address) == Reachability::Public;
    }
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    !last.eq_ignore_ascii_case("localhost")
}

/// The name or address of a host with or without a port.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Answers with these addresses, after a while.
    #[derive(Debug)]
    struct Names(Vec<&'static str>, Duration);

    impl Resolve for Names {
        fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            thread::sleep(self.1);
            assert_eq!(name, "git.example");
            if self.0.is_empty() {
                return Err(io::Error::other("no such name"));
            }
            Ok(self.0.iter().map(|address| address.parse().unwrap()).collect())
        }
    }

    #[test]
    fn a_host_that_the_proxy_would_not_lead_to_is_told() {
        let clone = Clone::of("https://git.example:8443/team/app.git").unwrap();
        let looked = |addresses: &[&'static str]| {
            clone.looked(Arc::new(Names(addresses.to_vec(), Duration::ZERO)), Duration::from_secs(60))
        };
        for addresses in
            [&["10.0.0.5"][..], &["fd00::1", "192.168.1.1"], &["169.254.169.254"], &["127.0.0.1"]]
        {
            let told = looked(addresses).unwrap();
            assert!(told.starts_with(&format!("`git.example` is at {} here", addresses[0])), "{told}");
        }
        // One that is public is enough, and what nobody says is nothing.
        assert_eq!(looked(&["10.0.0.5", "140.82.121.4"]), None);
        assert_eq!(looked(&["140.82.121.4"]), None);
        assert_eq!(looked(&[]), None);
        let late = Names(vec!["10.0.0.5"], Duration::from_secs(2));
        assert_eq!(clone.looked(Arc::new(late), Duration::from_millis(20)), None);
        let numbered = Clone::of("https://140.82.121.4/team/app").unwrap();
        assert_eq!(
            numbered.looked(Arc::new(Names(Vec::new(), Duration::ZERO)), Duration::from_secs(60)),
            None
        );
    }
}
