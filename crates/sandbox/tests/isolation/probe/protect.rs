//! Probes of what the host runs by itself: every way to change a name, or to make it.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use super::Found;
use super::call;

/// What was done although it should not have been possible.
#[derive(Default)]
struct Done(Vec<String>);

impl Done {
    fn note<T>(&mut self, what: &str, path: &Path, worked: &Result<T, impl Sized>) {
        if worked.is_ok() {
            self.0.push(format!("{what} {}", path.display()));
        }
    }

    fn found(self) -> Found {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join(", ")) }
    }
}

fn exchange(one: &Path, two: &Path) -> Result<i64, i32> {
    let names = [one, two].map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
    let here = libc::AT_FDCWD as usize;
    let (one, two) = (names[0].as_ptr() as usize, names[1].as_ptr() as usize);
    call(libc::SYS_renameat2, [here, one, here, two, libc::RENAME_EXCHANGE as usize, 0])
}

/// A file of the agent's own, beside `path`.
fn own(path: &Path) -> PathBuf {
    let own = PathBuf::from(format!("{}.own", path.display()));
    let _ = fs::remove_dir_all(&own);
    fs::write(&own, "agent").unwrap();
    own
}

/// Tries to change what is there: files and directories.
pub(super) fn present(paths: &[String]) -> Found {
    let mut done = Done::default();
    for path in paths.iter().map(Path::new) {
        let data = fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        // From the least to the most: what a control lets happen leaves something for the next.
        let linked = PathBuf::from(format!("/workspace/linked-{}", std::process::id()));
        if data.is_file() {
            done.note("opened for writing", path, &fs::OpenOptions::new().write(true).open(path));
            done.note("opened for appending", path, &fs::OpenOptions::new().append(true).open(path));
            done.note("cut off", path, &fs::File::options().write(true).truncate(true).open(path));
            let link = fs::hard_link(path, &linked).and_then(|()| fs::write(&linked, "agent"));
            done.note("written to by a second name", path, &link);
        } else {
            let within = path.join("agent");
            done.note("made a file in", path, &fs::write(&within, "agent"));
            done.note("made a directory in", path, &fs::create_dir(path.join("agent-directory")));
            done.note("made a link in", path, &symlink("/etc", path.join("agent-link")));
        }
        done.note("changed the mode of", path, &fs::set_permissions(path, PermissionsExt::from_mode(0o777)));
        let own = own(path);
        done.note("renamed over", path, &fs::rename(&own, path).and_then(|()| fs::remove_file(path)));
        if fs::symlink_metadata(path).is_ok() {
            done.note("exchanged", path, &exchange(&own, path));
            done.note("renamed", path, &fs::rename(path, format!("{}.away", path.display())));
            done.note("removed", path, &fs::remove_file(path).or_else(|_| fs::remove_dir(path)));
        }
        let _ = fs::remove_file(own);
    }
    done.found()
}

/// Closes directories: nobody is to make or remove anything in them.
pub(super) fn close(paths: &[String]) -> Found {
    for path in paths {
        fs::set_permissions(path, PermissionsExt::from_mode(0o555))
            .map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// Tries to make what is not there, in each way in which a name can appear.
pub(super) fn missing(paths: &[String]) -> Found {
    let mut done = Done::default();
    for path in paths.iter().map(Path::new) {
        let _ = fs::remove_dir(path).or_else(|_| fs::remove_file(path));
        done.note("made a file in", path, &fs::write(path.join("agent"), "agent"));
        done.note("made a directory", path, &fs::create_dir(path).and_then(|()| fs::remove_dir(path)));
        let made = fs::OpenOptions::new().create_new(true).write(true).custom_flags(libc::O_EXCL).open(path);
        done.note("made a file", path, &made.and_then(|_| fs::remove_file(path)));
        done.note("made a link", path, &symlink("/etc", path).and_then(|()| fs::remove_file(path)));
        let own = own(path);
        done.note("linked to", path, &fs::hard_link(&own, path).and_then(|()| fs::remove_file(path)));
        done.note("renamed to", path, &fs::rename(&own, path).and_then(|()| fs::rename(path, &own)));
        if fs::symlink_metadata(path).is_ok() {
            done.note("exchanged with", path, &exchange(&own, path));
        }
        let _ = fs::remove_file(&own);
        fs::create_dir(&own).map_err(|error| error.to_string())?;
        done.note("renamed a directory to", path, &fs::rename(&own, path));
        let _ = fs::remove_dir(own);
    }
    done.found()
}

/// Tries to put another directory in the place of `path`.
pub(super) fn parents(paths: &[String]) -> Found {
    let mut done = Done::default();
    for path in paths.iter().map(Path::new) {
        let (away, other) = (format!("{}.away", path.display()), format!("{}.other", path.display()));
        fs::create_dir_all(&other).map_err(|error| error.to_string())?;
        done.note("renamed", path, &fs::rename(path, &away).and_then(|()| fs::rename(&away, path)));
        done.note(
            "exchanged",
            path,
            &exchange(path, Path::new(&other)).and_then(|_| exchange(path, Path::new(&other))),
        );
        done.note("renamed over", path, &fs::rename(&other, path));
        let _ = fs::remove_dir(other);
    }
    done.found()
}

/// Tries to take directories away, with what is around them, and to make them anew with something in them.
pub(super) fn remade(paths: &[String]) -> Found {
    let mut done = Done::default();
    for path in paths.iter().map(Path::new) {
        let _ = fs::remove_dir_all(path);
        let above = path.parent().unwrap_or(path);
        if above.ends_with(".kiro") {
            let _ = fs::remove_dir(above).and_then(|()| fs::create_dir(above));
        }
        let _ = fs::create_dir(path);
        done.note("made anew", path, &fs::write(path.join("agent"), "agent"));
    }
    done.found()
}

/// What must still work around it: files made, changed and removed beside what is protected.
pub(super) fn around(directory: &str) -> Found {
    let path = Path::new(directory).join("ordinary");
    let work = || {
        fs::write(path.with_extension("lock"), "one")?;
        fs::rename(path.with_extension("lock"), &path)?;
        fs::create_dir(path.with_extension("dir"))?;
        fs::remove_dir(path.with_extension("dir"))?;
        fs::remove_file(&path)
    };
    work().map_err(|error: std::io::Error| format!("{directory}: {error}"))
}

/// Waits until it is told, then tries [`missing`].
pub(super) fn later(word: &str, paths: &[String]) -> Found {
    fs::write(format!("{word}.ready"), "").map_err(|error| error.to_string())?;
    let start = std::time::Instant::now();
    while !Path::new(word).exists() {
        if start.elapsed() > std::time::Duration::from_secs(60) {
            return Err("was not told".into());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    missing(paths)
}
