//! What is typed in `config.toml`, and what it means. Pure: bytes to a value; files that it names are asked for.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;

use pinfold_image::sign::PROVENANCE;
use pinfold_image::sign::PublicKey;
use pinfold_image::sign::SIGNATURE;
use pinfold_image::trust::Pattern;
use pinfold_image::trust::Rule;
use pinfold_image::trust::Rules;
use pinfold_image::trust::TrustError;
use pinfold_network::OwnError;
use serde::Deserialize;
use toml::Spanned;

use super::Format;
use super::Holds;
use super::Named;
use super::Settings;
use super::SettingsError;
use super::Sign;
use super::SignWith;
use crate::syntax::Position;
use crate::syntax::near;

/// Most rules, and most keys of one.
const MAX_RULES: usize = 1_000;
const MAX_KEYS: usize = 100;
/// Longest URI of a predicate, in bytes.
const MAX_URI: usize = 300;

/// The file as typed. A further table of the user's configuration is a field here.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SettingsFile {
    trust: Vec<TrustFile>,
    sign: SignFile,
    nix: NixFile,
}

/// `[nix]` as typed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct NixFile {
    resolution: Option<Spanned<String>>,
}

/// `[[trust]]` as typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TrustFile {
    images: Spanned<String>,
    keys: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    require: Option<Spanned<Vec<Spanned<String>>>>,
}

/// `[sign]` as typed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SignFile {
    key: Option<Spanned<String>>,
    command: Option<Spanned<Vec<String>>>,
    public: Option<Spanned<String>>,
    format: Format,
}

/// Where the file is.
pub(super) struct Around<'a> {
    pub(super) file: &'a Path,
    /// What relative names count from.
    pub(super) folder: &'a Path,
    /// What `~` stands for.
    pub(super) home: Option<&'a Path>,
}

/// Reads a file of a public key.
pub(super) type ReadKey<'a> = dyn FnMut(&Path) -> Result<Vec<u8>, OwnError> + 'a;

/// What a file means. `read` gives the keys that it names.
pub(super) fn parse(
    bytes: &[u8],
    around: &Around<'_>,
    read: &mut ReadKey<'_>,
) -> Result<Settings, SettingsError> {
    let text = String::from_utf8_lossy(bytes);
    // First, since an error would show the line.
    if let Some(line) = text.lines().position(|line| line.contains("PRIVATE KEY")) {
        return Err(SettingsError::PrivateKey { file: around.file.to_owned(), line: line + 1 });
    }
    let mut reader = Reader { text: &text, around, read, files: Vec::new() };
    if text.contains('\u{fffd}') {
        let at = text.find('\u{fffd}').unwrap_or_default();
        return Err(reader.wrong(at..at, "it is not UTF-8"));
    }
    let typed: SettingsFile = toml::from_str(&text).map_err(|error| SettingsError::Syntax {
        message: error.message().trim_end().replace('\n', ", "),
        position: Position::of(around.file, &text, error.span().unwrap_or(0..0)),
        near: near(error.message()),
    })?;
    let trust = reader.trust(&typed.trust)?;
    let sign = reader.sign(typed.sign)?;
    let resolution = typed.nix.resolution.map(|name| reader.path(&name)).transpose()?;
    reader.files.extend(resolution.clone().map(|path| Named { path, holds: Holds::Answer }));
    Ok(Settings { trust, sign, resolution, files: reader.files })
}

struct Reader<'a, 'r> {
    text: &'a str,
    around: &'a Around<'a>,
    read: &'a mut ReadKey<'r>,
    files: Vec<Named>,
}

impl Reader<'_, '_> {
    fn wrong(&self, span: Range<usize>, message: impl Into<String>) -> SettingsError {
        SettingsError::Syntax {
            message: message.into(),
            position: Position::of(self.around.file, self.text, span),
            near: None,
        }
    }

    fn path(&self, name: &Spanned<String>) -> Result<PathBuf, SettingsError> {
        let text = name.get_ref();
        if text.is_empty() || text.contains('\0') {
            return Err(self.wrong(name.span(), "it names no file"));
        }
        match (text.strip_prefix("~/"), self.around.home) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            (Some(_), None) => {
                Err(self.wrong(name.span(), "there is no home directory, which `~` stands for"))
            }
            (None, _) => Ok(self.around.folder.join(text)),
        }
    }

    /// A public key: itself, or in a file.
    fn key(&mut self, key: &Spanned<String>) -> Result<PublicKey, SettingsError> {
        let text = key.get_ref();
        if text.trim_start().starts_with("-----BEGIN ") {
            return PublicKey::from_pem(text.as_bytes())
                .map_err(|error| self.wrong(key.span(), error.to_string()));
        }
        let path = self.path(key)?;
        let bytes = (self.read)(&path)?;
        let read = PublicKey::from_pem(&bytes);
        let read = read.map_err(|error| self.wrong(key.span(), format!("`{}`: {error}", path.display())))?;
        self.files.push(Named { path, holds: Holds::PublicKey });
        Ok(read)
    }

    fn trust(&mut self, typed: &[TrustFile]) -> Result<Rules, SettingsError> {
        let mut rules: Vec<Rule> = Vec::new();
        for one in typed {
            let images: Pattern = one
                .images
                .get_ref()
                .parse()
                .map_err(|error: TrustError| self.wrong(one.images.span(), error.to_string()))?;
            if rules.iter().any(|rule| *rule.images() == images) {
                return Err(self.wrong(one.images.span(), format!("there are two rules for `{images}`")));
            }
            if rules.len() == MAX_RULES {
                return Err(self.wrong(one.images.span(), format!("there are more than {MAX_RULES} rules")));
            }
            let keys = one.keys.get_ref();
            if keys.is_empty() {
                return Err(self.wrong(one.keys.span(), "nobody's signature would count: name a key"));
            }
            if keys.len() > MAX_KEYS {
                return Err(self.wrong(one.keys.span(), format!("there are more than {MAX_KEYS} keys")));
            }
            let keys = keys.iter().map(|key| self.key(key)).collect::<Result<_, _>>()?;
            let require = match &one.require {
                Some(none) if none.get_ref().is_empty() => {
                    return Err(
                        self.wrong(none.span(), "it demands nothing; without it the signature is demanded")
                    );
                }
                Some(some) => {
                    some.get_ref().iter().map(|one| self.predicate(one)).collect::<Result<_, _>>()?
                }
                None => BTreeSet::new(),
            };
            let rule = Rule::new(images, keys, require);
            rules.push(rule.map_err(|error| self.wrong(one.images.span(), error.to_string()))?);
        }
        // That they differ was looked at above, where it is known which line is meant.
        Rules::new(rules).map_err(|error| self.wrong(0..0, error.to_string()))
    }

    fn predicate(&self, word: &Spanned<String>) -> Result<String, SettingsError> {
        predicate(word.get_ref()).map_err(|wrong| self.wrong(word.span(), wrong))
    }

    fn sign(&mut self, typed: SignFile) -> Result<Sign, SettingsError> {
        let with = match (typed.key, typed.command, typed.public) {
            (None, None, None) => None,
            (Some(key), None, None) => {
                let path = self.path(&key)?;
                self.files.push(Named { path: path.clone(), holds: Holds::PrivateKey });
                Some(SignWith::Key(path))
            }
            (None, Some(command), Some(public)) => {
                if command.get_ref().first().is_none_or(String::is_empty) {
                    return Err(self.wrong(command.span(), "it names no program"));
                }
                let public = self.key(&public)?;
                Some(SignWith::Command { words: command.into_inner(), public })
            }
            (None, Some(command), None) => {
                return Err(self.wrong(
                    command.span(),
                    "`public` is needed beside it: the key that its signatures are checked with",
                ));
            }
            (Some(_), Some(command), _) => {
                return Err(self.wrong(command.span(), "either `key` or `command` signs, not both"));
            }
            (_, None, Some(public)) => {
                return Err(
                    self.wrong(public.span(), "`public` is the key of a `command`, and there is none")
                );
            }
        };
        Ok(Sign { with, format: typed.format })
    }
}

/// The predicate that a word means: `signature`, `provenance`, or its URI.
pub fn predicate(word: &str) -> Result<String, &'static str> {
    match word {
        "signature" => Ok(SIGNATURE.to_owned()),
        "provenance" => Ok(PROVENANCE.to_owned()),
        uri if is_uri(uri) => Ok(uri.to_owned()),
        _ => Err("it is neither `signature` nor `provenance` nor the URI of a predicate"),
    }
}

/// Whether text is a URI (RFC 3986, its scheme and nothing that cannot stand in one).
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && text.len() <= MAX_URI
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte))
}
