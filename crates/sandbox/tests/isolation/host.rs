//! The host's side of the rows: an image with nothing in it but the probe, things that must not be reachable, and what is
//! left after a sandbox.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;

use pinfold_sandbox::Plan;
use pinfold_sandbox::Probe;
use pinfold_sandbox::Sandbox;
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
        let _ = fs::remove_dir_all(&path);
        for directory in ["bin", "usr", "etc", "dev", "proc", "tmp", "run", "sys", "home/agent", "workspace"]
        {
            fs::create_dir_all(path.join("root").join(directory)).unwrap();
        }
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
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What one identity's suite sets up on the host.
pub(crate) struct Host {
    pub(crate) root: PathBuf,
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
        for directory in ["workspace", "secret", "with-socket", "home"] {
            fs::create_dir_all(scratch.join(directory)).unwrap();
        }
        fs::write(scratch.join("secret/key"), "canary-7f3a").unwrap();
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
            scratch,
            abstract_name,
            port: tcp.local_addr().unwrap().port(),
            shm_key,
            _listeners: (hidden, tcp, visible),
        }
    }

    /// A specification for the probe `name`.
    pub(crate) fn spec(&self, name: &str, args: &[String]) -> Spec {
        let mut command = vec!["/bin/probe".to_owned(), "probe".to_owned(), name.to_owned()];
        command.extend(args.iter().cloned());
        let mut spec = Spec::new(format!("test-{}", std::process::id()), &self.root, command);
        spec.network = pinfold_sandbox::spec::Network::None;
        spec.cwd = "/".into();
        spec
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
        // SAFETY: removes the segment made in `new`.
        unsafe {
            let id = libc::shmget(self.shm_key, 0, 0);
            libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
        }
    }
}

/// Starts the probe and returns what it printed and how it ended.
pub(crate) fn run(spec: &Spec, egress: Option<&Path>) -> Result<(String, pinfold_sandbox::Exit), String> {
    let plan = Plan::new(spec, &Probe::run()).map_err(|error| error.to_string())?;
    let mut sandbox = Sandbox::new(plan);
    if let Some(socket) = egress {
        sandbox = sandbox.egress(socket);
    }
    let mut running = sandbox.spawn(Stdio::Piped).map_err(|error| chain(&error))?;
    let mut text = String::new();
    let mut output = fs::File::from(running.stdout.take().unwrap());
    let _ = output.read_to_string(&mut text);
    let mut errors = fs::File::from(running.stderr.take().unwrap());
    let _ = errors.read_to_string(&mut text);
    let exit = running.wait().map_err(|error| chain(&error))?;
    Ok((text.trim().to_owned(), exit))
}

/// The same in another runtime.
pub(crate) fn run_in(
    runtime: pinfold_sandbox::Runtime,
    spec: &Spec,
    egress: Option<&Path>,
) -> Result<(String, pinfold_sandbox::Exit), String> {
    let plan = Plan::new(spec, &Probe::run()).map_err(|error| error.to_string())?;
    let folder = std::env::temp_dir().join(format!("pinfold-{}-{}", runtime.program(), std::process::id()));
    let places = pinfold_sandbox::bundle::BundlePlaces {
        home: None,
        egress: egress.map(Path::to_owned),
        program: spec.rootfs.join("bin/probe"),
    };
    let mut guest = pinfold_sandbox::runtime::start(&plan, &places, runtime, Stdio::Piped, &folder)
        .map_err(|error| chain(&error))?;
    let [_, output, errors] = guest.pipes();
    let mut text = String::new();
    let _ = fs::File::from(output.unwrap()).read_to_string(&mut text);
    let _ = fs::File::from(errors.unwrap()).read_to_string(&mut text);
    let exit = guest.wait().map_err(|error| chain(&error))?;
    Ok((text.trim().to_owned(), exit))
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(source) = at {
        text = format!("{text}: {source}");
        at = source.source();
    }
    text
}

/// The proxy's place for the relay rows: sends back everything, for one connection.
pub(crate) fn echo(listener: UnixListener) {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 7];
        if stream.read_exact(&mut bytes).is_ok() {
            let _ = stream.write_all(&bytes);
        }
    });
}

/// Starts a sandbox that sleeps, says the id of its first process, and waits to be killed. `remove` is removed before.
pub(crate) fn hold(base: &str, remove: Option<&str>) -> i32 {
    if let Some(file) = remove {
        fs::remove_file(file).unwrap();
    }
    let host_root = Path::new(base).join("root");
    let command = ["/bin/probe", "probe", "sleep"].map(str::to_owned).to_vec();
    let mut spec = Spec::new(format!("hold-{}", std::process::id()), host_root, command);
    spec.network = pinfold_sandbox::spec::Network::None;
    spec.cwd = "/".into();
    spec.policy.cgroup = pinfold_sandbox::spec::Need::Off;
    let plan = Plan::new(&spec, &Probe::run()).unwrap();
    let running = Sandbox::new(plan).spawn(Stdio::Null).unwrap();
    println!("{}", running.pid());
    i32::from(running.wait().unwrap().code())
}

/// Ids of all processes that descend from, or are, process 1 of a sandbox, or run the probe: found by name.
pub(crate) fn left_over() -> BTreeSet<i32> {
    let own = std::process::id().cast_signed();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.starts_with(b"pinfold-init") || command.starts_with(b"/bin/probe\0")
        })
        .collect()
}

/// Control groups of ours.
pub(crate) fn groups() -> BTreeSet<PathBuf> {
    ["memory", "pids", "cpu"]
        .iter()
        .flat_map(|name| fs::read_dir(Path::new("/sys/fs/cgroup").join(name)).into_iter().flatten())
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("/pinfold-"))
        .collect()
}
