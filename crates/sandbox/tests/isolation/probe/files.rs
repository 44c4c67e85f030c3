//! Probes of the workspace's edges.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use super::Found;
use super::all;
use super::call;
use super::expect;

/// A second name for a file of another mount, by its path and by an open descriptor.
pub(super) fn hard_link(from: &str, to: &str) -> Found {
    let file = fs::File::open(from).map_err(|error| format!("{from}: {error}"))?;
    let descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let link = |from: &str, to: &str, flags: i32| {
        let (from, to) = (CString::new(from).unwrap(), CString::new(to).unwrap());
        let here = libc::AT_FDCWD as usize;
        let (from, to) = (from.as_ptr() as usize, to.as_ptr() as usize);
        call(libc::SYS_linkat, [here, from, here, to, flags as usize, 0])
    };
    let second = format!("{to}-2");
    all([
        expect("link", link(from, to, 0), libc::EXDEV),
        expect("link of a descriptor", link(&descriptor, &second, libc::AT_SYMLINK_FOLLOW), libc::EXDEV),
    ])
}

/// Opens a directory that its owner has closed, and connects to the socket in it.
pub(super) fn closed_directory(path: &Path) -> Found {
    let opened = fs::set_permissions(path, PermissionsExt::from_mode(0o700));
    let connected = UnixStream::connect(path.join("agent.sock"));
    let errno = |error: &std::io::Error| error.raw_os_error();
    match (opened.as_ref().map_err(errno), connected.as_ref().map_err(errno)) {
        // `runc` gives the cover the mode of what it covers.
        (_, Err(Some(libc::ENOENT))) | (Err(Some(libc::EROFS)), Err(Some(libc::EACCES))) => Ok(()),
        _ => Err(format!("opened {opened:?}, connected {connected:?}")),
    }
}

/// Finds `expected` in a file that may only be read, and puts another one there.
pub(super) fn rewritten(path: &Path, expected: &str) -> Found {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let found = fs::read_to_string(path).map_err(failed)?;
    if found != expected {
        return Err(format!("{found:?}, expected {expected:?}"));
    }
    // Its owner may change it; whoever may write to the directory exchanges it.
    let _ = fs::set_permissions(path, PermissionsExt::from_mode(0o644));
    let _ = fs::write(path, "rewritten");
    fs::remove_file(path).map_err(failed)?;
    fs::write(path, "rewritten").map_err(failed)?;
    // A name that is new, one that is gone, and one that is moved.
    let beside = path.with_file_name("made");
    let _ = fs::remove_file(&beside);
    fs::write(&beside, "").map_err(failed)?;
    fs::rename(path, path.with_file_name("moved")).map_err(failed)?;
    fs::rename(path.with_file_name("moved"), path).map_err(failed)
}

/// Fills `home` with what is hard to remove: 1,500 levels, and closed directories in one another.
pub(super) fn hard_home(home: &Path) -> Found {
    let failed = |error: std::io::Error| error.to_string();
    fs::create_dir_all(home.join("closed/inner")).map_err(failed)?;
    fs::write(home.join("closed/inner/file"), "").map_err(failed)?;
    for closed in ["closed/inner", "closed"] {
        fs::set_permissions(home.join(closed), PermissionsExt::from_mode(0o000)).map_err(failed)?;
    }
    std::env::set_current_dir(home).map_err(failed)?;
    for _ in 0..1500 {
        fs::create_dir("deeper").map_err(failed)?;
        std::env::set_current_dir("deeper").map_err(failed)?;
    }
    Ok(())
}

/// Exchanges the directory `swap` in `workspace` with a link to `target`, over and over, until the file `stop` is there.
pub(super) fn swap(workspace: &Path, target: &str) -> Found {
    let (one, two) = (workspace.join("swap"), workspace.join("other"));
    let failed = |error: std::io::Error| error.to_string();
    fs::create_dir(&one).map_err(failed)?;
    fs::write(one.join("inside"), "").map_err(failed)?;
    symlink(target, &two).map_err(failed)?;
    fs::write(workspace.join("swapping"), "").map_err(failed)?;
    let names = [&one, &two].map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
    let here = libc::AT_FDCWD as usize;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) && !workspace.join("stop").exists() {
        for _ in 0..100 {
            let (one, two) = (names[0].as_ptr() as usize, names[1].as_ptr() as usize);
            call(libc::SYS_renameat2, [here, one, here, two, libc::RENAME_EXCHANGE as usize, 0])
                .map_err(|errno| format!("exchange: errno {errno}"))?;
        }
    }
    Ok(())
}

/// Tries to give files set-id bits in every way there is: none may have them afterwards, and other modes still can be set.
pub(super) fn set_id_bits(directories: &[String]) -> Found {
    all(directories.iter().map(|directory| set_id_bits_in(Path::new(directory))))
}

fn set_id_bits_in(directory: &Path) -> Found {
    let failed = |error: std::io::Error| error.to_string();
    let path = |name: &str| directory.join(format!("set-id-{name}"));
    let here = libc::AT_FDCWD as usize;
    let written = |name: &str| -> Result<CString, String> {
        fs::write(path(name), "").map_err(failed)?;
        Ok(CString::new(path(name).as_os_str().as_bytes()).unwrap())
    };
    let named = |name: &str| CString::new(path(name).as_os_str().as_bytes()).unwrap();
    for mode in [0o4755, 0o2755, 0o6711] {
        let name = |way: &str| format!("{way}-{mode:o}");
        #[cfg(target_arch = "x86_64")]
        {
            let (one, two) = (written(&name("chmod"))?, named(&name("creat")));
            let _ = call(libc::SYS_chmod, [one.as_ptr() as usize, mode, 0, 0, 0, 0]);
            let _ = call(libc::SYS_creat, [two.as_ptr() as usize, mode, 0, 0, 0, 0]);
            let (one, two) = (named(&name("open")), named(&name("mknod")));
            let create = (libc::O_CREAT | libc::O_WRONLY) as usize;
            let _ = call(libc::SYS_open, [one.as_ptr() as usize, create, mode, 0, 0, 0]);
            let _ = call(libc::SYS_mknod, [two.as_ptr() as usize, libc::S_IFREG as usize | mode, 0, 0, 0, 0]);
        }
        let file = written(&name("fchmodat"))?;
        let _ = call(libc::SYS_fchmodat, [here, file.as_ptr() as usize, mode, 0, 0, 0]);
        let file = written(&name("fchmodat2"))?;
        // SYS_fchmodat2, the same number everywhere.
        let _ = call(452, [here, file.as_ptr() as usize, mode, 0, 0, 0]);
        let file = fs::File::create(path(&name("fchmod"))).map_err(failed)?;
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file) as usize;
        let _ = call(libc::SYS_fchmod, [descriptor, mode, 0, 0, 0, 0]);
        let file = named(&name("openat"));
        let create = (libc::O_CREAT | libc::O_WRONLY) as usize;
        let _ = call(libc::SYS_openat, [here, file.as_ptr() as usize, create, mode, 0, 0]);
        let file = named(&name("mknodat"));
        let _ =
            call(libc::SYS_mknodat, [here, file.as_ptr() as usize, libc::S_IFREG as usize | mode, 0, 0, 0]);
        let file = named(&name("openat2"));
        // `struct open_how`: flags, mode, resolve.
        let how = [create as u64, mode as u64, 0_u64];
        let size = std::mem::size_of_val(&how);
        let _ = call(libc::SYS_openat2, [here, file.as_ptr() as usize, how.as_ptr() as usize, size, 0, 0]);
    }
    let mut result = Ok(());
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with("set-id-") {
            continue;
        }
        let mode = entry.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o6000 != 0 {
            result = Err(format!("{} has mode {mode:o}", entry.path().display()));
        }
        fs::set_permissions(entry.path(), PermissionsExt::from_mode(0o640)).map_err(failed)?;
        fs::remove_file(entry.path()).map_err(failed)?;
    }
    result
}
