//! Where packages are put, rule by rule, against npm's own answers.

use std::collections::BTreeMap;

use pinfold_base::Platform;
use pinfold_base::http::Client;
use pinfold_base::http::Options;
use pinfold_base::http::SafeUrl;

use pinfold_sources::npm::AgeRule;
use pinfold_sources::npm::Config;
use pinfold_sources::npm::InstallScripts;
use pinfold_sources::npm::LockedNpm;
use pinfold_sources::npm::MissingTime;
use pinfold_sources::npm::NpmError;
use pinfold_sources::npm::Placement;
use pinfold_sources::npm::Registry;
use pinfold_sources::npm::Request;
use pinfold_sources::npm::tree::Kept;
use pinfold_sources::npm::tree::TreeRequest;
use pinfold_sources::npm::tree::resolve_tree;
use pinfold_testkit::npm::NpmRegistry;
use pinfold_testkit::npm::Package;
use serde_json::Value;
use serde_json::json;

/// What stands where in the first platform's tree.
fn placed(registry: &Registry, requests: &[(&str, &str)]) -> Result<Vec<String>, NpmError> {
    let requests: Vec<_> = requests
        .iter()
        .map(|(name, spec)| Request {
            name: (*name).into(),
            spec: (*spec).into(),
            scripts: InstallScripts::Refuse,
        })
        .collect();
    let request = TreeRequest {
        requests: &requests,
        platforms: &Platform::ALL,
        age: AgeRule { min_age: 0, now: 1_795_219_200, missing: MissingTime::Refuse },
        answers: &BTreeMap::new(),
        keep: &Kept::nothing(),
    };
    let tree = resolve_tree(registry, &request, |_| Ok::<_, NpmError>(None))?;
    let all = tree.placements[&Platform::ALL[0]].iter();
    Ok(all.map(|placement| format!("{} {}", placement.dir, placement.package.version)).collect())
}

/// A small registry, what is asked of it, and where npm puts what.
struct Small {
    case: &'static str,
    /// `NAME@VERSION` and the rest of its `package.json`; of each name the last one is `latest`, unless `tags` says otherwise.
    packages: &'static [(&'static str, &'static str)],
    tags: &'static [(&'static str, &'static str, &'static str)],
    requests: &'static [(&'static str, &'static str)],
    placed: &'static [&'static str],
}

/// Recorded: each registry was served on loopback to the resolver of npm 11.19.1 (`@npmcli/arborist` with `global` and the
/// install strategy `shallow`, as `npm install --global` calls it), and `placed` is the tree that it made.
const SMALL: &[Small] = &[
    Small {
        case: "hoist conflict",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"c":"1"}}"#),
            ("b@1.0.0", r#"{"dependencies":{"c":"2"}}"#),
            ("c@1.0.0", "{}"),
            ("c@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1"), ("b", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/c 1.0.0",
            "node_modules/b 1.0.0",
            "node_modules/b/node_modules/c 2.0.0",
        ],
    },
    Small {
        case: "root wins",
        packages: &[("a@1.0.0", r#"{"dependencies":{"c":"1"}}"#), ("c@1.0.0", "{}"), ("c@2.0.0", "{}")],
        tags: &[],
        requests: &[("a", "1"), ("c", "2")],
        placed: &["node_modules/a 1.0.0", "node_modules/a/node_modules/c 1.0.0", "node_modules/c 2.0.0"],
    },
    Small {
        case: "three versions",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"c":"1"}}"#),
            ("b@1.0.0", r#"{"dependencies":{"c":"2"}}"#),
            ("d@1.0.0", r#"{"dependencies":{"c":"2","e":"1"}}"#),
            ("e@1.0.0", r#"{"dependencies":{"c":"3"}}"#),
            ("c@1.0.0", "{}"),
            ("c@2.0.0", "{}"),
            ("c@3.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1"), ("b", "1"), ("d", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/c 1.0.0",
            "node_modules/b 1.0.0",
            "node_modules/b/node_modules/c 2.0.0",
            "node_modules/d 1.0.0",
            "node_modules/d/node_modules/c 2.0.0",
            "node_modules/d/node_modules/e 1.0.0",
            "node_modules/d/node_modules/e/node_modules/c 3.0.0",
        ],
    },
    Small {
        case: "circle",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"b":"1"}}"#),
            ("b@1.0.0", r#"{"dependencies":{"c":"1"}}"#),
            ("c@1.0.0", r#"{"dependencies":{"a":"1"}}"#),
        ],
        tags: &[],
        requests: &[("a", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/b 1.0.0",
            "node_modules/a/node_modules/c 1.0.0",
        ],
    },
    Small {
        case: "circle versions",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"b":"1"}}"#),
            ("b@1.0.0", r#"{"dependencies":{"a":"2"}}"#),
            ("a@2.0.0", r#"{"dependencies":{"b":"1"}}"#),
        ],
        tags: &[],
        requests: &[("a", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/a 2.0.0",
            "node_modules/a/node_modules/b 1.0.0",
        ],
    },
    Small {
        case: "nested under",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"b":"1","c":"1"}}"#),
            ("b@1.0.0", r#"{"dependencies":{"c":"2"}}"#),
            ("c@1.0.0", r#"{"dependencies":{"d":"1"}}"#),
            ("c@2.0.0", r#"{"dependencies":{"d":"2"}}"#),
            ("d@1.0.0", "{}"),
            ("d@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/b 1.0.0",
            "node_modules/a/node_modules/b/node_modules/c 2.0.0",
            "node_modules/a/node_modules/b/node_modules/d 2.0.0",
            "node_modules/a/node_modules/c 1.0.0",
            "node_modules/a/node_modules/d 1.0.0",
        ],
    },
    Small {
        case: "optional here",
        packages: &[("a@1.0.0", r#"{"optionalDependencies":{"b":"1"}}"#), ("b@1.0.0", "{}")],
        tags: &[],
        requests: &[("a", "1")],
        placed: &["node_modules/a 1.0.0", "node_modules/a/node_modules/b 1.0.0"],
    },
    Small {
        case: "optional both",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"b":"2"},"optionalDependencies":{"b":"1"}}"#),
            ("b@1.0.0", "{}"),
            ("b@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1")],
        placed: &["node_modules/a 1.0.0", "node_modules/a/node_modules/b 1.0.0"],
    },
    Small {
        case: "optional no version",
        packages: &[("a@1.0.0", r#"{"optionalDependencies":{"b":"9"}}"#), ("b@1.0.0", "{}")],
        tags: &[],
        requests: &[("a", "1")],
        placed: &["node_modules/a 1.0.0"],
    },
    Small {
        case: "peer plain",
        packages: &[
            ("p@1.0.0", r#"{"peerDependencies":{"h":"^1"}}"#),
            ("h@1.0.0", "{}"),
            ("h@1.1.0", "{}"),
            ("h@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("p", "1")],
        placed: &["node_modules/p 1.0.0", "node_modules/p/node_modules/h 1.1.0"],
    },
    Small {
        case: "peer of nested",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"p":"1","h":"1"}}"#),
            ("p@1.0.0", r#"{"peerDependencies":{"h":"1"}}"#),
            ("h@1.0.0", "{}"),
            ("h@2.0.0", "{}"),
            ("b@1.0.0", r#"{"dependencies":{"h":"2"}}"#),
        ],
        tags: &[],
        requests: &[("a", "1"), ("b", "1"), ("h", "2")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/h 1.0.0",
            "node_modules/a/node_modules/p 1.0.0",
            "node_modules/b 1.0.0",
            "node_modules/h 2.0.0",
        ],
    },
    Small {
        case: "peer optional",
        packages: &[
            ("p@1.0.0", r#"{"peerDependencies":{"h":"1"},"peerDependenciesMeta":{"h":{"optional":true}}}"#),
            ("h@1.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("p", "1")],
        placed: &["node_modules/p 1.0.0"],
    },
    Small {
        case: "peer optional there",
        packages: &[
            ("p@1.0.0", r#"{"peerDependencies":{"h":"1"},"peerDependenciesMeta":{"h":{"optional":true}}}"#),
            ("h@1.0.0", "{}"),
            ("b@1.0.0", r#"{"dependencies":{"h":"1"}}"#),
        ],
        tags: &[],
        requests: &[("p", "1"), ("b", "1")],
        placed: &["node_modules/b 1.0.0", "node_modules/b/node_modules/h 1.0.0", "node_modules/p 1.0.0"],
    },
    Small {
        case: "peer chain",
        packages: &[
            ("p@1.0.0", r#"{"peerDependencies":{"q":"1"}}"#),
            ("q@1.0.0", r#"{"peerDependencies":{"r":"1"}}"#),
            ("r@1.0.0", "{}"),
            ("r@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("p", "1")],
        placed: &[
            "node_modules/p 1.0.0",
            "node_modules/p/node_modules/q 1.0.0",
            "node_modules/p/node_modules/r 1.0.0",
        ],
    },
    Small {
        case: "peer set nested",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"p":"1"}}"#),
            ("p@1.0.0", r#"{"peerDependencies":{"h":"1"}}"#),
            ("h@1.0.0", "{}"),
            ("h@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1"), ("h", "2")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/h 1.0.0",
            "node_modules/a/node_modules/p 1.0.0",
            "node_modules/h 2.0.0",
        ],
    },
    Small {
        case: "alias",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"c-old":"npm:c@1","c":"2"}}"#),
            ("c@1.0.0", "{}"),
            ("c@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/c 2.0.0",
            "node_modules/a/node_modules/c-old 1.0.0",
        ],
    },
    Small {
        case: "alias root",
        packages: &[
            ("c@1.0.0", r#"{"dependencies":{"d":"1"}}"#),
            ("c@2.0.0", r#"{"dependencies":{"d":"2"}}"#),
            ("d@1.0.0", "{}"),
            ("d@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("one", "npm:c@1"), ("two", "npm:c@2")],
        placed: &[
            "node_modules/one 1.0.0",
            "node_modules/one/node_modules/d 1.0.0",
            "node_modules/two 2.0.0",
            "node_modules/two/node_modules/d 2.0.0",
        ],
    },
    Small {
        case: "scoped",
        packages: &[
            ("@s/a@1.0.0", r#"{"dependencies":{"@s/b":"1"}}"#),
            ("@s/b@1.0.0", "{}"),
            ("@s/b@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("@s/a", "1"), ("@s/b", "2")],
        placed: &[
            "node_modules/@s/a 1.0.0",
            "node_modules/@s/a/node_modules/@s/b 1.0.0",
            "node_modules/@s/b 2.0.0",
        ],
    },
    Small {
        case: "latest tag range",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"c":"^1.0.0"}}"#),
            ("c@1.0.0", "{}"),
            ("c@1.1.0", "{}"),
            ("c@1.2.0", "{}"),
        ],
        tags: &[("c", "latest", "1.1.0")],
        requests: &[("a", "1")],
        placed: &["node_modules/a 1.0.0", "node_modules/a/node_modules/c 1.1.0"],
    },
    Small {
        case: "tag dep",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"c":"next"}}"#),
            ("c@1.0.0", "{}"),
            ("c@2.0.0-rc.1", "{}"),
        ],
        tags: &[("c", "latest", "1.0.0"), ("c", "next", "2.0.0-rc.1")],
        requests: &[("a", "1")],
        placed: &["node_modules/a 1.0.0", "node_modules/a/node_modules/c 2.0.0-rc.1"],
    },
    Small {
        case: "deprecated skipped",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"c":">=1.0.0"}}"#),
            ("c@1.0.0", "{}"),
            ("c@1.5.0", r#"{"deprecated":"no"}"#),
            ("c@0.9.0", "{}"),
        ],
        tags: &[("c", "latest", "0.9.0")],
        requests: &[("a", "1")],
        placed: &["node_modules/a 1.0.0", "node_modules/a/node_modules/c 1.0.0"],
    },
    Small {
        case: "dedupe old",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"c":"1.0.0"}}"#),
            ("b@1.0.0", r#"{"dependencies":{"c":"^1.0.0"}}"#),
            ("c@1.0.0", "{}"),
            ("c@1.1.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1"), ("b", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/c 1.0.0",
            "node_modules/b 1.0.0",
            "node_modules/b/node_modules/c 1.1.0",
        ],
    },
    Small {
        case: "dedupe order",
        packages: &[
            ("b@1.0.0", r#"{"dependencies":{"c":"1.0.0"}}"#),
            ("a@1.0.0", r#"{"dependencies":{"c":"^1.0.0"}}"#),
            ("c@1.0.0", "{}"),
            ("c@1.1.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1"), ("b", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/c 1.1.0",
            "node_modules/b 1.0.0",
            "node_modules/b/node_modules/c 1.0.0",
        ],
    },
    Small {
        case: "prerelease",
        packages: &[("a@1.0.0", r#"{"dependencies":{"c":"*"}}"#), ("c@1.0.0-a", "{}"), ("c@1.0.0-b", "{}")],
        tags: &[],
        requests: &[("a", "1")],
        placed: &["node_modules/a 1.0.0", "node_modules/a/node_modules/c 1.0.0-b"],
    },
    Small {
        case: "deep then up",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"b":"1"}}"#),
            ("b@1.0.0", r#"{"dependencies":{"c":"1"}}"#),
            ("c@1.0.0", r#"{"dependencies":{"d":"1"}}"#),
            ("d@1.0.0", r#"{"dependencies":{"b":"2"}}"#),
            ("b@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("a", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/b 1.0.0",
            "node_modules/a/node_modules/c 1.0.0",
            "node_modules/a/node_modules/d 1.0.0",
            "node_modules/a/node_modules/d/node_modules/b 2.0.0",
        ],
    },
    Small {
        case: "peers of two",
        packages: &[
            ("leaf@1.0.0", "{}"),
            ("leaf@1.1.0", "{}"),
            ("leaf@2.0.0", "{}"),
            ("one@1.0.0", r#"{"peerDependencies":{"leaf":"1"}}"#),
            ("two@1.0.0", r#"{"peerDependencies":{"leaf":"2"}}"#),
        ],
        tags: &[],
        requests: &[("one", "1"), ("two", "1")],
        placed: &[
            "node_modules/one 1.0.0",
            "node_modules/one/node_modules/leaf 1.1.0",
            "node_modules/two 1.0.0",
            "node_modules/two/node_modules/leaf 2.0.0",
        ],
    },
    Small {
        case: "peer asked for",
        packages: &[
            ("leaf@1.0.0", "{}"),
            ("leaf@1.1.0", "{}"),
            ("leaf@2.0.0", "{}"),
            ("one@1.0.0", r#"{"peerDependencies":{"leaf":"1"}}"#),
        ],
        tags: &[],
        requests: &[("one", "1"), ("leaf", "1.0.0")],
        placed: &["node_modules/leaf 1.0.0", "node_modules/one 1.0.0"],
    },
    Small {
        case: "peer asked for in another version",
        packages: &[
            ("leaf@1.0.0", "{}"),
            ("leaf@1.1.0", "{}"),
            ("leaf@2.0.0", "{}"),
            ("one@1.0.0", r#"{"peerDependencies":{"leaf":"1"}}"#),
        ],
        tags: &[],
        requests: &[("one", "1"), ("leaf", "2")],
        placed: &[
            "node_modules/leaf 2.0.0",
            "node_modules/one 1.0.0",
            "node_modules/one/node_modules/leaf 1.1.0",
        ],
    },
    Small {
        case: "needed asked for",
        packages: &[
            ("leaf@1.0.0", "{}"),
            ("leaf@1.1.0", "{}"),
            ("leaf@2.0.0", "{}"),
            ("one@1.0.0", r#"{"dependencies":{"leaf":"1"}}"#),
        ],
        tags: &[],
        requests: &[("one", "1"), ("leaf", "1.0.0")],
        placed: &["node_modules/leaf 1.0.0", "node_modules/one 1.0.0"],
    },
    Small {
        case: "needed by two",
        packages: &[
            ("leaf@1.0.0", "{}"),
            ("leaf@1.1.0", "{}"),
            ("leaf@2.0.0", "{}"),
            ("one@1.0.0", r#"{"dependencies":{"leaf":"1"}}"#),
            ("two@1.0.0", r#"{"dependencies":{"leaf":"1"}}"#),
        ],
        tags: &[],
        requests: &[("one", "1"), ("two", "1")],
        placed: &[
            "node_modules/one 1.0.0",
            "node_modules/one/node_modules/leaf 1.1.0",
            "node_modules/two 1.0.0",
            "node_modules/two/node_modules/leaf 1.1.0",
        ],
    },
    Small {
        case: "needs what was asked for",
        packages: &[
            ("leaf@1.0.0", "{}"),
            ("leaf@1.1.0", "{}"),
            ("leaf@2.0.0", "{}"),
            ("one@1.0.0", r#"{"dependencies":{"leaf":"1"}}"#),
            ("use@1.0.0", r#"{"dependencies":{"one":"1"}}"#),
        ],
        tags: &[],
        requests: &[("use", "1"), ("one", "1")],
        placed: &[
            "node_modules/one 1.0.0",
            "node_modules/one/node_modules/leaf 1.1.0",
            "node_modules/use 1.0.0",
        ],
    },
    Small {
        case: "deep peer asked for",
        packages: &[
            ("leaf@1.0.0", "{}"),
            ("leaf@1.1.0", "{}"),
            ("leaf@2.0.0", "{}"),
            ("use@1.0.0", r#"{"dependencies":{"one":"1"}}"#),
            ("one@1.0.0", r#"{"peerDependencies":{"leaf":"1"}}"#),
        ],
        tags: &[],
        requests: &[("use", "1"), ("leaf", "2")],
        placed: &[
            "node_modules/leaf 2.0.0",
            "node_modules/use 1.0.0",
            "node_modules/use/node_modules/leaf 1.1.0",
            "node_modules/use/node_modules/one 1.0.0",
        ],
    },
    Small {
        case: "peers of a peer inside",
        packages: &[
            ("p@1.0.0", r#"{"peerDependencies":{"q":"1"}}"#),
            ("q@1.0.0", r#"{"peerDependencies":{"r":"1"},"dependencies":{"s":"1"}}"#),
            ("r@1.0.0", "{}"),
            ("s@1.0.0", "{}"),
            ("r@2.0.0", "{}"),
        ],
        tags: &[],
        requests: &[("p", "1"), ("r", "2")],
        placed: &[
            "node_modules/p 1.0.0",
            "node_modules/p/node_modules/q 1.0.0",
            "node_modules/p/node_modules/r 1.0.0",
            "node_modules/p/node_modules/s 1.0.0",
            "node_modules/r 2.0.0",
        ],
    },
    Small {
        case: "optional of two",
        packages: &[
            ("leaf@1.0.0", "{}"),
            ("leaf@1.1.0", "{}"),
            ("leaf@2.0.0", "{}"),
            ("one@1.0.0", r#"{"optionalDependencies":{"leaf":"1","gone":"1"}}"#),
            (
                "two@1.0.0",
                r#"{"peerDependencies":{"leaf":"2"},"peerDependenciesMeta":{"leaf":{"optional":true}}}"#,
            ),
        ],
        tags: &[],
        requests: &[("one", "1"), ("two", "1")],
        placed: &[
            "node_modules/one 1.0.0",
            "node_modules/one/node_modules/leaf 1.1.0",
            "node_modules/two 1.0.0",
        ],
    },
    Small {
        case: "three deep",
        packages: &[
            ("a@1.0.0", r#"{"dependencies":{"b":"1","d":"2"}}"#),
            ("b@1.0.0", r#"{"dependencies":{"c":"1"}}"#),
            ("c@1.0.0", r#"{"dependencies":{"d":"1"}}"#),
            ("d@1.0.0", "{}"),
            ("d@2.0.0", "{}"),
            ("x@1.0.0", r#"{"dependencies":{"c":"1"}}"#),
        ],
        tags: &[],
        requests: &[("a", "1"), ("x", "1"), ("d", "1")],
        placed: &[
            "node_modules/a 1.0.0",
            "node_modules/a/node_modules/b 1.0.0",
            "node_modules/a/node_modules/c 1.0.0",
            "node_modules/a/node_modules/c/node_modules/d 1.0.0",
            "node_modules/a/node_modules/d 2.0.0",
            "node_modules/d 1.0.0",
            "node_modules/x 1.0.0",
            "node_modules/x/node_modules/c 1.0.0",
        ],
    },
];

#[test]
fn each_rule_of_placement_is_npms() {
    let mut wrong = Vec::new();
    for small in SMALL {
        let mut served = NpmRegistry::new();
        for (id, rest) in small.packages {
            let (name, version) = id.rsplit_once('@').unwrap();
            let fields: serde_json::Map<String, Value> = serde_json::from_str(rest).unwrap();
            let package = Package::new(name, version);
            served = served.package(
                fields.into_iter().fold(package, |package, (field, value)| package.field(&field, value)),
            );
        }
        for (name, tag, version) in small.tags {
            served = served.tag(name, tag, version);
        }
        let running = served.start();
        let client = Client::with(Options { retries: 0, ..Options::default() });
        let registry = Registry::new(Config::single(SafeUrl::parse(&running.url).unwrap()), client);
        let mut requests = small.requests.to_vec();
        for _ in 0..2 {
            let found = placed(&registry, &requests).unwrap_or_else(|error| vec![error.to_string()]);
            if found != small.placed {
                wrong.push(format!("{}: {found:?}, npm: {:?}", small.case, small.placed));
            }
            // Nor does it matter in which order things are asked for.
            requests.reverse();
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Served on loopback to `npm install --global` of npm 11.19.1, which was then asked for its directories: what the file has and
/// nobody needs is left out, what is for another platform is not, and version 1 knows no commands.
#[test]
fn what_stands_below_a_package_with_a_shrinkwrap_its_publisher_says() {
    let new = r#"{"lockfileVersion":3,"packages":{"":{"dependencies":{"leaf":"^1","nat":"1"},"devDependencies":{"devd":"1"}},
        "node_modules/leaf":{"version":"1.0.0","bin":{"leaf":"l.js"}},"node_modules/devd":{"version":"1.0.0","dev":true},
        "node_modules/extra":{"version":"1.0.0"},"node_modules/nat/node_modules/deep":{"version":"1.0.0"},
        "node_modules/nat":{"version":"1.0.0","optionalDependencies":{"win":"1","lin":"1"},"dependencies":{"deep":"1"}},
        "node_modules/win":{"version":"1.0.0","os":["win32"],"optional":true},
        "node_modules/lin":{"version":"1.0.0","os":["linux"],"optional":true},
        "node_modules/al":{"name":"leaf","version":"1.1.0"}}}"#;
    let old = r#"{"lockfileVersion":1,"requires":true,"dependencies":{"leaf":{"version":"1.0.0"},
        "devd":{"version":"1.0.0","dev":true},"win":{"version":"1.0.0","optional":true},
        "nat":{"version":"1.0.0","requires":{"deep":"1"},"dependencies":{"deep":{"version":"1.0.0"}}}}}"#;
    let needs = |name: &str, needs: Value| Package::new(name, "1.0.0").field("dependencies", needs);
    let shrunk = |name: &str| {
        needs(name, json!({ "leaf": "^1", "nat": "1" })).field("_hasShrinkwrap", Value::Bool(true))
    };
    let leaf = |version: &str| Package::new("leaf", version).field("bin", json!({ "leaf": "l.js" }));
    let running = NpmRegistry::new()
        .package(leaf("1.0.0"))
        .package(leaf("1.1.0"))
        .package(Package::new("devd", "1.0.0"))
        .package(Package::new("extra", "1.0.0"))
        .package(Package::new("deep", "1.0.0"))
        .package(Package::new("deep", "1.1.0"))
        .package(Package::new("win", "1.0.0").field("os", json!(["win32"])))
        .package(Package::new("lin", "1.0.0").field("os", json!(["linux"])))
        .package(
            needs("nat", json!({ "deep": "1" }))
                .field("optionalDependencies", json!({ "win": "1", "lin": "1" })),
        )
        .package(shrunk("shrunk"))
        .package(shrunk("old"))
        .package(shrunk("none"))
        .package(needs("unsaid", json!({ "leaf": "^1" })))
        .package(needs("needs", json!({ "shrunk": "1", "leaf": "^1" })))
        .package(needs("needs-old", json!({ "old": "1", "leaf": "1.0.0" })))
        .start();
    let client = Client::with(Options { retries: 0, ..Options::default() });
    let registry = Registry::new(Config::single(SafeUrl::parse(&running.url).unwrap()), client);
    let file = |package: &LockedNpm| {
        Ok::<_, NpmError>(match package.name.as_str() {
            "shrunk" | "unsaid" => Some(new.as_bytes().to_vec()),
            "old" => Some(old.as_bytes().to_vec()),
            _ => None,
        })
    };
    let below = |top: &str, what: &[&str]| {
        let below = what.iter().map(|line| format!("{top}/node_modules/{line}"));
        std::iter::once(format!("{top} 1.0.0")).chain(below).collect::<Vec<_>>()
    };
    let new = ["leaf 1.0.0 leaf", "lin 1.0.0", "nat 1.0.0", "nat/node_modules/deep 1.0.0", "win 1.0.0"];
    let old = ["leaf 1.0.0", "nat 1.0.0", "nat/node_modules/deep 1.0.0"];
    for (name, expected) in [
        ("shrunk", below("node_modules/shrunk", &new)),
        ("old", below("node_modules/old", &old)),
        ("none", below("node_modules/none", &[])),
        ("unsaid", below("node_modules/unsaid", &["leaf 1.1.0 leaf"])),
        (
            "needs",
            [
                below("node_modules/needs", &["leaf 1.1.0 leaf"]),
                below("node_modules/needs/node_modules/shrunk", &new),
            ]
            .concat(),
        ),
        (
            "needs-old",
            [
                below("node_modules/needs-old", &["leaf 1.0.0 leaf"]),
                below("node_modules/needs-old/node_modules/old", &old),
            ]
            .concat(),
        ),
    ] {
        let requests = [Request { name: name.into(), spec: "1".into(), scripts: InstallScripts::Refuse }];
        let request = TreeRequest {
            requests: &requests,
            platforms: &Platform::ALL,
            age: AgeRule { min_age: 0, now: 1_795_219_200, missing: MissingTime::Refuse },
            answers: &BTreeMap::new(),
            keep: &Kept::nothing(),
        };
        let tree = resolve_tree(&registry, &request, file).unwrap();
        for placements in tree.placements.values() {
            let line = |placement: &Placement| {
                let bins: Vec<&str> = placement.bins.keys().map(String::as_str).collect();
                let bins = if bins.is_empty() { String::new() } else { format!(" {}", bins.join(" ")) };
                format!("{} {}{bins}", placement.dir, placement.package.version)
            };
            assert_eq!(placements.iter().map(line).collect::<Vec<_>>(), expected, "{name}");
        }
        let told = tree.notes.iter().any(|note| note.contains("has no `npm-shrinkwrap.json`"));
        assert_eq!(told, name == "none", "{name}: {:?}", tree.notes);
    }
}

#[test]
fn a_shrinkwrap_is_held_to_the_registry() {
    let running = NpmRegistry::new()
        .package(
            Package::new("shrunk", "1.0.0")
                .field("dependencies", json!({ "leaf": "1" }))
                .field("_hasShrinkwrap", Value::Bool(true)),
        )
        .package(Package::new("leaf", "1.0.0"))
        .start();
    let client = Client::with(Options { retries: 0, ..Options::default() });
    let registry = Registry::new(Config::single(SafeUrl::parse(&running.url).unwrap()), client);
    let zeros = format!("sha512-{}==", "A".repeat(86));
    for (entry, now, expected) in [
        (r#""version":"1.0.0""#.to_owned(), 1_795_219_200, None),
        (
            r#""version":"9.0.0""#.into(),
            1_795_219_200,
            Some("no version of `leaf` fits `9.0.0` (needed by shrunk@1.0.0)"),
        ),
        (format!(r#""version":"1.0.0","integrity":"{zeros}""#), 1_795_219_200, Some("cannot be followed")),
    ] {
        let file = format!(r#"{{"lockfileVersion":3,"packages":{{"node_modules/leaf":{{{entry}}}}}}}"#);
        let requests = [Request { name: "shrunk".into(), spec: "1".into(), scripts: InstallScripts::Refuse }];
        let request = TreeRequest {
            requests: &requests,
            platforms: &Platform::ALL,
            age: AgeRule { min_age: 60, now, missing: MissingTime::Refuse },
            answers: &BTreeMap::new(),
            keep: &Kept::nothing(),
        };
        let found = resolve_tree(&registry, &request, |_| Ok::<_, NpmError>(Some(file.clone().into_bytes())));
        match (found, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{entry}: {error}"),
            (found, _) => panic!("{entry}: {found:?}"),
        }
    }
}
