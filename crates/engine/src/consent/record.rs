//! The kept word.
//!
//! ```text
//!   DATA/consent/HEX.json      HEX: SHA-256 of who asks
//!   { "version": 2, "subject": WHO, "accepted": { DIGEST-OF-AN-ASK: WHAT-WAS-SHOWN, … } }
//! ```
//!
//! **Refuses**: a record that is damaged, or of another version, is no agreement; nor is one in a folder that others can write to.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::private_folder;
use pinfold_base::store::persist;
use serde::Deserialize;
use serde::Serialize;

use super::Ask;
use super::ConsentError;
use super::Subject;
use super::Told;
use super::reading;
use crate::context::Context;

/// The folder of records below `DATA`.
pub(super) const FOLDER: &str = "consent";
/// Raised whenever equal digests could mean something else than before.
const VERSION: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    subject: String,
    accepted: BTreeMap<String, String>,
}

fn file(context: &Context, subject: &Subject) -> PathBuf {
    context.home.data().join(FOLDER).join(subject.record())
}

/// Refuses a folder in which others can have put a record.
fn own(context: &Context) -> Result<(), ConsentError> {
    let data = context.home.data();
    for folder in [data.join(FOLDER), data.to_owned()] {
        let Ok(found) = fs::metadata(&folder) else { continue };
        let user = rustix::process::geteuid().as_raw();
        if found.mode() & 0o022 != 0 || ![0, user].contains(&found.uid()) {
            return Err(ConsentError::Loose { folder });
        }
    }
    Ok(())
}

fn accepted(path: &Path, subject: &Subject) -> BTreeMap<String, String> {
    let record: Option<Record> = fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let record = record.filter(|record| record.version == VERSION && record.subject == subject.to_string());
    record.map(|record| record.accepted).unwrap_or_default()
}

/// Refuses when something was not agreed to.
pub(super) fn check(context: &Context, subject: Subject, asks: &[Ask]) -> Result<(), ConsentError> {
    if asks.is_empty() {
        return Ok(());
    }
    own(context)?;
    let mut open = told(context, &subject, asks);
    open.retain(|told| !told.agreed);
    if open.is_empty() {
        return Ok(());
    }
    let digest = reading::digest([(&subject, asks)]);
    Err(ConsentError::Open { subject, asks: open, digest })
}

/// Each with how the user stands to it.
pub(super) fn told(context: &Context, subject: &Subject, asks: &[Ask]) -> Vec<Told> {
    let accepted = match own(context) {
        Ok(()) => accepted(&file(context, subject), subject),
        Err(_) => BTreeMap::new(),
    };
    let digests: Vec<String> = asks.iter().map(|ask| ask.digest().to_string()).collect();
    // What is asked for as it was has not become something else.
    let gone = accepted.iter().filter(|(digest, _)| !digests.contains(digest)).map(|(_, shown)| shown);
    let gone: Vec<&String> = gone.collect();
    let told = |(ask, digest): (&Ask, &String)| {
        let agreed = accepted.contains_key(digest);
        let before = if agreed { None } else { ask.since(gone.iter().copied()) };
        Told { ask: ask.clone(), agreed, before }
    };
    asks.iter().zip(&digests).map(told).collect()
}

/// Keeps the user's word. What was agreed to before and is no longer asked for is forgotten.
pub(super) fn keep(context: &Context, subject: &Subject, asks: &[Ask]) -> Result<(), ConsentError> {
    own(context)?;
    let path = file(context, subject);
    let accepted = asks.iter().map(|ask| (ask.digest().to_string(), ask.to_string())).collect();
    let record = Record { version: VERSION, subject: subject.to_string(), accepted };
    // Beside its final place: the cache may be on another file system.
    let folder = path.parent().unwrap_or(&path);
    private_folder(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(temporary.as_file_mut(), &record).map_err(std::io::Error::from)?;
    persist(temporary, &path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use pinfold_base::Home;

    use super::*;
    use crate::context::Network;

    fn context(dir: &Path) -> Context {
        let home = Home::under(dir);
        Context::at(home, Network::Offline, Box::new(pinfold_base::report::Silent)).unwrap()
    }

    fn image(name: &str) -> Subject {
        Subject::image(name, None)
    }

    fn ask(host: &str) -> Ask {
        Ask::Reach(host.into())
    }

    #[test]
    fn the_word_covers_what_was_shown_and_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        assert!(check(&context, image("m"), &[]).is_ok());
        assert!(matches!(check(&context, image("m"), &[ask("a")]), Err(ConsentError::Open { .. })));
        keep(&context, &image("m"), &[ask("a"), ask("b")]).unwrap();
        check(&context, image("m"), &[ask("a")]).unwrap();
        let Err(ConsentError::Open { asks, .. }) = check(&context, image("m"), &[ask("a"), Ask::HostNetwork])
        else {
            panic!("more than was agreed to")
        };
        assert_eq!(asks, [Told { ask: Ask::HostNetwork, agreed: false, before: None }]);
        assert!(check(&context, image("another"), &[ask("a")]).is_err());
    }

    #[test]
    fn what_changed_is_told_beside_what_was_agreed_to() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        let keys = |file: &str, digit: &str| Ask::Keyring {
            file: file.into(),
            sha256: digit.repeat(64),
            archive: None,
        };
        let old = [keys("k", "1"), keys("other", "2"), ask("a")];
        keep(&context, &image("m"), &old).unwrap();
        let new = [keys("k", "3"), keys("other", "2"), keys("kk", "4"), ask("b")];
        let lines: Vec<_> =
            told(&context, &image("m"), &new).iter().map(|told| format!("{}: {told}", told.agreed)).collect();
        assert_eq!(
            lines,
            [
                "false: trust the archive keys in `k` (SHA-256 333333333333); you agreed to: (SHA-256 111111111111)",
                "true: trust the archive keys in `other` (SHA-256 222222222222)",
                "false: trust the archive keys in `kk` (SHA-256 444444444444)",
                "false: reach `b`",
            ]
        );
    }

    #[test]
    fn a_folder_that_others_can_write_to_keeps_nobodys_word() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        keep(&context, &image("m"), &[ask("a")]).unwrap();
        let folder = context.home.data().join(FOLDER);
        let mode = |mode| fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        check(&context, image("m"), &[ask("a")]).unwrap();
        for loose in [0o777, 0o770, 0o722, 0o1777] {
            mode(loose);
            assert!(
                matches!(check(&context, image("m"), &[ask("a")]), Err(ConsentError::Loose { .. })),
                "{loose:o}"
            );
            assert!(matches!(keep(&context, &image("m"), &[ask("a")]), Err(ConsentError::Loose { .. })));
            assert!(!told(&context, &image("m"), &[ask("a")])[0].agreed);
            // What asks for nothing needs no word.
            check(&context, image("m"), &[]).unwrap();
        }
        mode(0o755);
        check(&context, image("m"), &[ask("a")]).unwrap();
    }

    #[test]
    fn a_damaged_word_is_no_word_and_what_is_not_asked_any_more_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        let (one, two) = (ask("a"), ask("b"));
        keep(&context, &image("m"), &[one.clone(), two.clone()]).unwrap();
        keep(&context, &image("m"), std::slice::from_ref(&one)).unwrap();
        assert!(check(&context, image("m"), &[two]).is_err(), "the newer word counts");
        check(&context, image("m"), std::slice::from_ref(&one)).unwrap();
        let path = file(&context, &image("m"));
        let whole = fs::read_to_string(&path).unwrap();
        for broken in [
            "{".to_owned(),
            whole.replace("\"version\": 2", "\"version\": 3"),
            // As it was written before asks had digests.
            r#"{"subject":"the image `m`","accepted":[{"reach":"a"}]}"#.to_owned(),
            // Another's word under this name.
            whole.replace("`m`", "`n`"),
        ] {
            assert_ne!(broken, whole);
            fs::write(&path, broken).unwrap();
            assert!(check(&context, image("m"), std::slice::from_ref(&one)).is_err());
        }
        fs::write(&path, whole).unwrap();
        check(&context, image("m"), &[one]).unwrap();
    }
}
