//! Rows about files: what can be written, what is mounted, what is there that should not be.

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Fail;
use super::Gap;
use super::Pass;
use super::Scene;
use super::Verdict;
use super::all;
use super::names;
use super::read;

/// A name that nobody has.
const NAME: &str = ".pinfold-probe";

/// A file can be made in a directory; it is removed at once.
fn makes(directory: &str) -> Verdict {
    let path = format!("{}/{NAME}", directory.trim_end_matches('/'));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::open(&path, flags, Mode::RUSR) {
        Ok(_) => {
            let _ = rustix::fs::unlinkat(CWD, &path, AtFlags::empty());
            Fail(format!("a file can be made in {directory}"))
        }
        Err(Errno::NOENT) => Pass(format!("{directory}: not there")),
        Err(error) => Pass(format!("{directory}: {error}")),
    }
}

/// A file can be opened to be written; nothing is.
fn opens(path: &str) -> Verdict {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) if rustix::fs::fstat(&fd).is_ok_and(|stat| is_nothing(&stat)) => {
            Pass(format!("{path}: covered by /dev/null"))
        }
        Ok(_) => Fail(format!("{path} can be written")),
        Err(error) => Pass(format!("{path}: {error}")),
    }
}

/// Whether something is `/dev/null`.
fn is_nothing(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(1, 3)
}

/// Nothing of the image can be changed.
pub(super) fn read_only(_: &mut Scene<'_>) -> Verdict {
    let directories = ["/", "/usr", "/etc", "/bin", "/lib", "/opt", "/var", "/proc", "/sys", "/shared"];
    // Permission bits refuse most of it, too; what counts is that the whole tree is read-only.
    let whole = flagged("/", &["ro"]);
    all(directories.map(makes).into_iter().chain([
        whole,
        opens("/sandbox"),
        opens("/etc/passwd"),
        opens("/proc/self/exe"),
    ]))
}

/// What the host says cannot be changed.
pub(super) fn queue_in(scene: &mut Scene<'_>) -> Verdict {
    let directory = format!("{}/in", scene.args.queue);
    let mut verdicts = vec![makes(&directory)];
    let first = names(&directory).ok().and_then(|names| names.into_iter().next());
    if let Some(name) = first {
        verdicts.push(opens(&format!("{directory}/{name}")));
    }
    verdicts.push(super::refused(
        "removing the directory",
        rustix::fs::unlinkat(CWD, &directory, AtFlags::REMOVEDIR),
    ));
    all(verdicts)
}

/// No device works in what the worker writes.
pub(super) fn queue_out(scene: &mut Scene<'_>) -> Verdict {
    flagged(&format!("{}/out", scene.args.queue), &["nosuid", "nodev", "noexec"])
}

/// Nothing that the worker writes can be executed from `/run` or the queue.
pub(super) fn no_exec(scene: &mut Scene<'_>) -> Verdict {
    let run = scene.args.run.clone();
    flagged(&run, &["nosuid", "nodev", "noexec"])
}

/// The options of the mount at a path.
fn flagged(path: &str, wanted: &[&str]) -> Verdict {
    let text = match read("/proc/self/mounts") {
        Ok(text) => text,
        Err(error) => return Gap(format!("/proc/self/mounts: {error}")),
    };
    // The last one lies above the others.
    let mut options = text.lines().rev().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next() == Some(path)).then(|| words.nth(1).unwrap_or_default())
    });
    let Some(options) = options.next() else { return Fail(format!("{path} is no mount of its own")) };
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|flag| options.split(',').all(|option| option != *flag)).collect();
    if missing.is_empty() {
        return Pass(format!("{path}: {options}"));
    }
    // gVisor tells only a part of the options.
    if is_gvisor() {
        return Gap(format!("{path}: {options}"));
    }
    Fail(format!("{path} without {}: {options}", missing.join(" ")))
}

/// Whether the kernel is gVisor's.
pub(super) fn is_gvisor() -> bool {
    read("/proc/version").is_ok_and(|text| text.contains("4.4.0") || text.contains("gVisor"))
        || read("/proc/sys/kernel/dmesg_restrict").is_err() && read("/proc/self/attr/current").is_err()
}

/// Nothing is mounted but what the sandbox has.
pub(super) fn mounts(scene: &mut Scene<'_>) -> Verdict {
    if scene.mounts.is_empty() {
        return Gap("the host did not say what belongs there".into());
    }
    let text = match read("/proc/self/mounts") {
        Ok(text) => text,
        Err(error) => return Gap(format!("/proc/self/mounts: {error}")),
    };
    let points: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    let belongs = |point: &str| {
        scene.mounts.iter().any(|mount| point == mount)
            || ["/", "/proc", "/dev", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"]
                .contains(&point)
            || ["/proc/", "/dev/", "/sys/"].iter().any(|below| point.starts_with(below))
    };
    match points.iter().find(|point| !belongs(point)) {
        Some(point) => Fail(format!("{point} is mounted")),
        None => Pass(format!("{} mounts, each of them the sandbox's", points.len())),
    }
}

/// The key's file is gone.
pub(super) fn key(scene: &mut Scene<'_>) -> Verdict {
    match rustix::fs::statat(CWD, &scene.args.key, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Pass(format!("{} is gone", scene.args.key)),
        Err(error) => Gap(format!("{}: {error}", scene.args.key)),
        Ok(_) => Fail(format!("{} is there", scene.args.key)),
    }
}

/// Paths of the host and of other sandboxes are not there.
pub(super) fn absent(scene: &mut Scene<'_>) -> Verdict {
    let usual = [
        "/host",
        "/hostfs",
        "/mnt/host",
        "/var/lib/docker",
        "/var/lib/kubelet",
        "/home",
        "/root/.ssh",
        "/boot",
        "/lib/modules",
    ];
    let there = |path: &&str| {
        // An empty directory of the image is nothing of the host's.
        rustix::fs::statat(CWD, *path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
            && names(path).map_or(true, |names| !names.is_empty())
    };
    let told: Vec<&str> = scene.absent.iter().map(String::as_str).collect();
    match usual.iter().chain(&told).find(|path| there(path)) {
        Some(path) => Fail(format!("{path} is there")),
        None => Pass(format!("{} paths are not there", usual.len() + told.len())),
    }
}

/// Settings of the kernel that would lead out.
pub(super) fn settings(_: &mut Scene<'_>) -> Verdict {
    all([
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/release_agent",
        "/proc/kcore",
        "/proc/kmsg",
    ]
    .map(|path| {
        if read("/proc/sys/kernel/core_pattern").is_err() && is_gvisor() {
            return Pass(format!("{path}: another kernel"));
        }
        opens(path)
    }))
}

/// No devices but those that lead nowhere.
pub(super) fn devices(_: &mut Scene<'_>) -> Verdict {
    let known = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "fuse"];
    let found: Vec<String> = names("/dev")
        .unwrap_or_default()
        .into_iter()
        .filter(|name| {
            rustix::fs::statat(CWD, format!("/dev/{name}"), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                matches!(
                    FileType::from_raw_mode(stat.st_mode),
                    FileType::CharacterDevice | FileType::BlockDevice
                )
            })
        })
        .collect();
    match found.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Fail(format!("there is /dev/{name}")),
        None => Pass(format!("devices: {}", found.join(" "))),
    }
}

/// Every path of the image, to a bound.
fn walk(mut visit: impl FnMut(&str, FileType, u32)) -> usize {
    const PATHS: usize = 60_000;
    let (mut folders, mut count) = (vec!["/".to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for name in names(&folder).unwrap_or_default() {
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            if matches!(path.as_str(), "/proc" | "/sys" | "/dev") || count >= PATHS {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            count += 1;
            let kind = FileType::from_raw_mode(stat.st_mode);
            visit(&path, kind, stat.st_mode);
            if kind == FileType::Directory {
                folders.push(path);
            }
        }
    }
    count
}

/// No socket but the model's.
pub(super) fn sockets(scene: &mut Scene<'_>) -> Verdict {
    // The last is how process 1 reaches the supervisor.
    let relay = format!("{}/egress.sock", scene.args.run);
    let own =
        [format!("{}/model/", scene.args.run), "/run/ironclaw/modelproxy.sock".to_owned(), relay.clone()];
    let (mut other, mut count) = (None, 0);
    walk(|path, kind, _| {
        if kind == FileType::Socket {
            count += 1;
            if !own.iter().any(|own| path.starts_with(own.as_str())) {
                other = Some(path.to_owned());
            }
        }
    });
    match other {
        Some(path) => Fail(format!("there is the socket {path}")),
        None => all([
            super::network::relayed(scene, &relay),
            Pass(format!("{count} sockets, all of them its own")),
        ]),
    }
}

/// No container engine is reached.
pub(super) fn engines(_: &mut Scene<'_>) -> Verdict {
    let paths = [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/podman/podman.sock",
        "/run/crio/crio.sock",
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
    ];
    let there = |path: &&str| rustix::fs::statat(CWD, *path, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    match paths.iter().find(|path| there(path)) {
        Some(path) => Fail(format!("{path} is there")),
        None => Pass("none of them is there".into()),
    }
}

/// No shell in the image.
pub(super) fn shells(_: &mut Scene<'_>) -> Verdict {
    let names = ["sh", "bash", "dash", "ash", "zsh", "busybox", "python3", "perl", "node"];
    let folders = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"];
    let found = folders
        .iter()
        .flat_map(|folder| names.map(|name| format!("{folder}/{name}")))
        .find(|path| rustix::fs::statat(CWD, path.as_str(), AtFlags::empty()).is_ok());
    match found {
        // An image with Debian below has one on purpose.
        Some(path) => Gap(format!("there is {path}")),
        None => Pass("none".into()),
    }
}

/// No file changes who runs it.
pub(super) fn set_id(_: &mut Scene<'_>) -> Verdict {
    let mut found = None;
    let count = walk(|path, kind, mode| {
        if kind == FileType::RegularFile && mode & 0o6000 != 0 {
            found = Some(path.to_owned());
        }
    });
    match found {
        Some(path) => Fail(format!("{path} is set-id")),
        None => Pass(format!("none among {count} paths")),
    }
}
