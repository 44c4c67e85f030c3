//! `*.gschema.override`: other defaults, `[SCHEMA]` or `[SCHEMA:DESKTOP]` with a line `KEY=VALUE` for each.
//!
//! **Guarantees**: groups come in the order in which they are first named, keys likewise; of a key that is there twice the last
//! value counts.
//!
//! **Refuses**: lines of another form: then nothing of the file counts.

use std::collections::BTreeMap;

use super::schema::Schemas;

/// Lays the defaults of a file over the schemas.
pub(super) fn apply(schemas: &mut Schemas, text: &str) -> Result<(), &'static str> {
    let mut groups: Vec<(&str, Vec<(&str, &str)>)> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut values: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    let mut at = None;
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let (name, rest) = rest.split_once(']').ok_or("a group is not closed")?;
            if !rest.trim().is_empty() || name.is_empty() || name.contains('[') {
                return Err("a group is none");
            }
            at = Some(*known.entry(name).or_insert_with(|| {
                groups.push((name, Vec::new()));
                groups.len() - 1
            }));
            continue;
        }
        let (key, value) = line.split_once('=').ok_or("a line is neither a group nor a key")?;
        let at = at.ok_or("a key is in no group")?;
        let (key, value) = (key.trim_end(), value.trim());
        let keys = &mut groups[at].1;
        let place = *values.entry((at, key)).or_insert_with(|| {
            keys.push((key, value));
            keys.len() - 1
        });
        keys[place].1 = value;
    }
    for (group, keys) in groups {
        let (schema, desktop) = match group.split_once(':') {
            Some((schema, desktop)) => (schema, Some(desktop)),
            None => (group, None),
        };
        for (key, value) in keys {
            schemas.set(schema, desktop, key, value);
        }
    }
    Ok(())
}
