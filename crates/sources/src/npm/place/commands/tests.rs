//! Expected trees were recorded: each case was served on loopback to `npm install --global --ignore-scripts` of npm 11.19.1 with
//! umask 022, and listed with `find -printf '%m %P %l'`.

use pinfold_archive::NodeKind;
use pinfold_archive::decoded::Listing;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::MemberKind;
use pinfold_archive::tree::InlineOnly;
use pinfold_base::Digest;

use super::super::super::LockedNpm;
use super::*;

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// A package of these files below `lib/node_modules`, with these commands.
fn installed(dir: &str, fields: &str, bins: &[(&str, &str)], files: &[(&str, u32, &str)]) -> Installed {
    let name = dir.rsplit("node_modules/").next().unwrap();
    let json = format!(r#"{{"name":"{name}","version":"1.0.0"{fields}}}"#);
    let own = [("package.json", 0o644, json.as_str())];
    let member = |(file, mode, text): (&str, u32, &str)| Member {
        path: path(&format!("package/{file}")),
        raw_name: file.as_bytes().into(),
        kind: MemberKind::File { content: Content::inline(text.as_bytes()) },
        meta: Metadata::root(mode, 0),
        uname: b"".as_slice().into(),
        gname: b"".as_slice().into(),
    };
    let data = own.into_iter().chain(files.iter().copied()).map(member).collect();
    let locked = LockedNpm {
        name: name.into(),
        version: "1.0.0".into(),
        integrity: Digest::sha256(b""),
        path: String::new(),
        size: None,
        published: None,
    };
    let listing = Listing { data, ..Listing::default() };
    Installed {
        package: Package::open(&locked, &listing, &InlineOnly).unwrap(),
        dir: path(&format!("lib/node_modules/{dir}")),
        bins: bins.iter().map(|(name, file)| ((*name).into(), (*file).into())).collect(),
        requested: !dir.contains("node_modules/"),
        owner: Component::new("npm", name),
    }
}

fn place(packages: Vec<Installed>) -> Result<Placed, PlaceError> {
    install(packages, &path("bin"), &InlineOnly, 7)
}

/// `MODE PATH`, with where a link leads or what a text file says; without directories and `package.json`.
fn found(placed: &Placed) -> Vec<String> {
    let line = |(path, node): (&ImagePath, &Node)| {
        let (path, mode) = (path.to_string(), node.meta.mode);
        match &node.kind {
            NodeKind::Symlink(target) => Some(format!("{path} -> {}", target.escape_ascii())),
            NodeKind::File(Content::Inline(bytes)) if !path.ends_with("/package.json") => {
                Some(format!("{mode:o} {path} {}", bytes.escape_ascii()))
            }
            _ => None,
        }
    };
    placed.tree.iter().filter_map(line).collect()
}

#[test]
fn commands_of_packages_are_linked_at_every_depth() {
    let bundled = r#"{"name":"bun","version":"1.0.0","bin":{"bun":"b.js","same":"b.js"}}"#;
    let deeper = r#"{"name":"deeper","version":"1.0.0","bin":"d.js"}"#;
    let top = installed(
        "top",
        r#","bundleDependencies":["bun"]"#,
        &[
            ("top", "cli.js"),
            ("gone", "missing.js"),
            ("adir", "dir"),
            ("inner", "node_modules/bun/b.js"),
            ("outer", "node_modules/dep/e.js"),
        ],
        &[
            ("cli.js", 0o644, "#!/usr/bin/env node\r\nx\r\n"),
            ("suid", 0o6755, "x"),
            ("node_modules/bun/package.json", 0o644, bundled),
            ("node_modules/bun/b.js", 0o644, "#!/bin/sh\r\ny\r\n"),
            ("node_modules/bun/node_modules/deeper/package.json", 0o644, deeper),
            ("node_modules/bun/node_modules/deeper/d.js", 0o644, "#!/bin/sh\r\ny\r\n"),
            ("node_modules/.bin/dep", 0o644, "file"),
        ],
    );
    let dep = installed(
        "top/node_modules/dep",
        "",
        &[("dep", "d.js"), ("same", "d.js")],
        &[
            ("d.js", 0o600, "#!/usr/bin/env node\r\nx\r\n"),
            ("e.js", 0o644, "#!/usr/bin/env node\r\nx\r\n"),
            ("f.js", 0o644, "#!/usr/bin/env node\r\nx\r\n"),
        ],
    );
    let other = installed(
        "top/node_modules/other",
        "",
        &[("same", "d.js"), ("late", "d.js")],
        &[("d.js", 0o444, "#!/usr/bin/env node\r\r\nx\r\n")],
    );
    // The order in which packages are given does not matter.
    let placed = place(vec![other, top, dep]).unwrap();
    assert_eq!(
        found(&placed),
        [
            "/bin/inner -> ../lib/node_modules/top/node_modules/bun/b.js",
            "/bin/outer -> ../lib/node_modules/top/node_modules/dep/e.js",
            "/bin/top -> ../lib/node_modules/top/cli.js",
            r"755 /lib/node_modules/top/cli.js #!/usr/bin/env node\nx\r\n",
            "/lib/node_modules/top/node_modules/.bin/bun -> ../bun/b.js",
            "/lib/node_modules/top/node_modules/.bin/dep -> ../dep/d.js",
            "/lib/node_modules/top/node_modules/.bin/late -> ../other/d.js",
            "/lib/node_modules/top/node_modules/.bin/same -> ../bun/b.js",
            r"755 /lib/node_modules/top/node_modules/bun/b.js #!/bin/sh\ny\r\n",
            "/lib/node_modules/top/node_modules/bun/node_modules/.bin/deeper -> ../deeper/d.js",
            r"755 /lib/node_modules/top/node_modules/bun/node_modules/deeper/d.js #!/bin/sh\ny\r\n",
            r"755 /lib/node_modules/top/node_modules/dep/d.js #!/usr/bin/env node\nx\r\n",
            r"755 /lib/node_modules/top/node_modules/dep/e.js #!/usr/bin/env node\nx\r\n",
            r"644 /lib/node_modules/top/node_modules/dep/f.js #!/usr/bin/env node\r\nx\r\n",
            r"755 /lib/node_modules/top/node_modules/other/d.js #!/usr/bin/env node\r\nx\r\n",
            "6755 /lib/node_modules/top/suid x",
        ]
    );
    assert_eq!(
        placed.notes,
        [
            "`adir` of `top@1.0.0` is left out: it has no `dir`",
            "`gone` of `top@1.0.0` is left out: it has no `missing.js`"
        ]
    );
    let all_known = |(_, node): (&ImagePath, &Node)| node.meta.mtime == 7;
    assert!(placed.tree.iter().all(all_known));
}

#[test]
fn what_is_bundled_has_commands_only_in_a_package_that_says_so() {
    let inside = ("node_modules/b/package.json", 0o644, r#"{"name":"b","version":"1.0.0","bin":"b.js"}"#);
    let files = [inside, ("node_modules/b/b.js", 0o644, "")];
    for (fields, links) in [
        ("", false),
        (r#","bundleDependencies":[]"#, false),
        (r#","bundleDependencies":false"#, false),
        (r#","bundleDependencies":["b"]"#, true),
        (r#","bundledDependencies":["b"]"#, true),
        (r#","bundleDependencies":true"#, true),
    ] {
        let placed = place(vec![installed("top", fields, &[], &files)]).unwrap();
        let link = path("lib/node_modules/top/node_modules/.bin/b");
        assert_eq!(placed.tree.contains(&link), links, "{fields}");
    }
}

#[test]
fn two_packages_with_one_command_are_refused() {
    let with = |name: &str| installed(name, "", &[("x", "x.js")], &[("x.js", 0o644, name)]);
    let error = place(vec![with("a"), with("b")]).unwrap_err();
    assert!(matches!(error, PlaceError::Conflict(_)), "{error}");
    let told = error.to_string();
    assert!(told.contains("/bin/x") && told.contains("npm/a") && told.contains("npm/b"), "{told}");
}

/// Each text was linked by `bin-links` of npm 11.19.1.
#[test]
fn the_first_line_of_a_script_ends_in_a_newline() {
    let long = "x".repeat(3000);
    for (text, expected) in [
        ("#!/bin/sh\r\nx\r\n", "#!/bin/sh\nx\r\n"),
        ("#!/bin/sh\r\r\nx", "#!/bin/sh\r\nx"),
        ("#!x\r\n", "#!x\n"),
        ("#!\r\nx", "#!\r\nx"),
        ("#!/bin/sh\nx\r\n", "#!/bin/sh\nx\r\n"),
        ("x\r\n", "x\r\n"),
        (" #!/bin/sh\r\n", " #!/bin/sh\r\n"),
        ("#!/bin/sh", "#!/bin/sh"),
        ("", ""),
    ] {
        assert_eq!(linked(text.as_bytes()).unwrap(), expected.as_bytes(), "{text:?}");
    }
    // Only the first 2048 bytes are looked at.
    let far = format!("#!{long}\r\n");
    assert_eq!(linked(far.as_bytes()).unwrap(), far.as_bytes());
    // Bytes that are no text are replaced, as by node.
    assert_eq!(linked(b"#!/bin/sh\r\n\xff\xe2\x82").unwrap(), "#!/bin/sh\n\u{fffd}\u{fffd}".as_bytes());
}

fn linked(bytes: &[u8]) -> Result<Vec<u8>, PlaceError> {
    let mut file = PackedFile { mode: 0o644, content: Content::inline(bytes) };
    make_executable("p", &path("x"), &mut file, &InlineOnly)?;
    assert_eq!(file.mode, 0o755);
    let Content::Inline(bytes) = file.content else { unreachable!("tests hold everything in memory") };
    Ok(bytes.to_vec())
}

#[test]
fn a_script_that_is_too_large_to_rewrite_is_refused() {
    let mut bytes = b"#!/bin/sh\r\n".to_vec();
    bytes.resize(MAX_SCRIPT as usize + 1, b'x');
    let error = linked(&bytes).unwrap_err();
    assert!(matches!(error, PlaceError::LargeScript { .. }), "{error}");
    bytes[9] = b'-';
    linked(&bytes).unwrap();
}

#[test]
fn links_are_relative() {
    for (from, target, expected) in
        [("usr/bin", "usr/bin/x", "x"), ("usr/local/bin", "opt/p/x", "../../../opt/p/x"), ("", "a/b", "a/b")]
    {
        assert_eq!(relative(&path(from), &path(target)), expected.as_bytes());
    }
}
