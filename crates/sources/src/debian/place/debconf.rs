//! The manifest's answers to debconf's questions, judged by the templates of the chosen packages (debconf-devel(7)).
//!
//! **Guarantees**: an answer that passes belongs to a question that a chosen package has, and is one that the question can
//! have. **Refuses** unknown questions, what is not among fixed choices, lists where one answer is asked for, notes.

use std::collections::BTreeMap;

use pinfold_archive::Contents;
use pinfold_base::text::nearest;

use super::PlaceError;
use super::control::Opened;
use super::evaluate;
use crate::debian::script::world::Template;
use crate::debian::script::world::split;

/// Packages whose templates are there for questions of others.
const SHARED: [&str; 1] = ["dbconfig-common"];

/// What the manifest answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebconfAnswer {
    /// One value; `true` and `false` too.
    Text(String),
    /// Several of a question's choices.
    List(Vec<String>),
}

impl DebconfAnswer {
    /// As debconf keeps it.
    pub(super) fn value(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(several) => several.join(", "),
        }
    }

    fn each(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => text.split(", ").filter(|one| !one.is_empty()).collect(),
            Self::List(several) => several.iter().map(String::as_str).collect(),
        }
    }
}

/// Whether each of the answers can be given.
pub(super) fn check(
    packages: &[Opened<'_>],
    given: &BTreeMap<String, DebconfAnswer>,
    contents: &dyn Contents,
) -> Result<(), PlaceError> {
    if given.is_empty() {
        return Ok(());
    }
    let mut templates = BTreeMap::new();
    for package in packages {
        for template in evaluate::templates(package, contents)? {
            templates.insert(template.name.clone(), template);
        }
    }
    for (question, answer) in given {
        // A question of its own that a package makes of another's template (`db_register`).
        let of_another = || {
            let (owner, rest) = question.split_once('/')?;
            packages.iter().find(|package| package.name() == owner)?;
            SHARED.iter().find_map(|package| templates.get(&format!("{package}/{rest}")))
        };
        let Some(template) = templates.get(question).or_else(of_another) else {
            let near = nearest(question, templates.keys().map(String::as_str)).map(str::to_owned);
            return Err(PlaceError::Question { question: question.clone(), near });
        };
        if let Err(expected) = fits(template, answer) {
            let answer = answer.value().chars().take(80).collect();
            return Err(PlaceError::DebconfAnswer { question: question.clone(), answer, expected });
        }
    }
    Ok(())
}

/// The choices of a question; nothing where they are filled in by a script.
fn choices(template: &Template) -> Option<Vec<String>> {
    let choices = template.field("choices");
    (!choices.contains("${")).then(|| split(choices))
}

/// What is expected instead, where the answer cannot be one.
fn fits(template: &Template, answer: &DebconfAnswer) -> Result<(), String> {
    let fixed = choices(template);
    let among = |one: &str| match &fixed {
        Some(choices) if !choices.iter().any(|choice| choice == one) => {
            let near = nearest(one, choices.iter().map(String::as_str));
            Err(if let Some(near) = near {
                format!("did you mean `{near}`?")
            } else {
                let some: Vec<String> = choices.iter().take(8).map(|one| format!("`{one}`")).collect();
                let more = if choices.len() > 8 { ", …" } else { "" };
                format!("it is one of {}{more}", some.join(", "))
            })
        }
        _ => Ok(()),
    };
    match (template.field("type"), answer) {
        ("boolean", DebconfAnswer::Text(text)) if matches!(text.as_str(), "true" | "false") => Ok(()),
        ("boolean", _) => Err("write `true` or `false`".into()),
        ("multiselect", answer) => answer.each().into_iter().try_for_each(among),
        ("note" | "error" | "title", _) => Err("nothing is asked there: leave it out".into()),
        (_, DebconfAnswer::List(_)) => Err("one answer is asked for, not a list".into()),
        ("select", DebconfAnswer::Text(text)) => among(text),
        (_, DebconfAnswer::Text(text)) if text.contains('\n') => Err("write it on one line".into()),
        (_, DebconfAnswer::Text(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATES: &str = "Template: tzdata/Zones/Europe\nType: select\nChoices: Amsterdam, Berlin, Isle\\, Man\nDefault: Berlin\n\
        Description: Time zone:\n Please select.\n\nTemplate: locales/locales_to_be_generated\nType: multiselect\n\
        Choices: All locales, ${locales}\n\nTemplate: kinds/fixed\nType: multiselect\nChoices: one, two, three\n\n\
        Template: wireshark-common/install-setuid\nType: boolean\nDefault: false\n\n\
        Template: x/note\nType: note\n\nTemplate: x/name\nType: string\n";

    #[test]
    fn answers_are_judged_by_the_kind_and_the_choices_of_their_question() {
        let templates = Template::read(TEMPLATES.as_bytes()).unwrap();
        let templates: BTreeMap<&str, &Template> =
            templates.iter().map(|template| (template.name.as_str(), template)).collect();
        let text = |text: &str| DebconfAnswer::Text(text.to_owned());
        let list = |all: &[&str]| DebconfAnswer::List(all.iter().map(|&one| one.to_owned()).collect());
        for (question, answer, expected) in [
            ("tzdata/Zones/Europe", text("Berlin"), Ok(())),
            ("tzdata/Zones/Europe", text("Isle, Man"), Ok(())),
            ("tzdata/Zones/Europe", text("Berln"), Err("did you mean `Berlin`?")),
            ("tzdata/Zones/Europe", text("Q"), Err("it is one of `Amsterdam`, `Berlin`, `Isle, Man`")),
            ("tzdata/Zones/Europe", list(&["Berlin"]), Err("one answer is asked for, not a list")),
            ("locales/locales_to_be_generated", list(&["en_GB.UTF-8 UTF-8"]), Ok(())),
            ("kinds/fixed", list(&["one", "three"]), Ok(())),
            ("kinds/fixed", text("one, two"), Ok(())),
            ("kinds/fixed", list(&["one", "tree"]), Err("did you mean `three`?")),
            ("wireshark-common/install-setuid", text("true"), Ok(())),
            ("wireshark-common/install-setuid", text("yes"), Err("write `true` or `false`")),
            ("x/note", text("true"), Err("nothing is asked there: leave it out")),
            ("x/name", text("anything at all"), Ok(())),
            ("x/name", text("two\nlines"), Err("write it on one line")),
        ] {
            let found = fits(templates[question], &answer);
            assert_eq!(found, expected.map_err(str::to_owned), "{question} {answer:?}");
        }
        assert_eq!(list(&["one", "three"]).value(), "one, three");
    }

    /// dbconfig-common asks whether to make a database with a question that each package registers: no server is there, so the
    /// answer is no, unless the manifest has another.
    #[test]
    fn a_question_that_a_package_registers_can_be_answered() {
        use crate::debian::place::tests::made;
        use crate::debian::place::tests::options;
        use crate::debian::place::tests::placed;
        use crate::debian::place::tests::text;

        const SPEAKS: &str = "#!/bin/sh\n. /usr/share/debconf/confmodule\n";
        let shared = "Template: dbconfig-common/dbconfig-install\nType: boolean\nDefault: true\n\n\
            Template: dbconfig-common/other\nType: string\nDefault: as it is\n";
        let script = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\n\
            for one in dbconfig-install other; do db_register dbconfig-common/$one app/$one; db_get app/$one; \
            echo \"$RET\" >>/answers; done\n";
        let set = [
            made("dbconfig-common", "", &[("templates", shared), ("postinst", SPEAKS)], Vec::new()),
            made("app", "Depends: dbconfig-common\n", &[("postinst", script)], Vec::new()),
        ];
        let given = |answers: &[(&str, &str)]| {
            let mut options = options();
            for (question, answer) in answers {
                options.debconf.insert((*question).to_owned(), DebconfAnswer::Text((*answer).to_owned()));
            }
            placed(&set, &options)
        };
        let plain = given(&[]).unwrap();
        assert_eq!(text(&plain.tree, "answers"), "false\nas it is\n");
        let told = |placed: &crate::debian::place::Placed| {
            placed
                .ledger
                .iter()
                .any(|entry| entry.what.iter().any(|what| what.contains("the database of `app`")))
        };
        assert!(told(&plain));
        let asked = given(&[("app/dbconfig-install", "true"), ("app/other", "x")]).unwrap();
        assert_eq!(text(&asked.tree, "answers"), "true\nx\n");
        assert!(!told(&asked));
        for (question, answer) in
            [("app/dbconfig-install", "maybe"), ("none/dbconfig-install", "true"), ("app/nothing", "true")]
        {
            assert!(given(&[(question, answer)]).is_err(), "{question}");
        }
    }
}
