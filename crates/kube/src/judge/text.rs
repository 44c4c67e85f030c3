//! Text of documents in messages: short, on one line, without what a terminal would act on.

use pinfold_base::Shown;
use pinfold_base::text::nearest;

/// Columns of a name or a value.
const NAME: usize = 80;
/// Columns of what somebody else has to say.
const LINE: usize = 300;
/// The longest name for which others are looked for.
const LONG: usize = 64;

/// A name or a value as it may stand in a message.
pub(super) fn short(text: &str) -> String {
    within(text, NAME)
}

/// The first line of a text as it may stand in a message.
pub(super) fn line(text: &str) -> String {
    within(text.lines().next().unwrap_or_default(), LINE)
}

fn within(text: &str, columns: usize) -> String {
    // What is cut away is not escaped first: it may be long.
    let cut = text.char_indices().nth(columns * 2).map_or(text, |(end, _)| &text[..end]);
    Shown::new(cut).within(columns).to_string()
}

/// The known name that a name was probably meant to be.
pub(super) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if name.len() > LONG {
        return None;
    }
    let same = known.clone().find(|known| known.eq_ignore_ascii_case(name));
    same.or_else(|| nearest(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found() {
        let known = ["automountServiceAccountToken", "hostUsers", "image", "containers"];
        let near = |name| meant(name, known.into_iter());
        assert_eq!(near("automountServiceAcountToken"), Some("automountServiceAccountToken"));
        assert_eq!(near("HOSTUSERS"), Some("hostUsers"));
        assert_eq!(near("iamge"), Some("image"));
        assert_eq!(near("volumes"), None);
        assert_eq!(near(&"x".repeat(5000)), None);
    }

    #[test]
    fn text_is_shown_short_and_without_what_acts() {
        assert_eq!(short("a\u{1b}[2J"), "a\\x1b[2J");
        assert_eq!(short(&"ä".repeat(5000)).chars().count(), 80);
        assert_eq!(line("one\ntwo"), "one");
    }
}
