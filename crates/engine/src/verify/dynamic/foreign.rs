//! Whether this machine runs the programs of a platform: its own, and those that `binfmt_misc` gives to an emulator.

use pinfold_base::Platform;
use pinfold_base::platform::Arch;

/// Where the kernel lists interpreters (its Documentation/admin-guide/binfmt-misc.rst).
const FOLDER: &str = "/proc/sys/fs/binfmt_misc";

/// Says why not.
pub(in crate::verify) fn runs_here(platform: Platform) -> Result<(), String> {
    let Some(host) = Platform::host() else {
        return Err(format!("its own platform is none that {platform} runs on"));
    };
    if host == platform {
        return Ok(());
    }
    let name = match platform.arch {
        Arch::Amd64 => "qemu-x86_64",
        Arch::Arm64 => "qemu-aarch64",
    };
    let entry = fs_err::read_to_string(format!("{FOLDER}/{name}")).unwrap_or_default();
    judge(&entry, host, platform, name)
}

/// Of an interpreter's entry: it is switched on, and was opened when it was registered (flag `F`), so that a root without it will do.
fn judge(entry: &str, host: Platform, platform: Platform, name: &str) -> Result<(), String> {
    let enabled = entry.lines().next() == Some("enabled");
    let flags = entry.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
    match (enabled, flags.contains('F')) {
        (true, true) => Ok(()),
        (true, false) => Err(format!(
            "it is {host}, and `{name}` in binfmt_misc is looked up in the image (it lacks the flag F)"
        )),
        (false, _) => Err(format!("it is {host}, and binfmt_misc has no `{name}` that runs {platform}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_counts_where_it_is_there_for_every_root() {
        let [host, other] = Platform::ALL;
        let of = |entry: &str| judge(entry, host, other, "qemu-aarch64");
        let entry =
            "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\nmagic 7f454c46\n";
        assert_eq!(of(entry), Ok(()));
        for (text, part) in [
            ("", "no `qemu-aarch64`"),
            (&*entry.replace("enabled", "disabled"), "no `qemu-aarch64`"),
            (&*entry.replace("OCF", "OC"), "flag F"),
        ] {
            let why = of(text).unwrap_err();
            assert!(why.contains(part) && why.contains("linux/amd64"), "{why}");
        }
    }

    #[test]
    fn this_machine_runs_its_own() {
        assert_eq!(runs_here(Platform::host().unwrap()), Ok(()));
    }
}
