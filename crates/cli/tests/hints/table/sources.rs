//! Of sources.

use super::Row;
use super::row;
use crate::case::Follow::File;
use crate::case::Follow::Mean;
use crate::case::Follow::Paste;
use crate::case::Follow::Set;
use crate::case::TRIAL;
use crate::case::Trial;
use crate::table::Held::Elsewhere;
use crate::table::Held::Tried;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "sources/src/accounts.rs",
        "choose another name or id under [user] in the manifest",
        Untried("it takes a Debian base whose packages make that account"),
    ),
    row(
        "sources/src/binary/mod.rs",
        "add it: `url.\"{platform}\" = \"https://…\"`",
        Untried("the manifest is refused before, with its own words"),
    ),
    row(
        "sources/src/binary/mod.rs",
        "did you mean `{one}`?",
        Elsewhere("sources/src/binary/tests.rs", "a_member_that_is_not_there_is_told_with_those_that_are"),
    ),
    row(
        "sources/src/binary/mod.rs",
        "it has no file at all: check the address",
        Elsewhere("sources/src/binary/tests.rs", "a_member_that_is_not_there_is_told_with_those_that_are"),
    ),
    row(
        "sources/src/binary/mod.rs",
        "leave them out, and use an address that needs none",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[[binary]]\nname = 'b'\nversion = '1'\nmembers = { '.' = '/b' }\nurl = { 'linux/amd64' = 'https://u:p§b.example/b' }\n",
            )],
            before: &["agree"],
            words: "lock --offline",
            error: "holds a user name or password",
            hint: "leave them out",
            follow: &[Mean("project/pinfold.toml", "u:p§", "")],
            ..TRIAL
        }]),
    ),
    row(
        "sources/src/binary/mod.rs",
        "name in `members` what it has, such as `{}`",
        Elsewhere("sources/src/binary/tests.rs", "a_member_that_is_not_there_is_told_with_those_that_are"),
    ),
    row(
        "sources/src/debian/lock/mirrors.rs",
        "check `keyring` in the manifest, or `Signed-By` of the apt source",
        Elsewhere(
            "sources/src/debian/lock/tests.rs",
            "mirrors_come_from_manifest_environment_and_apt_in_this_order",
        ),
    ),
    row(
        "sources/src/debian/lock/mirrors.rs",
        "set `{MIRROR_VARIABLE}`, or `mirror` in the manifest's `[debian]`",
        Elsewhere(
            "sources/src/debian/lock/tests.rs",
            "mirrors_come_from_manifest_environment_and_apt_in_this_order",
        ),
    ),
    row(
        "sources/src/debian/lock/mirrors.rs",
        "set `{SECURITY_MIRROR_VARIABLE}`, or `security-mirror` in the manifest's `[debian]`",
        Elsewhere(
            "sources/src/debian/lock/tests.rs",
            "mirrors_come_from_manifest_environment_and_apt_in_this_order",
        ),
    ),
    row(
        "sources/src/debian/lock/mirrors.rs",
        "write it as `https://HOST/PATH`",
        Elsewhere(
            "sources/src/debian/lock/tests.rs",
            "mirrors_come_from_manifest_environment_and_apt_in_this_order",
        ),
    ),
    row(
        "sources/src/debian/lock/mirrors.rs",
        "write it as `https://HOST/archive/{archive}/{timestamp}`",
        Elsewhere(
            "sources/src/debian/lock/tests.rs",
            "mirrors_come_from_manifest_environment_and_apt_in_this_order",
        ),
    ),
    row(
        "sources/src/debian/lock/mirrors.rs",
        "write the archive's address as `uri`, or the name of a file of `/etc/apt/sources.list.d` that has it",
        Elsewhere(
            "sources/src/debian/lock/further_tests.rs",
            "an_archive_that_is_not_as_it_must_be_is_refused_with_what_to_do",
        ),
    ),
    row(
        "sources/src/debian/lock/mirrors.rs",
        "name the file of its keys with `keyring` in its `[[debian.archive]]`",
        Elsewhere(
            "sources/src/debian/lock/further_tests.rs",
            "an_archive_that_is_not_as_it_must_be_is_refused_with_what_to_do",
        ),
    ),
    row(
        "sources/src/debian/lock/mirrors.rs",
        "`pinfold lock` brings the lock up to date",
        Elsewhere(
            "sources/src/debian/lock/further_tests.rs",
            "the_lock_names_the_archive_and_its_files_come_from_there_alone",
        ),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "check `suites` and `components`, or drop the version you asked for",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "it is for {arches} alone: leave the others out of the manifest's `platforms`",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "it is for {arches} alone: say so with `architectures` in its `[[debian.archive]]`, or leave the others out of `platforms`",
        Elsewhere(
            "sources/src/debian/lock/further_tests.rs",
            "an_archive_is_read_only_for_its_architectures",
        ),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "its components are {names}: correct `components` in the manifest's `{table}`",
        Elsewhere(
            "sources/src/debian/lock/further_tests.rs",
            "an_archive_that_is_not_as_it_must_be_is_refused_with_what_to_do",
        ),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "its Release file lists no packages: use another mirror, or ask whoever publishes it",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "check `uri` and `suite` of its `[[debian.archive]]`; a flat archive's suite ends in `/`",
        Elsewhere(
            "sources/src/debian/lock/further_tests.rs",
            "an_archive_that_is_not_as_it_must_be_is_refused_with_what_to_do",
        ),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "only signed archives are read: ask whoever publishes it for one with `InRelease` or `Release.gpg`",
        Elsewhere("sources/tests/debian_tricks.rs", "every_trick_comes_to_what_the_table_says"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "`keyring` in the manifest's `{table}` has other keys: get those of whoever publishes the archive, and compare their fingerprints with what is told there",
        Elsewhere(
            "sources/src/debian/lock/further_tests.rs",
            "an_archive_that_is_not_as_it_must_be_is_refused_with_what_to_do",
        ),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "`Signed-By` of the apt source has other keys: get those of whoever publishes the archive there, or name their file with `keyring` in the manifest's `{table}`",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "ask for `{other}` too, or for all of them without a suite and a version",
        Elsewhere("sources/src/debian/lock/walk_tests.rs", "what_would_satisfy_and_was_not_taken_is_told"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "check the name of the suite, and whether the mirror has it",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "did you mean `{near}`?",
        Elsewhere(
            "sources/src/debian/lock/tests.rs",
            "a_suite_that_is_not_there_is_told_with_the_one_that_is_meant",
        ),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "name a suite in the manifest's `[debian]`",
        Elsewhere("sources/src/debian/lock/tests.rs", "requests_without_substance_are_refused"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "name a component in the manifest's `{table}`",
        Elsewhere("sources/src/debian/lock/tests.rs", "requests_without_substance_are_refused"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "name the archive's keyring with `keyring` in the manifest's `{table}`, or with `Signed-By` in the apt source",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "remove one of the packages asked for, or name an alternative before it in `packages`",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "try again in a few minutes, or use another mirror",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "use another mirror",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/mod.rs",
        "use another mirror; if it persists the archive's keys may have changed",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/release.rs",
        "check the clock of this machine",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/release.rs",
        "check the mirror, or ask for `{codename}`",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/release.rs",
        "the mirror is behind the one used before: use another one; to go back on purpose, remove `pinfold.lock` and say `pinfold lock`",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/release.rs",
        "the mirror is out of date: use another one; to take an old state on purpose, set `check-valid-until` to false in the manifest's `[debian]` or in the apt source",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/release.rs",
        "use another mirror",
        Untried("what an archive has and signs decides"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "ask for a version that is there; archives keep only the current ones, a snapshot mirror keeps all",
        Elsewhere("sources/src/debian/lock/walk_tests.rs", "roots_that_are_not_there_are_explained"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "ask for it as `name=version` or `name/suite`, or raise `priority` in its `[[debian.archive]]`",
        Elsewhere(
            "sources/src/debian/lock/further_tests.rs",
            "what_only_an_archive_below_zero_has_is_told_and_can_be_asked_for",
        ),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "ask for one of them by name",
        Elsewhere("sources/src/debian/lock/walk_tests.rs", "roots_that_are_not_there_are_explained"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "check the spelling; the package may be in another suite or component",
        Elsewhere("sources/src/debian/lock/walk_tests.rs", "roots_that_are_not_there_are_explained"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "did you mean {}?",
        Elsewhere("sources/src/debian/lock/walk_tests.rs", "roots_that_are_not_there_are_explained"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "did you mean {}? this name is in Debian's `{name}`, which `suite` in the manifest's `[debian]` can name",
        Elsewhere("sources/src/debian/lock/tests.rs", "a_package_that_is_elsewhere_is_told_with_its_place"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "it is in Debian's `{name}`, which `suite` in the manifest's `[debian]` can name",
        Elsewhere("sources/src/debian/lock/tests.rs", "a_package_that_is_elsewhere_is_told_with_its_place"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "it is in `{name}`: write `backports = true` in the manifest's `[debian]`",
        Elsewhere("sources/src/debian/lock/tests.rs", "a_package_that_is_elsewhere_is_told_with_its_place"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "it is in the component `{name}`: add that to `components` in the manifest's `[debian]`",
        Elsewhere("sources/src/debian/lock/tests.rs", "a_package_that_is_elsewhere_is_told_with_its_place"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "mend them in `packages` of the manifest's `[debian]`",
        Elsewhere(
            "sources/src/debian/lock/walk_tests.rs",
            "all_wrong_entries_are_told_at_once_each_with_what_to_do",
        ),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "write {meant}",
        Elsewhere(
            "sources/src/debian/lock/walk_tests.rs",
            "an_entry_in_another_programs_spelling_is_told_in_ours",
        ),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "keep one of the two",
        Elsewhere("sources/src/debian/lock/walk_tests.rs", "roots_that_are_not_there_are_explained"),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "ask for it without the suite, or for a version that is there",
        Elsewhere(
            "sources/src/debian/lock/walk_tests.rs",
            "a_package_of_a_named_suite_brings_what_only_that_suite_has",
        ),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "did you mean `{near}`?",
        Elsewhere(
            "sources/src/debian/lock/walk_tests.rs",
            "a_package_of_a_named_suite_brings_what_only_that_suite_has",
        ),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "add `{suite}` to `suites` in the manifest's `[debian]`, or leave it out here",
        Elsewhere(
            "sources/src/debian/lock/walk_tests.rs",
            "a_package_of_a_named_suite_brings_what_only_that_suite_has",
        ),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "write `backports = true` in the manifest's `[debian]`, and its whole name here, such as `bookworm-backports`",
        Elsewhere(
            "sources/src/debian/lock/walk_tests.rs",
            "a_package_of_a_named_suite_brings_what_only_that_suite_has",
        ),
    ),
    row(
        "sources/src/debian/lock/roots.rs",
        "write `name`, `name=version` or `name/suite`",
        Elsewhere("sources/src/debian/lock/walk_tests.rs", "roots_that_are_not_there_are_explained"),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "did you mean `{near}`?",
        Elsewhere(
            "sources/src/debian/place/tests.rs",
            "answers_of_the_manifest_reach_scripts_and_count_as_seen",
        ),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "leave it out, or add the package that asks it to `packages`",
        Elsewhere(
            "sources/src/debian/place/tests.rs",
            "answers_of_the_manifest_reach_scripts_and_count_as_seen",
        ),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "`pinfold lock` chooses anew, and says where a package is not what its archive's index said",
        Elsewhere("sources/src/debian/place/relations/tests.rs", "what_dpkg_refuses_together_is_refused"),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "whoever publishes the archive has made it or its index wrongly: ask there, or take another version",
        Elsewhere("sources/tests/debian_tricks.rs", "every_trick_comes_to_what_the_table_says"),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "fetch the packages again",
        Untried("what a package ships, or a certificate of the user's, decides"),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "give one certificate per file, in PEM form, with a name that ends in `.crt`",
        Untried("what a package ships, or a certificate of the user's, decides"),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "leave `{most}` out, or skip its scripts: add to the manifest, with your reason (one `[scripts]` is enough):",
        Elsewhere(
            "sources/src/debian/place/tests.rs",
            "scripts_that_are_each_within_bounds_are_not_together",
        ),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "leave out `{first}` or `{second}`: dpkg would not install both",
        Untried("what a package ships, or a certificate of the user's, decides"),
    ),
    row(
        "sources/src/debian/place/error.rs",
        "read what is told; if the image can do without it, declare what it would have made as [[file]], [[dir]] or [[link]], and add to the manifest, with your reason (one `[scripts]` is enough):",
        Elsewhere(
            "engine/tests/pipeline.rs",
            "all_scripts_that_nobody_understands_are_told_at_once_and_their_lines_answer_them",
        ),
    ),
    row(
        "sources/src/nix/conf.rs",
        "expected `NAME = VALUE`, `include FILE` or `!include FILE`, as in nix.conf(5)",
        Elsewhere("sources/src/nix/conf/tests.rs", "what_nix_calls_an_illegal_line_is_one"),
    ),
    row(
        "sources/src/nix/conf.rs",
        "write `!include` where the file may be missing",
        Elsewhere("sources/src/nix/conf/tests.rs", "included_files_are_read_where_they_are_named"),
    ),
    row(
        "sources/src/nix/error.rs",
        "check the address: what `nix copy --to` filled has a file `nix-cache-info` at its top",
        Elsewhere("sources/src/nix/cache/tests.rs", "what_is_no_cache_of_this_store_is_refused"),
    ),
    row(
        "sources/src/nix/error.rs",
        "expected `https://HOST/PATH`, `file:///DIRECTORY`, the path of a directory that `nix copy --to` filled, or `local`",
        Elsewhere("sources/src/nix/cache/tests.rs", "places_are_written_as_substituters_are"),
    ),
    row(
        "sources/src/nix/error.rs",
        "if whoever signs there is to be trusted, add the key (`NAME:BASE64`) to `trusted-public-keys` of `nix.conf` or to the cache's `keys`; what was built locally is signed with `nix store sign`",
        Elsewhere("sources/src/nix/cache/tests.rs", "without_a_cache_or_a_key_it_is_said_where_they_are_set"),
    ),
    row(
        "sources/src/nix/error.rs",
        "lock again: `pinfold lock`",
        Elsewhere("sources/src/nix/locked/tests.rs", "each_lock_that_does_not_fit_is_refused"),
    ),
    row(
        "sources/src/nix/error.rs",
        "set `caches` with `url` and `keys` in the manifest's `[nix]`, or `substituters` and `trusted-public-keys` in `~/.config/nix/nix.conf`",
        Elsewhere("sources/src/nix/cache/tests.rs", "without_a_cache_or_a_key_it_is_said_where_they_are_set"),
    ),
    row(
        "sources/src/nix/error.rs",
        "set `keys` of the cache in the manifest's `[nix]`, or `trusted-public-keys` in `~/.config/nix/nix.conf`",
        Elsewhere("sources/src/nix/cache/tests.rs", "without_a_cache_or_a_key_it_is_said_where_they_are_set"),
    ),
    row(
        "sources/src/nix/error.rs",
        "it was changed since it was locked: lock again with `pinfold lock --upgrade`; or the key `{key}` in `nix.conf` or `keys` is not the cache's",
        Elsewhere("sources/src/nix/locked/tests.rs", "a_lock_that_was_changed_is_not_what_was_signed"),
    ),
    row(
        "sources/src/nix/error.rs",
        "name the store in `caches`, or lock again with `pinfold lock --upgrade`",
        Elsewhere("sources/src/nix/locked/tests.rs", "a_lock_that_was_changed_is_not_what_was_signed"),
    ),
    row(
        "sources/src/nix/error.rs",
        "the cache has something else than what was signed: use another",
        Elsewhere("sources/src/nix/locked/tests.rs", "what_counts_is_the_nar"),
    ),
    row(
        "sources/src/nix/error.rs",
        "unfree and changed packages are in no public cache: fill a cache of your own (`nix copy --to file:///DIRECTORY PATH`) and name it, name a local store that has it, or take the program from another source",
        Elsewhere(
            "sources/src/nix/closure/tests.rs",
            "a_missing_path_is_told_with_the_chain_that_leads_there",
        ),
    ),
    row(
        "sources/src/nix/error.rs",
        "use another cache, and tell its operator; or the key `{key}` in `nix.conf` or `keys` is not the cache's",
        Elsewhere("sources/src/nix/closure/tests.rs", "what_cannot_be_trusted_is_told_with_its_chain"),
    ),
    row(
        "sources/src/nix/error.rs",
        "use another cache, and tell its operator",
        Elsewhere("sources/src/nix/closure/tests.rs", "what_cannot_be_trusted_is_told_with_its_chain"),
    ),
    row(
        "sources/src/nix/local.rs",
        "`nix-store --verify --check-contents --repair` there says what else is wrong, and mends it; or name a cache that has the path",
        Elsewhere("sources/src/nix/local/tests.rs", "what_is_dumped_is_the_nar_that_was_locked_or_nothing"),
    ),
    row(
        "sources/src/nix/local.rs",
        "copy what is needed with that Nix (`nix copy --to file:///DIRECTORY PATH`), and name the directory as a cache",
        Elsewhere("sources/src/nix/local/tests.rs", "each_store_that_cannot_be_read_is_told_with_what_to_do"),
    ),
    row(
        "sources/src/nix/local.rs",
        "name the `.attrs.json` of a build with `exportReferencesGraph.closure`, or what `nix path-info --json --recursive PATH` printed",
        Elsewhere("sources/src/nix/local/tests.rs", "each_store_that_cannot_be_read_is_told_with_what_to_do"),
    ),
    row(
        "sources/src/nix/local.rs",
        "name the directory that has `nix/store` in it, or a directory that `nix copy --to file://` filled",
        Elsewhere("sources/src/nix/local/tests.rs", "each_store_that_cannot_be_read_is_told_with_what_to_do"),
    ),
    row(
        "sources/src/nix/local.rs",
        "wait until Nix is done there, and run the same command again",
        Elsewhere("sources/src/nix/local/tests.rs", "a_database_that_is_written_to_is_not_taken"),
    ),
    row(
        "sources/src/npm/config.rs",
        "correct it in {layer}; expected `https://HOST/PATH/`",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
                ),
                (".npmrc", "registry=gopher://x\n"),
            ],
            words: "lock --offline",
            error: "is not the address of a registry",
            hint: "expected `https://HOST/PATH/`",
            follow: &[Mean(".npmrc", "gopher://x", "https://host.example/path/")],
            ..TRIAL
        }]),
    ),
    row(
        "sources/src/npm/config.rs",
        "write `registry=https://…` to `~/.npmrc`, set `npm_config_registry`, or `registry` in the manifest's `[npm]`",
        Tried(&[
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
                )],
                set: &[("PATH", "/nowhere")],
                words: "lock --offline",
                error: "no npm registry is known",
                hint: "set `npm_config_registry`",
                follow: &[Set("npm_config_registry", "REGISTRY")],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
                )],
                set: &[("PATH", "/nowhere")],
                words: "lock --offline",
                error: "no npm registry is known",
                hint: "write `registry=https://…` to `~/.npmrc`",
                follow: &[File(".npmrc", Some("registry=https://host.example/"))],
                ..TRIAL
            },
        ]),
    ),
    row(
        "sources/src/npm/error.rs",
        "ask for another version, and tell its publisher",
        Untried("what a registry has decides"),
    ),
    row(
        "sources/src/npm/error.rs",
        "ask for versions that fit each other",
        Untried("what a registry has decides"),
    ),
    row(
        "sources/src/npm/error.rs",
        "check that the address is that of an npm registry",
        Untried("what a registry has decides"),
    ),
    row("sources/src/npm/error.rs", "check the name of the package", Untried("what a registry has decides")),
    row(
        "sources/src/npm/error.rs",
        "check the name; a private package needs its registry and token in `.npmrc` (`@scope:registry=…`, `//host/:_authToken=…`)",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tol']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY")],
            words: "lock",
            error: "`tol`",
            hint: "check the name",
            follow: &[Mean("project/pinfold.toml", "tol", "tool")],
            ..TRIAL
        }]),
    ),
    row(
        "sources/src/npm/error.rs",
        "choose another version, or take the package by URL as a `[[binary]]`",
        Untried("what a registry has decides"),
    ),
    row(
        "sources/src/npm/error.rs",
        "name a range such as `^1.2`, an exact version, a tag such as `latest`, or `npm:NAME@RANGE`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool§>>1']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY")],
            words: "lock",
            error: "is asked for as `>>1`",
            hint: "an exact version",
            follow: &[Mean("project/pinfold.toml", "tool§>>1", "tool§1.0.0")],
            ..TRIAL
        }]),
    ),
    row(
        "sources/src/npm/error.rs",
        "nothing is run while building; if what is told works without its script, add to the manifest, with your reason (one `[scripts]` is enough):",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['scripted']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY")],
            words: "lock",
            error: "wants to run a script",
            hint: "add to the manifest",
            follow: &[Paste],
            ..TRIAL
        }]),
    ),
    row(
        "sources/src/npm/error.rs",
        "use a registry that serves its own tarballs",
        Untried("what a registry has decides"),
    ),
    row(
        "sources/src/npm/error.rs",
        "widen the range, or lower `policy.min-age` if a fresh release is what you want",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool§^2']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY")],
            words: "lock",
            error: "no version of `tool` fits",
            hint: "widen the range",
            follow: &[Mean("project/pinfold.toml", "tool§^2", "tool§>=1")],
            ..TRIAL
        }]),
    ),
    row(
        "sources/src/npm/place.rs",
        "do not use it: whoever published it sent another package than the registry describes. Ask for another version, and tell the registry",
        Untried("what a registry sends, or an older recipe, decides"),
    ),
    row(
        "sources/src/npm/place.rs",
        "take another version of the package, or tell its publisher",
        Untried("what a registry sends, or an older recipe, decides"),
    ),
    row(
        "sources/src/npm/place.rs",
        "the package's layout has changed: correct `from` in the recipe, or ask for an older version",
        Untried("what a registry sends, or an older recipe, decides"),
    ),
];
