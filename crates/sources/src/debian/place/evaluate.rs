//! The scripts of packages, evaluated over the image while it is put together, in the order in which dpkg runs them.
//!
//! **Guarantees**: all scripts together use no more than the [`Budget`] of an image. Every script that cannot be evaluated is told, not the first alone; what is told stops the whole image.
//! Where a `config` script or what a trigger would do cannot be evaluated, the image is begun anew without it ([`LeftOut`]),
//! so that nothing of it is half done.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use pinfold_archive::Contents;
use pinfold_base::ImagePath;

use super::LedgerEntry;
use super::PlaceError;
use super::ScriptClass;
use super::control::Opened;
use super::error::Exhausted;
use super::error::UnknownScript;
use super::scripts::Scripts;
use super::scripts::Text;
use crate::debian::script;
use crate::debian::script::Script;
use crate::debian::script::world::Budget;
use crate::debian::script::world::Installed;
use crate::debian::script::world::State;
use crate::debian::script::world::Template;
use crate::debian::script::world::World;

/// Longest last line of a script's errors in an error.
const MAX_SHOWN: usize = 200;
/// Fields of a control file that scripts ask for.
const FIELDS: [&str; 10] = [
    "Essential",
    "Priority",
    "Section",
    "Maintainer",
    "Source",
    "Multi-Arch",
    "Provides",
    "Installed-Size",
    "Pre-Depends",
    "Depends",
];

/// What is not run because it cannot be: package, and `config` or the triggers; with the reason.
pub(super) type LeftOut = BTreeMap<(usize, String), String>;

/// What came of the scripts so far.
#[derive(Default)]
pub(super) struct Record {
    /// By package and script.
    pub(super) ledger: BTreeMap<(usize, &'static str), LedgerEntry>,
    /// What stops the image.
    pub(super) unknown: Vec<UnknownScript>,
    /// What is to be left out when the image is begun anew.
    pub(super) failed: LeftOut,
    /// By package: the units that its scripts have used.
    used: BTreeMap<usize, u64>,
}

impl Record {
    /// The package whose scripts have used most.
    fn most(&self) -> Option<usize> {
        self.used
            .iter()
            .max_by_key(|(index, used)| (**used, std::cmp::Reverse(**index)))
            .map(|(index, _)| *index)
    }
}

/// A script that runs: whose it is, and how it is called.
pub(super) struct Call<'a> {
    pub(super) index: usize,
    pub(super) name: &'static str,
    pub(super) args: &'a [&'a str],
}

/// Runs one script and records what it did. `may_fail` is for what the image can do without. An error where the scripts of
/// the image have used what they may use together.
pub(super) fn run(
    world: &mut World<'_>,
    packages: &[Opened<'_>],
    call: &Call<'_>,
    text: &Text,
    may_fail: Option<&str>,
    record: &mut Record,
) -> Result<(), PlaceError> {
    let package = &packages[call.index];
    world.begin(package.component.clone());
    let environment = [
        ("DPKG_MAINTSCRIPT_NAME", call.name),
        ("DPKG_MAINTSCRIPT_PACKAGE", package.name()),
        ("DPKG_MAINTSCRIPT_ARCH", package.locked.arch.as_str()),
        ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
        ("DPKG_ROOT", ""),
        ("DPKG_ADMINDIR", "/var/lib/dpkg"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBIAN_HAS_FRONTEND", "1"),
        ("LC_ALL", "C.UTF-8"),
        ("HOME", "/root"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ];
    let script = Script {
        package: package.name(),
        name: call.name,
        text: &text.bytes,
        args: call.args,
        environment: &environment,
    };
    let told = |line, text: String, what: String| UnknownScript {
        package: package.name().into(),
        script: call.name,
        line,
        text,
        what,
    };
    let result = script::evaluate(&script, world);
    *record.used.entry(call.index).or_default() += world.fuel.used();
    let left = world.fuel.budget();
    if left.steps == 0 || left.bytes == 0 {
        let most = record.most().unwrap_or(call.index);
        return Err(PlaceError::Budget {
            package: package.name().into(),
            script: call.name,
            what: if left.steps == 0 { Exhausted::Steps } else { Exhausted::Bytes },
            most: packages[most].name().into(),
        });
    }
    let fault = match result {
        Ok(outcome) if outcome.status == 0 => {
            let entry = record.ledger.entry((call.index, call.name)).or_insert_with(|| text.entry.clone());
            entry.what.extend(world.take_notes());
            entry.class = if entry.what.is_empty() { ScriptClass::Nothing } else { ScriptClass::Evaluated };
            return Ok(());
        }
        Ok(outcome) => {
            let errors = world.questions.hide(String::from_utf8_lossy(&outcome.errors).into_owned());
            let last: String = errors.lines().last().unwrap_or_default().chars().take(MAX_SHOWN).collect();
            let what =
                format!("it ends with status {}, having said `{}`", outcome.status, last.escape_debug());
            told(outcome.line, outcome.command, what)
        }
        Err(fault) => told(fault.line, fault.command, fault.what),
    };
    match may_fail {
        Some(what) => {
            record.failed.insert((call.index, what.to_owned()), fault.why());
        }
        None => record.unknown.push(fault),
    }
    Ok(())
}

/// Takes what is kept of a package from what the image may keep.
pub(super) fn keep(
    budget: &mut Budget,
    package: &Opened<'_>,
    script: &'static str,
    bytes: usize,
) -> Result<(), PlaceError> {
    if budget.keep(bytes) {
        return Ok(());
    }
    let package = package.name().to_owned();
    Err(PlaceError::Budget { most: package.clone(), package, script, what: Exhausted::Bytes })
}

/// Says in the ledger that something of a script is left out.
pub(super) fn leave_out(record: &mut Record, script: (usize, &'static str), text: &Text, what: String) {
    let entry = record.ledger.entry(script).or_insert_with(|| text.entry.clone());
    entry.what.push(what);
    entry.class = ScriptClass::Evaluated;
}

/// The packages as dpkg's tools tell of them, before any is unpacked.
pub(super) fn installed(packages: &[Opened<'_>]) -> Result<BTreeMap<String, Installed>, PlaceError> {
    let mut all = BTreeMap::new();
    for package in packages {
        let mut fields = BTreeMap::new();
        for (field, value) in FIELDS.into_iter().zip(package.fields(FIELDS)?) {
            if !value.is_empty() {
                fields.insert(field.to_owned(), value);
            }
        }
        let path = |path: &ImagePath| {
            if path.is_root() { b"/.".to_vec() } else { [b"/", path.as_bytes()].concat() }
        };
        let files = package.listing.data.iter().map(|entry| path(&entry.path)).collect();
        let locked = package.locked;
        let one = Installed {
            version: locked.version.clone(),
            arch: locked.arch.clone(),
            fields: Arc::new(fields),
            state: State::Absent,
            files: Arc::new(files),
        };
        all.insert(package.name().to_owned(), one);
    }
    Ok(all)
}

/// The templates of debconf's questions that a package brings.
pub(super) fn templates(package: &Opened<'_>, contents: &dyn Contents) -> Result<Vec<Template>, PlaceError> {
    let Some(bytes) = package.read("templates", contents)? else { return Ok(Vec::new()) };
    Template::read(&bytes).map_err(|source| PlaceError::Templates { package: package.name().into(), source })
}

/// Scripts of a package that has been left without effect are in the ledger too.
pub(super) fn finish(scripts: &[Scripts], record: Record) -> Vec<LedgerEntry> {
    let skipped = scripts.iter().flat_map(|scripts| scripts.skipped.iter().cloned());
    let all: BTreeSet<LedgerEntry> = skipped.chain(record.ledger.into_values()).collect();
    all.into_iter().collect()
}
