//! What a program in a sandbox says, where it cannot be written: an image of busybox, and the kernel's own full disk
//! (`/dev/full`).
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]

use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use pinfold_testkit::machine::Machine;

/// A workspace without a repository is remarked on; that is not what is looked at here.
const RUN: &[&str] = &["run", "--unprotect", ".git"];

fn full() -> Stdio {
    fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap().into_parts().0.into()
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_the_program_hears_of_it() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let run = |script: &str, to: Stdio| {
        let output = machine.script(RUN, script).stdout(to).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let says = "error: standard output (descriptor 1) cannot be written to, and what the program said there is lost; it ended \
                with code 0\n  caused by: No space left on device";
    let (code, text) = run("echo hi", full());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with(says) && text.contains("\nhint: make room where the output goes"), "{text}");
    // Who goes on writing meets a closed pipe, and so ends.
    let (code, text) = run("exec busybox yes", full());
    assert!(code == Some(1) && text.contains("it ended with signal 13"), "{text}");
    // What it did before is told as ever.
    let (code, text) = run("echo x > .env; echo hi", full());
    assert!(
        code == Some(1) && text.contains("changed while the sandbox ran") && text.contains("/.env\n"),
        "{text}"
    );
    // Control: a reader who has seen enough is no failure, and neither is one who sees all.
    let (reader, pipe) = std::io::pipe().unwrap();
    drop(reader);
    let (code, text) = run("trap '' PIPE; echo hi; exit 7", pipe.into());
    assert_eq!((code, text.contains("error:")), (Some(7), false), "{text}");
    let file = fs_err::File::create(machine.path("me/out")).unwrap();
    assert_eq!(run("echo hi; exit 7", file.into_parts().0.into()), (Some(7), String::new()));
    assert_eq!(fs_err::read_to_string(machine.path("me/out")).unwrap(), "hi\n");
    // Where standard error is full there is only the code to say it.
    let both = machine.script(RUN, "echo hi >&2").stderr(full()).stdout(Stdio::piped()).output().unwrap();
    assert_eq!(both.status.code(), Some(1));
}

/// Its output goes to its log; what the caller has as standard output is not asked.
#[test]
fn a_session_keeps_what_it_says_whatever_its_caller_can_write_to() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let opened = machine
        .script(&["open", "-d", "--name", "mine", "--unprotect", ".git"], "echo hi; exec busybox sleep 1000")
        .stdout(full())
        .output()
        .unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let begun = Instant::now();
    loop {
        let logs = machine.pinfold(&["logs", "mine"]).output().unwrap();
        if String::from_utf8_lossy(&logs.stdout).contains("hi\n") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{logs:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Who attaches is told that nothing can be shown, and who has seen enough is let go.
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    for (to, code, says) in [(full(), 1, "cannot write to standard output"), (gone.into(), 0, "detached")] {
        // Somebody who could still type: the end of input detaches too.
        let (typed, _typing) = std::io::pipe().unwrap();
        let attached = machine.pinfold(&["attach", "mine"]).stdin(typed).stdout(to).output().unwrap();
        let text = String::from_utf8(attached.stderr).unwrap();
        assert!(attached.status.code() == Some(code) && text.contains(says), "{text}");
    }
    assert!(machine.pinfold(&["stop", "mine"]).output().unwrap().status.success());
    let logs = machine.pinfold(&["logs", "mine"]).stdout(full()).output().unwrap();
    let text = String::from_utf8(logs.stderr).unwrap();
    assert!(logs.status.code() == Some(1) && text.contains("the result cannot be written"), "{text}");
}

/// Whoever reads it later is no terminal, and has none that a session may write to.
#[test]
fn the_log_of_a_session_is_text_and_its_bytes_are_had_when_they_are_asked_for() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let script = "printf '\\033]52;c;YQ==\\007\\033[6n\\033[31mred\\033[0m 10%%\\r99%%\\n\\342\\200\\256end\\n'; exec busybox sleep 1000";
    let opened =
        machine.script(&["open", "-d", "--name", "mine", "--unprotect", ".git"], script).output().unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let logs = |flags: &[&str]| {
        let output = machine.pinfold(&[&["logs", "mine"], flags].concat()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let begun = Instant::now();
    while !logs(&[]).contains("end") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", logs(&["--raw"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(logs(&[]), "99% 10%\n\\u{202e}end\n");
    assert!(logs(&["--raw"]).contains("\u{1b}]52;c;YQ==\u{7}\u{1b}[6n"), "every byte");
    assert!(machine.pinfold(&["rm", "--force", "mine"]).output().unwrap().status.success());
}
