//! Words of a command line in JSON: a word is text where it is UTF-8, and a list of its bytes where it is not.
//!
//! **Guarantees**: what was written is read as the same bytes. **Refuses** what is neither.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Bytes(Vec<u8>),
}

pub(crate) fn serialize<S: Serializer>(words: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(words.iter().map(|word| match word.to_str() {
        Some(text) => Word::Text(text.to_owned()),
        None => Word::Bytes(word.as_bytes().to_vec()),
    }))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OsString>, D::Error> {
    let words = Vec::<Word>::deserialize(deserializer)?.into_iter().map(|word| match word {
        Word::Text(text) => text.into(),
        Word::Bytes(bytes) => OsString::from_vec(bytes),
    });
    Ok(words.collect())
}

/// The words as text, or the first that is none.
pub(crate) fn texts(words: &[OsString]) -> Result<Vec<String>, &OsStr> {
    words.iter().map(|word| word.to_str().map(str::to_owned).ok_or(word.as_os_str())).collect()
}
