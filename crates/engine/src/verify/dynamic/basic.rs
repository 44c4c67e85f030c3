//! What every image must do, agents or not. Each check runs one program and has a function that judges what it said.

use std::path::PathBuf;
use std::time::Duration;

use pinfold_sandbox::Ended;

use super::Tally;
use super::agents::Agents;
use super::inside::Inside;
use super::inside::Said;
use super::inside::Why;
use super::inside::first_line;
use crate::run::alone::Alone;
use crate::verify::checks;
use crate::verify::checks::Check;
use crate::verify::report::Finding;
use crate::verify::report::Outcome;
use crate::verify::report::Verdict;

/// How long the image's own command is looked at.
const START: Duration = Duration::from_secs(5);
/// Set-id files that are named.
const NAMED: usize = 50;

/// What a judge says: the evidence, or the problem.
type Judged = Result<String, String>;

fn outcome(check: Check, at: &str, said: Result<Said, Why>, judge: impl FnOnce(&Said) -> Judged) -> Outcome {
    match said {
        Err(why @ Why::Missing(_)) => Outcome::not_run(check, why.text()),
        Err(why) => {
            Outcome::looked(check, "it did not run", [Finding { at: at.into(), problem: why.text() }])
        }
        Ok(said) => match judge(&said) {
            Ok(evidence) => Outcome::looked(check, evidence, []),
            Err(problem) => Outcome::looked(check, said.line(), [Finding { at: at.into(), problem }]),
        },
    }
}

/// The image's own command starts. The error is a sandbox that does not.
pub(super) fn start(inside: &Inside, agents: &Agents) -> Result<Outcome, String> {
    let check = checks::RUN_START;
    let own: Vec<&str> = inside.alone.command.iter().map(String::as_str).collect();
    let agent = agents.first_version();
    let (args, whose) = match (own.is_empty(), &agent) {
        (false, _) => (own, "its command"),
        (true, Some(args)) => (args.iter().map(String::as_str).collect(), "it names no command; its agent"),
        (true, None) => (vec!["sh", "-c", ":"], "it names no command; its shell"),
    };
    let shown = args.join(" ");
    let problem = |problem: String| {
        Outcome::looked(check, "it did not start", [Finding { at: shown.clone(), problem }])
    };
    Ok(match inside.run_as(&inside.alone.spec, &args, START) {
        Ok(said) if said.ended == Ended::Late => {
            Outcome::looked(check, format!("{whose} `{shown}` runs"), [])
        }
        Ok(said) => Outcome::looked(check, format!("{whose} `{shown}` started and {}", said.how()), []),
        Err(Why::Sandbox(problem)) => return Err(problem),
        // A shell that nobody names need not be there: that the program could be looked for is a start.
        Err(Why::Missing(_)) if inside.alone.command.is_empty() && agent.is_none() => {
            Outcome::looked(check, "the sandbox starts; the image names no command and has no shell", [])
        }
        Err(why) => problem(why.text()),
    })
}

/// Who an image says that its programs run as, as `id` prints it.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    uid: String,
    gid: String,
}

/// `1000(name)`, or the number alone where the files of `/etc` have no name for it. Lines are `NAME:PASSWORD:ID:…`.
fn named(id: u32, lines: &str) -> String {
    let text = id.to_string();
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == text).then(|| name.to_owned())
    };
    match lines.lines().find_map(of) {
        Some(name) => format!("{text}({name})"),
        None => text,
    }
}

impl Account {
    fn of(alone: &Alone) -> Self {
        let file = |name: &str| alone.etc(name).unwrap_or_default();
        Self {
            uid: named(alone.spec.user.uid, &file("passwd")),
            gid: named(alone.spec.user.gid, &file("group")),
        }
    }
}

fn judge_user(said: &Said, account: &Account) -> Judged {
    let expected = format!("uid={} gid={}", account.uid, account.gid);
    let line = said.line();
    let rest = line.strip_prefix(&expected);
    // Groups may follow, and nothing else.
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with(" groups=") => Ok(line),
        _ => Err(format!("`id` printed `{line}`, not `{expected}`")),
    }
}

/// `id` is the user that the image says.
pub(super) fn user(inside: &Inside) -> Outcome {
    let said = inside.first(&[&["id"], &["/bin/busybox", "id"]]);
    let mut outcome =
        outcome(checks::RUN_USER, "id", said, |said| judge_user(said, &Account::of(&inside.alone)));
    let user = &inside.alone.user;
    let name = user.split(':').next().unwrap_or_default();
    if ["", "0", "root"].contains(&name) && outcome.verdict == Verdict::Passed {
        // Sandboxes have no root: what ran is not what the image says.
        let said = if user.is_empty() { "none, which is root".to_owned() } else { format!("`{user}`") };
        let problem = format!("the image's user is {said}; what ran is `{}`", outcome.evidence);
        outcome = Outcome::looked(
            checks::RUN_USER,
            outcome.evidence,
            [Finding { at: "config.User".into(), problem }],
        );
    }
    outcome
}

/// Programs whose work is to be process 1.
const INITS: [&str; 4] = ["tini", "tini-static", "dumb-init", "catatonit"];

/// The part of an entrypoint that is an init: the program, and what stands up to `--`.
fn init_of(entrypoint: &[String]) -> Option<(&str, Vec<&str>)> {
    let program = entrypoint.first()?;
    let name = program.rsplit('/').next()?;
    let end = entrypoint.iter().position(|word| word == "--").map_or(1, |at| at + 1);
    INITS.contains(&name).then(|| (name, entrypoint[..end].iter().map(String::as_str).collect()))
}

fn judge_init(said: &Said, name: &str) -> Judged {
    match said.output.trim() {
        found if found == name => Ok(format!("`{found}` runs the command, as the entrypoint says")),
        _ => Err(format!("the command's parent is `{}`, not `{name}`", said.line())),
    }
}

/// What the entrypoint names first is what a runtime makes process 1, and runs the command. In a sandbox of ours process 1 is its
/// own, and the entrypoint is below it.
pub(super) fn init(inside: &Inside) -> Outcome {
    const PARENT: &str = "read -r name < \"/proc/$PPID/comm\" && echo \"$name\"";
    let check = checks::RUN_INIT;
    let Some((name, words)) = init_of(&inside.alone.entrypoint) else {
        return Outcome::not_run(check, "the entrypoint names no init");
    };
    let with = |shell: &[&str]| {
        let args = [&words[..], shell, &["-c", PARENT]].concat();
        inside.run_as(&inside.alone.spec, &args, super::inside::SHORT)
    };
    // A shell that is missing is the init's to tell: by code 127.
    let no_shell = |said: &Result<Said, Why>| matches!(said, Ok(said) if said.ended == Ended::Exit(pinfold_sandbox::Exit::Code(127)));
    let mut said = with(&["sh"]);
    if no_shell(&said) {
        said = with(&["/bin/busybox", "sh"]);
    }
    if no_shell(&said) {
        return Outcome::not_run(check, "the image has no `sh`");
    }
    match said {
        Err(why) => {
            let found = Finding { at: words[0].into(), problem: why.text() };
            Outcome::looked(check, "the entrypoint does not start", [found])
        }
        said => outcome(check, words[0], said, |said| judge_init(said, name)),
    }
}

fn judge_tini(said: &Said) -> Judged {
    let line = said.line();
    let number = line.strip_prefix("tini version ").unwrap_or_default();
    if number.starts_with(|first: char| first.is_ascii_digit()) && said.succeeded() {
        Ok(line)
    } else {
        Err(format!("`tini --version` printed `{line}` and {}", said.how()))
    }
}

fn judge_tmux(said: &Said) -> Judged {
    let line = said.line();
    if line.starts_with("tmux 3.") && said.succeeded() {
        Ok(line)
    } else {
        Err(format!("`tmux -V` printed `{line}` and {}, not `tmux 3.…`", said.how()))
    }
}

/// tini and tmux, where the image has them.
pub(super) fn tools(inside: &Inside) -> Outcome {
    let mut tally = Tally::default();
    let mut ask = |program: &str, args: &[&str], judge: fn(&Said) -> Judged| match inside.first(&[args]) {
        Err(why @ Why::Missing(_)) => tally.absent(why.text()),
        Err(why) => tally.fails(program, why.text()),
        Ok(said) => match judge(&said) {
            Ok(evidence) => tally.holds(evidence),
            Err(problem) => tally.fails(program, problem),
        },
    };
    ask("tini", &["tini", "--version"], judge_tini);
    ask("tmux", &["tmux", "-V"], judge_tmux);
    tally.outcome(checks::RUN_TOOLS, "the image has none")
}

fn judge_read_only(said: &Said) -> Judged {
    let line = said.line();
    if said.succeeded() {
        return Err("a file was made in it".into());
    }
    if line.to_ascii_lowercase().contains("read-only file system") {
        Ok(line)
    } else {
        Err(format!("it fails for another reason: `{line}`"))
    }
}

/// `/usr/local` cannot be written to.
pub(super) fn read_only(inside: &Inside) -> Outcome {
    const FILE: &str = "/usr/local/pinfold-verify";
    let said = inside.first(&[&["touch", FILE], &["/bin/busybox", "touch", FILE]]);
    if let Ok(said) = &said
        && said.line().to_ascii_lowercase().contains("no such file")
    {
        return Outcome::not_run(checks::RUN_READ_ONLY, "the image has no /usr/local");
    }
    outcome(checks::RUN_READ_ONLY, "/usr/local", said, judge_read_only)
}

fn judge_tmp(said: &Said) -> Judged {
    match said.output.trim() {
        "pinfold 42" => Ok("a file was written there, read back and executed".into()),
        _ => Err(format!("it {}, having said `{}`", said.how(), said.last())),
    }
}

/// `/tmp` can be written to. Agents unpack libraries there, so what is written must be executable too.
pub(super) fn tmp(inside: &Inside) -> Outcome {
    const SCRIPT: &str =
        "set -e; cd /tmp; printf 'echo \"pinfold $((6 * 7))\"\\n' > pinfold-verify; . ./pinfold-verify";
    outcome(checks::RUN_TMP, "/tmp", inside.script(SCRIPT), judge_tmp)
}

/// `find` was also asked for `/proc`, which every sandbox has: who does not find that has not looked.
fn judge_set_id(said: &Said) -> Result<Vec<String>, String> {
    let found: Vec<&str> = said.output.lines().collect();
    if !found.contains(&"/proc") {
        return Err(format!("`find` did not look: it {}, having said `{}`", said.how(), said.last()));
    }
    let other = |line: &&str| *line != "/proc" && !line.is_empty();
    Ok(found.into_iter().filter(other).map(str::to_owned).collect())
}

/// `find / -perm /6000` finds nothing. `kept` is a root that has the image's bits; without one the image is known to have none.
pub(super) fn set_id(inside: &Inside, kept: Option<Result<PathBuf, String>>) -> Outcome {
    const QUERY: [&str; 10] = ["/", "-path", "/proc/*", "-prune", "-o", "(", "-perm", "/6000", "-o", "-path"];
    const END: [&str; 3] = ["/proc", ")", "-print"];
    let check = checks::RUN_SET_ID;
    let mut spec = inside.alone.spec.clone();
    match kept {
        Some(Ok(root)) => spec.rootfs = root,
        Some(Err(problem)) => {
            return Outcome::not_run(check, format!("a root with set-id bits cannot be made: {problem}"));
        }
        None => {}
    }
    let query = |program: &[&'static str]| [program, &QUERY[..], &END[..]].concat();
    let (find, busybox) = (query(&["find"]), query(&["/bin/busybox", "find"]));
    let mut said = inside.run_as(&spec, &find, super::inside::LONG);
    if matches!(said, Err(Why::Missing(_))) {
        said = inside.run_as(&spec, &busybox, super::inside::LONG);
    }
    let said = match said {
        Err(Why::Missing(_)) => return Outcome::not_run(check, "the image has no `find`"),
        Err(why) => {
            let found = Finding { at: "find".into(), problem: why.text() };
            return Outcome::looked(check, "it did not run", [found]);
        }
        Ok(said) => said,
    };
    match judge_set_id(&said) {
        Err(problem) => Outcome::looked(check, said.line(), [Finding { at: "find".into(), problem }]),
        Ok(found) if found.is_empty() => {
            Outcome::looked(check, "`find / -perm /6000` went through all of it and printed nothing", [])
        }
        Ok(found) => {
            let evidence = format!("`find / -perm /6000` printed {} paths", found.len());
            let finding =
                |path: String| Finding { at: path, problem: "has a set-user-id or set-group-id bit".into() };
            let (named, more) = found.split_at(found.len().min(NAMED));
            let mut outcome = Outcome::looked(check, evidence, named.iter().cloned().map(finding));
            outcome.more += more.len();
            outcome
        }
    }
}

fn judge_path(said: &Said) -> Judged {
    match said.output.trim() {
        "pinfold 42" => Ok("a command that was put there runs by its name".into()),
        _ => Err(format!(
            "a command that was put there did not run: it {}, having said `{}`",
            said.how(),
            said.last()
        )),
    }
}

/// `~/.local/bin` is on `PATH`, and can be written to.
pub(super) fn path(inside: &Inside) -> Outcome {
    const SCRIPT: &str = "set -e; d=\"$HOME/.local/bin\"; [ -d \"$d\" ] || mkdir -p \"$d\"; \
                          printf '#!/bin/sh\\necho \"pinfold $((6 * 7))\"\\n' > \"$d/pinfold-verify\"; \
                          chmod 755 \"$d/pinfold-verify\"; pinfold-verify";
    let check = checks::RUN_PATH;
    let bin = inside.alone.home().join(".local/bin").display().to_string();
    let path = inside.alone.spec.env.get("PATH").map(String::as_str).unwrap_or_default();
    if !path.split(':').any(|folder| folder.trim_end_matches('/') == bin) {
        let found = Finding { at: "PATH".into(), problem: format!("`{bin}` is not in `{path}`") };
        return Outcome::looked(check, format!("PATH is {}", first_line(path).unwrap_or_default()), [found]);
    }
    outcome(check, &bin, inside.script(SCRIPT), judge_path)
}

#[cfg(test)]
mod tests {
    use pinfold_sandbox::Exit;

    use super::*;

    fn said(output: &str, errors: &str, code: u8) -> Said {
        Said { ended: Ended::Exit(Exit::Code(code)), output: output.into(), errors: errors.into() }
    }

    #[test]
    fn the_user_is_the_one_that_the_image_names_and_no_other() {
        let passwd = "root:x:0:0::/root:/bin/sh\niteron:x:1000:1000::/home/iteron:/bin/bash\n";
        let account =
            Account { uid: named(1000, passwd), gid: named(1000, "users:x:100:\niteron:x:1000:\n") };
        for (line, holds) in [
            ("uid=1000(iteron) gid=1000(iteron) groups=1000(iteron)", true),
            ("uid=1000(iteron) gid=1000(iteron)", true),
            ("uid=1000(iteron) gid=100(users)", false),
            ("uid=1000 gid=1000", false),
            ("uid=0(root) gid=0(root)", false),
            ("uid=1000(iteron) gid=1000(iteron)x", false),
        ] {
            assert_eq!(judge_user(&said(line, "", 0), &account).is_ok(), holds, "{line}");
        }
        assert_eq!(named(65532, passwd), "65532");
    }

    #[test]
    fn an_init_is_known_by_its_name_and_judged_by_its_child() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of = |text: &str| init_of(&words(text)).map(|(name, words)| (name.to_owned(), words.join(" ")));
        assert_eq!(of("/usr/bin/tini --"), Some(("tini".into(), "/usr/bin/tini --".into())));
        assert_eq!(of("/usr/bin/tini -g -- bash -l"), Some(("tini".into(), "/usr/bin/tini -g --".into())));
        assert_eq!(of("dumb-init x"), Some(("dumb-init".into(), "dumb-init".into())));
        assert_eq!(of("/bin/bash --"), None);
        assert_eq!(init_of(&[]), None);
        assert!(judge_init(&said("tini\n", "", 0), "tini").is_ok());
        assert!(judge_init(&said("pinfold\n", "", 0), "tini").is_err());
        assert!(judge_init(&said("", "boom", 1), "tini").is_err());
    }

    #[test]
    fn versions_of_tools_are_read_not_believed() {
        assert!(judge_tini(&said("tini version 0.19.0\n", "", 0)).is_ok());
        for (output, code) in [("tini version 0.19.0\n", 1), ("tini version \n", 0), ("hello\n", 0)] {
            assert!(judge_tini(&said(output, "", code)).is_err(), "{output}");
        }
        assert!(judge_tmux(&said("tmux 3.3a\n", "", 0)).is_ok());
        for (output, code) in [("tmux 2.9\n", 0), ("tmux 3.3a\n", 1), ("tmux 30\n", 0)] {
            assert!(judge_tmux(&said(output, "", code)).is_err(), "{output}");
        }
    }

    #[test]
    fn a_write_that_fails_for_another_reason_shows_nothing() {
        assert!(judge_read_only(&said("", "touch: cannot touch 'x': Read-only file system\n", 1)).is_ok());
        assert!(judge_read_only(&said("", "touch: x: Permission denied\n", 1)).is_err());
        assert!(judge_read_only(&said("", "", 0)).is_err());
        assert!(judge_read_only(&said("", "Read-only file system", 0)).is_err());
        assert!(judge_tmp(&said("pinfold 42\n", "", 0)).is_ok());
        assert!(judge_tmp(&said("", "sh: can't create x: Read-only file system", 1)).is_err());
        assert!(judge_path(&said("pinfold 42\n", "", 0)).is_ok());
        assert!(judge_path(&said("", "sh: pinfold-verify: not found", 127)).is_err());
    }

    #[test]
    fn a_search_counts_only_where_it_found_what_is_always_there() {
        assert_eq!(judge_set_id(&said("/proc\n", "find: '/root': Permission denied\n", 1)), Ok(Vec::new()));
        assert_eq!(judge_set_id(&said("/bin/su\n/proc\n", "", 0)), Ok(vec!["/bin/su".to_owned()]));
        assert!(judge_set_id(&said("", "find: unrecognized: -perm\n", 1)).is_err());
        assert!(judge_set_id(&said("/bin/su\n", "", 0)).is_err());
    }
}
