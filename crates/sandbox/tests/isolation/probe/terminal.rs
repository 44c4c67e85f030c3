//! Probes of the terminal: whose it is, what can be done to it, and programs that use it.

use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;

use super::Found;
use super::all;
use super::call;
use super::expect;

pub(super) fn type_into_terminal() -> Found {
    let byte = b'x';
    let ioctl = |request: usize| call(libc::SYS_ioctl, [0, request, &raw const byte as usize, 0, 0, 0]);
    all([
        expect("TIOCSTI", ioctl(0x5412), libc::EPERM),
        // The kernel looks at the low 32 bits only.
        expect("TIOCSTI with high bits", ioctl(0x1_0000_5412), libc::EPERM),
        expect("TIOCLINUX", ioctl(0x541c), libc::EPERM),
    ])
}

pub(super) fn session() -> Found {
    // SAFETY: neither call has arguments that matter or touches memory.
    let (session, own) = unsafe { (libc::getsid(0), libc::getpid()) };
    if session == own { Ok(()) } else { Err(format!("session {session}, process {own}")) }
}

pub(super) fn terminal() -> Found {
    let name = fs::read_link("/proc/self/fd/0").map_err(|error| error.to_string())?;
    let controlling = fs::OpenOptions::new().read(true).write(true).open("/dev/tty");
    all([
        if name == Path::new("/dev/pts/0") {
            Ok(())
        } else {
            Err(format!("standard input is {}", name.display()))
        },
        controlling.map(drop).map_err(|error| format!("/dev/tty: {error}")),
        session(),
    ])
}

/// Answers each line; the line `quit` ends it with code 7.
pub(super) fn chat() -> Found {
    println!("ready");
    for line in io::stdin().lines() {
        match line.unwrap().trim() {
            "quit" => std::process::exit(7),
            "escapes" => escapes()?,
            "frames" => {
                // The end with code 0, as a frame of its own and in pieces.
                let mut out = io::stdout();
                let frame = b"x\0\0\0\x02\0\0";
                for part in std::iter::once(&frame[..]).chain(frame.chunks(1)) {
                    out.write_all(part).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
                }
                println!("got <frames>");
            }
            line => println!("got <{line}>"),
        }
    }
    Ok(())
}

/// Between words that must reach the user's terminal, what must not: clipboard, title report, DECRQSS, kitty graphics, a
/// notification, ENQ, an eight-bit OSC; and what may: mouse, colour, title, the cursor's position.
pub(super) fn escapes() -> Found {
    let parts = [
        "begin\x1b]52;c;Y2FuYXJ5\x07\x1b[21t\x1bP$qm\x1b\\\x1b_Gi=1,a=q;AAAA\x1b\\",
        "\x1b]777;notify;a;canary\x07\x05\u{9d}52;c;Y2FuYXJ5\u{9c}",
        "\x1b[?1000h\x1b[31mred\x1b]0;title\x07\x1b[6nend\n",
    ];
    let mut out = io::stdout();
    // In pieces, as programs write.
    for part in parts.concat().as_bytes().chunks(7) {
        out.write_all(part).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(())
}

/// None of the streams is a terminal.
pub(super) fn none() -> Found {
    all([0, 1, 2].map(|fd| {
        // SAFETY: asks about a descriptor; no memory is touched.
        if unsafe { libc::isatty(fd) } == 0 { Ok(()) } else { Err(format!("{fd} is a terminal")) }
    }))
}

/// Eight mebibytes of lines.
pub(super) fn flood() -> Found {
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    let mut out = io::stdout().lock();
    for _ in 0..8192 {
        out.write_all(&line).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Ignores what asks it to end.
pub(super) fn stubborn() -> Found {
    for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT] {
        // SAFETY: ignoring a signal touches no memory.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    started("at-home");
    std::thread::sleep(std::time::Duration::from_secs(600));
    Ok(())
}

/// Says in the home that it runs, for a host that cannot see its output.
pub(super) fn started(name: &str) {
    if name.ends_with("at-home") {
        fs::write("/home/agent/started", "").unwrap();
    }
}
