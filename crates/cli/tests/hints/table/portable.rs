//! Of one file that runs an agent.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;

pub(super) const ROWS: &[Row] = &[
    row(
        "cli/src/commands/pack.rs",
        "name it FILE.AppImage, FILE.tar, FILE.tar.gz or FILE.tar.zst; `--format appimage` makes an AppImage under any name",
        Elsewhere("cli/tests/pack.rs", "what_cannot_be_packed_says_what_to_do"),
    ),
    row(
        "cli/src/commands/verify.rs",
        "leave out `--only`, or name a file of `pinfold pack`",
        Elsewhere("cli/tests/pack.rs", "what_cannot_be_packed_says_what_to_do"),
    ),
    row(
        "engine/src/portable/pack.rs",
        "name one of these, or build the image with the agent",
        Elsewhere("cli/tests/pack.rs", "what_cannot_be_packed_says_what_to_do"),
    ),
    row(
        "engine/src/portable/pack.rs",
        "name the pinfold of that platform with `--head FILE`: `cargo xtask heads --platform {platform}` in its sources makes one",
        Elsewhere("cli/tests/pack.rs", "what_cannot_be_packed_says_what_to_do"),
    ),
    row(
        "engine/src/portable/pack.rs",
        "name a pinfold of this version with `--head FILE`: it is built from the same sources",
        Elsewhere("cli/tests/pack.rs", "what_cannot_be_packed_says_what_to_do"),
    ),
    row(
        "engine/src/portable/pack.rs",
        "name another file",
        Elsewhere("cli/tests/pack.rs", "what_cannot_be_packed_says_what_to_do"),
    ),
    row(
        "engine/src/portable/place.rs",
        "set `PINFOLD_HOME` to a directory of yours with room, from which programs may be executed, and which no agent works on",
        Elsewhere("cli/tests/pack.rs", "a_start_keeps_its_things_where_they_are_the_users_own"),
    ),
];
