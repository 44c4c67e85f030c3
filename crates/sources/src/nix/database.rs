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

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use rusqlite::Connection;
use rusqlite::params;

use super::locked::LockedPath;
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
    /// What SQLite says.
    #[error("failed to write the database of the store")]
    Sqlite(#[from] rusqlite::Error),
}

impl Diagnose for DatabaseError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Reference { .. } | Self::Twice(_) => Diagnosis::Own(Kind::Integrity),
            Self::Sqlite(_) => Diagnosis::Own(Kind::Internal),
        }
    }
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
