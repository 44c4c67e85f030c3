//! Whether the user of an image is one: account, group and home are there, and the home is the user's.

use pinfold_image::survey::Seen;
use pinfold_image::survey::What;

use super::checks::CLOSURE_USER;
use super::report::Finding;
use super::report::Outcome;
use super::subject::Subject;

/// The user, as the configuration names it.
pub(super) fn check(subject: &Subject<'_>) -> Outcome {
    let user = &subject.user;
    let said = if user.said.is_empty() {
        "root (the configuration names nobody)".to_owned()
    } else {
        user.said.clone()
    };
    let mut found = Vec::new();
    let mut tell = |at: &str, problem: String| found.push(Finding { at: at.to_owned(), problem });
    let Some(uid) = user.uid else {
        tell("config.User", format!("`{said}` is no account of the image, so that nothing can start"));
        return Outcome::looked(CLOSURE_USER, format!("`{said}`"), found);
    };
    if user.name.is_none() && uid != 0 {
        tell("/etc/passwd", format!("no account has the number {uid}: programs find no name and no home"));
    }
    let group = subject.text("/etc/group").unwrap_or_default();
    let named = |gid: u32| group.lines().any(|line| line.split(':').nth(2) == Some(gid.to_string().as_str()));
    match user.gid {
        None => tell("config.User", format!("the group of `{said}` is not known")),
        Some(gid) if !named(gid) && gid != 0 => tell("/etc/group", format!("no group has the number {gid}")),
        Some(_) => {}
    }
    if let Some(home) = user.home.as_deref().filter(|_| uid != 0) {
        match subject.survey.find(home.as_bytes()) {
            Err(nowhere) => tell(home, format!("the home of {uid} is not there: {nowhere}")),
            Ok((_, Seen { what: What::Directory, uid: owner, mode, .. })) => {
                if *owner != uid {
                    tell(home, format!("the home of {uid} belongs to {owner}"));
                } else if mode & 0o700 != 0o700 {
                    tell(home, format!("its mode is {:04o}, so that {uid} cannot use it", mode & 0o7777));
                }
            }
            Ok(_) => tell(home, format!("the home of {uid} is no directory")),
        }
    }
    let number = |id: Option<u32>| id.map_or_else(|| "?".to_owned(), |id| id.to_string());
    let name = user.name.as_deref().unwrap_or("no name");
    let home = user.home.as_deref().unwrap_or("no home");
    let evidence = format!("{name} ({}:{}), {home}", number(user.uid), number(user.gid));
    Outcome::looked(CLOSURE_USER, evidence, found)
}
