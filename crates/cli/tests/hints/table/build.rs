//! Of programs that are built before the lock.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;

pub(super) const ROWS: &[Row] = &[
    row(
        "engine/src/sources/build/mod.rs",
        "`pinfold lock` builds it again, by tools of this machine; or name kept inputs with `--vendor DIR`",
        Elsewhere(
            "engine/src/sources/build/tests.rs",
            "what_another_machine_has_locked_is_vendored_or_built_again_to_the_byte",
        ),
    ),
    row(
        "engine/src/sources/build/mod.rs",
        "the sources or the tools differ from those that were locked: `pinfold lock --upgrade {}` takes what this machine builds",
        Elsewhere(
            "engine/src/sources/build/tests.rs",
            "what_another_machine_has_locked_is_vendored_or_built_again_to_the_byte",
        ),
    ),
    row(
        "engine/src/sources/build/mod.rs",
        "run `pinfold lock` once without `--offline`",
        Elsewhere("engine/src/sources/build/tests.rs", "without_a_network_no_tool_is_run"),
    ),
    row(
        "engine/src/sources/build/make.rs",
        "`rustup target add {}` installs it; or leave the platform out with `platforms` of the entry",
        Elsewhere(
            "engine/src/sources/build/tests.rs",
            "a_crate_is_built_static_for_the_targets_that_are_here",
        ),
    ),
    row(
        "engine/src/sources/build/make.rs",
        "name the program with `bin`",
        Elsewhere(
            "engine/src/sources/build/tests.rs",
            "a_crate_is_built_static_for_the_targets_that_are_here",
        ),
    ),
    row(
        "engine/src/sources/build/make.rs",
        "`output` counts from the folder of the manifest",
        Elsewhere(
            "engine/src/sources/build/tests.rs",
            "what_comes_out_is_a_program_of_the_platform_or_is_refused",
        ),
    ),
    row(
        "engine/src/sources/build/make.rs",
        "have the command make the file in the project",
        Elsewhere(
            "engine/src/sources/build/tests.rs",
            "what_comes_out_is_a_program_of_the_platform_or_is_refused",
        ),
    ),
    row(
        "engine/src/sources/build/make.rs",
        "build it for {platform}: a command is told by `{{platform}}`, `{{arch}}` and `PINFOLD_PLATFORM`; or leave the platform out with `platforms` of the entry",
        Elsewhere(
            "engine/src/sources/build/tests.rs",
            "what_comes_out_is_a_program_of_the_platform_or_is_refused",
        ),
    ),
    row(
        "engine/src/sources/build/carried.rs",
        "`pinfold lock` takes the one that is carried; `--vendor DIR` names inputs that were kept",
        Elsewhere("engine/src/sources/build/tests.rs", "the_worker_is_the_one_that_is_carried_or_named"),
    ),
    row(
        "engine/src/sources/build/carried.rs",
        "`cargo xtask worker` in pinfold's sources makes them below `target/workers`, which `{VARIABLE}=DIR` names; or leave the platform out: `platforms = […]`",
        Elsewhere("engine/src/sources/build/tests.rs", "the_worker_is_the_one_that_is_carried_or_named"),
    ),
    row(
        "engine/src/sources/build/tool.rs",
        "install it: `[[build]]` runs the tools that are here; or leave the entry out",
        Elsewhere(
            "engine/src/sources/build/tests.rs",
            "a_tool_that_fails_is_told_with_the_last_of_what_it_printed_made_visible",
        ),
    ),
    row(
        "engine/src/sources/build/itself.rs",
        "`pinfold lock` takes this one; `--vendor DIR` names inputs that were kept",
        Elsewhere("engine/src/sources/build/tests.rs", "pinfold_itself_is_the_one_that_is_named_or_runs"),
    ),
    row(
        "engine/src/sources/build/itself.rs",
        "a static pinfold is taken as it runs for its own platform; `cargo xtask heads` in its sources makes one for each below \
         `target/heads`, which `{VARIABLE}=DIR` names; or leave the platform out: `platforms = […]`",
        Elsewhere("engine/src/sources/build/tests.rs", "pinfold_itself_is_the_one_that_is_named_or_runs"),
    ),
];
