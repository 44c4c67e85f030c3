//! The account files of an image: passwd, group, shadow and gshadow.
//!
//! ```text
//! passwd   name:x:uid:gid:gecos:home:shell
//! group    name:x:gid:member,member
//! shadow   name:*:20717:0:99999:7:::      the third field is a day since 1970-01-01
//! gshadow  name:*::
//! ```
//!
//! Forms: passwd(5), group(5), shadow(5), gshadow(5). System ids are given out as adduser(8) does: the lowest free one of
//! 100..=999.
//!
//! [`existing`] reads the files of an image that is built on, and gives a user of it another name.
//!
//! **Guarantees**: names and ids of users are unique, names of groups are unique; no password is ever set (`*` and `!` match
//! nothing); the day comes from the epoch of the image, not from a clock.
//!
//! **Refuses**: lines with the wrong number of fields, ids that are no numbers, names that a shell or a parser could
//! misread, fields that hold a colon or a control character, a user that exists with other ids.

pub mod existing;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

/// Most lines of a passwd or group file that are read.
pub const MAX_LINES: usize = 65_536;
/// Longest name of a user or group (`LOGIN_NAME_MAX` of shadow's tools).
pub const MAX_NAME: usize = 32;

const SYSTEM_IDS: std::ops::RangeInclusive<u32> = 100..=999;
const NOGROUP: u32 = 65_534;
const NOLOGIN: &str = "/usr/sbin/nologin";

/// A user that the manifest adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// Login name.
    pub name: String,
    /// Numeric user.
    pub uid: u32,
    /// Numeric primary group; a group called like the user is made for it where the number has no group yet.
    pub gid: u32,
    /// Full name and the like; may be empty.
    pub gecos: String,
    /// Home directory, made and owned by the user.
    pub home: ImagePath,
    /// Permission bits of the home directory.
    pub home_mode: u32,
    /// Login shell, an absolute path.
    pub shell: String,
}

/// One line of passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Login {
    name: String,
    uid: u32,
    gid: u32,
    gecos: String,
    home: String,
    shell: String,
    /// What shadow says after the name.
    shadow: ShadowForm,
    /// What passwd had between the first two colons, of a user that was there before.
    password: Option<String>,
}

/// One line of group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    gid: u32,
    members: String,
    mark: Mark,
    /// What group had between the first two colons, of a group that was there before.
    password: Option<String>,
}

/// Who made a group decides what gshadow says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// From the masters through grpconv: `*`.
    Master,
    /// By adduser and groupadd: `!`.
    Added,
    /// By systemd-sysusers: `!*`.
    Sysusers(Turn),
    /// By whoever made the image below: what stands between name and members, or no line at all.
    Kept(Option<String>),
}

/// Where systemd-sysusers writes: pwconv appends what it finds in passwd, so that what is there before comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Before the shadow files were made.
    First,
    /// Into the shadow files that were there.
    Then,
}

/// Who made the entry decides how its line in shadow looks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ShadowForm {
    /// From the masters through pwconv.
    Master,
    /// By `adduser --system`.
    System,
    /// By systemd-sysusers; fully locked ones (`u!`) have expired too.
    Sysusers {
        /// Whether the account has expired.
        expired: bool,
        /// When it was made.
        turn: Turn,
    },
    /// A person's account, locked.
    Person,
    /// Of the image below: all that stands behind the name, or no line at all.
    Kept(Option<String>),
}

/// The users and groups of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    logins: Vec<Login>,
    groups: Vec<Group>,
    /// The users of shadow and the groups of gshadow in their order, where that was given.
    order: (Vec<String>, Vec<String>),
}

/// Where passwords are, which are none here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passwords {
    /// In shadow and gshadow: passwd and group have `x`.
    Shadow,
    /// In passwd and group, as `*`: nobody has run `shadowconfig on`.
    InPlace,
}

/// The files to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFiles {
    /// `/etc/passwd`, 0644.
    pub passwd: String,
    /// `/etc/group`, 0644.
    pub group: String,
    /// `/etc/shadow`, 0640 of group shadow; not to be written where passwords are in place.
    pub shadow: String,
    /// `/etc/gshadow`, 0640 of group shadow.
    pub gshadow: String,
}

/// Accounts that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// A line of a master file.
    #[error("`{file}` line {line}: {what}")]
    Line {
        /// The file.
        file: &'static str,
        /// Line number from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A name that would not be safe in the files.
    #[error("`{name}` is no name of a user or group: {what}")]
    Name {
        /// The name, escaped.
        name: String,
        /// Why not.
        what: &'static str,
    },
    /// Another field that would not be safe in the files.
    #[error("user `{name}`: its {field} holds a colon or a control character")]
    Field {
        /// The user.
        name: String,
        /// The field.
        field: &'static str,
    },
    /// The user or the id is there already, differently.
    #[error("user `{name}` with id {uid} clashes with user `{other}`, id {other_uid}")]
    Clash {
        /// The user to add.
        name: String,
        /// Its id.
        uid: u32,
        /// The user that is there.
        other: String,
        /// Its id.
        other_uid: u32,
    },
    /// No free system id.
    #[error("no id between 100 and 999 is left for `{name}`")]
    Full {
        /// Who wanted one.
        name: String,
    },
}

impl Diagnose for AccountError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Line { .. } => Kind::Integrity,
            _ => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Clash { .. } => Some("choose another name or id under [user] in the manifest".into()),
            _ => None,
        }
    }
}

impl Accounts {
    /// What is left to say where no package brings accounts: root and nobody.
    pub fn minimal() -> Self {
        let login = |name: &str, id, home: &str, shell: &str| Login {
            name: name.into(),
            uid: id,
            gid: id,
            gecos: name.into(),
            home: home.into(),
            shell: shell.into(),
            shadow: ShadowForm::Master,
            password: None,
        };
        let group = |name: &str, gid| Group {
            name: name.into(),
            gid,
            members: String::new(),
            mark: Mark::Master,
            password: None,
        };
        Self {
            logins: vec![
                login("root", 0, "/root", "/bin/sh"),
                login("nobody", NOGROUP, "/nonexistent", NOLOGIN),
            ],
            // The ids are Debian's (base-passwd): files of base-files belong to them.
            groups: vec![
                group("root", 0),
                group("mail", 8),
                group("shadow", 42),
                group("utmp", 43),
                group("staff", 50),
                group("nogroup", NOGROUP),
            ],
            order: Default::default(),
        }
    }

    /// Reads the masters of base-passwd. Their password fields are ignored: they hold none.
    pub fn from_masters(passwd: &[u8], group: &[u8]) -> Result<Self, AccountError> {
        let mut accounts = Self { logins: Vec::new(), groups: Vec::new(), order: Default::default() };
        for (line, fields) in lines("passwd.master", passwd)? {
            let wrong = |what| AccountError::Line { file: "passwd.master", line, what };
            let [name, _, uid, gid, gecos, home, shell] = fields[..] else {
                return Err(wrong("it does not have seven fields"));
            };
            if check_name(name).is_err() {
                return Err(wrong("its name is not one"));
            }
            if accounts.logins.iter().any(|login| login.name == name) {
                return Err(wrong("its name was there before"));
            }
            accounts.logins.push(Login {
                name: name.into(),
                uid: number(uid).ok_or_else(|| wrong("the user id is no number"))?,
                gid: number(gid).ok_or_else(|| wrong("the group id is no number"))?,
                gecos: gecos.into(),
                home: home.into(),
                shell: shell.into(),
                shadow: ShadowForm::Master,
                password: None,
            });
        }
        for (line, fields) in lines("group.master", group)? {
            let wrong = |what| AccountError::Line { file: "group.master", line, what };
            let [name, _, gid, members] = fields[..] else {
                return Err(wrong("it does not have four fields"));
            };
            if check_name(name).is_err() {
                return Err(wrong("its name is not one"));
            }
            if accounts.gid(name).is_some() {
                return Err(wrong("its name was there before"));
            }
            accounts.groups.push(Group {
                name: name.into(),
                gid: number(gid).ok_or_else(|| wrong("the group id is no number"))?,
                members: members.into(),
                mark: Mark::Master,
                password: None,
            });
        }
        Ok(accounts)
    }

    /// The id of the user of this name.
    pub fn uid(&self, name: &str) -> Option<u32> {
        self.logins.iter().find(|login| login.name == name).map(|login| login.uid)
    }

    /// The name of a user.
    pub fn user_name(&self, uid: u32) -> Option<&str> {
        self.logins.iter().find(|login| login.uid == uid).map(|login| login.name.as_str())
    }

    /// The name of a group.
    pub fn group_name(&self, gid: u32) -> Option<&str> {
        self.groups.iter().find(|group| group.gid == gid).map(|group| group.name.as_str())
    }

    /// The home directory of a user.
    pub fn home(&self, user: &str) -> Option<&str> {
        self.logins.iter().find(|login| login.name == user).map(|login| login.home.as_str())
    }

    /// The id of the group of this name.
    pub fn gid(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|group| group.name == name).map(|group| group.gid)
    }

    /// The primary group of a user.
    pub fn gid_of_user(&self, user: &str) -> Option<u32> {
        self.logins.iter().find(|login| login.name == user).map(|login| login.gid)
    }

    /// The names of the groups that a user is a member of, beside the primary one.
    pub fn groups_of(&self, user: &str) -> Vec<String> {
        let member = |group: &&Group| group.members.split(',').any(|member| member == user);
        self.groups.iter().filter(member).map(|group| group.name.clone()).collect()
    }

    /// `adduser USER GROUP`: whether the user was no member before.
    pub fn join(&mut self, user: &str, group: &str) -> bool {
        let Some(group) = self.groups.iter_mut().find(|known| known.name == group) else { return false };
        if group.members.split(',').any(|member| member == user) {
            return false;
        }
        if !group.members.is_empty() {
            group.members.push(',');
        }
        group.members.push_str(user);
        true
    }

    /// `usermod -g`: the primary group of a user.
    pub fn set_primary_group(&mut self, user: &str, gid: u32) {
        if let Some(login) = self.logins.iter_mut().find(|login| login.name == user) {
            login.gid = gid;
        }
    }

    /// `usermod -G` without `-a`: out of all groups beside the primary one.
    pub fn leave_all(&mut self, user: &str) {
        for group in &mut self.groups {
            let members: Vec<&str> =
                group.members.split(',').filter(|member| *member != user && !member.is_empty()).collect();
            group.members = members.join(",");
        }
    }

    /// `usermod -d -s -c`: what is given changes.
    pub fn change(
        &mut self,
        user: &str,
        home: Option<&str>,
        shell: Option<&str>,
        gecos: Option<&str>,
    ) -> Result<(), AccountError> {
        check_fields(
            user,
            &[
                ("home", home.unwrap_or("")),
                ("shell", shell.unwrap_or("")),
                ("full name", gecos.unwrap_or("")),
            ],
        )?;
        if let Some(login) = self.logins.iter_mut().find(|login| login.name == user) {
            for (field, value) in
                [(&mut login.home, home), (&mut login.shell, shell), (&mut login.gecos, gecos)]
            {
                if let Some(value) = value {
                    value.clone_into(field);
                }
            }
        }
        Ok(())
    }

    /// `addgroup --system NAME`: the id of the group, new or old.
    pub fn add_system_group(&mut self, name: &str) -> Result<u32, AccountError> {
        self.add_system_group_with(name, None)
    }

    /// The same with an id that is asked for.
    pub fn add_system_group_with(&mut self, name: &str, gid: Option<u32>) -> Result<u32, AccountError> {
        check_name(name)?;
        if let Some(gid) = self.gid(name) {
            return Ok(gid);
        }
        let free = |id: &u32| self.groups.iter().all(|group| group.gid != *id);
        let gid = gid
            .filter(free)
            .or_else(|| SYSTEM_IDS.into_iter().find(free))
            .ok_or_else(|| AccountError::Full { name: name.into() })?;
        self.push_group(name, gid);
        Ok(gid)
    }

    /// `adduser --system NAME`: nothing when the user is there. `group` is the name of a group to make or use (`--group`,
    /// `--ingroup`); without one it is nogroup.
    pub fn add_system_user(
        &mut self,
        name: &str,
        home: &str,
        gecos: &str,
        group: Option<&str>,
    ) -> Result<u32, AccountError> {
        self.add_system_user_with(name, home, gecos, group, None, None)
    }

    /// The same with an id and a shell that are asked for.
    pub fn add_system_user_with(
        &mut self,
        name: &str,
        home: &str,
        gecos: &str,
        group: Option<&str>,
        uid: Option<u32>,
        shell: Option<&str>,
    ) -> Result<u32, AccountError> {
        check_name(name)?;
        check_fields(name, &[("home", home), ("full name", gecos), ("shell", shell.unwrap_or(""))])?;
        if let Some(uid) = self.uid(name) {
            return Ok(uid);
        }
        let with_group = group.filter(|group| self.gid(group).is_none());
        let free = |id: &u32| self.logins.iter().all(|login| login.uid != *id);
        let free_gid = |id: &u32| self.groups.iter().all(|group| group.gid != *id);
        let full = || AccountError::Full { name: name.into() };
        let asked = uid.filter(free);
        let uid = asked.or_else(|| SYSTEM_IDS.into_iter().find(free)).ok_or_else(full)?;
        if let Some(group) = with_group {
            check_name(group)?;
            // `adduser --system --group` takes the first of each, and the number that is asked for twice.
            let gid =
                asked.filter(free_gid).or_else(|| SYSTEM_IDS.into_iter().find(free_gid)).ok_or_else(full)?;
            self.push_group(group, gid);
        }
        let gid = group.and_then(|group| self.gid(group)).unwrap_or(NOGROUP);
        self.logins.push(Login {
            name: name.into(),
            uid,
            gid,
            gecos: gecos.into(),
            home: home.into(),
            shell: shell.unwrap_or(NOLOGIN).into(),
            shadow: ShadowForm::System,
            password: None,
        });
        Ok(uid)
    }

    /// Adds a user of the manifest. The same user with the same ids is no error.
    pub fn add_user(&mut self, user: &NewUser) -> Result<(), AccountError> {
        check_name(&user.name)?;
        let home = user.home.to_string();
        check_fields(
            &user.name,
            &[("home", home.as_str()), ("full name", &user.gecos), ("shell", &user.shell)],
        )?;
        if let Some(old) = self.logins.iter().find(|login| login.name == user.name || login.uid == user.uid) {
            if old.name == user.name && old.uid == user.uid && old.gid == user.gid {
                return Ok(());
            }
            return Err(AccountError::Clash {
                name: user.name.clone(),
                uid: user.uid,
                other: old.name.clone(),
                other_uid: old.uid,
            });
        }
        if self.groups.iter().all(|group| group.gid != user.gid) && self.gid(&user.name).is_none() {
            self.push_group(&user.name, user.gid);
        }
        self.logins.push(Login {
            name: user.name.clone(),
            uid: user.uid,
            gid: user.gid,
            gecos: user.gecos.clone(),
            home,
            shell: user.shell.clone(),
            shadow: ShadowForm::Person,
            password: None,
        });
        Ok(())
    }

    /// How many users and groups there are.
    pub fn count(&self) -> (usize, usize) {
        (self.logins.len(), self.groups.len())
    }

    /// Who came after `count` was made by systemd-sysusers; the users that are `expired` by lines `u!`. shadow(5): the
    /// password `!*` is locked and was never valid, and the eighth field is the day on which an account expires.
    pub fn made_by_sysusers(&mut self, count: (usize, usize), expired: &[String], turn: Turn) {
        for login in self.logins.iter_mut().skip(count.0) {
            login.shadow = ShadowForm::Sysusers { expired: expired.contains(&login.name), turn };
        }
        for group in self.groups.iter_mut().skip(count.1) {
            group.mark = Mark::Sysusers(turn);
        }
    }

    fn push_group(&mut self, name: &str, gid: u32) {
        let (name, members, mark) = (name.into(), String::new(), Mark::Added);
        self.groups.push(Group { name, gid, members, mark, password: None });
    }

    /// The four files. `epoch` is in seconds.
    pub fn files(&self, epoch: u64) -> AccountFiles {
        self.files_with(epoch, Passwords::Shadow)
    }

    /// The files of an image where passwords may be elsewhere.
    pub fn files_with(&self, epoch: u64, passwords: Passwords) -> AccountFiles {
        use std::fmt::Write as _;
        let password = match passwords {
            Passwords::Shadow => 'x',
            Passwords::InPlace => '*',
        };
        let day = epoch / 86_400;
        let mut files = AccountFiles {
            passwd: String::new(),
            group: String::new(),
            shadow: String::new(),
            gshadow: String::new(),
        };
        for Login { name, uid, gid, gecos, home, shell, password: own, .. } in &self.logins {
            let password = own.clone().unwrap_or_else(|| password.into());
            let _ = writeln!(files.passwd, "{name}:{password}:{uid}:{gid}:{gecos}:{home}:{shell}");
        }
        let first = |login: &&Login| matches!(login.shadow, ShadowForm::Sysusers { turn: Turn::First, .. });
        let (before, after): (Vec<_>, Vec<_>) = self.logins.iter().partition(first);
        let mut logins: Vec<&Login> = before.into_iter().chain(after).collect();
        logins.sort_by_key(|login| place(&self.order.0, &login.name));
        for Login { name, shadow, .. } in logins {
            let rest = match shadow {
                ShadowForm::Master => format!("*:{day}:0:99999:7:::"),
                ShadowForm::System => format!("!:{day}::::::"),
                ShadowForm::Sysusers { expired: false, .. } => format!("!*:{day}::::::"),
                ShadowForm::Sysusers { expired: true, .. } => format!("!*:{day}:::::1:"),
                ShadowForm::Person => format!("!:{day}:0:99999:7:::"),
                ShadowForm::Kept(None) => continue,
                ShadowForm::Kept(Some(rest)) => rest.clone(),
            };
            let _ = writeln!(files.shadow, "{name}:{rest}");
        }
        for Group { name, gid, members, password: own, .. } in &self.groups {
            let password = own.clone().unwrap_or_else(|| password.into());
            let _ = writeln!(files.group, "{name}:{password}:{gid}:{members}");
        }
        let first = |group: &&Group| group.mark == Mark::Sysusers(Turn::First);
        let (before, after): (Vec<_>, Vec<_>) = self.groups.iter().partition(first);
        let mut groups: Vec<&Group> = before.into_iter().chain(after).collect();
        groups.sort_by_key(|group| place(&self.order.1, &group.name));
        for Group { name, members, mark, .. } in groups {
            let mark = match mark {
                Mark::Master => "*:",
                Mark::Added => "!:",
                Mark::Sysusers(_) => "!*:",
                Mark::Kept(None) => continue,
                Mark::Kept(Some(mark)) => mark,
            };
            let _ = writeln!(files.gshadow, "{name}:{mark}:{members}");
        }
        files
    }
}

/// Where a name stands in a file that was there before; behind all of it where it does not.
fn place(order: &[String], name: &str) -> usize {
    order.iter().position(|known| known == name).unwrap_or(order.len())
}

/// Lines with their numbers, split at colons. Empty lines are skipped, as getpwent(3) does.
fn lines<'a>(file: &'static str, text: &'a [u8]) -> Result<Vec<(usize, Vec<&'a str>)>, AccountError> {
    let mut found = Vec::new();
    for (at, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let wrong = |what| AccountError::Line { file, line: at + 1, what };
        if at >= MAX_LINES {
            return Err(wrong("the file has too many lines"));
        }
        let line = str::from_utf8(line).map_err(|_| wrong("it is not UTF-8"))?;
        if line.chars().any(char::is_control) {
            return Err(wrong("it holds a control character"));
        }
        if !line.is_empty() {
            found.push((at + 1, line.split(':').collect()));
        }
    }
    Ok(found)
}

/// A decimal number without sign or blanks; the largest value means "no id" to the kernel and is refused.
fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| plain && *id != u32::MAX)
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let wrong = |what| Err(AccountError::Name { name: name.escape_debug().take(64).collect(), what });
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME {
        return wrong("it must have 1 to 32 characters");
    }
    if !first(name.as_bytes()[0]) || !name.bytes().all(rest) {
        return wrong("it must begin with a letter or `_` and hold only letters, digits and `_.-`");
    }
    Ok(())
}

fn check_fields(name: &str, fields: &[(&'static str, &str)]) -> Result<(), AccountError> {
    match fields.iter().find(|(_, text)| text.chars().any(|c| c == ':' || c.is_control())) {
        Some((field, _)) => Err(AccountError::Field { name: name.into(), field }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    const GROUP: &[u8] = b"root:*:0:\nshadow:*:42:\nusers:*:100:\nnogroup:*:65534:\n";

    fn person(name: &str, uid: u32) -> NewUser {
        NewUser {
            name: name.into(),
            uid,
            gid: uid,
            gecos: String::new(),
            home: ImagePath::new(format!("home/{name}")).unwrap(),
            home_mode: 0o755,
            shell: "/bin/bash".into(),
        }
    }

    // Expected lines as pwconv, grpconv, adduser and addgroup of Debian 12 write them (day 20717 = 1790000000 / 86400).
    #[test]
    fn masters_become_the_four_files() {
        let mut accounts = Accounts::from_masters(PASSWD, GROUP).unwrap();
        assert_eq!(accounts.add_system_group("_ssh"), Ok(101));
        assert_eq!(accounts.add_system_group("_ssh"), Ok(101));
        accounts.add_user(&person("iteron", 1000)).unwrap();
        let files = accounts.files(1_790_000_000);
        assert_eq!(
            files.passwd,
            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
             iteron:x:1000:1000::/home/iteron:/bin/bash\n"
        );
        assert_eq!(
            files.group,
            "root:x:0:\nshadow:x:42:\nusers:x:100:\nnogroup:x:65534:\n_ssh:x:101:\niteron:x:1000:\n"
        );
        assert_eq!(
            files.shadow,
            "root:*:20717:0:99999:7:::\nnobody:*:20717:0:99999:7:::\niteron:!:20717:0:99999:7:::\n"
        );
        assert!(files.gshadow.ends_with("nogroup:*::\n_ssh:!::\niteron:!::\n"));
    }

    #[test]
    fn without_shadow_the_passwords_stay_impossible() {
        let files = Accounts::minimal().files_with(0, Passwords::InPlace);
        assert!(files.passwd.starts_with("root:*:0:0:root:/root:/bin/sh\n"));
        assert!(files.group.contains("shadow:*:42:\n"));
    }

    #[test]
    fn system_users_get_the_lowest_free_id() {
        let mut accounts = Accounts::from_masters(PASSWD, GROUP).unwrap();
        // Without a group: user 100 may share its number with the group `users`.
        assert_eq!(accounts.add_system_user("messagebus", "/nonexistent", "", None), Ok(100));
        // With a group of its own both numbers must be free.
        assert_eq!(accounts.add_system_user("redis", "/var/lib/redis", "", Some("redis")), Ok(101));
        assert_eq!(accounts.gid("redis"), Some(101));
        assert_eq!(accounts.add_system_user("redis", "/elsewhere", "", None), Ok(101));
        let files = accounts.files(86_400);
        assert!(files.passwd.contains("messagebus:x:100:65534::/nonexistent:/usr/sbin/nologin\n"));
        assert!(files.shadow.contains("redis:!:1::::::\n"));
    }

    /// The lines are those of trixie with `openssh-server` and `dbus`, made by mmdebstrap.
    #[test]
    fn what_systemd_sysusers_makes_is_locked_its_own_way_and_first_where_it_came_first() {
        let mut accounts = Accounts::from_masters(PASSWD, GROUP).unwrap();
        let mut sysusers = |name: &str, expired: &[String], turn| {
            let before = accounts.count();
            accounts.add_system_user(name, "/", "", Some(name)).unwrap();
            accounts.made_by_sysusers(before, expired, turn);
        };
        sysusers("systemd-network", &["systemd-network".into()], Turn::First);
        sysusers("messagebus", &[], Turn::Then);
        accounts.add_system_group("_ssh").unwrap();
        let files = accounts.files(20_784 * 86_400);
        let shadow: Vec<&str> = files.shadow.lines().collect();
        assert_eq!(shadow[..2], ["systemd-network:!*:20784:::::1:", "root:*:20784:0:99999:7:::"]);
        assert_eq!(shadow.last(), Some(&"messagebus:!*:20784::::::"));
        let gshadow: Vec<&str> = files.gshadow.lines().collect();
        assert_eq!(gshadow[..2], ["systemd-network:!*::", "root:*::"]);
        assert_eq!(gshadow[gshadow.len() - 2..], ["messagebus:!*::", "_ssh:!::"]);
        assert!(files.passwd.starts_with("root:x:0:0:"), "{}", files.passwd);
    }

    #[test]
    fn system_ids_run_out() {
        let mut accounts = Accounts::minimal();
        for id in 100..=999 {
            assert_eq!(accounts.add_system_group(&format!("g{id}")), Ok(id));
        }
        assert_eq!(accounts.add_system_group("more"), Err(AccountError::Full { name: "more".into() }));
    }

    #[test]
    fn broken_masters_are_refused() {
        let cases: [(&[u8], &str); 9] = [
            (b"root:*:0:0:root:/root", "line 1: it does not have seven fields"),
            (b"root:*:0:0:root:/root:/bin/sh:x", "line 1: it does not have seven fields"),
            (b"\nroot:*:-1:0:root:/root:/bin/sh", "line 2: the user id is no number"),
            (b"root:*:0: 0:root:/root:/bin/sh", "line 1: the group id is no number"),
            (b"root:*:4294967295:0:root:/root:/bin/sh", "line 1: the user id is no number"),
            (b"ro ot:*:0:0:root:/root:/bin/sh", "line 1: its name is not one"),
            (b"a:*:0:0:::\na:*:1:1:::", "line 2: its name was there before"),
            (b"root:*:0:0:r\rt:/root:/bin/sh", "line 1: it holds a control character"),
            (b"root:*:0:0:\xff:/root:/bin/sh", "line 1: it is not UTF-8"),
        ];
        for (text, what) in cases {
            let error = Accounts::from_masters(text, GROUP).unwrap_err();
            assert_eq!(error.to_string(), format!("`passwd.master` {what}"));
            assert_eq!(error.kind(), Kind::Integrity);
        }
        assert!(Accounts::from_masters(PASSWD, b"root:*:0").is_err());
        assert!(Accounts::from_masters(PASSWD, b"root:*:x:").is_err());
        assert!(Accounts::from_masters(PASSWD, b"root:*:0:\nroot:*:1:").is_err());
    }

    #[test]
    fn users_that_clash_or_could_inject_lines_are_refused() {
        let mut accounts = Accounts::from_masters(PASSWD, GROUP).unwrap();
        for user in [person("root", 1000), person("other", 0)] {
            assert!(matches!(accounts.add_user(&user), Err(AccountError::Clash { .. })));
        }
        accounts.add_user(&person("me", 1000)).unwrap();
        accounts.add_user(&person("me", 1000)).unwrap();
        assert!(accounts.add_user(&person("you", 1000)).is_err());
        for name in ["", "1st", "a b", "a:b", "a\nb", "-x", &"n".repeat(33)] {
            let error = check_name(name).unwrap_err();
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        let mut bad = person("they", 1001);
        bad.gecos = "x\nroot2::0:0".into();
        assert!(matches!(accounts.add_user(&bad), Err(AccountError::Field { field: "full name", .. })));
        bad = person("they", 1001);
        bad.shell = "/bin/sh:0".into();
        assert!(accounts.add_user(&bad).is_err());
    }

    #[test]
    fn a_shared_group_number_is_not_named_twice() {
        let mut accounts = Accounts::minimal();
        accounts.add_user(&NewUser { gid: NOGROUP, ..person("nonroot", 65532) }).unwrap();
        assert_eq!(accounts.gid("nonroot"), None);
    }
}
