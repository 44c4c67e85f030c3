//! Files of the workspace, of what is remembered and of what is shared.

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::io::Errno;
use serde_json::Value;

use super::Done;
use super::RESULT;
use super::number;
use super::text;
use crate::beneath;
use crate::beneath::Root;

/// Bytes of a file that is edited.
const WHOLE: u64 = 1 << 20;
/// Bytes of a path.
const PATH: usize = 4096;
/// Entries of a directory that are listed.
const ENTRIES: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

#[derive(Debug)]
struct Tree {
    /// The name that the model has for it.
    name: &'static str,
    access: Access,
    /// Why it is not there.
    root: Result<Root, Errno>,
}

/// The three trees.
#[derive(Debug)]
pub(crate) struct Files {
    workspace: String,
    trees: [Tree; 3],
}

impl Files {
    /// Opens them; one that is missing is missing to the tools.
    pub(crate) fn open(workspace: &str, memory: &str, shared: &str) -> Self {
        let tree = |name, access, path| Tree { name, access, root: Root::open(path) };
        Self {
            workspace: workspace.to_owned(),
            trees: [
                tree("/workspace", Access::ReadWrite, workspace),
                tree("/memory", Access::ReadWrite, memory),
                tree("/shared", Access::ReadOnly, shared),
            ],
        }
    }

    /// Where the workspace is.
    pub(super) fn workspace(&self) -> &str {
        &self.workspace
    }

    /// The tree that a path means, and the path in it.
    fn find<'a>(&self, path: &'a str) -> Result<(&Tree, &'a str), String> {
        if path.len() > PATH {
            return Err("the path is too long".into());
        }
        if !path.starts_with('/') {
            return Ok((&self.trees[0], path));
        }
        let found = self.trees.iter().find_map(|tree| {
            let rest = path.strip_prefix(tree.name)?;
            let below = rest.trim_start_matches('/');
            (rest.is_empty() || rest.starts_with('/')).then_some((tree, below))
        });
        found.ok_or_else(|| "only /workspace, /memory and /shared can be reached".into())
    }

    fn reading<'a>(&self, path: &'a str) -> Result<(&Root, &'a str), String> {
        let (tree, path) = self.find(path)?;
        let root = tree.root.as_ref().map_err(|_| format!("{} is not in this sandbox", tree.name))?;
        Ok((root, path))
    }

    fn writing<'a>(&self, path: &'a str) -> Result<(&Root, &'a str), String> {
        let (tree, _) = self.find(path)?;
        if tree.access == Access::ReadOnly {
            return Err(format!("{} is read-only", tree.name));
        }
        self.reading(path)
    }

    pub(super) fn read(&self, arguments: &Value) -> Result<Done, String> {
        let path = text(arguments, "path")?;
        let offset = number(arguments, "offset")?.unwrap_or(0);
        let (root, below) = self.reading(path)?;
        let (fd, stat) = root.file(below).map_err(|error| said(path, error))?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let bytes = beneath::read(&fd, offset, RESULT - 200).map_err(|error| said(path, error))?;
        let end = offset.saturating_add(bytes.len() as u64);
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if end < size {
            text.push_str(&format!("\n[bytes {offset} to {end} of {size}; read on with offset {end}]"));
        }
        Ok(Done::Text(text))
    }

    pub(super) fn write(&self, arguments: &Value) -> Result<Done, String> {
        let (path, content) = (text(arguments, "path")?, text(arguments, "content")?);
        let (root, below) = self.writing(path)?;
        let place = root.place(below).map_err(|error| said(path, error))?;
        place.write(content.as_bytes()).map_err(|error| said(path, error))?;
        Ok(Done::Text(format!("{} bytes are written", content.len())))
    }

    pub(super) fn edit(&self, arguments: &Value) -> Result<Done, String> {
        let path = text(arguments, "path")?;
        let (old, new) = (text(arguments, "old")?, text(arguments, "new")?);
        if old.is_empty() {
            return Err("`old` is empty".into());
        }
        let (root, below) = self.writing(path)?;
        let (fd, stat) = root.file(below).map_err(|error| said(path, error))?;
        if u64::try_from(stat.st_size).is_ok_and(|size| size > WHOLE) {
            return Err(format!("`{}` has more than {WHOLE} bytes", shown(path)));
        }
        let bytes = beneath::read(&fd, 0, WHOLE as usize).map_err(|error| said(path, error))?;
        let before =
            String::from_utf8(bytes).map_err(|_| format!("`{}` is no text in UTF-8", shown(path)))?;
        let mut parts = before.split(old);
        let (first, second, third) = (parts.next(), parts.next(), parts.next());
        let after = match (first, second, third) {
            (Some(first), Some(second), None) => format!("{first}{new}{second}"),
            (_, None, _) => return Err(format!("`old` is not in `{}`", shown(path))),
            _ => return Err(format!("`old` is in `{}` more than once: take more of it", shown(path))),
        };
        let place = root.place(below).map_err(|error| said(path, error))?;
        place.write(after.as_bytes()).map_err(|error| said(path, error))?;
        Ok(Done::Text("it is replaced".into()))
    }

    pub(super) fn list(&self, arguments: &Value) -> Result<Done, String> {
        let path = text(arguments, "path")?;
        let (root, below) = self.reading(path)?;
        let fd = root.directory(below).map_err(|error| said(path, error))?;
        let mut lines = Vec::new();
        let mut more = 0_u64;
        for entry in rustix::fs::Dir::read_from(&fd).map_err(|error| said(path, error))? {
            let entry = entry.map_err(|error| said(path, error))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if lines.len() >= ENTRIES {
                more += 1;
                continue;
            }
            let stat = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW);
            let (kind, size) = stat.map_or(("?", 0), |stat| {
                let kind = match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => "file",
                    FileType::Directory => "dir",
                    FileType::Symlink => "link",
                    _ => "special",
                };
                (kind, stat.st_size)
            });
            lines.push((name.to_string_lossy().escape_debug().to_string(), kind, size));
        }
        lines.sort();
        let mut text = String::new();
        for (name, kind, size) in &lines {
            text.push_str(&format!("{kind}\t{size}\t{name}\n"));
        }
        if more > 0 {
            text.push_str(&format!("[{more} more entries]\n"));
        }
        if text.is_empty() {
            text.push_str("[empty]\n");
        }
        Ok(Done::Text(text))
    }
}

/// A path of the model's in a message to it.
fn shown(path: &str) -> String {
    crate::conversation::shortened(path, 200).escape_debug().to_string()
}

/// What went wrong with a path.
fn said(path: &str, error: Errno) -> String {
    let what = match error {
        Errno::XDEV | Errno::PERM => "it leads out of its root".to_owned(),
        Errno::LOOP => "it is a link, or leads over one that is not followed".to_owned(),
        Errno::NXIO => "it is no regular file".to_owned(),
        Errno::INVAL => "it is no path".to_owned(),
        error => std::io::Error::from(error).to_string(),
    };
    format!("`{}`: {what}", shown(path))
}
