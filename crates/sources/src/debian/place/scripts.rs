//! The install scripts of packages: which there are, and which the manifest says to skip. All others are evaluated.

use std::collections::BTreeMap;

use pinfold_archive::Contents;
use pinfold_base::Digest;

use super::Answer;
use super::LedgerEntry;
use super::PlaceError;
use super::ScriptClass;
use super::control::Opened;

/// The scripts of one package, by name.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    /// Runs before the package is unpacked.
    pub(super) preinst: Option<Text>,
    /// Asks debconf's questions before [`Self::postinst`], where that reads the answers.
    pub(super) config: Option<Text>,
    /// Runs when the package is configured, and when it is triggered.
    pub(super) postinst: Option<Text>,
    /// What the ledger says of scripts that are skipped.
    pub(super) skipped: Vec<LedgerEntry>,
}

impl Scripts {
    /// Those that are to be evaluated, with their names.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &Text)> {
        let all = [("preinst", &self.preinst), ("config", &self.config), ("postinst", &self.postinst)];
        all.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)))
    }
}

/// A script that is to be evaluated.
#[derive(Debug)]
pub(super) struct Text {
    /// What the ledger says of it before it ran.
    pub(super) entry: LedgerEntry,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// Reads the scripts of a package.
pub(super) fn of(
    package: &Opened<'_>,
    answers: &BTreeMap<String, Answer>,
    contents: &dyn Contents,
) -> Result<Scripts, PlaceError> {
    let mut found = Scripts::default();
    found.preinst = one(package, "preinst", answers, contents, &mut found.skipped)?;
    found.postinst = one(package, "postinst", answers, contents, &mut found.skipped)?;
    // debconf runs `config` when the script that is configured sources it.
    if found.postinst.as_ref().is_some_and(asks) {
        found.config = one(package, "config", answers, contents, &mut found.skipped)?;
    }
    Ok(found)
}

/// Whether a script talks to debconf.
pub(super) fn asks(text: &Text) -> bool {
    memchr::memmem::find(&text.bytes, b"confmodule").is_some()
}

fn one(
    package: &Opened<'_>,
    script: &str,
    answers: &BTreeMap<String, Answer>,
    contents: &dyn Contents,
    skipped: &mut Vec<LedgerEntry>,
) -> Result<Option<Text>, PlaceError> {
    let Some(bytes) = package.read(script, contents)? else { return Ok(None) };
    let entry = LedgerEntry {
        package: package.name().into(),
        script: script.into(),
        sha256: Digest::sha256(&bytes),
        class: ScriptClass::Nothing,
        what: Vec::new(),
        _warning: None,
    };
    if let Some(reason) = answers.get(package.name()).and_then(|answer| answer.reason(script)) {
        skipped.push(LedgerEntry { class: ScriptClass::Skipped, what: vec![reason.to_owned()], ..entry });
        return Ok(None);
    }
    Ok(Some(Text { entry, bytes }))
}
