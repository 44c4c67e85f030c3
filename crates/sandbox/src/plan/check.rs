//! What a specification says in words: names, paths and strings that the kernel, the file system and we can pass on.
//!
//! **Refuses** what could be read as something else: names that are paths, paths with `..`, bytes of NUL, paths that are
//! the sandbox's own.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use super::refusal::Refusal;
use crate::spec::OWN_DIRECTORY;
use crate::spec::Spec;

/// A sandbox's name: it is a directory, a part of a socket's path and of a cgroup's.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-".contains(&byte);
    let good = (1..=64).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(allowed);
    if good { Ok(()) } else { Err(Refusal::Name(name.chars().take(80).collect())) }
}

/// No NUL may reach `execve`, and a variable's name has no `=`.
pub(super) fn check_strings(spec: &Spec) -> Result<(), Refusal> {
    let bad = |text: &str| text.contains('\0');
    if spec.args.iter().any(|arg| arg.as_bytes().contains(&0)) {
        return Err(Refusal::Nul("argument"));
    }
    if spec.env.iter().any(|(name, value)| name.is_empty() || name.contains('=') || bad(name) || bad(value)) {
        return Err(Refusal::Nul("variable"));
    }
    let host = &spec.hostname;
    if !(1..=64).contains(&host.len())
        || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
    {
        return Err(Refusal::Hostname(host.chars().take(80).collect()));
    }
    Ok(())
}

/// An absolute path of plain names; the form in which paths are compared.
pub(super) fn clean(what: &'static str, path: &Path) -> Result<PathBuf, Refusal> {
    let wrong = || Refusal::Path { what, path: path.to_owned() };
    if path.to_str().is_none_or(|text| text.contains('\0')) || !path.is_absolute() {
        return Err(wrong());
    }
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::RootDir => {}
            Component::Normal(name) => out.push(name),
            _ => return Err(wrong()),
        }
    }
    Ok(out)
}

/// HostPaths that are the sandbox's own.
pub(super) fn reserved(what: &'static str, path: &Path) -> Result<(), Refusal> {
    let below = ["/proc", "/dev", "/sys", OWN_DIRECTORY].iter().any(|taken| path.starts_with(taken));
    if below || ["/", "/run", "/run/lock", "/tmp"].iter().any(|taken| path == Path::new(taken)) {
        return Err(Refusal::Reserved { what, path: path.to_owned() });
    }
    Ok(())
}
