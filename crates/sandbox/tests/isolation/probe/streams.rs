//! Probes of the standard streams as descriptors: what else than bytes they give.

use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use super::Found;
use super::all;
use super::call;
use super::expect;

/// Bytes, and nothing of the file or pipe that the caller has. Takes one line of the input.
pub(super) fn own(write: bool) -> Found {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" && rustix::io::read(rustix::stdio::stdin(), &mut byte[..]) == Ok(1) {
        line.push(byte[0]);
    }
    // Into what is read by others, and over what others have written.
    if write {
        let again = fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open("/proc/self/fd/0");
        let _ = again.and_then(|mut file| file.write_all(b"evil\n"));
    }
    let _ = fs::OpenOptions::new().write(true).truncate(true).open("/proc/self/fd/1");
    let taken = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/proc/self/fd/1")
        .and_then(|mut file| file.read(&mut [0; 64]));
    let found = all([0_usize, 1, 2].into_iter().flat_map(|fd| {
        [
            expect(
                &format!("seek {fd}"),
                call(libc::SYS_lseek, [fd, 0, libc::SEEK_SET as usize, 0, 0, 0]),
                libc::ESPIPE,
            ),
            expect(&format!("truncate {fd}"), call(libc::SYS_ftruncate, [fd, 0, 0, 0, 0, 0]), libc::EINVAL),
        ]
    }));
    println!("took {:?} {:?}", String::from_utf8_lossy(&line), taken.unwrap_or(0));
    found
}

/// A file of the host through the directory that standard input is.
pub(super) fn directory(name: &str) -> Found {
    let name = CString::new(name).unwrap();
    match call(libc::SYS_openat, [0, name.as_ptr() as usize, libc::O_RDONLY as usize, 0, 0, 0]) {
        Ok(_) => Err("a file of the host can be opened".into()),
        Err(_) => Ok(()),
    }
}
