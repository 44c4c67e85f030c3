//! This program as a file that carries an image (`pinfold pack`): what is said to it, and how it goes on.
//!
//! ```text
//! FILE words, DIRECTORY/run.sh words (`pinfold portable DIRECTORY -- words`)
//!     ─► about it: done here ([`about`])
//!     ─► a run, a verb: a place for what is kept, the program without the image there for processes that are started ([`go_on`]),
//!        and pinfold's own words: `run --image appimage:FILE …`
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

use fs_err as fs;
use pinfold_base::Home;
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
use self::words::View;
use crate::Words;
use crate::commands::Outcome;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Where this program is.
const OWN: &str = "/proc/self/exe";

/// What comes of what was said to a file.
#[derive(Debug)]
pub(crate) enum Said {
    /// It was about the file, and is done.
    Done(ExitCode),
    /// Words for pinfold.
    Words(Box<Words>),
}

/// What is done by a file that carries an image; nothing by the program alone.
pub(crate) fn carried() -> Option<Result<Said, Failure>> {
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
fn begin(file: fs::File) -> Result<Said, Failure> {
    let path = fs::read_link(OWN).map_err(pinfold_image::ImageError::from)?;
    let portable = Portable::of(file, &path.display().to_string())?;
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    render::called::is(&called);
    let called = Path::new(&called).file_name().unwrap_or_default();
    said(&portable, &path, called, &words.collect::<Vec<_>>())
}

/// What is said to a file that was called by this name.
fn said(portable: &Portable, path: &Path, called: &OsStr, words: &[OsString]) -> Result<Said, Failure> {
    let asked = Asked::of(words, &portable.index().agents).map_err(PortableVerbError::from)?;
    let done = match asked {
        Asked::AppImage(asked) => about::contract(&asked, portable, path),
        Asked::Info => Ok(about::info(portable)),
        Asked::Verify => about::verify(portable),
        Asked::Extract(directory) => about::extract(portable, Path::new(&directory), None),
        Asked::Install => about::install(portable, path),
        Asked::Uninstall => about::uninstall(portable, path),
        Asked::Help => Ok(help(portable)),
        Asked::Pinfold(words) => return go_on(portable, path, Words::of_shell(called, words)),
        Asked::Run(run) => {
            let words = run_words(portable, path, called, run)?;
            return go_on(portable, path, Words::of_file(called, words));
        }
    };
    done.map(Said::Done)
}

/// Goes on with a program without the image, which a place of this user keeps, for all that is executed from here on. Words that mean
/// nothing are told before that.
fn go_on(portable: &Portable, path: &Path, words: Words) -> Result<Said, Failure> {
    let Ok(args) = &words.args else { return Ok(Said::Words(Box::new(words))) };
    let environment: Environment = std::env::vars_os().collect::<Environment>().with_account();
    let workspace = args.command.isolated_workspace();
    let needed = |folders: &Home| portable::needed(portable, folders);
    let place = portable::place(&environment, path, workspace.as_deref(), needed)?;
    // Noted first, so that nobody takes the program away meanwhile.
    portable::started(place.folders.data(), portable, path).map_err(pinfold_image::ImageError::from)?;
    let program = portable::program(portable, &place.folders)?;
    let mut more: Vec<(OsString, OsString)> = Vec::new();
    if portable.form() == Form::AppImage {
        more.push(("APPIMAGE".into(), path.into()));
    }
    if let Ok(here) = std::env::current_dir() {
        more.push(("OWD".into(), here.into()));
    }
    more.extend(place.home.map(|home| ("PINFOLD_HOME".into(), home.into())));
    // AppArmor goes by what was executed: the file, or the program in its directory.
    let executed = if path.is_dir() { path.join("pinfold") } else { path.to_owned() };
    pinfold_sandbox::goes_on(&executed, &program, &more)?;
    Ok(Said::Words(Box::new(words)))
}

/// Run what a directory carries; its `run.sh` calls this
#[derive(Debug, clap::Args)]
pub(crate) struct PortableArgs {
    /// The directory of a tar, or a file
    file: PathBuf,
    /// What it was called as
    #[arg(long = "as", value_name = "NAME")]
    called: Option<OsString>,
    /// What was said to it
    #[arg(last = true)]
    words: Vec<OsString>,
}

/// What is said to a directory, or to a file by another program.
pub(crate) fn run(args: &PortableArgs) -> Outcome {
    let portable = Portable::open(&args.file)?;
    if portable.form() == Form::Tar {
        return Err(PortableVerbError::Packed(args.file.clone()).into());
    }
    let path = std::path::absolute(&args.file).map_err(pinfold_image::ImageError::from)?;
    let starts = if portable.form() == Form::Folder { path.join("run.sh") } else { path.clone() };
    render::called::is(starts.as_os_str());
    match said(&portable, &path, args.called.as_deref().unwrap_or_default(), &args.words)? {
        Said::Done(code) => Ok(code),
        Said::Words(words) => Ok(crate::go(*words)),
    }
}

/// A run as `pinfold run` has it.
fn run_words(portable: &Portable, file: &Path, called: &OsStr, run: Run) -> Result<Vec<OsString>, Failure> {
    let mut place = OsString::from("appimage:");
    place.push(file);
    let mut words: Vec<OsString> = ["run", "--image"].map(OsString::from).into();
    words.push(place);
    words.extend(["--env", "CLAUDE_SANDBOXED=1"].map(OsString::from));
    if run.view == Some(View::Mirror) {
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
    // A link that is called like an agent means it.
    let agents = &portable.index().agents;
    let linked = agents.iter().find(|agent| called == agent.as_str());
    words.extend(run.agent.or(linked.or(agents.first()).map(OsString::from)));
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
