//! `cargo xtask isolation`: the list of attacks in started sandboxes, in every runtime and, as root, for both users; with
//! `--write` also the table in `docs/isolation.md`.

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct IsolationArgs {
    /// Write the table of results (needs root, runc and runsc) instead of comparing it
    #[arg(long)]
    write: bool,
}

/// Runs the rows.
pub(crate) fn run(args: &IsolationArgs) -> Result<(), String> {
    let mut words = vec!["test", "--package", "pinfold-sandbox", "--test", "isolation"];
    if args.write {
        words.extend(["--", "--write"]);
    }
    crate::test::step("isolation", "cargo", &words)
}
