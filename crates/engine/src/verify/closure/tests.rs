//! Each check with an image that passes, and one that fails for exactly that reason.

use std::sync::Arc;

use pinfold_archive::elf::Elf;
use pinfold_archive::elf::ElfClass;
use pinfold_archive::elf::ElfKind;
use pinfold_archive::elf::ElfLoad;
use pinfold_archive::elf::ElfOrder;
use pinfold_archive::elf::Version;
use pinfold_archive::elf::VersionsNeeded;
use pinfold_base::ImagePath;
use pinfold_image::survey::Facts;
use pinfold_image::survey::Seen;
use pinfold_image::survey::What;

mod root;

use super::*;
use crate::verify::report::Verdict;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// An image that lacks nothing, for a test to break.
struct Image {
    survey: Survey,
    runtime: RuntimeSection,
}

pub(in crate::verify) fn elf(needed: &[&str]) -> Elf {
    Elf {
        machine: 62,
        class: ElfClass::Elf64,
        order: ElfOrder::Little,
        os_abi: 0,
        kind: ElfKind::Dynamic,
        load: ElfLoad::Whole,
        interpreter: None,
        soname: None,
        needed: needed.iter().map(|name| name.as_bytes().into()).collect(),
        rpath: None,
        runpath: None,
        no_default_directories: false,
        position_independent: false,
        versions_needed: Vec::new(),
        versions_defined: Vec::new(),
    }
}

fn program(needed: &[&str]) -> Elf {
    Elf { interpreter: Some(LOADER.as_bytes().into()), ..elf(needed) }
}

#[expect(clippy::unnecessary_wraps, reason = "fields of ELF files are optional")]
fn text(text: &str) -> Option<Box<[u8]>> {
    Some(text.as_bytes().into())
}

fn takes(library: &str, versions: &[(&str, bool)]) -> VersionsNeeded {
    let version = |(name, weak): &(&str, bool)| Version { name: name.as_bytes().into(), weak: *weak };
    VersionsNeeded { library: library.as_bytes().into(), versions: versions.iter().map(version).collect() }
}

impl Image {
    fn new() -> Self {
        let mut image = Self { survey: Survey::default(), runtime: RuntimeSection::default() };
        for (from, to) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            image.link(from, to);
        }
        image.link("usr/lib64/ld-linux-x86-64.so.2", &format!("/{LIBRARIES}/ld-linux-x86-64.so.2"));
        image.link("etc/mtab", "../proc/self/mounts");
        image.link("usr/bin/tool", "/etc/alternatives/tool");
        image.link("etc/alternatives/tool", "/usr/bin/tool.basic");
        image.link("usr/bin/pack", "../lib/node_modules/pack/cli.js");
        let libc = Elf { versions_defined: vec![(*b"GLIBC_2.34").into()], ..elf(&["ld-linux-x86-64.so.2"]) };
        let ssl = Elf {
            versions_needed: vec![takes("libc.so.6", &[("GLIBC_2.34", false)])],
            ..elf(&["libc.so.6"])
        };
        image.elf(
            &format!("{LIBRARIES}/ld-linux-x86-64.so.2"),
            Elf { soname: text("ld-linux-x86-64.so.2"), ..elf(&[]) },
        );
        image.elf(&format!("{LIBRARIES}/libc.so.6"), libc);
        image.elf(&format!("{LIBRARIES}/libssl.so.3"), ssl);
        image.elf("usr/bin/env", program(&["libc.so.6"]));
        image.elf("usr/bin/node", program(&["libssl.so.3", "libc.so.6"]));
        image.elf("usr/bin/tool.basic", program(&["libc.so.6"]));
        image.script("usr/lib/node_modules/pack/cli.js", "/usr/bin/env node");
        image.script("usr/bin/start", "/usr/bin/env -S A=1 tool -x");
        image.runtime.entrypoint = vec!["start".into()];
        image
    }

    fn put(&mut self, path: &str, what: What, mode: u32) {
        let path = ImagePath::new(path).unwrap();
        let seen = |what, mode| Seen { layer: 0, what, mode, uid: 0, gid: 0, size: 0 };
        let mut parent = path.parent();
        while let Some(directory) = parent.filter(|directory| !directory.is_root()) {
            parent = directory.parent();
            self.survey.paths.entry(directory).or_insert(seen(What::Directory, 0o755));
        }
        self.survey.paths.insert(path, seen(what, mode));
    }

    fn link(&mut self, path: &str, target: &str) {
        self.put(path, What::Link(target.as_bytes().into()), 0o777);
    }

    fn elf(&mut self, path: &str, elf: Elf) {
        self.put(path, What::File(Arc::new(Facts { elf: Some(Box::new(elf)), ..Facts::default() })), 0o755);
    }

    fn script(&mut self, path: &str, line: &str) {
        let script = Some(line.as_bytes().into());
        self.put(path, What::File(Arc::new(Facts { script, ..Facts::default() })), 0o755);
    }

    fn remove(&mut self, path: &str) {
        assert!(self.survey.paths.remove(&ImagePath::new(path).unwrap()).is_some(), "{path}");
    }

    /// What fails, as `check at: problem`.
    fn fails(&self) -> Vec<String> {
        self.fails_for(&Who::default())
    }

    /// The same where the image runs as somebody.
    fn fails_for(&self, who: &Who) -> Vec<String> {
        let platform = "linux/amd64".parse().unwrap();
        let outcomes = check(&Given { platform, survey: &self.survey, runtime: &self.runtime, who });
        assert_eq!(outcomes.len(), 6);
        let mut found = Vec::new();
        for outcome in outcomes {
            assert_eq!(outcome.verdict == Verdict::Failed, !outcome.findings.is_empty());
            for finding in outcome.findings {
                found.push(format!("{} {}: {}", outcome.check, finding.at, finding.problem));
            }
        }
        found
    }
}

#[track_caller]
fn assert_fails(change: impl FnOnce(&mut Image), expected: &[&str]) {
    let mut image = Image::new();
    change(&mut image);
    assert_eq!(image.fails(), expected);
}

#[test]
fn an_image_that_lacks_nothing_passes() {
    assert_fails(|_| {}, &[]);
}

#[test]
fn each_lack_is_named_by_its_check_alone() {
    assert_fails(
        |image| image.remove("usr/lib/x86_64-linux-gnu/libssl.so.3"),
        &["closure.libraries /usr/bin/node: it needs `libssl.so.3`, which its loader does not find"],
    );
    assert_fails(
        |image| image.remove("usr/lib64/ld-linux-x86-64.so.2"),
        &[
            "closure.programs /usr/bin/env: its dynamic linker is missing: `/usr/lib64/ld-linux-x86-64.so.2` is not in the image",
            "closure.programs /usr/bin/node: its dynamic linker is missing: `/usr/lib64/ld-linux-x86-64.so.2` is not in the image",
            "closure.programs /usr/bin/tool.basic: its dynamic linker is missing: `/usr/lib64/ld-linux-x86-64.so.2` is not in the image",
        ],
    );
    assert_fails(
        |image| image.elf("usr/bin/other", Elf { machine: 183, ..elf(&[]) }),
        &[
            "closure.programs /usr/bin/other: it is for AArch64, not for x86_64, and is started as `/usr/bin/other`",
        ],
    );
    assert_fails(
        |image| image.elf("usr/lib/x86_64-linux-gnu/libq.so", Elf { machine: 183, ..elf(&[]) }),
        &[
            "closure.programs /usr/lib/x86_64-linux-gnu/libq.so: it is for AArch64, not for x86_64, in a directory of libraries",
        ],
    );
    let newer = Elf {
        versions_needed: vec![takes("libc.so.6", &[("GLIBC_2.99", false), ("GLIBC_3", true)])],
        ..program(&["libc.so.6"])
    };
    assert_fails(
        |image| image.elf("usr/bin/newer", newer),
        &[
            "closure.versions /usr/bin/newer: it needs version `GLIBC_2.99` of `/usr/lib/x86_64-linux-gnu/libc.so.6`, which does not define it",
        ],
    );
    assert_fails(
        |image| image.script("usr/bin/old", "/usr/bin/python2"),
        &[
            "closure.scripts /usr/bin/old: its interpreter `/usr/bin/python2` does not start: `/usr/bin/python2` is not in the image",
        ],
    );
    assert_fails(
        |image| image.script("opt/old", "/usr/bin/env python2"),
        &[
            "closure.scripts /opt/old: `env` does not start `python2`: `python2` is in no directory of PATH (`/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`)",
        ],
    );
    assert_fails(
        |image| image.script("opt/two", "/usr/bin/env node --x"),
        &[
            "closure.scripts /opt/two: `env` does not start `node --x`: `node --x` is in no directory of PATH (`/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`)",
        ],
    );
    assert_fails(
        |image| image.link("etc/gone", "/usr/share/gone"),
        &["closure.links /etc/gone: it leads to `/usr/share/gone`: `/usr/share` is not in the image"],
    );
    assert_fails(
        |image| image.link("etc/loop", "loop"),
        &["closure.links /etc/loop: it leads to `loop`: its links lead in a circle"],
    );
    assert_fails(
        |image| image.runtime.entrypoint = vec!["begin".into()],
        &[
            "closure.commands Entrypoint: `begin` does not start: `begin` is in no directory of PATH (`/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`)",
        ],
    );
    for (words, problem) in [
        (
            &["tini", "--", "/bin/none"][..],
            "Cmd: `/bin/none`, which the init starts, does not: `/usr/bin/none` is not in the image",
        ),
        (
            &["tini", "-g", "-p", "SIGTERM", "--", "/bin/none"],
            "Cmd: `/bin/none`, which the init starts, does not: `/usr/bin/none` is not in the image",
        ),
        (&["tini", "--", "first"], ""),
        (&["tini", "--unknown", "/bin/none"], ""),
    ] {
        let mut image = Image::new();
        image.script("usr/bin/first", "/usr/bin/env");
        image.script("usr/bin/tini", "/usr/bin/env");
        image.runtime.entrypoint = words.iter().map(|word| (*word).to_owned()).collect();
        let expected: Vec<String> = Some(problem)
            .filter(|one| !one.is_empty())
            .map(|one| format!("closure.commands {one}"))
            .into_iter()
            .collect();
        assert_eq!(image.fails(), expected, "{words:?}");
    }
    for (from, problem) in [("srv", "it is not absolute"), ("/etc/passwd", "`/etc/passwd` is no directory")] {
        let mut image = Image::new();
        image.put("etc/passwd", What::File(Arc::default()), 0o644);
        image.runtime.working_dir = from.into();
        assert_eq!(image.fails(), [format!("closure.commands WorkingDir: {problem}")]);
    }
    assert_fails(
        |image| {
            image.put("usr/share/text", What::File(Arc::default()), 0o644);
            image.link("usr/bin/text", "../share/text");
        },
        &["closure.commands /usr/bin/text: it leads to `/usr/share/text`, which is not executable"],
    );
}

#[test]
fn a_chain_of_alternatives_that_breaks_is_named() {
    let mut image = Image::new();
    image.remove("usr/bin/tool.basic");
    let fails = image.fails();
    let scripts = fails
        .iter()
        .filter(|line| line.starts_with("closure.scripts /usr/bin/start: `env` does not start `tool`"));
    assert_eq!(scripts.count(), 1, "{fails:?}");
    assert_eq!(fails.iter().filter(|line| line.starts_with("closure.links")).count(), 2, "{fails:?}");
}

#[test]
fn what_is_for_others_and_never_started_is_no_fault() {
    assert_fails(
        |image| {
            let prebuilt = "usr/lib/node_modules/pack/prebuilds";
            image.elf(&format!("{prebuilt}/linux-arm64/x.node"), Elf { machine: 183, ..elf(&["libc.so.6"]) });
            image.elf(&format!("{prebuilt}/linux-x64/musl.node"), elf(&["libc.musl-x86_64.so.1"]));
            image.elf(
                &format!("{prebuilt}/rg"),
                Elf { interpreter: text("/lib/ld-musl-x86_64.so.1"), ..elf(&["libc.so"]) },
            );
            image.script("usr/share/doc/x/example.py", "/usr/bin/python");
            image.link("usr/share/man/man1/x.1.gz", "/etc/alternatives/x.1.gz");
        },
        &[],
    );
    // The same where a command leads to it.
    assert_fails(
        |image| {
            image.elf(
                "usr/lib/node_modules/rg",
                Elf { interpreter: text("/lib/ld-musl-x86_64.so.1"), ..elf(&["libc.so"]) },
            );
            image.link("usr/bin/rg", "../lib/node_modules/rg");
        },
        &[
            "closure.programs /usr/lib/node_modules/rg: its dynamic linker is missing: `/usr/lib/ld-musl-x86_64.so.1` is not in the image",
        ],
    );
}

/// ld.so(8): RPATH counts for what a library needs in turn, RUNPATH only for the file itself.
#[test]
fn search_paths_are_taken_as_the_loader_takes_them() {
    let with = |change: &dyn Fn(&mut Elf)| {
        let mut start = program(&["liba.so"]);
        change(&mut start);
        move |image: &mut Image| {
            image.elf("opt/x/bin/start", start);
            image.elf("opt/x/lib/liba.so", elf(&["libb.so"]));
            image.elf("opt/x/lib/libb.so", elf(&["libc.so.6"]));
        }
    };
    let lacks = |who: &str, what: &str| {
        format!(
            "closure.libraries {who}: it needs `{what}`, which its loader does not find (`/opt/x/lib/{what}` has the name, where it does not look or for another machine)"
        )
    };
    let nothing = [lacks("/opt/x/bin/start", "liba.so"), lacks("/opt/x/lib/liba.so", "libb.so")];
    let nothing: Vec<&str> = nothing.iter().map(String::as_str).collect();
    let inherited = lacks("/opt/x/lib/liba.so", "libb.so");
    assert_fails(with(&|_| {}), &nothing);
    assert_fails(with(&|elf| elf.rpath = text("/none:$ORIGIN/../lib")), &[]);
    assert_fails(with(&|elf| elf.runpath = text("${ORIGIN}/../lib")), &[&inherited]);
    assert_fails(
        with(&|elf| {
            elf.rpath = text("/opt/x/lib");
            elf.runpath = text("/none");
        }),
        &nothing,
    );
    let environment = |image: &mut Image| {
        with(&|_| {})(image);
        image.runtime.env = vec!["LD_LIBRARY_PATH=/none:/opt/x/lib".into()];
    };
    assert_fails(environment, &[]);
    // Libraries are not what other machines' are, and a program may do without the directories of everybody.
    assert_fails(
        |image| {
            image.elf("opt/y/start", Elf { rpath: text("/opt/y"), ..program(&["libssl.so.3"]) });
            image.elf("opt/y/libssl.so.3", Elf { machine: 183, ..elf(&[]) });
        },
        &[],
    );
    let alone = Elf { no_default_directories: true, ..program(&["libc.so.6"]) };
    assert_fails(
        |image| image.elf("opt/alone", alone),
        &[
            "closure.libraries /opt/alone: it needs `libc.so.6`, which its loader does not find (`/usr/lib/x86_64-linux-gnu/libc.so.6` has the name, where it does not look or for another machine)",
        ],
    );
}

/// Nix installs a C library in its store path, and nowhere else: where it looks is compiled in.
#[test]
fn a_loader_of_nix_looks_beside_itself() {
    const LIBRARIES: &str = "nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-glibc-2.40/lib";
    let with = |libraries: &'static str| {
        move |image: &mut Image| {
            let loader = format!("{LIBRARIES}/ld-linux-x86-64.so.2");
            image.elf(&loader, Elf { soname: text("ld-linux-x86-64.so.2"), ..elf(&[]) });
            image.elf(&format!("{libraries}/libm.so.6"), elf(&[]));
            let interpreter = text(&format!("/{loader}"));
            image.elf("opt/start", Elf { interpreter, ..program(&["libm.so.6"]) });
        }
    };
    assert_fails(with(LIBRARIES), &[]);
    assert_fails(
        with("usr/lib/x86_64-linux-gnu"),
        &[
            "closure.libraries /opt/start: it needs `libm.so.6`, which its loader does not find (`/usr/lib/x86_64-linux-gnu/libm.so.6` has the name, where it does not look or for another machine)",
        ],
    );
}

#[test]
fn the_cache_is_what_the_loader_asks() {
    let cache = |image: &mut Image| {
        image.elf("opt/zz/libz.so.1", elf(&[]));
        image.elf("opt/zip", program(&["libz.so.1"]));
    };
    let lacks = "closure.libraries /opt/zip: it needs `libz.so.1`, which its loader does not find (`/opt/zz/libz.so.1` has the name, where it does not look or for another machine)";
    assert_fails(cache, &[lacks]);
    // Written by `ldconfig`: it says `libz.so.1 => /opt/zz/libz.so.1`.
    let recorded = include_bytes!("../../../../archive/tests/fixtures/ld.so.cache");
    assert_fails(
        |image| {
            cache(image);
            image.survey.kept.insert(ImagePath::new("etc/ld.so.cache").unwrap(), recorded.to_vec());
        },
        &[],
    );
}

/// glibc takes a library of `glibc-hwcaps` only where the processor has what it asks for, cache or not.
#[test]
fn a_library_of_some_processors_alone_is_missing_on_the_others() {
    let recorded = include_bytes!("../../../../archive/tests/fixtures/ld.so.cache.hwcaps");
    for cache in [None, Some(recorded.to_vec())] {
        let with = |places: &'static [&'static str]| {
            let cache = cache.clone();
            move |image: &mut Image| {
                for place in places {
                    image.elf(&format!("usr/lib/{place}liblzma.so.5"), elf(&["libc.so.6"]));
                }
                image.elf("opt/xz", program(&["liblzma.so.5"]));
                let kept = cache.map(|bytes| (ImagePath::new("etc/ld.so.cache").unwrap(), bytes));
                image.survey.kept.extend(kept);
            }
        };
        assert_fails(
            with(&["glibc-hwcaps/x86-64-v3/"]),
            &[
                "closure.libraries /opt/xz: it needs `liblzma.so.5`, which its loader does not find on every processor (`/usr/lib/glibc-hwcaps/x86-64-v3/liblzma.so.5` is for some alone)",
            ],
        );
        assert_fails(with(&["glibc-hwcaps/x86-64-v3/", ""]), &[]);
    }
}

/// musl, ldso/dynlink.c: the C library is the loader, RUNPATH is inherited, versions mean nothing.
#[test]
fn musl_has_rules_of_its_own() {
    let alpine = |path: Option<&str>| {
        let mut image = Image { survey: Survey::default(), runtime: RuntimeSection::default() };
        image.elf("lib/ld-musl-x86_64.so.1", Elf { soname: text("libc.musl-x86_64.so.1"), ..elf(&[]) });
        let needs = ["libc.musl-x86_64.so.1", "libpthread.so.0", "liba.so", "libz.so.1"];
        let start = Elf {
            interpreter: text("/lib/ld-musl-x86_64.so.1"),
            runpath: text("/opt/x"),
            versions_needed: vec![takes("libz.so.1", &[("Z_9", false)])],
            ..elf(&needs)
        };
        image.elf("bin/start", start);
        image.elf("opt/x/liba.so", elf(&["libb.so"]));
        image.elf("opt/x/libb.so", elf(&["libc.musl-x86_64.so.1"]));
        image.elf("usr/lib/libz.so.1", Elf { versions_defined: vec![(*b"Z_1").into()], ..elf(&[]) });
        if let Some(path) = path {
            image.survey.kept.insert(ImagePath::new("etc/ld-musl-x86_64.path").unwrap(), path.into());
        }
        image.fails()
    };
    assert_eq!(alpine(None), Vec::<String>::new());
    assert_eq!(alpine(Some("/lib\n/usr/lib\n")), Vec::<String>::new());
    let fails = alpine(Some("/lib"));
    assert_eq!(fails.len(), 1);
    assert!(fails[0].starts_with("closure.libraries /bin/start: it needs `libz.so.1`"), "{fails:?}");
}

/// Thousands of programs, each with a search path of thousands of directories: it ends, and does not pass.
#[test]
fn endless_search_paths_end() {
    let mut image = Image::new();
    let rpath = text(&"/a:".repeat(1300));
    let needed: Vec<String> = (0..400).map(|number| format!("lib{number}.so")).collect();
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    for number in 0..20 {
        image.elf(&format!("opt/{number}"), Elf { rpath: rpath.clone(), ..program(&needed) });
    }
    let fails = image.fails();
    let end = "closure.libraries /: its programs need more libraries in more places than are looked at: the rest was not";
    assert_eq!(fails[0], end);
}

#[test]
fn what_cannot_start_is_named() {
    assert_fails(
        |image| {
            image.elf("usr/bin/near", Elf { interpreter: text("lib64/ld-linux-x86-64.so.2"), ..elf(&[]) });
        },
        &[
            "closure.programs /usr/bin/near: its dynamic linker `lib64/ld-linux-x86-64.so.2` is no absolute path",
        ],
    );
    assert_fails(
        |image| image.elf("usr/bin/core", Elf { kind: ElfKind::Other(4), ..elf(&[]) }),
        &[
            "closure.programs /usr/bin/core: it is an ELF file of a kind that is not started, and is started as `/usr/bin/core`",
        ],
    );
    assert_fails(
        |image| image.elf("usr/bin/half", Elf { load: ElfLoad::CutOff, ..program(&[]) }),
        &["closure.programs /usr/bin/half: it was cut off: it is to be loaded from beyond its end"],
    );
    // Half of a library has no bit that says it is started.
    assert_fails(
        |image| {
            let half = Facts { malformed: Some("it ends early"), ..Facts::default() };
            image.put(&format!("{LIBRARIES}/libq.so.1"), What::File(Arc::new(half)), 0o644);
        },
        &[
            "closure.programs /usr/lib/x86_64-linux-gnu/libq.so.1: it is no library that a program can load: it ends early",
        ],
    );
    // What a command leads to in three steps is started, too.
    assert_fails(
        |image| {
            image.script("usr/bin/first", "/opt/second");
            image.script("opt/second", "/opt/third");
            image.elf("opt/third", Elf { machine: 183, ..elf(&[]) });
        },
        &["closure.programs /opt/third: it is for AArch64, not for x86_64, and is started as `/opt/third`"],
    );
    for option in ["-i node", "-i", "--ignore-environment"] {
        assert_fails(
            |image| image.script("opt/x", &format!("/usr/bin/env {option}")),
            &[&format!("closure.scripts /opt/x: `env` takes `{option}` as one option, and starts nothing")],
        );
    }
    for options in ["-S none \"a b\"", "-iS none", "-S -C / none"] {
        let mut image = Image::new();
        image.script("opt/x", &format!("/usr/bin/env {options}"));
        let fails = image.fails();
        assert!(
            fails.len() == 1 && fails[0].starts_with("closure.scripts /opt/x: `env` does not start `none`")
        );
    }
    assert_fails(|image| image.script("opt/x", "/usr/bin/env -S node \"a b\""), &[]);
}

#[test]
fn names_of_programs_lead_to_programs() {
    assert_fails(|image| image.link("etc/later", "/run/x"), &[]);
    assert_fails(
        |image| image.link("usr/bin/git", "/tmp/git"),
        &["closure.commands /usr/bin/git: it leads to `/tmp`, which the image does not have"],
    );
    let among = |files: &[&str], bin: &str, directory: &str| {
        let mut image = Image::new();
        for file in files {
            image.put(&format!("{directory}/{file}"), What::File(Arc::default()), 0o644);
        }
        let at = ImagePath::new(format!("{directory}/package.json")).unwrap();
        image.put(&at.to_string()[1..], What::File(Arc::default()), 0o644);
        image.survey.kept.insert(at, format!(r#"{{"name":"pack","bin":{bin}}}"#).into_bytes());
        image.fails()
    };
    let with = |bin: &str, directory: &str| among(&["other.js"], bin, directory);
    let pack = "usr/lib/node_modules/pack";
    assert_eq!(with(r#""./cli.js""#, pack), Vec::<String>::new());
    assert_eq!(with(r#"{"pack":"cli.js"}"#, pack), Vec::<String>::new());
    assert_eq!(
        with(r#"{"pack":"dist/x.js"}"#, pack),
        [
            "closure.commands /usr/lib/node_modules/pack/package.json: its package names the program `dist/x.js`: `/usr/lib/node_modules/pack/dist` is not in the image"
        ]
    );
    // Told of and not installed there.
    assert_eq!(among(&[], r#""dist/x.js""#, "usr/lib/node_modules/told"), Vec::<String>::new());
    // No place of npm's.
    assert_eq!(with(r#""none.js""#, "usr/lib/node_modules/pack/test/sample"), Vec::<String>::new());
}

#[test]
fn the_images_user_can_read_what_it_loads() {
    let who = Who { uid: 1000, gids: vec![1000] };
    let mut image = Image::new();
    assert_eq!(image.fails_for(&who), Vec::<String>::new());
    let libc = ImagePath::new(format!("{LIBRARIES}/libc.so.6")).unwrap();
    image.survey.paths.get_mut(&libc).unwrap().mode = 0o600;
    let fails = image.fails_for(&who);
    assert!(fails.iter().any(|line| line.contains("and the image's user may not read it")), "{fails:?}");
    assert_eq!(image.fails(), Vec::<String>::new());
}

/// Links that lead through a long one, scripts that are looked for on a long PATH: it ends, it does not pass, and little is kept of it.
#[test]
fn endless_links_and_paths_end() {
    let mut image = Image::new();
    image.link("opt/long", &"../usr/".repeat(1300));
    for number in 0..2500 {
        image.link(&format!("opt/{number:05}"), "long");
    }
    let start = std::time::Instant::now();
    let fails = image.fails();
    assert!(fails.iter().any(|line| line.ends_with("the rest was not looked at")), "{:?}", fails.first());
    let mut image = Image::new();
    for number in 0..5000 {
        image.script(&format!("opt/{number:05}"), "/usr/bin/env none");
    }
    image.runtime.env = vec![format!("PATH=/usr/bin:{}", "/x:".repeat(20_000))];
    let fails = image.fails();
    assert!(fails.iter().all(|line| line.len() < 1000) && fails.len() == 50, "{}", fails.len());
    // Without a memory of names the second alone takes a minute.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
