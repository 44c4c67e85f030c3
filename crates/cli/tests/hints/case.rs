//! A machine on which an input fails, and its user, who does word by word what the hint says.

use std::process::Command;

use pinfold_testkit::npm::Running;

/// One step of the user's.
#[derive(Debug)]
pub(crate) enum Follow {
    /// Says the command that stands in backticks and begins with `pinfold `.
    Say,
    /// Says the command in backticks, in a shell.
    Shell,
    /// Puts the lines below the hint at the end of the manifest.
    Paste,
    /// Writes the second in the place of the first, in a file; the second stands in the hint.
    Write(&'static str, &'static str, &'static str),
    /// Says the second in the place of the first; the second stands in the hint.
    Words(&'static str, &'static str),
    /// Sets a variable that the hint names.
    Set(&'static str, &'static str),
    /// What the hint asks for without saying the words: a file, the first, the second.
    Mean(&'static str, &'static str, &'static str),
    /// Likewise on the command line.
    MeanWords(&'static str, &'static str),
    /// Likewise: makes a file, or takes it away where there is no text.
    File(&'static str, Option<&'static str>),
}

/// An input that fails, and the way out.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Files below the caller's home; `@` in them and in words is the home, `REGISTRY` the npm registry.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Variables.
    pub(crate) set: &'static [(&'static str, &'static str)],
    /// What is said before; it works.
    pub(crate) before: &'static [&'static str],
    /// What fails.
    pub(crate) words: &'static str,
    /// How.
    pub(crate) error: &'static str,
    /// A part of the hint as it is printed.
    pub(crate) hint: &'static str,
    /// What is done then. Nothing: the hint's command shows something, and works.
    pub(crate) follow: &'static [Follow],
}

/// Nothing special.
pub(crate) const TRIAL: Trial =
    Trial { files: &[], set: &[], before: &[], words: "", error: "", hint: "", follow: &[] };

struct Case<'a> {
    dir: tempfile::TempDir,
    registry: &'a Running,
    set: Vec<(String, String)>,
}

impl Case<'_> {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("me").join(name)
    }

    fn filled(&self, text: &str) -> String {
        text.replace('@', self.path("").to_str().unwrap().trim_end_matches('/'))
            .replace("REGISTRY", &self.registry.url)
            .replace('§', "@")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, self.filled(text)).unwrap();
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = fs_err::read_to_string(self.path(name)).unwrap();
        let (from, to) = (self.filled(from), self.filled(to));
        assert!(text.contains(&from), "`{from}` in {text}");
        fs_err::write(self.path(name), text.replacen(&from, &to, 1)).unwrap();
    }

    fn run(&self, program: &str, words: &[String]) -> (i32, String) {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.path("project")).env_clear();
        command.env("HOME", self.path("")).env("PINFOLD_HOME", self.dir.path().join("home"));
        command.env("PATH", "/usr/bin:/bin");
        for (name, value) in &self.set {
            match value.as_str() {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        let text = [output.stderr, output.stdout].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
    }

    fn pinfold(&self, words: &str) -> (i32, String) {
        let words: Vec<String> = self.filled(words).split_whitespace().map(str::to_owned).collect();
        self.run(env!("CARGO_BIN_EXE_pinfold"), &words)
    }

    fn shell(&self, line: &str) {
        let (code, told) = self.run("sh", &["-c".to_owned(), line.to_owned()]);
        assert_eq!(code, 0, "`{line}`: {told}");
    }
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Does what the hint says, and expects that the error is gone.
pub(crate) fn follow(trial: &Trial, registry: &Running) {
    let mut case = Case { dir: tempfile::tempdir().unwrap(), registry, set: Vec::new() };
    case.set = trial.set.iter().map(|(name, value)| ((*name).to_owned(), case.filled(value))).collect();
    fs_err::create_dir_all(case.path("project")).unwrap();
    for (name, text) in trial.files {
        case.write(name, text);
    }
    for words in trial.before {
        if let Some(line) = words.strip_prefix("$ ") {
            case.shell(&case.filled(line));
        } else if *words == "agree" {
            let (_, told) = case.pinfold("policy show");
            let digest = told.split_once("--digest ").unwrap().1.split('`').next().unwrap();
            assert_eq!(case.pinfold(&format!("policy accept --digest {digest}")).0, 0);
        } else {
            let (code, told) = case.pinfold(words);
            assert_eq!(code, 0, "before, `{words}`: {told}");
        }
    }
    let mut words = trial.words.to_owned();
    let (code, told) = case.pinfold(&words);
    assert!(!told.contains("canary"), "no secret is told: {told}");
    assert!(code != 0 && told.contains(trial.error), "`{words}` fails with `{}`: {told}", trial.error);
    // What is wrong with a value is told in one line with what to write.
    let hint = told.split_once("hint: ").map_or(told.as_str(), |(_, hint)| hint);
    let line = hint.lines().next().unwrap_or_default();
    let expected = case.filled(trial.hint);
    assert!(told.contains(&expected), "`{words}` hints at `{expected}`: {told}");
    let says = |case: &Case<'_>, word: &str| {
        assert!(told.contains(&case.filled(word)), "`{word}` in the hint: {told}");
    };
    let command = || -> String {
        let command = quoted(line).find_map(|text| text.strip_prefix("pinfold "));
        command.unwrap_or_else(|| panic!("a command in `{line}`")).to_owned()
    };
    if trial.follow.is_empty() {
        let (code, told) = case.pinfold(&command());
        assert_eq!(code, 0, "`{}`: {told}", command());
        return;
    }
    for step in trial.follow {
        match step {
            Follow::Say => {
                let (code, told) = case.pinfold(&command());
                assert_eq!(code, 0, "`{}`: {told}", command());
            }
            Follow::Shell => case.shell(quoted(line).next().unwrap()),
            Follow::Paste => {
                let block: Vec<&str> = hint.lines().skip(1).collect();
                assert!(!block.is_empty(), "lines below `{line}`: {told}");
                let manifest = fs_err::read_to_string(case.path("project/pinfold.toml")).unwrap();
                let text = format!("{manifest}{}\n", block.join("\n"));
                fs_err::write(case.path("project/pinfold.toml"), text).unwrap();
            }
            Follow::Write(name, from, to) => {
                says(&case, to);
                case.replace(name, from, to);
            }
            Follow::Words(from, to) => {
                says(&case, to);
                assert!(words.contains(from), "`{from}` in `{words}`");
                words = words.replacen(from, to, 1);
            }
            Follow::Set(name, value) => {
                says(&case, name);
                case.set.push(((*name).to_owned(), case.filled(value)));
            }
            Follow::Mean(name, from, to) => case.replace(name, from, to),
            Follow::MeanWords(from, to) => {
                assert!(words.contains(from), "`{from}` in `{words}`");
                words = words.replacen(from, to, 1);
            }
            Follow::File(name, Some(text)) => case.write(name, text),
            Follow::File(name, None) => fs_err::remove_file(case.path(name)).unwrap(),
        }
    }
    let (_, after) = case.pinfold(&words);
    assert!(!after.contains(trial.error), "`{words}` after `{line}` still fails: {after}");
}
