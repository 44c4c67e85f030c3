//! What a fresh `/proc` shows, decided entry by entry: covered, read-only, or shown for a reason.
//!
//! **Guarantees**: an entry that no list names is shown by a kernel newer than these lists; the isolation suite fails on one
//! (row F11). The lists are data: `docs/isolation.md` prints them.
//!
//! There is no `/sys` inside, so what engines cover there needs no cover.

/// An entry of `/proc`, and why it is treated as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcEntry {
    /// Its path.
    pub path: &'static str,
    /// What it tells or does, or who needs it.
    pub why: &'static str,
}

const fn entry(path: &'static str, why: &'static str) -> ProcEntry {
    ProcEntry { path, why }
}

/// Covered: they tell about the machine, or act on it, and programs do without.
pub const MASKED: &[ProcEntry] = &[
    entry("/proc/acpi", "firmware"),
    entry("/proc/asound", "sound devices"),
    entry("/proc/buddyinfo", "free memory by size"),
    entry("/proc/bus", "devices by bus"),
    entry("/proc/cmdline", "how the host was booted"),
    entry("/proc/config.gz", "how the kernel was built"),
    entry("/proc/consoles", "the host's consoles"),
    entry("/proc/crypto", "ciphers and the modules they are in"),
    entry("/proc/devices", "drivers"),
    entry("/proc/diskstats", "the host's disks and what they do"),
    entry("/proc/dma", "devices"),
    entry("/proc/driver", "drivers"),
    entry("/proc/fs", "the host's file systems and their devices"),
    entry("/proc/interrupts", "devices, and what is typed when"),
    entry("/proc/iomem", "layout of physical memory"),
    entry("/proc/ioports", "devices"),
    entry("/proc/irq", "devices, and where their interrupts go"),
    entry("/proc/kallsyms", "the kernel's symbols"),
    entry("/proc/kcore", "the kernel's memory"),
    entry("/proc/key-users", "who has keys"),
    entry("/proc/keys", "keys"),
    entry("/proc/kmsg", "the kernel's log"),
    entry("/proc/kpagecgroup", "physical memory, page by page"),
    entry("/proc/kpagecount", "physical memory, page by page"),
    entry("/proc/kpageflags", "physical memory, page by page"),
    entry("/proc/latency_stats", "what the host waits for"),
    entry("/proc/locks", "locked files of other processes (those of open file descriptions)"),
    entry("/proc/mdstat", "the host's disks"),
    entry("/proc/misc", "drivers"),
    entry("/proc/modules", "modules"),
    entry("/proc/mtrr", "layout of physical memory"),
    entry("/proc/pagetypeinfo", "free memory by kind"),
    entry("/proc/partitions", "the host's disks"),
    entry("/proc/pressure", "what the host waits for"),
    entry("/proc/sched_debug", "the host's processes"),
    entry("/proc/schedstat", "what the host's processors do"),
    entry("/proc/scsi", "devices"),
    entry("/proc/slabinfo", "the kernel's memory"),
    entry("/proc/softirqs", "what the host's devices do"),
    entry("/proc/swaps", "where the host swaps to"),
    entry("/proc/timer_list", "the host's processes, and clocks for side channels"),
    entry("/proc/timer_stats", "the host's processes"),
    entry("/proc/tty/driver", "serial lines and what they do"),
    entry("/proc/vmallocinfo", "the kernel's memory"),
    entry("/proc/vmstat", "what the host's memory does"),
    entry("/proc/zoneinfo", "layout and use of physical memory"),
];

/// Can be read but not written.
pub const READ_ONLY: &[ProcEntry] = &[
    entry("/proc/sys", "the kernel's switches; many programs read some"),
    entry("/proc/sysrq-trigger", "acts on the machine when written, says nothing"),
];

/// Shown: of this process and its namespaces, or what programs need to adapt to the machine.
pub const SHOWN: &[ProcEntry] = &[
    entry("/proc/cgroups", "kinds of control groups; runtimes that size themselves look there first"),
    entry("/proc/cpuinfo", "processors; programs choose their code by it"),
    entry("/proc/execdomains", "a constant"),
    entry("/proc/filesystems", "kinds of file systems; `mount`, `df` and libraries look kinds up"),
    entry("/proc/loadavg", "load of the whole machine; `make -l` and monitors"),
    entry("/proc/meminfo", "memory of the whole machine; runtimes size their heaps by it"),
    entry("/proc/mounts", "this process's mounts"),
    entry("/proc/net", "this network namespace"),
    entry("/proc/self", "this process"),
    entry("/proc/stat", "processors' times and the time of boot; `top`, and runtimes that count processors"),
    entry(
        "/proc/sys/kernel/random/boot_id",
        "the same until the host boots again; programs tell stale locks by it",
    ),
    entry("/proc/sysvipc", "this IPC namespace"),
    entry("/proc/thread-self", "this thread"),
    entry("/proc/tty", "kinds of terminals; `ps` names them by it"),
    entry("/proc/uptime", "time since boot; clocks of processes count from it"),
    entry("/proc/version", "the kernel's version, as `uname` gives it"),
];
