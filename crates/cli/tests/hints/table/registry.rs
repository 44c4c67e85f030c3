//! Of images in registries.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "image/src/error.rs",
        "`pinfold load IMAGE --to docker` gives an image to the daemon",
        Elsewhere("image/src/place.rs", "a_registry_is_written"),
    ),
    row(
        "image/src/error.rs",
        "`pinfold load IMAGE --to podman` gives an image to podman",
        Elsewhere("image/src/place.rs", "a_registry_is_written"),
    ),
    row(
        "engine/src/keep/images.rs",
        "`pinfold pull {}` asks its registry for it",
        Elsewhere("engine/src/keep/images.rs", "what_came_from_elsewhere_is_found_with_its_proof_only"),
    ),
    row(
        "engine/src/settings/error.rs",
        "write `{near}` instead of `{word}`",
        Elsewhere("engine/src/settings/tests.rs", "what_cannot_be_is_shown_where_it_stands"),
    ),
    row(
        "engine/src/settings/error.rs",
        "keep it in a file of its own that only you can read, and name that: `key = \"FILE\"`",
        Elsewhere("engine/src/settings/tests.rs", "a_private_key_in_the_file_is_refused_without_being_shown"),
    ),
    row(
        "engine/src/ship/error.rs",
        "`pinfold pull {name}` brings it; `docker://{reference}` is the image where its registry has it",
        Elsewhere("cli/tests/pull.rs", "an_image_is_pulled_on_an_empty_machine_and_run_by_its_name"),
    ),
    row(
        "engine/src/ship/error.rs",
        "`pinfold pull {}` brings it while there is a network",
        Elsewhere("cli/tests/pull.rs", "an_image_is_pulled_on_an_empty_machine_and_run_by_its_name"),
    ),
    row(
        "image/src/trust/error.rs",
        "the rule stands under `[[trust]]` in your config.toml",
        Elsewhere("engine/src/keep/images.rs", "what_came_from_elsewhere_is_found_with_its_proof_only"),
    ),
    row(
        "engine/src/ship/load/error.rs",
        "start containerd, or name its socket with `CONTAINERD_ADDRESS`; or write an archive for it: `pinfold copy IMAGE oci-archive:FILE`",
        Elsewhere("cli/tests/load.rs", "containerd_knows_the_image_by_a_full_name"),
    ),
    row(
        "engine/src/ship/load/error.rs",
        "run this from another folder than the project, or move the socket out of it",
        Elsewhere("cli/tests/load.rs", "containerd_knows_the_image_by_a_full_name"),
    ),
    row(
        "image/src/registry/error.rs",
        "nothing of it was kept; ask again, and if it stays so tell whoever runs the registry, or a proxy or mirror before it",
        Elsewhere(
            "image/src/registry/error.rs",
            "what_a_registry_changes_is_told_as_a_registrys_and_not_as_a_locks",
        ),
    ),
    row(
        "image/src/registry/error.rs",
        "a registry on this machine is asked by http; if it speaks https, put its authority into `~/.config/containers/certs.d/{host}/ca.crt`",
        Elsewhere("image/src/registry/error.rs", "a_registry_on_loopback_that_answers_400_may_speak_tls"),
    ),
    row(
        "image/src/registry/error.rs",
        "check the name, and that the registry can be reached from here; behind a proxy set `HTTPS_PROXY` and `NO_PROXY`",
        Elsewhere("cli/tests/pull.rs", "other_verbs_take_an_image_by_the_name_of_its_registry"),
    ),
    row(
        "engine/src/ship/error.rs",
        "name one with `--platform`",
        Untried("the machines that tests run on have images"),
    ),
    row(
        "engine/src/ship/load/error.rs",
        "install it, or write an archive for it: `pinfold copy IMAGE oci-archive:FILE`",
        Elsewhere("cli/tests/load.rs", "a_program_is_found_in_the_path_and_nowhere_else"),
    ),
    row(
        "engine/src/ship/load/error.rs",
        "start Docker, or write an archive for it: `pinfold copy IMAGE docker-archive:FILE`",
        Elsewhere("cli/tests/load.rs", "what_a_docker_daemon_has_against_it_is_told"),
    ),
    row(
        "engine/src/ship/load/error.rs",
        "write an archive, `pinfold copy IMAGE docker-archive:FILE`, and `docker load -i FILE`",
        Elsewhere("cli/tests/load.rs", "what_a_docker_daemon_has_against_it_is_told"),
    ),
    row(
        "engine/src/ship/load/error.rs",
        "copy it into the store under a name first: `pinfold copy IMAGE NAME`",
        Elsewhere("cli/tests/load.rs", "containerd_knows_the_image_by_a_full_name"),
    ),
    row(
        "engine/src/build/mod.rs",
        "if the image is meant to be called so, say it: `--tag {name}:latest`; else change `name` in the manifest",
        Elsewhere("cli/tests/pull.rs", "a_rule_holds_for_what_takes_its_names_or_leaves_them"),
    ),
    row(
        "image/src/registry/error.rs",
        "a registry is written before the name, as in `registry.example/team/name:tag`",
        Elsewhere("image/src/registry/tests.rs", "a_name_leads_to_a_registry_that_is_written"),
    ),
    row(
        "image/src/registry/error.rs",
        "log in with `pinfold login {host}`, and check that the login may do this",
        Elsewhere("cli/tests/login.rs", "a_login_serves_pinfold_and_skopeo_until_it_is_taken_away"),
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
        "tags cannot be moved there: push to another tag",
        Elsewhere("image/src/registry/push/tests.rs", "a_tag_that_cannot_be_moved_is_told_with_what_helps"),
    ),
    row(
        "image/src/registry/error.rs",
        "tags cannot be moved there: let those that begin with `sha256-` be moved, since signatures and what else is attached stand under them",
        Elsewhere(
            "image/src/registry/attach/tests.rs",
            "a_tag_of_what_is_attached_that_cannot_be_moved_is_told",
        ),
    ),
    row(
        "image/src/registry/error.rs",
        "somebody else pushed to the same tag: push again, or to a tag of your own",
        Untried("somebody else decides"),
    ),
    row(
        "cli/src/commands/login.rs",
        "say who with `--user NAME`, and give the password on stdin with `--password-stdin`",
        Elsewhere("cli/tests/login.rs", "who_cannot_be_asked_says_it_on_stdin"),
    ),
    row(
        "cli/src/commands/login.rs",
        "for example `pinfold login --user NAME --password-stdin HOST < FILE`",
        Elsewhere("cli/tests/login.rs", "who_cannot_be_asked_says_it_on_stdin"),
    ),
    row(
        "cli/src/commands/login.rs",
        "a login for a part of a registry is taken away by the name of the part",
        Elsewhere("cli/tests/login.rs", "a_login_serves_pinfold_and_skopeo_until_it_is_taken_away"),
    ),
    row(
        "engine/src/ship/registries/mod.rs",
        "write the registry before it, as in `registry.example/team/name:tag`, or name one as `unqualified-search-registries` in `registries.conf`",
        Elsewhere("engine/src/ship/registries/tests.rs", "a_short_name_means_one_image_or_none"),
    ),
    row(
        "engine/src/ship/registries/mod.rs",
        "write which one is meant: `{}`",
        Elsewhere("engine/src/ship/registries/tests.rs", "a_short_name_means_one_image_or_none"),
    ),
    row(
        "engine/src/ship/error.rs",
        "check the name and the password; accounts with a second factor want a token instead",
        Elsewhere("cli/tests/login.rs", "a_login_serves_pinfold_and_skopeo_until_it_is_taken_away"),
    ),
    row("image/src/registry/error.rs", "run the same command again", Untried("somebody else decides")),
];
