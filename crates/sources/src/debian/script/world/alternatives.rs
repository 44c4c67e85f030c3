//! Groups of alternatives, as update-alternatives keeps them in files.

use std::collections::BTreeMap;

/// Groups by the directory of their database and their name.
pub(in crate::debian) type Alternatives = BTreeMap<(String, String), Group>;

/// A group: one name for programs that do the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::debian) struct Group {
    /// Whether somebody has chosen; else the best is taken.
    pub(in crate::debian::script) manual: bool,
    /// The generic path, `/usr/bin/awk`.
    pub(in crate::debian::script) link: String,
    /// Generic paths that follow it, by name.
    pub(in crate::debian::script) slaves: BTreeMap<String, String>,
    /// What can be chosen: what earlier calls have installed in the order of paths, then what this call installs.
    pub(in crate::debian::script) choices: Vec<Choice>,
}

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::debian) struct Choice {
    /// `/usr/bin/mawk`
    pub(in crate::debian::script) path: String,
    /// The higher wins.
    pub(in crate::debian::script) priority: i32,
    /// What the links that follow lead to, by name.
    pub(in crate::debian::script) slaves: BTreeMap<String, String>,
}

impl Group {
    /// The one of the highest priority: what is linked, else the first.
    pub(in crate::debian::script) fn best(&self, linked: Option<&str>) -> Option<&Choice> {
        let linked = self.choices.iter().find(|choice| Some(choice.path.as_str()) == linked);
        linked
            .into_iter()
            .chain(&self.choices)
            .reduce(|best, next| if next.priority > best.priority { next } else { best })
    }

    /// Reads a file of the database; `None` where it is none.
    pub(in crate::debian) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let manual = match lines.next()? {
            "manual" => true,
            "auto" => false,
            _ => return None,
        };
        let link = lines.next()?.to_owned();
        let mut slaves = BTreeMap::new();
        // The order of slaves in each choice is that of the list, which need not be by name.
        let mut names = Vec::new();
        loop {
            match lines.next()? {
                "" => break,
                name => {
                    names.push(name.to_owned());
                    slaves.insert(name.to_owned(), lines.next()?.to_owned());
                }
            }
        }
        let mut choices = Vec::new();
        loop {
            match lines.next() {
                None | Some("") => break,
                Some(path) => {
                    let priority = lines.next()?.parse().ok()?;
                    let mut own = BTreeMap::new();
                    for name in &names {
                        let target = lines.next()?;
                        if !target.is_empty() {
                            own.insert(name.clone(), target.to_owned());
                        }
                    }
                    choices.push(Choice { path: path.to_owned(), priority, slaves: own });
                }
            }
        }
        Some(Self { manual, link, slaves, choices })
    }

    /// The file of the database.
    pub(in crate::debian) fn file(&self) -> String {
        let mut lines = vec![if self.manual { "manual" } else { "auto" }.to_owned(), self.link.clone()];
        for (name, link) in &self.slaves {
            lines.extend([name.clone(), link.clone()]);
        }
        lines.push(String::new());
        for choice in &self.choices {
            lines.extend([choice.path.clone(), choice.priority.to_string()]);
            lines.extend(self.slaves.keys().map(|name| choice.slaves.get(name).cloned().unwrap_or_default()));
        }
        lines.push(String::new());
        lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}
