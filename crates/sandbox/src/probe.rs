//! What this machine can do: the facts `doctor` prints and [`crate::plan`] decides by.
//!
//! Everything is tried or read, nothing is assumed from a version number: a user namespace is made in a child that ends at
//! once, Landlock is asked for its ABI, cgroup folders are checked for the right to write.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Access;
use rustix::io::Errno;
use serde::Serialize;

use crate::error::SandboxError;
use crate::plan::Plan;
use crate::spec::Keep;
use crate::spec::Need;
use crate::spec::Network;
use crate::spec::Spec;
use crate::start::own;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::supervise::sandbox::Sandbox;
use crate::types::Stdio;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// The caller's user id.
    pub uid: u32,
    /// The caller's group id.
    pub gid: u32,
    /// User namespaces with mounts inside, or why not.
    pub user_namespaces: Result<(), NamespaceProblem>,
    /// Landlock's ABI number; `None` without Landlock.
    pub landlock_abi: Option<u32>,
    /// Where limits of a whole sandbox can be set.
    pub cgroups: Cgroups,
    /// Whether a TUN device can be opened (for a full network, which is not offered yet).
    pub tun: bool,
}

/// Why there are no user namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamespaceProblem {
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1 (Ubuntu 23.10 and later).
    AppArmor,
    /// `user.max_user_namespaces` is 0.
    Maximum,
    /// `kernel.unprivileged_userns_clone` is 0 (Debian's older kernels, hardened kernels).
    DebianSwitch,
    /// The kernel said something else, or a seccomp filter around us did.
    Other(i32),
}

impl fmt::Display for NamespaceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AppArmor => {
                f.write_str("AppArmor restricts them (`kernel.apparmor_restrict_unprivileged_userns`)")
            }
            Self::Maximum => f.write_str("`user.max_user_namespaces` is 0"),
            Self::DebianSwitch => f.write_str("`kernel.unprivileged_userns_clone` is 0"),
            Self::Other(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}

impl NamespaceProblem {
    /// What an administrator does once to mend it.
    pub fn fix(self) -> String {
        match self {
            Self::AppArmor => {
                let program = own::own_path().unwrap_or_else(|_| "/usr/local/bin/pinfold".into());
                format!(
                    "install this AppArmor profile once as root:\n\
                     cat > /etc/apparmor.d/pinfold <<'EOF'\n\
                     abi <abi/4.0>,\n\
                     include <tunables/global>\n\
                     profile pinfold {} flags=(unconfined) {{\n  userns,\n}}\nEOF\n\
                     apparmor_parser -r /etc/apparmor.d/pinfold",
                    attachment(own::carrier(), &program)
                )
            }
            Self::Maximum => {
                "as root: `sysctl -w user.max_user_namespaces=15000`, and keep it in `/etc/sysctl.d`".into()
            }
            Self::DebianSwitch => {
                "as root: `sysctl -w kernel.unprivileged_userns_clone=1`, and keep it in `/etc/sysctl.d`"
                    .into()
            }
            Self::Other(errno) if errno == Errno::PERM.raw_os_error() => Container::fix(),
            Self::Other(_) => "use a kernel with CONFIG_USER_NS".into(),
        }
    }

    /// The reason behind `errno`, from the switches that are known to cause it.
    pub(crate) fn explain(errno: Errno) -> Self {
        let reads =
            |path: &str, value: &str| fs_err::read_to_string(path).is_ok_and(|text| text.trim() == value);
        if reads("/proc/sys/user/max_user_namespaces", "0") {
            Self::Maximum
        } else if reads("/proc/sys/kernel/unprivileged_userns_clone", "0") {
            Self::DebianSwitch
        } else if reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
            Self::AppArmor
        } else {
            Self::Other(errno.raw_os_error())
        }
    }
}

/// What a profile is attached to (apparmor.d(5), "Profile Head" and "Globbing"): the program, and the file that it was started from. Signs
/// of globbing are escaped, and both are one pattern, which has to begin with a slash.
fn attachment(file: Option<&Path>, program: &Path) -> String {
    let escaped = |path: &Path| {
        let mut text = String::new();
        for letter in path.display().to_string().chars() {
            match letter {
                '\\' | '"' | '*' | '?' | '[' | ']' | '{' | '}' | '^' | ',' | '@' => {
                    text.extend(['\\', letter]);
                }
                letter if letter.is_control() => text.push('?'),
                letter => text.push(letter),
            }
        }
        text
    };
    let program = escaped(program);
    let pattern = match file.map(escaped) {
        Some(file) => {
            format!("/{{{},{}}}", file.trim_start_matches('/'), program.trim_start_matches('/'))
        }
        None => program,
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+{},".contains(letter);
    if pattern.chars().all(plain) { pattern } else { format!("\"{pattern}\"") }
}

/// A container around us: its masks of `/proc` and its filter of system calls stand in the way of sandboxes.
#[derive(Debug)]
pub(crate) struct Container;

impl Container {
    /// What to give it, for each of those who make containers.
    pub(crate) fn fix() -> String {
        "in a container, give it `--security-opt seccomp=unconfined --security-opt unmask=ALL` (podman), \
         `--security-opt seccomp=unconfined --security-opt systempaths=unconfined` (Docker), or `hostUsers: false`, \
         `procMount: Unmasked` and `seccompProfile: {type: Unconfined}` (Kubernetes); or run on the host"
            .into()
    }
}

/// Does everything that a start does, in a sandbox that has nothing: neither files nor a program. `folder` is an empty directory.
pub fn try_start(folder: &Path) -> Result<(), SandboxError> {
    let mut spec = Spec::new("trial", folder, vec!["/no-program".into()]);
    spec.home.keep = Keep::Nothing;
    spec.network = Network::None;
    // Whoever wants root's own id outside says so; here nobody runs.
    spec.policy.stand_in = Need::IfAvailable;
    let plan = Plan::new(&spec, &Probe::run())?;
    match Sandbox::new(plan).spawn(Stdio::Null) {
        // Only the program was missing.
        Err(SandboxError::Start(StepError { step: Step::Execute, .. })) => Ok(()),
        Err(error) => Err(error),
        Ok(running) => running.wait().map(drop),
    }
}

/// Where limits of a whole sandbox can be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cgroups {
    /// A delegated directory of the unified hierarchy whose children have `memory` and `pids`.
    V2(PathBuf),
    /// Hierarchies of version 1 that can be written to (root).
    V1 {
        /// The memory hierarchy.
        memory: PathBuf,
        /// The pids hierarchy.
        pids: PathBuf,
        /// The cpu hierarchy.
        cpu: Option<PathBuf>,
    },
    /// Nowhere, and why.
    None(String),
}

impl Probe {
    /// Tries everything. Takes about a millisecond.
    pub fn run() -> Self {
        let user_namespaces = sys::try_user_namespace().map_err(NamespaceProblem::explain);
        Self { user_namespaces, ..Self::for_start() }
    }

    /// For a start that follows at once: user namespaces are taken to work, because the start itself tries them and says
    /// the same when they do not.
    pub fn for_start() -> Self {
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            user_namespaces: Ok(()),
            landlock_abi: sys::landlock_abi(),
            cgroups: find_cgroups(Path::new("/sys/fs/cgroup"), Path::new("/proc/self/cgroup")),
            tun: rustix::fs::access("/dev/net/tun", Access::READ_OK | Access::WRITE_OK).is_ok(),
        }
    }
}

fn writable(path: &Path) -> bool {
    rustix::fs::accessat(rustix::fs::CWD, path, Access::WRITE_OK, rustix::fs::AtFlags::EACCESS).is_ok()
}

/// Looks below `mount` for what the process described by `own` (the format of `/proc/self/cgroup`) may use.
fn find_cgroups(mount: &Path, own: &Path) -> Cgroups {
    let own = fs_err::read_to_string(own).unwrap_or_default();
    // The unified hierarchy: our own group's parent, because a group with processes cannot have limited children.
    if mount.join("cgroup.controllers").exists()
        && let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/"))
    {
        let group = mount.join(path);
        let parent = if path.is_empty() { mount } else { group.parent().unwrap_or(mount) };
        let has = fs_err::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
        let controls = |name: &str| has.split_whitespace().any(|word| word == name);
        return if !writable(parent) || !writable(&parent.join("cgroup.procs")) {
            Cgroups::None(format!("`{}` is not delegated to this user", parent.display()))
        } else if controls("memory") && controls("pids") {
            Cgroups::V2(parent.to_owned())
        } else {
            Cgroups::None(format!("`memory` and `pids` are not enabled in `{}`", parent.display()))
        };
    }
    let (memory, pids, cpu) = (mount.join("memory"), mount.join("pids"), mount.join("cpu"));
    if writable(&memory) && writable(&pids) {
        return Cgroups::V1 { memory, pids, cpu: writable(&cpu).then_some(cpu) };
    }
    if memory.exists() {
        Cgroups::None("cgroups of version 1 can be used by root only".into())
    } else {
        Cgroups::None("no cgroup hierarchy is mounted".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delegated_parent_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path();
        let parent = mount.join("user.slice/app.slice");
        fs_err::create_dir_all(parent.join("run.scope")).unwrap();
        fs_err::write(mount.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        fs_err::write(parent.join("cgroup.procs"), "").unwrap();
        fs_err::write(parent.join("cgroup.subtree_control"), "memory pids\n").unwrap();
        let own = mount.join("own");
        fs_err::write(&own, "0::/user.slice/app.slice/run.scope\n").unwrap();
        assert_eq!(find_cgroups(mount, &own), Cgroups::V2(parent.clone()));
        fs_err::write(parent.join("cgroup.subtree_control"), "memory\n").unwrap();
        assert!(matches!(find_cgroups(mount, &own), Cgroups::None(_)));
    }

    #[test]
    fn no_hierarchy_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let found = find_cgroups(dir.path(), &dir.path().join("own"));
        assert_eq!(found, Cgroups::None("no cgroup hierarchy is mounted".into()));
    }

    /// As apparmor.d(5) has globs and quotes.
    #[test]
    fn a_profile_is_attached_to_the_file_and_to_its_program() {
        let of = |file: Option<&str>, program: &str| attachment(file.map(Path::new), Path::new(program));
        assert_eq!(of(None, "/usr/bin/pinfold"), "/usr/bin/pinfold");
        assert_eq!(of(None, "/opt/a b/pinfold"), r#""/opt/a b/pinfold""#);
        assert_eq!(of(Some("/o/f.AppImage"), "/h/heads/1a"), "/{o/f.AppImage,h/heads/1a}");
        let odd = of(Some("/o/a,{b} *\"\n.AppImage"), "/h/1a");
        assert_eq!(odd, r#""/{o/a\,\{b\} \*\"?.AppImage,h/1a}""#);
    }

    #[test]
    fn each_namespace_problem_has_a_fix() {
        assert!(NamespaceProblem::AppArmor.fix().contains("userns,"));
        assert!(NamespaceProblem::Maximum.fix().contains("user.max_user_namespaces"));
        assert!(NamespaceProblem::DebianSwitch.fix().contains("unprivileged_userns_clone=1"));
        for option in ["unmask=ALL", "systempaths=unconfined", "procMount: Unmasked"] {
            assert!(NamespaceProblem::Other(1).fix().contains(option));
        }
    }
}
