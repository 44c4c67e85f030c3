//! What is said to a file that carries an image: words of ours from the front, up to the first that is not; all behind is the agent's.
//!
//! | first word | meaning |
//! |---|---|
//! | `--appimage-…` | the contract of AppImages (AppImageSpec, "The type 2 image format"; the reference runtime's `--appimage-help`) |
//! | `--pinfold VERB …` | pinfold itself |
//! | `--pinfold-info`, `-verify`, `-extract DIR`, `-install`, `-uninstall` | about the file |
//! | anything else | a run: [`Run`] |
//!
//! **Guarantees**: a pure function of the words; those of the agent stay what they are, byte for byte. **Refuses** words of ours without
//! their value, agents that the file does not have, both views at once, and `--appimage-…` that the contract does not have.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

/// What is asked of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Something of the contract of AppImages.
    AppImage(AppImage),
    /// What it is.
    Info,
    /// Whether it is whole.
    Verify,
    /// Its files, in a directory that is not there yet.
    Extract(OsString),
    /// To be found by shell and menu.
    Install,
    /// No longer.
    Uninstall,
    /// A verb of pinfold, with its words.
    Pinfold(Vec<OsString>),
    /// How it is used.
    Help,
    /// The agent.
    Run(Run),
}

/// The contract of AppImages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AppImage {
    /// What there is.
    Help,
    /// The version.
    Version,
    /// Where the squashfs begins.
    Offset,
    /// Its files below `squashfs-root`; those that a pattern means.
    Extract(Option<OsString>),
    /// The squashfs, mounted.
    Mount,
    /// Where updates are.
    Updates,
    /// The signature in the file.
    Signature,
    /// A directory beside the file for what is kept.
    PortableHome,
}

/// A run of the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// How much of the home is seen, where that is said.
    pub(super) view: Option<View>,
    /// Which agent, where that is not the first.
    pub(super) agent: Option<OsString>,
    /// Names of what is shared ([`super::share`]).
    pub(super) share: Vec<String>,
    /// Words for `pinfold run`.
    pub(super) options: Vec<OsString>,
    /// The agent's words.
    pub(super) words: Vec<OsString>,
}

/// How much of the home is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// What is named.
    Isolated,
    /// All of it.
    Mirror,
}

/// What cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WordsError {
    /// A word that needs another.
    #[error("`{0}` needs a value behind it")]
    Value(String),
    /// A word that takes none.
    #[error("`{0}` stands alone")]
    Alone(String),
    /// No word of the contract.
    #[error("`{0}` is not known")]
    Unknown(String),
    /// Two words of which one would have to be forgotten.
    #[error("`--isolated` and `--mirror` are the opposite of each other")]
    Both,
    /// An agent that is not in the file.
    #[error("there is no agent `{agent}` in it; {}", others(.has))]
    Agent {
        /// Who was asked for.
        agent: String,
        /// Who is there.
        has: Vec<String>,
    },
}

fn others(agents: &[String]) -> String {
    if agents.is_empty() {
        return "it has none: what is behind `--` is its program".into();
    }
    format!("it has {}", agents.join(", "))
}

/// Options of a run that go on to `pinfold run` with their value.
const VALUED: &[&str] =
    &["--workspace", "--volume", "--allow", "--network", "--key", "--env", "--memory", "--cpus", "--name"];

impl Asked {
    /// Of the words behind the program's name. `agents` are those that the file has.
    pub(super) fn of(words: &[OsString], agents: &[String]) -> Result<Self, WordsError> {
        let Some((first, rest)) = words.split_first() else { return Ok(Self::Run(Run::default())) };
        let shown = || first.to_string_lossy().into_owned();
        let alone = |asked: Self| if rest.is_empty() { Ok(asked) } else { Err(WordsError::Alone(shown())) };
        match first.to_str().unwrap_or_default() {
            "--appimage-extract-and-run" => Run::of(rest, agents),
            word if word.starts_with("--appimage-") => AppImage::of(word, rest).map(Self::AppImage),
            "--pinfold" => Ok(Self::Pinfold(rest.to_vec())),
            "--pinfold-info" => alone(Self::Info),
            "--pinfold-verify" => alone(Self::Verify),
            "--pinfold-install" => alone(Self::Install),
            "--pinfold-uninstall" => alone(Self::Uninstall),
            "--pinfold-extract" => match rest {
                [directory] => Ok(Self::Extract(directory.clone())),
                _ => Err(WordsError::Value(shown())),
            },
            word if word.starts_with("--pinfold-") => Err(WordsError::Unknown(shown())),
            _ => Run::of(words, agents),
        }
    }
}

impl AppImage {
    fn of(word: &str, rest: &[OsString]) -> Result<Self, WordsError> {
        let word = word.strip_prefix("--appimage-").unwrap_or(word);
        let asked = match word {
            "help" => Self::Help,
            "version" => Self::Version,
            "offset" => Self::Offset,
            "extract" => {
                return match rest {
                    [] => Ok(Self::Extract(None)),
                    [pattern] => Ok(Self::Extract(Some(pattern.clone()))),
                    _ => Err(WordsError::Alone(format!("--appimage-{word}"))),
                };
            }
            "mount" => Self::Mount,
            "updateinfo" | "updateinformation" => Self::Updates,
            "signature" => Self::Signature,
            "portable-home" | "portable-config" => Self::PortableHome,
            _ => return Err(WordsError::Unknown(format!("--appimage-{word}"))),
        };
        Ok(asked)
    }
}

impl Run {
    fn of(words: &[OsString], agents: &[String]) -> Result<Asked, WordsError> {
        let mut run = Self::default();
        let (mut rest, mut ended) = (words, false);
        while let Some((word, behind)) = rest.split_first() {
            let (name, joined) = match word.as_bytes().iter().position(|byte| *byte == b'=') {
                Some(at) if word.as_bytes().starts_with(b"--") => {
                    let (name, value) = word.as_bytes().split_at(at);
                    (OsStr::from_bytes(name), Some(OsStr::from_bytes(&value[1..]).to_owned()))
                }
                _ => (word.as_os_str(), None),
            };
            let name = match name.to_str() {
                Some("-v") => "--volume",
                Some("-w") => "--workspace",
                Some("-e") => "--env",
                Some(name) => name,
                None => break,
            };
            let valued = VALUED.contains(&name) || ["--agent", "--share"].contains(&name);
            rest = match (name, joined) {
                ("-h" | "--help", None) => return Ok(Asked::Help),
                ("-m" | "--mirror", None) => {
                    run.see(View::Mirror)?;
                    behind
                }
                ("-i" | "--isolated", None) => {
                    run.see(View::Isolated)?;
                    behind
                }
                ("--", None) => {
                    (rest, ended) = (behind, true);
                    break;
                }
                (name, Some(value)) if valued => {
                    run.take(name, value);
                    behind
                }
                (name, None) if valued => {
                    let Some((value, behind)) = behind.split_first() else {
                        return Err(WordsError::Value(name.to_owned()));
                    };
                    run.take(name, value.clone());
                    behind
                }
                _ => break,
            };
        }
        // One of several agents by its name; of a file with one agent every word is that agent's.
        if let (None, Some((word, behind))) = (&run.agent, rest.split_first())
            && agents.len() > 1
            && agents.iter().any(|agent| word == agent.as_str())
            && !ended
        {
            run.agent = Some(word.clone());
            rest = behind;
        }
        if let Some(agent) = &run.agent
            && !agents.iter().any(|has| agent == has.as_str())
        {
            return Err(WordsError::Agent {
                agent: agent.to_string_lossy().into_owned(),
                has: agents.to_vec(),
            });
        }
        run.words = rest.to_vec();
        Ok(Asked::Run(run))
    }

    fn see(&mut self, view: View) -> Result<(), WordsError> {
        match self.view.replace(view) {
            Some(other) if other != view => Err(WordsError::Both),
            _ => Ok(()),
        }
    }

    fn take(&mut self, name: &str, value: OsString) {
        match name {
            "--agent" => self.agent = Some(value),
            "--share" => self.share.push(value.to_string_lossy().into_owned()),
            name => {
                let mut word = OsString::from(name);
                word.push("=");
                word.push(value);
                self.options.push(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn asked(texts: &[&str]) -> Asked {
        Asked::of(&words(texts), &["claude-code".into()]).unwrap()
    }

    fn run(texts: &[&str]) -> Run {
        match asked(texts) {
            Asked::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_agents_words_begin_with_the_first_that_is_not_ours() {
        for theirs in [
            &[][..],
            &["-p", "fix the tests"],
            &["fix", "-h"],
            &["-c", "--mirror"],
            &["", "-m"],
            &["--model=x", "--workspace", "y"],
            &["-"],
            &["claude-code"],
        ] {
            assert_eq!(run(theirs), Run { words: words(theirs), ..Run::default() }, "{theirs:?}");
            let ended = [&["--"], theirs].concat();
            assert_eq!(run(&ended).words, words(theirs), "{ended:?}");
        }
        assert_eq!(run(&["--", "-h"]).words, words(&["-h"]));
        assert_eq!(run(&["--", "--"]).words, words(&["--"]));
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let Ok(Asked::Run(run)) = Asked::of(std::slice::from_ref(&odd), &[]) else { panic!() };
        assert_eq!(run.words, [odd]);
    }

    #[test]
    fn ours_are_read_from_the_front() {
        let of =
            run(&["-m", "--workspace", "a b", "--allow=x.example", "-v", "/a:/b:ro", "-p", "--allow", "y"]);
        assert_eq!(of.view, Some(View::Mirror));
        assert_eq!(of.options, words(&["--workspace=a b", "--allow=x.example", "--volume=/a:/b:ro"]));
        assert_eq!(of.words, words(&["-p", "--allow", "y"]));
        let of = run(&["-i", "-i", "--share", "gitconfig", "--agent=claude-code", "--", "x"]);
        assert_eq!(
            (of.view, of.share, of.agent),
            (Some(View::Isolated), vec!["gitconfig".into()], Some("claude-code".into()))
        );
        for both in [["-m", "-i"], ["-i", "-m"], ["--isolated", "--mirror"]] {
            assert_eq!(Asked::of(&words(&both), &[]), Err(WordsError::Both), "{both:?}");
        }
        assert_eq!(asked(&["-h", "whatever"]), Asked::Help);
        assert_eq!(asked(&["-m", "--help"]), Asked::Help);
        for short in [&["--workspace"][..], &["-v"], &["-m", "--share"], &["--pinfold-extract"]] {
            assert!(matches!(Asked::of(&words(short), &[]), Err(WordsError::Value(_))), "{short:?}");
        }
    }

    #[test]
    fn of_several_agents_one_is_named_by_the_first_word() {
        let agents = ["claude-code".to_owned(), "codex-cli".to_owned()];
        let of = |texts: &[&str]| match Asked::of(&words(texts), &agents).unwrap() {
            Asked::Run(run) => (run.agent, run.words),
            other => panic!("{other:?}"),
        };
        assert_eq!(of(&["codex-cli", "codex-cli"]), (Some("codex-cli".into()), words(&["codex-cli"])));
        assert_eq!(of(&["-m", "codex-cli"]), (Some("codex-cli".into()), vec![]));
        assert_eq!(of(&["--", "codex-cli"]), (None, words(&["codex-cli"])));
        assert_eq!(of(&["--agent", "claude-code", "codex-cli"]).1, words(&["codex-cli"]));
        assert_eq!(of(&["codex"]), (None, words(&["codex"])));
    }

    #[test]
    fn an_agent_that_is_not_in_the_file_is_refused_with_those_that_are() {
        let agents = ["claude-code".to_owned(), "codex-cli".to_owned()];
        let refused =
            |agents: &[String]| Asked::of(&words(&["--agent", "gemini-cli", "x"]), agents).unwrap_err();
        let said = refused(&agents).to_string();
        assert_eq!(said, "there is no agent `gemini-cli` in it; it has claude-code, codex-cli");
        assert!(refused(&[]).to_string().contains("it has none"));
        assert!(Asked::of(&words(&["--agent", "codex-cli", "x"]), &agents).is_ok(), "the control");
    }

    #[test]
    fn the_contract_is_the_first_word_alone() {
        assert_eq!(asked(&["--appimage-offset"]), Asked::AppImage(AppImage::Offset));
        assert_eq!(asked(&["--appimage-updateinformation"]), Asked::AppImage(AppImage::Updates));
        let extract = Asked::AppImage(AppImage::Extract(Some("usr/*".into())));
        assert_eq!(asked(&["--appimage-extract", "usr/*"]), extract);
        assert_eq!(run(&["--appimage-extract-and-run", "-p", "x"]).words, words(&["-p", "x"]));
        assert_eq!(run(&["-p", "--appimage-offset"]).words, words(&["-p", "--appimage-offset"]));
        for unknown in ["--appimage-x", "--pinfold-x"] {
            assert!(matches!(Asked::of(&words(&[unknown]), &[]), Err(WordsError::Unknown(_))));
        }
        assert_eq!(asked(&["--pinfold", "ps", "--json"]), Asked::Pinfold(words(&["ps", "--json"])));
        assert_eq!(
            Asked::of(&words(&["--pinfold-info", "x"]), &[]),
            Err(WordsError::Alone("--pinfold-info".into()))
        );
    }
}
