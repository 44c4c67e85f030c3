//! The image of a run: built or found, unpacked once, and what it says about itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Platform;
use pinfold_cri::Socket;
use pinfold_image::Image;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;
use pinfold_image::unpack;
use pinfold_image::unpack::RootfsStore;
use pinfold_sandbox::spec::Ids;
use pinfold_sandbox::spec::Node;

use super::choice::ImageOf;
use super::error::RunError;
use crate::build;
use crate::build::LockUse;
use crate::build::heal::healing;
use crate::context::Context;
use crate::keep::gc;
use crate::ship::load;

/// Longest file of `/etc` that is read.
const ETC_MAX: u64 = 1 << 20;

/// An image that can be run.
#[derive(Debug)]
pub(super) struct Ready {
    /// As `pinfold images` shows it.
    pub(super) reference: String,
    /// Its root on the host.
    pub(super) root: PathBuf,
    /// Its environment.
    pub(super) env: BTreeMap<String, String>,
    /// Who it runs as by its own word.
    pub(super) said_user: String,
    /// Who it runs as; never root.
    pub(super) user: Ids,
    /// That user's home.
    pub(super) home: PathBuf,
    /// What it runs when nothing is said.
    pub(super) command: Vec<String>,
    /// Its volumes, as it spells them.
    pub(super) volumes: Vec<String>,
    /// Where a container runtime has it, and as what.
    pub(super) node: Option<Node>,
}

/// Builds or finds the image and unpacks it.
pub(super) fn ready(
    context: &Context,
    image: &ImageOf,
    platform: Platform,
    lock: LockUse,
    runtime: Option<&Socket>,
) -> Result<Ready, RunError> {
    match image {
        ImageOf::Source(source) => everywhere(context, source, &of(source, platform)?, platform, runtime),
        ImageOf::Project(project) => {
            let manifest = &project.manifest;
            if !manifest.platforms.contains(&platform) {
                return Err(RunError::Architecture {
                    image: manifest.name.clone(),
                    has: manifest.platforms.clone(),
                    host: platform,
                });
            }
            let options = build::Options {
                platforms: vec![platform],
                name: build::Naming::Unnamed,
                ..build::Options::new(lock)
            };
            // A blob that turns out to be damaged while it is unpacked is made again by another build.
            healing(context, || {
                let outcome = build::build(context, project, &options)?;
                let image = outcome.images.get(&platform).ok_or(build::BuildError::Platform(platform))?;
                everywhere(context, &outcome.source, image, platform, runtime)
            })
        }
    }
}

/// Unpacks it, and gives it to a container runtime.
fn everywhere(
    context: &Context,
    source: &Admitted<ImageSource>,
    image: &Image,
    platform: Platform,
    runtime: Option<&Socket>,
) -> Result<Ready, RunError> {
    let mut ready = unpacked(context, source, image)?;
    if let Some(socket) = runtime {
        let image = load::node::load(context, source, image, platform, socket)?;
        ready.node = Some(Node { socket: socket.path().to_owned(), image });
    }
    Ok(ready)
}

/// The image of a platform, or the error that says which platforms there are.
pub(super) fn of(source: &ImageSource, platform: Platform) -> Result<Image, RunError> {
    let has: Vec<Platform> = source.platforms()?.into_keys().collect();
    if !has.is_empty() && !has.contains(&platform) {
        return Err(RunError::Architecture { image: source.name().to_owned(), has, host: platform });
    }
    Ok(source.image(platform)?)
}

pub(super) fn labels(image: &Image) -> BTreeMap<String, String> {
    image.config.value().config.as_ref().map(|config| config.labels.clone()).unwrap_or_default()
}

pub(super) fn unpacked(
    context: &Context,
    source: &Admitted<ImageSource>,
    image: &Image,
) -> Result<Ready, RunError> {
    let roots = RootfsStore::open(context.home.data(), unpack::Options::default())?;
    let root = roots.get(source, image, &*context.reporter)?;
    let path = root.path.clone();
    let made = root.made;
    context.hold(root);
    if made {
        gc::drop_old_roots(context);
    }
    Ok(described(source, image, path))
}

/// What the image at `root` says about itself.
pub(super) fn described(source: &ImageSource, image: &Image, root: PathBuf) -> Ready {
    let config = image.config.value().config.clone().unwrap_or_default();
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let account = Account::find(&config.user, &passwd(&root).unwrap_or_default());
    Ready {
        reference: source.name().to_owned(),
        env: config.env.iter().filter_map(|text| text.split_once('=')).map(pair).collect(),
        user: Ids { uid: account.uid, gid: account.gid },
        said_user: config.user,
        home: account.home,
        command: without_init([config.entrypoint, config.cmd].concat()),
        volumes: config.volumes.into_keys().collect(),
        node: None,
        root,
    }
}

/// `/etc/passwd` of a root.
fn passwd(root: &Path) -> Option<String> {
    etc(root, "passwd")
}

/// A small file of `/etc` of a root. No link of the image is followed: it could lead to a file of the host.
pub(super) fn etc(root: &Path, name: &str) -> Option<String> {
    let etc = root.join("etc");
    let file = etc.join(name);
    let plain = fs::symlink_metadata(&etc).is_ok_and(|data| data.is_dir())
        && fs::symlink_metadata(&file).is_ok_and(|data| data.is_file() && data.len() <= ETC_MAX);
    plain.then(|| fs::read(file).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))?
}

/// The command without an init before it: the sandbox has one of its own, and tini complains where it is not process 1.
fn without_init(command: Vec<String>) -> Vec<String> {
    let init = command.first().and_then(|program| program.rsplit('/').next());
    match (init, command.get(1).map(String::as_str)) {
        (Some("tini" | "dumb-init" | "catatonit"), Some("--")) => command[2..].to_vec(),
        _ => command,
    }
}

/// Who an image runs as.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl Account {
    /// Reads the configuration's `User` (`name`, `uid` or `uid:gid`; image-spec config.md) with the image's passwd(5).
    /// Root, and what cannot be read, becomes 1000:1000: what an image says about users is not an order.
    fn find(user: &str, passwd: &str) -> Self {
        let (name, group) = user.split_once(':').unwrap_or((user, ""));
        let line = passwd_fields(name, passwd);
        let number = |text: &str| text.parse::<u32>().ok().filter(|id| (1..u32::MAX - 1).contains(id));
        let field = |index: usize| line.as_ref().map_or("", |fields| fields[index]);
        let uid = number(name).or_else(|| number(field(2)));
        let (uid, known) = uid.map_or((1000, false), |uid| (uid, true));
        let gid = number(group).or_else(|| number(field(3)).filter(|_| known)).unwrap_or(uid);
        let home = Some(field(5)).filter(|home| known && home.starts_with('/') && home.len() > 1);
        Self { uid, gid, home: home.unwrap_or("/home/agent").into() }
    }
}

/// The fields of the account that has this name or number in the text of a passwd(5), at least seven.
pub(crate) fn passwd_fields<'a>(name: &str, passwd: &'a str) -> Option<Vec<&'a str>> {
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.len() >= 7 && (fields[0] == name || fields[2] == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nme:x:1001:1002::/home/me:/bin/sh\nodd\n";

    #[test]
    fn users_by_name_and_number() {
        let of = |user| {
            let found = Account::find(user, PASSWD);
            (found.uid, found.gid, found.home.display().to_string())
        };
        assert_eq!(of("me"), (1001, 1002, "/home/me".into()));
        assert_eq!(of("1001"), (1001, 1002, "/home/me".into()));
        assert_eq!(of("1001:7"), (1001, 7, "/home/me".into()));
        assert_eq!(of("65532:65532"), (65532, 65532, "/home/agent".into()));
    }

    #[test]
    fn one_init_is_enough() {
        let of = |words: &[&str]| without_init(words.iter().map(|&word| word.to_owned()).collect());
        assert_eq!(of(&["/usr/bin/tini", "--", "bash"]), ["bash"]);
        assert_eq!(of(&["bash", "--"]), ["bash", "--"]);
        assert!(of(&["tini", "--"]).is_empty());
    }

    #[test]
    fn root_is_nobody_special() {
        for user in ["", "root", "0", "0:0", "nobody-knows"] {
            let found = Account::find(user, PASSWD);
            assert_eq!((found.uid, found.gid), (1000, 1000), "{user}");
            assert_eq!(found.home, Path::new("/home/agent"), "{user}");
        }
    }

    #[test]
    fn a_linked_passwd_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("etc/passwd")).unwrap();
        assert_eq!(passwd(dir.path()), None);
    }
}
