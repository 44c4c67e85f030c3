//! Of images in registries.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "image/src/registry/error.rs",
        "a registry is written before the name, as in `registry.example/team/name:tag`",
        Elsewhere("image/src/registry/tests.rs", "a_name_leads_to_a_registry_that_is_written"),
    ),
    row(
        "image/src/registry/error.rs",
        "log in with `pinfold login {host}`, and check that the login may do this",
        Elsewhere("cli/tests/login.rs", "a_login_serves_pinfold_and_skopeo_until_it_is_taken_away"),
    ),
    row(
        "image/src/registry/error.rs",
        "check the name and the tag; registries that want a login may say the same of what is not public",
        Untried("another's registry decides what it has"),
    ),
    row(
        "image/src/registry/error.rs",
        "the registry, or a proxy before it, takes only smaller content: ask whoever runs it",
        Untried("another's registry decides what it takes"),
    ),
    row(
        "image/src/registry/error.rs",
        "push it again with a tool of today",
        Untried("tools of today make no such images"),
    ),
    row(
        "image/src/registry/error.rs",
        "somebody else pushed to the same tag: push again, or to a tag of your own",
        Untried("somebody else decides"),
    ),
    row(
        "cli/src/commands/login.rs",
        "say who with `--user NAME`, and give the password on stdin with `--password-stdin`",
        Elsewhere("cli/tests/login.rs", "who_cannot_be_asked_says_it_on_stdin"),
    ),
    row(
        "cli/src/commands/login.rs",
        "for example `pinfold login --user NAME --password-stdin HOST < FILE`",
        Elsewhere("cli/tests/login.rs", "who_cannot_be_asked_says_it_on_stdin"),
    ),
    row(
        "cli/src/commands/login.rs",
        "a login for a part of a registry is taken away by the name of the part",
        Elsewhere("cli/tests/login.rs", "a_login_serves_pinfold_and_skopeo_until_it_is_taken_away"),
    ),
    row(
        "engine/src/ship/registries/mod.rs",
        "write the registry before it, as in `registry.example/team/name:tag`, or name one as `unqualified-search-registries` in `registries.conf`",
        Elsewhere("engine/src/ship/registries/tests.rs", "a_short_name_means_one_image_or_none"),
    ),
    row(
        "engine/src/ship/registries/mod.rs",
        "write which one is meant: `{}`",
        Elsewhere("engine/src/ship/registries/tests.rs", "a_short_name_means_one_image_or_none"),
    ),
    row(
        "engine/src/ship/error.rs",
        "check the name and the password; accounts with a second factor want a token instead",
        Elsewhere("cli/tests/login.rs", "a_login_serves_pinfold_and_skopeo_until_it_is_taken_away"),
    ),
    row("image/src/registry/error.rs", "run the same command again", Untried("somebody else decides")),
];
