//! What is tried by the program of a pod, behind its walls. Each says what it found wrong.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;

type Found = Result<(), String>;

pub(crate) fn main(name: &str, args: &[String]) -> i32 {
    let word = |index: usize| args.get(index).map(String::as_str).unwrap_or_default();
    let found = match name {
        "exit" => return word(0).parse().unwrap(),
        "kill" => kill(word(0).parse().unwrap()),
        "say" => {
            println!("{}", args.join("|"));
            Ok(())
        }
        "refused" => refused(args),
        "writes" => writes(word(0)),
        "status" => status(word(0), word(1)),
        "hidden" => hidden(),
        "orphans" => orphans(),
        "obeys" => obeys(word(0)),
        "deaf" => deaf(),
        "echo" => echo(),
        "flood" => flood(),
        "asks" => asks(word(0).parse().unwrap()),
        "waits" => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
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

fn kill(signal: i32) -> Found {
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    rustix::process::kill_process(rustix::process::getpid(), signal).map_err(|errno| errno.to_string())
}

/// No file of these can be read, by whatever name; this program's own can.
fn refused(files: &[String]) -> Found {
    fs::File::open(std::env::current_exe().unwrap()).map_err(|error| format!("the control: {error}"))?;
    let by_process_1 = files.iter().map(|file| format!("/proc/1/root{file}"));
    for file in files.iter().cloned().chain(by_process_1) {
        if fs::read(&file).is_ok() {
            return Err(format!("`{file}` can be read"));
        }
    }
    Ok(())
}

/// The workspace can be written to, and what is beside it can not.
fn writes(other: &str) -> Found {
    fs::write("here", "x").map_err(|error| format!("the workspace: {error}"))?;
    match fs::write(format!("{other}/there"), "x") {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        result => Err(format!("`{other}`: {result:?}")),
    }
}

fn status(name: &str, wanted: &str) -> Found {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    match line.map(str::trim) {
        Some(found) if found == wanted => Ok(()),
        found => Err(format!("{name} is {found:?}, not {wanted}")),
    }
}

/// Process 1 has the token in its memory.
fn hidden() -> Found {
    // This program's parent, as 1 where there is a namespace for them.
    let parent = rustix::process::getppid().unwrap().as_raw_nonzero();
    for name in ["environ", "maps", "mem"] {
        if fs::File::open(format!("/proc/{parent}/{name}")).is_ok_and(|mut file| file.read(&mut [0]).is_ok())
        {
            return Err(format!("`/proc/{parent}/{name}` can be read"));
        }
    }
    Ok(())
}

/// Children of children end, and nobody of theirs is there to wait for them.
fn orphans() -> Found {
    for _ in 0..20 {
        let made = Command::new("sh").args(["-c", "sleep 0.1 & sleep 0.1 & exit 0"]).status().unwrap();
        assert!(made.success());
    }
    let zombies = || {
        let stats = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join("stat")).ok()?;
            text.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'))
        });
        stats.filter(|is_zombie| *is_zombie).count()
    };
    let begun = std::time::Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    while zombies() > 0 {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("{} processes wait to be reaped", zombies()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Ends by itself when it is told to.
fn obeys(code: &str) -> Found {
    use std::os::unix::process::CommandExt as _;
    let script = "trap 'exit '$0 TERM; : > ready; while :; do sleep 0.05; done";
    Err(Command::new("sh").args(["-c", script, code]).exec().to_string())
}

/// Does not end when it is told to.
fn deaf() -> Found {
    use std::os::unix::process::CommandExt as _;
    let script = "trap '' TERM; : > ready; while :; do sleep 0.05; done";
    Err(Command::new("sh").args(["-c", script]).exec().to_string())
}

/// A program on a terminal: says what is typed, and how large its screen is.
fn echo() -> Found {
    let size =
        || rustix::termios::tcgetwinsize(rustix::stdio::stdin()).map(|size| (size.ws_row, size.ws_col));
    size().map_err(|errno| format!("no terminal: {errno}"))?;
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        match line.as_str() {
            "size" => println!("size {:?}", size().unwrap()),
            "bye" => std::process::exit(6),
            line => println!("you said {line}"),
        }
    }
    Ok(())
}

/// More than anybody keeps, while nobody is attached; then it waits.
fn flood() -> Found {
    let mut out = std::io::stdout().lock();
    for number in 0..200_000 {
        writeln!(out, "line {number} {}", "x".repeat(60)).unwrap();
    }
    writeln!(out, "done").unwrap();
    drop(out);
    fs::write("flooded", "x").unwrap();
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}

/// What the proxy says to whoever asks at the relay's port.
fn asks(port: u16) -> Found {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    stream.write_all(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).map_err(|error| error.to_string())?;
    if said.contains("not on the allow-list") { Ok(()) } else { Err(said) }
}
