//! Git's configuration files, as far as they say what git runs (git-config(1), "Syntax").
//!
//! **Guarantees**: a parser of text and nothing else; what it does not understand it passes over, and what git would refuse
//! it may read, because a name too many does no harm here.

use super::shell;
use super::shell::Word;

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// `section.key`, in lower case; without the subsection.
    pub(super) name: String,
    /// The part in quotes.
    pub(super) subsection: Option<String>,
    /// Its value; empty where there is none.
    pub(super) value: String,
}

/// Last parts of the names of variables whose value git hands to a shell or executes (git-config(1)).
const EXECUTED: [&str; 36] = [
    "alternaterefscommand",
    "askpass",
    "browser",
    "cccmd",
    "clean",
    "cmd",
    "command",
    "defaultkeycommand",
    "difffilter",
    "driver",
    "editor",
    "external",
    "fsmonitor",
    "gitproxy",
    "headercmd",
    "helper",
    "httpd",
    "packobjectshook",
    "pager",
    "path",
    "process",
    "program",
    "receivepack",
    "recentobjectshook",
    "sendmailcmd",
    "smtpserver",
    "smudge",
    "sshcommand",
    "standalonetransferagent",
    "textconv",
    "tocmd",
    "tool",
    "tunnel",
    "update",
    "uploadpack",
    "vcs",
];

/// Sections of which every variable is a command.
const COMMANDS: [&str; 2] = ["alias", "pager"];

impl Entry {
    /// Whether git executes the value.
    pub(super) fn is_executed(&self) -> bool {
        let (section, key) = self.name.rsplit_once('.').unwrap_or_default();
        COMMANDS.contains(&section) || (EXECUTED.contains(&key) && !self.is_include())
    }

    /// Whether the value is another file to be read.
    pub(super) fn is_include(&self) -> bool {
        matches!(self.name.as_str(), "include.path" | "includeif.path")
    }

    /// Whether the value is a directory of hooks, or one of which new repositories get theirs.
    pub(super) fn is_directory(&self) -> bool {
        matches!(self.name.as_str(), "core.hookspath" | "init.templatedir")
    }

    /// Words of the value that may be paths, and the value as it is, which some variables mean.
    pub(super) fn programs(&self) -> Vec<Word> {
        let value = self.value.trim_start_matches('!');
        let mut words = shell::line("", value);
        if value.contains(char::is_whitespace) {
            words.extend(shell::arguments("", &[value.to_owned()]).pop());
        }
        words
    }
}

/// All variables of a file, in order.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let (mut section, mut subsection) = (String::new(), None);
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        rest = rest.trim_start();
        if let Some(head) = rest.strip_prefix('[') {
            let (name, sub, after) = header(head);
            (section, subsection, rest) = (name, sub, after);
            continue;
        }
        if rest.starts_with(['#', ';']) {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        let end = rest.find(['=', '\n', '#', ';']).unwrap_or(rest.len());
        let key = rest[..end].trim().to_ascii_lowercase();
        rest = &rest[end..];
        let mut text = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            (text, rest) = value(after);
        } else {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        }
        if !key.is_empty() {
            let name = format!("{section}.{key}");
            found.push(Entry { name, subsection: subsection.clone(), value: text });
        }
    }
    found
}

/// What stands after `[`: section, subsection, and the text after `]`.
fn header(text: &str) -> (String, Option<String>, &str) {
    let end = text.find(['"', ']', '\n']).unwrap_or(text.len());
    let name = text[..end].trim();
    let Some(quoted) = text[end..].strip_prefix('"') else {
        // An older spelling has the subsection after a dot.
        let (name, sub) = name.split_once('.').map_or((name, None), |(name, sub)| (name, Some(sub)));
        let after = text[end..].strip_prefix(']').unwrap_or(&text[end..]);
        return (name.to_ascii_lowercase(), sub.map(str::to_owned), after);
    };
    let mut sub = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let after = &quoted[at + 1..];
                let after = after.trim_start_matches([' ', '\t']);
                return (name.to_ascii_lowercase(), Some(sub), after.strip_prefix(']').unwrap_or(after));
            }
            '\\' => sub.extend(chars.next().map(|(_, c)| c)),
            c => sub.push(c),
        }
    }
    (name.to_ascii_lowercase(), Some(sub), "")
}

/// What stands after `=`: the value, and the text after its line.
fn value(text: &str) -> (String, &str) {
    let mut value = String::new();
    // How much of it counts: blanks at the end do not, unless they were quoted.
    let mut kept = 0;
    let mut quoted = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => {
                value.truncate(kept);
                return (value, &text[at + 1..]);
            }
            '"' => quoted = !quoted,
            '#' | ';' if !quoted => {
                value.truncate(kept);
                return (value, text[at..].split_once('\n').map_or("", |(_, after)| after));
            }
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('\n') | None => {}
                Some('r') if text[at..].starts_with("\\\r\n") => {}
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(other) => value.push(other),
            },
            c if c.is_whitespace() && !quoted && value.is_empty() => continue,
            c => value.push(c),
        }
        if quoted || !c.is_whitespace() {
            kept = value.len();
        }
    }
    value.truncate(kept);
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of `git config --list --file` (2.47).
    #[test]
    fn files_mean_what_git_says() {
        let text = concat!(
            "# comment\n[core]\n\thooksPath = .husky/_ ; where\n\tbare\n[remote \"or\\\"igin\"]\n url = a b  \n",
            "[Alias] X = \"!./run.sh  # no comment\" # comment\n[include]path=../more\n[filter.old]\nclean = one \\\n two\n",
            "[a]b = \"quoted \" \n c = x\\ty\\\\z\n",
        );
        let found: Vec<_> = entries(text)
            .into_iter()
            .map(|entry| (entry.name, entry.subsection.unwrap_or_default(), entry.value))
            .collect();
        let expected = [
            ("core.hookspath", "", ".husky/_"),
            ("core.bare", "", ""),
            ("remote.url", "or\"igin", "a b"),
            ("alias.x", "", "!./run.sh  # no comment"),
            ("include.path", "", "../more"),
            ("filter.clean", "old", "one  two"),
            ("a.b", "", "quoted "),
            ("a.c", "", "x\ty\\z"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, sub, value)| (name.to_owned(), sub.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn what_git_executes_is_known_with_the_words_in_it() {
        for (text, executed, words) in [
            ("[core]\nfsmonitor = ./watch --fast", true, &["./watch", "./watch --fast"][..]),
            ("[alias]\nx = !sh tools/x.sh", true, &["sh", "tools/x.sh", "sh tools/x.sh"]),
            ("[filter \"f\"]\nclean = 'tools/clean' %f", true, &["tools/clean", "%f", "'tools/clean' %f"]),
            ("[include]\npath = ../more", false, &["../more"]),
            ("[user]\nname = ./me", false, &["./me"]),
        ] {
            let entry = &entries(text)[0];
            assert_eq!(entry.is_executed(), executed, "{text}");
            let found = entry.programs();
            assert_eq!(found.iter().map(|word| &word.text).collect::<Vec<_>>(), words, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text: String) {
            entries(&text);
            entries(&format!("[a \"{text}\"]\nb = {text}\\"));
        }
    }
}
