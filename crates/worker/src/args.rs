//! The command line: flags only, nothing of the environment. Pure.
//!
//! **Refuses** a flag that is not known, twice or without its value, and values that could be something else in a path or a head.

use crate::provider::Provider;

/// What the worker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Args {
    /// The sandbox's name, which each message is bound to.
    pub(crate) id: String,
    /// Whose shapes requests have.
    pub(crate) provider: Provider,
    /// The model.
    pub(crate) model: String,
    /// The route's name: `RUN/model/ROUTE.sock`.
    pub(crate) route: String,
    /// A file with words for the system prompt.
    pub(crate) persona: Option<String>,
    /// Rounds of tools in a turn, at most.
    pub(crate) max_rounds: u32,
    /// Tokens of an answer, at most.
    pub(crate) max_tokens: Option<u32>,
    /// Whether programs may be started.
    pub(crate) exec: Exec,
    /// The queues: `in` and `out` below it.
    pub(crate) queue: String,
    /// The key's file.
    pub(crate) key: String,
    /// The folder of the model's sockets.
    pub(crate) run: String,
    /// The workspace.
    pub(crate) workspace: String,
    /// What the worker remembers, read-write.
    pub(crate) memory: String,
    /// What several workers are shown, read-only.
    pub(crate) shared: String,
}

/// Whether the model may start programs of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exec {
    /// There is no tool for it.
    Off,
    /// By the tool `exec`.
    Enabled,
}

/// What `--help` prints.
pub const HELP: &str = "sandbox: the worker of a sealed sandbox of pinfold\n\n\
  --id NAME --provider anthropic|openai|openai-chat|gemini --model NAME --route NAME\n\
  [--persona FILE] [--max-rounds 8] [--max-tokens N] [--enable exec]\n\
  [--queue /queue] [--key /run/pinfold/session.key] [--run /run/pinfold] [--workspace /workspace]\n\
  [--memory /memory] [--shared /shared]\n\n\
Exit codes: 0 stopped, 64 usage, 65 queue damaged, 69 provider, 70 bug, 75 start me again, 77 no key\n";

/// Rounds of tools where nothing is said.
const ROUNDS: u32 = 8;
/// Rounds that can be asked for.
const ROUNDS_MAX: u32 = 1000;

/// Reads the arguments behind the program's name; what is wrong with them.
pub(crate) fn parse(words: &[String]) -> Result<Args, String> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, value),
            None => (word, words.next().ok_or_else(|| format!("`{}` needs a value", word.escape_debug()))?),
        };
        let flag = FLAGS
            .iter()
            .find(|known| **known == flag)
            .ok_or_else(|| format!("`{}` is no flag: see `--help`", flag.escape_debug()))?;
        if found.iter().any(|(before, _)| before == flag) {
            return Err(format!("`{flag}` is there twice"));
        }
        if value.is_empty() || value.len() > 4096 || value.chars().any(char::is_control) {
            return Err(format!("`{flag}` has a value that is none"));
        }
        found.push((flag, value));
    }
    let get = |flag: &str| found.iter().find(|(name, _)| *name == flag).map(|(_, value)| *value);
    let need = |flag: &str| get(flag).ok_or_else(|| format!("`{flag}` is needed: see `--help`"));
    let path = |flag: &str, otherwise: &str| {
        let value = get(flag).unwrap_or(otherwise);
        if value.starts_with('/') {
            Ok(value.to_owned())
        } else {
            Err(format!("`{flag}` is no absolute path"))
        }
    };
    let number = |flag: &str| {
        get(flag)
            .map(|value| value.parse::<u32>().ok().filter(|number| *number > 0).ok_or(value))
            .transpose()
            .map_err(|value| format!("`{flag}` is no number above 0: `{}`", value.escape_debug()))
    };
    let provider = need("--provider")?;
    let provider = Provider::named(provider).ok_or_else(|| {
        format!(
            "`--provider` is one of anthropic, openai, openai-chat and gemini, not `{}`",
            provider.escape_debug()
        )
    })?;
    let route = need("--route")?;
    if route.contains('/') || route.starts_with('.') || route.len() > 64 {
        return Err("`--route` is no name of a route".into());
    }
    let exec = match get("--enable") {
        None => Exec::Off,
        Some("exec") => Exec::Enabled,
        Some(_) => return Err("`--enable` knows exec alone".into()),
    };
    Ok(Args {
        id: need("--id")?.to_owned(),
        provider,
        model: need("--model")?.to_owned(),
        route: route.to_owned(),
        persona: get("--persona").map(str::to_owned),
        max_rounds: number("--max-rounds")?.unwrap_or(ROUNDS).min(ROUNDS_MAX),
        max_tokens: number("--max-tokens")?,
        exec,
        queue: path("--queue", "/queue")?,
        key: path("--key", "/run/pinfold/session.key")?,
        run: path("--run", "/run/pinfold")?,
        workspace: path("--workspace", "/workspace")?,
        memory: path("--memory", "/memory")?,
        shared: path("--shared", "/shared")?,
    })
}

const FLAGS: [&str; 14] = [
    "--id",
    "--provider",
    "--model",
    "--route",
    "--persona",
    "--max-rounds",
    "--max-tokens",
    "--enable",
    "--queue",
    "--key",
    "--run",
    "--workspace",
    "--memory",
    "--shared",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Args, String> {
        parse(&text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>())
    }

    const NEEDED: &str = "--id w1 --provider gemini --model=m/1 --route google";

    #[test]
    fn what_is_not_said_has_the_paths_of_the_image() {
        let args = parsed(NEEDED).unwrap();
        assert_eq!((args.id.as_str(), args.provider, args.model.as_str()), ("w1", Provider::Gemini, "m/1"));
        assert_eq!((args.max_rounds, args.max_tokens, args.exec), (8, None, Exec::Off));
        assert_eq!(
            [&args.queue, &args.key, &args.run, &args.workspace, &args.memory, &args.shared],
            ["/queue", "/run/pinfold/session.key", "/run/pinfold", "/workspace", "/memory", "/shared"]
        );
        let args =
            parsed(&format!("{NEEDED} --max-rounds 3 --max-tokens=9 --enable exec --queue /q")).unwrap();
        assert_eq!(
            (args.max_rounds, args.max_tokens, args.exec, args.queue.as_str()),
            (3, Some(9), Exec::Enabled, "/q")
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for more in [
            "--id w2",
            "--queue q",
            "--max-rounds 0",
            "--max-rounds -1",
            "--enable sh",
            "--what x",
            "word",
            "--max-tokens",
            "--persona=",
            "--run ../x",
            "--model m\x01",
        ] {
            assert!(parsed(&format!("{NEEDED} {more}")).is_err(), "{more}");
        }
        for text in [
            "",
            "--id w1",
            "--id w1 --provider other --model m --route r",
            "--id w --provider openai --model m --route a/b",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
