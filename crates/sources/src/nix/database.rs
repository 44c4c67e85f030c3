//! The database of an image's store: `/nix/var/nix/db/db.sqlite`, written without Nix and without a file.
//!
//! Every path of the image is registered, so that Nix in it knows what is there and deletes nothing that is needed; the text files
//! of derivations are not in an image, so nothing is said of them. `nix-store --load-db` would not do: it loses content addresses, and
//! its bytes differ from run to run.
//!
//! Nothing is said of where a path was had: who signed it and which derivation made it differ from place to place (a build of Nix is
//! told neither), and an image is to be the same from each.
//!
//! ```text
//! db/schema       "10", no newline
//! db/db.sqlite    ValidPaths: sorted by path, with the ids 1…n, registered at 1; Refs: by path, then by reference
//! ```
//!
//! **Guarantees**: the same paths give the same bytes, which Nix 2.8 to 2.34 read. They hold the number of the SQLite that wrote them
//! (bytes 96 to 99), which is bundled and pinned.
//! **Refuses**: a reference to a path that is not given.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use rusqlite::Connection;
use rusqlite::params;

use super::hash;
use super::key::Signature;
use super::locked::LockedPath;
use super::narinfo::Compression;
use super::store_path::StorePath;

/// The content of the file `schema` beside the database: its version.
pub const SCHEMA_VERSION: &str = "10";

/// Folder of the database, below the root of an image.
pub const FOLDER: &str = "nix/var/nix/db";

/// What Nix 2.34 makes; 2.8 lacks the last table, which stays empty, and reads over it.
const SCHEMA: &str = "
create table ValidPaths (
    id integer primary key autoincrement not null,
    path text unique not null,
    hash text not null,
    registrationTime integer not null,
    deriver text,
    narSize integer,
    ultimate integer,
    sigs text,
    ca text
);
create table Refs (
    referrer integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
create index IndexReferrer on Refs(referrer);
create index IndexReference on Refs(reference);
create trigger DeleteSelfRefs before delete on ValidPaths
    begin
        delete from Refs where referrer = old.id and reference = old.id;
    end;
create table DerivationOutputs (
    drv integer not null,
    id text not null,
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
);
create index IndexDerivationOutputs on DerivationOutputs(path);
create table SchemaMigrations (migration text primary key not null);
";

/// Why the database cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// A reference to nothing.
    #[error("`{path}` refers to `{reference}`, which is not in the image")]
    Reference {
        /// Whose reference.
        path: StorePath,
        /// To what.
        reference: StorePath,
    },
    /// A path twice.
    #[error("`{0}` is in the image twice")]
    Twice(StorePath),
    /// The database of an image that cannot be read.
    #[error("the database of Nix in the base cannot be read: {0}")]
    Foreign(String),
    /// What SQLite says.
    #[error("failed to write the database of the store")]
    Sqlite(#[from] rusqlite::Error),
}

impl Diagnose for DatabaseError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Reference { .. } | Self::Twice(_) | Self::Foreign(_) => Diagnosis::Own(Kind::Integrity),
            Self::Sqlite(_) => Diagnosis::Own(Kind::Internal),
        }
    }
}

/// Most rows that are read of a database: of paths, and of references.
const MAX_ROWS: usize = 1 << 20;

/// Most bytes that are read of a database.
pub const MAX_DATABASE: u64 = 256 << 20;

/// The paths that the database of another image registers, with no place that they are fetched from. It may be anybody's.
pub fn read(mut bytes: Vec<u8>) -> Result<Vec<LockedPath>, DatabaseError> {
    let wrong = |reason: &str| DatabaseError::Foreign(reason.to_owned());
    // Nix switches the write-ahead log on; a database in memory cannot have one.
    if let Some(versions) = bytes.get_mut(18..20) {
        versions.copy_from_slice(&[1, 1]);
    }
    let mut connection = Connection::open_in_memory()?;
    let unreadable = |error: rusqlite::Error| DatabaseError::Foreign(error.to_string());
    connection.deserialize_read_exact("main", &bytes[..], bytes.len(), true).map_err(unreadable)?;
    connection
        .execute_batch("pragma trusted_schema = off; pragma cell_size_check = on;")
        .map_err(unreadable)?;
    // A view of that name could go on for ever.
    let tables = "select count(*) from sqlite_master where type = 'table' and name in ('ValidPaths', 'Refs') \
                  and upper(sql) not like '%VIRTUAL%'";
    let tables: i64 = connection.query_row(tables, [], |row| row.get(0)).map_err(unreadable)?;
    if tables != 2 {
        return Err(wrong("it has not the tables of a store"));
    }
    let mut found: BTreeMap<i64, LockedPath> = BTreeMap::new();
    let mut valid = connection
        .prepare("select id, path, hash, narSize, deriver, sigs, ca from ValidPaths")
        .map_err(unreadable)?;
    let mut rows = valid.query([]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        if found.len() == MAX_ROWS {
            return Err(wrong("it has too many paths"));
        }
        let (id, path) = registered(row)?;
        found.insert(id, path);
    }
    let names: BTreeMap<i64, StorePath> = found.iter().map(|(id, path)| (*id, path.path.clone())).collect();
    let mut refers = connection.prepare("select referrer, reference from Refs").map_err(unreadable)?;
    let mut rows = refers.query([]).map_err(unreadable)?;
    let mut count = 0_usize;
    while let Some(row) = rows.next().map_err(unreadable)? {
        count += 1;
        let (from, to): (i64, i64) = (row.get(0).map_err(unreadable)?, row.get(1).map_err(unreadable)?);
        let (Some(path), Some(reference), true) = (found.get_mut(&from), names.get(&to), count <= MAX_ROWS)
        else {
            return Err(wrong("its references are of no path, or too many"));
        };
        path.references.insert(reference.clone());
    }
    Ok(found.into_values().collect())
}

/// A row of the paths.
fn registered(row: &rusqlite::Row<'_>) -> Result<(i64, LockedPath), DatabaseError> {
    let unreadable = |error: rusqlite::Error| DatabaseError::Foreign(error.to_string());
    let path: String = row.get(1).map_err(unreadable)?;
    let wrong = |reason: &str| DatabaseError::Foreign(format!("of `{}` {reason}", Shown::from(&path)));
    let parsed = |text: &str| StorePath::parse(text).map_err(|_| wrong("the path is none"));
    let hash: String = row.get(2).map_err(unreadable)?;
    let nar = hash::parse(&hash).ok_or_else(|| wrong("the hash is no SHA-256"))?;
    let size: Option<i64> = row.get(3).map_err(unreadable)?;
    let deriver: Option<String> = row.get(4).map_err(unreadable)?;
    let signed: Option<String> = row.get(5).map_err(unreadable)?;
    let signed = signed.as_deref().unwrap_or_default().split(' ').filter(|word| !word.is_empty());
    let signatures = signed.map(str::parse).collect::<Result<Vec<Signature>, _>>();
    let nar_size = u64::try_from(size.unwrap_or_default()).map_err(|_| wrong("the size is none"))?;
    let locked = LockedPath {
        path: parsed(&path)?,
        nar: nar.clone(),
        nar_size,
        references: BTreeSet::new(),
        deriver: deriver.as_deref().map(parsed).transpose()?,
        ca: row.get(6).map_err(unreadable)?,
        signatures: signatures.map_err(|_| wrong("a signature is none"))?,
        file: nar,
        size: nar_size,
        compression: Compression::None,
        url: None,
    };
    Ok((row.get(0).map_err(unreadable)?, locked))
}

/// The bytes of the database that registers these paths, in whatever order they are given.
pub fn write<'a>(paths: impl IntoIterator<Item = &'a LockedPath>) -> Result<Vec<u8>, DatabaseError> {
    let mut sorted: BTreeMap<&StorePath, &LockedPath> = BTreeMap::new();
    for locked in paths {
        if sorted.insert(&locked.path, locked).is_some() {
            return Err(DatabaseError::Twice(locked.path.clone()));
        }
    }
    let ids: BTreeMap<&StorePath, i64> = sorted.keys().copied().zip(1..).collect();
    let mut connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "pragma page_size = 4096; pragma journal_mode = off; pragma synchronous = off;
         pragma encoding = 'UTF-8'; pragma auto_vacuum = none;",
    )?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    {
        let mut valid = transaction.prepare(
            "insert into ValidPaths (id, path, hash, registrationTime, narSize, ca) values (?1, ?2, ?3, 1, ?4, ?5)",
        )?;
        for (path, locked) in &sorted {
            valid.execute(params![
                ids.get(path),
                path.to_string(),
                locked.nar.to_string(),
                i64::try_from(locked.nar_size).ok(),
                locked.ca,
            ])?;
        }
        let mut refers = transaction.prepare("insert into Refs (referrer, reference) values (?1, ?2)")?;
        for (path, locked) in &sorted {
            for reference in &locked.references {
                let Some(id) = ids.get(reference) else {
                    let (path, reference) = ((*path).clone(), reference.clone());
                    return Err(DatabaseError::Reference { path, reference });
                };
                refers.execute(params![ids.get(path), id])?;
            }
        }
    }
    transaction.commit()?;
    Ok(connection.serialize("main")?.to_vec())
}

#[cfg(test)]
mod tests;
