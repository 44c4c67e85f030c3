//! What a package's own control file asks of others, against what the signed index said, and against what is there.
//!
//! apt chooses by the index, dpkg goes by the control file: where the two differ, the choice was made for another package.
//!
//! **Guarantees**: the order of groups, white space, and groups of other architectures do not count; that of alternatives does.
//! **Refuses**: fields that dpkg writes itself and takes from no package; relations that the index has otherwise; a set of packages
//! in which one needs what is not there, or excludes what is. What is amiss among packages of a base alone is the base's.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::PlaceError;
use super::control::Opened;
use crate::debian::lock::relation;
use crate::debian::lock::relation::Operator;
use crate::debian::lock::relation::Relation;
use crate::debian::locked::RELATIONS;

/// Fields of dpkg's own database that it refuses in a package.
const OWN: [&str; 4] = ["Status", "Config-Version", "Triggers-Pending", "Triggers-Awaited"];
/// What has to be there.
const NEEDS: [&str; 2] = ["Pre-Depends", "Depends"];
/// What may not be there.
const EXCLUDES: [&str; 2] = ["Conflicts", "Breaks"];
/// How many characters of a field are shown whole.
const SHOWN: usize = 300;

/// Holds a control file against what dpkg takes, and against the index where that was read just now.
pub(super) fn agree(package: &Opened<'_>, arch: &str) -> Result<(), PlaceError> {
    let stanza = package.stanza()?;
    if let Some(field) = OWN.into_iter().find(|field| stanza.get(field).is_some()) {
        return Err(PlaceError::OwnField { package: package.name().into(), field });
    }
    let Some(indexed) = package.locked.indexed.fields() else { return Ok(()) };
    for (field, found) in RELATIONS.into_iter().zip(package.fields(RELATIONS)?) {
        let said = indexed.get(field).map_or("", String::as_str);
        // Nearly always.
        if said == found {
            continue;
        }
        let (said, found) = (groups(said, arch), groups(&found, arch));
        if said != found {
            return Err(PlaceError::Relations {
                package: package.name().into(),
                version: package.locked.version.clone(),
                field,
                found: shown(&found, &said),
                indexed: shown(&said, &found),
            });
        }
    }
    Ok(())
}

/// The groups of a field as they are meant; what cannot be read stands as written.
fn groups(value: &str, arch: &str) -> BTreeSet<String> {
    let Ok(groups) = relation::groups(value) else {
        let plain = value.split(',').map(|group| group.split_whitespace().collect::<Vec<_>>().join(" "));
        return plain.filter(|group| !group.is_empty()).collect();
    };
    let text = |group: Vec<Relation<'_>>| {
        let meant = group.iter().filter(|relation| relation.applies_to(arch));
        meant.map(Relation::to_string).collect::<Vec<_>>().join(" | ")
    };
    groups.into_iter().map(text).filter(|group| !group.is_empty()).collect()
}

/// A field for an error: of a long one what the other has not.
fn shown(field: &BTreeSet<String>, other: &BTreeSet<String>) -> String {
    if field.is_empty() {
        return "nothing".into();
    }
    let whole = field.iter().cloned().collect::<Vec<_>>().join(", ");
    if whole.len() <= SHOWN {
        return format!("`{whole}`");
    }
    let own: Vec<&str> = field.difference(other).map(String::as_str).collect();
    let own: String = own.join(", ").chars().take(SHOWN).collect();
    if own.is_empty() { "the same without that".into() } else { format!("`…, {own}`") }
}

/// What packages are called.
struct Names<'a> {
    /// Name ─► package.
    real: BTreeMap<&'a str, usize>,
    /// Virtual name ─► packages, each with the version that it provides.
    provided: BTreeMap<&'a str, Vec<(usize, Option<&'a str>)>>,
    /// Those that are `Multi-Arch: allowed`.
    any: BTreeSet<usize>,
}

/// Whether all that packages need is there, and nothing that they exclude, as dpkg would look at it.
pub(super) fn hold(packages: &[Opened<'_>], arch: &str) -> Result<(), PlaceError> {
    let mut fields = Vec::with_capacity(packages.len());
    for package in packages {
        let [before, depends, conflicts, breaks, provides, kind] =
            package.fields([NEEDS[0], NEEDS[1], EXCLUDES[0], EXCLUDES[1], "Provides", "Multi-Arch"])?;
        fields.push(([before, depends], [conflicts, breaks], provides, kind));
    }
    let read = |index: usize, field, value| {
        relation::groups(value).map_err(|error| PlaceError::BadRelation {
            package: packages[index].name().into(),
            field,
            why: error.to_string(),
        })
    };
    let mut names = Names { real: BTreeMap::new(), provided: BTreeMap::new(), any: BTreeSet::new() };
    for (index, (package, (_, _, provides, kind))) in packages.iter().zip(&fields).enumerate() {
        names.real.insert(package.name(), index);
        if kind == "allowed" {
            names.any.insert(index);
        }
        for one in read(index, "Provides", provides)?.into_iter().flatten() {
            let version = one.version.filter(|(operator, _)| *operator == Operator::Equal);
            let version = version.map(|(_, version)| version);
            names.provided.entry(one.name).or_default().push((index, version));
        }
    }
    for (index, (package, (needs, excludes, ..))) in packages.iter().zip(&fields).enumerate() {
        for (field, value) in NEEDS.into_iter().zip(needs) {
            if package.is_present() {
                break;
            }
            for group in read(index, field, value)? {
                let meant: Vec<&Relation<'_>> = group.iter().filter(|one| one.applies_to(arch)).collect();
                let met = |one: &&Relation<'_>| meet(packages, &names, one, arch).next().is_some();
                if !meant.is_empty() && !meant.iter().any(met) {
                    let needed: Vec<String> = meant.iter().map(ToString::to_string).collect();
                    return Err(PlaceError::Unmet {
                        package: package.name().into(),
                        field,
                        relation: needed.join(" | "),
                    });
                }
            }
        }
        for (field, value) in EXCLUDES.into_iter().zip(excludes) {
            for one in read(index, field, value)?.into_iter().flatten().filter(|one| one.applies_to(arch)) {
                let new = |other: usize| !package.is_present() || !packages[other].is_present();
                let mut hit = meet(packages, &names, &one, arch);
                if let Some(other) = hit.find(|&other| other != index && new(other)) {
                    return Err(PlaceError::Excluded {
                        package: package.name().into(),
                        field,
                        relation: one.to_string(),
                        other: packages[other].name().into(),
                        version: packages[other].locked.version.clone(),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Which packages a relation means.
fn meet<'a>(
    packages: &'a [Opened<'_>],
    names: &'a Names<'_>,
    one: &Relation<'a>,
    arch: &str,
) -> impl Iterator<Item = usize> + use<'a> {
    let qualifier = one.qualifier.filter(|&word| word != "native" && word != arch);
    let bound = one.version;
    let fits = move |index: usize, version: Option<&str>| {
        let qualified = match qualifier {
            None => true,
            Some("any") => names.any.contains(&index),
            Some(_) => false,
        };
        qualified
            && bound.is_none_or(|(operator, bound)| {
                version.is_some_and(|version| operator.holds(version.as_bytes(), bound.as_bytes()))
            })
    };
    let real = names.real.get(one.name).copied();
    let real = real.filter(move |&index| fits(index, Some(&packages[index].locked.version)));
    let provided = names.provided.get(one.name).into_iter().flatten();
    let provided = provided.filter(move |(index, version)| fits(*index, *version)).map(|(index, _)| *index);
    real.into_iter().chain(provided)
}

#[cfg(test)]
mod tests;
