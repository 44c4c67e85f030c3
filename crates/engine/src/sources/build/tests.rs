//! A program is built by a tool of this machine and locked, and no verb but those that lock runs the tool.

use std::os::unix::fs::PermissionsExt as _;

use pinfold_base::Diagnose as _;
use pinfold_base::Home;
use pinfold_base::report::Silent;

use super::*;
use crate::build;
use crate::build::BuildError as ImageError;
use crate::build::LockUse;
use crate::build::fetch;
use crate::build::place;
use crate::build::resolve;
use crate::build::resolve::ResolveError;
use crate::consent;
use crate::project::lock::LockError;
use crate::project::manifest::Manifest;
use crate::project::recipe::Recipe;
use crate::sources::Upgrade;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::told;

/// A static program of a machine, of one segment that does nothing (elf(5)); `tail` makes it another one.
fn program(machine: u16, tail: &str) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    for half in [2, machine] {
        bytes.extend(u16::to_le_bytes(half));
    }
    bytes.extend(1_u32.to_le_bytes());
    for word in [0x40_0078_u64, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    let size = 120 + tail.len() as u64;
    for half in [1_u32, 5] {
        bytes.extend(half.to_le_bytes());
    }
    for word in [0, 0x40_0000, 0x40_0000, size, size, 4096] {
        bytes.extend(u64::to_le_bytes(word));
    }
    bytes.extend(tail.as_bytes());
    bytes
}

const AMD64: u16 = 62;
const ARM64: u16 = 183;

/// Two platforms; each tool counts its runs in a file of the project.
const MANIFEST: &str = r#"name = 'x'
[[build]]
path = '/sandbox'
command = ['sh', '-c', 'echo {platform} $PINFOLD_MACHINE >> runs && mkdir -p out && cp src-$PINFOLD_ARCH "$PINFOLD_OUTPUT"']
output = 'out/{arch}'
"#;

struct Machine {
    world: World,
}

impl Machine {
    fn new() -> Self {
        let world = World::new();
        let machine = Self { world };
        machine.source(AMD64, "one");
        machine.source(ARM64, "one");
        machine
    }

    fn source(&self, machine: u16, tail: &str) {
        let name = if machine == AMD64 { "src-amd64" } else { "src-arm64" };
        fs_err::create_dir_all(self.world.folder()).unwrap();
        fs_err::write(self.world.folder().join(name), program(machine, tail)).unwrap();
    }

    /// A machine of this name with the test's own tools.
    fn context(&self, name: &str, network: Network) -> Context {
        let home = Home::under(&self.world.dir.path().join(name));
        let mut context = Context::at(home, network, Box::new(Silent)).unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        context.environment = [("PATH", path), ("OPENAI_API_KEY", "canary".into()), ("PLAIN", "kept".into())]
            .into_iter()
            .collect();
        context
    }

    fn runs(&self) -> usize {
        let text = fs_err::read_to_string(self.world.folder().join("runs")).unwrap_or_default();
        text.lines().count()
    }

    fn lock(&self, context: &Context, manifest: &str, upgrade: &Upgrade) -> Result<Lock, ResolveError> {
        let project = self.world.project(manifest);
        resolve::lock(context, &agreed(context, &project), upgrade).map(|outcome| outcome.lock)
    }
}

fn digests(lock: &Lock) -> Vec<String> {
    lock.builds.values().flatten().map(|build| build.sha256.to_string()).collect()
}

/// SHA-256 as another program has it.
#[expect(clippy::disallowed_methods, reason = "an independent source")]
fn sha256sum(file: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(file).output().unwrap();
    format!("sha256:{}", String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap())
}

#[test]
fn a_program_is_built_by_each_lock_and_by_nothing_else() {
    let machine = Machine::new();
    let context = machine.context("home", Network::Online);
    let first = machine.lock(&context, MANIFEST, &Upgrade::Nothing).unwrap();
    let text = first.render();
    assert!(
        text.contains("[builds]\n\"linux/amd64\" = [\n  { path = \"/sandbox\", by = \"command\","),
        "{text}"
    );
    assert_eq!(Lock::parse(&text, Path::new("l")).unwrap(), first);
    let folder = machine.world.folder();
    assert_eq!(digests(&first), [sha256sum(&folder.join("src-amd64")), sha256sum(&folder.join("src-arm64"))]);
    let runs = fs_err::read_to_string(folder.join("runs")).unwrap();
    assert_eq!(runs, "linux/amd64 x86_64\nlinux/arm64 aarch64\n");

    // A build runs nothing, whatever has become of the sources.
    machine.source(AMD64, "two");
    let options = build::Options::new(LockUse::Locked);
    let project = machine.world.project(MANIFEST);
    for network in [Network::Online, Network::Offline] {
        let context = machine.context("home", network);
        build::build(&context, &agreed(&context, &project), &options).unwrap();
    }
    assert_eq!(machine.runs(), 2);
    let tree = place::place(&context, &project, &first, Platform::ALL[0]).unwrap().tree;
    let node = tree.get(&pinfold_base::ImagePath::new("sandbox").unwrap()).unwrap();
    assert_eq!((node.meta.mode, node.owner.as_str()), (0o755, "build/sandbox"));

    // The next lock does, and takes what comes out.
    let second = machine.lock(&context, MANIFEST, &Upgrade::Nothing).unwrap();
    assert_eq!(machine.runs(), 4);
    assert_eq!(digests(&second)[0], sha256sum(&folder.join("src-amd64")));
    assert_ne!(digests(&second)[0], digests(&first)[0]);
    assert_eq!(digests(&second)[1], digests(&first)[1]);
    // Without a network nothing is run, and what is locked stays.
    machine.source(AMD64, "three");
    let offline = machine.context("home", Network::Offline);
    assert_eq!(machine.lock(&offline, MANIFEST, &Upgrade::Nothing).unwrap(), second);
    assert_eq!(machine.runs(), 4);
}

#[test]
fn a_lock_is_stale_by_how_a_program_is_made_and_what_stays_is_not_built_again() {
    let machine = Machine::new();
    let context = machine.context("home", Network::Online);
    let lock = machine.lock(&context, MANIFEST, &Upgrade::Nothing).unwrap();
    let stale = |text: &str| {
        let project = machine.world.project(text);
        match build::settle::wanting(&project, project.inputs.gist().unwrap().unwrap()) {
            Some(LockError::Stale { moved }) => moved,
            other => other.map(|other| vec![other.to_string()]).unwrap_or_default(),
        }
    };
    assert_eq!(stale(MANIFEST), [""; 0]);
    assert_eq!(stale(&MANIFEST.replace("mkdir -p", "mkdir  -p")), ["build"]);
    assert_eq!(stale("name = 'x'\n"), ["build"]);
    assert_eq!(stale(&format!("{MANIFEST}mode = '0555'\nowner = '1:1'\n")), [""; 0]);
    // Brought up to date by another verb for another reason: the tool is not run.
    let other = format!("{MANIFEST}[layers]\nmax = 50\n");
    let project = machine.world.project(&other);
    let settled = agreed(&context, &project);
    let settled = build::settle::settle(&context, &settled, LockUse::Update).unwrap();
    assert_eq!((settled.lock().unwrap().builds.clone(), machine.runs()), (lock.builds, 2));
    // And for this one: it is.
    let other = MANIFEST.replace("cp src", "cp  src");
    let project = machine.world.project(&other);
    let settled = agreed(&context, &project);
    assert!(matches!(
        build::settle::settle(&context, &settled, LockUse::Locked).unwrap_err(),
        ResolveError::Lock(LockError::Stale { .. })
    ));
    assert_eq!(machine.runs(), 2);
    build::settle::settle(&context, &settled, LockUse::Update).unwrap();
    assert_eq!(machine.runs(), 4);
}

#[test]
fn what_another_machine_has_locked_is_vendored_or_built_again_to_the_byte() {
    let machine = Machine::new();
    let context = machine.context("home", Network::Online);
    let first = machine.lock(&context, MANIFEST, &Upgrade::Nothing).unwrap();
    let project = machine.world.project(MANIFEST);
    let kept = machine.world.dir.path().join("kept");
    fetch::vendor(&context, &agreed(&context, &project), &first, &kept).unwrap();

    let other = machine.context("other", Network::Online);
    let fetched = |context: &Context| {
        fetch::fetch(context, &agreed(context, &project), &first, &project.manifest.platforms)
    };
    let error = fetched(&other).unwrap_err();
    assert!(error.to_string().contains("`/sandbox` for linux/amd64 was built with a command"), "{error}");
    assert!(error.to_string().contains(&digests(&first)[0]), "{error}");
    assert!(error.hint().unwrap().contains("`pinfold lock` builds it again"));
    assert_eq!(machine.runs(), 2);
    // From kept inputs without any tool.
    let mut third = machine.context("third", Network::Offline);
    third.vendor = vec![kept];
    assert_eq!(fetched(&third).unwrap().fetched, 2);

    // The same comes out, and nothing has changed.
    assert_eq!(machine.lock(&other, MANIFEST, &Upgrade::Nothing).unwrap(), first);
    assert_eq!((fetched(&other).unwrap().fetched, machine.runs()), (0, 4));
    // Something else comes out: both are told, and the lock stays what it was.
    machine.source(ARM64, "other");
    let fourth = machine.context("fourth", Network::Online);
    let error = machine.lock(&fourth, MANIFEST, &Upgrade::Nothing).unwrap_err();
    let built = sha256sum(&machine.world.folder().join("src-arm64"));
    assert!(error.to_string().contains(&digests(&first)[1]) && error.to_string().contains(&built), "{error}");
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(error.hint().unwrap().contains("`pinfold lock --upgrade build/sandbox`"), "{:?}", error.hint());
    let taken = machine.lock(&fourth, MANIFEST, &Upgrade::Only(vec!["build/sandbox".into()])).unwrap();
    assert_eq!(digests(&taken)[1], built);
}

#[test]
fn without_a_network_no_tool_is_run() {
    let machine = Machine::new();
    let offline = machine.context("home", Network::Offline);
    let error = machine.lock(&offline, MANIFEST, &Upgrade::Nothing).unwrap_err();
    assert!(error.to_string().contains("`/sandbox` is not built yet"), "{error}");
    assert_eq!(
        (machine.runs(), error.hint().unwrap().as_str()),
        (0, "run `pinfold lock` once without `--offline`")
    );
    machine.lock(&machine.context("home", Network::Online), MANIFEST, &Upgrade::Nothing).unwrap();
    assert_eq!(machine.runs(), 2);
}

/// Whether a program is here; a machine without it says so, and a release's must have it.
fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    assert!(here || std::env::var_os("CI").is_none(), "{program} is missing");
    here
}

#[test]
fn a_crate_is_built_static_for_the_targets_that_are_here() {
    if !is_here("cargo") {
        return;
    }
    let machine = Machine::new();
    let crate_toml = "[package]\nname = 'worker'\nversion = '0.1.0'\nedition = '2021'\n[features]\nloud = []\n[workspace]\n";
    machine.world.write("worker/Cargo.toml", crate_toml);
    machine
        .world
        .write("worker/Cargo.lock", "version = 3\n[[package]]\nname = \"worker\"\nversion = \"0.1.0\"\n");
    machine.world.write(
        "worker/src/main.rs",
        "fn main() { println!(\"{}\", if cfg!(feature = \"loud\") { \"LOUD\" } else { \"low\" }); }\n",
    );
    let mut context = machine.context("home", Network::Online);
    context.environment = std::env::vars_os().filter(|(name, _)| name != "CARGO_TARGET_DIR").collect();
    let entry = |platform: &str, more: &str| {
        format!(
            "name = 'x'\nplatforms = ['{platform}']\n[[build]]\npath = '/p'\ncargo = 'worker'\nprofile = 'dev'\n{more}"
        )
    };
    let host = Platform::host().unwrap();
    let lock = machine
        .lock(&context, &entry(&host.to_string(), "features = ['loud']\n"), &Upgrade::Nothing)
        .unwrap();
    let built = &lock.builds[&host][0];
    let bytes = fs_err::read(context.store.path(&built.sha256)).unwrap();
    let elf = pinfold_archive::elf::parse(&bytes).unwrap();
    assert_eq!((elf.interpreter, elf.needed.len(), elf.machine), (None, 0, host.arch.elf_machine()));
    let copy = machine.world.dir.path().join("copy");
    fs_err::write(&copy, &bytes).unwrap();
    fs_err::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "what was built is run")]
    let output = std::process::Command::new(&copy).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "LOUD\n");

    // Where nothing can be built for a platform, what to install is said.
    let other = Platform::ALL.into_iter().find(|other| *other != host).unwrap();
    match machine.lock(&context, &entry(&other.to_string(), ""), &Upgrade::Nothing) {
        Ok(lock) => assert_eq!(lock.builds[&other].len(), 1, "its standard library is here"),
        Err(error) if error.to_string().contains("no standard library") => {
            assert!(error.hint().unwrap().contains("`rustup target add "), "{:?}", error.hint());
        }
        Err(error) => assert!(error.hint().unwrap().contains("linker"), "{error}"),
    }
    let fails = |more: &str| {
        let error = machine.lock(&context, &entry(&host.to_string(), more), &Upgrade::Nothing).unwrap_err();
        (error.lines().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), error.hint())
    };
    machine.world.write("worker/src/bin/second.rs", "fn main() {}\n");
    let (lines, hint) = fails("");
    assert!(lines.contains("several programs: ") && lines.contains("`second`"), "{lines}");
    assert_eq!(hint.unwrap(), "name the program with `bin`");
    machine.lock(&context, &entry(&host.to_string(), "bin = 'second'\n"), &Upgrade::Nothing).unwrap();
    machine.world.write("worker/src/bin/second.rs", "fn main() { undefined }\n");
    let (lines, _) = fails("bin = 'second'\n");
    assert!(
        lines.contains("`cargo` did not build `/p`") && lines.contains("cannot find value `undefined`"),
        "{lines}"
    );
    machine.world.write("worker/Cargo.toml", &crate_toml.replace("0.1.0", "0.2.0"));
    let (_, hint) = fails("bin = 'worker'\n");
    assert!(hint.unwrap().contains("`Cargo.lock` is not up to date"));
}

#[test]
fn a_package_of_go_is_built_for_each_platform_without_cgo() {
    let machine = Machine::new();
    // Stands for go: writes down what it is told, and makes what it is to make.
    let tools = machine.world.dir.path().join("tools");
    fs_err::create_dir_all(&tools).unwrap();
    let script = "#!/bin/sh\necho \"$PWD $* cgo=$CGO_ENABLED $GOOS\" >> \"$RUNS\"\nwhile [ $# -gt 0 ]; do [ \"$1\" = -o ] && out=$2; shift; done\ncp \"$SRC/src-$GOARCH\" \"$out\"\n";
    fs_err::write(tools.join("go"), script).unwrap();
    fs_err::set_permissions(tools.join("go"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let folder = fs_err::canonicalize(machine.world.folder()).unwrap();
    let mut path = tools.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut context = machine.context("home", Network::Online);
    let runs = folder.join("runs").into_os_string();
    context.environment =
        [("PATH", path), ("RUNS", runs), ("SRC", folder.clone().into_os_string())].into_iter().collect();
    machine.world.write("inner/go.mod", "module x\n");
    for package in ["./cmd/p", "inner"] {
        let text = format!("name = 'x'\n[[build]]\npath = '/p'\ngo = '{package}'\n");
        let lock = machine.lock(&context, &text, &Upgrade::Nothing).unwrap();
        assert_eq!(
            digests(&lock),
            [sha256sum(&folder.join("src-amd64")), sha256sum(&folder.join("src-arm64"))]
        );
    }
    let told = fs_err::read_to_string(folder.join("runs")).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4);
    for (line, (place, package)) in
        lines.iter().zip([("", "./cmd/p"), ("", "./cmd/p"), ("/inner", "."), ("/inner", ".")])
    {
        assert!(
            line.starts_with(&format!("{}{place} build -trimpath -buildvcs=false -o /", folder.display())),
            "{line}"
        );
        assert!(line.ends_with(&format!("/program {package} cgo=0 linux")), "{line}");
    }
}

/// What locking of one entry ends with.
fn refused(entry: &str, prepare: impl FnOnce(&Machine)) -> (String, String) {
    let machine = Machine::new();
    prepare(&machine);
    let text = format!("name = 'x'\nplatforms = ['linux/amd64']\n[[build]]\npath = '/p'\n{entry}\n");
    let context = machine.context("home", Network::Online);
    let error = machine.lock(&context, &text, &Upgrade::Nothing).unwrap_err();
    let lines: Vec<String> = error.lines().iter().map(ToString::to_string).collect();
    let causes = told(&error);
    let lines = if lines.len() > 1 { lines.join("\n") } else { causes };
    (lines, error.hint().unwrap_or_default())
}

#[test]
fn what_comes_out_is_a_program_of_the_platform_or_is_refused() {
    let makes = |words: &str| format!("command = ['sh', '-c', '{words}']\noutput = 'o'");
    for (words, said) in [
        ("cp src-arm64 o", "no program for linux/amd64: it is one for linux/arm64"),
        ("echo text > o", "neither an ELF file nor a script"),
        ("head -c 119 src-amd64 > o", "no program for linux/amd64"),
        ("printf 0 > o; mkfifo f; ln -sf f o", "is a named pipe, not a regular file"),
        ("mkdir o", "is a directory, not a regular file"),
        ("true", "what comes out cannot be read"),
        ("cp src-amd64 ../outside; ln -s ../outside o", "a link leads out of the project"),
        ("truncate -s 2G o", "longer than 1073741824 bytes"),
    ] {
        let (lines, _) = refused(&makes(words), |_| ());
        assert!(lines.contains(said), "{words}: {lines}");
    }
    // The control, and a script, which is told of.
    for (words, notes) in [("cp src-amd64 o", 0), ("printf \"#!/bin/sh\\\\n\" > o", 1)] {
        let machine = Machine::new();
        let text =
            format!("name = 'x'\nplatforms = ['linux/amd64']\n[[build]]\npath = '/p'\n{}\n", makes(words));
        let context = machine.context("home", Network::Online);
        let project = machine.world.project(&text);
        let outcome = resolve::lock(&context, &agreed(&context, &project), &Upgrade::Nothing).unwrap();
        assert_eq!(outcome.notes.len(), notes, "{words}: {:?}", outcome.notes);
    }
}

#[test]
fn a_tool_that_fails_is_told_with_the_last_of_what_it_printed_made_visible() {
    let fails = "command = ['sh', '-c', 'seq 100; seq 100 | sed s/^/e/ >&2; printf \"\\\\033[31mred\\\\n\" >&2; exit 3']\noutput = 'o'";
    let (lines, _) = refused(fails, |_| ());
    assert!(lines.starts_with("`sh` did not build `/p`: exit status: 3\n  | e62\n"), "{lines}");
    assert!(lines.ends_with("[31mred") && !lines.contains('\u{1b}'), "{lines}");
    // It has the caller's variables, and no key.
    let fails = "command = ['sh', '-c', 'echo $PLAIN ${OPENAI_API_KEY-none} >&2; exit 1']\noutput = 'o'";
    let (lines, _) = refused(fails, |_| ());
    assert!(lines.ends_with("  | kept none"), "{lines}");
    let mut known =
        Recipe::built_in_agents().flat_map(|recipe| &recipe.run.route).flat_map(|route| &route.key);
    assert!(known.any(|key| key == "OPENAI_API_KEY"), "the control");
    // What is in the project is no tool by its name, and is one by its path.
    let script = |machine: &Machine| {
        let tool = machine.world.folder().join("bin/mytool");
        machine.world.write("bin/mytool", "#!/bin/sh\necho mine >&2\nexit 1\n");
        fs_err::set_permissions(tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let (lines, hint) = refused("command = ['mytool']\noutput = 'o'", script);
    assert!(lines.contains("there is no `mytool` on this machine's PATH"), "{lines}");
    assert!(hint.contains("install it"));
    let (lines, _) = refused("command = ['bin/mytool']\noutput = 'o'", script);
    assert!(lines.ends_with("  | mine"), "{lines}");
}

#[test]
fn a_tool_that_takes_too_long_ends_with_all_that_it_started() {
    let machine = Machine::new();
    let project = machine.world.project("name = 'x'\n");
    let context = machine.context("home", Network::Online);
    let mark = format!("{}", 3_000_000 + std::process::id());
    let tool = tool::Tool::find(&context, &project, "sh", "/p").unwrap();
    let tool = tool.words(["-c", &format!("sh -c 'sleep {mark}; :' & echo begun; wait")]);
    let begin = std::time::Instant::now();
    let error = tool.run(&context, "/p", std::time::Duration::from_millis(400), |_| None).unwrap_err();
    assert!(error.to_string().contains("it took longer than"), "{error}");
    assert!(begin.elapsed() < std::time::Duration::from_secs(30));
    let alive = || {
        let processes = fs_err::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| fs_err::read(process.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&mark)).count()
    };
    for _ in 0..100 {
        if alive() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{} processes are left", alive());
}

#[test]
fn tools_are_run_after_the_users_word_alone_and_the_worker_needs_none() {
    let machine = Machine::new();
    let context = machine.context("home", Network::Online);
    let project = machine.world.project(MANIFEST);
    let asks = consent::asks(&context.environment, Some(&project), &consent::Wishes::default());
    let told: Vec<String> = asks.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with(
            "build `/sandbox` by tools of this machine, outside of any sandbox: `sh -c 'echo {platform} $PINFOLD_MACHINE >> runs"
        ),
        "{told:?}"
    );
    assert!(consent::agree(&context, project).is_err());
    assert_eq!(machine.runs(), 0);
    let project = machine.world.project("name = 'x'\n[[build]]\npath = '/sandbox'\nworker = true\n");
    assert!(consent::asks(&context.environment, Some(&project), &consent::Wishes::default()).is_empty());
}

#[test]
fn the_worker_is_the_one_that_is_carried_or_named() {
    let machine = Machine::new();
    let manifest = "name = 'x'\n[[build]]\npath = '/sandbox'\nworker = true\n";
    let workers = machine.world.dir.path().join("workers");
    let place = |arch: &str, bytes: &[u8]| {
        fs_err::create_dir_all(workers.join(format!("linux-{arch}"))).unwrap();
        fs_err::write(workers.join(format!("linux-{arch}/sandbox")), bytes).unwrap();
    };
    let named = |name: &str| {
        let mut context = machine.context(name, Network::Offline);
        context.environment = [("PINFOLD_WORKERS", workers.as_os_str())].into_iter().collect();
        context
    };
    place("amd64", &program(AMD64, "w1"));
    let error = machine.lock(&named("home"), manifest, &Upgrade::Nothing).unwrap_err();
    assert!(error.to_string().contains("cannot read the worker for linux/arm64"), "{}", told(&error));
    assert!(error.hint().unwrap().contains("`cargo xtask worker`"));
    place("arm64", &program(AMD64, "w1"));
    let error = machine.lock(&named("home"), manifest, &Upgrade::Nothing).unwrap_err();
    assert!(error.to_string().contains("it is one for linux/amd64"), "{error}");
    place("arm64", &program(ARM64, "w1"));
    let lock = machine.lock(&named("home"), manifest, &Upgrade::Nothing).unwrap();
    assert_eq!(digests(&lock)[1], sha256sum(&workers.join("linux-arm64/sandbox")));

    // Elsewhere it is there without a network, and held to the lock.
    let project = machine.world.project(manifest);
    let options = build::Options::new(LockUse::Locked);
    let built = |context: &Context| build::build(context, &agreed(context, &project), &options);
    built(&named("other")).unwrap();
    place("amd64", &program(AMD64, "w2"));
    let error = built(&named("third")).unwrap_err();
    assert!(matches!(error, ImageError::Fetch(_)), "{error:?}");
    let other = sha256sum(&workers.join("linux-amd64/sandbox"));
    assert!(error.to_string().contains(&digests(&lock)[0]) && error.to_string().contains(&other), "{error}");
    // Where it was locked it stays until somebody locks.
    built(&named("home")).unwrap();
    let next = machine.lock(&named("home"), manifest, &Upgrade::Nothing).unwrap();
    assert_eq!(digests(&next), [other, digests(&lock)[1].clone()]);
}

/// What `cargo xtask heads` writes is placed; this test's own program is none that could be, and says so.
#[test]
fn pinfold_itself_is_the_one_that_is_named_or_runs() {
    const MARK: &str = "pinfold: this program carries images of format 1\n";
    let machine = Machine::new();
    let manifest = "name = 'x'\n[[build]]\npath = '/pinfold'\npinfold = true\n";
    let heads = machine.world.dir.path().join("heads");
    fs_err::create_dir_all(&heads).unwrap();
    let file = |arch: &str| heads.join(format!("pinfold-linux-{arch}"));
    let named = |name: &str| {
        let mut context = machine.context(name, Network::Offline);
        context.environment = [("PINFOLD_HEADS", heads.as_os_str())].into_iter().collect();
        context
    };
    let fails = || {
        let error = machine.lock(&named("home"), manifest, &Upgrade::Nothing).unwrap_err();
        assert!(error.hint().unwrap().contains("`cargo xtask heads`"), "{}", told(&error));
        told(&error)
    };
    let write = |arch: &str, machine: u16, tail: &str| {
        fs_err::write(file(arch), program(machine, tail)).unwrap();
    };
    write("amd64", AMD64, MARK);
    if Platform::host() == Some("linux/amd64".parse().unwrap()) {
        let text = fails();
        assert!(text.contains("there is no pinfold for linux/arm64"), "{text}");
    }
    write("arm64", ARM64, "of somebody else's");
    assert!(fails().contains("no pinfold that carries images as this one does"));
    write("arm64", AMD64, MARK);
    assert!(fails().contains("no static program of the platform"));
    write("arm64", ARM64, MARK);
    let lock = machine.lock(&named("home"), manifest, &Upgrade::Nothing).unwrap();
    assert_eq!(digests(&lock), [sha256sum(&file("amd64")), sha256sum(&file("arm64"))]);
    assert!(lock.render().contains("by = \"pinfold\""), "{}", lock.render());
    // Nobody is asked for it, and an image is held to the one that is locked.
    let project = machine.world.project(manifest);
    let context = named("other");
    assert!(consent::asks(&context.environment, Some(&project), &consent::Wishes::default()).is_empty());
    let options = build::Options::new(LockUse::Locked);
    let built = |context: &Context| build::build(context, &agreed(context, &project), &options);
    built(&context).unwrap();
    write("arm64", ARM64, &format!("{MARK}another"));
    let error = built(&named("third")).unwrap_err();
    assert!(told(&error).contains("the lock has the pinfold"), "{}", told(&error));
}

#[test]
fn an_entry_says_one_way_and_only_what_goes_with_it() {
    let message = |entry: &str| {
        let text = format!("name = 'x'\n[[build]]\n{entry}\n");
        Manifest::parse(&text, Path::new("m"), Path::new("/")).unwrap_err().to_string()
    };
    for (entry, said) in [
        ("worker = true", "missing field `path`"),
        (
            "path = '/p'",
            "exactly one of `worker = true`, `pinfold = true`, `cargo`, `go`, and `command` with `output`",
        ),
        ("path = '/p'\nworker = true\npinfold = true", "exactly one of"),
        ("path = '/p'\npinfold = false", "`pinfold` is `true`, or is left out"),
        ("path = '/p'\nworker = true\ncargo = '.'", "exactly one of"),
        ("path = '/p'\nworker = false", "`worker` is `true`, or is left out"),
        ("path = '/p'\ngo = '.'\nbin = 'x'", "go with `cargo`"),
        ("path = '/p'\ncargo = '.'\nfeatures = ['--config=x']", "nothing that is called `--config=x`"),
        ("path = '/p'\ngo = '-toolexec=x'", "no package of Go"),
        ("path = '/p'\ncommand = ['x']", "`command` and `output` go together"),
        ("path = '/p'\ncommand = []\noutput = 'o'", "the first of them a program"),
        ("path = '/p'\ncommand = ['x']\noutput = '/o'", "seen from the manifest"),
        ("path = '/'\nworker = true", "root directory"),
        ("path = '/p'\nworker = true\n[[build]]\npath = '/p'\nworker = true", "two entries"),
        ("path = '/p'\nworker = true\nplatforms = []", "none of the image's"),
        ("path = '/p'\nworker = true\nowner = 'user'", "no `[user]`"),
        ("path = '/p'\nworker = true\nmode = '9'", "octal"),
    ] {
        assert!(message(entry).contains(said), "{entry}: {}", message(entry));
    }
    // What is laid over a preset takes its place, whatever kind either is of.
    let over = |entry: &str| {
        let text = format!("preset = 'sealed'\n{entry}\npath = '/sandbox'\n");
        Manifest::parse(&text, Path::new("m"), Path::new("/")).unwrap()
    };
    let file = over("[[file]]\ncontent = 'x'");
    assert!(file.sources.build.is_empty() && file.files.len() == 1);
    let own = over("[[build]]\ncargo = '.'");
    assert_eq!(own.sources.build.iter().map(|build| build.made.by()).collect::<Vec<_>>(), [By::Cargo]);
}
