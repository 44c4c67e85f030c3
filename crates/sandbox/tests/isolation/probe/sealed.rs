//! Probes of sealed sandboxes, in the worker's place.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::Found;
use super::all;

const KEY: &str = "/run/pinfold/session.key";

/// Reads the key as a worker does, takes it away, and looks for it everywhere.
pub(super) fn key() -> Found {
    let data = fs::symlink_metadata(KEY).map_err(|error| format!("{KEY}: {error}"))?;
    let bytes = fs::read(KEY).map_err(|error| format!("{KEY}: {error}"))?;
    let file_system = rustix::fs::statfs(KEY).unwrap();
    // SAFETY: asks who this process is.
    let own = unsafe { libc::geteuid() };
    // TMPFS_MAGIC of statfs(2).
    let expected = bytes.len() == 32
        && data.permissions().mode() & 0o7777 == 0o400
        && data.uid() == own
        && file_system.f_type as u64 == 0x0102_1994;
    if !expected {
        return Err(format!("{} bytes, {data:?}", bytes.len()));
    }
    fs::remove_file(KEY).map_err(|error| format!("{KEY}: {error}"))?;
    if Path::new(KEY).exists() {
        return Err("it cannot be taken away".into());
    }
    let hex = crate::sealed::hex(&bytes);
    let holds = |text: &[u8]| {
        text.windows(bytes.len()).any(|window| window == bytes)
            || text.windows(hex.len()).any(|window| window.eq_ignore_ascii_case(hex.as_bytes()))
    };
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["environ", "cmdline"] {
            let path = process.path().join(file);
            if holds(&fs::read(&path).unwrap_or_default()) {
                found.push(path);
            }
        }
    }
    let mut places: Vec<PathBuf> =
        ["/etc", "/home", "/run", "/tmp", "/queue", "/workspace", "/outside", "/dev/shm"]
            .map(PathBuf::from)
            .into();
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => places.push(entry.path()),
                // Whatever is larger is the probe.
                Ok(kind)
                    if kind.is_file()
                        && entry.metadata().is_ok_and(|data| data.len() < 1 << 20)
                        && holds(&fs::read(entry.path()).unwrap_or_default()) =>
                {
                    found.push(entry.path());
                }
                _ => {}
            }
        }
    }
    // What of process 1 can be read.
    if fs::File::open("/proc/1/mem").is_ok() && std::env::var_os(super::OTHER_KERNEL).is_none() {
        found.push("/proc/1/mem".into());
    }
    if found.is_empty() { Ok(()) } else { Err(format!("the key is in {found:?}")) }
}

/// Nothing can be written to what comes in, and nothing of what goes out can be executed.
pub(super) fn queues() -> Found {
    let program = "/queue/out/program";
    fs::copy("/proc/self/exe", program).map_err(|error| format!("{program}: {error}"))?;
    fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "whether it can be started is the question")]
    let started = Command::new(program).args(["probe", "nothing"]).status();
    fs::remove_file(program).unwrap();
    all([
        match fs::write("/queue/in/written", "") {
            Err(error) if error.raw_os_error() == Some(libc::EROFS) => Ok(()),
            other => Err(format!("/queue/in: {other:?}")),
        },
        match started {
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => Ok(()),
            other => Err(format!("/queue/out: {other:?}")),
        },
        match (fs::write("/run/pinfold/own", ""), fs::read_dir("/queue").map(Iterator::count)) {
            (Ok(()), Ok(2)) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    ])
}

/// Loopback alone, and nobody listens on it.
pub(super) fn network() -> Found {
    let listens = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| {
        let table = fs::read_to_string(path).unwrap_or_default();
        // The state of a listener (proc_net(5)).
        let listening = table.lines().skip(1).filter(|line| line.split_whitespace().nth(3) == Some("0A"));
        match listening.count() {
            0 => Ok(()),
            count => Err(format!("{path}: {count} listeners")),
        }
    });
    let connects = match std::net::TcpStream::connect("127.0.0.1:3128") {
        Err(_) => Ok(()),
        Ok(_) => Err("a proxy listens".to_owned()),
    };
    all(listens.into_iter().chain([connects, super::network::interfaces()]))
}

fn ask(path: &str, head: &str) -> Result<String, String> {
    let mut stream = UnixStream::connect(path).map_err(|error| format!("{path}: {error}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(|error| error.to_string())?;
    let text = format!("{head}\r\nContent-Length: 2\r\n\r\n{{}}");
    stream.write_all(text.as_bytes()).map_err(|error| format!("{path}: {error}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| format!("{path}: {error}"))?;
    Ok(answer)
}

/// What each socket answers. `provider` is its address outside.
pub(super) fn model(provider: &str) -> Found {
    const MODEL: &str = "/run/pinfold/model/sample.sock";
    const ALIAS: &str = "/run/ironclaw/modelproxy.sock";
    let at = |path: &str, target: &str, host: &str, wanted: &str| {
        let answer = ask(path, &format!("POST {target} HTTP/1.1\r\nHost: {host}"))?;
        if answer.starts_with(wanted) && (!wanted.ends_with("200") || answer.ends_with("with the key")) {
            Ok(())
        } else {
            Err(format!("{path} {target} {host}: {answer}"))
        }
    };
    let mode = |path: &str| match fs::symlink_metadata(path) {
        Ok(data) if data.permissions().mode() & 0o7777 == 0o600 => Ok(()),
        other => Err(format!("{path}: {other:?}")),
    };
    // Past the relay, by the socket that it uses: the same rules.
    let past = |preamble: [u8; 2], head: &str| {
        let mut stream = UnixStream::connect("/run/pinfold/egress.sock")
            .map_err(|error| format!("egress.sock: {error}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(|error| error.to_string())?;
        let text = format!("{head}\r\n\r\n");
        stream.write_all(&[&preamble, text.as_bytes()].concat()).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
        if answer.starts_with("HTTP/1.1 403") { Ok(()) } else { Err(format!("{head}: {answer}")) }
    };
    all([
        mode(MODEL),
        at(MODEL, "/v1/messages", "x", "HTTP/1.1 200"),
        at(MODEL, "/v1/files", "x", "HTTP/1.1 403"),
        mode(ALIAS),
        at(ALIAS, "/v1/messages", provider, "HTTP/1.1 200"),
        at(ALIAS, "/v1/messages", "other.example", "HTTP/1.1 403"),
        at(ALIAS, "/v1/files", provider, "HTTP/1.1 403"),
        past([1, 0], &format!("CONNECT {provider} HTTP/1.1\r\nHost: {provider}")),
        past([1, 0], &format!("GET http://{provider}/ HTTP/1.1\r\nHost: {provider}")),
    ])
}

/// Nothing of the image can be written to.
pub(super) fn root() -> Found {
    all(["/", "/usr", "/etc", "/bin", "/queue"].map(|place| {
        match fs::write(Path::new(place).join("written"), "") {
            Err(_) => Ok(()),
            Ok(()) => Err(format!("{place} can be written to")),
        }
    }))
}

/// Says that it has begun, and stays.
pub(super) fn steady() -> Found {
    fs::write("/queue/out/began", "").map_err(|error| error.to_string())?;
    std::thread::sleep(Duration::from_secs(600));
    Ok(())
}

/// Ends with `code` in each of its first `times` lives; after them it stays.
pub(super) fn fails(code: &str, times: &str) -> Found {
    let lives = "/queue/out/lives";
    let lived = fs::read(lives).unwrap_or_default().len();
    fs::write(lives, vec![b'x'; lived + 1]).map_err(|error| error.to_string())?;
    if lived < times.parse().unwrap_or(0) {
        let _ = std::io::stderr().write_all(b"the provider is away\nand more\n");
        std::process::exit(code.parse().unwrap_or(1));
    }
    std::thread::sleep(Duration::from_secs(600));
    Ok(())
}
