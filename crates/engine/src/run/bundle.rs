//! An image unpacked as an OCI runtime bundle, for other runtimes.

use std::path::Path;

use fs_err as fs;
use pinfold_base::Platform;
use pinfold_base::directory::remove;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;
use pinfold_image::unpack;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec::HomeDirectory;
use pinfold_sandbox::spec::Keep;

use super::error::RunError;
use super::image;
use crate::context::Context;

/// Unpacks an image into `directory`, which must not exist, as an OCI runtime bundle: `rootfs`, `home` and `config.json`.
/// There is no network in it, and no workspace; both are the caller's to add.
pub fn bundle(
    context: &Context,
    source: &Admitted<ImageSource>,
    platform: Platform,
    directory: &Path,
    runtime: OciRuntime,
) -> Result<unpack::Report, RunError> {
    fs::create_dir(directory)?;
    let written = bundle_into(context, source, platform, directory, runtime);
    if written.is_err() {
        // Never half a bundle. What cannot be removed is better named by the first error than by a second.
        let _ = remove(directory);
    }
    written
}

fn bundle_into(
    context: &Context,
    source: &Admitted<ImageSource>,
    platform: Platform,
    directory: &Path,
    runtime: OciRuntime,
) -> Result<unpack::Report, RunError> {
    let image = source.image(platform)?;
    let root = directory.join("rootfs");
    let report = unpack::unpack(source, &image, &root, &unpack::Options::default(), &*context.reporter)?;
    let ready = image::described(source, &image, root);
    let mut spec = Spec::new("bundle", &ready.root, super::specify::os(ready.command));
    spec.env = ready.env;
    spec.env.insert("HOME".into(), ready.home.display().to_string());
    spec.user = ready.user;
    spec.cwd.clone_from(&ready.home);
    spec.home = HomeDirectory { target: ready.home, keep: Keep::Home };
    pinfold_sandbox::oci::bundle::write(&spec, directory, runtime)?;
    Ok(report)
}
