//! What is tried inside a started sandbox. Each probe returns what it found wrong; the rows that call them are in
//! `rows.rs`. Raw calls are used so that no library stands between the probe and the kernel.

pub(crate) mod egress;
mod files;
pub(crate) mod keys;
mod neighbour;
mod network;
mod protect;
mod sealed;
mod signals;
mod streams;
mod terminal;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::mem::size_of;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

type Found = Result<(), String>;

/// Runs the probe `name` and prints its result; the exit code says pass or fail.
pub(crate) fn main(name: &str, args: &[String]) -> i32 {
    let found = match name {
        "read-only" => read_only(),
        "mounts" => mounts(args),
        "absent" => absent(args),
        "init-hidden" => init_hidden(),
        "devices" => devices(),
        "mount-calls" => mount_calls(),
        "masked" => masked(args),
        "proc-writes" => proc_writes(),
        "tmp-quota" => tmp_quota(),
        "capabilities" => capabilities(),
        "user" => user(),
        "seccomp" => status("Seccomp", "2"),
        "no-new-privileges" => no_new_privileges(),
        "user-namespaces" => user_namespaces(libc::EPERM),
        "user-namespaces-full" => user_namespaces(libc::ENOSPC),
        "denied-calls" => denied_calls(),
        "set-id-bits" => files::set_id_bits(args),
        "socket-families" => socket_families(),
        "foreign-calls" => foreign_calls(),
        "no-core" => no_core(),
        "init-program" => init_program(),
        "descriptors" => descriptors(),
        "streams" => streams::own(args.len() == 1),
        "directory" => streams::directory(&args[0]),
        "abstract-socket" => abstract_socket(&args[0]),
        "visible-sockets" => visible_sockets(args),
        "hard-home" => files::hard_home(args[0].as_ref()),
        "closed-directory" => files::closed_directory(args[0].as_ref()),
        "environment" => environment(args),
        "shared-memory" => shared_memory(args[0].parse().unwrap()),
        "signal" => signals::root(args[0].parse().unwrap()),
        "watch" => signals::watch(args),
        "mount-sources" => mount_sources(args),
        "host-process" => host_process(args[0].parse().unwrap()),
        "type-into-terminal" => terminal::type_into_terminal(),
        "session" => terminal::session(),
        "terminal" => terminal::terminal(),
        "interfaces" => network::interfaces(),
        "unreachable" => network::unreachable(args),
        "host-port" => network::host_port(args[0].parse().unwrap()),
        "relay" => network::relay(),
        "relay-without-proxy" => network::relay_without_proxy(),
        "fork-bomb" => fork_bomb(args[0].parse().unwrap()),
        "memory-hog" => memory_hog(),
        "hostname" => hostname(&args[0]),
        "landlock" => landlock(),
        "writable" => writable(args),
        "rewritten" => files::rewritten(args[0].as_ref(), &args[1]),
        "sleep" | "sleep-at-home" => {
            terminal::started(name);
            std::thread::sleep(std::time::Duration::from_secs(600));
            Ok(())
        }
        "crowd" => crowd(),
        "chat" => terminal::chat(),
        "asked-proxy" => network::asked_proxy(args),
        "second-hello" => egress::second_hello(&args[0]),
        "beside-the-key" => egress::beside_the_key(&args[0]),
        "relay-dies" => network::relay_dies(),
        "no-names" => network::no_names(),
        "hard-link" => files::hard_link(&args[0], &args[1]),
        "swap" => files::swap(Path::new(&args[0]), &args[1]),
        "protected" => protect::present(args),
        "unmade" => protect::missing(args),
        "unmade-later" => protect::later(&args[0], &args[1..]),
        "held" => protect::parents(args),
        "remade" => protect::remade(args),
        "around" => protect::around(&args[0]),
        "close" => protect::close(args),
        "open-files" => open_files(args[0].parse().unwrap()),
        "escapes" => terminal::escapes(),
        "no-terminal" => terminal::none(),
        "flood" => terminal::flood(),
        "stubborn" => terminal::stubborn(),
        "presence" => neighbour::presence(),
        "neighbour" => neighbour::look(),
        "rekey" => keys::rewritten(&args[0], &args[1], &args[2]),
        "sealed-key" => sealed::key(),
        "sealed-queues" => sealed::queues(),
        "sealed-network" => sealed::network(),
        "sealed-model" => sealed::model(&args[0]),
        "sealed-root" => sealed::root(),
        "sealed-steady" => sealed::steady(),
        "sealed-fails" => sealed::fails(&args[0], &args[1]),
        "nothing" => Ok(()),
        _ => Err(format!("no probe `{name}`")),
    };
    match found {
        Ok(()) => 0,
        Err(text) => {
            println!("{text}");
            1
        }
    }
}

/// A raw system call: what it returned, or errno.
fn call(number: libc::c_long, args: [usize; 6]) -> Result<i64, i32> {
    // SAFETY: the probes pass null or valid pointers; a call that writes through one of them is given memory of its size.
    let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]) };
    if result < 0 { Err(errno()) } else { Ok(result) }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Variable that says that the kernel inside is another runtime's own, which refuses with other numbers.
pub(crate) const OTHER_KERNEL: &str = "PROBE_OTHER_KERNEL";

fn expect(what: &str, result: Result<i64, i32>, wanted: i32) -> Found {
    match result {
        Err(errno) if errno == wanted || std::env::var_os(OTHER_KERNEL).is_some() => Ok(()),
        other => Err(format!("{what}: {other:?}, expected errno {wanted}")),
    }
}

/// All complaints at once, so that one run shows the whole row.
fn all(results: impl IntoIterator<Item = Found>) -> Found {
    let wrong: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn create(path: &Path) -> Result<i64, i32> {
    match fs::File::create(path) {
        Ok(_) => Ok(0),
        Err(error) => Err(error.raw_os_error().unwrap_or(0)),
    }
}

fn read_only() -> Found {
    all(["/", "/usr", "/etc", "/bin", "/run/pinfold"]
        .map(|dir| expect(dir, create(&Path::new(dir).join("written")), libc::EROFS)))
}

fn writable(paths: &[String]) -> Found {
    all(paths.iter().map(|dir| match create(&Path::new(dir).join("written")) {
        Ok(_) => Ok(()),
        Err(errno) => Err(format!("{dir}: errno {errno}")),
    }))
}

/// Arguments: targets of the plan, those that not every kernel has marked with `?`.
fn mounts(expected: &[String]) -> Found {
    let info = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let found: BTreeSet<&str> = info.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    let must: BTreeSet<&str> =
        expected.iter().filter(|path| !path.ends_with('?')).map(String::as_str).chain(["/"]).collect();
    let may: BTreeSet<&str> = expected.iter().map(|path| path.trim_end_matches('?')).chain(["/"]).collect();
    let more: Vec<_> = found.difference(&may).collect();
    let less: Vec<_> = must.difference(&found).collect();
    if more.is_empty() && less.is_empty() {
        Ok(())
    } else {
        Err(format!("too many {more:?}, missing {less:?}"))
    }
}

/// Arguments: what must be nowhere in the mount table.
fn mount_sources(texts: &[String]) -> Found {
    let tables = ["mountinfo", "mounts", "mountstats"]
        .map(|name| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default());
    all(texts.iter().map(|text| {
        match tables.iter().find_map(|table| table.lines().find(|line| line.contains(text.as_str()))) {
            Some(line) => Err(format!("{text} is in {line:?}")),
            None => Ok(()),
        }
    }))
}

fn absent(paths: &[String]) -> Found {
    all(paths.iter().map(|path| match fs::read(path) {
        Ok(_) => Err(format!("{path} can be read")),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(()),
        Err(error) => Err(format!("{path}: {error}")),
    }))
}

fn init_hidden() -> Found {
    let readable = ["environ", "mem", "maps", "auxv"].map(|name| {
        let path = format!("/proc/1/{name}");
        match fs::File::open(&path) {
            Ok(_) => Err(format!("{path} can be opened")),
            Err(_) => Ok(()),
        }
    });
    let links = ["root", "cwd", "exe"].map(|name| {
        let path = format!("/proc/1/{name}");
        match fs::read_link(&path) {
            Ok(target) => Err(format!("{path} leads to {}", target.display())),
            Err(_) => Ok(()),
        }
    });
    // The numbers may be seen where the host's root runs the sandbox; what is behind them may not.
    let open = fs::read_dir("/proc/1/fd")
        .into_iter()
        .flatten()
        .flatten()
        .find(|entry| fs::read_link(entry.path()).is_ok() || fs::File::open(entry.path()).is_ok());
    let fds = open.map_or(Ok(()), |entry| Err(format!("{} can be followed", entry.path().display())));
    all(readable.into_iter().chain(links).chain([fds]))
}

fn devices() -> Found {
    let expected = [
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    ];
    let found: BTreeSet<String> = fs::read_dir("/dev")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names = if found.iter().map(String::as_str).eq(expected) {
        Ok(())
    } else {
        Err(format!("/dev holds {found:?}"))
    };
    let path = c"/tmp/node";
    let made = call(
        libc::SYS_mknodat,
        [
            libc::AT_FDCWD as usize,
            path.as_ptr() as usize,
            (libc::S_IFCHR | 0o666) as usize,
            libc::makedev(1, 3) as usize,
            0,
            0,
        ],
    );
    let use_null = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open("/dev/null")
        .map(drop)
        .map_err(|error| format!("/dev/null: {error}"));
    all([names, expect("mknod", made, libc::EPERM), use_null])
}

fn mount_calls() -> Found {
    let (none, tmp, tmpfs) =
        (c"none".as_ptr() as usize, c"/tmp".as_ptr() as usize, c"tmpfs".as_ptr() as usize);
    let (here, root) = (libc::AT_FDCWD as usize, c"/".as_ptr() as usize);
    all([
        expect("mount", call(libc::SYS_mount, [none, tmp, tmpfs, 0, 0, 0]), libc::EPERM),
        expect(
            "remount",
            call(libc::SYS_mount, [none, root, 0, (libc::MS_REMOUNT | libc::MS_BIND) as usize, 0, 0]),
            libc::EPERM,
        ),
        expect("umount2", call(libc::SYS_umount2, [tmp, 0, 0, 0, 0, 0]), libc::EPERM),
        expect("pivot_root", call(libc::SYS_pivot_root, [tmp, tmp, 0, 0, 0, 0]), libc::EPERM),
        expect("open_tree", call(libc::SYS_open_tree, [here, root, 1, 0, 0, 0]), libc::EPERM),
        expect("move_mount", call(libc::SYS_move_mount, [here, root, here, tmp, 0, 0]), libc::EPERM),
        expect("fsopen", call(libc::SYS_fsopen, [tmpfs, 0, 0, 0, 0, 0]), libc::EPERM),
        expect("mount_setattr", call(libc::SYS_mount_setattr, [here, root, 0, 0, 0, 0]), libc::EPERM),
        expect("chroot", call(libc::SYS_chroot, [tmp, 0, 0, 0, 0, 0]), libc::EPERM),
        expect("setns", call(libc::SYS_setns, [0, 0, 0, 0, 0, 0]), libc::EPERM),
    ])
}

/// Arguments: paths that must say nothing, and after `shown` those that may.
fn masked(args: &[String]) -> Found {
    let end = args.iter().position(|arg| arg == "shown").unwrap_or(args.len());
    let (masked, shown) = (&args[..end], args.get(end + 1..).unwrap_or_default());
    let silent = masked.iter().map(|path| {
        if Path::new(path).is_dir() {
            return match fs::read_dir(path).map_or(0, Iterator::count) {
                0 => Ok(()),
                n => Err(format!("{path} has {n} entries")),
            };
        }
        let mut first = [0_u8; 64];
        let opened = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        match opened.and_then(|mut file| file.read(&mut first)) {
            Ok(0) | Err(_) => Ok(()),
            Ok(n) => Err(format!("{path} gives {n} bytes")),
        }
    });
    // Another kernel's files are its own.
    let native = std::env::var_os(OTHER_KERNEL).is_none();
    let undecided =
        fs::read_dir("/proc").unwrap().flatten().filter(|_| native && !shown.is_empty()).map(|entry| {
            let path = entry.path().to_str().unwrap_or_default().to_owned();
            let process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
            if process || args.contains(&path) { Ok(()) } else { Err(format!("{path}: nobody has decided")) }
        });
    all(silent.chain(undecided))
}

fn proc_writes() -> Found {
    let switches = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hostname",
        "/proc/sys/vm/drop_caches",
        "/proc/sysrq-trigger",
    ]
    .map(|path| match fs::OpenOptions::new().write(true).open(path) {
        Ok(_) => Err(format!("{path} can be opened to write")),
        Err(_) => Ok(()),
    });
    // An ordinary user could not write them anyway; the mount says that root could not either.
    let mounts = ["/proc/sys", "/proc/sysrq-trigger"].map(|path| {
        if !Path::new(path).exists() {
            return Ok(());
        }
        let flags = rustix::fs::statvfs(path).map_err(|errno| format!("{path}: {errno}"))?.f_flag;
        if flags.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            Ok(())
        } else {
            Err(format!("{path} is writable"))
        }
    });
    let absent =
        ["/sys/kernel/uevent_helper", "/sys/fs/cgroup/release_agent", "/proc/sys/fs/binfmt_misc/register"]
            .map(|path| if Path::new(path).exists() { Err(format!("{path} exists")) } else { Ok(()) });
    all(switches.into_iter().chain(mounts).chain(absent))
}

fn tmp_quota() -> Found {
    let mut file = fs::File::create("/tmp/full").unwrap();
    let block = vec![1_u8; 1 << 20];
    for _ in 0..8 {
        match file.write_all(&block) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("8 MiB fit into 4".into())
}

fn status_value(key: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{key}:")));
    line.unwrap_or_default().trim().to_owned()
}

fn status(key: &str, wanted: &str) -> Found {
    let value = status_value(key);
    if value == wanted { Ok(()) } else { Err(format!("{key} is {value}")) }
}

fn capabilities() -> Found {
    // The ambient set is of kernels since 4.3, and not of gVisor's.
    let shown = |key: &&str| *key != "CapAmb" || std::env::var_os(OTHER_KERNEL).is_none();
    let keys = ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"].into_iter().filter(shown);
    all(keys.map(|key| status(key, "0000000000000000")))
}

fn user() -> Found {
    all([
        status("Uid", "1000\t1000\t1000\t1000"),
        status("Gid", "1000\t1000\t1000\t1000"),
        // Groups outside the map are shown as 65534; group 0 must not be among them.
        if status_value("Groups").split(' ').any(|group| group == "0") {
            Err("group 0 is a supplementary group".into())
        } else {
            Ok(())
        },
    ])
}

fn user_namespaces(wanted: i32) -> Found {
    let flags = (libc::CLONE_NEWUSER | libc::SIGCHLD) as usize;
    let cloned = call(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]);
    if cloned == Ok(0) {
        // SAFETY: the child of a fork that should not have worked ends without touching anything.
        unsafe { libc::_exit(0) };
    }
    let unshared = call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0]);
    let mut results = vec![expect("clone", cloned, wanted), expect("unshare", unshared, wanted)];
    if wanted == libc::EPERM {
        results.push(expect("clone3", call(libc::SYS_clone3, [0; 6]), libc::ENOSYS));
        let network = call(libc::SYS_unshare, [libc::CLONE_NEWNET as usize, 0, 0, 0, 0, 0]);
        results.push(expect("unshare of the network", network, libc::EPERM));
    }
    all(results)
}

fn denied_calls() -> Found {
    let list: &[(&str, libc::c_long)] = &[
        ("bpf", libc::SYS_bpf),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("io_uring_enter", libc::SYS_io_uring_enter),
        ("io_uring_register", libc::SYS_io_uring_register),
        ("keyctl", libc::SYS_keyctl),
        ("add_key", libc::SYS_add_key),
        ("request_key", libc::SYS_request_key),
        ("kexec_load", libc::SYS_kexec_load),
        ("kexec_file_load", libc::SYS_kexec_file_load),
        ("init_module", libc::SYS_init_module),
        ("finit_module", libc::SYS_finit_module),
        ("delete_module", libc::SYS_delete_module),
        ("ptrace", libc::SYS_ptrace),
        ("process_vm_readv", libc::SYS_process_vm_readv),
        ("process_vm_writev", libc::SYS_process_vm_writev),
        ("pidfd_getfd", libc::SYS_pidfd_getfd),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("name_to_handle_at", libc::SYS_name_to_handle_at),
        ("quotactl", libc::SYS_quotactl),
        ("setns", libc::SYS_setns),
        ("swapon", libc::SYS_swapon),
        ("reboot", libc::SYS_reboot),
        ("settimeofday", libc::SYS_settimeofday),
        ("clock_settime", libc::SYS_clock_settime),
        ("sethostname", libc::SYS_sethostname),
        ("acct", libc::SYS_acct),
        ("syslog", libc::SYS_syslog),
        ("memfd_secret", libc::SYS_memfd_secret),
        ("kcmp", libc::SYS_kcmp),
        ("mbind", libc::SYS_mbind),
        ("set_mempolicy", libc::SYS_set_mempolicy),
        ("get_mempolicy", libc::SYS_get_mempolicy),
        ("set_mempolicy_home_node", libc::SYS_set_mempolicy_home_node),
        ("migrate_pages", libc::SYS_migrate_pages),
        ("move_pages", libc::SYS_move_pages),
        ("process_madvise", libc::SYS_process_madvise),
        ("fanotify_init", libc::SYS_fanotify_init),
        ("vhangup", libc::SYS_vhangup),
        ("chroot", libc::SYS_chroot),
        #[cfg(target_arch = "x86_64")]
        ("iopl", libc::SYS_iopl),
        #[cfg(target_arch = "x86_64")]
        ("ioperm", libc::SYS_ioperm),
        #[cfg(target_arch = "x86_64")]
        ("modify_ldt", libc::SYS_modify_ldt),
    ];
    // -1 where a descriptor or pointer would be: harmless if a call were let through.
    all(list.iter().map(|(name, number)| expect(name, call(*number, [usize::MAX; 6]), libc::EPERM)))
}

fn socket_families() -> Found {
    let socket = |family: i32, kind: i32, protocol: i32| {
        call(libc::SYS_socket, [family as usize, kind as usize, protocol as usize, 0, 0, 0])
    };
    let works = |name: &str, result: Result<i64, i32>| match result {
        Ok(_) => Ok(()),
        Err(errno) => Err(format!("{name}: errno {errno}")),
    };
    all([
        works("AF_UNIX", socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)),
        works("AF_INET", socket(libc::AF_INET, libc::SOCK_STREAM, 0)),
        works("AF_INET6", socket(libc::AF_INET6, libc::SOCK_STREAM, 0)),
        works("AF_NETLINK, route", socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)),
        expect(
            "AF_NETLINK, audit",
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT),
            libc::EPERM,
        ),
        expect("AF_ALG", socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0), libc::EPERM),
        expect("AF_VSOCK", socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0), libc::EPERM),
        expect("AF_PACKET", socket(libc::AF_PACKET, libc::SOCK_RAW, 0), libc::EPERM),
        expect("AF_BLUETOOTH", socket(libc::AF_BLUETOOTH, libc::SOCK_RAW, 0), libc::EPERM),
        expect("AF_XDP", socket(libc::AF_XDP, libc::SOCK_RAW, 0), libc::EPERM),
        expect("AF_INET, raw", socket(libc::AF_INET, libc::SOCK_RAW, 1), libc::EPERM),
    ])
}

/// How a child that runs `act` ends.
#[cfg(target_arch = "x86_64")]
fn in_child(act: impl FnOnce() -> i32) -> i32 {
    // SAFETY: a single-threaded program forks; the child makes one call and ends without running anything of the parent's.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = act();
        // SAFETY: see above.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for the child just made, into a local.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    status
}

#[cfg(target_arch = "x86_64")]
fn foreign_calls() -> Found {
    let killed = |status: i32| libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS;
    // x32: the same convention with bit 30 set.  Kernels without x32 answer ENOSYS where no filter does.
    let x32 = in_child(|| match call(0x4000_0000 + libc::SYS_getpid, [0; 6]) {
        Err(libc::EPERM) => 0,
        _ => 1,
    });
    let old = in_child(|| {
        // SAFETY: number 20 is getpid in the 32-bit convention, without arguments; rax is the only register changed.
        unsafe { std::arch::asm!("int 0x80", inout("rax") 20_u64 => _) };
        0
    });
    all([
        if x32 == 0 || killed(x32) {
            Ok(())
        } else {
            Err(format!("the x32 call ended with status {x32:#x}"))
        },
        if killed(old) { Ok(()) } else { Err(format!("the 32-bit call ended with status {old:#x}")) },
    ])
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_calls() -> Found {
    Ok(())
}

fn no_core() -> Found {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    if (limit.current, limit.maximum) == (Some(0), Some(0)) { Ok(()) } else { Err(format!("{limit:?}")) }
}

fn no_new_privileges() -> Found {
    match call(libc::SYS_prctl, [libc::PR_GET_NO_NEW_PRIVS as usize, 0, 0, 0, 0, 0]) {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Neither to write nor, which is how CVE-2019-5736 begins, to read and hold.
fn init_program() -> Found {
    let refused = |what: &str, options: &fs::OpenOptions| match options.open("/proc/1/exe") {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::EROFS)) => {
            Ok(())
        }
        other => Err(format!("opening process 1's program to {what}: {other:?}")),
    };
    all([
        refused("write", fs::OpenOptions::new().write(true)),
        refused("read", fs::OpenOptions::new().read(true)),
    ])
}

fn descriptors() -> Found {
    let open: BTreeSet<i32> = (0..1024)
        .filter(|fd| call(libc::SYS_fcntl, [*fd as usize, libc::F_GETFD as usize, 0, 0, 0, 0]).is_ok())
        .collect();
    if open == BTreeSet::from([0, 1, 2]) { Ok(()) } else { Err(format!("open: {open:?}")) }
}

fn abstract_socket(name: &str) -> Found {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    match std::os::unix::net::UnixStream::connect_addr(&address) {
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Arguments: the sockets that may be visible.
fn visible_sockets(allowed: &[String]) -> Found {
    let mut pending = vec![PathBuf::from("/")];
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            // What the directory says stands below a cover.
            let is_socket = kind.is_socket()
                && fs::symlink_metadata(&path).is_ok_and(|data| data.file_type().is_socket());
            if is_socket && !allowed.iter().any(|allowed| Path::new(allowed) == path) {
                found.push(path);
            } else if kind.is_dir() && path != Path::new("/proc") {
                pending.push(path);
            }
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
}

/// Arguments: text that must be in no environment, one's own or that of a visible process.
fn environment(texts: &[String]) -> Found {
    let mut everything =
        std::env::vars().fold(String::new(), |text, (name, value)| text + &name + "=" + &value + "\n");
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(bytes) = fs::read(entry.path().join("environ")) {
            everything.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    all(texts
        .iter()
        .map(|text| if everything.contains(text) { Err(format!("{text} is there")) } else { Ok(()) }))
}

fn shared_memory(key: i32) -> Found {
    expect("shmget", call(libc::SYS_shmget, [key as usize, 0, 0, 0, 0, 0]), libc::ENOENT)
}

fn host_process(pid: i32) -> Found {
    let visible = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().parse::<i32>().is_ok())
        .count();
    all([
        signals::unreachable(pid as usize),
        if visible == 2 { Ok(()) } else { Err(format!("{visible} processes are visible")) },
    ])
}

fn fork_bomb(limit: usize) -> Found {
    let mut children = Vec::new();
    let mut refused = false;
    for _ in 0..limit * 2 {
        // SAFETY: a single-threaded program forks; the child only waits to be killed.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: waits for a signal.
                unsafe { libc::pause() };
            },
            -1 => {
                refused = errno() == libc::EAGAIN;
                break;
            }
            pid => children.push(pid),
        }
    }
    for pid in &children {
        // SAFETY: children of this process that have not been waited for.
        unsafe { libc::kill(*pid, libc::SIGKILL) };
    }
    if refused && children.len() < limit {
        Ok(())
    } else {
        Err(format!("{} processes were made", children.len()))
    }
}

/// Opens files until that is refused.
fn open_files(limit: usize) -> Found {
    let files: Vec<fs::File> = (0..limit * 2).map_while(|_| fs::File::open("/dev/null").ok()).collect();
    if files.len() < limit { Ok(()) } else { Err(format!("{} files are open", files.len())) }
}

fn memory_hog() -> Found {
    let mut blocks = Vec::new();
    for _ in 0..128 {
        let mut block = vec![0_u8; 1 << 20];
        for page in block.chunks_mut(4096) {
            page[0] = 1;
        }
        blocks.push(block);
    }
    // Reaching this line is the failure; the row expects the process to be killed.
    println!("{} MiB were touched", blocks.len());
    Ok(())
}

fn hostname(wanted: &str) -> Found {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    if name.trim() == wanted { Ok(()) } else { Err(format!("the name is {}", name.trim())) }
}

/// Where a mount has been left writable by mistake, Landlock says EACCES.
fn landlock() -> Found {
    expect("/usr", create(Path::new("/usr/written")), libc::EACCES)
}

/// Leaves descendants in sessions of their own, one ignoring every signal it can, and ends.
fn crowd() -> Found {
    for _ in 0..3 {
        // SAFETY: a single-threaded program forks; the child leaves the session and waits.
        unsafe {
            if libc::fork() == 0 {
                libc::setsid();
                for signal in 1..32 {
                    libc::signal(signal, libc::SIG_IGN);
                }
                libc::fork();
                loop {
                    libc::pause();
                }
            }
        }
    }
    println!("ready");
    Ok(())
}

const _: () = assert!(size_of::<usize>() == 8, "raw calls above pass 64-bit arguments");
