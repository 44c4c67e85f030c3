//! Of projects: manifests, presets, agents and recipes.

use super::Row;
use super::row;
use crate::case::Follow::File;
use crate::case::Follow::Mean;
use crate::case::Follow::MeanWords;
use crate::case::Follow::Say;
use crate::case::Follow::Words;
use crate::case::Follow::Write;
use crate::case::TRIAL;
use crate::case::Trial;
use crate::table::Held::Elsewhere;
use crate::table::Held::Tried;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "engine/src/project/lock/mod.rs",
        "`pinfold lock` brings it up to date and keeps what is still allowed",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            before: &["lock", "$ sed -i s/amd64/arm64/ pinfold.toml"],
            words: "fetch --locked",
            error: "`platforms` changed",
            hint: "`pinfold lock` brings it up to date",
            follow: &[Say],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/lock/mod.rs",
        "`pinfold lock` takes it on and keeps its versions; layers get new digests",
        Elsewhere("engine/src/project/lock/tests.rs", "what_is_wrong_with_a_lock_is_said_with_what_to_do"),
    ),
    row(
        "engine/src/project/lock/mod.rs",
        "`pinfold lock` takes the new encoder on; layers get new digests, their content stays",
        Elsewhere("engine/src/project/lock/tests.rs", "what_is_wrong_with_a_lock_is_said_with_what_to_do"),
    ),
    row(
        "engine/src/project/lock/mod.rs",
        "`pinfold lock` writes it; commit it beside the manifest",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            words: "fetch --locked",
            error: "pinfold.lock",
            hint: "`pinfold lock` writes it",
            follow: &[Say],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/lock/mod.rs",
        "it was removed; try again",
        Untried("it takes a record that is damaged while it is read"),
    ),
    row(
        "engine/src/project/lock/mod.rs",
        "remove it and run `pinfold lock`, or use a newer pinfold",
        Tried(&[Trial {
            files: &[
                ("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n"),
                ("project/pinfold.lock", "nonsense"),
            ],
            words: "fetch",
            error: "pinfold.lock",
            hint: "remove it and run `pinfold lock`",
            follow: &[File("project/pinfold.lock", None), Say],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/manifest/credentials.rs",
        "keys of `{agent}` are {}",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[run.credentials]\n'opencode/mistral' = 'env:K'\n",
            )],
            words: "policy show",
            error: "no provider for `opencode/mistral`",
            hint: "keys of `opencode` are",
            follow: &[Write("project/pinfold.toml", "opencode/mistral", "opencode/openai")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/manifest/credentials.rs",
        "leave out the key of `{agent}`",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['./own.toml']\n[run.credentials]\nown = 'env:K'\n",
                ),
                (
                    "project/own.toml",
                    "name = 'own'\ntitle = 'O'\ncommand = 'own'\n[npm]\npackage = 'own'\nversion = '1'\n",
                ),
            ],
            words: "policy show",
            error: "`own` has no provider",
            hint: "leave out the key of `own`",
            follow: &[Mean("project/pinfold.toml", "own = 'env:K'\n", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/manifest/credentials.rs",
        "the agents are {}; write the name of one",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[run.credentials]\nnobody = 'env:K'\n",
            )],
            words: "policy show",
            error: "there is no agent `nobody`",
            hint: "the agents are",
            follow: &[Write("project/pinfold.toml", "nobody", "claude-code")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/manifest/credentials.rs",
        "write `{near}` instead of `{name}`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[run.credentials]\nclaud-code = 'env:K'\n",
            )],
            words: "policy show",
            error: "there is no agent `claud-code`",
            hint: "write `claude-code` instead of `claud-code`",
            follow: &[Write("project/pinfold.toml", "claud-code", "claude-code")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/manifest/error.rs",
        "`pinfold init` writes one; `pinfold build --preset iteron` needs none",
        Tried(&[
            Trial {
                words: "lock --offline",
                error: "there is no `pinfold.toml`",
                hint: "`pinfold init` writes one",
                follow: &[Say],
                ..TRIAL
            },
            Trial {
                words: "build --offline",
                error: "there is no `pinfold.toml`",
                hint: "`pinfold build --preset iteron` needs none",
                follow: &[Words("build", "build --preset iteron")],
                ..TRIAL
            },
        ]),
    ),
    row(
        "engine/src/project/manifest/error.rs",
        "`--file` names a manifest as seen from here; `pinfold init` writes one",
        Tried(&[Trial {
            words: "policy show --file nope.toml",
            error: "there is no manifest `nope.toml`",
            hint: "`pinfold init` writes one",
            follow: &[Say, MeanWords("nope.toml", "pinfold.toml")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/upward.rs",
        "if it is meant, name it: `--file {}`; else name a preset: `--preset solo`",
        Elsewhere("cli/tests/verbs.rs", "a_manifest_above_that_others_can_write_is_used_only_by_its_name"),
    ),
    row(
        "engine/src/project/manifest/error.rs",
        "did you mean `{near}`?",
        Tried(&[
            Trial {
                files: &[("project/pinfold.toml", "preset = 'itreon'\nname = 'x'\n")],
                words: "policy show",
                error: "there is no preset `itreon`",
                hint: "did you mean `iteron`?",
                follow: &[Write("project/pinfold.toml", "itreon", "iteron")],
                ..TRIAL
            },
            Trial {
                words: "build --offline --preset sealde",
                error: "there is no preset `sealde`",
                hint: "did you mean `sealed`?",
                follow: &[Words("sealde", "sealed")],
                ..TRIAL
            },
        ]),
    ),
    row(
        "engine/src/project/manifest/error.rs",
        "the presets are {}",
        Tried(&[Trial {
            words: "build --offline --preset nothing",
            error: "there is no preset `nothing`",
            hint: "the presets are ",
            follow: &[Words("nothing", "solo")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/manifest/error.rs",
        "write `{near}` instead of `{word}`",
        Tried(&[
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = [{ name = 'claude-code', verson = '1' }]\n",
                )],
                words: "build --offline",
                error: "unknown field `verson`",
                hint: "write `version` instead of `verson`",
                follow: &[Write("project/pinfold.toml", "verson", "version")],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[debain]\nsuite = 'sid'\n",
                )],
                words: "policy show",
                error: "unknown field `debain`",
                hint: "write `debian` instead of `debain`",
                follow: &[Write("project/pinfold.toml", "debain", "debian")],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[npm.package]\ntool = { version = '1', bins = [] }\n",
                )],
                words: "policy show",
                error: "unknown field `bins`",
                hint: "write `bin` instead of `bins`",
                follow: &[Write("project/pinfold.toml", "bins", "bin")],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[run]\nalow = ['a.example']\n",
                )],
                words: "policy show",
                error: "unknown field `alow`",
                hint: "write `allow` instead of `alow`",
                follow: &[Write("project/pinfold.toml", "alow", "allow")],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[debian]\nsuite = 'sid'\nbase = 'minbas'\n",
                )],
                words: "policy show",
                error: "unknown variant `minbas`",
                hint: "write `minbase` instead of `minbas`",
                follow: &[Write("project/pinfold.toml", "minbas", "minbase")],
                ..TRIAL
            },
            Trial {
                files: &[
                    (
                        "project/pinfold.toml",
                        "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['./own.toml']\n",
                    ),
                    (
                        "project/own.toml",
                        "name = 'own'\ntitle = 'O'\ncomand = 'own'\n[npm]\npackage = 'own'\nversion = '1'\n",
                    ),
                ],
                words: "policy show",
                error: "unknown field `comand`",
                hint: "write `command` instead of `comand`",
                follow: &[Write("project/own.toml", "comand", "command")],
                ..TRIAL
            },
        ]),
    ),
    row(
        "engine/src/project/manifest/run.rs",
        "write it from `/` or `~/` on, as in `file:~/.config/pinfold/key`",
        Tried(&[
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
                )],
                words: "run --offline --key file:./key claude-code",
                error: "the path of the key's file is relative",
                hint: "as in `file:~/.config/pinfold/key`",
                follow: &[Words("file:./key", "file:~/.config/pinfold/key")],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\n[run.credentials]\nclaude-code = 'file:key'\n",
                )],
                words: "policy show",
                error: "run.credentials",
                hint: "`file:PATH`",
                follow: &[Mean("project/pinfold.toml", "file:key", "file:~/key")],
                ..TRIAL
            },
        ]),
    ),
    row(
        "engine/src/project/recipe/mod.rs",
        "did you mean `{near}`?",
        Tried(&[
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claud-code']\n",
                )],
                words: "policy show",
                error: "there is no agent `claud-code`",
                hint: "did you mean `claude-code`?",
                follow: &[Write("project/pinfold.toml", "claud-code", "claude-code")],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['gemini']\n",
                )],
                words: "policy show",
                error: "there is no agent `gemini`",
                hint: "did you mean `gemini-cli`?",
                follow: &[Write("project/pinfold.toml", "gemini", "gemini-cli")],
                ..TRIAL
            },
            Trial {
                words: "run --offline opencod",
                error: "there is no agent `opencod`",
                hint: "did you mean `opencode`?",
                follow: &[Words("opencod", "opencode")],
                ..TRIAL
            },
        ]),
    ),
    row(
        "engine/src/project/recipe/mod.rs",
        "take `{name}` out of `recipes` of the recipe that it needs",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['./own.toml']\n",
                ),
                (
                    "project/own.toml",
                    "name = 'own'\ntitle = 'O'\ncommand = 'own'\nrecipes = ['./own.toml']\n[npm]\npackage = 'own'\nversion = '1'\n",
                ),
            ],
            words: "policy show",
            error: "the recipe `own` needs itself",
            hint: "out of `recipes`",
            follow: &[Mean("project/own.toml", "recipes = ['./own.toml']\n", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/project/recipe/mod.rs",
        "the built-in agents are {}; a recipe of your own is named by a path such as `./my-agent.toml`",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['own']\n")],
            words: "policy show",
            error: "there is no agent `own`",
            hint: "by a path such as `./my-agent.toml`",
            follow: &[
                Mean("project/pinfold.toml", "'own'", "'./own.toml'"),
                File(
                    "project/own.toml",
                    Some(
                        "name = 'own'\ntitle = 'O'\ncommand = 'own'\n[npm]\npackage = 'own'\nversion = '1'\n",
                    ),
                ),
            ],
            ..TRIAL
        }]),
    ),
];
