//! What a row plays on: addresses, files as the kubelet would mount them, a proxy.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use fs_err as fs;
use pinfold_network::Token;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use serde_json::Value;
use serde_json::json;

/// Where the proxy is.
pub(crate) const PROXY: &str = "10.9.9.9:8443";
/// Addresses that somebody may listen on.
const ADDRESSES: [&str; 5] = ["10.9.9.9", "1.1.1.1", "8.8.8.8", "9.9.9.53", "10.96.0.1"];
/// This sandbox's token.
const TOKEN: [u8; 32] = [7; 32];
/// The user of a pod.
const USER: u32 = 1000;
/// How long anything may take here.
const LIMIT: Duration = Duration::from_secs(60);

/// A copy of this program that everybody may execute.
pub(crate) struct Copy(tempfile::TempDir);

impl Copy {
    pub(crate) fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let copy = Self(dir);
        fs::copy("/proc/self/exe", copy.path()).unwrap();
        fs::set_permissions(copy.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        copy
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("pinfold-pod")
    }
}

/// The stage of one row, in namespaces of its own.
pub(crate) struct Stage {
    pub(crate) task: Value,
    authority: Authority,
    /// Variables of the pod.
    pub(crate) variables: Vec<(&'static str, String)>,
    guards: Vec<&'static str>,
    place: Place,
}

/// Where process 1 runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a namespace of its own, as a user of its own.
    Apart,
    /// Where this is.
    Here,
}

/// Who signs the proxy's certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = base64::prelude::BASE64_STANDARD.encode(params.self_signed(&key).unwrap().der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n");
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn server(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["pinfold-proxy".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"pinfold/1".to_vec()];
        Arc::new(config)
    }
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn write(path: &str, text: impl AsRef<[u8]>) {
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    own(path);
}

/// As the pod's user has it, where there is another.
fn own(path: &str) {
    if is_root_of_all() {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
}

/// Whether this is the machine's root, or a user's in a namespace.
pub(crate) fn is_root_of_all() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

impl Stage {
    /// Sets it: nothing listens yet.
    pub(crate) fn set() -> Self {
        succeed(Command::new("ip").args(["link", "set", "lo", "up"]));
        for address in ADDRESSES {
            succeed(Command::new("ip").args(["address", "add", &format!("{address}/32"), "dev", "lo"]));
        }
        succeed(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"]));
        write("/run/resolv.conf", "nameserver 9.9.9.53\n");
        succeed(Command::new("mount").args(["--bind", "/run/resolv.conf", "/etc/resolv.conf"]));
        Self::furnished(PROXY, Place::Apart)
    }

    /// One where no address and no mount can be had, with a proxy.
    pub(crate) fn on_loopback() -> Self {
        let at = "127.0.0.1:8443";
        let stage = Self::furnished(at, Place::Here);
        proxy(at, &stage.authority, TOKEN);
        stage
    }

    fn furnished(at: &str, place: Place) -> Self {
        for directory in ["/run/pinfold/run", "/run/work", "/run/other", "/run/conf"] {
            fs::create_dir_all(directory).unwrap();
            own(directory);
        }
        let authority = Authority::new();
        write("/run/conf/pod/ca.pem", &authority.pem);
        restore_token();
        let task = json!({
            "version": 1,
            "proxy": { "addresses": [at], "name": "pinfold-proxy",
                "ca": "/run/conf/pod/ca.pem", "token": "/run/pinfold/token/token" },
            "listens": [ {"route": 0, "at": {"port": 3128}} ],
            "probes": { "connect": ["1.1.1.1:443", "8.8.8.8:53"], "patience_seconds": 0 },
            "workspace": "/run/work", "writable": ["/run/work", "/run/pinfold/run"],
            "program": ["true"], "terminal": false, "tasks": null,
        });
        Self { task, authority, variables: Vec::new(), guards: Vec::new(), place }
    }

    /// The same with a proxy that knows the token.
    pub(crate) fn with_proxy() -> Self {
        let stage = Self::set();
        stage.own_proxy(TOKEN);
        stage
    }

    /// A proxy that knows this token alone, until the row is over.
    pub(crate) fn own_proxy(&self, token: [u8; 32]) {
        proxy(PROXY, &self.authority, token);
    }

    /// One whose certificate somebody else has signed, in its place.
    pub(crate) fn strange_proxy(&mut self) {
        let at = "10.9.9.9:8444";
        self.task["proxy"]["addresses"] = json!([at]);
        proxy(at, &Authority::new(), TOKEN);
    }

    /// The program, which is a probe of this one.
    pub(crate) fn program(&mut self, words: &[&str]) {
        self.task["program"] =
            [&["/proc/self/exe", "probe"], words].concat().iter().map(|word| Value::from(*word)).collect();
        // `/proc/self/exe` would be resolved in the process that executes it, which is this same file.
        self.task["program"][0] = Value::from(fs::read_link("/proc/self/exe").unwrap().to_str().unwrap());
    }

    pub(crate) fn without(&mut self, guard: &'static str) {
        self.guards.push(guard);
    }

    /// With every guard again.
    pub(crate) fn with_all(&mut self) {
        self.guards.clear();
    }

    /// Process 1 of a namespace of processes, as a user without any power.
    pub(crate) fn command(&self) -> Command {
        write("/run/conf/pod/pod.json", serde_json::to_vec(&self.task).unwrap());
        self.command_of("/run/conf/pod/pod.json")
    }

    pub(crate) fn command_of(&self, config: &str) -> Command {
        let own = fs::read_link("/proc/self/exe").unwrap();
        let mut command =
            Command::new(if self.place == Place::Apart { "unshare".as_ref() } else { own.as_path() });
        if self.place == Place::Here {
            std::os::unix::process::CommandExt::uid(&mut command, USER);
            std::os::unix::process::CommandExt::gid(&mut command, USER);
            return self.played(command, config);
        }
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        if is_root_of_all() {
            command.args(["setpriv", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]);
            command.args([format!("--reuid={USER}"), format!("--regid={USER}")]);
        } else {
            command.args(["--user".to_owned(), format!("--map-user={USER}"), format!("--map-group={USER}")]);
        }
        command.arg(own);
        self.played(command, config)
    }

    fn played(&self, mut command: Command, config: &str) -> Command {
        command.args(["run", config]).args(&self.guards);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Said {
        Said::of(&self.command().spawn().unwrap().wait_with_output().unwrap())
    }

    /// Starts it, for whoever does something meanwhile.
    pub(crate) fn start(&self) -> Started {
        Started(self.command().spawn().unwrap())
    }
}

/// The token as it should be.
pub(crate) fn restore_token() {
    write("/run/pinfold/token/token", Token::of(TOKEN).reveal());
}

/// Answers at an address as the proxy does.
fn proxy(at: &str, authority: &Authority, token: [u8; 32]) {
    let config = authority.server();
    let listener = TcpListener::bind(at).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || answer(stream, config, token));
        }
    });
}

/// The proxy's end of one connection: the first bytes as the wire has them, then an answer.
fn answer(stream: TcpStream, config: Arc<ServerConfig>, token: [u8; 32]) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let mut preamble = [0; 35];
    stream.read_exact(&mut preamble).ok()?;
    let body = if preamble[0] == 3 && matches!(preamble[1], 1 | 2) && preamble[3..] == token {
        "pinfold: that host is not on the allow-list\n"
    } else {
        "pinfold: this sandbox is not known to the proxy\n"
    };
    let mut request = [0; 4096];
    if preamble[3..] == token {
        let _ = stream.read(&mut request).ok()?;
    }
    let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

/// What process 1 said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), output: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// Whether it ended so, having said that.
    pub(crate) fn ended(&self, code: i32, errors: &[&str]) -> Result<(), String> {
        if self.code == Some(code) && errors.iter().all(|text| self.errors.contains(text)) {
            return Ok(());
        }
        Err(format!("ended with {:?}, not {code}, and said {:?}; {:?}", self.code, self.errors, self.output))
    }
}

/// Process 1 while it runs.
pub(crate) struct Started(Child);

impl Started {
    /// Its id here: the one child of unshare(1).
    pub(crate) fn pid(&self) -> i32 {
        let id = self.0.id();
        until("process 1 is there", || {
            let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
            let child = text.split_whitespace().next()?.parse().ok()?;
            // It has become this program, behind setpriv(1) or not.
            let exe = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
            exe.starts_with("pinfold").then_some(child)
        })
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn end(self) -> Said {
        Said::of(&self.0.wait_with_output().unwrap())
    }
}

/// Waits for something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Something that answers at an address for as long as it says.
pub(crate) fn open(at: &str, long: Duration) {
    let at: SocketAddr = at.parse().unwrap();
    let listener = TcpListener::bind(at).unwrap();
    let begun = Instant::now();
    thread::spawn(move || {
        // The kernel answers by itself, until this is dropped.
        while begun.elapsed() < long {
            thread::sleep(Duration::from_millis(20));
        }
        drop(listener);
    });
}

/// A way to a node, at whose other end nobody is. 10.7.0.1 is an address of this machine's from then on: whoever listens there is the
/// node.
pub(crate) fn route() {
    let ip = |words: &str| succeed(Command::new("ip").args(words.split(' ')));
    ip("link add pod0 type veth peer name pod1");
    ip("address add 10.7.0.2/24 dev pod0");
    ip("link set pod0 up");
    ip("link set pod1 up");
    ip("route add default via 10.7.0.1");
    ip("address add 10.7.0.1/32 dev lo");
}

/// The same by IPv6, with a public address that is this machine's; whether there is IPv6 at all.
pub(crate) fn route6() -> bool {
    if !Path::new("/proc/net/if_inet6").exists() {
        return false;
    }
    for name in ["all", "default", "lo"] {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "0");
    }
    let ip = |words: &str| succeed(Command::new("ip").args(words.split(' ')));
    ip("link add pod6 type veth peer name pod7");
    ip("link set pod6 up");
    ip("link set pod7 up");
    ip("-6 address add fd00:7::2/64 dev pod6 nodad");
    ip("-6 route add default via fd00:7::1 dev pod6");
    for address in ["fd00:7::1", "2606:4700:4700::1111"] {
        ip(&format!("-6 address add {address}/128 dev lo nodad"));
    }
    true
}

/// A name server that answers whatever it is asked.
pub(crate) fn names(at: &str) {
    let socket = std::net::UdpSocket::bind(at).unwrap();
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            question[2] |= 0x80;
            let _ = socket.send_to(&question[..length], from);
        }
    });
}
