//! What an address is.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use pinfold_base::address::Reachability;
use pinfold_base::address::classify;

/// Four or sixteen bytes as an address, held against what the standard library says of it.
pub fn address(bytes: &[u8]) {
    let address: IpAddr = match (bytes.first_chunk::<16>(), bytes.first_chunk::<4>()) {
        (Some(bytes), _) => Ipv6Addr::from(*bytes).into(),
        (None, Some(bytes)) => Ipv4Addr::from(*bytes).into(),
        (None, None) => return,
    };
    let class = classify(address);
    if address.is_multicast() || address.is_unspecified() {
        assert!(matches!(class, Reachability::Never(_)), "{address}");
    }
    if address.is_loopback() {
        assert!(matches!(class, Reachability::Private(_)), "{address}");
    }
    match address {
        IpAddr::V4(address) => {
            let link = address.is_link_local() || address.is_broadcast() || address.is_documentation();
            assert!(!link || matches!(class, Reachability::Never(_)), "{address}");
            assert!(!address.is_private() || matches!(class, Reachability::Private(_)), "{address}");
            let mapped = classify(address.to_ipv6_mapped().into());
            assert!(matches!(mapped, Reachability::Never(_)), "{address}");
        }
        IpAddr::V6(address) => {
            let inner = address.is_unicast_link_local() || address.is_unique_local();
            assert!(!inner || class != Reachability::Public, "{address}");
            assert!(class != Reachability::Public || address.segments()[0] >> 13 == 1, "{address}");
        }
    }
}
