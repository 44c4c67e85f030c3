//! Of the queues of sealed workers.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;
use crate::table::Held::Untried;

/// Where the hints are followed.
const VERBS: &str = "cli/tests/worker.rs";
const HOST: &str = "engine/src/worker/tests.rs";
const ERROR: &str = "engine/src/worker/error.rs";

pub(super) const ROWS: &[Row] = &[
    row(
        ERROR,
        "only sealed sandboxes have one: `pinfold run --preset sealed --detach --name w1 claude-code-model`",
        Untried("the command builds an image with a worker, which the end-to-end tests do"),
    ),
    row(
        ERROR,
        "without it nothing in the queue can be read: remove the sandbox with `pinfold rm`, and start it again",
        Elsewhere(VERBS, "a_key_that_is_gone_is_told"),
    ),
    row(
        ERROR,
        "wait until it has ended, then ask again",
        Untried("it takes a process that holds the queue for twenty seconds"),
    ),
    row(
        ERROR,
        "`pinfold logs {0}` says what the worker does; `pinfold queue {0}` shows what waits, and `pinfold queue {0} drop in/N` takes one out",
        Elsewhere(HOST, "a_full_queue_takes_no_more_tasks"),
    ),
    row(
        ERROR,
        "`pinfold stop {0}`, then `pinfold queue {0} rekey`",
        Elsewhere(HOST, "another_key_opens_all_that_waits"),
    ),
    row(
        ERROR,
        "`pinfold logs {0}` says why the worker ends; `pinfold queue {0} heal --force` puts it aside all the same",
        Elsewhere(VERBS, "a_damaged_state_of_the_worker_is_healed"),
    ),
    row(
        ERROR,
        "`pinfold queue {} prune --older 0s` removes them",
        Untried("it takes a thousand dead letters, each with its reason on the disk"),
    ),
    row(
        ERROR,
        "`pinfold queue {}` lists what is there",
        Elsewhere(VERBS, "what_waits_is_shown_dropped_and_sent_again"),
    ),
    row(
        ERROR,
        "the key of the credential route is not accepted: `pinfold policy show` says where it comes from",
        Untried("it takes a provider that refuses the key, which the end-to-end tests have"),
    ),
    row(
        ERROR,
        "the provider's limit is reached: send it again later",
        Elsewhere(VERBS, "a_provider_that_fails_is_an_error_with_a_hint"),
    ),
    row(
        ERROR,
        "send it again; `pinfold logs NAME --network` says what was asked and answered",
        Untried("it takes a provider that fails, which the end-to-end tests have"),
    ),
    row(
        ERROR,
        "start it again; `pinfold recv {}` then shows the reply",
        Elsewhere(VERBS, "a_reply_is_not_waited_for_where_nobody_runs"),
    ),
    row(
        ERROR,
        "it may still come: `pinfold recv {0} --follow`, and `pinfold ps` says whether it lives",
        Elsewhere(VERBS, "a_provider_that_fails_is_an_error_with_a_hint"),
    ),
    row(ERROR, "leave out `--id` to send it as a new message", Elsewhere(VERBS, "an_id_is_sent_once")),
    row(
        ERROR,
        "set `PINFOLD_HOME` to a directory on ext4, xfs, btrfs or tmpfs",
        Untried("it takes a file system that cannot exchange two directories"),
    ),
    row(
        "cli/src/commands/send.rs",
        "write it behind the name, or `-` to type it and end with Ctrl-D",
        Untried("it takes a terminal as standard input"),
    ),
    row(
        "cli/src/commands/send.rs",
        "convert it with `iconv -t UTF-8`",
        Elsewhere(VERBS, "text_comes_from_arguments_or_standard_input"),
    ),
];
