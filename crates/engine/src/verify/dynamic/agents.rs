//! The agents of an image: their versions, their own opinion of their configuration, and a task that they do unasked.

use std::collections::BTreeMap;

use pinfold_base::error::one_line;

use super::Tally;
use super::inside::Inside;
use super::inside::LONG;
use super::inside::SHORT;
use super::inside::Said;
use super::inside::Why;
use super::provider::Seen;
use crate::project::recipe::AGENT_LABEL;
use crate::project::recipe::Recipe;
use crate::project::recipe::RecipeKind;
use crate::run::alone::Scheme;
use crate::verify::checks;
use crate::verify::report::Outcome;

/// Arguments with which a built-in agent does one task and ends.
const TASKS: [(&str, &[&str]); 4] = [
    ("claude-code", &["-p", "work"]),
    ("codex-cli", &["exec", "--skip-git-repo-check", "work"]),
    ("gemini-cli", &["-p", "work"]),
    ("opencode", &["run", "-m", "anthropic/claude-sonnet-4-5", "work"]),
];

/// Arguments with which an agent whose own word for it says too much (Codex's `doctor` fails without a network) takes its
/// configuration or refuses it, seen by whether it asks its model.
const STRICT: [(&str, &[&str]); 1] =
    [("codex-cli", &["exec", "--strict-config", "--skip-git-repo-check", "work"])];

/// What an agent prints, and ends with code 0 or not, where it does not take its configuration.
const REFUSALS: [&str; 3] = ["invalid configuration", "configuration is invalid", "failed to parse"];

/// One agent of the image.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) recipe: Recipe,
    /// As its label has it.
    version: String,
}

/// Those of an image.
#[derive(Clone, Debug, Default)]
pub(super) struct Agents {
    pub(super) known: Vec<Agent>,
    /// Named by a label, and nobody has their recipe.
    unknown: Vec<String>,
}

impl Agent {
    /// Its command with these arguments.
    fn command<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&[self.recipe.command.as_str()], args].concat()
    }

    /// The command that does one task.
    pub(super) fn task(&self) -> Option<Vec<&str>> {
        let (_, task) = TASKS.into_iter().find(|(name, _)| *name == self.recipe.name)?;
        let autonomous: Vec<&str> = self.recipe.run.autonomous.iter().map(String::as_str).collect();
        Some(self.command(&[&autonomous[..], task].concat()))
    }
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

impl Agents {
    /// Those that labels name, by the recipes that are given or the built-in ones.
    pub(super) fn of(labels: &BTreeMap<String, String>, recipes: &[Recipe]) -> Self {
        let mut agents = Self::default();
        for (name, version) in
            labels.iter().filter_map(|(key, value)| Some((key.strip_prefix(AGENT_LABEL)?, value)))
        {
            let given = recipes.iter().find(|recipe| recipe.name == name).cloned();
            match given.or_else(|| Recipe::built_in(name).ok()) {
                Some(recipe) if recipe.kind == RecipeKind::Agent => {
                    agents.known.push(Agent { recipe, version: version.clone() });
                }
                // A runtime has a label too; what it runs is judged.
                Some(_) => {}
                None => agents.unknown.push(name.to_owned()),
            }
        }
        agents
    }

    /// The command that the first prints its version with.
    pub(super) fn first_version(&self) -> Option<Vec<String>> {
        let agent = self.known.first()?;
        Some(agent.command(&words(&agent.recipe.check.version)).iter().map(|&word| word.to_owned()).collect())
    }

    /// Asks each, and says of those nobody knows that they were not asked.
    fn each(&self, mut ask: impl FnMut(&Agent, &mut Tally)) -> Tally {
        let mut tally = Tally::default();
        for agent in &self.known {
            ask(agent, &mut tally);
        }
        for name in &self.unknown {
            tally.left_out(format!("{name}: its recipe is not known here"));
        }
        tally
    }

    /// Each prints the version that its label says.
    pub(super) fn version(&self, inside: &Inside) -> Outcome {
        let tally = self.each(|agent, tally| {
            let (name, args) = (&agent.recipe.name, words(&agent.recipe.check.version));
            if args.is_empty() {
                return tally.left_out(format!("{name}: its recipe does not say how to ask"));
            }
            match inside.run_as(&inside.alone.spec, &agent.command(&args), SHORT) {
                Err(why) => tally.fails(name, why.text()),
                Ok(said) => match judge_version(&said, &agent.version) {
                    Ok(evidence) => tally.holds(format!("{name}: {evidence}")),
                    Err(problem) => tally.fails(name, problem),
                },
            }
        });
        tally.outcome(checks::RUN_VERSION, "the image names no agent")
    }

    /// Each takes its own configuration.
    pub(super) fn config(&self, inside: &Inside) -> Outcome {
        let tally = self.each(|agent, tally| {
            let (name, args) = (&agent.recipe.name, words(&agent.recipe.check.config));
            if let Some((_, strict)) = STRICT.into_iter().find(|(known, _)| known == name) {
                let asks = |seen: &Seen| !seen.requests.is_empty();
                return match with_provider(inside, agent, &agent.command(strict), asks) {
                    Err(why) => tally.fails(name, why.text()),
                    Ok((_, seen)) if asks(&seen) => {
                        tally.holds(format!("{name}: `{}` asks its model", strict.join(" ")));
                    }
                    Ok((said, _)) => {
                        tally.fails(name, format!("it {}, having said `{}`", said.how(), said.last()));
                    }
                };
            }
            if args.is_empty() {
                return tally.left_out(format!("{name}: its recipe does not say how to ask"));
            }
            match with_provider(inside, agent, &agent.command(&args), |_| false) {
                Err(why) => tally.fails(name, why.text()),
                Ok((said, _)) => match judge_config(&said) {
                    Ok(()) => tally.holds(format!("{name}: `{}` {}", args.join(" "), said.how())),
                    Err(problem) => tally.fails(name, problem),
                },
            }
        });
        tally.outcome(checks::RUN_CONFIG, "the image names no agent")
    }

    /// Each runs a command that its model asks for, without asking anybody.
    pub(super) fn tool_call(&self, inside: &Inside) -> Outcome {
        let tally = self.each(|agent, tally| {
            let name = &agent.recipe.name;
            let Some(task) = agent.task() else {
                return tally.left_out(format!("{name}: how it is given a task is not known"));
            };
            match with_provider(inside, agent, &task, |seen| seen.proved) {
                Err(why) => tally.fails(name, why.text()),
                Ok((said, seen)) => match judge_call(&said, &seen) {
                    Ok(evidence) => tally.holds(format!("{name}: {evidence}")),
                    Err(problem) => tally.fails(name, problem),
                },
            }
        });
        tally.outcome(checks::RUN_TOOL_CALL, "the image names no agent")
    }
}

/// Runs an agent with a stand-in for its provider, until `enough` holds of what that has seen.
fn with_provider(
    inside: &Inside,
    agent: &Agent,
    args: &[&str],
    enough: impl Fn(&Seen) -> bool,
) -> Result<(Said, Seen), Why> {
    let spec = inside
        .alone
        .with_agent(&agent.recipe, Scheme::Http)
        .map_err(|error| Why::Sandbox(one_line(&error)))?;
    let provider = inside.provider().map_err(Why::Sandbox)?;
    let said = inside.follow(&spec, args, LONG, Some(&provider), &|| provider.has(&enough))?;
    Ok((said, provider.seen()))
}

/// Whether `version` stands in the text as a word of its own.
fn has_version(text: &str, version: &str) -> bool {
    let part = |letter: char| letter.is_ascii_alphanumeric() || ".-+_".contains(letter);
    !version.is_empty()
        && text.split(|letter: char| !part(letter)).any(|word| {
            let word = word.trim_end_matches(['.', '-']);
            word == version || word.strip_prefix('v') == Some(version)
        })
}

fn judge_version(said: &Said, version: &str) -> Result<String, String> {
    let line = said.line();
    if !said.succeeded() {
        return Err(format!("it {}, having said `{}`", said.how(), said.last()));
    }
    if has_version(&said.output, version) || has_version(&said.errors, version) {
        Ok(line)
    } else {
        Err(format!("it printed `{line}`; the image's label says {version}"))
    }
}

fn judge_config(said: &Said) -> Result<(), String> {
    let refused = [&said.errors, &said.output].into_iter().find_map(|text| {
        text.lines().find(|line| {
            let line = line.to_ascii_lowercase();
            REFUSALS.iter().any(|refusal| line.contains(refusal))
        })
    });
    match refused {
        Some(line) => Err(super::inside::first_line(line).unwrap_or_default()),
        None if said.succeeded() => Ok(()),
        None => Err(format!("it {}, having said `{}`", said.how(), said.last())),
    }
}

fn judge_call(said: &Said, seen: &Seen) -> Result<String, String> {
    let end = || format!("it {}, having said `{}`", said.how(), said.last());
    match seen {
        seen if seen.proved => Ok("the command ran and its output came back".into()),
        seen if seen.requests.is_empty() => Err(format!("it asked no model: {}", end())),
        seen if seen.asked => Err(format!("the command did not run: {}", end())),
        _ => Err(format!("it offered its model no shell: {}", end())),
    }
}

#[cfg(test)]
mod tests {
    use pinfold_sandbox::Ended;
    use pinfold_sandbox::Exit;

    use super::*;

    fn said(output: &str, errors: &str, code: u8) -> Said {
        Said { ended: Ended::Exit(Exit::Code(code)), output: output.into(), errors: errors.into() }
    }

    /// The lines are those of facts about the agents: each as it is printed.
    #[test]
    fn a_version_is_a_whole_word_of_what_is_printed() {
        for (line, version, holds) in [
            ("2.1.329 (Claude Code)", "2.1.329", true),
            ("codex-cli 0.169.0", "0.169.0", true),
            ("v22.23.3", "22.23.3", true),
            ("1.18.33", "1.18.3", false),
            ("11.18.3", "1.18.3", false),
            ("1.18.3-beta", "1.18.3", false),
            ("version 1.18.3.", "1.18.3", true),
            ("1.18.3", "", false),
        ] {
            assert_eq!(judge_version(&said(line, "", 0), version).is_ok(), holds, "{line} {version}");
        }
        assert!(judge_version(&said("1.0", "", 1), "1.0").is_err());
        assert!(judge_version(&said("", "1.0", 0), "1.0").is_ok());
    }

    #[test]
    fn a_configuration_that_is_told_of_is_not_taken() {
        assert_eq!(judge_config(&said("all well", "", 0)), Ok(()));
        assert!(
            judge_config(&said("", "Invalid configuration in /home/u/.gemini/settings.json", 0)).is_err()
        );
        assert!(judge_config(&said("", "error: unknown key", 1)).is_err());
    }

    #[test]
    fn a_call_is_proved_by_its_output_alone() {
        let seen = |requests: usize, asked, proved| Seen {
            requests: vec!["POST /v1/messages".into(); requests],
            asked,
            proved,
            ..Seen::default()
        };
        let done = said("the work is done", "", 0);
        assert!(judge_call(&done, &seen(2, true, true)).is_ok());
        for (seen, part) in [
            (seen(0, false, false), "no model"),
            (seen(2, true, false), "did not run"),
            (seen(1, false, false), "no shell"),
        ] {
            assert!(judge_call(&done, &seen).unwrap_err().contains(part));
        }
    }

    #[test]
    fn agents_are_those_of_the_labels_and_each_built_in_one_has_a_task() {
        let labels = BTreeMap::from([
            (format!("{AGENT_LABEL}claude-code"), "1".to_owned()),
            (format!("{AGENT_LABEL}node"), "22".to_owned()),
            (format!("{AGENT_LABEL}mine"), "1".to_owned()),
            ("title".to_owned(), "x".to_owned()),
        ]);
        let agents = Agents::of(&labels, &[]);
        assert_eq!(agents.known.len(), 1);
        assert_eq!(agents.unknown, ["mine"]);
        for recipe in Recipe::built_in_agents() {
            let agent = Agent { recipe: recipe.clone(), version: String::new() };
            assert!(agent.task().is_some(), "{}", recipe.name);
            assert!(!recipe.check.version.is_empty() && !recipe.check.config.is_empty(), "{}", recipe.name);
        }
    }
}
