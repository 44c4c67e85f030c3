//! Of the command line.

use super::Row;
use super::row;
use crate::case::Follow::File;
use crate::case::Follow::MeanWords;
use crate::case::TRIAL;
use crate::case::Trial;
use crate::table::Held::Elsewhere;
use crate::table::Held::Tried;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "cli/src/commands/service.rs",
        "leave `--detach` out",
        Elsewhere("cli/tests/service.rs", "what_only_the_caller_has_is_refused"),
    ),
    row(
        "cli/src/portable/error.rs",
        "`--pinfold-info` and `--pinfold-extract DIR` do the same, see `--help`",
        Elsewhere("cli/tests/pack.rs", "a_tar_is_a_directory_that_does_the_same"),
    ),
    row(
        "cli/src/portable/error.rs",
        "unpack it first, `tar -xf {}`, and run `run.sh` in its directory",
        Elsewhere("cli/tests/pack.rs", "a_tar_is_a_directory_that_does_the_same"),
    ),
    row(
        "cli/src/commands/pack.rs",
        "name it FILE.tar, FILE.tar.gz or FILE.tar.zst",
        Elsewhere("cli/tests/pack.rs", "a_tar_is_a_directory_that_does_the_same"),
    ),
    row(
        "cli/src/commands/verify.rs",
        "name the image with it: NAME@sha256:…",
        Elsewhere("cli/tests/pack.rs", "a_file_is_vouched_for_by_its_digest_and_by_a_signature_beside_it"),
    ),
    row(
        "cli/src/commands/pack.rs",
        "leave it out, or make an AppImage",
        Elsewhere("cli/tests/pack.rs", "a_tar_is_a_directory_that_does_the_same"),
    ),
    row(
        "cli/src/portable/error.rs",
        "set `HOME`, or link the file yourself",
        Elsewhere("cli/tests/pack.rs", "a_file_is_found_by_the_shell_while_it_is_installed"),
    ),
    row(
        "cli/src/portable/error.rs",
        "take it away first, or link the file yourself",
        Elsewhere("cli/tests/pack.rs", "a_file_is_found_by_the_shell_while_it_is_installed"),
    ),
    row(
        "cli/src/portable/error.rs",
        "start an agent (`eval \"$(ssh-agent)\"; ssh-add`), or leave it out",
        Elsewhere("cli/tests/pack.rs", "a_file_is_found_by_the_shell_while_it_is_installed"),
    ),
    row(
        "cli/src/portable/error.rs",
        "make it, or leave out `--share {share}`",
        Elsewhere("cli/tests/pack.rs", "a_file_is_found_by_the_shell_while_it_is_installed"),
    ),
    row(
        "cli/src/portable/error.rs",
        "it is one of {}; other directories are shared with `-v`",
        Elsewhere("cli/tests/pack.rs", "a_file_is_found_by_the_shell_while_it_is_installed"),
    ),
    row(
        "cli/src/commands/pack.rs",
        "name one with `--platform`",
        Untried("it takes a processor that no image is for"),
    ),
    row(
        "cli/src/portable/error.rs",
        "`--help` says how this file is used; what is behind `--` is the agent's",
        Elsewhere("cli/tests/pack.rs", "a_file_tells_what_it_is_and_refuses_what_it_does_not_know"),
    ),
    row(
        "cli/src/portable/error.rs",
        "use `--appimage-extract`, or `mount -o loop,offset=…` as root",
        Elsewhere("cli/tests/pack.rs", "a_file_tells_what_it_is_and_refuses_what_it_does_not_know"),
    ),
    row(
        "cli/src/commands/verify.rs",
        "checks of `run` need `--run`, `rebuild` needs `--rebuild`, `size.change` needs `--against`, and `test` needs tests",
        Elsewhere("cli/tests/seeing.rs", "a_manifest_that_is_gone_is_not_made_up_for_by_an_earlier_verdict"),
    ),
    row(
        "cli/src/commands/verify.rs",
        "name it as its registry has it",
        Elsewhere(
            "cli/tests/sign.rs",
            "the_configuration_signs_where_nothing_is_said_and_debians_registry_keeps_it",
        ),
    ),
    row(
        "cli/src/commands/verify.rs",
        "name a file: `--junit FILE`",
        Elsewhere("cli/tests/seeing.rs", "a_document_goes_to_stdout_or_into_a_folder_that_is_there"),
    ),
    row(
        "cli/src/commands/init.rs",
        "remove it first, or name another directory",
        Tried(&[
            Trial {
                before: &["init"],
                words: "init",
                error: "exists already",
                hint: "remove it first",
                follow: &[File("project/pinfold.toml", None)],
                ..TRIAL
            },
            Trial {
                before: &["init"],
                words: "init",
                error: "exists already",
                hint: "name another directory",
                follow: &[MeanWords("init", "init other")],
                ..TRIAL
            },
        ]),
    ),
    row(
        "cli/src/commands/diff.rs",
        "`git show REVISION:pinfold.lock | pinfold diff lock:- pinfold.lock` compares with an older one",
        Elsewhere("cli/tests/seeing.rs", "locks_are_told_from_images_and_compared"),
    ),
    row(
        "cli/src/commands/diff.rs",
        "name two images, or two locks (a file that ends in .lock, or lock:FILE)",
        Elsewhere("cli/tests/seeing.rs", "locks_are_told_from_images_and_compared"),
    ),
    row(
        "cli/src/commands/explain.rs",
        "name a path from the image's root, such as /usr/bin/git",
        Elsewhere("cli/tests/seeing.rs", "a_path_is_explained"),
    ),
    row(
        "cli/src/commands/mod.rs",
        "`pinfold inspect` says what it is made of",
        Untried("it takes an image of no platform that pinfold knows"),
    ),
    row(
        "cli/src/commands/inspect.rs",
        "`pinfold inspect {} --components` lists them",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\n[[file]]\npath = '/x'\ncontent = 'x'\n")],
            before: &["build"],
            words: "inspect x --component curl",
            error: "no component `curl`",
            hint: "`pinfold inspect x --components` lists them",
            ..TRIAL
        }]),
    ),
    row(
        "cli/src/commands/inspect.rs",
        "`pinfold inspect` it without `--files`",
        Untried("it takes an image of no platform that pinfold knows"),
    ),
    row(
        "cli/src/commands/man.rs",
        "`pinfold --help` lists them",
        Tried(&[Trial { words: "man biuld", error: "biuld", hint: "`pinfold --help`", ..TRIAL }]),
    ),
    row(
        "cli/src/commands/unpack.rs",
        "name one with `--platform`",
        Untried("it takes a processor that no image is for"),
    ),
];
