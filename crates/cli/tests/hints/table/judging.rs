//! Of objects that are judged.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;

const TESTS: &str = "engine/src/kube/check/tests.rs";
const TEST: &str = "what_cannot_be_read_is_an_error_with_a_next_step";
const EMPTY: &str = "what_was_named_and_has_no_object_is_an_error";

pub(super) const ROWS: &[Row] = &[
    row(
        "engine/src/kube/check.rs",
        "name a file, a directory with objects in it, or `-` for stdin",
        Elsewhere(TESTS, TEST),
    ),
    row(
        "engine/src/kube/check.rs",
        "objects are in files that end with `.yaml`, `.yml` or `.json`; `pinfold kube -o {}` writes some",
        Elsewhere(TESTS, TEST),
    ),
    row(
        "engine/src/kube/check.rs",
        "look at what wrote into the pipe: it has failed, or had nothing to write",
        Elsewhere(TESTS, EMPTY),
    ),
    row(
        "engine/src/kube/check.rs",
        "name files with objects: `apiVersion`, `kind` and `metadata`",
        Elsewhere(TESTS, EMPTY),
    ),
    row("engine/src/kube/check.rs", "split it into files of fewer objects", Elsewhere(TESTS, TEST)),
    row("engine/src/kube/check.rs", "judge its directories one by one", Elsewhere(TESTS, TEST)),
];
