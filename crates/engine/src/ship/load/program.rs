//! Another tool's program: found as credential helpers are, told what to do, and given an archive on its input.

use std::ffi::OsString;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::process::Stdio;

use pinfold_base::Shown;
use pinfold_image::ImageError;
use pinfold_network::HeldCommand;

use super::LoadError;
use crate::context::Context;
use crate::ship::error::ShipError;
use crate::ship::login;

/// Most of what a program says that is kept, in bytes, and of that what is told, in columns.
const MAX_SAID: u64 = 64 << 10;
const TOLD: usize = 600;
/// What is written to it at once, in bytes.
const BUFFER: usize = 256 << 10;

/// Variables that say whose storage is meant. Without one of them the program would go elsewhere.
const WHOSE: [&str; 3] = ["CONTAINER_HOST", "CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE"];

/// A program that was found.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    held: HeldCommand,
    variables: Vec<(OsString, OsString)>,
}

impl Program {
    /// Looks for it in the `PATH`.
    pub(super) fn find(context: &Context, name: &'static str) -> Result<Self, LoadError> {
        let held = HeldCommand::find(&[name.to_owned()], &login::around(context))
            .map_err(|error| LoadError::Program { program: name.to_owned(), reason: error.to_string() })?;
        let own = |(name, value): (&std::ffi::OsStr, &std::ffi::OsStr)| (name.to_owned(), value.to_owned());
        Ok(Self { name, held, variables: context.environment.all().map(own).collect() })
    }

    /// Runs it to its end: the last line that it prints.
    pub(super) fn run(&self, words: &[&str]) -> Result<String, ShipError> {
        self.output(words, |_| Ok(()))
    }

    /// Runs it to its end, with what `feed` writes for an input.
    pub(super) fn feed(
        &self,
        words: &[&str],
        feed: impl FnOnce(&mut dyn Write) -> Result<(), ShipError>,
    ) -> Result<(), ShipError> {
        self.output(words, feed).map(drop)
    }

    fn output(
        &self,
        words: &[&str],
        feed: impl FnOnce(&mut dyn Write) -> Result<(), ShipError>,
    ) -> Result<String, ShipError> {
        let cannot = |reason: String| LoadError::Program { program: self.name.to_owned(), reason };
        let mut command =
            self.held.command(self.variables.iter().cloned()).map_err(|error| cannot(error.to_string()))?;
        let is_left_out = |name: &&&str| {
            let is_set = self.variables.iter().any(|(set, value)| set == **name && !value.is_empty());
            is_set && !command.get_envs().any(|(given, value)| given == **name && value.is_some())
        };
        if let Some(name) = WHOSE.iter().find(is_left_out) {
            return Err(LoadError::Variable { name }.into());
        }
        command.args(words).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot(error.to_string()))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let said = std::thread::scope(|scope| {
            let out = scope.spawn(|| stdout.map_or_else(Vec::new, kept));
            let err = scope.spawn(|| stderr.map_or_else(Vec::new, kept));
            let fed = stdin.map_or(Ok(()), |stdin| {
                let mut stdin = BufWriter::with_capacity(BUFFER, stdin);
                feed(&mut stdin)?;
                stdin.flush().map_err(LoadError::from)?;
                Ok::<(), ShipError>(())
            });
            (fed, out.join().unwrap_or_default(), err.join().unwrap_or_default())
        });
        let status = child.wait().map_err(LoadError::from)?;
        let (fed, out, err) = said;
        if status.success() {
            return fed.map(|()| last(&out));
        }
        // One that goes away before its input ends has a reason, and only its own words tell which; what is wrong with the image
        // is told by the image.
        if let Err(error) = fed
            && !is_broken_pipe(&error)
        {
            return Err(error);
        }
        let said = if err.trim_ascii().is_empty() { out } else { err };
        let command = std::iter::once(self.name).chain(words.iter().copied()).collect::<Vec<_>>().join(" ");
        let said = Shown::new(&last(&said)).within(TOLD);
        Err(LoadError::Failed { command, status: status.to_string(), said }.into())
    }
}

/// Everything that comes, the last of it kept.
fn kept(mut from: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 8 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return kept,
            Ok(n) => {
                kept.extend_from_slice(&buffer[..n]);
                let over = kept.len().saturating_sub(usize::try_from(MAX_SAID).unwrap_or(usize::MAX));
                kept.drain(..over);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return kept,
        }
    }
}

/// The last line that says something.
fn last(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// Whether it only went away before its input ended.
fn is_broken_pipe(error: &ShipError) -> bool {
    let (ShipError::Image(ImageError::Io(error))
    | ShipError::Load(LoadError::Io(error))
    | ShipError::Io(error)) = error
    else {
        return false;
    };
    error.kind() == io::ErrorKind::BrokenPipe
}
