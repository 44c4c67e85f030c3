//! Of runs.

use super::Row;
use super::row;
use crate::case::Follow::MeanWords;
use crate::case::Follow::Set;
use crate::case::Follow::Words;
use crate::case::Follow::Write;
use crate::case::TRIAL;
use crate::case::Trial;
use crate::table::Held::Elsewhere;
use crate::table::Held::Tried;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "engine/src/run/error.rs",
        "`--key` is for an agent's key: name the agent before `--`, or leave `--key` out",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            words: "run --offline --key env:HOME -- true",
            error: "to use a key for",
            hint: "or leave `--key` out",
            follow: &[MeanWords("--key env:HOME ", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/run/error.rs",
        "if that is what you mean, name what it leads to: {}",
        Elsewhere("engine/src/run/named.rs", "a_link_counts_unless_an_agent_can_have_made_it"),
    ),
    row(
        "engine/src/run/error.rs",
        "`git worktree prune` removes those that are gone",
        Untried("it takes more linked worktrees than are looked after"),
    ),
    row(
        "engine/src/run/error.rs",
        "add `\"{agent}\"` to `agents` in its manifest, and it is built again with it",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
            )],
            words: "policy check --agent codex-cli a.example",
            error: "has no agent `codex-cli`",
            hint: "to `agents` in its manifest",
            follow: &[Write("project/pinfold.toml", "'claude-code'", "\"codex-cli\"")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/run/error.rs",
        "build it for {host} too (`platforms` in the manifest), or install qemu-user-static, which registers itself with binfmt_misc, and name the platform with `--platform`",
        Untried("it takes a processor that no image here is for"),
    ),
    row(
        "engine/src/run/error.rs",
        "build the image again from its project with this version of pinfold, or use the version that built it",
        Elsewhere("engine/src/run/declared.rs", "a_label_from_elsewhere_is_not_guessed_at"),
    ),
    row(
        "engine/src/run/error.rs",
        "change into a project's directory, or name one with `--workspace`",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            words: "run --workspace @ -- true",
            error: "cannot be the workspace",
            hint: "name one with `--workspace`",
            follow: &[MeanWords("--workspace @", "--workspace @/project")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/run/error.rs",
        "choose another name with `--name`, or remove that session with `pinfold rm {}`",
        Untried("it takes a session that runs in another workspace"),
    ),
    row(
        "engine/src/run/error.rs",
        "leave `--nix-store` out, or add Nix and what it is to have to the image (`[nix] roots`)",
        Elsewhere("engine/src/run/nix.rs", "a_store_can_be_written_to_where_the_image_has_nix"),
    ),
    row(
        "engine/src/run/error.rs",
        "`{agent}` is for the worker of a sealed image: say `--preset sealed`, or name its agent without `-model`",
        Elsewhere("engine/src/run/sealed.rs", "models_are_no_agents"),
    ),
    row(
        "engine/src/run/error.rs",
        "say `{model}`: the worker asks its provider, and no agent is installed",
        Elsewhere("engine/src/run/sealed.rs", "models_are_no_agents"),
    ),
    row(
        "engine/src/run/error.rs",
        "name one of {}, or run a command after `--`",
        Elsewhere("engine/src/run/sealed.rs", "models_are_no_agents"),
    ),
    row(
        "engine/src/run/error.rs",
        "take `{what}` out of the manifest, or `run.sealed`, and build the image again",
        Elsewhere("engine/src/run/sealed.rs", "whatever_leads_out_is_refused"),
    ),
    row(
        "engine/src/run/error.rs",
        "leave `{what}` out, or take another image for what needs the network",
        Elsewhere("engine/src/run/sealed.rs", "whatever_leads_out_is_refused"),
    ),
    row(
        "engine/src/run/error.rs",
        "set {}, or name its place with `--key file:PATH`",
        Elsewhere("engine/src/run/sealed.rs", "a_worker_without_a_key_is_told_where_one_is_looked_for"),
    ),
    row(
        "engine/src/run/error.rs",
        "`pinfold logs {}` shows all that it said",
        Elsewhere("engine/src/run/sealed.rs", "a_worker_that_ended_at_once_is_told_with_what_it_said"),
    ),
    row(
        "sandbox/src/error.rs",
        "leave `--runtime` out, or choose another `--name`: what was written there stays with this one",
        Elsewhere("sandbox/src/supervise/written.rs", "an_overlay_begins_with_what_is_the_programs_own"),
    ),
    row(
        "engine/src/run/error.rs",
        "did you mean `{near}`?",
        Tried(&[
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
                )],
                words: "policy check --agent claud-code a.example",
                error: "has no agent `claud-code`",
                hint: "did you mean `claude-code`?",
                follow: &[Words("claud-code", "claude-code")],
                ..TRIAL
            },
            Trial {
                files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
                words: "policy check --agent opencoed a.example",
                error: "has no agent `opencoed`",
                hint: "did you mean `opencode`?",
                follow: &[Words("opencoed", "opencode")],
                ..TRIAL
            },
            Trial {
                files: &[(
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['opencode']\n",
                )],
                words: "run --offline --key antropic=env:HOME opencode",
                error: "no provider `antropic`",
                hint: "did you mean `anthropic`?",
                follow: &[Words("antropic", "anthropic")],
                ..TRIAL
            },
        ]),
    ),
    row(
        "engine/src/run/error.rs",
        "did you mean `{near}`? say `--unprotect {}`",
        Elsewhere("cli/tests/protect.rs", "what_is_left_out_may_be_made_and_is_told"),
    ),
    row(
        "engine/src/run/error.rs",
        "give it a copy of its own (`cp -p {path} {new} && mv {new} {path}`), or work on a smaller directory",
        Untried("it takes more second names of a file than can be looked for"),
    ),
    row(
        "engine/src/run/error.rs",
        "it has none: run a command after `--`",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            words: "policy check --agent nobody a.example",
            error: "has no agent `nobody`",
            hint: "run a command after `--`",
            follow: &[MeanWords(" --agent nobody", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/run/error.rs",
        "leave `--key` out: {agent} has no provider whose key could be added",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['./own.toml']\n",
                ),
                (
                    "project/own.toml",
                    "name = 'own'\ntitle = 'O'\ncommand = 'own'\n[npm]\npackage = 'own'\nversion = '1'\n",
                ),
            ],
            words: "run --offline --key env:HOME own",
            error: "to use a key for",
            hint: "leave `--key` out",
            follow: &[MeanWords("--key env:HOME ", "")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/run/error.rs",
        "leave `--unprotect` out, since a sandbox may change it; protected here are {}",
        Elsewhere(
            "engine/src/run/protect/tests/mod.rs",
            "names_are_left_out_by_what_they_lie_in_and_added_by_manifests",
        ),
    ),
    row(
        "engine/src/run/error.rs",
        "mount the directories in it that the agent needs, each by its own path; a sandbox that writes there would give the user's word by itself",
        Elsewhere("cli/tests/protect.rs", "no_mount_has_the_folders_that_keep_the_users_word"),
    ),
    row(
        "engine/src/run/error.rs",
        "name one that it has: {known}; or run a command after `--`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
            )],
            words: "policy check --agent nobody a.example",
            error: "has no agent `nobody`",
            hint: "name one that it has: `claude-code`",
            follow: &[Words("nobody", "claude-code")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/run/error.rs",
        "say `--unprotect {}`",
        Elsewhere(
            "engine/src/run/protect/tests/mod.rs",
            "a_part_of_what_is_protected_is_told_by_the_name_that_is_taken",
        ),
    ),
    row(
        "engine/src/run/error.rs",
        "say `pinfold run claude-code`, or `pinfold run -- sh`",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            before: &["build"],
            words: "run --image x",
            error: "nothing to run",
            hint: "or `pinfold run -- sh`",
            follow: &[MeanWords("run --image x", "run --image x -- sh")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/run/error.rs",
        "set `{variable}` to `https://host`, `https://host:port/path` or `http://127.0.0.1:port`, or unset it",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
            )],
            set: &[("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", "me:canary§gateway")],
            words: "policy check --agent claude-code a.example",
            error: "`ANTHROPIC_BASE_URL` does not hold",
            hint: "to `https://host`",
            follow: &[Set("ANTHROPIC_BASE_URL", "https://host")],
            ..TRIAL
        }]),
    ),
    row(
        "engine/src/run/error.rs",
        "what needs your word can be agreed to once the keys can be used",
        Elsewhere("cli/tests/keys.rs", "all_keys_that_cannot_be_used_are_told_with_all_that_is_asked_for"),
    ),
    row(
        "engine/src/run/error.rs",
        "{agent} knows {}: write one of these before the `=`, as in `--key {}=env:NAME`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['opencode']\n",
            )],
            words: "run --offline --key mistral=env:HOME opencode",
            error: "no provider `mistral`",
            hint: "as in `--key anthropic=env:NAME`",
            follow: &[Words("mistral", "openai")],
            ..TRIAL
        }]),
    ),
];
