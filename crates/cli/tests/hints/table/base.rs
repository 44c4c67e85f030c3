//! Of images that images are built on.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "engine/src/sources/base/find.rs",
        "check name and tag of `image` in the manifest's `[base]`",
        Elsewhere("engine/src/sources/base/tests/mod.rs", "an_error_of_locking_names_the_image"),
    ),
    row(
        "engine/src/sources/base/find.rs",
        "run `pinfold fetch` once with a network, or name kept inputs with `--vendor DIR`",
        Elsewhere(
            "engine/src/sources/base/tests/mod.rs",
            "what_is_locked_is_fetched_once_vendored_and_built_without_a_network",
        ),
    ),
    row(
        "engine/src/sources/base/mod.rs",
        "no reader takes such an image: ask whoever publishes the base",
        Elsewhere("engine/src/sources/base/tests/mod.rs", "bases_that_are_not_what_they_promise_are_refused"),
    ),
    row(
        "engine/src/sources/base/mod.rs",
        "the lock was changed by hand: `pinfold lock --upgrade` makes it anew",
        Elsewhere(
            "engine/src/sources/base/tests/mod.rs",
            "a_base_is_let_in_by_the_users_rules_before_anything_of_it_is_unpacked",
        ),
    ),
    row(
        "engine/src/sources/debian/mod.rs",
        "leave `[debian]` out, or take a base that is made of Debian packages",
        Untried("it takes a base without packages, which somebody else publishes"),
    ),
    row(
        "engine/src/sources/debian/mod.rs",
        "write `suite = \"{}\"` in `[debian]`, or take a base of `{}`",
        Elsewhere(
            "engine/src/sources/base/tests/debian.rs",
            "what_would_change_a_package_of_the_base_is_refused_and_so_is_another_release",
        ),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "what a base has stays as it is: take a base that has it, or ask for the package by its name alone",
        Elsewhere(
            "engine/src/sources/base/tests/debian.rs",
            "what_would_change_a_package_of_the_base_is_refused_and_so_is_another_release",
        ),
    ),
    row(
        "sources/src/debian/present.rs",
        "take a base of Debian 12 or later, or leave the packages out",
        Untried("it takes a base of an old release, which somebody else publishes"),
    ),
];
