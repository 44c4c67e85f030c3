//! The sections that debhelper puts into scripts, parsed into effects.
//!
//! ```text
//! # Automatically added by dh_installalternatives/13.11.4
//! … shell text, fixed per tool and version but for names and paths …
//! # End automatically added section
//! ```
//!
//! For each tool there is a list of the commands that its text is made of ([`TOOLS`]). A section is understood when all its
//! commands are on the list and those that matter have arguments of the known form; whatever version wrote it. The
//! conditions around the commands are true or irrelevant on a fresh install.
//!
//! **Refuses**: sections of other tools, other commands, sections that do not end.

use super::super::effect::Alternative;
use super::super::effect::Effect;
use super::super::effect::Mode;
use super::shell;
use super::shell::Command;
use super::shell::NotUnderstood;

const BEGIN: &str = "# Automatically added by ";
const END: &str = "# End automatically added section";

/// A section of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// The tool, `dh_installinit`.
    tool: String,
    /// The line of its first comment, from 1.
    line: usize,
    text: String,
}

/// A script taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// What debhelper put in.
    pub(super) sections: Vec<Section>,
    /// The rest, with line numbers from 1.
    pub(super) rest: Vec<(usize, String)>,
}

/// Splits a script into sections and the rest.
pub(super) fn split(script: &str) -> Result<Parts, NotUnderstood> {
    let mut parts = Parts { sections: Vec::new(), rest: Vec::new() };
    let mut open: Option<Section> = None;
    for (at, line) in script.lines().enumerate() {
        match &mut open {
            Some(_) if line.trim_end() == END => parts.sections.extend(open.take()),
            Some(section) if line.starts_with(BEGIN) => return Err(NotUnderstood { line: section.line }),
            Some(section) => {
                section.text.push_str(line);
                section.text.push('\n');
            }
            None => match line.strip_prefix(BEGIN) {
                Some(tool) => {
                    let tool = tool.split('/').next().unwrap_or(tool).trim().to_owned();
                    open = Some(Section { tool, line: at + 1, text: String::new() });
                }
                None => parts.rest.push((at + 1, line.to_owned())),
            },
        }
    }
    match open {
        Some(section) => Err(NotUnderstood { line: section.line }),
        None => Ok(parts),
    }
}

/// What the commands of a tool's text amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Nothing on a fresh install.
    Nothing,
    /// Alternatives to install.
    Alternatives,
    /// Directories below /usr/local.
    UsrLocal,
    /// Something for a service manager, which an image does not have.
    Services(&'static str),
    /// A cache or index that is left out; the text names it.
    Index(&'static str),
}

/// A tool: its name, the commands of its text, what they amount to.
type Tool = (&'static str, &'static [&'static str], Meaning);

const SYSTEMD: &[&str] = &["deb-systemd-helper", "deb-systemd-invoke", "systemctl"];

const TOOLS: &[Tool] = &[
    ("dh_installdeb", &["dpkg-maintscript-helper"], Meaning::Nothing),
    ("dh_installalternatives", &["update-alternatives"], Meaning::Alternatives),
    ("dh_usrlocal", &["read", "set", "mkdir", "chown", "chmod"], Meaning::UsrLocal),
    ("dh_installinit", &["update-rc.d", "invoke-rc.d", "chmod"], Meaning::Services("start-up links of")),
    ("dh_installsystemd", SYSTEMD, Meaning::Services("enable")),
    ("dh_systemd_enable", SYSTEMD, Meaning::Services("enable")),
    ("dh_systemd_start", SYSTEMD, Meaning::Services("enable")),
    ("dh_installsystemduser", SYSTEMD, Meaning::Services("enable for users")),
    ("dh_installtmpfiles", &["systemd-tmpfiles"], Meaning::Services("systemd-tmpfiles")),
    ("dh_python3", &["py3compile", "pypy3compile"], Meaning::Index("byte code")),
    ("dh_python2", &["pycompile"], Meaning::Index("byte code")),
    ("dh_icons", &["update-icon-caches"], Meaning::Index("icon caches")),
    ("dh_installmenu", &["update-menus"], Meaning::Nothing),
    ("dh_installmime", &["update-mime", "update-mime-database"], Meaning::Index("MIME database")),
    ("dh_installinfo", &["install-info"], Meaning::Index("info directory")),
    ("dh_makeshlibs", &["ldconfig"], Meaning::Nothing),
    ("dh_installemacsen", &["emacs-package-install"], Meaning::Nothing),
    ("dh_installudev", &["udevadm"], Meaning::Nothing),
    ("dh_perl", &[], Meaning::Nothing),
];

/// The effects of a section. Fails with a line of the script.
pub(super) fn effects(section: &Section) -> Result<Vec<Effect>, NotUnderstood> {
    let refuse = NotUnderstood { line: section.line };
    let (_, known, meaning) = TOOLS.iter().find(|(name, ..)| *name == section.tool).ok_or(refuse)?;
    let here = |error: NotUnderstood| NotUnderstood { line: section.line + error.line };
    let commands = shell::commands(&section.text).map_err(here)?;
    for command in &commands {
        let refuse = here(NotUnderstood { line: command.line });
        let name = command.words[0].as_str();
        let harmless = is_condition(name) || is_assignment(&command.words);
        if !harmless && !known.contains(&name) {
            return Err(refuse);
        }
        if command.heredoc.is_some() && *meaning != Meaning::UsrLocal {
            return Err(refuse);
        }
        // `chmod +x` of a start-up script that was there before is the only use there.
        if *meaning != Meaning::UsrLocal
            && name == "chmod"
            && command.words.get(1).is_none_or(|word| word != "+x")
        {
            return Err(refuse);
        }
    }
    let found: Option<Vec<Effect>> = match meaning {
        Meaning::Nothing => known_helpers_only(&commands).then(Vec::new),
        Meaning::Alternatives if guarded(&commands) => {
            named(&commands, "update-alternatives").map(alternative).collect()
        }
        Meaning::UsrLocal if guarded(&commands) => usr_local(&commands),
        Meaning::Alternatives | Meaning::UsrLocal => None,
        Meaning::Services(what) => Some(services(&commands, what)),
        Meaning::Index(what) => Some(vec![Effect::NotDone { what: (*what).to_owned() }]),
    };
    found.ok_or(refuse)
}

fn is_condition(name: &str) -> bool {
    matches!(name, "[" | "test" | "command" | "which" | "true" | "exit" | "return" | ":")
}

fn is_assignment(words: &[String]) -> bool {
    words.len() == 1
        && words[0].split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
}

/// Whether the text begins with debhelper's guard, so that it runs on `configure`.
fn guarded(commands: &[Command]) -> bool {
    commands.first().is_some_and(|first| first.words == ["[", "$1", "=", "configure", "]"])
}

fn named<'a>(commands: &'a [Command], name: &'static str) -> impl Iterator<Item = &'a Command> {
    commands.iter().filter(move |command| command.words[0] == name)
}

/// dpkg-maintscript-helper has four verbs, all for upgrades; anything else is not understood.
fn known_helpers_only(commands: &[Command]) -> bool {
    const VERBS: [&str; 5] = ["rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink", "supports"];
    named(commands, "dpkg-maintscript-helper")
        .all(|command| command.words.get(1).is_some_and(|verb| VERBS.contains(&verb.as_str())))
}

/// `update-alternatives --install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]...`
fn alternative(command: &Command) -> Option<Effect> {
    let mut words = command.words[1..].iter().filter(|word| *word != "--quiet").cloned();
    if words.next()? != "--install" {
        return None;
    }
    let mut found = Alternative {
        link: words.next()?,
        name: words.next()?,
        path: words.next()?,
        priority: words.next()?.parse().ok()?,
        slaves: Vec::new(),
    };
    while let Some(word) = words.next() {
        if word != "--slave" {
            return None;
        }
        found.slaves.push((words.next()?, words.next()?, words.next()?));
    }
    Some(Effect::Alternative(found))
}

/// Lines `PATH default` or `PATH MODE USER GROUP`, all below /usr/local.
fn usr_local(commands: &[Command]) -> Option<Vec<Effect>> {
    let lines = commands.iter().filter_map(|command| command.heredoc.as_ref()).flatten();
    lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let (path, mode, group) = match words[..] {
                [path, "default"] => (path, Mode(0o755), "root"),
                [path, mode, "root", group] => (path, Mode::try_from(mode.to_owned()).ok()?, group),
                _ => return None,
            };
            let inside = path.starts_with("/usr/local/") && !path.split('/').any(|name| name == "..");
            inside.then(|| Effect::Directory { path: path.into(), mode, group: group.into() })
        })
        .collect()
}

fn services(commands: &[Command], what: &str) -> Vec<Effect> {
    let mut units = std::collections::BTreeSet::new();
    for command in commands {
        let words = &command.words;
        let unit = match words[0].as_str() {
            "deb-systemd-helper" if words.iter().any(|word| word == "enable") => words.last(),
            "update-rc.d" => words.get(1),
            "systemd-tmpfiles" => words.last(),
            _ => None,
        };
        units.extend(unit.cloned());
    }
    units.into_iter().map(|unit| Effect::NotDone { what: format!("{what} {unit}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tool: &str, text: &str) -> Result<Vec<String>, usize> {
        let script = format!("#!/bin/sh\nset -e\n{BEGIN}{tool}/13.11.4\n{text}\n{END}\n");
        let parts = split(&script).map_err(|error| error.line)?;
        assert_eq!(parts.rest.len(), 2);
        let found = effects(&parts.sections[0]).map_err(|error| error.line)?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    const GUARD: &str = r#"if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ]; then"#;

    #[test]
    fn alternatives_with_their_slaves() {
        let text = format!(
            "{GUARD}\n  update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n  \
             --slave /usr/bin/nawk nawk /usr/bin/mawk\nfi"
        );
        assert_eq!(of("dh_installalternatives", &text).unwrap(), ["alternative awk -> /usr/bin/mawk (5)"]);
        for (from, to) in [
            ("--install", "--set"),
            (" 5 ", " five "),
            ("--slave", "--follower"),
            ("nawk /usr/bin/mawk\n", "nawk\n"),
            ("\"configure\" ]", "\"upgrade\" ]"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text);
            assert!(of("dh_installalternatives", &other).is_err(), "{other}");
        }
    }

    #[test]
    fn directories_below_usr_local_only() {
        let text = |data: &str| {
            format!(
                "{GUARD}\n(\n while read line; do\n set -- $line\n mkdir \"$1\" 2>/dev/null\n done\n) << DATA\n{data}\nDATA\nfi"
            )
        };
        assert_eq!(
            of("dh_usrlocal", &text("/usr/local/share/zsh default\n/usr/local/x 02775 root staff")).unwrap(),
            ["directory /usr/local/share/zsh 0755", "directory /usr/local/x 2775 group staff"]
        );
        for data in [
            "/etc/x default",
            "/usr/local/../x default",
            "/usr/local/x 99 root root",
            "/usr/local/x 755 me root",
        ] {
            assert!(of("dh_usrlocal", &text(data)).is_err(), "{data}");
        }
    }

    #[test]
    fn services_are_noted_and_left_out() {
        let text = format!(
            "{GUARD}\n\tdeb-systemd-helper unmask 'a.timer' >/dev/null || true\n\tif deb-systemd-helper --quiet was-enabled \
             'a.timer'; then\n\t\tdeb-systemd-helper enable 'a.timer' >/dev/null || true\n\tfi\nfi"
        );
        assert_eq!(of("dh_installsystemd", &text).unwrap(), ["not done: enable a.timer"]);
        assert_eq!(
            of(
                "dh_installinit",
                "if [ -x /etc/init.d/x ]; then\n update-rc.d x defaults >/dev/null || exit 1\nfi"
            )
            .unwrap(),
            ["not done: start-up links of x"]
        );
    }

    #[test]
    fn almost_a_snippet_is_none() {
        for (tool, text, line) in [
            ("dh_installdeb", "dpkg-maintscript-helper rm_conffile /etc/x 1 -- \"$@\"\nrm -rf /srv", 5),
            ("dh_installdeb", "dpkg-maintscript-helper run_program /etc/x", 3),
            ("dh_python3", "py3compile -p x\npython3 -c 'evil()'", 5),
            ("dh_installinit", "chmod 4755 /bin/sh", 4),
            ("dh_python3", "py3compile -p \"$(touch /x)\"", 4),
            ("dh_python3", "cat << EOF\nx\nEOF", 4),
            ("dh_unheard_of", "true", 3),
            ("dh_installmenu", "PATH=/tmp update-menus", 4),
        ] {
            assert_eq!(of(tool, text), Err(line), "{tool}: {text}");
        }
    }

    #[test]
    fn sections_must_end_and_not_nest() {
        assert_eq!(split(&format!("x\n{BEGIN}dh_a\ny\n")), Err(NotUnderstood { line: 2 }));
        assert_eq!(split(&format!("{BEGIN}dh_a\n{BEGIN}dh_b\n{END}\n")), Err(NotUnderstood { line: 1 }));
        // A stray end is text like any other, and so not a section.
        assert_eq!(split(END).unwrap().rest.len(), 1);
    }

    #[test]
    fn tools_that_name_no_version() {
        let parts = split(&format!("{BEGIN}dh_python3\npy3compile -p x \n{END}\n")).unwrap();
        assert_eq!(effects(&parts.sections[0]).unwrap()[0].to_string(), "not done: byte code");
    }
}
