//! This program as a file that carries an image (`pinfold pack`): what is said to it, and how it goes on.
//!
//! ```text
//! FILE words, DIRECTORY/run.sh words (`pinfold portable DIRECTORY -- words`)
//!     ─► about it: done here ([`about`])
//!     ─► a run, a verb: a place for what is kept, the program without the image there, and that, as
//!        `pinfold portable FILE --placed -- words` ([`run`]) ─► `pinfold run --image appimage:FILE …`
//! ```
//!
//! A program without `AI\x02` at byte 8 looks at these three bytes and is pinfold.

mod about;
mod error;
mod share;
mod words;

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use fs_err as fs;
use pinfold_base::shown;
use pinfold_engine::context::Environment;
use pinfold_engine::portable;
use pinfold_image::portable::Form;
use pinfold_image::portable::MAGIC;
use pinfold_image::portable::MAGIC_AT;
use pinfold_image::portable::Portable;

use self::error::PortableVerbError;
use self::words::Asked;
use self::words::Run;
use crate::args::Args;
use crate::commands;
use crate::commands::Outcome;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Where this program is.
const OWN: &str = "/proc/self/exe";

/// What is done by a file that carries an image; nothing by the program alone.
pub(crate) fn carried() -> Option<Outcome> {
    let file = match fs::File::open(OWN) {
        // It may be pinfold alone, which need not be read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            render::note(
                "the file of this program may not be read: if it carries an image, `chmod +r` it, or that is not seen",
            );
            return None;
        }
        opened => opened.ok()?,
    };
    let mut magic = [0; 3];
    file.file().read_exact_at(&mut magic, MAGIC_AT).ok()?;
    (magic == MAGIC).then(|| begin(file))
}

/// The file itself, started.
fn begin(file: fs::File) -> Outcome {
    let path = fs::read_link(OWN).map_err(pinfold_image::ImageError::from)?;
    let portable = Portable::of(file, &path.display().to_string())?;
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    said(&portable, &path, &called, &words.collect::<Vec<_>>())
}

/// What is said to it, before anything is kept anywhere.
fn said(portable: &Portable, path: &Path, called: &OsStr, words: &[OsString]) -> Outcome {
    match Asked::of(words, &portable.index().agents).map_err(PortableVerbError::from)? {
        Asked::AppImage(asked) => about::contract(&asked, portable, path),
        Asked::Info => Ok(about::info(portable)),
        Asked::Verify => about::verify(portable),
        Asked::Extract(directory) => about::extract(portable, Path::new(&directory), None),
        Asked::Install => about::install(portable, path),
        Asked::Uninstall => about::uninstall(portable, path),
        Asked::Help => Ok(help(portable)),
        Asked::Pinfold(_) | Asked::Run(_) => go_on(portable, path, called, words),
    }
}

/// Goes on as the program without the image, which a place of this user keeps. Comes back only where that fails.
fn go_on(portable: &Portable, path: &Path, called: &OsStr, words: &[OsString]) -> Outcome {
    let environment: Environment = std::env::vars_os().collect::<Environment>().with_account();
    let index = portable.index();
    let place = portable::place(&environment, path, |folders| portable::needed(portable, folders))?;
    // Noted first, so that nobody takes the program away meanwhile.
    portable::started(place.folders.data(), portable, path).map_err(pinfold_image::ImageError::from)?;
    let program = portable::program(portable, &place.folders)?;
    let mut arguments: Vec<OsString> = vec!["portable".into(), path.into(), "--placed".into()];
    // A link that is called like an agent means it.
    let called = Path::new(called).file_name().unwrap_or_default();
    if index.agents.iter().any(|agent| called == agent.as_str()) {
        arguments.extend(["--as".into(), called.to_owned()]);
    }
    arguments.push("--".into());
    arguments.extend(words.iter().cloned());
    let mut more: Vec<(OsString, OsString)> = Vec::new();
    if portable.form() == Form::AppImage {
        more.push(("APPIMAGE".into(), path.into()));
    }
    if let Ok(here) = std::env::current_dir() {
        more.push(("OWD".into(), here.into()));
    }
    more.extend(place.home.map(|home| ("PINFOLD_HOME".into(), home.into())));
    Err(pinfold_sandbox::become_program(&program, called, &arguments, &more).into())
}

/// Run what a file or a directory carries; it itself calls this
#[derive(Debug, clap::Args)]
pub(crate) struct PortableArgs {
    /// The file, or the directory of a tar
    file: PathBuf,
    /// What it was called as
    #[arg(long = "as", value_name = "NAME")]
    called: Option<OsString>,
    /// Where things are kept has been decided, and this is the program there
    #[arg(long)]
    placed: bool,
    /// What was said to it
    #[arg(last = true)]
    words: Vec<OsString>,
}

/// What is said to a directory; and to either, by the program that it became.
pub(crate) fn run(args: &PortableArgs) -> Outcome {
    let portable = Portable::open(&args.file)?;
    if portable.form() == Form::Tar {
        return Err(PortableVerbError::Packed(args.file.clone()).into());
    }
    if !args.placed {
        let path = std::path::absolute(&args.file).map_err(pinfold_image::ImageError::from)?;
        return said(&portable, &path, args.called.as_deref().unwrap_or_default(), &args.words);
    }
    // AppArmor goes by what was executed: the file, or the program in its directory.
    let executed = if args.file.is_dir() { args.file.join("pinfold") } else { args.file.clone() };
    pinfold_sandbox::probe::started_from(&executed);
    let words = match Asked::of(&args.words, &portable.index().agents).map_err(PortableVerbError::from)? {
        Asked::Pinfold(words) => words,
        Asked::Run(run) => run_words(&portable, &args.file, args.called.as_deref(), run)?,
        _ => return Ok(help(&portable)),
    };
    let words = std::iter::once(OsString::from("pinfold")).chain(words);
    match Args::try_parse_from(words) {
        Ok(args) => commands::run(args),
        Err(error) => Ok(crate::mistaken(&error)),
    }
}

/// A run as `pinfold run` has it.
fn run_words(
    portable: &Portable,
    file: &Path,
    called: Option<&OsStr>,
    run: Run,
) -> Result<Vec<OsString>, Failure> {
    let mut place = OsString::from("appimage:");
    place.push(std::path::absolute(file).map_err(pinfold_image::ImageError::from)?);
    let mut words: Vec<OsString> = ["run", "--image"].map(OsString::from).into();
    words.push(place);
    words.extend(["--env", "CLAUDE_SANDBOXED=1"].map(OsString::from));
    if run.mirror {
        render::note("mirror: the agent sees your whole home and can change all of it");
        words.extend(["--mode", "mirror"].map(OsString::from));
    }
    let environment = std::env::vars_os().collect::<Environment>().with_account();
    for name in &run.share {
        words.extend(share::words(name, &environment)?);
    }
    if !run.options.iter().any(|word| word.as_encoded_bytes().starts_with(b"--name")) {
        words.push("--keep-home".into());
    }
    words.extend(run.options);
    let first = portable.index().agents.first().map(OsString::from);
    words.extend(run.agent.or(called.map(OsStr::to_owned)).or(first));
    words.push("--".into());
    words.extend(run.words);
    Ok(words)
}

/// How a file is used.
fn help(portable: &Portable) -> ExitCode {
    let index = portable.index();
    let name = &index.name;
    let mut page = Page::default();
    let agent = index.agents.first().map_or("its program", String::as_str);
    page.line(shown!(
        "{name}: {agent} on the current directory, isolated. It needs nothing else on this machine."
    ));
    page.blank();
    page.lines(&format!(
        "Usage: {name} [OPTIONS] [--] [WORDS OF THE AGENT]…\n\n\
         Options are read up to the first word that is none; all that follows is the agent's.\n\n  \
         -h, --help             this help; `-- --help` asks the agent\n  \
         -i, --isolated         see the workspace and what is named (so unless said)\n  \
         -m, --mirror           see your whole home, for work that you trust\n  \
         -w, --workspace DIR    work on DIR instead of the current directory\n  \
         -v, --volume MOUNT     SOURCE[:TARGET][:ro|rw], read-only unless said\n      \
         --allow HOST       let the agent reach this host, too\n      \
         --network HOW      none, proxy or host\n      \
         --key SOURCE       where the provider's key comes from; it stays outside\n      \
         --share NAME       share something of your home, see below\n      \
         --agent NAME       of several agents, this one; so does NAME as the first word, and a link of that name\n      \
         --env, --memory, --cpus, --name: as `pinfold run` has them"
    ));
    page.blank();
    page.table(&share::table());
    page.blank();
    page.lines(
        "About the file:\n  \
         --pinfold-info, --pinfold-verify, --pinfold-extract DIR, --pinfold-install, --pinfold-uninstall\n  \
         --pinfold VERB …       pinfold itself, such as `--pinfold ps`, `--pinfold doctor`\n  \
         --appimage-help        the contract of AppImages",
    );
    if index.agents.len() > 1 {
        page.blank();
        page.line(shown!("Agents: {}", index.agents.join(", ")));
    }
    render::out(&page);
    ExitCode::SUCCESS
}
