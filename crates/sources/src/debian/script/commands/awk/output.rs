//! Where awk writes: descriptor 1, files, and commands in pipes.

use super::machine::CONVFMT;
use super::machine::Done;
use super::machine::MAX_TEXT;
use super::machine::Machine;
use super::machine::OFMT;
use super::machine::OFS;
use super::machine::ORS;
use super::syntax::Expr;
use super::syntax::Output;
use super::value::Value;
use super::value::formatted;
use crate::debian::script::shell::Flow;
use crate::debian::script::world::Kept;

/// What is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File(Kept),
    Command,
}

impl Machine<'_, '_, '_> {
    pub(super) fn print(&mut self, what: &[Expr], to: Option<&Output>) -> Done<()> {
        let mut line = Vec::new();
        if what.is_empty() {
            line.extend_from_slice(&self.whole_record()?);
        }
        let (between, format) = (self.special(OFS), self.special(OFMT));
        for (index, value) in what.iter().enumerate() {
            if index > 0 {
                line.extend_from_slice(&between);
            }
            let text = self.value(value)?.bytes(&format);
            self.charge(line.len() + text.len())?;
            line.extend_from_slice(&text);
        }
        line.extend_from_slice(&self.special(ORS));
        self.write(&line, to)
    }

    /// `printf`'s and `sprintf`'s text.
    pub(super) fn format(&mut self, what: &[Expr]) -> Done<Vec<u8>> {
        let mut values = Vec::new();
        for value in what {
            values.push(self.value(value)?);
        }
        let format = self.special(CONVFMT);
        // Before they are put together.
        self.charge(values.iter().map(|value| value.bytes(&format).len()).sum())?;
        let mut values = values.into_iter();
        let text = values.next().unwrap_or(Value::Unset).bytes(&format);
        let mut out = Vec::new();
        formatted(&text, &mut values, &format, &mut out).map_err(|what| self.fault(what))?;
        self.charge(out.len())?;
        Ok(out)
    }

    pub(super) fn write(&mut self, bytes: &[u8], to: Option<&Output>) -> Done<()> {
        self.charge(bytes.len())?;
        let (kind, name) = match to {
            None => {
                self.out.extend_from_slice(bytes);
                if self.out.len() > 32 << 10 {
                    self.flush()?;
                }
                return Ok(());
            }
            Some(Output::File(name)) => (Kind::File(Kept::Nothing), self.bytes(name)?),
            Some(Output::Append(name)) => (Kind::File(Kept::All), self.bytes(name)?),
            Some(Output::Command(name)) => (Kind::Command, self.bytes(name)?),
        };
        let is_file = |kind: Kind| kind != Kind::Command;
        match &*name {
            b"/dev/stderr" | b"/dev/fd/2" if is_file(kind) => {
                self.flush()?;
                return Ok(self.shell.say_error(bytes)?);
            }
            b"/dev/stdout" | b"/dev/fd/1" | b"-" if is_file(kind) => {
                self.out.extend_from_slice(bytes);
                return Ok(());
            }
            _ => {}
        }
        let known =
            self.outputs.iter().position(|(known, at, _)| is_file(*known) == is_file(kind) && **at == *name);
        let at = known.unwrap_or_else(|| {
            self.outputs.push((kind, name.to_vec(), Vec::new()));
            self.outputs.len() - 1
        });
        let held = &mut self.outputs[at].2;
        held.extend_from_slice(bytes);
        let length = held.len();
        if length > MAX_TEXT { Err(self.fault("the output of `awk` is too long")) } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> Result<(), Flow> {
        let out = std::mem::take(&mut self.out);
        if out.is_empty() { Ok(()) } else { self.shell.say(&out) }
    }

    pub(super) fn close_output(&mut self, kind: Kind, name: &[u8], bytes: Vec<u8>) -> Result<i32, Flow> {
        let Kind::File(kept) = kind else {
            self.flush()?;
            return self.shell.eval_with_input(name, bytes);
        };
        let (cwd, mode) = (self.shell.cwd().to_vec(), 0o666 & !self.shell.umask());
        let opened = self.shell.world().open_to_write(&cwd, name, mode, kept);
        match opened.and_then(|file| self.shell.world().append(&file, &bytes)) {
            Ok(()) => Ok(0),
            Err(errno) => {
                self.status = 2;
                self.shell.failed(self.words, name, errno)
            }
        }
    }

    /// `close`: what was written is there, and what is read begins again.
    pub(super) fn close(&mut self, name: &[u8]) -> Done<Value> {
        let mut status = if self.readers.remove(name).is_some() { 0 } else { -1 };
        while let Some(at) = self.outputs.iter().position(|(_, known, _)| known == name) {
            let (kind, name, bytes) = self.outputs.remove(at);
            status = self.close_output(kind, &name, bytes)?;
        }
        Ok(Value::Number(f64::from(status)))
    }

    /// `system`.
    pub(super) fn system(&mut self, command: &[u8]) -> Done<Value> {
        self.flush()?;
        Ok(Value::Number(f64::from(self.shell.eval_with_input(command, Vec::new())?)))
    }
}
