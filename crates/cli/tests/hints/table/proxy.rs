//! Of the proxy for many sandboxes.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "engine/src/proxy/config.rs",
        "write `{near}` instead of `{word}`",
        Elsewhere("engine/src/proxy/config.rs", "what_cannot_be_meant_is_named_with_its_place"),
    ),
    row(
        "engine/src/proxy/error.rs",
        "name it with `--config FILE`; `pinfold kube` writes one, and docs/proxy.md says what is in it",
        Elsewhere("engine/src/proxy/tests.rs", "what_is_missing_is_named_before_anything_is_served"),
    ),
    row(
        "engine/src/proxy/error.rs",
        "put the {what} there, or name another file in the configuration",
        Elsewhere("engine/src/proxy/tests.rs", "what_is_missing_is_named_before_anything_is_served"),
    ),
    row(
        "engine/src/proxy/error.rs",
        "name another address or port, or end who has this one",
        Elsewhere("engine/src/proxy/tests.rs", "what_is_missing_is_named_before_anything_is_served"),
    ),
    row(
        "network/src/identity.rs",
        "make a new one with its line in the identities: `pinfold kube --secrets DIR`",
        Untried("the token is made and mounted in a cluster"),
    ),
    row(
        "network/src/identity.rs",
        "give each sandbox a token of its own",
        Elsewhere("network/src/identity.rs", "one_wrong_line_is_the_lists_end_and_is_named"),
    ),
    row(
        "network/src/identity.rs",
        "give both lines one policy, or the sandboxes two names",
        Elsewhere("network/src/identity.rs", "one_wrong_line_is_the_lists_end_and_is_named"),
    ),
    row(
        "network/src/identity.rs",
        "run a proxy for each part of the sandboxes",
        Untried("it takes more than a million identities"),
    ),
    row(
        "network/src/identity.rs",
        "write the file whole, with a newline at its end, beside the old one, and rename it over that",
        Elsewhere("network/src/identity.rs", "half_a_list_is_none"),
    ),
    row(
        "network/src/identity.rs",
        "for a list of nobody write a line with a comment, such as `# nobody`",
        Elsewhere("network/src/identity.rs", "half_a_list_is_none"),
    ),
    row(
        "network/src/identity.rs",
        "write `NAME SHA256 POLICY [ADDRESS]`, where SHA256 is that of the token's 32 bytes",
        Elsewhere("network/src/identity.rs", "one_wrong_line_is_the_lists_end_and_is_named"),
    ),
    row(
        "network/src/serve/members.rs",
        "write `[policy.{policy}]`, or give the identity a policy that is there",
        Elsewhere("network/src/tests/service.rs", "who_is_not_known_any_more_loses_what_is_open"),
    ),
    row(
        "network/src/tls.rs",
        "a file of certificates has blocks that begin with `-----BEGIN CERTIFICATE-----`",
        Elsewhere("network/src/tls.rs", "certificate_and_key_must_go_together"),
    ),
    row(
        "network/src/tls.rs",
        "a file of a key has a block that begins with `-----BEGIN PRIVATE KEY-----`",
        Elsewhere("network/src/tls.rs", "certificate_and_key_must_go_together"),
    ),
    row(
        "network/src/tls.rs",
        "give the certificate and the key that it was made for; `pinfold kube --secrets DIR` makes both",
        Elsewhere("network/src/tls.rs", "certificate_and_key_must_go_together"),
    ),
    row(
        "network/src/serve/mod.rs",
        "end who listens there, or name another path: `listen = \"unix:PATH\"`",
        Elsewhere("engine/src/proxy/tests.rs", "only_a_socket_of_nobody_is_replaced"),
    ),
    row(
        "network/src/serve/mod.rs",
        "move it away, or name another path: `listen = \"unix:PATH\"`",
        Elsewhere("engine/src/proxy/tests.rs", "only_a_socket_of_nobody_is_replaced"),
    ),
];
