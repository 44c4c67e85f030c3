//! Of exports for clusters.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;
use crate::table::Held::Untried;

/// Where the hints are followed.
const VERB: &str = "cli/tests/kube.rs";
const ERROR: &str = "engine/src/kube/error.rs";
const RUN: &str = "engine/src/run/error.rs";

pub(super) const ROWS: &[Row] = &[
    row(
        ERROR,
        "`pinfold push {} HOST/REPOSITORY:TAG` and name it so with `--image`, or say `--push HOST/REPOSITORY:TAG` here",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "`pinfold push HOST/REPOSITORY:TAG` and name that with `--image`, or say `--push HOST/REPOSITORY:TAG` here",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "`pinfold push --preset proxy HOST/REPOSITORY:TAG` makes one; name it with `--proxy-image`",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "say `--proxy-address` with a free address of those that Services of the cluster have; `kubectl get service kubernetes -o jsonpath={.spec.clusterIP}` shows one of them",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "add to its manifest `[[build]]` with `path = \"/usr/local/libexec/pinfold/pinfold\"` and `pinfold = true`, or say `--program copy`, which takes it from the proxy's image",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "add `git` to the image's packages, or say `--workspace empty`",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "say `git:https://HOST/PATH`, of a public host and without a login; in a pool `empty` or `pvc:SIZE`, and let the agent clone",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "say `--name`, such as `--name claude-code-1`",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "say a namespace of its own, such as `--namespace agents`",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "name a file that has a task in each line",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "`kubectl get secrets,runtimeclasses` shows what there is",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "a namespace is called like `agents`",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "a task is a line; in a file called `.jsonl` it is a line with a text or `{\"task\": \"…\"}` in JSON",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        ERROR,
        "name a directory of its own, or move the file away",
        Elsewhere(VERB, "an_export_names_its_image_by_the_digest_that_the_registry_has"),
    ),
    row(
        ERROR,
        "name the directory that `pinfold kube … -o DIR` wrote",
        Elsewhere(VERB, "what_is_secret_goes_through_a_pipe_alone"),
    ),
    row(
        ERROR,
        "set `{name}`, or say where it is: `--key {name}=file:PATH`",
        Elsewhere(VERB, "a_key_of_the_proxy_is_found_where_a_run_finds_it"),
    ),
    row(
        ERROR,
        "see `proxy.toml` in the export; if they may have this key, say `--key {name}=env:{name}`",
        Elsewhere(VERB, "a_key_of_the_proxy_is_found_where_a_run_finds_it"),
    ),
    row(
        ERROR,
        "install kubectl, and see that `kubectl get pods` reaches the cluster",
        Untried("it takes a machine without kubectl"),
    ),
    row(
        ERROR,
        "see that `kubectl` reaches the cluster and may do this, and that the objects are applied",
        Elsewhere(VERB, "every_pod_is_asked_for_its_proof"),
    ),
    row(
        RUN,
        "say in the manifest whose its programs are (`[user]` with `name`, `uid` and `gid`), build and push it again",
        Elsewhere(VERB, "an_image_of_roots_is_neither_exported_nor_pushed"),
    ),
    row(
        RUN,
        "say `--env {name}=VALUE`; for a key leave it out: the proxy has it (`pinfold kube --secrets`)",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        RUN,
        "name the agent, or write it where the text belongs: `-- PROGRAM {task}`",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        RUN,
        "`pinfold run` runs it here; for a cluster take an image that is not sealed, and the network `proxy` or `none`",
        Elsewhere(VERB, "what_a_cluster_would_not_have_is_refused_with_what_to_do"),
    ),
    row(
        "cli/src/commands/kube.rs",
        "write them into a pipe: `pinfold kube --secrets DIR | kubectl apply --server-side --field-manager=pinfold-NAME -f -`",
        Untried("it takes a terminal"),
    ),
];
