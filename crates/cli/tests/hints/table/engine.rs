//! Of builds, their sources, consent and services.

use super::Row;
use super::row;
use crate::case::Follow::File;
use crate::case::Follow::Mean;
use crate::case::Follow::MeanWords;
use crate::case::Follow::Paste;
use crate::case::Follow::Say;
use crate::case::Follow::Set;
use crate::case::Follow::Shell;
use crate::case::Follow::Words;
use crate::case::TRIAL;
use crate::case::Trial;
use crate::table::Held::Elsewhere;
use crate::table::Held::Tried;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "engine/src/service.rs",
        "keep the key in a file (mode 0600) and say `--key file:PATH`, or `--key command:PROGRAM`; a variable is said with its value, `--env NAME=VALUE`",
        Elsewhere("cli/tests/service.rs", "what_only_the_caller_has_is_refused"),
    ),
    row(
        "engine/src/service.rs",
        "`--print` writes the unit to stdout, for another machine or another supervisor; `pinfold run --detach` needs none, and runs until this machine ends",
        Elsewhere("engine/src/service.rs", "a_unit_is_written_and_removed_with_systemd_alone"),
    ),
    row(
        "engine/src/service.rs",
        "`pinfold service install NAME -- WORDS` writes one",
        Elsewhere("engine/src/service.rs", "a_unit_is_written_and_removed_with_systemd_alone"),
    ),
    row(
        "engine/src/service.rs",
        "move it away, or take another name",
        Elsewhere("engine/src/service.rs", "a_unit_is_written_and_removed_with_systemd_alone"),
    ),
    row(
        "engine/src/build/bits.rs",
        "correct the path, or leave it out of `keep`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[[file]]\npath = '/opt/s'\ncontent = 's'\nmode = '4755'\n[policy]\nset-id = { keep = ['/opt/s', '/opt/t'] }\n",
            )],
            words: "build",
            error: "/opt/t",
            hint: "or leave it out of `keep`",
            follow: &[Mean("project/pinfold.toml", ", '/opt/t'", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/build/bits.rs",
        "give the entries a mode without these bits, or add to the manifest",
        Tried(&[
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[[file]]\npath = '/opt/s'\ncontent = 's'\nmode = '4755'\n",
                )],
                words: "build",
                error: "/opt/s",
                hint: "or add to the manifest",
                follow: &[Paste],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[[file]]\npath = '/opt/s'\ncontent = 's'\nmode = '4755'\n",
                )],
                words: "build",
                error: "set-id",
                hint: "give the entries a mode without these bits",
                follow: &[Mean("project/pinfold.toml", "4755", "0755")],
                ..TRIAL
            },
        ]),
    ),
    row(
        "engine/src/build/compose.rs",
        "`image.compression = \"zstd\"`, fewer agents, or a larger `policy.size-budget`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[[file]]\npath = '/a'\ncontent = 'a'\n[policy]\nsize-budget = '1B'\n",
            )],
            words: "build",
            error: "budget",
            hint: "a larger `policy.size-budget`",
            follow: &[Mean("project/pinfold.toml", "'1B'", "'1MiB'")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/build/fetch.rs",
        "archives drop superseded versions: `pinfold lock` takes the current ones; or build with `--vendor DIR` from kept inputs, or set `debian.snapshot` to a snapshot archive",
        Elsewhere(
            "engine/src/build/fetch/tests.rs",
            "another_digest_is_an_integrity_error_and_what_is_gone_says_where_to_look",
        ),
    ),
    row(
        "engine/src/build/fetch.rs",
        "what was locked is no longer there: `pinfold lock` takes what is; or build with `--vendor DIR` from kept inputs",
        Elsewhere(
            "engine/src/build/fetch/tests.rs",
            "another_digest_is_an_integrity_error_and_what_is_gone_says_where_to_look",
        ),
    ),
    row(
        "engine/src/build/fetch.rs",
        "it was set aside: `pinfold fetch` brings it back",
        Elsewhere("engine/tests/heal.rs", "a_damaged_download_is_fetched_again_and_offline_named"),
    ),
    row(
        "engine/src/build/fetch.rs",
        "run `pinfold fetch` once with a network, or name kept inputs with `--vendor DIR`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY")],
            before: &["lock", "$ rm -r $PINFOLD_HOME/cache"],
            words: "build --offline",
            error: "the network is switched off",
            hint: "run `pinfold fetch`",
            follow: &[Say],
        }]),
    ),
    row(
        "engine/src/build/fetch.rs",
        "the file at its address was replaced: if the new one is wanted, `pinfold lock --upgrade {}` takes it",
        Elsewhere(
            "engine/tests/lock.rs",
            "a_program_that_was_replaced_is_pinned_again_when_that_is_asked_for",
        ),
    ),
    row(
        "engine/src/build/local.rs",
        "add `source-platform = {{ \"{platform}\" = \"…\" }}`, or leave the platform out",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\n[[file]]\npath = '/a'\nsource-platform = { 'linux/amd64' = 'a' }\n",
                ),
                ("project/a", "a"),
            ],
            words: "build",
            error: "linux/arm64",
            hint: "or leave the platform out",
            follow: &[Mean("project/pinfold.toml", "[[file]]", "platforms = ['linux/amd64']\n[[file]]")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/build/local.rs",
        "leave one of the two out",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[[file]]\npath = '/a'\ncontent = 'a'\n[[file]]\npath = '/a'\ncontent = 'b'\n",
            )],
            words: "build",
            error: "two entries of the manifest are for `/a`",
            hint: "leave one of the two out",
            follow: &[Mean("project/pinfold.toml", "[[file]]\npath = '/a'\ncontent = 'b'\n", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/build/local.rs",
        "sources count from the folder of the manifest",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[[file]]\npath = '/a'\nsource = 'a'\n",
                ),
                ("elsewhere/a", "a"),
            ],
            words: "build",
            error: "the source of `/a`",
            hint: "count from the folder of the manifest",
            follow: &[File("project/a", Some("a"))],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/build/mod.rs",
        "add `{platform}` to `platforms`",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            words: "build --platform linux/arm64",
            error: "the manifest has no platform linux/arm64",
            hint: "add `linux/arm64` to `platforms`",
            follow: &[Mean("project/pinfold.toml", "linux/amd64'", "linux/amd64', 'linux/arm64'")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/build/overlay.rs",
        "leave one of the two out",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[[dir]]\npath = '/d'\n[[link]]\npath = '/l'\ntarget = 'd'\n[[file]]\npath = '/l/a'\ncontent = 'a'\n[[file]]\npath = '/d/a'\ncontent = 'b'\n",
            )],
            words: "build",
            error: "are one path in the image",
            hint: "leave one of the two out",
            follow: &[Mean("project/pinfold.toml", "[[file]]\npath = '/d/a'\ncontent = 'b'\n", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/build/overlay.rs",
        "place it elsewhere, or add `replace = true` to the manifest's entry for `{}`",
        Elsewhere(
            "engine/src/build/overlay/tests.rs",
            "own_entries_stand_where_links_lead_and_take_what_gives_way",
        ),
    ),
    row(
        "engine/src/build/place.rs",
        "leave one of the two components out, or place the file elsewhere",
        Untried("which of two packages goes is the user's to choose"),
    ),
    row(
        "engine/src/build/resolve.rs",
        "it may be an attack: ask whoever publishes it; `pinfold lock --upgrade {}` accepts what is there now",
        Elsewhere("engine/tests/lock.rs", "the_same_version_with_other_bytes_is_an_error_that_names_both"),
    ),
    row(
        "engine/src/consent/error.rs",
        "an agent that may write to the project can have written this: read it, and if you agree say `{}`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[run]\nallow = ['one.example']\n",
            )],
            words: "policy check two.example",
            error: "needs your word",
            hint: "if you agree say `pinfold policy accept --digest sha256:",
            follow: &[Say],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/consent/error.rs",
        "what is agreed to there need not be your word: say `rm -r {}`, and agree anew to what is asked for",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[run]\nallow = ['one.example']\n",
            )],
            before: &["$ mkdir -p '@/../home/data/consent'; chmod 777 '@/../home/data/consent'"],
            words: "policy check two.example",
            error: "can be written to by others",
            hint: "say `rm -r ",
            follow: &[Shell],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/consent/error.rs",
        "what is agreed to below it need not be your word: set PINFOLD_HOME to a folder that is yours alone, or take {} for yourself",
        Untried(
            "a start makes the data folder its user's alone, so it takes another owner or a file system without modes",
        ),
    ),
    row(
        "engine/src/consent/error.rs",
        "it may have been changed since it was shown: read what is asked for now with {}, and agree to that digest if you do",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[run]\nallow = ['one.example']\n",
            )],
            words: "policy accept --digest sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            error: "it is not what was shown",
            hint: "`pinfold policy show`",
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/context/mod.rs",
        "set `PINFOLD_HOME` to a folder you can write to",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            set: &[("HOME", ""), ("PINFOLD_HOME", "")],
            words: "lock",
            error: "HOME",
            hint: "set `PINFOLD_HOME`",
            follow: &[Set("PINFOLD_HOME", "@/pinfold")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/sources/debian/mod.rs",
        "`keyring` is a file, and counts from the folder of the manifest",
        Untried("with the file the archive's keys in it are looked at, which no test has for a real archive"),
    ),
    row(
        "engine/src/sources/debian/mod.rs",
        "add to the manifest, with the suite that you want:",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n[user]\nname = 'u'\nuid = 1000\ngid = 1000\nhome = '/u'\n",
            )],
            words: "lock --offline",
            error: "the manifest has no `[debian]`",
            hint: "add to the manifest",
            follow: &[Paste],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/sources/debian/mod.rs",
        "take `{}` out of `remove`, or `{}` out of `agents`",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "preset = 'iteron'\nname = 'x'\n[debian]\nremove = ['git']\n")],
            words: "lock --offline",
            error: "needs the Debian package `git`",
            hint: "take `git` out of `remove`",
            follow: &[Mean("project/pinfold.toml", "'git'", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/sources/error.rs",
        "`pinfold lock` brings the lock up to date",
        Elsewhere("engine/src/build/fetch/tests.rs", "a_lock_with_a_suite_it_does_not_have_asks_nobody"),
    ),
    row(
        "engine/src/sources/error.rs",
        "leave one of the two components out, or place the file elsewhere",
        Untried("which of two packages goes is the user's to choose"),
    ),
    row(
        "engine/src/sources/mod.rs",
        "did you mean `{near}`?",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY")],
            before: &["lock"],
            words: "lock --upgrade toool",
            error: "toool",
            hint: "did you mean `tool`?",
            follow: &[Words("toool", "tool")],
        }]),
    ),
    row(
        "engine/src/sources/mod.rs",
        "it is named as in the manifest or in the lock; `--upgrade` without a name moves everything",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY")],
            before: &["lock"],
            words: "lock --upgrade nothing",
            error: "nothing",
            hint: "`--upgrade` without a name moves everything",
            follow: &[MeanWords(" nothing", "")],
        }]),
    ),
    row(
        "engine/src/sources/nix/agents.rs",
        "name the package that has it in `nix`, with its output where it is not a usual one: `nixpkgs#NAME^bin`",
        Elsewhere("engine/src/sources/nix/agents/tests.rs", "what_is_no_agent_is_refused"),
    ),
    row(
        "engine/src/sources/nix/resolve.rs",
        "`nix eval '{package}.outPath'` says why",
        Elsewhere("engine/src/sources/nix/resolve/tests.rs", "what_a_file_does_not_say_is_refused"),
    ),
    row(
        "engine/src/sources/nix/resolve.rs",
        "`nix search` finds packages; `{name}` may have another name, or none for this system",
        Elsewhere("engine/src/sources/nix/resolve/tests.rs", "what_a_file_does_not_say_is_refused"),
    ),
    row(
        "engine/src/sources/nix/resolve.rs",
        "install Nix, or take another machine's answer: what `{printed}` prints makes a file there, which `resolution` names in the manifest's `[nix]`, or for all projects in that of `{config}`; a store path needs neither",
        Elsewhere("engine/src/sources/nix/resolve/tests.rs", "what_a_file_does_not_say_is_refused"),
    ),
    row(
        "engine/src/sources/nix/resolve.rs",
        "make the file again with all names and systems, by what `{printed}` prints",
        Elsewhere("engine/src/sources/nix/resolve/tests.rs", "what_a_file_does_not_say_is_refused"),
    ),
    row(
        "engine/src/sources/nix/resolve.rs",
        "that file answers for all projects: name one of this project in `resolution` of the manifest's `[nix]`, or make it again with all names and systems, by what `{printed}` prints",
        Elsewhere("engine/src/sources/nix/resolve/tests.rs", "a_file_of_the_user_says_what_names_are"),
    ),
    row(
        "engine/src/sources/nix/resolve.rs",
        "no public cache has it: build it where such packages are allowed, copy it to a cache of your own, and name its store path (`docs/nix.md`, \"Unfree packages\")",
        Elsewhere("engine/src/sources/nix/resolve/tests.rs", "what_a_file_does_not_say_is_refused"),
    ),
    row(
        "engine/src/sources/nix/store.rs",
        "a store path is for one system: give the root one for each platform, or name in `platforms` only those that it is for",
        Elsewhere(
            "engine/src/sources/nix/tests.rs",
            "what_cannot_be_trusted_or_had_is_refused_and_nothing_is_left",
        ),
    ),
    row(
        "engine/src/sources/nix/under.rs",
        "one of the two was built elsewhere, or changed: build the base again, from the caches that are named here",
        Elsewhere(
            "engine/src/sources/nix/under/tests.rs",
            "a_store_path_of_the_base_with_other_content_is_refused",
        ),
    ),
];
