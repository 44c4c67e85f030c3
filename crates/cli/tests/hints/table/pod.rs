//! Of process 1 in a pod.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;

const TASK: &str = "sandbox/src/pod/task.rs";

pub(super) const ROWS: &[Row] = &[row(
    TASK,
    "write the objects anew with `pinfold kube` of the version that is in the pod's image, or update the image",
    Elsewhere(TASK, "what_cannot_be_carried_out_is_refused_with_its_place"),
)];
