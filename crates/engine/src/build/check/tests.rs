use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::tree::InlineOnly;

use super::*;
use crate::sources::testing::project;

/// A 64-bit ELF program for x86-64 whose one program header is `PT_INTERP`, by the layout of elf(5).
fn elf(interpreter: &str) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(64_u64.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    let length = interpreter.len() as u64 + 1;
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(4_u32.to_le_bytes());
    for word in [120, 120, 120, length, length, 1_u64] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(interpreter.as_bytes());
    bytes.push(0);
    bytes
}

/// A tree of `PATH MODE CONTENT`, or `PATH -> TARGET`.
fn tree(entries: &[(&str, u32, Vec<u8>)], links: &[(&str, &str)]) -> Tree {
    let owner = Component::new("test", "x");
    let mut tree = Tree::new();
    for (path, mode, bytes) in entries {
        let node = Node::file(&owner, Metadata::root(*mode, 0), Content::inline(bytes.clone()));
        tree.add(ImagePath::new(path).unwrap(), node).unwrap();
    }
    for (path, target) in links {
        tree.add(ImagePath::new(path).unwrap(), Node::symlink(&owner, 0, target)).unwrap();
    }
    tree.complete(&owner, 0).unwrap();
    tree
}

fn found(manifest: &str, tree: &Tree) -> Vec<String> {
    let mut findings = Findings::default();
    for platform in Platform::ALL {
        findings.look(&project(manifest), &tree.clone().into(), &InlineOnly, platform).unwrap();
    }
    match findings.done() {
        Ok(()) => Vec::new(),
        Err(error) => error.lines().iter().skip(1).map(|line| line.to_string().trim().to_owned()).collect(),
    }
}

const BOTH: &str = " (linux/amd64, linux/arm64)";

#[test]
fn what_is_started_must_be_there_executable_and_have_its_interpreter() {
    let script = |text: &str| text.as_bytes().to_vec();
    let tree = tree(
        &[
            ("usr/bin/loaderless", 0o755, elf("/lib64/ld-linux-x86-64.so.2")),
            ("usr/bin/loaded", 0o755, elf("/lib/ld.so")),
            ("usr/lib/ld.so", 0o755, elf("")),
            ("usr/bin/plain", 0o644, script("x")),
            ("usr/bin/odd", 0o755, script("of no known kind")),
            ("usr/bin/env", 0o755, script("x")),
            ("usr/bin/sh", 0o755, script("x")),
            ("usr/bin/good", 0o755, script("#!/bin/sh -e\n")),
            ("usr/bin/enved", 0o755, script("#!/usr/bin/env -S A=b sh\n")),
            ("usr/bin/node-script", 0o755, script("#!/usr/bin/env node\n")),
            ("usr/bin/perl-script", 0o755, script("#! /usr/bin/perl -w\n")),
            ("only/here", 0o755, script("x")),
        ],
        &[
            ("bin", "usr/bin"),
            ("lib", "usr/lib"),
            ("usr/bin/linked", "/only/here"),
            ("usr/bin/lost", "/opt/nowhere"),
        ],
    );
    for (entrypoint, expected) in [
        ("/usr/bin/good", ""),
        ("/bin/good", ""),
        ("good", ""),
        ("enved", ""),
        ("linked", ""),
        ("loaded", ""),
        ("odd", ""),
        ("/run/made/later", ""),
        ("./from/here", ""),
        ("here", "is not on `PATH` (/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin)"),
        ("/usr/bin/nothing", "is not there"),
        ("/usr/bin/lost", "is not there"),
        ("/usr/bin", "is no executable file"),
        ("plain", "is no executable file"),
        ("loaderless", "asks for `/lib64/ld-linux-x86-64.so.2`, which is not there"),
        ("node-script", "asks for `node`, which is not there"),
        ("/usr/bin/perl-script", "asks for `/usr/bin/perl`, which is not there"),
    ] {
        let manifest = format!("name = 'x'\n[image]\nentrypoint = ['{entrypoint}']\n");
        let path = found(&manifest, &tree);
        let expected = if expected.is_empty() {
            vec![]
        } else {
            vec![format!("`{entrypoint}` of `image.entrypoint` {expected}{BOTH}")]
        };
        assert_eq!(path, expected, "{entrypoint}");
    }
    // What an init is given is a program; what another program is given is an argument.
    let cmd = |entrypoint: &str| {
        found(&format!("name = 'x'\n[image]\n{entrypoint}\ncmd = ['nothing']\n"), &tree).len()
    };
    assert_eq!((cmd(""), cmd("entrypoint = ['good', '--']"), cmd("entrypoint = ['good']")), (1, 1, 0));
}

#[test]
fn everything_that_cannot_work_is_told_at_once() {
    let tree = tree(&[("usr/bin/sh", 0o755, vec![])], &[]);
    let manifest = "name = 'x'\n[user]\nname = 'u'\nuid = 1\ngid = 1\nhome = '/home/u'\nshell = '/bin/zsh'\n\
                    [image]\nentrypoint = ['/a']\nworkdir = '/nowhere'\n";
    let lines = found(manifest, &tree);
    let expected = [
        "`/a` of `image.entrypoint` is not there",
        "`/bin/zsh` of `user.shell` is not there",
        "`/nowhere` of `image.workdir` is no directory of the image",
    ];
    assert_eq!(lines, expected.map(|line| format!("{line}{BOTH}")));
    // The usual shell is nobody's wish, no login is wanted, a volume comes later, and `/` is there.
    for manifest in [
        "name = 'x'\n[user]\nname = 'u'\nuid = 1\ngid = 1\nhome = '/home/u'\n",
        "name = 'x'\n[user]\nname = 'u'\nuid = 1\ngid = 1\nhome = '/home/u'\nshell = '/usr/sbin/nologin'\n",
        "name = 'x'\n[image]\nworkdir = '/data/x'\nvolumes = ['/data']\n",
        "name = 'x'\n[image]\nworkdir = '/'\n",
        "name = 'x'\n[image]\nworkdir = '/usr/bin'\n",
    ] {
        assert_eq!(found(manifest, &tree), [""; 0], "{manifest}");
    }
}

#[test]
fn an_agent_needs_its_base_and_its_recipes_links() {
    let manifest = "name = 'x'\nagents = ['claude-code']\n";
    let command =
        project(manifest).recipes.iter().find(|recipe| recipe.name == "claude-code").unwrap().clone();
    let program = |bytes: Vec<u8>| {
        let path = format!("usr/local/bin/{}", command.command);
        tree(&[(&path, 0o755, bytes), ("lib/ld.so", 0o755, vec![])], &[])
    };
    let of_claude = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| line.starts_with("`claude` of")).collect()
    };
    let lines = of_claude(found(manifest, &program(elf("/lib64/ld-linux-x86-64.so.2"))));
    let expected =
        "`claude` of the agent `claude-code` asks for `/lib64/ld-linux-x86-64.so.2`, which is not there";
    assert_eq!(lines, [format!("{expected}{BOTH}")]);
    assert_eq!(of_claude(found(manifest, &program(elf("/lib/ld.so")))), [""; 0]);
}
