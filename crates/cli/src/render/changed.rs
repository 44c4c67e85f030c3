//! What changed while a sandbox ran, for the user to look at: on stderr, since stdout is the program's.

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text;
use pinfold_engine::run::Changed;
use pinfold_engine::run::Unsearched;
use pinfold_sandbox::Sandboxes;

use super::page::Page;
use crate::args::Global;

/// How many files are named.
const NAMED: usize = 20;
/// How many places that were not searched are named.
const UNSEARCHED: usize = 5;

/// Tells it, if there is anything to tell.
pub(crate) fn tell(found: &Changed, global: Global) {
    if *found == Changed::default() {
        return;
    }
    if global.json {
        super::event(&serde_json::json!({ "event": "changed", "found": found }));
    } else {
        super::tell(&page(found));
    }
}

/// Tells what could not be taken away from a workspace, the first of it.
pub(crate) fn tell_standing(sandboxes: &Sandboxes, name: &str, global: Global) {
    let Some(path) = sandboxes.left_standing(name) else { return };
    if global.json {
        super::event(&serde_json::json!({ "event": "left", "path": path }));
    } else {
        let name = text::word(name);
        super::note(shown!(
            "`{}`, an empty directory or file of pinfold's, stays where it is, since it may not be removed; open the directory \
             around it, then `pinfold rm {name}`",
            Shown::from(&path)
        ));
    }
}

fn page(found: &Changed) -> Page {
    let mut page = Page::default();
    for made in found.made.iter().take(NAMED) {
        page.line(shown!(
            "`{}` was made, and {} obeys it: read it before you start {} here",
            Shown::from(&made.path),
            Shown::from(&made.obeyed_by),
            Shown::from(&made.obeyed_by)
        ));
    }
    if found.made.len() > NAMED {
        page.line(shown!("and {} more files that agents obey were made", found.made.len() - NAMED));
    }
    if !found.changed.is_empty() {
        page.line(
            "changed while the sandbox ran, and obeyed by git, shells, editors or agents here; look before you go on:",
        );
    }
    for path in found.changed.iter().take(NAMED) {
        page.line(shown!("  {}", Shown::from(path)));
    }
    let more = found.changed.len().saturating_sub(NAMED) + found.more;
    if more > 0 {
        page.line(shown!("  and {more} more"));
    }
    if !found.used.is_empty() {
        page.line("changed too, and run or read here when somebody asks for it; look before you do:");
    }
    for path in found.used.iter().take(NAMED) {
        page.line(shown!("  {}", Shown::from(path)));
    }
    let more = found.used.len().saturating_sub(NAMED) + found.more_used;
    if more > 0 {
        page.line(shown!("  and {more} more"));
    }
    for Unsearched { path, reason } in found.incomplete.iter().take(UNSEARCHED) {
        page.line(shown!(
            "`{}` was not searched for changed hooks and settings: {reason}; look there before you go on",
            Shown::from(path)
        ));
    }
    if let Some(more @ 1..) = found.incomplete.len().checked_sub(UNSEARCHED) {
        page.line(shown!("and {more} more directories were not searched"));
    }
    page
}

#[cfg(test)]
mod tests {
    use pinfold_engine::run::Made;

    use super::*;

    #[test]
    fn a_file_that_an_agent_obeys_is_told_first_with_its_name() {
        let made = vec![Made { path: "/w/opencode.json".into(), obeyed_by: "OpenCode".into() }];
        let found = Changed { made, changed: vec!["/w/.envrc".into()], ..Changed::default() };
        let page = page(&found);
        let text = page.as_str();
        let first =
            "`/w/opencode.json` was made, and OpenCode obeys it: read it before you start OpenCode here";
        assert_eq!(text.lines().next(), Some(first), "{text}");
        assert!(text.ends_with("  /w/.envrc\n"), "{text}");
    }

    #[test]
    fn names_move_no_cursor_and_many_are_counted() {
        let changed = (0..25).map(|number| format!("/w/\x1b[2J{number}/.envrc").into()).collect();
        let incomplete = (0..7).map(|number| Unsearched {
            path: format!("/w/\x1b[2J{number}").into(),
            reason: "it cannot be read (x)".into(),
        });
        let page =
            page(&Changed { changed, more: 3, incomplete: incomplete.collect(), ..Changed::default() });
        let text = page.as_str();
        let unsearched = "`/w/\\x1b[2J4` was not searched for changed hooks and settings: it cannot be read (x); look there";
        assert!(
            text.contains(unsearched) && text.contains("and 2 more directories were not searched\n"),
            "{text}"
        );
        assert!(text.contains("  /w/\\x1b[2J0/.envrc\n") && !text.contains('\x1b'), "{text}");
        assert!(text.contains("  and 8 more\n"), "{text}");
        assert_eq!(text.lines().count(), 1 + NAMED + 1 + UNSEARCHED + 1, "{text}");
    }
}
