//! `pinfold diff`: what differs between two images or two locks.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_engine::context::Context;
use pinfold_engine::describe::diff::image;
use pinfold_engine::describe::diff::image::Of;
use pinfold_engine::describe::diff::image::Paths;
use pinfold_engine::describe::diff::lock;
use pinfold_engine::describe::lock::find;
use pinfold_engine::project::lock::Lock;
use pinfold_engine::project::lock::LockError;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::differences;
use crate::render::document::Document;

/// How a lock is told from an image.
const LOCK: &str = "lock:";
/// The largest lock that is read from standard input, in bytes.
const MAX: u64 = 64 << 20;

/// Tell what differs between two images, or two locks: packages, files, configuration, sizes, install scripts
///
/// Exits with 0 where nothing differs and 1 where something does, as diff(1).
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// An image in any place (as of `inspect`), or a lock: a file that ends in .lock, lock:FILE, or lock:- for standard input
    #[arg(add = complete::images())]
    from: String,
    /// The same; of the kind that the first one is
    #[arg(add = complete::images())]
    to: String,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Compare this platform only
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// List each path that differs, not only how many of each component do
    #[arg(long)]
    files: bool,
    /// Print Markdown, as the text of a pull request
    #[arg(long)]
    markdown: bool,
}

/// One of the two.
enum Side {
    Image,
    Lock(Box<Lock>),
}

pub(crate) fn run(args: &DiffArgs, global: Global) -> Outcome {
    let context = super::context(global, args.downloads)?;
    let (document, differs) = match (side(&args.from)?, side(&args.to)?) {
        (Side::Lock(from), Side::Lock(to)) => {
            let difference = lock::locks(&from, &to, args.platform);
            if global.json {
                render::json(&difference);
                return Ok(code(!difference.is_empty()));
            }
            (differences::of_locks(&difference), !difference.is_empty())
        }
        (Side::Image, Side::Image) => {
            let found = images(&context, args);
            context.tell_damage();
            let difference = found?;
            if global.json {
                render::json(&difference);
                return Ok(code(!difference.is_empty()));
            }
            (differences::of_images(&difference), !difference.is_empty())
        }
        _ => {
            return Err(Failure::usage(
                "an image and a lock cannot be compared",
                "name two images, or two locks (a file that ends in .lock, or lock:FILE)",
            ));
        }
    };
    show(&document, args);
    Ok(code(differs))
}

fn show(document: &Document, args: &DiffArgs) {
    render::out(&if args.markdown { document.markdown() } else { document.page() });
}

fn code(differs: bool) -> ExitCode {
    if differs { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn images(context: &Context, args: &DiffArgs) -> Result<image::Difference, Failure> {
    let (from, to) = (super::looked_at(context, &args.from)?, super::looked_at(context, &args.to)?);
    let locks = (find(context, &from, None)?, find(context, &to, None)?);
    let paths = if args.files { Paths::Listed } else { Paths::Counted };
    let (from, to) =
        (Of { source: &from, lock: locks.0.as_ref() }, Of { source: &to, lock: locks.1.as_ref() });
    Ok(image::images(context, from, to, args.platform, paths)?)
}

/// What is meant by a word.
fn side(word: &str) -> Result<Side, Failure> {
    let file = match word.strip_prefix(LOCK) {
        Some("-") => return Ok(Side::Lock(Box::new(typed()?))),
        Some(file) => Path::new(file),
        // No image is called so by anybody who does not mean a file.
        None if Path::new(word).extension().is_some_and(|end| end == "lock") => Path::new(word),
        None => return Ok(Side::Image),
    };
    let lock = Lock::load(file)?.ok_or_else(|| {
        Failure::usage(
            pinfold_base::shown!("there is no lock `{}`", file.display()),
            "`git show REVISION:pinfold.lock | pinfold diff lock:- pinfold.lock` compares with an older one",
        )
    })?;
    Ok(Side::Lock(Box::new(lock)))
}

/// A lock from standard input.
fn typed() -> Result<Lock, LockError> {
    let mut bytes = Vec::new();
    std::io::stdin().take(MAX + 1).read_to_end(&mut bytes)?;
    let file = Path::new("standard input");
    let wrong = |message: &str| LockError::Format { file: file.to_owned(), message: message.to_owned() };
    if bytes.len() as u64 > MAX {
        return Err(wrong("it is larger than 64 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
    Lock::parse(&text, file)
}
