//! Of what keeps, ships and tells images.

use super::Row;
use super::row;
use crate::case::Follow::MeanWords;
use crate::case::TRIAL;
use crate::case::Trial;
use crate::table::Held::Elsewhere;
use crate::table::Held::Tried;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "engine/src/describe/save.rs",
        "make the folder, or name a file in one that is there",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\n[[file]]\npath = '/x'\ncontent = 'x'\n")],
            before: &["build"],
            words: "report x -o none/x.html",
            error: "there is no folder `none`",
            hint: "make the folder, or name a file in one that is there",
            follow: &[MeanWords("none/x.html", "x.html")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/ship/error.rs",
        "name it with `--sign-public FILE`: signatures are checked with it before they count",
        Elsewhere(
            "cli/tests/sign.rs",
            "the_configuration_signs_where_nothing_is_said_and_debians_registry_keeps_it",
        ),
    ),
    row(
        "engine/src/ship/error.rs",
        "name the program: `--sign 'command:PROGRAM WORD…'`",
        Elsewhere(
            "cli/tests/sign.rs",
            "the_configuration_signs_where_nothing_is_said_and_debians_registry_keeps_it",
        ),
    ),
    row(
        "engine/src/ship/error.rs",
        "name a key: `--sign FILE` (`pinfold key generate FILE` makes one)",
        Elsewhere(
            "cli/tests/sign.rs",
            "the_configuration_signs_where_nothing_is_said_and_debians_registry_keeps_it",
        ),
    ),
    row(
        "engine/src/ship/error.rs",
        "`image.compression = \"zstd\"` or fewer agents make it smaller; `--budget {}MiB` allows it",
        Elsewhere("cli/tests/push.rs", "what_is_too_large_is_refused_before_anything_is_asked"),
    ),
    row(
        "engine/src/ship/error.rs",
        "leave the digest out, or push the image that has it",
        Elsewhere("cli/tests/push.rs", "an_image_goes_only_under_its_own_digest"),
    ),
    row(
        "engine/src/keep/images.rs",
        "`pinfold images --no-trunc` shows all of their digits",
        Untried("it takes images whose digests begin alike"),
    ),
    row(
        "engine/src/keep/images.rs",
        "`pinfold rmi {}` removes all of it",
        Elsewhere("cli/tests/images.rs", "images_are_tagged_and_removed"),
    ),
    row(
        "engine/src/keep/images.rs",
        "`pinfold stop {}` first, or `pinfold rmi --force {}`: the sandbox goes on",
        Elsewhere("cli/tests/images.rs", "what_a_running_sandbox_stands_on_is_not_removed"),
    ),
    row(
        "engine/src/keep/images.rs",
        "say one of the names, or `pinfold rmi --force {}` for all of them",
        Elsewhere("cli/tests/images.rs", "images_are_tagged_and_removed"),
    ),
    row(
        "engine/src/ship/key.rs",
        "name another file for a new key; `pinfold key public {}` prints the public one of this",
        Tried(&[Trial {
            before: &["key generate made.pem"],
            words: "key generate made.pem",
            error: "a key is never written over a file",
            hint: "name another file",
            follow: &[MeanWords("made.pem", "other.pem")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/ship/key.rs",
        "keep it to yourself: `chmod 600 {}`",
        Elsewhere(
            "engine/src/ship/key.rs",
            "a_key_that_others_may_read_signs_nothing_until_it_is_kept_apart",
        ),
    ),
    row(
        "engine/src/keep/doctor/outside.rs",
        "check the address and the password in HTTPS_PROXY and HTTP_PROXY",
        Untried("another machine decides, or the network on the way to it"),
    ),
    row(
        "engine/src/keep/doctor/outside.rs",
        "check the network; where one must go through a proxy, set HTTPS_PROXY and HTTP_PROXY",
        Elsewhere(
            "engine/src/keep/doctor/outside.rs",
            "nobody_there_and_a_name_without_an_address_are_told_apart",
        ),
    ),
    row(
        "engine/src/keep/doctor/outside.rs",
        "correct its address",
        Untried("another machine decides, or the network on the way to it"),
    ),
    row(
        "engine/src/keep/doctor/outside.rs",
        "correct its address: what is there does not speak HTTP",
        Untried("another machine decides, or the network on the way to it"),
    ),
    row(
        "engine/src/keep/doctor/outside.rs",
        "see `names`",
        Untried("another machine decides, or the network on the way to it"),
    ),
    row(
        "engine/src/keep/doctor/outside.rs",
        "set SSL_CERT_FILE to a bundle with the authority that signed its certificate, or set the clock right",
        Untried("another machine decides, or the network on the way to it"),
    ),
];
