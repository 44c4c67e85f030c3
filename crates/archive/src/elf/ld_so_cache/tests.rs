//! The cache against that of a real `ldconfig`.

use std::path::Path;
use std::process::Command;

use fs_err as fs;

use super::super::tests::build;
use super::*;
use crate::Component;
use crate::Metadata;
use crate::Node;
use crate::tree::InlineOnly;

const GENERATOR: &str = "ldconfig (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36";
/// Written by that `ldconfig` for the files of [`sample`]: `ldconfig -r DIR`.
const RECORDED: &[u8] = include_bytes!("../../../tests/fixtures/ld.so.cache");

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// Libraries as packages ship them, and everything that looks like one and is not.
fn sample(arch: Arch) -> Tree {
    let owner = Component::generated("test");
    let machine = arch.elf_machine();
    let triplet = arch.triplet();
    let mut tree = Tree::new();
    let mut put = |name: &str, bytes: Vec<u8>| {
        let meta = Metadata::root(0o644, 0);
        drop(tree.insert(
            path(&name.replace("TRIPLET", triplet)),
            Node::file(&owner, meta, Content::inline(bytes)),
        ));
    };
    put(
        "etc/ld.so.conf",
        b"include /etc/ld.so.conf.d/*.conf\n# nothing\n  /opt/late/lib/ # last\nrelative\n".into(),
    );
    put("etc/ld.so.conf.d/libc.conf", b"# default\n/usr/local/lib\n".into());
    put("etc/ld.so.conf.d/a.conf", b"/opt/zz\n/opt/missing\n/usr/local/lib\n".into());
    put("etc/ld.so.conf.d/triplet.conf", format!("/lib/{triplet}\n/usr/lib/{triplet}\n").into());
    put("etc/ld.so.conf.d/.hidden.conf", b"/opt/hidden\n".into());
    put("etc/ld.so.conf.d/other.txt", b"/opt/hidden\n".into());
    let library = |soname| build(3, machine, Some(soname));
    for dir in ["opt/zz", "opt/late/lib", "opt/hidden", "usr/local/lib", "usr/lib/TRIPLET", "usr/lib"] {
        put(&format!("{dir}/libz.so.1"), library("libz.so.1"));
    }
    // apko issue 2311: these two were sorted wrongly, and then not found.
    put("usr/lib/TRIPLET/libyaml-0.so.2.0.9", library("libyaml-0.so.2"));
    put("usr/lib/TRIPLET/libyaml-cpp.so.0.8.0", library("libyaml-cpp.so.0.8"));
    put("usr/lib/TRIPLET/libcc.so.9.1", library("libcc.so.9"));
    put("usr/lib/TRIPLET/libcc.so.10.0", library("libcc.so.10"));
    put("usr/lib/TRIPLET/libcc.so.010.0", library("libcc.so.010a"));
    put("usr/lib/TRIPLET/libtwo.so.1.9", library("libtwo.so.1"));
    put("usr/lib/TRIPLET/libtwo.so.1.10", library("libtwo.so.1"));
    put("usr/lib/TRIPLET/libbare.so", build(3, machine, None));
    put("usr/lib/TRIPLET/ld-linux-x86-64.so.2", library("ld-linux-x86-64.so.2"));
    put("usr/lib/TRIPLET/libexec.so", build(2, machine, None));
    put("usr/lib/TRIPLET/libobject.so", build(1, machine, None));
    put("usr/lib/TRIPLET/libforeign.so.1", build(3, 243, Some("libforeign.so.1")));
    put("usr/lib/TRIPLET/libtext.so", b"INPUT ( libcc.so.10 )".repeat(9));
    put("usr/lib/TRIPLET/libshort.so", b"\x7fELF".into());
    put("usr/lib/TRIPLET/plugin.so", library("plugin.so"));
    put("usr/lib/TRIPLET/plugins/libdeep.so", library("libdeep.so"));
    let mut link = |name: &str, target: &str| {
        let node = Node::symlink(&owner, 0, target.replace("TRIPLET", triplet));
        drop(tree.insert(path(&name.replace("TRIPLET", triplet)), node));
    };
    link("lib", "usr/lib");
    link("lib64", "usr/lib64");
    link("usr/lib64/ld-linux-x86-64.so.2", "/lib/TRIPLET/ld-linux-x86-64.so.2");
    link("usr/lib/TRIPLET/libyaml-0.so.2", "libyaml-0.so.2.0.9");
    link("usr/lib/TRIPLET/libyaml-cpp.so.0.8", "libyaml-cpp.so.0.8.0");
    link("usr/lib/TRIPLET/libcc.so.9", "libcc.so.9.1");
    link("usr/lib/TRIPLET/libcc.so.10", "/usr/lib/TRIPLET/libcc.so.10.0");
    link("usr/lib/TRIPLET/libcc.so.010a", "libcc.so.010.0");
    link("usr/lib/TRIPLET/libcc.so", "libcc.so.10");
    link("usr/lib/TRIPLET/libother-name.so", "libcc.so.9.1");
    link("usr/lib/TRIPLET/libdangling.so", "nowhere");
    tree.complete(&owner, 0).unwrap();
    tree
}

fn on_disk(tree: &Tree, root: &Path) {
    use std::os::unix::ffi::OsStrExt as _;
    for (path, node) in tree.iter() {
        let to = root.join(std::ffi::OsStr::from_bytes(path.as_bytes()));
        match &node.kind {
            NodeKind::Directory => fs::create_dir_all(to).unwrap(),
            NodeKind::File(content) => fs::write(to, InlineOnly.read(content, 1 << 20).unwrap()).unwrap(),
            NodeKind::Symlink(target) => {
                std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), to).unwrap();
            }
            NodeKind::Hardlink(_) => unreachable!(),
        }
    }
}

#[test]
fn the_cache_is_what_ldconfig_wrote() {
    let cache = ld_so_cache(&sample(Arch::Amd64), &InlineOnly, Arch::Amd64, GENERATOR).unwrap();
    assert!(cache == RECORDED, "ours:\n{}\nrecorded:\n{}", cache.escape_ascii(), RECORDED.escape_ascii());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "asks the real program where it is installed"
)]
fn the_cache_is_what_ldconfig_writes_here() {
    let program = ["/sbin/ldconfig", "/usr/sbin/ldconfig"].into_iter().find(|file| Path::new(file).is_file());
    let version = program.and_then(|program| Command::new(program).arg("--version").output().ok());
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let (Some(program), true, Some(Arch::Amd64)) = (program, version.contains(") 2.36"), Arch::host()) else {
        eprintln!("skipped: needs ldconfig of glibc 2.36 on amd64");
        return;
    };
    let tree = sample(Arch::Amd64);
    let dir = tempfile::tempdir().unwrap();
    on_disk(&tree, dir.path());
    let output = Command::new(program).arg("-r").arg(dir.path()).output().unwrap();
    let Ok(theirs) = fs::read(dir.path().join("etc/ld.so.cache")) else {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let start = theirs.windows(9).rposition(|bytes| bytes == b"ldconfig ").unwrap();
    let generator = std::str::from_utf8(&theirs[start..]).unwrap();
    let ours = ld_so_cache(&tree, &InlineOnly, Arch::Amd64, generator).unwrap();
    assert!(ours == theirs, "ours:\n{}\ntheirs:\n{}", ours.escape_ascii(), theirs.escape_ascii());
    let links = soname_links(&tree, &InlineOnly, Arch::Amd64).unwrap();
    assert!(!links.is_empty());
    for (path, target) in links {
        let made = fs::read_link(dir.path().join(std::str::from_utf8(path.as_bytes()).unwrap())).unwrap();
        assert_eq!(made.as_os_str().as_encoded_bytes(), &target[..], "{path}");
    }
}

/// `ldconfig -p -C FILE` lists the same.
#[test]
fn a_cache_is_read() {
    let read = cached_libraries(RECORDED).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(!read.is_empty());
    for library in &read {
        assert!(text(&library.path).ends_with(&text(&library.name)), "{library:?}");
        assert!(library.path.starts_with(b"/"));
    }
    for cut in 0..RECORDED.len() - 150 {
        assert_eq!(cached_libraries(&RECORDED[..cut]), None, "cut at {cut}");
    }
    // With the older form in front, as glibc wrote both.
    let mut both = [&b"ld.so-1.7.0\0"[..], &1_u32.to_le_bytes(), &[0; 12], &[0; 4]].concat();
    both.extend_from_slice(RECORDED);
    assert_eq!(cached_libraries(&both), Some(read));
}

/// Written by `ldconfig -r` of glibc 2.36, which prints of it:
///
/// ```text
/// libz.so.1 (libc6,x86-64, hwcap: "x86-64-v3") => /lib/glibc-hwcaps/x86-64-v3/libz.so.1
/// libz.so.1 (libc6,x86-64) => /lib/libz.so.1
/// liblzma.so.5 (libc6,x86-64, hwcap: "x86-64-v3") => /lib/glibc-hwcaps/x86-64-v3/liblzma.so.5
/// ```
#[test]
fn libraries_of_some_processors_are_passed_over() {
    let recorded = include_bytes!("../../../tests/fixtures/ld.so.cache.hwcaps");
    let found = cached_libraries(recorded).unwrap();
    let told: Vec<_> = found.iter().map(|one| (&*one.name, &*one.path)).collect();
    assert_eq!(told, [(&b"libz.so.1"[..], &b"/lib/libz.so.1"[..])]);
}

#[test]
fn names_are_found_by_halves() {
    // The linker searches with the same comparison, so any order but this one hides libraries.
    let descending =
        ["libyaml-0.so.2", "libyaml-cpp.so.0.8", "libcc.so.10", "libcc.so.9", "libc.so.6", "ld-x.so"];
    for (at, left) in descending.iter().enumerate() {
        for (other, right) in descending.iter().enumerate() {
            let (left, right) = (left.as_bytes(), right.as_bytes());
            assert_eq!(
                compare(right, left),
                at.cmp(&other),
                "{} {}",
                left.escape_ascii(),
                right.escape_ascii()
            );
        }
    }
    assert_eq!(compare(b"lib1", b"lib01"), Ordering::Equal);
    assert_eq!(compare(b"lib99999999999999999999", b"lib100000000000000000000"), Ordering::Less);
}

#[test]
fn arm64_has_its_own_flags_and_directories() {
    let cache = ld_so_cache(&sample(Arch::Arm64), &InlineOnly, Arch::Arm64, GENERATOR).unwrap();
    assert_eq!(cache[48..52], 0x0a03_u32.to_le_bytes());
    let find = |text: &[u8]| memchr::memmem::find(&cache, text).is_some();
    assert!(find(b"/lib/aarch64-linux-gnu/libyaml-0.so.2\0"));
    assert!(!find(b"x86_64-linux-gnu"));
    // The libraries of one architecture are none of the other.
    let other = ld_so_cache(&sample(Arch::Arm64), &InlineOnly, Arch::Amd64, GENERATOR).unwrap();
    assert_eq!(other[20..24], [0; 4]);
}

#[test]
fn patterns() {
    for (pattern, name, expected) in [
        ("*.conf", "a.conf", true),
        ("*.conf", "a.conf.bak", false),
        ("a?c", "abc", true),
        ("a*b*c", "aXbYbZc", true),
        ("*", "", true),
        ("a", "ab", false),
        ("**a", "bca", true),
    ] {
        assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }
}

#[test]
fn configuration_that_includes_itself_ends() {
    let mut tree = sample(Arch::Amd64);
    let text = b"include /etc/ld.so.conf\ninclude /etc/ld.so.conf\n/opt/zz\n";
    let meta = Metadata::root(0o644, 0);
    tree.insert(path("etc/ld.so.conf"), Node::file(&"x/y".into(), meta, Content::inline(&text[..])));
    assert!(ld_so_cache(&tree, &InlineOnly, Arch::Amd64, GENERATOR).is_ok());
}
