//! debconf's protocol beside the real debconf with its non-interactive frontend.

use super::*;

const CORPUS: &str = include_str!("debconf.txt");
const TEMPLATES: &str = include_str!("debconf.templates");

/// What every script begins with: `say` keeps status and `$RET` of the command before it.
const BEGIN: &str = "#!/bin/sh\n. /usr/share/debconf/confmodule\nsay() { echo \"$? $RET\" >>out; }\n";

fn debconfs(text: &str) -> (i32, String) {
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name);
    let database =
        |name: &str| format!("Name: {name}\nDriver: File\nMode: 644\nFilename: {}\n", place(name).display());
    let rc = format!("Config: c\nTemplates: t\n\n{}\n{}", database("c"), database("t"));
    for (name, bytes) in [("rc", rc.as_str()), ("test.templates", TEMPLATES), ("test.postinst", text)] {
        fs_err::write(place(name), bytes).unwrap();
    }
    let run = Command::new("dash")
        .args(["-c", "chmod +x test.postinst; exec dash ./test.postinst configure ''"])
        .current_dir(scratch.path())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("DEBCONF_NONINTERACTIVE_SEEN", "true")
        .env("DEBCONF_SYSTEMRC", place("rc"))
        .env("DEBCONF_PACKAGE", "test")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (run.status.code().unwrap(), fs_err::read_to_string(place("out")).unwrap_or_default())
}

fn oursays(text: &str) -> Result<(i32, String), super::super::Fault> {
    let text = text.to_owned();
    on_a_deep_stack(move || {
        let mut world = World::new(tree(), Accounts::minimal(), Arch::Amd64, 0, &InlineOnly);
        world.questions.load("test", Template::read(TEMPLATES.as_bytes()).unwrap());
        let text = text.as_bytes();
        let script =
            Script { package: "test", name: "postinst", text, args: &["configure", ""], environment: &[] };
        let outcome = evaluate(&script, &mut world)?;
        let said = match world.read(b"/", b"out") {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => String::new(),
        };
        Ok((outcome.status, said))
    })
    .unwrap()
}

#[test]
fn questions_are_answered_as_by_debconf() {
    let mut wrong = Vec::new();
    for part in CORPUS.split("%% ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        let text = format!("{BEGIN}{text}");
        let (theirs, ours) = (debconfs(&text), oursays(&text));
        if ours.as_ref() != Ok(&theirs) {
            wrong.push(format!("== {name}\n  debconf {theirs:?}\n  ours    {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{} differ", wrong.join("\n"), wrong.len());
}

/// Seen of debconf 1.5.82, whose status is then one of chance: it may write a reply when the script has ended.
#[test]
fn each_line_has_a_reply_and_what_is_not_read_is_read_later() {
    let text = "db_set t/str 'two\nlines'; say; db_get t/str; say; db_get t/str; say; db_set t/str ''; say\n\
                db_set t/str 'a\n\nb'; say; db_get t/str; say; db_get t/str; say; db_get t/str; say\n";
    let said = "0 value set\n20 20 Unsupported command \"lines\" (full line was \"lines\") received from confmodule.\n\
                0 two\n0 two\n0 value set\n0 value set\n20 20 Bad line \"\" received from confmodule.\n\
                20 20 Unsupported command \"b\" (full line was \"b\") received from confmodule.\n";
    assert_eq!(oursays(&format!("{BEGIN}{text}")), Ok((0, said.to_owned())));
}

#[test]
fn what_stops_debconf_stops_the_evaluation() {
    for (text, what) in [
        ("db_input high t/title", "a question of the kind `title` cannot be asked"),
        ("db_stop; db_get t/str", "after `db_stop` debconf does not answer"),
    ] {
        assert_eq!(oursays(&format!("{BEGIN}{text}\n")).unwrap_err().what, what);
    }
}

#[test]
fn a_password_is_not_shown_where_the_evaluation_stops() {
    let text = "db_set t/pw 'g e'\ndb_get t/pw\npw=\"$RET\"\ndb_set t/pw ''\nmktemp --odd=\"$pw\"";
    let fault = oursays(&format!("{BEGIN}{text}\n")).unwrap_err();
    assert_eq!(
        (fault.command.as_str(), fault.what.as_str()),
        ("mktemp --odd=***", "the option `--odd=***` is not known")
    );
}
