//! Two sandboxes on one workspace: one leaves traces everywhere it can, the other looks for them.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::Found;
use super::all;
use super::call;

const NAME: &str = "pinfold-neighbour";
const PORT: u16 = 4711;
const SHM_KEY: usize = 0x5150_1234;

/// Is there until a line comes.
pub(super) fn presence() -> Found {
    let failed = |error: io::Error| error.to_string();
    let address = SocketAddr::from_abstract_name(NAME).map_err(failed)?;
    let _hidden = UnixListener::bind_addr(&address).map_err(failed)?;
    let _port = TcpListener::bind(("127.0.0.1", PORT)).map_err(failed)?;
    call(libc::SYS_shmget, [SHM_KEY, 4096, (libc::IPC_CREAT | 0o666) as usize, 0, 0, 0])
        .map_err(|errno| format!("shmget: errno {errno}"))?;
    for place in ["/tmp/trace", "/home/agent/trace", "/dev/shm/trace", "/workspace/trace"] {
        fs::write(place, "here").map_err(failed)?;
    }
    if look().is_ok() {
        return Err("the other probe would see nothing even here".into());
    }
    println!("ready");
    let _ = io::stdin().read_line(&mut String::new());
    Ok(())
}

/// The workspace is the only thing both have.
pub(super) fn look() -> Found {
    let address = SocketAddr::from_abstract_name(NAME).map_err(|error| error.to_string())?;
    let others = fs::read_dir("/proc").into_iter().flatten().flatten().filter(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        command.windows(8).any(|window| window == b"presence")
    });
    let absent = ["/tmp/trace", "/home/agent/trace", "/dev/shm/trace"]
        .map(|path| if Path::new(path).exists() { Err(format!("{path} is there")) } else { Ok(()) });
    let segment = call(libc::SYS_shmget, [SHM_KEY, 0, 0, 0, 0, 0]);
    all(absent.into_iter().chain([
        fs::read("/workspace/trace").map(drop).map_err(|error| format!("/workspace/trace: {error}")),
        UnixStream::connect_addr(&address).map_or(Ok(()), |_| Err("the abstract socket answers".into())),
        TcpStream::connect(("127.0.0.1", PORT)).map_or(Ok(()), |_| Err("the port answers".into())),
        segment.map_or(Ok(()), |_| Err("the segment is there".into())),
        match others.count() {
            0 => Ok(()),
            count => Err(format!("{count} of its processes are visible")),
        },
    ]))
}
