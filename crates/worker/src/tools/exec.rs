//! Programs of the sandbox, where the worker was started with `--enable exec`: no shell, no input, no environment but `PATH`.
//!
//! **Guarantees**: ends after its time, with all of its process group; keeps at most the first [`OUTPUT`] bytes.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;

use super::Done;
use super::number;
use crate::pulse::Pulse;
use crate::pulse::Woken;

/// Bytes of output that are kept.
const OUTPUT: usize = 48 << 10;
/// Seconds where nothing is said, and at most.
const SECONDS: (u64, u64) = (60, 600);
/// Words of a command, and bytes of all of them.
const WORDS: (usize, usize) = (256, 64 << 10);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// By itself.
    Itself,
    /// Its time was over.
    Time,
    /// The worker is to stop.
    Stopped,
}

pub(super) fn call(arguments: &Value, folder: &str, pulse: &mut Pulse) -> Done {
    match run(arguments, folder, pulse) {
        Ok(done) => done,
        Err(why) => Done::Failed(why),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the worker starts a program, which was enabled for it"
)]
fn run(arguments: &Value, folder: &str, pulse: &mut Pulse) -> Result<Done, String> {
    let words: Option<Vec<&str>> =
        arguments["command"].as_array().map(|words| words.iter().filter_map(Value::as_str).collect());
    let words = words.filter(|words| Some(words.len()) == arguments["command"].as_array().map(Vec::len));
    let words = words.ok_or("`command` is no list of texts")?;
    let (program, rest) = words.split_first().ok_or("`command` is empty")?;
    if words.len() > WORDS.0 || words.iter().map(|word| word.len()).sum::<usize>() > WORDS.1 {
        return Err("`command` is too long".into());
    }
    let seconds = number(arguments, "timeout_seconds")?.unwrap_or(SECONDS.0).clamp(1, SECONDS.1);
    let (read, write) = std::io::pipe().map_err(|error| format!("no pipe: {error}"))?;
    let second = write.try_clone().map_err(|error| format!("no pipe: {error}"))?;
    let mut command = Command::new(program);
    command.args(rest).current_dir(folder).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(write).stderr(second).process_group(0);
    let mut child =
        command.spawn().map_err(|error| format!("cannot start `{}`: {error}", program.escape_debug()))?;
    // The writing ends stay with the program alone.
    drop(command);
    let read = OwnedFd::from(read);
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut output, mut more) = (Vec::new(), 0_u64);
    let ended = loop {
        match pulse.wait(read.as_fd(), PollFlags::IN, until) {
            Woken::Deadline => break Ended::Time,
            Woken::Stop => break Ended::Stopped,
            Woken::Ready => {}
        }
        let mut bytes = [0; 4096];
        match rustix::io::read(&read, &mut bytes) {
            Ok(0) => break Ended::Itself,
            Ok(count) => {
                let kept = count.min(OUTPUT - output.len());
                output.extend_from_slice(&bytes[..kept]);
                more += (count - kept) as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("its output cannot be read: {error}")),
        }
    };
    // Whoever it left behind in its group, too.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // One that has closed its output may not have ended.
        while ended == Ended::Itself && matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            pulse.beat();
        }
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    // It may have left its group.
    let _ = child.kill();
    let status = child.wait().map_err(|error| format!("it cannot be waited for: {error}"))?;
    if ended == Ended::Stopped {
        return Ok(Done::Stopped);
    }
    let mut text = String::from_utf8_lossy(&output).into_owned();
    if more > 0 {
        text.push_str(&format!("\n[{more} more bytes of output]"));
    }
    let how = match (ended, status.code(), status.signal()) {
        (Ended::Time, ..) => format!("killed after {seconds} seconds"),
        (_, Some(code), _) => format!("exit status {code}"),
        (_, _, signal) => format!("killed by signal {}", signal.unwrap_or(0)),
    };
    let text = format!("[{how}]\n{text}");
    Ok(if ended == Ended::Itself && status.success() { Done::Text(text) } else { Done::Failed(text) })
}
