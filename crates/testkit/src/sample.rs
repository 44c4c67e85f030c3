//! A small project for tests of the whole pipeline: an archive of two suites, and a manifest that asks for it.

use crate::debian::ARCHES;
use crate::debian::DATE;
use crate::debian::Deb;
use crate::debian::Suite;

/// `sample`, and `sample-security` with a newer library. Packages of one architecture and of all, with files, links, a
/// configuration file, triggers, and scripts that debhelper wrote; `odd` and `libodd++1.0` have one that nobody
/// understands.
pub fn suites() -> Vec<Suite> {
    let mut sample = Suite::new("sample")
        .deb(Deb::new("usr-is-merged", "1", "all").field("Priority", "required"))
        .deb(
            Deb::new("greet-data", "3", "all")
                .field("Source", "greet")
                .file("usr/share/greet/words", 0o644, &words(300_000))
                .file("usr/share/doc/greet-data/copyright", 0o644, b"free\n")
                .file("usr/share/man/man7/greet.7.gz", 0o644, b"left out of slim images\n"),
        )
        .deb(Deb::new("odd", "1", "all").script("postinst", "#!/bin/sh\nset -e\nrm --odd /dev/odd\n"))
        .deb(Deb::new("libodd++1.0", "1", "all").script("postinst", "#!/bin/sh\ncp --odd a b\n"));
    let mut security = Suite::new("sample-security").date(DATE + 60);
    for arch in ARCHES {
        sample = sample
            .deb(
                Deb::new("base-files", "12", arch)
                    .field("Essential", "yes")
                    .field("Priority", "required")
                    .file("etc/os-release", 0o644, b"ID=sample\nVERSION_ID=\"1\"\n")
                    .file("etc/debian_version", 0o644, b"12.0\n"),
            )
            .deb(
                Deb::new("base-passwd", "3.6", arch)
                    .field("Essential", "yes")
                    .field("Priority", "required")
                    .file("usr/share/base-passwd/passwd.master", 0o644, b"root::0:0:root:/root:/bin/bash\n")
                    .file(
                        "usr/share/base-passwd/group.master",
                        0o644,
                        b"root::0:\nshadow::42:\nusers::100:\n",
                    ),
            )
            .deb(library("1.0-1", arch))
            .deb(
                Deb::new("greet", "1.0-2", arch)
                    .field("Depends", "libgreet (>= 1), greet-data")
                    .file("bin/greet", 0o755, format!("a program for {arch}\n").as_bytes())
                    .file("etc/greet.conf", 0o644, b"loud = yes\n")
                    .symlink("usr/bin/hello", "greet")
                    .control("conffiles", "/etc/greet.conf\n")
                    .script(
                        "postinst",
                        "#!/bin/sh\nset -e\n# Automatically added by dh_installalternatives/13.11.4\n\
                         if [ \"$1\" = \"configure\" ]; then\n\
                         \tupdate-alternatives --install /usr/bin/welcome welcome /bin/greet 10\nfi\n\
                         # End automatically added section\nexit 0\n",
                    ),
            );
        security = security.deb(library("1.0-1+deb1", arch));
    }
    vec![sample, security]
}

fn library(version: &str, arch: &str) -> Deb {
    Deb::new("libgreet", version, arch)
        .field("Multi-Arch", "same")
        .file(&format!("usr/lib/{arch}/libgreet.so.1"), 0o644, format!("{version} {arch}\n").as_bytes())
        .control("triggers", "activate-noawait ldconfig\n")
}

/// Bytes that compress, but not to nothing.
pub fn words(length: usize) -> Vec<u8> {
    let mut state = 9_u32;
    let mut text = Vec::with_capacity(length + 8);
    while text.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend_from_slice(format!("{:x} ", state >> 20).as_bytes());
    }
    text.truncate(length);
    text
}

/// A manifest that asks for `greet` of the archive at `url`, whose key stands beside it as `key.asc`.
pub fn manifest(url: &str) -> String {
    format!(
        "name = \"sample\"\n\
         [debian]\nsuites = [\"sample\", \"sample-security\"]\nbase = \"essential\"\npackages = [\"greet\"]\n\
         mirror = \"{url}\"\nsecurity-mirror = \"{url}\"\nkeyring = \"key.asc\"\n\
         [user]\nname = \"u\"\nuid = 1000\ngid = 1000\nhome = \"/home/u\"\n\
         [[file]]\npath = \"/etc/motd\"\ncontent = \"hello\"\n\
         [image]\nentrypoint = [\"/usr/bin/greet\"]\n"
    )
}
