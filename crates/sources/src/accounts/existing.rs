//! The accounts of an image that another is built on: read as they are, with the one user that the manifest wants.
//!
//! | the manifest's user | in the image below | what happens |
//! |---|---|---|
//! | a new name, a new id | – | it is added |
//! | a name and ids that are there | the same | home and shell become the manifest's |
//! | an id that is there under another name | `node` 1000 | it is renamed (`usermod -l`, `groupmod -n`), with its home and its groups |
//! | a name that is there with another id | `node` 999 | refused |
//!
//! **Guarantees**: lines that nothing changes stay as they are, in their order, passwords among them; a file that nothing changes
//! is not written. A home that moves takes all of its files along, where nothing is at the new place.
//! **Refuses**: files that [`super`] refuses, of which a reader of accounts would make something else.

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

use super::AccountError;
use super::AccountFiles;
use super::Accounts;
use super::Group;
use super::Login;
use super::Mark;
use super::NewUser;
use super::ShadowForm;
use super::check_fields;
use super::check_name;
use super::lines;
use super::number;

/// Most bytes of one of the files.
const MAX_FILE: u64 = 8 << 20;
/// Group `shadow` of base-passwd.
const SHADOW: u32 = 42;

/// Why accounts cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    /// A file cannot be read.
    #[error("cannot read `/{path}` of the image below")]
    Read {
        /// The file.
        path: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// What is in them, or is to come to them.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl Diagnose for ExistingError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Read { .. } => Diagnosis::Own(Kind::Integrity),
            Self::Account(error) => Diagnosis::Inner(error),
        }
    }
}

/// The files of a tree, as they are.
fn files(tree: &Tree, contents: &dyn Contents) -> Result<[Option<Vec<u8>>; 4], ExistingError> {
    let read = |path: &'static str| {
        let Some(content) = tree.content(&ImagePath::new(path).unwrap_or_default()) else { return Ok(None) };
        contents.read(content, MAX_FILE).map(Some).map_err(|source| ExistingError::Read { path, source })
    };
    Ok([read("etc/passwd")?, read("etc/group")?, read("etc/shadow")?, read("etc/gshadow")?])
}

impl Accounts {
    /// Those of a tree; the least that there is where it has none.
    pub fn of_tree(tree: &Tree, contents: &dyn Contents) -> Result<Self, ExistingError> {
        let [passwd, group, shadow, gshadow] = files(tree, contents)?;
        match (passwd, group) {
            (None, None) => Ok(Self::minimal()),
            (passwd, group) => {
                let text = |bytes: Option<Vec<u8>>| bytes.unwrap_or_default();
                Ok(Self::from_files(&text(passwd), &text(group), &text(shadow), &text(gshadow))?)
            }
        }
    }

    /// Reads the four files.
    fn from_files(passwd: &[u8], group: &[u8], shadow: &[u8], gshadow: &[u8]) -> Result<Self, AccountError> {
        // `name:rest` and `name:password:administrators:members`.
        let shadow = lines("shadow", shadow)?;
        let gshadow = lines("gshadow", gshadow)?;
        let rest = |name: &str| {
            let line = shadow.iter().find(|(_, fields)| fields[0] == name);
            line.map(|(_, fields)| fields[1..].join(":"))
        };
        let mark = |name: &str| {
            let line = gshadow.iter().find(|(_, fields)| fields[0] == name && fields.len() == 4);
            line.map(|(_, fields)| fields[1..3].join(":"))
        };
        let order = |lines: &[(usize, Vec<&str>)]| {
            lines.iter().map(|(_, fields)| fields[0].to_owned()).collect::<Vec<_>>()
        };
        let order = (order(&shadow), order(&gshadow));
        let mut accounts = Self { logins: Vec::new(), groups: Vec::new(), order };
        for (line, fields) in lines("passwd", passwd)? {
            let wrong = |what| AccountError::Line { file: "passwd", line, what };
            let [name, password, uid, gid, gecos, home, shell] = fields[..] else {
                return Err(wrong("it does not have seven fields"));
            };
            check_name(name).map_err(|_| wrong("its name is not one"))?;
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
                shadow: ShadowForm::Kept(rest(name)),
                password: Some(password.into()),
            });
        }
        for (line, fields) in lines("group", group)? {
            let wrong = |what| AccountError::Line { file: "group", line, what };
            let [name, password, gid, members] = fields[..] else {
                return Err(wrong("it does not have four fields"));
            };
            check_name(name).map_err(|_| wrong("its name is not one"))?;
            if accounts.gid(name).is_some() {
                return Err(wrong("its name was there before"));
            }
            accounts.groups.push(Group {
                name: name.into(),
                gid: number(gid).ok_or_else(|| wrong("the group id is no number"))?,
                members: members.into(),
                mark: Mark::Kept(mark(name)),
                password: Some(password.into()),
            });
        }
        Ok(accounts)
    }

    /// Makes the manifest's user one of these: another name for the one who has the id, or a new one. The home that the user had
    /// before, where it is another.
    pub fn adopt(&mut self, user: &NewUser) -> Result<Option<String>, AccountError> {
        check_name(&user.name)?;
        let home = user.home.to_string();
        check_fields(
            &user.name,
            &[("home", home.as_str()), ("full name", &user.gecos), ("shell", &user.shell)],
        )?;
        let clash = |other: &Login| AccountError::Clash {
            name: user.name.clone(),
            uid: user.uid,
            other: other.name.clone(),
            other_uid: other.uid,
        };
        if let Some(other) = self.logins.iter().find(|one| one.name == user.name && one.uid != user.uid) {
            return Err(clash(other));
        }
        let Some(at) = self.logins.iter().position(|login| login.uid == user.uid) else {
            self.add_user(user)?;
            return Ok(None);
        };
        let old = self.logins[at].clone();
        self.rename_group(&old.name, user);
        let rename = |names: &mut Vec<String>| {
            names.iter_mut().filter(|name| **name == old.name).for_each(|name| name.clone_from(&user.name));
        };
        rename(&mut self.order.0);
        for group in &mut self.groups {
            let members = group
                .members
                .split(',')
                .map(|member| if member == old.name { user.name.as_str() } else { member });
            group.members = members.collect::<Vec<_>>().join(",");
        }
        let login = &mut self.logins[at];
        login.name.clone_from(&user.name);
        login.gid = user.gid;
        login.shell.clone_from(&user.shell);
        login.home.clone_from(&home);
        Ok(Some(old.home).filter(|old| *old != home))
    }

    /// The group of a user who gets another name: it is renamed where it was called as the user was, and made where there is none.
    fn rename_group(&mut self, old: &str, user: &NewUser) {
        let taken = self.gid(&user.name).is_some();
        match self.groups.iter_mut().find(|group| group.gid == user.gid) {
            Some(group) if group.name == old && !taken => {
                group.name.clone_from(&user.name);
                let names = self.order.1.iter_mut().filter(|name| *name == old);
                names.for_each(|name| name.clone_from(&user.name));
            }
            Some(_) => {}
            None if taken => {}
            None => self.push_group(&user.name, user.gid),
        }
    }
}

/// Gives a tree the manifest's user, with the home. `epoch` is the time of what is made.
pub fn settle(
    tree: &mut Tree,
    contents: &dyn Contents,
    user: &NewUser,
    epoch: u64,
) -> Result<(), ExistingError> {
    let mut accounts = Accounts::of_tree(tree, contents)?;
    if let Some(old) = accounts.adopt(user)? {
        move_home(tree, &old, user);
    }
    write(tree, contents, &accounts, epoch)?;
    let home = tree.landing(&user.home);
    let home = tree.directory_behind(&home).unwrap_or(home);
    if !tree.contains(&home) {
        let meta = Metadata::root(user.home_mode, epoch).owned_by(user.uid, user.gid);
        tree.insert(home, Node::directory(&Component::generated("accounts"), meta));
    } else if let Some(node) = tree.get_mut(&home).filter(|node| node.is_directory()) {
        (node.meta.uid, node.meta.gid) = (user.uid, user.gid);
    }
    Ok(())
}

/// `usermod -m`: a directory of the user's own with all that is in it, where nothing is at the new place.
fn move_home(tree: &mut Tree, old: &str, user: &NewUser) {
    let Ok(old) = ImagePath::new(old.trim_start_matches('/')) else { return };
    let new = tree.landing(&user.home);
    let own = tree.get(&old).is_some_and(|node| node.is_directory() && node.meta.uid == user.uid);
    if old.is_root() || !own || tree.contains(&new) || new.starts_with(&old) {
        return;
    }
    let moved = |path: &ImagePath| -> Option<ImagePath> {
        let rest = path.strip_prefix(&old)?;
        if rest.is_empty() { Some(new.clone()) } else { new.join(rest).ok() }
    };
    let all: Vec<ImagePath> = tree.below(&old).map(|(path, _)| path.clone()).collect();
    if all.iter().any(|path| moved(path).is_none()) {
        return;
    }
    for path in &all {
        if let (Some(node), Some(to)) = (tree.remove(path), moved(path)) {
            tree.insert(to, node);
        }
    }
    for (_, node) in tree.iter_mut() {
        if let NodeKind::Hardlink(target) = &mut node.kind
            && let Some(to) = moved(target)
        {
            *target = to;
        }
    }
    // A tree has the first name of a file as the file.
    settle_names(tree);
}

/// Of several names of a file the first in order is the file.
fn settle_names(tree: &mut Tree) {
    let mut first: std::collections::BTreeMap<ImagePath, ImagePath> = std::collections::BTreeMap::new();
    for (path, node) in tree.iter() {
        if let NodeKind::Hardlink(target) = &node.kind
            && path < target
        {
            first.entry(target.clone()).or_insert_with(|| path.clone());
        }
    }
    for (file, first) in &first {
        let Some(kind) = tree.get(file).map(|node| node.kind.clone()) else { continue };
        if let Some(node) = tree.get_mut(first) {
            node.kind = kind;
        }
        if let Some(node) = tree.get_mut(file) {
            node.kind = NodeKind::Hardlink(first.clone());
        }
    }
    for (path, node) in tree.iter_mut() {
        if let NodeKind::Hardlink(target) = &mut node.kind
            && let Some(first) = first.get(target).filter(|first| *first != path)
        {
            *target = first.clone();
        }
    }
}

/// Writes those of the files that are not as they are to be. One that an image below does not have is not made where its reader
/// can do without it.
pub fn write(
    tree: &mut Tree,
    contents: &dyn Contents,
    accounts: &Accounts,
    epoch: u64,
) -> Result<(), ExistingError> {
    let there = files(tree, contents)?;
    let none = there.iter().all(Option::is_none);
    let AccountFiles { passwd, group, shadow, gshadow } = accounts.files(epoch);
    let gid = accounts.gid("shadow").unwrap_or(SHADOW);
    let plain = Metadata::root(0o644, epoch);
    let secret = Metadata::root(0o640, epoch).owned_by(0, gid);
    let named = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"];
    let texts = [(passwd, &plain), (group, &plain), (shadow, &secret), (gshadow, &secret)];
    for ((path, (text, meta)), old) in named.into_iter().zip(texts).zip(there) {
        let made = old.is_some() || none;
        if !made || old.is_some_and(|old| old == text.as_bytes()) {
            continue;
        }
        let path = ImagePath::new(path).unwrap_or_default();
        let at = tree.resolve(&path).unwrap_or_else(|| tree.landing(&path));
        // Mode and owner stay as the image below has them.
        let meta = tree
            .get(&at)
            .map_or_else(|| (*meta).clone(), |node| Metadata { mtime: epoch, ..node.meta.clone() });
        let node = Node::file(&Component::generated("accounts"), meta, Content::inline(text.into_bytes()));
        tree.insert(at, node);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
