//! Users and groups: adduser and its relatives, and who asks for them.

use std::rc::Rc;

use super::Command;
use super::Word;
use super::as_text;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long;
use super::options::long_valued;
use super::options::valued;
use crate::accounts::Passwords;
use crate::accounts::Turn;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;
use crate::debian::version;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "adduser" => adduser,
        "addgroup" => addgroup,
        "useradd" => useradd,
        "groupadd" => groupadd,
        "systemd-sysusers" => sysusers,
        "usermod" => usermod,
        "gpasswd" => gpasswd,
        "groups" => groups,
        "chsh" => chsh,
        "chfn" => chfn,
        "passwd" | "chage" => |_, _| Ok(0),
        "deluser" | "delgroup" | "userdel" | "groupdel" => remove,
        "groupmod" => groupmod,
        "getent" => getent,
        "id" => id,
        _ => return None,
    })
}

/// Writes the files of accounts after a change, so that a script that reads them sees it.
fn store(shell: &mut Shell<'_, '_>, words: &[Word]) -> Result<(), Flow> {
    let world = shell.world();
    let files = world.accounts.files_with(world.epoch, Passwords::Shadow);
    for (path, text) in [
        ("/etc/passwd", files.passwd),
        ("/etc/group", files.group),
        ("/etc/shadow", files.shadow),
        ("/etc/gshadow", files.gshadow),
    ] {
        let world = shell.world();
        // Only what is there: who makes the files first decides how.
        if world.stat(b"/", path.as_bytes(), Last::Followed).is_err() {
            continue;
        }
        let opened = world.open_to_write(b"/", path.as_bytes(), 0o644, Kept::All);
        if let Err(errno) = opened.and_then(|file| world.replace_content(&file, text.into_bytes())) {
            return Err(shell.fault(words, errno.to_string()));
        }
    }
    Ok(())
}

/// What adduser and addgroup have in common.
const ADDING: &[Known] = &[
    long('S', "system"),
    long('G', "group"),
    long('H', "no-create-home"),
    flag('q', "quiet"),
    long('D', "disabled-login"),
    long('P', "disabled-password"),
    long('F', "force-badname"),
    long('F', "allow-badname"),
    long('F', "allow-bad-names"),
    long('F', "allow-all-names"),
    long('d', "debug"),
    long('L', "add_extra_groups"),
    long('L', "add-extra-groups"),
    long_valued('h', "home"),
    long_valued('s', "shell"),
    long_valued('g', "gecos"),
    long_valued('g', "comment"),
    long_valued('u', "uid"),
    long_valued('i', "gid"),
    long_valued('I', "ingroup"),
    long_valued('c', "conf"),
    long_valued('f', "firstuid"),
    long_valued('l', "lastuid"),
    long_valued('m', "stdoutmsglevel"),
    long_valued('m', "stderrmsglevel"),
    long_valued('m', "logmsglevel"),
];

fn adduser(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given = options::read(shell, words, ADDING)?;
    let names: Vec<String> = given.operands.iter().map(|word| as_text(word)).collect();
    match &names[..] {
        [user, group] => return join(shell, words, user, group),
        [_] => {}
        _ => return Err(shell.fault(words, "a name is missing")),
    }
    let name = &names[0];
    if !given.has('S') && given.has('G') {
        return addgroup(shell, words);
    }
    if !given.has('S') {
        return Err(shell.fault(words, "a person's account is not made by a package"));
    }
    let comment = given.value('g').map(|comment| as_text(comment));
    let by_chfn = shell.world().packages.get("adduser").is_none_or(|package| {
        version::compare(package.version.as_bytes(), LAST_WITH_CHFN.as_bytes()).is_le()
    });
    let gecos = match comment {
        Some(comment) if by_chfn => {
            let parts: Vec<&str> = comment.split(',').chain([""; 5]).take(5).collect();
            let Some(gecos) = gecos_of(&parts) else {
                return Err(shell.fault(words, "chfn takes no `:` and no `=`"));
            };
            gecos
        }
        comment => comment.unwrap_or_default(),
    };
    let home = given.value('h').map(|home| as_text(home));
    let group = match (given.has('G'), given.value('I'), given.value('i')) {
        (true, _, _) => Some(name.clone()),
        (false, Some(group), _) => Some(as_text(group)),
        (false, None, Some(gid)) => {
            let gid = as_text(gid).parse().ok();
            gid.and_then(|gid| shell.world().accounts.group_name(gid).map(str::to_owned))
        }
        (false, None, None) => None,
    };
    let new = Account {
        name: name.clone(),
        home: home.clone().unwrap_or_else(|| "/nonexistent".into()),
        gecos,
        group,
        uid: given.value('u').and_then(|uid| as_text(uid).parse().ok()),
        shell: given.value('s').map(|shell| as_text(shell)),
        make_home: home.is_some() && !given.has('H'),
    };
    add(shell, words, &new)
}

/// Later ones have usermod write the comment as it is (`adduser: ch_comment`).
const LAST_WITH_CHFN: &str = "3.134";

/// What chfn writes: name, room and two telephones, and behind them what else there is.
fn gecos_of(parts: &[&str]) -> Option<String> {
    let strange = |part: &&str| part.chars().any(|letter| letter.is_control() || ":,=".contains(letter));
    let (known, other) = parts.split_at_checked(4)?;
    if known.iter().any(strange) || other.iter().any(|part| part.contains(':')) {
        return None;
    }
    let other: Vec<&str> = other.iter().copied().filter(|part| !part.is_empty()).collect();
    Some(known.iter().copied().chain(other).collect::<Vec<_>>().join(","))
}

/// A system user to be made.
struct Account {
    name: String,
    home: String,
    gecos: String,
    group: Option<String>,
    uid: Option<u32>,
    shell: Option<String>,
    make_home: bool,
}

fn add(shell: &mut Shell<'_, '_>, words: &[Word], new: &Account) -> Status {
    if shell.world().accounts.uid(&new.name).is_some() {
        return Ok(0);
    }
    let made = shell.world().accounts.add_system_user_with(
        &new.name,
        &new.home,
        &new.gecos,
        new.group.as_deref(),
        new.uid,
        new.shell.as_deref(),
    );
    let uid = made.map_err(|error| shell.fault(words, error.to_string()))?;
    shell.world().note(format!("system user {}", new.name));
    store(shell, words)?;
    if new.make_home && shell.world().stat(b"/", new.home.as_bytes(), Last::Followed).is_err() {
        let made: Status =
            shell.start(&[Rc::from(&b"mkdir"[..]), Rc::from(&b"-p"[..]), Rc::from(new.home.as_bytes())]);
        made?;
        let gid = shell.world().accounts.gid_of_user(&new.name);
        if let Ok(stat) = shell.world().stat(b"/", new.home.as_bytes(), Last::Followed)
            && let Err(errno) = shell.world().set_owner(&stat.path, Some(uid), gid)
        {
            return shell.failed(words, new.home.as_bytes(), errno);
        }
    }
    Ok(0)
}

fn addgroup(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given = options::read(shell, words, ADDING)?;
    let names: Vec<String> = given.operands.iter().map(|word| as_text(word)).collect();
    match &names[..] {
        [user, group] => join(shell, words, user, group),
        [name] => add_group(shell, words, name, given.value('i').and_then(|gid| as_text(gid).parse().ok())),
        _ => Err(shell.fault(words, "a name is missing")),
    }
}

fn add_group(shell: &mut Shell<'_, '_>, words: &[Word], name: &str, gid: Option<u32>) -> Status {
    if shell.world().accounts.gid(name).is_some() {
        return Ok(0);
    }
    let made = shell.world().accounts.add_system_group_with(name, gid);
    made.map_err(|error| shell.fault(words, error.to_string()))?;
    shell.world().note(format!("system group {name}"));
    store(shell, words)?;
    Ok(0)
}

fn join(shell: &mut Shell<'_, '_>, words: &[Word], user: &str, group: &str) -> Status {
    if shell.world().accounts.uid(user).is_none() || shell.world().accounts.gid(group).is_none() {
        shell.say_error(
            format!("{}: the user or group `{user}`, `{group}` does not exist\n", words[0].escape_ascii())
                .as_bytes(),
        )?;
        return Ok(1);
    }
    if shell.world().accounts.join(user, group) {
        shell.world().note(format!("user {user} in group {group}"));
        store(shell, words)?;
    }
    Ok(0)
}

fn useradd(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('r', "system"),
        flag('M', "no-create-home"),
        flag('m', "create-home"),
        flag('U', "user-group"),
        flag('N', "no-user-group"),
        flag('o', "non-unique"),
        flag('l', "no-log-init"),
        valued('d', "home-dir"),
        valued('s', "shell"),
        valued('c', "comment"),
        valued('g', "gid"),
        valued('G', "groups"),
        valued('u', "uid"),
        valued('k', "skel"),
        valued('p', "password"),
        valued('K', "key"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let [name] = &given.operands[..] else { return Err(shell.fault(words, "a name is missing")) };
    if !given.has('r') || given.has('p') {
        return Err(shell.fault(words, "a person's account is not made by a package"));
    }
    let name = as_text(name);
    let group = given.value('g').map(|group| as_text(group));
    let group = match group {
        Some(group) => match known_group(shell, &group) {
            Some(known) => Some(known),
            None => return missing_group(shell, "useradd", &group),
        },
        // `GROUP` of /etc/default/useradd.
        None if given.has('N') => known_group(shell, "100"),
        None => Some(name.clone()),
    };
    let own_group = !given.has('g') && !given.has('N');
    let Ok(uid) = given.value('u').map(|uid| as_text(uid).parse()).transpose() else {
        return invalid_id(shell, "useradd: invalid user ID");
    };
    let others = listed_groups(given.value('G'));
    for group in &others {
        if known_group(shell, group).is_none() {
            return missing_group(shell, "useradd", group);
        }
    }
    if shell.world().accounts.uid(&name).is_some() {
        shell.say_error(format!("useradd: user '{name}' already exists\n").as_bytes())?;
        return Ok(9);
    }
    if own_group && shell.world().accounts.gid(&name).is_some() {
        shell.say_error(
            format!("useradd: group {name} exists - if you want to add this user to that group, use -g.\n")
                .as_bytes(),
        )?;
        return Ok(9);
    }
    shell.spend(1_000)?;
    let accounts = &shell.world().accounts;
    let uid = match uid {
        Some(uid) if accounts.user_name(uid).is_some() => {
            shell.say_error(format!("useradd: UID {uid} is not unique\n").as_bytes())?;
            return Ok(4);
        }
        Some(uid) => uid,
        None => match system_id(|id| accounts.user_name(id).is_some()) {
            Some(uid) => uid,
            None => return Err(shell.fault(words, "no user id is left")),
        },
    };
    let new = Account {
        home: given.value('d').map_or_else(|| format!("/home/{name}"), |home| as_text(home)),
        gecos: given.value('c').map(|gecos| as_text(gecos)).unwrap_or_default(),
        uid: Some(uid),
        // useradd's own default; adduser has another.
        shell: Some(given.value('s').map_or_else(|| "/bin/sh".into(), |shell| as_text(shell))),
        make_home: given.has('m'),
        group,
        name: name.clone(),
    };
    if own_group {
        let accounts = &mut shell.world().accounts;
        let gid = if accounts.group_name(uid).is_none() {
            Some(uid)
        } else {
            system_id(|id| accounts.group_name(id).is_some())
        };
        let made = accounts.add_system_group_with(&name, gid);
        made.map_err(|error| shell.fault(words, error.to_string()))?;
    }
    let status = add(shell, words, &new)?;
    for group in others {
        let group = known_group(shell, &group).unwrap_or(group);
        join(shell, words, &name, &group)?;
    }
    Ok(status)
}

/// The id that shadow's `useradd -r` and `groupadd -r` give out of their 101 to 999: one less than the lowest that is taken,
/// and where there is none below it the highest free one (`find_new_uid.c`).
fn system_id(taken: impl Fn(u32) -> bool) -> Option<u32> {
    const IDS: std::ops::RangeInclusive<u32> = 101..=999;
    let lowest = IDS.into_iter().find(|id| taken(*id)).unwrap_or(1_000);
    (101..lowest).next_back().or_else(|| IDS.rev().find(|id| !taken(*id)))
}

/// A group by its name or number.
fn known_group(shell: &mut Shell<'_, '_>, group: &str) -> Option<String> {
    let accounts = &shell.world().accounts;
    if accounts.gid(group).is_some() {
        return Some(group.to_owned());
    }
    group.parse().ok().and_then(|gid| accounts.group_name(gid).map(str::to_owned))
}

fn invalid_id(shell: &mut Shell<'_, '_>, said: &str) -> Status {
    shell.say_error(format!("{said}\n").as_bytes())?;
    Ok(3)
}

fn missing_group(shell: &mut Shell<'_, '_>, program: &str, group: &str) -> Status {
    shell.say_error(format!("{program}: group '{}' does not exist\n", group.escape_debug()).as_bytes())?;
    Ok(6)
}

/// The groups of `-G`.
fn listed_groups(given: Option<&Word>) -> Vec<String> {
    let all = given.map(|groups| as_text(groups)).unwrap_or_default();
    all.split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect()
}

fn groupadd(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('r', "system"),
        flag('f', "force"),
        flag('o', "non-unique"),
        valued('g', "gid"),
        valued('K', "key"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let [name] = &given.operands[..] else { return Err(shell.fault(words, "a name is missing")) };
    let name = as_text(name);
    if shell.world().accounts.gid(&name).is_some() && !given.has('f') {
        shell.say_error(format!("groupadd: group '{name}' already exists\n").as_bytes())?;
        return Ok(9);
    }
    let Ok(gid) = given.value('g').map(|gid| as_text(gid).parse()).transpose() else {
        return invalid_id(shell, "groupadd: invalid group ID");
    };
    shell.spend(1_000)?;
    let accounts = &shell.world().accounts;
    let taken = |id: u32| accounts.group_name(id).is_some();
    let gid = match gid {
        Some(gid) if taken(gid) && !given.has('f') && accounts.gid(&name).is_none() => {
            shell.say_error(format!("groupadd: GID '{gid}' already exists\n").as_bytes())?;
            return Ok(4);
        }
        Some(gid) if !taken(gid) => Some(gid),
        _ if given.has('r') => system_id(taken),
        _ => (1_000..=60_000).find(|id| !taken(*id)),
    };
    add_group(shell, words, &name, gid)
}

fn usermod(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('a', "append"),
        flag('L', "lock"),
        valued('G', "groups"),
        valued('d', "home"),
        valued('s', "shell"),
        valued('c', "comment"),
        valued('g', "gid"),
        flag('m', "move-home"),
        flag('U', "unlock"),
        valued('u', "uid"),
        valued('p', "password"),
        valued('e', "expiredate"),
        valued('v', "add-subuids"),
        valued('w', "add-subgids"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let [name] = &given.operands[..] else { return Err(shell.fault(words, "a name is missing")) };
    let name = as_text(name);
    for (letter, path) in [('v', "/etc/subuid"), ('w', "/etc/subgid")] {
        for (_, range) in given.options.iter().filter(|(known, _)| *known == letter) {
            let status = add_range(shell, words, path, &name, &as_text(range))?;
            if status != 0 {
                return Ok(status);
            }
        }
    }
    // No account of a package has a password to unlock, nor ends on a day.
    let ends = given.value('e').is_some_and(|day| !matches!(&**day, b"" | b"-1"));
    if ends || ['u', 'p'].into_iter().any(|letter| given.has(letter)) {
        return Err(shell.fault(words, "this use of usermod is not known"));
    }
    if shell.world().accounts.uid(&name).is_none() {
        shell.say_error(format!("usermod: user '{name}' does not exist\n").as_bytes())?;
        return Ok(6);
    }
    let value = |letter: char| given.value(letter).map(|value| as_text(value));
    let others = listed_groups(given.value('G'));
    for group in others.iter().chain(value('g').as_ref()) {
        if known_group(shell, group).is_none() {
            return missing_group(shell, "usermod", group);
        }
    }
    if let Some(home) = value('d').filter(|_| given.has('m')) {
        move_home(shell, words, &name, &home)?;
    }
    let changed = shell.world().accounts.change(
        &name,
        value('d').as_deref(),
        value('s').as_deref(),
        value('c').as_deref(),
    );
    changed.map_err(|error| shell.fault(words, error.to_string()))?;
    if let Some(group) = value('g') {
        let accounts = &mut shell.world().accounts;
        if let Some(gid) = accounts.gid(&group).or_else(|| group.parse().ok()) {
            accounts.set_primary_group(&name, gid);
        }
    }
    if given.has('G') && !given.has('a') {
        shell.world().accounts.leave_all(&name);
    }
    for group in others {
        let group = known_group(shell, &group).unwrap_or(group);
        join(shell, words, &name, &group)?;
    }
    shell.world().note(format!("user {name} changed"));
    store(shell, words)?;
    Ok(0)
}

/// A line of `/etc/subuid` or `/etc/subgid`, which must be there: `FIRST-LAST` becomes `USER:FIRST:COUNT`.
fn add_range(shell: &mut Shell<'_, '_>, words: &[Word], path: &str, name: &str, range: &str) -> Status {
    let ends = range.split_once('-').map(|(first, last)| (first.parse::<u64>(), last.parse::<u64>()));
    let Some((Ok(first), Ok(last))) = ends else {
        return Err(shell.fault(words, format!("`{}` is no range of numbers", range.escape_debug())));
    };
    let Ok(stat) = shell.world().stat(b"/", path.as_bytes(), Last::Followed) else {
        shell.say_error(format!("usermod: {path} does not exist\n").as_bytes())?;
        return Ok(2);
    };
    let line = format!("{name}:{first}:{}\n", (last + 1).saturating_sub(first));
    match shell.world().append(&stat.path, line.as_bytes()) {
        Ok(()) => Ok(0),
        Err(errno) => shell.failed(words, path.as_bytes(), errno),
    }
}

/// What `usermod -d HOME -m` does: the old home is the new one, where that is not there yet.
fn move_home(shell: &mut Shell<'_, '_>, words: &[Word], name: &str, home: &str) -> Result<(), Flow> {
    let world = shell.world();
    let passwd = world.accounts.files_with(world.epoch, Passwords::Shadow).passwd;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name));
    let old = line.and_then(|line| line.split(':').nth(5)).unwrap_or_default();
    let (from, to) =
        (world.stat(b"/", old.as_bytes(), Last::Itself), world.locate(b"/", home.as_bytes(), Last::Itself));
    if let (Ok(from), Ok(to)) = (from, to)
        && from.kind == Kind::Directory
        && !world.tree.contains(&to)
        && let Err(errno) = world.rename(&from.path, &to)
    {
        return Err(shell.fault(words, errno.to_string()));
    }
    Ok(())
}

/// `gpasswd -a USER GROUP`
fn gpasswd(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[valued('a', "add")];
    let given = options::read(shell, words, KNOWN)?;
    let (Some(user), [group]) = (given.value('a').map(|user| as_text(user)), &given.operands[..]) else {
        return Err(shell.fault(words, "this use of gpasswd is not known"));
    };
    join(shell, words, &user, &as_text(group))
}

/// `chsh -s SHELL USER`
fn chsh(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[valued('s', "shell")];
    let given = options::read(shell, words, KNOWN)?;
    change(shell, words, &given, 's', "-s")
}

/// `chfn -f NAME USER`: one part of the comment, or several.
fn chfn(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        valued('f', "full-name"),
        valued('r', "room"),
        valued('w', "work-phone"),
        valued('h', "home-phone"),
        valued('o', "other"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let [user] = &given.operands[..] else {
        return Err(shell.fault(words, "this changes nothing that is known"));
    };
    let user = as_text(user);
    let passwd = shell.world().accounts.files_with(0, Passwords::Shadow).passwd;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(&user));
    let Some(line) = line else {
        shell.say_error(format!("chfn: user '{}' does not exist\n", user.escape_debug()).as_bytes())?;
        return Ok(1);
    };
    let old = line.split(':').nth(4).unwrap_or_default();
    let asked = ['f', 'r', 'w', 'h', 'o'].map(|letter| given.value(letter).map(|value| as_text(value)));
    let old: Vec<&str> = old.splitn(5, ',').chain([""; 5]).take(5).collect();
    let parts: Vec<&str> =
        asked.iter().zip(old).map(|(asked, old)| asked.as_deref().unwrap_or(old)).collect();
    let Some(gecos) = gecos_of(&parts) else {
        shell.say_error(b"chfn: invalid name\n")?;
        return Ok(1);
    };
    let changed = shell.world().accounts.change(&user, None, None, Some(&gecos));
    changed.map_err(|error| shell.fault(words, error.to_string()))?;
    shell.world().note(format!("user {user} changed"));
    store(shell, words)?;
    Ok(0)
}

/// The same as `usermod` with another option.
fn change(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    given: &options::Given,
    letter: char,
    option: &str,
) -> Status {
    let (Some(value), [user]) = (given.value(letter), &given.operands[..]) else {
        return Err(shell.fault(words, "this changes nothing that is known"));
    };
    usermod(shell, &[Rc::from(&b"usermod"[..]), Rc::from(option.as_bytes()), value.clone(), user.clone()])
}

/// `groups [USER]`
fn groups(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut call: Vec<Word> = vec![Rc::from(&b"id"[..]), Rc::from(&b"-Gn"[..])];
    call.extend(words[1..].iter().cloned());
    id(shell, &call)
}

/// Who is not there is removed already; others stay where nobody has made them for another purpose.
fn remove(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let names: Vec<String> =
        words[1..].iter().filter(|word| !word.starts_with(b"-")).map(|word| as_text(word)).collect();
    let accounts = &shell.world().accounts;
    if let [user, group] = &names[..] {
        let member = accounts.groups_of(user).contains(group);
        return if member { Err(shell.fault(words, "members are not taken out of groups")) } else { Ok(6) };
    }
    let known = names.iter().any(|name| accounts.uid(name).is_some() || accounts.gid(name).is_some());
    if known {
        return Err(shell.fault(words, "accounts are not removed on a fresh install"));
    }
    let optional = words.iter().any(|word| matches!(&**word, b"--quiet" | b"--system" | b"--only-if-empty"));
    Ok(if optional && words[0].starts_with(b"del") { 0 } else { 6 })
}

/// `groupmod` of a group that is not there; its number is not changed.
fn groupmod(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = words.last().map(|name| as_text(name)).unwrap_or_default();
    if shell.world().accounts.gid(&name).is_none() {
        return Ok(6);
    }
    Err(shell.fault(words, "groups are not changed on a fresh install"))
}

fn getent(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let [_, database, keys @ ..] = words else { return Err(shell.fault(words, "a database is missing")) };
    let files = shell.world().accounts.files_with(0, Passwords::Shadow);
    let all = match &**database {
        b"passwd" => files.passwd,
        b"group" => files.group,
        b"shadow" => files.shadow,
        b"gshadow" => files.gshadow,
        // What a network knows is not asked.
        b"hosts" | b"ahosts" | b"ahostsv4" | b"services" | b"protocols" | b"networks" | b"netgroup" => {
            String::new()
        }
        _ => return Err(shell.fault(words, "this database is not known")),
    };
    let mut status = 0;
    if keys.is_empty() {
        shell.say(all.as_bytes())?;
    }
    for key in keys {
        let key = as_text(key);
        let line = all.lines().find(|line| {
            let mut fields = line.split(':');
            fields.next() == Some(&key) || fields.nth(1) == Some(&key) && key.parse::<u32>().is_ok()
        });
        match line {
            Some(line) => shell.say(format!("{line}\n").as_bytes())?,
            None => status = 2,
        }
    }
    Ok(status)
}

fn id(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] =
        &[flag('u', "user"), flag('g', "group"), flag('G', "groups"), flag('n', "name"), flag('r', "real")];
    let given = options::read(shell, words, KNOWN)?;
    let runs = shell.uid();
    let accounts = &shell.world().accounts;
    let runs = accounts.user_name(runs).unwrap_or("root").to_owned();
    let user = given.operands.first().map_or(runs, |name| as_text(name));
    let Some((uid, gid)) = accounts.uid(&user).zip(accounts.gid_of_user(&user)) else {
        shell.say_error(format!("id: '{}': no such user\n", user.escape_debug()).as_bytes())?;
        return Ok(1);
    };
    let group = accounts.group_name(gid).map_or_else(|| gid.to_string(), str::to_owned);
    let others = accounts.groups_of(&user).into_iter().filter(|other| *other != group);
    let others = others.filter_map(|name| accounts.gid(&name).map(|gid| (name, gid)));
    let groups: Vec<(String, u32)> = std::iter::once((group.clone(), gid)).chain(others).collect();
    let joined = |between: &str, said: fn(&(String, u32)) -> String| {
        groups.iter().map(said).collect::<Vec<_>>().join(between)
    };
    let said = match (given.has('u'), given.has('g'), given.has('G'), given.has('n')) {
        (true, _, _, true) => user,
        (true, _, _, false) => uid.to_string(),
        (_, true, _, true) => group,
        (_, true, _, false) => gid.to_string(),
        (_, _, true, true) => joined(" ", |(name, _)| name.clone()),
        (_, _, true, false) => joined(" ", |(_, gid)| gid.to_string()),
        _ if words.len() > 2 => return Err(shell.fault(words, "this use of id is not known")),
        _ => {
            let all = joined(",", |(name, gid)| format!("{gid}({name})"));
            format!("uid={uid}({user}) gid={gid}({group}) groups={all}")
        }
    };
    shell.say(format!("{said}\n").as_bytes())?;
    Ok(0)
}

/// `systemd-sysusers FILE…`: the lines `u`, `g` and `m` of sysusers.d(5). Ids that are not said are given out from 999 downwards.
fn sysusers(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const FOLDERS: [&str; 3] = ["/etc/sysusers.d", "/run/sysusers.d", "/usr/lib/sysusers.d"];
    let mut asked: Vec<Word> = words[1..].iter().filter(|word| !word.starts_with(b"-")).cloned().collect();
    // Without names all of them; of two with one name the first folder's counts.
    if asked.is_empty() {
        let mut names = std::collections::BTreeSet::new();
        for folder in FOLDERS {
            let found = match shell.world().stat(b"/", folder.as_bytes(), Last::Followed) {
                Ok(stat) => shell.world().list(&stat.path),
                Err(_) => continue,
            };
            let found = found.map_err(|errno| shell.fault(words, errno.to_string()))?;
            names.extend(found.into_iter().filter(|name| name.ends_with(b".conf")));
        }
        asked.extend(names.into_iter().map(Word::from));
    }
    let shadow = shell.world().stat(b"/", b"/etc/shadow", Last::Followed);
    let turn = if shadow.is_ok() { Turn::Then } else { Turn::First };
    let before = shell.world().accounts.count();
    let mut expired = Vec::new();
    for word in &asked {
        let name = as_text(word);
        let paths: Vec<String> = if name.starts_with('/') {
            vec![name]
        } else {
            FOLDERS.iter().map(|folder| format!("{folder}/{name}")).collect()
        };
        let Some(bytes) = paths.iter().find_map(|path| shell.world().read(b"/", path.as_bytes()).ok()) else {
            shell.say_error(
                format!("Failed to read '{}': No such file or directory\n", word.escape_ascii()).as_bytes(),
            )?;
            return Ok(1);
        };
        for line in
            as_text(&bytes).lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let fields = quoted_fields(line);
            let field = |at: usize| {
                fields.get(at).map(String::as_str).filter(|field| *field != "-").unwrap_or_default()
            };
            let (kind, name, id) = (field(0).trim_end_matches(['!', '+']), field(1), field(2));
            match kind {
                "g" => {
                    let gid = id.parse().ok().or_else(|| free_id(shell));
                    add_group(shell, words, name, gid)?;
                }
                "u" => {
                    if field(0).contains('!') {
                        expired.push(name.to_owned());
                    }
                    let (uid, group) = id.split_once(':').unwrap_or((id, ""));
                    let uid = uid.parse().ok().or_else(|| free_id(shell));
                    let shell_of = if field(5).is_empty() { "/usr/sbin/nologin" } else { field(5) };
                    let group = match group.parse::<u32>() {
                        Ok(gid) => shell.world().accounts.group_name(gid).map(str::to_owned),
                        Err(_) if group.is_empty() => Some(name.to_owned()),
                        Err(_) => Some(group.to_owned()),
                    };
                    let new = Account {
                        name: name.to_owned(),
                        home: if field(4).is_empty() { "/".into() } else { field(4).to_owned() },
                        gecos: field(3).to_owned(),
                        group,
                        uid,
                        shell: Some(shell_of.to_owned()),
                        make_home: false,
                    };
                    add(shell, words, &new)?;
                }
                "m" => {
                    add_group(shell, words, id, None)?;
                    join(shell, words, name, id)?;
                }
                "r" => {}
                _ => {
                    return Err(
                        shell.fault(words, format!("the line `{}` is not understood", line.escape_debug()))
                    );
                }
            }
        }
    }
    shell.world().accounts.made_by_sysusers(before, &expired, turn);
    store(shell, words)?;
    Ok(0)
}

/// The highest id that neither a user nor a group has.
fn free_id(shell: &mut Shell<'_, '_>) -> Option<u32> {
    let accounts = &shell.world().accounts;
    (100..=999).rev().find(|id| accounts.user_name(*id).is_none() && accounts.group_name(*id).is_none())
}

/// Words of a line, in which double quotes keep blanks.
fn quoted_fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '"' | '\'' => {
                quoted = !quoted;
                begun = true;
            }
            letter if letter.is_whitespace() && !quoted => {
                if begun {
                    fields.push(std::mem::take(&mut field));
                }
                begun = false;
            }
            letter => {
                begun = true;
                field.push(letter);
            }
        }
    }
    if begun {
        fields.push(field);
    }
    fields
}
