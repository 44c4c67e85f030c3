//! `cargo xtask worker`: the program of sealed images for both platforms, `target/workers/linux-ARCH/sandbox` with its SHA-256 beside
//! it. Compilers: [`cross`].
//!
//! **Guarantees**: static (no interpreter is named in it), at most [`SIZE`] bytes, one compiler for all platforms, and the same bytes
//! from any directory: paths in it begin with names of ours. It says its version, under qemu-user where it is of another machine.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_archive::elf;
use pinfold_base::Digest;
use pinfold_base::Platform;

use crate::cross;
use crate::cross::Asked;
use crate::say;

/// Bytes of a worker, at most.
const SIZE: usize = 2_000_000;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {
    /// Where the programs go: `DIR/linux-arm64/sandbox` and so on
    #[arg(long, value_name = "DIR", default_value = "target/workers")]
    output: PathBuf,
    /// Only these platforms
    #[arg(long, value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Make the worker's own tests with each program, under qemu-user where it is of another machine
    #[arg(long = "try")]
    tries: bool,
}

impl Default for WorkerArgs {
    fn default() -> Self {
        Self { output: "target/workers".into(), platform: Vec::new(), tries: false }
    }
}

/// Builds what was asked for.
pub(crate) fn run(args: &WorkerArgs) -> Result<(), String> {
    let output = crate::root().join(&args.output);
    let platforms = if args.platform.is_empty() { Platform::ALL.to_vec() } else { args.platform.clone() };
    let compiler = cross::compiler(&platforms)?;
    let flags = remaps()?;
    let asked = Asked { package: "pinfold-worker", profile: "worker", flags: &flags, variables: Vec::new() };
    let said = |error: std::io::Error| error.to_string();
    for platform in platforms {
        let built = compiler.build(platform, &asked)?.join("pinfold-worker");
        let bytes = fs::read(&built).map_err(said)?;
        check(platform, &bytes).map_err(|why| format!("{}: {why}", built.display()))?;
        let folder = output.join(format!("linux-{}", platform.arch.oci()));
        fs::create_dir_all(&folder).map_err(said)?;
        let program = folder.join("sandbox");
        // In the place of one that may be running.
        let new = folder.join(".sandbox.new");
        fs::copy(&built, &new).and_then(|_| fs::rename(&new, &program)).map_err(said)?;
        let digest = Digest::sha256(&bytes);
        let line = format!("{}  sandbox\n", digest.to_string().trim_start_matches("sha256:"));
        fs::write(folder.join("sandbox.sha256"), line).map_err(said)?;
        let version = cross::printed(cross::starting(platform, &program).arg("--version"))?;
        say(&format!("{}: {}, {} bytes, {digest}", program.display(), version.trim(), bytes.len()));
        if args.tries {
            tries(platform, &program)?;
        }
    }
    Ok(())
}

/// The worker's tests against a stand-in for the model, with this program in the place of the one that cargo builds.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn tries(platform: Platform, program: &Path) -> Result<(), String> {
    let started = cross::starting(platform, program);
    let words: Vec<String> = std::iter::once(started.get_program())
        .chain(started.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut tests = std::process::Command::new("cargo");
    tests.current_dir(crate::root()).env("PINFOLD_TEST_WORKER", words.join(" "));
    let status = tests.args(["test", "--package", "pinfold-worker", "--test", "worker"]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the worker for {platform} fails its tests: {status}")),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

/// What keeps paths of this machine out of the program: of the project, of the sources of crates.
fn remaps() -> Result<Vec<String>, String> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").ok_or("neither CARGO_HOME nor HOME is set")?)
            .join(".cargo"),
    };
    let root = crate::root();
    let pairs: [(&Path, &str); 2] = [(&root, "/pinfold"), (&home, "/cargo")];
    Ok(pairs.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect())
}

/// That a program is a worker that an image of the platform can have.
fn check(platform: Platform, bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > SIZE {
        return Err(format!("{} bytes, more than {SIZE}", bytes.len()));
    }
    let elf = elf::parse(bytes).ok_or("it is no ELF file")?;
    if elf.machine != platform.arch.elf_machine() {
        return Err(format!("it is for machine {}, not for {platform}", elf.machine));
    }
    if elf.interpreter.is_some() || !elf.needed.is_empty() {
        return Err("it is not static".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test itself is no worker: too large, or of another machine, or not static.
    #[test]
    fn what_is_no_worker_is_refused() {
        assert!(check(Platform::ALL[0], b"#!/bin/sh\n").is_err());
        assert!(check(Platform::ALL[0], &vec![0; SIZE + 1]).unwrap_err().contains("more than"));
    }
}
