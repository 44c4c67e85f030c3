//! What is no fault of an image though it looks like one, each with the reason.

use pinfold_base::ImagePath;

/// Directories whose programs are not started by their place in them: what a program there lacks is counted, not a fault,
/// unless a command or another program leads to it.
const APART: [(&str, &str); 7] = [
    (
        "node_modules",
        "npm packages bring builds for several platforms and C libraries, and choose among them when they start",
    ),
    ("site-packages", "wheels bring what their optional parts need elsewhere"),
    ("dist-packages", "wheels bring what their optional parts need elsewhere"),
    ("usr/share/doc", "examples are to be read"),
    ("usr/share/perl", "modules that are programs too, for those who have what they want"),
    ("usr/lib/debug", "separate debug files are read by debuggers, and never loaded"),
    ("git-core", "git starts those of its programs whose interpreter is installed"),
];

/// Where a link may lead to that only a running system has.
const AT_RUN: [(&str, &str); 8] = [
    ("proc", "the kernel's"),
    ("sys", "the kernel's"),
    ("dev", "made when a container starts"),
    ("run", "made by what runs"),
    ("var/run", "made by what runs"),
    ("tmp", "made by what runs"),
    ("var/tmp", "made by what runs"),
    ("var/lock", "made by what runs"),
];

/// Links that lead nowhere in images that lack nothing: where they are, where they lead.
const LINKS: [(&str, &str, &str); 7] = [
    ("usr/share/doc/", "", "small images leave documentation out, and the links to it where they are"),
    ("usr/share/man/", "", "small images leave manual pages out"),
    (
        "etc/alternatives/",
        "usr/share/man/",
        "update-alternatives links manual pages that small images leave out",
    ),
    ("usr/share/info/", "", "small images leave documentation out"),
    (
        "etc/modules-load.d/modules.conf",
        "etc/modules",
        "a configuration of the kernel's, which an image has not",
    ),
    (
        "usr/lib/ssl/cert.pem",
        "etc/ssl/certs/ca-certificates.crt",
        "openssl's, to what another package makes; where that must be there is `closure.authorities`' to say",
    ),
    ("usr/lib/jvm/", "usr/lib/jvm/openjdk-", "`src.zip` is of a package of its own"),
];

/// Files that lack what they name, in systems that lack nothing: how their path ends.
const FILES: [(&str, &str); 5] = [
    ("/cgi.py", "a module of Python with the line of whoever would change it"),
    ("/encodings/rot_13.py", "a module of Python that can be tried out by hand"),
    ("/perf-core/perf-read-vdso32", "perf starts it where 32-bit programs are installed"),
    ("/valgrind/getoff-x86-linux", "valgrind starts it for 32-bit programs"),
    ("/valgrind/getoff-arm-linux", "valgrind starts it for 32-bit programs"),
];

/// Libraries that are loaded by who knows their place before those that need them: their name, where they are beside those.
const FIRST: [(&str, &str, &str); 1] =
    [("libjvm.so", "server/libjvm.so", "`java` loads its virtual machine by its path, and then the rest")];

/// Links in directories of PATH that lead to a directory.
const DIRECTORIES: [(&str, &str); 1] =
    [("usr/bin/X11", "it leads to `.`, for programs that ask for the place of X11 of 1990")];

/// The reason why a file's needs are no fault of the image.
pub(super) fn apart(path: &ImagePath) -> Option<&'static str> {
    let bytes = path.as_bytes();
    let file = FILES.iter().find(|(end, _)| bytes.ends_with(end.as_bytes())).map(|(_, reason)| *reason);
    file.or_else(|| part(bytes))
}

/// Where a library is that is loaded before the one at `path`, which needs it under `name`.
pub(super) fn loaded_first(path: &ImagePath, name: &[u8]) -> Option<ImagePath> {
    let (_, beside, _) = FIRST.iter().find(|(known, ..)| known.as_bytes() == name)?;
    path.parent()?.join(beside).ok()
}

fn part(bytes: &[u8]) -> Option<&'static str> {
    APART.iter().find(|(part, _)| contains(bytes, part.as_bytes())).map(|(_, reason)| *reason)
}

/// Whether something comes there when a container runs.
pub(super) fn at_run(path: &ImagePath) -> bool {
    AT_RUN.iter().any(|(dir, _)| below(path.as_bytes(), dir.as_bytes()))
}

/// Whether a link to `to` at `from` is among those that are known to lead nowhere.
pub(super) fn link(from: &ImagePath, to: &ImagePath) -> bool {
    LINKS.iter().any(|(at, leads, _)| {
        from.as_bytes().starts_with(at.as_bytes()) && to.as_bytes().starts_with(leads.as_bytes())
    })
}

/// Whether a link on PATH may lead to a directory.
pub(super) fn directory_on_path(path: &ImagePath) -> bool {
    DIRECTORIES.iter().any(|(at, _)| path.as_bytes() == at.as_bytes())
}

fn below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Whether whole names of `path`, one after the other, are `part`.
fn contains(path: &[u8], part: &[u8]) -> bool {
    let at_start = |at: usize| at == 0 || path[at - 1] == b'/';
    (0..path.len()).any(|at| at_start(at) && below(&path[at..], part))
}
