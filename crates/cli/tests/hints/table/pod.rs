//! Of process 1 in a pod.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;
use crate::table::Held::Untried;

const TASK: &str = "sandbox/src/pod/task.rs";
const ERROR: &str = "sandbox/src/pod/error.rs";
const ROWS_OF_PODS: &str = "sandbox/tests/pod/rows.rs";

pub(super) const ROWS: &[Row] = &[
    row(
        TASK,
        "write the objects anew with `pinfold kube` of the version that is in the pod's image, or update the image",
        Elsewhere(TASK, "what_cannot_be_carried_out_is_refused_with_its_place"),
    ),
    row(
        ERROR,
        "mount the objects that `pinfold kube` writes: its ConfigMap and the pod's own Secret",
        Elsewhere(ROWS_OF_PODS, "a_proxy_that_is_not_proved_is_refused"),
    ),
    row(
        ERROR,
        "only the pods of an Indexed Job have tasks; `pinfold kube --job FILE` writes one with as many completions as there are tasks",
        Elsewhere(ROWS_OF_PODS, "a_pod_of_a_job_has_its_task"),
    ),
    row(
        ERROR,
        "mount a volume there that this user may write to",
        Elsewhere(ROWS_OF_PODS, "a_bad_task_is_refused"),
    ),
    row(
        ERROR,
        "apply what `pinfold kube --secrets` makes once more, to the proxy's namespace and to this one",
        Elsewhere(ROWS_OF_PODS, "a_proxy_that_is_not_proved_is_refused"),
    ),
    row(
        ERROR,
        "see whether its pods are ready, and whether this pod's policy lets it reach them: `kubectl get pods,svc` and `kubectl get \
         networkpolicy` in either namespace",
        Elsewhere(ROWS_OF_PODS, "a_proxy_that_is_not_proved_is_refused"),
    ),
    row(
        ERROR,
        "the cluster does not carry out this pod's NetworkPolicy, or not in time: use a network plugin that does, or raise \
         `patience_seconds`; what no policy can close is named in `probes.accept` of pod.json",
        Elsewhere(ROWS_OF_PODS, "what_is_open_is_named_and_refused"),
    ),
    row(
        ERROR,
        "mount an emptyDir at `{RUN_DIRECTORY}` that this user may write to",
        Elsewhere(ROWS_OF_PODS, "a_bad_task_is_refused"),
    ),
    row(
        ERROR,
        "only a task with `\"terminal\": true` that has started has one: `kubectl logs` shows what process 1 waits for",
        Elsewhere(ROWS_OF_PODS, "whoever_attaches_finds_the_program"),
    ),
    row(
        ERROR,
        "`pinfold doctor` on the node says what its kernel lacks",
        Untried("it takes a kernel that has Landlock or filters and refuses them"),
    ),
];
