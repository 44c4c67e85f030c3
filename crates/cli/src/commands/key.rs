//! `pinfold key`: keys to sign images with.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_engine::ship::key;
use pinfold_image::sign::PublicKey;
use serde::Serialize;

use super::Outcome;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;

/// Make keys to sign images with, and show their public part
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Write a new private key to a file that is not there yet, readable by you alone, and print its public key
    Generate(FileArgs),
    /// Print the public key of a private key
    Public(FileArgs),
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// The file with the private key (PKCS#8 in PEM)
    file: PathBuf,
}

#[derive(Serialize)]
struct Told<'a> {
    public: &'a str,
    hint: String,
}

pub(crate) fn run(args: &KeyArgs, global: Global) -> Outcome {
    let public = match &args.verb {
        Verb::Generate(args) => key::generate(&args.file)?,
        Verb::Public(args) => key::public(&args.file)?,
    };
    tell(&public, global);
    Ok(ExitCode::SUCCESS)
}

fn tell(key: &PublicKey, global: Global) {
    let pem = key.to_pem();
    if global.json {
        render::json(&Told { public: &pem, hint: key.hint() });
    } else {
        let mut page = Page::default();
        page.lines(&pem);
        render::out(&page);
    }
}
