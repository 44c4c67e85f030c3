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
        "log in to the registry (`podman login` or `docker login`), and check that the login may do this",
        Elsewhere("image/src/registry/tests.rs", "who_has_what_a_registry_asks_for_comes_in"),
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
    row("image/src/registry/error.rs", "run the same command again", Untried("somebody else decides")),
];
