//! `[image.env]`, whose values may say what a variable was before: `PATH = "$PATH:/opt/bin"`.
//!
//! ```text
//! $NAME  ${NAME}   what NAME is without `[image.env]`: from a preset, a recipe, a base, or the usual PATH
//! \$               the character, as in a Dockerfile; a `$` before anything else than a name stays too
//! ```
//!
//! **Guarantees**: the values of one table see what was before the table, never each other.
//! **Refuses**: a name that nothing gives. A Dockerfile takes it as empty, and an empty PATH is found out at the start.

use std::collections::BTreeMap;

use super::ManifestError;
use crate::project::recipe::Recipe;
use crate::sources::base::Below;

/// PATH where nothing else is said.
const PATH: &str = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin";

/// A piece of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// As it is.
    Text(&'a str),
    /// `\$`.
    Dollar,
    /// A reference: as written, and to what.
    Name(&'a str, &'a str),
}

fn pieces(value: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('\\') {
            pieces.extend([Piece::Text(before), Piece::Dollar]);
            rest = &from[1..];
            continue;
        }
        pieces.push(Piece::Text(before));
        let word = |text: &str| {
            let length =
                text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            length * usize::from(!text.starts_with(|first: char| first.is_ascii_digit()))
        };
        let braced = from[1..].strip_prefix('{');
        let length = word(braced.unwrap_or(&from[1..]));
        let closed = braced.is_none_or(|braced| braced[length..].starts_with('}'));
        if length == 0 || !closed {
            pieces.push(Piece::Text("$"));
            rest = &from[1..];
            continue;
        }
        let begin = 1 + usize::from(braced.is_some());
        let end = begin + length + usize::from(braced.is_some());
        pieces.push(Piece::Name(&from[..end], &from[begin..begin + length]));
        rest = &from[end..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// A preset's table with the user's laid on top, whose values see the preset's.
pub(super) fn overlaid(
    mut base: BTreeMap<String, String>,
    over: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let seen = |value: &str| -> String {
        let seen = pieces(value).into_iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Dollar => "\\$",
            Piece::Name(written, name) => base.get(name).map_or(written, String::as_str),
        });
        seen.collect()
    };
    let over: Vec<_> = over.into_iter().map(|(name, value)| (name, seen(&value))).collect();
    base.extend(over);
    base
}

/// The variables of what an image is built on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Under {
    /// There is nothing.
    #[default]
    Nothing,
    /// A base whose variables nobody has read yet: a name that nothing else gives may be one of them.
    Unread,
    /// A base with these.
    Base(BTreeMap<String, String>),
}

impl Under {
    /// Those of what an image stands on.
    pub fn of(below: Option<&Below>) -> Self {
        below.map_or(Self::Nothing, |below| Self::Base(below.image.variables().into_iter().collect()))
    }
}

/// The image's variables: the manifest's over those of recipes, and these over those of a base. `folders` stand before everything
/// else on PATH.
pub fn environment(
    own: &BTreeMap<String, String>,
    recipes: &[Recipe],
    under: &Under,
    folders: &[&str],
) -> Result<BTreeMap<String, String>, ManifestError> {
    let mut before = BTreeMap::from([("PATH", PATH)]);
    if let Under::Base(base) = under {
        before.extend(base.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    for recipe in recipes {
        before.extend(recipe.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    let usual = before.get("PATH").copied().unwrap_or(PATH);
    // A base may be an image that has them already.
    let lacks = |folder: &&str| usual.split(':').all(|known| known != *folder);
    let path = folders.iter().copied().filter(lacks).chain([usual]).collect::<Vec<_>>().join(":");
    before.insert("PATH", &path);
    let mut after: BTreeMap<String, String> =
        before.iter().map(|(&name, &value)| (name.to_owned(), value.to_owned())).collect();
    for (name, value) in own {
        let mut text = String::new();
        for piece in pieces(value) {
            text += match piece {
                Piece::Text(text) => text,
                Piece::Dollar => "$",
                Piece::Name(written, wanted) if *under == Under::Unread => {
                    before.get(wanted).copied().unwrap_or(written)
                }
                Piece::Name(written, wanted) => before.get(wanted).copied().ok_or_else(|| {
                    ManifestError::value(
                        format!("image.env.{name}"),
                        format!(
                            "`{written}` names no variable of the image; known here are {}; for the text itself write \
                             `'\\{written}'` in single quotes",
                            before.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                        ),
                    )
                })?,
            };
        }
        after.insert(name.clone(), text);
    }
    Ok(after)
}
