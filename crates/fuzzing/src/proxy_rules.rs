//! Any text as a rule, a URL and a host.

use pinfold_base::authority::Host;
use pinfold_network::AllowList;
use pinfold_network::Rule;

/// Any text as a rule, a URL and a host: no panic, one spelling each, and nothing allowed that cannot be read.
pub fn proxy_rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(host) = Host::parse(text.as_bytes()) {
        let written = host.to_string();
        assert!(written.is_ascii());
        assert_eq!(Host::parse(written.as_bytes()), Ok(host));
    }
    if let Ok(rule) = text.parse::<Rule>() {
        assert_eq!(rule.to_string().parse::<Rule>().as_ref(), Ok(&rule));
    }
    let allow = AllowList::parse(["example.com", "*.example.org"]).expect("rules");
    let decision = allow.check(text);
    if decision.allowed {
        let target = decision.target.expect("what is allowed was read");
        let (host, port) = target.rsplit_once(':').expect("a port");
        assert!(host == "example.com" || host.ends_with(".example.org"));
        assert!(port == "443" || port == "80");
    }
}
