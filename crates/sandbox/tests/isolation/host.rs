//! The host's side of the rows: an image with nothing in it but the probe, things that must not be reachable, and what is
//! left after a sandbox.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use pinfold_base::directory;
use pinfold_base::error::one_line;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Plan;
use pinfold_sandbox::Probe;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Sandbox;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Stdio;

/// Variables of the starting process that must not be seen inside.
pub(crate) const CANARIES: [(&str, &str); 6] = [
    ("ANTHROPIC_API_KEY", "canary-7f3a"),
    ("SSH_AUTH_SOCK", "/run/user/0/canary-agent"),
    ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/canary-bus"),
    ("WAYLAND_DISPLAY", "canary-wayland"),
    ("DOCKER_HOST", "unix:///canary-docker"),
    ("TMUX", "/tmp/canary-tmux"),
];

/// An image on disk, readable by everybody, removed at the end.
pub(crate) struct Image(PathBuf);

impl Image {
    pub(crate) fn make() -> Self {
        let path = std::env::temp_dir().join(format!("pinfold-isolation-{}", std::process::id()));
        let _ = directory::remove(&path);
        let directories = [
            "bin",
            "usr",
            "etc",
            "dev",
            "proc",
            "tmp",
            "run/pinfold",
            "run/ironclaw",
            "queue/in",
            "queue/out",
            "sys",
            "home/agent",
            "workspace",
            "outside",
            "mnt/agent",
            "nix/store",
            "nix/var",
        ];
        for directory in directories {
            fs::create_dir_all(path.join("root").join(directory)).unwrap();
        }
        fs::write(path.join("root/etc/resolv.conf"), "").unwrap();
        let one = path.join("root/nix/store/one");
        fs::write(&one, "of the image").unwrap();
        fs::set_permissions(&one, PermissionsExt::from_mode(0o444)).unwrap();
        // A `git` that tells on whoever runs it, found before the real one.
        fs::create_dir(path.join("trap")).unwrap();
        fs::write(path.join("trap/git"), "#!/bin/sh\n: > \"$(dirname \"$0\")/ran-$$\"\n").unwrap();
        fs::set_permissions(path.join("trap/git"), PermissionsExt::from_mode(0o755)).unwrap();
        fs::set_permissions(path.join("trap"), PermissionsExt::from_mode(0o777)).unwrap();
        let probe = path.join("root/bin/probe");
        fs::copy("/proc/self/exe", &probe).unwrap();
        fs::set_permissions(&probe, PermissionsExt::from_mode(0o755)).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = directory::remove(&self.0);
    }
}

/// What one identity's suite sets up on the host.
pub(crate) struct Host {
    pub(crate) root: PathBuf,
    /// Directory with the `git` that nobody is to run.
    pub(crate) trap: PathBuf,
    pub(crate) scratch: PathBuf,
    pub(crate) abstract_name: String,
    pub(crate) port: u16,
    pub(crate) shm_key: i32,
    _listeners: (UnixListener, TcpListener, UnixListener),
}

impl Host {
    pub(crate) fn new(base: &Path) -> Self {
        let pid = std::process::id();
        let scratch = std::env::temp_dir().join(format!("pinfold-host-{pid}"));
        for directory in ["workspace", "secret", "linked", "with-socket", "home"] {
            fs::create_dir_all(scratch.join(directory)).unwrap();
        }
        fs::write(scratch.join("secret/key"), "canary-7f3a").unwrap();
        fs::write(scratch.join("linked/key"), "").unwrap();
        fs::write(scratch.join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        symlink(scratch.join("secret/key"), scratch.join("workspace/link")).unwrap();
        let visible = UnixListener::bind(scratch.join("with-socket/agent.sock")).unwrap();
        let abstract_name = format!("pinfold-host-{pid}");
        let hidden =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap()).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let shm_key = i32::try_from(0x5150_0000 | (pid & 0xffff)).unwrap();
        // SAFETY: makes a segment of one page; nothing is attached.
        let made = unsafe { libc::shmget(shm_key, 4096, libc::IPC_CREAT | 0o600) };
        assert!(made >= 0);
        Self {
            root: base.join("root"),
            trap: base.join("trap"),
            scratch,
            abstract_name,
            port: tcp.local_addr().unwrap().port(),
            shm_key,
            _listeners: (hidden, tcp, visible),
        }
    }

    /// A specification for the probe `name`.
    pub(crate) fn spec(&self, name: &str, args: &[String]) -> Spec {
        let mut command: Vec<OsString> = vec!["/bin/probe".into(), "probe".into(), name.into()];
        command.extend(args.iter().map(OsString::from));
        let mut spec = Spec::new(format!("test-{}", std::process::id()), &self.root, command);
        spec.network = pinfold_sandbox::spec::Network::None;
        spec.cwd = "/".into();
        spec
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Sessions of rows that failed.
        let sandboxes = Sandboxes::new(self.scratch.join("sandboxes"));
        for left in sandboxes.list().unwrap_or_default() {
            let _ = sandboxes.stop(&left.name, std::time::Duration::ZERO);
        }
        let _ = directory::remove(&self.scratch);
        // SAFETY: removes the segment made in `new`.
        unsafe {
            let id = libc::shmget(self.shm_key, 0, 0);
            libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
        }
    }
}

/// Starts the probe and returns what it printed and how it ended.
pub(crate) fn run(spec: &Spec, egress: Option<&Path>, runtime: Runtime) -> Result<(String, Exit), String> {
    let plan = Plan::new(spec, &Probe::run()).map_err(|error| error.to_string())?;
    let told = |output: OwnedFd, errors: OwnedFd| {
        let mut text = String::new();
        let _ = io::PipeReader::from(output).read_to_string(&mut text);
        let _ = io::PipeReader::from(errors).read_to_string(&mut text);
        text.trim().to_owned()
    };
    let failed = |error: pinfold_sandbox::SandboxError| one_line(&error);
    let Runtime::Oci(runtime) = runtime else {
        let mut sandbox = Sandbox::new(plan);
        if let Some(socket) = egress {
            sandbox = sandbox.egress(socket);
        }
        let mut running = sandbox.spawn(Stdio::Piped).map_err(failed)?;
        let text = told(running.stdout.take().unwrap(), running.stderr.take().unwrap());
        return Ok((text, running.wait().map_err(failed)?));
    };
    let folder = std::env::temp_dir().join(format!("pinfold-{}-{}", runtime.program(), std::process::id()));
    let paths = pinfold_sandbox::oci::config::BundlePaths {
        egress: egress.map(Path::to_owned),
        program: Some(spec.rootfs.join("bin/probe")),
        ..pinfold_sandbox::oci::config::BundlePaths::default()
    };
    let program = pinfold_sandbox::runtime::Program::find(runtime, Vec::new()).map_err(failed)?;
    let mut guest =
        pinfold_sandbox::runtime::start(&plan, &paths, program, Stdio::Piped, &folder).map_err(failed)?;
    let [_, output, errors] = guest.pipes();
    let text = told(output.unwrap(), errors.unwrap());
    Ok((text, guest.wait().map_err(failed)?))
}

/// The proxy's place for the relay rows: sends back everything, for so many connections, and then is gone.
pub(crate) fn echo(listener: UnixListener, connections: usize) {
    std::thread::spawn(move || {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 7];
            if stream.read_exact(&mut bytes).is_ok() {
                let _ = stream.write_all(&bytes);
            }
        }
    });
}

/// Starts a sandbox from a specification, says the id of its first process, and waits to be killed. `remove` is a file that
/// is removed before, or nothing.
pub(crate) fn hold(spec: &str, remove: &str) -> i32 {
    if !remove.is_empty() {
        fs::remove_file(remove).unwrap();
    }
    let spec: Spec = serde_json::from_str(spec).unwrap();
    let plan = Plan::new(&spec, &Probe::run()).unwrap();
    let running = Sandbox::new(plan).spawn(Stdio::Null).unwrap();
    println!("{}", running.pid());
    i32::from(running.wait().unwrap().code())
}

/// What a process in the foreground is told, as arguments: directory of sandboxes, specification, runtime, streams.
pub(crate) fn foreground_command(
    sandboxes: &Sandboxes,
    spec: &Spec,
    runtime: Runtime,
    streams: &str,
) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("foreground").arg(sandboxes.directory()).arg(serde_json::to_string(spec).unwrap());
    command.arg(serde_json::to_string(&runtime).unwrap()).arg(streams);
    command
}

/// The other side of [`foreground_command`]: what `pinfold run` does.
pub(crate) fn foreground(args: &[String]) -> i32 {
    let [directory, spec, runtime, streams] = args else { return 2 };
    let sandboxes = Sandboxes::new(directory);
    let spec: Spec = serde_json::from_str(spec).unwrap();
    let stdio = match streams.as_str() {
        "terminal" => Stdio::Terminal { rows: 24, columns: 80 },
        "own" => Stdio::Inherit,
        _ => Stdio::Null,
    };
    match sandboxes.run(&spec, serde_json::from_str(runtime).unwrap(), stdio) {
        Ok(exit) => i32::from(exit.code()),
        Err(error) => {
            let text = one_line(&error);
            // Where standard output is what failed, on the other one.
            if writeln!(io::stdout(), "{text}").is_err() {
                let _ = writeln!(io::stderr(), "{text}");
            }
            125
        }
    }
}

/// Runs it with a terminal of its own on all three streams; what the terminal was sent, and the exit code.
pub(crate) fn in_terminal(
    sandboxes: &Sandboxes,
    spec: &Spec,
    runtime: Runtime,
    streams: &str,
) -> (String, Option<i32>) {
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
    let mut child = foreground_command(sandboxes, spec, runtime, streams)
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave)
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    // The end of the last slave is EIO here.
    while let Ok(n @ 1..) = rustix::io::read(&master, &mut buffer) {
        seen.extend_from_slice(&buffer[..n]);
    }
    (String::from_utf8_lossy(&seen).into_owned(), child.wait().unwrap().code())
}

/// Ids of all processes that are process 1 of a sandbox, run the probe, or are another runtime at work for this suite: found
/// by name.
pub(crate) fn left_over() -> BTreeSet<i32> {
    let own = std::process::id().cast_signed();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let text = String::from_utf8_lossy(&command);
            let other = text.starts_with("run") && text.contains(&format!("-{own}/"));
            other
                || ["pinfold-init", "/bin/probe\0", "/run/pinfold/init\0"]
                    .iter()
                    .any(|name| text.starts_with(name))
        })
        .collect()
}

/// Control groups of ours.
pub(crate) fn groups() -> BTreeSet<PathBuf> {
    fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|hierarchy| fs::read_dir(hierarchy.path()).into_iter().flatten())
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("/pinfold-"))
        .collect()
}
