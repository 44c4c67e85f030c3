//! The directory that an export is written to: all of it or nothing, and nothing of anybody else's.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use fs_err as fs;
use pinfold_base::Shown;
use pinfold_kube::objects::File;
use pinfold_kube::objects::HEADER;
use rustix::fs::CWD;
use rustix::fs::RenameFlags;

use super::error::KubeError;

/// Writes the files into a directory, in the place of those of an earlier export.
pub fn write(directory: &Path, files: &[File]) -> Result<(), KubeError> {
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if directory.file_name().is_none() {
        return Err(KubeError::value("`-o`", "names no directory of its own: write `-o DIR`"));
    }
    let before = entries(directory)?;
    fs::create_dir_all(parent)?;
    let new = tempfile::Builder::new().prefix(".pinfold-kube-").tempdir_in(parent)?;
    for file in files {
        let mut made = fs::File::create_new(new.path().join(file.name))?;
        io::Write::write_all(&mut made, file.text.as_bytes())?;
        made.sync_all()?;
    }
    fs::set_permissions(new.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    match before {
        None => {
            rustix::fs::renameat_with(CWD, new.path(), CWD, directory, RenameFlags::NOREPLACE)
                .map_err(io::Error::from)?;
            // It is no longer there under its first name.
            let _ = new.keep();
        }
        Some(before) => {
            rustix::fs::renameat_with(CWD, new.path(), CWD, directory, RenameFlags::EXCHANGE)
                .map_err(io::Error::from)?;
            // What came meanwhile is put back.
            let old = new.path();
            let late = fs::read_dir(old)?.filter_map(Result::ok).map(|entry| entry.file_name());
            for name in late.filter(|name| !before.contains(name)).collect::<Vec<_>>() {
                fs::rename(old.join(&name), directory.join(&name))?;
            }
        }
    }
    Ok(())
}

/// What is in a directory of an earlier export; nothing where there is none.
fn entries(directory: &Path) -> Result<Option<BTreeSet<std::ffi::OsString>>, KubeError> {
    match fs::symlink_metadata(directory) {
        Ok(data) if data.is_dir() => {}
        Ok(_) => {
            return Err(KubeError::value(
                "`-o`",
                format!("names `{}`, which is no directory", directory.display()),
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !is_ours(directory, &name)? {
            return Err(KubeError::Foreign {
                directory: directory.to_owned(),
                entry: Shown::bytes(name.as_encoded_bytes()),
            });
        }
        names.insert(name);
    }
    Ok(Some(names))
}

/// Whether a file was written by an export: by its first line.
fn is_ours(directory: &Path, name: &OsStr) -> io::Result<bool> {
    let path = directory.join(name);
    if !fs::symlink_metadata(&path)?.is_file() {
        return Ok(false);
    }
    let mut first = vec![0; HEADER.len()];
    let mut file = fs::File::open(&path)?;
    match io::Read::read_exact(&mut file, &mut first) {
        Ok(()) => Ok(first == HEADER.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use pinfold_kube::objects::Use;

    use super::*;

    fn files(texts: &[(&'static str, &str)]) -> Vec<File> {
        let file = |&(name, text): &(&'static str, &str)| File {
            name,
            text: format!("{HEADER}{text}\n"),
            use_of: Use::Applied,
        };
        texts.iter().map(file).collect()
    }

    fn listed(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_export_takes_the_place_of_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("deep/k8s");
        write(&to, &files(&[("a.yaml", "1"), ("pool.yaml", "1")])).unwrap();
        write(&to, &files(&[("a.yaml", "2"), ("job.yaml", "2")])).unwrap();
        assert_eq!(listed(&to), ["a.yaml", "job.yaml"]);
        assert_eq!(fs::read_to_string(to.join("a.yaml")).unwrap(), format!("{HEADER}2\n"));
        assert_eq!(listed(&dir.path().join("deep")), ["k8s"]);
    }

    #[test]
    fn nothing_of_anybody_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("k8s");
        for (name, text) in
            [("kustomization.yaml", "resources: []\n"), ("notes", ""), ("a.yaml", "# Written\n")]
        {
            fs::create_dir_all(&to).unwrap();
            fs::write(to.join(name), text).unwrap();
            let error = write(&to, &files(&[("a.yaml", "1")])).unwrap_err();
            assert!(error.to_string().contains(&format!("has `{name}` in it")), "{error}");
            assert_eq!(listed(&to), [name]);
            assert_eq!(fs::read_to_string(to.join(name)).unwrap(), text);
            pinfold_base::directory::remove(&to).unwrap();
        }
        std::os::unix::fs::symlink("/etc", &to).unwrap();
        assert!(write(&to, &files(&[("a.yaml", "1")])).is_err());
        assert_eq!(listed(dir.path()), ["k8s"]);
    }
}
