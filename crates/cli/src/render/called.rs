//! How pinfold is called where a message says what to do with it: `pinfold VERB`, unless a file carries it. On a machine that has only the
//! file, that is `FILE --pinfold VERB`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

use pinfold_base::Shown;
use pinfold_base::text;

/// What stands before a verb in messages.
const PROGRAM: &str = "`pinfold ";

static CALLED: OnceLock<String> = OnceLock::new();

/// From here on messages name this file.
pub(crate) fn is(file: &OsStr) {
    let _ = CALLED.set(by(file));
}

/// What stands before a verb for a file. A name without a directory is one that the shell has found.
fn by(file: &OsStr) -> String {
    format!("`{} --pinfold ", text::word(Path::new(file)))
}

/// A message as whoever reads it can follow it.
pub(crate) fn said(message: Shown) -> Shown {
    match CALLED.get() {
        Some(called) => put(&message, called),
        None => message,
    }
}

fn put(message: &Shown, called: &str) -> Shown {
    Shown::new(&message.as_str().replace(PROGRAM, called))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_those_of_the_file() {
        let put = |message: &str, file: &str| put(&message.into(), &by(OsStr::new(file))).as_str().to_owned();
        let message = "`pinfold ps` shows what there is; `pinfold rm x` removes one; pinfold itself";
        assert_eq!(
            put(message, "./a.AppImage"),
            "`./a.AppImage --pinfold ps` shows what there is; `./a.AppImage --pinfold rm x` removes one; pinfold itself"
        );
        assert_eq!(put("`pinfold ps`", "codex"), "`codex --pinfold ps`");
        assert_eq!(put("`pinfold ps`", "/a b/c"), "`'/a b/c' --pinfold ps`");
        assert_eq!(put("an \\x1b escape of `x`", "./f"), "an \\x1b escape of `x`", "the control");
    }
}
