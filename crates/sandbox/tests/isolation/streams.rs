//! What the caller has as its standard streams, and what of it reaches a sandbox.

use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio as ProcessStdio;
use std::time::Duration;

use fs_err as fs;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Spec;
use pinfold_sandbox::weaken::Weaken;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::host;
use crate::host::Host;
use crate::sessions;

fn open(path: &Path, flags: OFlags) -> Option<OwnedFd> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Directories, paths, disks and devices on 0 to 2; with the guard away a directory gives a file of the host.
pub(crate) fn refused(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sessions::sandboxes(host);
    let mut spec = sessions::spec(host, "judged", "directory");
    spec.args.push("secret/key".into());
    let run = |spec: &Spec, number: usize, fd: OwnedFd| {
        let mut command = host::foreground_command(&sandboxes, spec, runtime, "own");
        command.stdin(ProcessStdio::null()).stdout(ProcessStdio::piped()).stderr(ProcessStdio::null());
        match number {
            0 => command.stdin(fd),
            1 => command.stdout(fd),
            _ => command.stderr(fd),
        };
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let disk = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists());
    let cases = [
        (open(&host.scratch, OFlags::RDONLY), "a directory"),
        (open(&host.scratch, OFlags::PATH), "a path without an open file"),
        (open(&host.scratch.join("secret/key"), OFlags::PATH), "a path without an open file"),
        // These two can be opened by root only.
        (disk.and_then(|path| open(path, OFlags::RDONLY)), "a block device"),
        (open(Path::new("/dev/kmsg"), OFlags::RDONLY | OFlags::NONBLOCK), "a device"),
    ];
    for (fd, what) in cases {
        let Some(fd) = fd else { continue };
        for (number, name) in ["standard input", "standard output", "standard error"].into_iter().enumerate()
        {
            let (code, text) = run(&spec, number, fd.try_clone().unwrap());
            let said = number == 1 || text.contains(&format!("{name} (descriptor {number}) is {what}"));
            if code != Some(125) || !said {
                return Err(format!("{what} as {name} ended with {code:?}: {text}"));
            }
        }
    }
    // What every sandbox has anyway is no refusal.
    for device in ["/dev/null", "/dev/zero"] {
        let (code, text) = run(&spec, 0, open(Path::new(device), OFlags::RDONLY).unwrap());
        if code != Some(0) {
            return Err(format!("{device} ended with {code:?}: {text}"));
        }
    }
    if runtime != Runtime::Builtin {
        // What it was given it copies or holds itself.
        return Ok(());
    }
    // Landlock is the other wall there.
    spec.weaken.extend([Weaken::CallersStreams, Weaken::Landlock]);
    match run(&spec, 0, open(&host.scratch, OFlags::RDONLY).unwrap()) {
        (Some(0), _) => Err("the control gives no file either".into()),
        _ => Ok(()),
    }
}

/// A file that is appended to and one that is read from stay what they are to everybody else, and so does a pipe.
pub(crate) fn own(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sessions::sandboxes(host);
    let mut spec = sessions::spec(host, "streams", "streams");
    let (log, list) = (host.scratch.join("log"), host.scratch.join("list"));
    let tried = |spec: &Spec, piped: bool| {
        let mut spec = spec.clone();
        if piped {
            spec.args.push("write".into());
        }
        let spec = &spec;
        fs::write(&log, "before\n").unwrap();
        fs::write(&list, "one\ntwo\n").unwrap();
        let mut input = fs::File::open(&list).unwrap();
        let output = fs::OpenOptions::new().append(true).open(&log).unwrap();
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(b"one\ntwo\n").unwrap();
        let mut command = host::foreground_command(&sandboxes, spec, runtime, "own");
        if piped {
            command.stdin(read.try_clone().unwrap());
        } else {
            command.stdin(ProcessStdio::from(input.file().try_clone().unwrap()));
        }
        let errors = output.file().try_clone().unwrap();
        let status = command.stdout(output.into_parts().0).stderr(errors).status().unwrap();
        drop(write);
        let mut left = String::new();
        std::io::BufReader::new(read).read_to_string(&mut left).unwrap();
        (status.code(), fs::read_to_string(&log).unwrap(), input.stream_position().unwrap(), left)
    };
    let said = "before\ntook \"one\\n\" 0\n";
    // The second line of the file is for whoever reads it next, and nothing was written into the pipe.
    // runc copies streams itself, and takes what it can get.
    let position = if runtime == Runtime::Oci(OciRuntime::Runc) { 8 } else { 4 };
    let expected = [(false, position, "one\ntwo\n"), (true, 0, "")];
    for (piped, position, left) in expected {
        let found = tried(&spec, piped);
        if found != (Some(0), said.into(), position, left.into()) {
            return Err(format!("piped {piped}: {found:?}"));
        }
    }
    if runtime != Runtime::Builtin {
        // What it was given it copies or holds itself.
        return Ok(());
    }
    spec.weaken.insert(Weaken::CallersStreams);
    match (tried(&spec, false), tried(&spec, true)) {
        ((Some(1), ..), (_, _, _, left)) if left.contains("evil") => Ok(()),
        other => Err(format!("the control: {other:?}")),
    }
}

/// Eight mebibytes to a reader who takes their time arrive whole; one who goes away ends the program, and one who never
/// reads does not keep the supervisor from ending. What cannot be written is told.
pub(crate) fn readers(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sessions::sandboxes(host);
    let spec = sessions::spec(host, "readers", "flood");
    let start = || {
        let mut command = host::foreground_command(&sandboxes, &spec, runtime, "own");
        command.stdin(ProcessStdio::null()).stdout(ProcessStdio::piped()).spawn().unwrap()
    };
    let mut child = start();
    let mut output = child.stdout.take().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes).unwrap();
    let code = child.wait().unwrap().code();
    if (code, bytes.len()) != (Some(0), 8 << 20) {
        return Err(format!("{code:?} after {} bytes", bytes.len()));
    }
    let mut child = start();
    child.stdout.take().unwrap().read_exact(&mut [0; 4096]).unwrap();
    match child.wait().unwrap().code() {
        Some(1 | 101 | 141) => {}
        other => return Err(format!("without a reader it ended with {other:?}")),
    }
    // A disk that is full is no reader who left: the program ends, and it is told.
    let mut command = host::foreground_command(&sandboxes, &spec, runtime, "own");
    command.stdin(ProcessStdio::null()).stderr(ProcessStdio::piped());
    let output = command.stdout(open(Path::new("/dev/full"), OFlags::WRONLY).unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(125)
        || !text.contains("standard output (descriptor 1) cannot be written to")
    {
        return Err(format!("with a full disk it ended with {:?}: {text}", output.status));
    }
    let mut child = start();
    let kept = child.stdout.take();
    std::thread::sleep(Duration::from_millis(800));
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut ended = None;
    crate::outside::soon("the supervisor waits for a reader who never reads", || {
        ended = child.try_wait().ok().flatten();
        ended.is_some()
    })?;
    drop(kept);
    Ok(())
}
