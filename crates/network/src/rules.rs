//! The allow-list: which hosts and ports a sandbox may reach.
//!
//! ```text
//!   rule    = [ "tcp:" ] pattern [ ":" port ]
//!   pattern = host            exactly this host; a name, an IPv4 address, or an IPv6 address in brackets
//!           | "*." host       any name below this one, at any depth, and not the name itself
//! ```
//!
//! Without a port a rule is for 443 and 80. `tcp:` lifts the demand that a tunnel speaks TLS to the host it was opened for
//! (for ssh and the like) and must name its port; without it a port where something else is spoken is refused. Hosts are read as everywhere else ([`pinfold_base::authority`]), so `Example.COM.`
//! and `example.com` are the same rule.
//!
//! **Guarantees**: an empty list allows nothing; a wildcard matches only at the edge of a label (`*.example.com` matches
//! neither `example.com` nor `badexample.com`). **Refuses** `*`, wildcards over a top-level name (`*.com`), in the middle
//! (`a.*.b`) or over an address. Being on the list is not enough to be reached: the addresses a name resolves to are
//! checked when it is dialled ([`crate::dial`]).

use std::fmt;
use std::str::FromStr;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::authority::Authority;
use pinfold_base::authority::AuthorityError;
use pinfold_base::authority::Host;
use pinfold_base::authority::Target;
use serde::Deserialize;
use serde::Serialize;

/// The ports of a rule that names none.
const WEB_PORTS: [u16; 2] = [443, 80];

/// Ports of protocols that begin with neither TLS nor HTTP, where a rule without `tcp:` could let nothing pass: ftp, ssh, telnet,
/// smtp, pop3, imap, submission, mysql, postgresql, git (IANA's registry of ports).
const PLAIN_PORTS: [u16; 10] = [21, 22, 23, 25, 110, 143, 587, 3306, 5432, 9418];

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is not a rule of the allow-list: {problem}")]
pub struct RuleError {
    rule: String,
    problem: RuleProblem,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// The host cannot be read.
    #[error(transparent)]
    Host(#[from] AuthorityError),
    /// `*`, `a.*.b`, `*a.b`
    #[error("`*` may only stand for the first labels, as in `*.example.com`")]
    Star,
    /// `*.com`
    #[error("a wildcard over a top-level name is too wide")]
    TooWide,
    /// `*.1.2.3.4`
    #[error("a wildcard cannot stand before an address")]
    StarAddress,
    /// `host:22`
    #[error(
        "what is spoken at port {0} begins with neither TLS nor HTTP, so the rule needs `tcp:` before it"
    )]
    PlainPort(u16),
    /// `tcp:host`
    #[error("a `tcp:` rule must name its port")]
    TcpPort,
    /// `https://host`
    #[error("a rule is a host, not a URL")]
    Url,
}

impl Diagnose for RuleError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self.problem {
            RuleProblem::PlainPort(_) => {
                format!("write `tcp:{}`", self.rule)
            }
            _ => "write `host`, `*.host`, `host:port` or `tcp:host:port`".into(),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pattern {
    Exactly(Host),
    Below(Box<str>),
}

/// What a tunnel to an allowed host may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speech {
    /// TLS with the host's own name, or plain HTTP read by the proxy.
    Web,
    /// Anything.
    Raw,
}

/// One line of the allow-list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pattern: Pattern,
    port: Option<u16>,
    speech: Speech,
}

impl Rule {
    /// Whether the rule is for this target.
    pub fn matches(&self, target: &Target) -> bool {
        let port = match self.port {
            Some(port) => port == target.port,
            None => WEB_PORTS.contains(&target.port),
        };
        port && match &self.pattern {
            Pattern::Exactly(host) => *host == target.host,
            Pattern::Below(base) => target
                .host
                .name()
                .and_then(|name| name.strip_suffix(&**base))
                .and_then(|front| front.strip_suffix('.'))
                .is_some_and(|labels| !labels.is_empty()),
        }
    }

    fn read(text: &str) -> Result<Self, RuleProblem> {
        if text.contains("://") {
            return Err(RuleProblem::Url);
        }
        let (speech, rest) = match text.strip_prefix("tcp:") {
            Some(rest) => (Speech::Raw, rest),
            None => (Speech::Web, text),
        };
        let (below, rest) = match rest.strip_prefix("*.") {
            Some(base) => (true, base),
            None => (false, rest),
        };
        if rest.split(':').next().is_some_and(|host| host.contains('*')) {
            return Err(RuleProblem::Star);
        }
        let Authority { host, port } = Authority::parse(rest.as_bytes())?;
        match (speech, port) {
            (Speech::Raw, None) => return Err(RuleProblem::TcpPort),
            (Speech::Web, Some(port)) if PLAIN_PORTS.contains(&port) => {
                return Err(RuleProblem::PlainPort(port));
            }
            _ => {}
        }
        let pattern = match (below, host) {
            (false, host) => Pattern::Exactly(host),
            (true, Host::Name(name)) if name.contains('.') => Pattern::Below(name),
            (true, Host::Name(_)) => return Err(RuleProblem::TooWide),
            (true, Host::Address(_)) => return Err(RuleProblem::StarAddress),
        };
        Ok(Self { pattern, port, speech })
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text).map_err(|problem| RuleError { rule: text.chars().take(300).collect(), problem })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.speech == Speech::Raw {
            f.write_str("tcp:")?;
        }
        match &self.pattern {
            Pattern::Exactly(host) => write!(f, "{host}")?,
            Pattern::Below(base) => write!(f, "*.{base}")?,
        }
        // Without its final dot a host of this name would read as the word for any speech.
        let is_word = matches!(&self.pattern, Pattern::Exactly(host) if host.to_string() == "tcp");
        if is_word && self.speech == Speech::Web && self.port.is_some() {
            f.write_str(".")?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An allow-list. The default one allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AllowList {
    rules: Vec<Rule>,
}

/// The answer to "may this be reached?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Yes or no.
    pub allowed: bool,
    /// Why, in words for people.
    pub reason: String,
    /// The rule that allowed it.
    pub rule: Option<String>,
    /// Host and port as understood; absent when the text could not be read.
    pub target: Option<String>,
}

impl AllowList {
    /// A list of these rules.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect() }
    }

    /// Reads rules.
    pub fn parse<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        Ok(Self { rules: rules.into_iter().map(str::parse).collect::<Result<_, _>>()? })
    }

    /// The rules, in the order given.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule that lets `target` be reached, and what may be spoken to it. A `tcp:` rule wins over others.
    pub fn admits(&self, target: &Target) -> Option<(&Rule, Speech)> {
        self.rules
            .iter()
            .filter(|rule| rule.matches(target))
            .max_by_key(|rule| rule.speech)
            .map(|rule| (rule, rule.speech))
    }

    /// Decides about a target that was read already.
    pub fn decide(&self, target: &Target) -> Decision {
        let name = Some(target.to_string());
        match self.admits(target) {
            Some((rule, _)) => Decision {
                allowed: true,
                reason: format!("rule `{rule}`"),
                rule: Some(rule.to_string()),
                target: name,
            },
            None if self.rules.is_empty() => Decision {
                allowed: false,
                reason: "the allow-list is empty".into(),
                rule: None,
                target: name,
            },
            None => Decision {
                allowed: false,
                reason: format!("no rule allows `{target}`"),
                rule: None,
                target: name,
            },
        }
    }

    /// Decides about a URL (`http://` or `https://`), `host:port`, or `host` (port 443), as the proxy would before it
    /// looks at addresses. Never fails: what cannot be read is refused with the reason.
    pub fn check(&self, url_or_target: &str) -> Decision {
        match read_url(url_or_target) {
            Ok(target) => self.decide(&target),
            Err(reason) => Decision { allowed: false, reason, rule: None, target: None },
        }
    }
}

/// The narrowest rule that lets `target` be reached.
pub fn allowing(target: &Target) -> String {
    match target.port {
        port if WEB_PORTS.contains(&port) => target.host.to_string(),
        port if PLAIN_PORTS.contains(&port) => format!("tcp:{target}"),
        _ => target.to_string(),
    }
}

fn read_url(text: &str) -> Result<Target, String> {
    let (authority, port) = match text.split_once("://") {
        None => (text, 443),
        Some((scheme, rest)) => {
            let port = match scheme.to_ascii_lowercase().as_str() {
                "https" => 443,
                "http" => 80,
                _ => return Err("only `http` and `https` can be checked; write others as `host:port`".into()),
            };
            (rest.split(['/', '?', '#']).next().unwrap_or_default(), port)
        }
    };
    Target::parse(authority.as_bytes(), Some(port)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allow(rules: &[&str]) -> AllowList {
        AllowList::parse(rules.iter().copied()).unwrap()
    }

    fn allowed(rules: &[&str], target: &str) -> bool {
        allow(rules).check(target).allowed
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        for target in ["example.com", "http://localhost", "1.2.3.4:443", "https://a.b.c/"] {
            let decision = AllowList::default().check(target);
            assert!(!decision.allowed);
            assert_eq!(decision.reason, "the allow-list is empty");
        }
    }

    #[test]
    fn a_host_is_for_the_web_ports_only() {
        let rules = ["example.com"];
        assert!(allowed(&rules, "example.com:443"));
        assert!(allowed(&rules, "example.com:80"));
        assert!(allowed(&rules, "EXAMPLE.com."));
        assert!(allowed(&rules, "HTTPS://Example.com/path?q#f"));
        for target in
            ["example.com:22", "example.com:8443", "http://example.com:8080/", "a.example.com", "example.org"]
        {
            assert!(!allowed(&rules, target), "{target}");
        }
    }

    #[test]
    fn a_host_called_tcp_is_not_the_word() {
        for (text, written) in
            [("tcp.:42", "tcp.:42"), ("tcp", "tcp"), ("tcp.", "tcp"), ("tcp:tcp.:42", "tcp:tcp:42")]
        {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.to_string(), written);
            assert_eq!(written.parse(), Ok(rule));
        }
    }

    #[test]
    fn a_port_is_exact() {
        let rules = ["example.com:8443"];
        assert!(allowed(&rules, "https://example.com:8443/"));
        assert!(!allowed(&rules, "https://example.com/"));
        assert!(!allowed(&rules, "http://example.com/"));
    }

    #[test]
    fn a_wildcard_matches_at_a_label_edge_only() {
        let rules = ["*.example.com"];
        for target in ["a.example.com", "a.b.example.com", "A.EXAMPLE.COM."] {
            assert!(allowed(&rules, target), "{target}");
        }
        for target in
            ["example.com", "badexample.com", "example.com.evil.org", "a.example.comm", "xexample.com"]
        {
            assert!(!allowed(&rules, target), "{target}");
        }
        // Negative control: with the apex named, the apex is allowed.
        assert!(allowed(&["*.example.com", "example.com"], "example.com"));
    }

    #[test]
    fn addresses_are_exact() {
        assert!(allowed(&["1.1.1.1"], "https://1.1.1.1/"));
        assert!(!allowed(&["1.1.1.1"], "https://1.1.1.10/"));
        assert!(allowed(&["[2606:4700::1111]:443"], "[2606:4700:0:0::1111]:443"));
        assert!(allowed(&["[2606:4700::1111]"], "[2606:4700::1111]"));
    }

    #[test]
    fn a_tcp_rule_says_so() {
        let allow = allow(&["github.com", "tcp:github.com:22", "tcp:github.com:443"]);
        let speech = |text: &str| {
            let target = Target::parse(text.as_bytes(), None).unwrap();
            allow.admits(&target).map(|(_, speech)| speech)
        };
        assert_eq!(speech("github.com:22"), Some(Speech::Raw));
        assert_eq!(speech("github.com:443"), Some(Speech::Raw));
        assert_eq!(speech("github.com:80"), Some(Speech::Web));
        assert_eq!(speech("github.com:23"), None);
    }

    #[test]
    fn wrong_rules_are_named() {
        use RuleProblem as P;
        for (text, problem) in [
            ("*", P::Star),
            ("*.*.com", P::Star),
            ("a.*.com", P::Star),
            ("*a.com", P::Star),
            ("*.com", P::TooWide),
            ("*.localhost", P::TooWide),
            ("*.1.2.3.4", P::StarAddress),
            ("tcp:github.com", P::TcpPort),
            ("tcp:*.example.com", P::TcpPort),
            ("github.com:22", P::PlainPort(22)),
            ("*.example.com:5432", P::PlainPort(5432)),
            ("https://example.com", P::Url),
            ("", P::Host(AuthorityError::Empty)),
            ("*.", P::Host(AuthorityError::Empty)),
            ("example.com:0", P::Host(AuthorityError::Port)),
            ("example.com:*", P::Host(AuthorityError::Port)),
            ("exa mple.com", P::Host(AuthorityError::Character)),
            ("2001:db8::1", P::Host(AuthorityError::Ipv6)),
        ] {
            assert_eq!(text.parse::<Rule>().unwrap_err().problem, problem, "{text:?}");
        }
    }

    #[test]
    fn hostile_urls_are_refused_with_a_reason() {
        let allow = allow(&["example.com", "*.example.com", "127.0.0.1"]);
        for text in [
            "https://example.com@evil.org/",
            "https://evil.org\\@example.com/",
            "https://example.com%2eevil.org",
            "https://example.com:443:80/",
            "https://evil.org\0.example.com/",
            "https://evil.org\r\n.example.com",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://[::ffff:127.0.0.1]/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "://example.com",
            "",
        ] {
            let decision = allow.check(text);
            assert!(!decision.allowed, "{text:?}");
            assert_eq!(decision.rule, None);
            assert!(!decision.reason.is_empty());
        }
    }

    #[test]
    fn rules_are_text_in_configuration_files() {
        let allow: AllowList = serde_json::from_str(r#"["Example.com.", "*.example.org:8443"]"#).unwrap();
        assert_eq!(serde_json::to_string(&allow).unwrap(), r#"["example.com","*.example.org:8443"]"#);
        let error = serde_json::from_str::<AllowList>(r#"["*.com"]"#).unwrap_err().to_string();
        assert!(error.contains("too wide"), "{error}");
    }

    proptest! {
        #[test]
        fn rules_are_stable(text in "(tcp:)?(\\*\\.)?[a-z0-9.-]{1,20}(:[0-9]{1,5})?") {
            if let Ok(rule) = text.parse::<Rule>() {
                prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
            }
        }

        /// A wildcard admits a name exactly when a label and a dot stand before its base: told by splitting labels here,
        /// by stripping text there.
        #[test]
        fn wildcards_agree_with_labels(name in "([a-c]{1,3}\\.){0,3}[a-c]{1,3}", base in "[a-c]{1,3}\\.[a-c]{1,3}") {
            let rule: Rule = format!("*.{base}").parse().unwrap();
            let target = Target::parse(name.as_bytes(), Some(443)).unwrap();
            let name: Vec<&str> = name.split('.').collect();
            let base: Vec<&str> = base.split('.').collect();
            let expected = name.len() > base.len() && name[name.len() - base.len()..] == base[..];
            prop_assert_eq!(rule.matches(&target), expected);
        }

        #[test]
        fn checking_never_panics(text in any::<String>()) {
            let decision = allow(&["example.com", "*.example.org"]).check(&text);
            prop_assert!(!decision.allowed || decision.target.is_some());
        }
    }
}
