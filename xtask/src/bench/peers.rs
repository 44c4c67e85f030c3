//! The same content with other builders, in the same run: buildah committing the unpacked image, mmdebstrap making the Debian part.

use std::path::Path;

use pinfold_base::directory;

use super::Row;
use super::command;
use super::measure;

fn installed(program: &str) -> bool {
    command(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Measures what is installed; says what is not.
pub(crate) fn rows(folder: &Path, home: &Path, pinfold: &str, rows: &mut Vec<Row>) -> Result<(), String> {
    let mut add = |name: &str, cost: super::Cost, note: &str| {
        let super::Cost { cpu, wall, peak } = cost;
        let row = Row { name: format!("peer: {name}"), cpu, wall, peak, note: note.into(), target: None };
        crate::say(&super::line(&row));
        rows.push(row);
    };
    let env = [("PINFOLD_HOME", home.display().to_string())];
    if installed("buildah") {
        let rootfs = folder.join("rootfs");
        if rootfs.exists() {
            directory::remove(&rootfs).map_err(|error| error.to_string())?;
        }
        let target = rootfs.display().to_string();
        measure(folder, &env, &[pinfold, "unpack", "--platform", "linux/amd64", "bench", &target])?;
        let script = "set -eu; c=$(buildah from scratch); buildah copy -q $c rootfs /; buildah commit -q --format oci --timestamp 0 $c \
                      oci:buildah-out; buildah rm $c >/dev/null; rm -rf buildah-out";
        let cost = measure(folder, &[("BUILDAH_ISOLATION", "chroot".into())], &["bash", "-c", script])?;
        add("buildah copy + commit of the same tree", cost, "one layer, gzip");
        let _ = directory::remove(&rootfs);
    } else {
        crate::say("peer: buildah is not installed");
    }
    if installed("mmdebstrap") {
        let include = "--include=tini,tmux,bash,git,curl,jq,ca-certificates,ripgrep,procps";
        let cost = measure(
            folder,
            &[],
            &["mmdebstrap", "--variant=minbase", include, "--quiet", "bookworm", "/dev/null"],
        )?;
        add("mmdebstrap of the Debian part alone", cost, "downloads included, no compression");
    } else {
        crate::say("peer: mmdebstrap is not installed");
    }
    Ok(())
}
