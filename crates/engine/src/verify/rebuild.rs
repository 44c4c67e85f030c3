//! Whether an image is what its project gives: it is built once more, with nothing of earlier builds believed.

use pinfold_base::Digest;

use super::checks::REBUILD;
use super::report::Finding;
use super::report::Outcome;
use crate::build;
use crate::build::BuildError;
use crate::build::LockUse;
use crate::build::Naming;
use crate::build::Options;
use crate::build::layers::Records;
use crate::consent::Agreed;
use crate::context::Context;
use crate::project::Project;

/// Builds the project from its lock and compares with the image that it gave before. The image of the new build gets no name.
pub fn rebuild(
    context: &Context,
    project: &Agreed<Project>,
    options: &Options,
    was: &Digest,
) -> Result<Outcome, BuildError> {
    let again =
        Options { lock: LockUse::Locked, name: Naming::Unnamed, records: Records::Passed, ..options.clone() };
    let is = build::build(context, project, &again)?.built.index;
    let found = (is != *was).then(|| Finding {
        at: was.to_string(),
        problem: format!("the same lock and files gave {is} now: `pinfold diff` tells what differs"),
    });
    Ok(Outcome::looked(REBUILD, format!("built anew, nothing of earlier builds believed: {is}"), found))
}
