//! Shells that commands start: `system` and pipes of awk, `sh -c`. They see what is exported and nothing else.

use std::rc::Rc;

use super::Flow;
use super::Shell;
use super::Status;
use super::Stream;
use super::Switches;

impl Shell<'_, '_> {
    /// The value of a variable that commands see.
    pub(in crate::debian::script) fn exported(&self, name: &str) -> Option<Rc<[u8]>> {
        let variable = self.state.variables.get(name).filter(|variable| variable.exported)?;
        variable.value.clone()
    }

    /// What is exported, a line for each variable.
    pub(in crate::debian::script) fn environment(&self) -> Vec<u8> {
        let exported = self.state.variables.iter().filter(|(_, variable)| variable.exported);
        exported
            .filter_map(|(name, variable)| {
                Some([name.as_bytes(), b"=", variable.value.as_deref()?, b"\n"].concat())
            })
            .collect::<Vec<_>>()
            .concat()
    }

    /// Sets a variable that commands see.
    pub(in crate::debian::script) fn export(&mut self, name: &str, value: Rc<[u8]>) -> Result<(), Flow> {
        self.set(name, value)?;
        self.variable(name)?.exported = true;
        Ok(())
    }

    /// Takes variables away, all that are exported or those that `unset` names.
    pub(in crate::debian::script) fn change_environment(&mut self, all: bool, unset: impl Fn(&str) -> bool) {
        // Without fuel the evaluation ends at the next look.
        if let Ok(variables) = self.variables() {
            variables.retain(|name, variable| !(variable.exported && all || unset(name)));
        }
    }

    /// Where a command of this name lies in the tree.
    pub(in crate::debian::script) fn in_path(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        self.found_in_path(name)
    }

    /// Runs text as `sh -c` does, with these bytes to read.
    pub(in crate::debian::script) fn eval_with_input(&mut self, text: &[u8], input: Vec<u8>) -> Status {
        self.child(text, &[], Some(Stream::input(input)), None)
    }

    /// What text that is run as `sh -c` does writes.
    pub(in crate::debian::script) fn output_of(&mut self, text: &[u8]) -> Result<Vec<u8>, Flow> {
        let output = Stream::buffer();
        self.child(text, &[], None, Some(output.clone()))?;
        Ok(output.taken())
    }

    /// What a new shell has of the one that starts it: what is exported.
    pub(super) fn as_new(&mut self, switches: Switches, positional: Rc<[Rc<[u8]>]>) -> Result<(), Flow> {
        self.variables()?.retain(|_, variable| variable.exported);
        self.state.functions = Rc::default();
        self.frames.clear();
        self.loops = 0;
        self.state.switches = switches;
        self.state.confmodule = false;
        self.state.positional = positional;
        for (name, value) in [("IFS", &b" \t\n"[..]), ("OPTIND", b"1")] {
            self.set(name, value.into())?;
        }
        Ok(())
    }

    /// `sh -c TEXT [NAME ARGUMENT…]`
    pub(in crate::debian::script) fn child(
        &mut self,
        text: &[u8],
        words: &[Rc<[u8]>],
        input: Option<Stream>,
        output: Option<Stream>,
    ) -> Status {
        let (line, tested) = (self.line, std::mem::take(&mut self.tested));
        let result = self.subshell(|shell| {
            shell.as_new(Switches::default(), words.get(1..).unwrap_or_default().into())?;
            if let Some(name) = words.first() {
                shell.state.zero = name.to_vec();
            }
            for (descriptor, stream) in [(0, input), (1, output)] {
                if let Some(stream) = stream {
                    shell.state.streams.insert(descriptor, stream);
                }
            }
            shell.text(text, line.saturating_sub(1))
        });
        (self.line, self.tested) = (line, tested);
        result
    }
}
