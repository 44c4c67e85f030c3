//! A sandbox written out as an OCI runtime bundle that is run without pinfold.
//!
//! ```text
//!   DIR/rootfs/        the image, read-only inside; unpacked there before
//!   DIR/home/          its home, seeded from the image, writable
//!   DIR/config.json    runtime-spec 1.0.2; `root.path` and the home are relative to DIR
//! ```
//!
//! **Guarantees**: the same namespaces, masks, limits and system calls as [`crate::oci::config`] writes for a run.
//!
//! **Refuses** a network: without a supervisor there is no proxy.

use std::path::Path;

use crate::error::SandboxError;
use crate::oci::config;
use crate::oci::config::BundlePaths;
use crate::plan::Plan;
use crate::plan::SkeletonKind;
use crate::plan::wall::Standing;
use crate::probe::Probe;
use crate::spec::Network;
use crate::spec::Spec;
use crate::types::OciRuntime;

/// Writes `home` and `config.json` beside `rootfs` in `directory`. Gives back what is different from the built-in runtime.
pub fn write(spec: &Spec, directory: &Path, runtime: OciRuntime) -> Result<Vec<Standing>, SandboxError> {
    let spec = Spec { rootfs: directory.join("rootfs"), network: Network::None, seal: None, ..spec.clone() };
    let mut plan = Plan::new(&spec, &Probe::run())?;
    // This root is nobody else's, so what is missing to mount on can be made in it.
    for entry in std::mem::take(&mut plan.0.skeleton) {
        let path = plan.rootfs.join(entry.path.strip_prefix("/").unwrap_or(&entry.path));
        let made = match entry.kind {
            _ if path.exists() => Ok(()),
            SkeletonKind::Directory(_) => fs_err::create_dir(&path),
            SkeletonKind::File => fs_err::write(&path, ""),
        };
        made.map_err(SandboxError::file("make", &path))?;
    }
    let home = directory.join("home");
    crate::supervise::home::seed(&spec.rootfs, &spec.home.target, &home)
        .map_err(SandboxError::file("fill", &home))?;
    let paths = BundlePaths { home: Some("home".into()), ..BundlePaths::default() };
    let mut config = config::config(&plan, &paths, runtime)?;
    config["root"]["path"] = "rootfs".into();
    let path = directory.join("config.json");
    let text = serde_json::to_string_pretty(&config)
        .map_err(|error| SandboxError::Supervisor { action: "write the bundle", source: error.into() })?;
    fs_err::write(&path, text + "\n").map_err(SandboxError::file("write", path))?;
    Ok(config::walls(&plan, runtime))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Keep;

    #[test]
    fn a_bundle_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("rootfs/home/me")).unwrap();
        fs_err::write(dir.path().join("rootfs/home/me/.profile"), "x").unwrap();
        let mut spec = Spec::new("a", "/nowhere", vec!["sh".into()]);
        spec.home.target = "/home/me".into();
        spec.home.keep = Keep::Home;
        spec.cwd = "/home/me".into();
        write(&spec, dir.path(), OciRuntime::Runc).unwrap();
        let config: serde_json::Value =
            serde_json::from_slice(&fs_err::read(dir.path().join("config.json")).unwrap()).unwrap();
        assert_eq!(config["root"]["path"], "rootfs");
        assert_eq!(config["process"]["args"], serde_json::json!(["sh"]));
        let home =
            config["mounts"].as_array().unwrap().iter().find(|mount| mount["destination"] == "/home/me");
        assert_eq!(home.unwrap()["source"], "home");
        assert!(dir.path().join("home/.profile").exists());
        assert!(dir.path().join("rootfs/proc").is_dir(), "made to mount on");
        let listed = config["linux"]["namespaces"].to_string();
        assert!(listed.contains("network"), "{listed}");
    }
}
