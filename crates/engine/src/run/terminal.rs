//! What programs inside are told of the caller's terminal, and the terminal multiplexer that a session runs in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use fs_err as fs;
use pinfold_sandbox::Spec;

use crate::context::Environment;

/// Where terminfo(5) keeps its entries.
const TERMINFO: [&str; 3] = ["usr/share/terminfo", "lib/terminfo", "etc/terminfo"];

/// What programs inside may believe of the caller's terminal: its kind, where the image knows it.
pub(super) fn describe(environment: &Environment, env: &mut BTreeMap<String, String>, root: &Path) {
    let term = environment.text("TERM").unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte);
    let known = term.as_bytes().first().is_some_and(|&first| {
        let entry = format!("{}/{term}", char::from(first));
        let there = |folder: &str| fs::symlink_metadata(root.join(folder).join(&entry)).is_ok();
        term.bytes().all(plain) && TERMINFO.iter().any(|folder| there(folder))
    });
    env.insert("TERM".into(), if known { term.to_owned() } else { "xterm-256color".into() });
    if let Some(value) = environment.text("COLORTERM") {
        env.insert("COLORTERM".into(), value.to_owned());
    }
}

/// Puts the program into tmux, where the image has it: several windows, and a scroll-back that outlives the terminal. The
/// server is inside, and so is all that `run-shell` does.
pub(super) fn in_tmux(spec: &mut Spec) {
    if fs::symlink_metadata(spec.rootfs.join("usr/bin/tmux")).is_err() {
        return;
    }
    let session = spec.name.replace(['.', ':'], "-");
    // An argument that ends in `;` ends a command of tmux's (tmux(1), "Command parsing and execution").
    let program =
        std::mem::take(&mut spec.args).into_iter().map(|arg| match arg.as_bytes().strip_suffix(b";") {
            Some(start) => OsString::from_vec([start, b"\\;"].concat()),
            None => arg,
        });
    let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
    spec.args = words("tmux new-session -A -s");
    spec.args.push(session.into());
    spec.args.extend(program);
    // Detaching tmux's own client would end the session: that key says what to press instead.
    for key in ["d", "D"] {
        spec.args.extend(words(&format!("; bind-key {key} display-message")));
        spec.args.push("Ctrl-\\ detaches".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_promised_where_the_image_knows_it() {
        let dir = tempfile::tempdir().unwrap();
        let entries = dir.path().join("usr/share/terminfo/f");
        fs::create_dir_all(&entries).unwrap();
        fs::write(entries.join("foot"), "").unwrap();
        fs::write(dir.path().join("usr/share/terminfo/secret"), "").unwrap();
        for (term, promised) in [
            (Some("foot"), "foot"),
            (Some("kitty"), "xterm-256color"),
            (Some("f/../../secret"), "xterm-256color"),
            (Some(""), "xterm-256color"),
            (None, "xterm-256color"),
        ] {
            let environment = term.map(|term| ("TERM", term)).into_iter().collect();
            let mut env = BTreeMap::new();
            describe(&environment, &mut env, dir.path());
            assert_eq!(env, BTreeMap::from([("TERM".into(), promised.into())]), "{term:?}");
        }
        let mut env = BTreeMap::new();
        describe(&Environment::from([("COLORTERM", "truecolor")]), &mut env, dir.path());
        assert_eq!(env["COLORTERM"], "truecolor");
    }

    #[test]
    fn a_session_runs_in_tmux_where_the_image_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let program = ["sh", "-c", "a; b;", ";"].map(OsString::from).to_vec();
        let mut spec = Spec::new("claude-code@v1.2", dir.path(), program.clone());
        in_tmux(&mut spec);
        assert_eq!(spec.args, program, "the image has no tmux");

        fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        fs::write(dir.path().join("usr/bin/tmux"), "").unwrap();
        in_tmux(&mut spec);
        let (start, keys) = spec.args.split_at(9);
        assert_eq!(
            start,
            ["tmux", "new-session", "-A", "-s", "claude-code@v1-2", "sh", "-c", "a; b\\;", "\\;"]
        );
        let told = "Ctrl-\\ detaches";
        assert_eq!(keys[..5], [";", "bind-key", "d", "display-message", told]);
        assert_eq!(keys[5..], [";", "bind-key", "D", "display-message", told]);
    }
}
