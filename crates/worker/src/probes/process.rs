//! Rows about processes: ids, capabilities, filters, what is seen of others, calls that must fail.

use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::thread::LinkNameSpaceType;
use rustix::thread::UnshareFlags;

use super::Fail;
use super::Gap;
use super::Pass;
use super::Scene;
use super::Verdict;
use super::all;
use super::files::is_gvisor;
use super::names;
use super::read;
use super::refused;

/// A field of `/proc/self/status`.
fn status(field: &str) -> Result<String, Verdict> {
    let text = read("/proc/self/status").map_err(|error| Gap(format!("/proc/self/status: {error}")))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned()).ok_or_else(|| Gap(format!("the kernel does not tell {field}")))
}

/// Numbers of processes.
fn processes() -> Vec<u32> {
    names("/proc").unwrap_or_default().iter().filter_map(|name| name.parse().ok()).collect()
}

/// No process is seen but process 1, this one, and what this one started.
pub(super) fn others(_: &mut Scene<'_>) -> Verdict {
    let own = rustix::process::getpid().as_raw_nonzero().get().cast_unsigned();
    let found = processes();
    if found.is_empty() {
        return Gap("/proc tells of no process".into());
    }
    match found.iter().find(|pid| !matches!(**pid, 1) && **pid != own) {
        Some(pid) => {
            let name = read(&format!("/proc/{pid}/comm")).unwrap_or_default();
            Fail(format!("process {pid} is seen: {}", name.trim()))
        }
        None => Pass(format!("processes: {found:?}")),
    }
}

/// Process 1 cannot be looked into.
pub(super) fn first(_: &mut Scene<'_>) -> Verdict {
    if rustix::process::getpid().as_raw_nonzero().get() == 1 {
        return Pass("the worker is process 1".into());
    }
    let leads = |name: &String| rustix::fs::readlinkat(CWD, format!("/proc/1/fd/{name}"), Vec::new()).is_ok();
    let descriptors = match names("/proc/1/fd") {
        // Their numbers may be told, what they are must not be.
        Ok(found) if found.iter().any(leads) && !is_gvisor() => {
            Fail(format!("its descriptors are seen: {}", found.join(" ")))
        }
        Ok(found) => Pass(format!("/proc/1/fd: {} descriptors", found.len())),
        Err(error) => Pass(format!("/proc/1/fd: {error}")),
    };
    let files = ["mem", "environ", "root", "cwd", "maps"].map(|name| {
        let path = format!("/proc/1/{name}");
        let flags = if name == "mem" { OFlags::RDWR } else { OFlags::RDONLY };
        match rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => {
                // Some are opened, and give nothing.
                let empty = matches!(rustix::io::read(&fd, &mut [0; 16]), Ok(0) | Err(_));
                if empty && !matches!(name, "root" | "cwd") {
                    Pass(format!("{path}: empty"))
                } else if is_gvisor() {
                    Gap(format!("{path} can be opened, in gVisor's own kernel"))
                } else {
                    Fail(format!("{path} can be opened"))
                }
            }
            Err(error) => Pass(format!("{path}: {error}")),
        }
    });
    all(std::iter::once(descriptors).chain(files))
}

/// The key's path and nothing like a key stands in what `/proc` tells of processes.
pub(super) fn key_in_proc(_: &mut Scene<'_>) -> Verdict {
    let mut looked = 0;
    for pid in processes() {
        for file in ["environ", "cmdline"] {
            let Ok(text) = read(&format!("/proc/{pid}/{file}")) else { continue };
            looked += 1;
            for word in text.split('\0') {
                let value = word.rsplit('=').next().unwrap_or(word);
                let is_hex = value.len() >= 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
                let name = word.split('=').next().unwrap_or_default().to_ascii_uppercase();
                let is_named = file == "environ"
                    && ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|part| name.contains(part));
                if is_hex || is_named {
                    return Fail(format!(
                        "/proc/{pid}/{file} has `{}`",
                        word.split('=').next().unwrap_or_default()
                    ));
                }
            }
        }
    }
    Pass(format!("nothing like one in {looked} files"))
}

/// Whose 0 an id of 0 is: of a user namespace that has this one id, somebody else's outside. Nothing where it may be root's.
fn stands_for(map: &str, caller: Option<u64>) -> Option<String> {
    let fields: Vec<u64> = map.split_whitespace().map_while(|field| field.parse().ok()).collect();
    match (&fields[..], caller) {
        ([0, outside, 1], _) if *outside != 0 => {
            Some(format!("its user namespace has this id alone, {outside} outside"))
        }
        // gVisor tells its own kernel's ids; who runs that kernel the host knows.
        (_, Some(caller)) if caller != 0 && is_gvisor() => {
            Some(format!("it is 0 of gVisor's own kernel, which {caller} runs"))
        }
        _ => None,
    }
}

/// Neither root, nor able to become it.
pub(super) fn ids(scene: &mut Scene<'_>) -> Verdict {
    let seen = match (status("Uid"), status("Gid")) {
        (Ok(uid), Ok(gid)) => (uid, gid),
        (Err(gap), _) | (_, Err(gap)) => return gap,
    };
    let groups = status("Groups").unwrap_or_default();
    let all = [seen.0.as_str(), &seen.1, &groups].join(" ");
    if all.split_whitespace().any(|id| id == "0") {
        let told = format!("uid {}, gid {}, groups {groups}", seen.0, seen.1).replace('\t', " ");
        let maps = ["/proc/self/uid_map", "/proc/self/gid_map"].map(|path| read(path).unwrap_or_default());
        let whose: Option<Vec<String>> = maps.iter().map(|map| stands_for(map, scene.caller)).collect();
        return match whose {
            Some(whose) => Gap(format!("{told}: {}", whose[0])),
            None => Fail(told),
        };
    }
    Pass(format!("uid {}, gid {}", seen.0, seen.1).replace('\t', " "))
}

/// No capability in any set.
pub(super) fn capabilities(_: &mut Scene<'_>) -> Verdict {
    let mut told = Vec::new();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        match status(set) {
            Ok(value) if value.bytes().all(|byte| byte == b'0') => told.push(set),
            Ok(value) => return Fail(format!("{set} {value}")),
            // gVisor tells no ambient set.
            Err(gap) if told.is_empty() => return gap,
            Err(_) => {}
        }
    }
    Pass(format!("{} are empty", told.join(" ")))
}

/// `no_new_privs` is set.
pub(super) fn no_new_privileges(_: &mut Scene<'_>) -> Verdict {
    match status("NoNewPrivs") {
        Ok(value) if value == "1" => Pass("NoNewPrivs 1".into()),
        Ok(value) => Fail(format!("NoNewPrivs {value}")),
        Err(gap) => gap,
    }
}

/// Calls are filtered.
pub(super) fn filter(_: &mut Scene<'_>) -> Verdict {
    match status("Seccomp") {
        Ok(value) if value == "2" => Pass("Seccomp 2".into()),
        Ok(value) if is_gvisor() => Gap(format!("Seccomp {value}: the calls are gVisor's")),
        Ok(value) => Fail(format!("Seccomp {value}")),
        Err(gap) => gap,
    }
}

/// Nothing can be mounted.
pub(super) fn mount(_: &mut Scene<'_>) -> Verdict {
    let mounted = rustix::mount::mount("none", "/", "tmpfs", MountFlags::empty(), None);
    if mounted.is_ok() {
        let _ = rustix::mount::unmount("/", rustix::mount::UnmountFlags::DETACH);
    }
    let again = rustix::mount::mount_remount("/", MountFlags::empty(), c"");
    let bound = rustix::mount::mount_bind("/proc", "/proc");
    all([refused("a mount", mounted), refused("a remount", again), refused("a bind", bound)])
}

/// No namespace can be made. (In this process: `CLONE_FS` alone is harmless, so each of these would be seen by the next row only.)
pub(super) fn unshare(_: &mut Scene<'_>) -> Verdict {
    let kinds = [
        (UnshareFlags::NEWUSER, "a user namespace"),
        (UnshareFlags::NEWNET, "a network namespace"),
        (UnshareFlags::NEWNS, "a mount namespace"),
        (UnshareFlags::NEWPID, "a process namespace"),
    ];
    for (flags, what) in kinds {
        #[expect(
            deprecated,
            reason = "unsafe only for flags that share descriptors, which none of these does"
        )]
        let made = rustix::thread::unshare(flags);
        match made {
            Ok(()) if is_gvisor() => return Gap(format!("{what} can be made, in gVisor's own kernel")),
            Ok(()) => return Fail(format!("{what} can be made")),
            Err(_) => {}
        }
    }
    Pass("no namespace can be made".into())
}

/// No namespace can be entered.
pub(super) fn setns(_: &mut Scene<'_>) -> Verdict {
    all(["net", "mnt", "user"].map(|name| {
        let path = format!("/proc/1/ns/{name}");
        match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(error) => Pass(format!("{path}: {error}")),
            Ok(fd) => {
                use std::os::fd::AsFd as _;
                let entered =
                    rustix::thread::move_into_link_name_space(fd.as_fd(), None::<LinkNameSpaceType>);
                match entered {
                    // One's own user namespace cannot be entered, its own others without a capability neither.
                    Err(error) => Pass(format!("{path}: {error}")),
                    Ok(()) => Fail(format!("{path} can be entered")),
                }
            }
        }
    }))
}

/// No device can be made.
pub(super) fn mknod(scene: &mut Scene<'_>) -> Verdict {
    let path = format!("{}/out/.pinfold-probe", scene.args.queue);
    let made =
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3));
    if made.is_ok() {
        let _ = rustix::fs::unlinkat(CWD, &path, rustix::fs::AtFlags::empty());
    }
    match made {
        Err(Errno::NOENT) => Gap("the directory is not there".into()),
        result => refused("a device", result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_0_is_somebody_elses_only_where_the_kernel_says_so() {
        assert!(
            stands_for("         0       1001          1\n", Some(1001)).unwrap().contains("1001 outside")
        );
        for map in ["0 0 4294967295", "0 0 1", "0 1001 65536", "0 1001 1\n1 100000 65536", ""] {
            assert_eq!(stands_for(map, Some(0)), None, "{map}");
            assert_eq!(stands_for(map, Some(1001)), None, "{map}: this is no gVisor");
        }
    }
}
