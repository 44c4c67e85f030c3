//! What happens to the disk after a build, through the program: every file of the caches and of the image store damaged in turn, met
//! by every verb, and the image that is there afterwards.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use pinfold_base::store::stamp;
use pinfold_testkit::machine::Machine;

/// A project with an image of busybox, and a home in which it was built and run.
struct Built {
    machine: Machine,
    /// Digest of its image.
    digest: String,
}

impl Built {
    fn new() -> Option<Self> {
        let machine = Machine::empty(env!("CARGO_BIN_EXE_pinfold"))?;
        machine.project("project", "");
        let mut built = Self { machine, digest: String::new() };
        built.digest = built.built("home");
        assert_eq!(built.code("home", RUN), 0);
        // Whatever is run unpacks its image: that is what reads layers.
        fs_err::remove_dir_all(built.machine.path("home/data/rootfs")).unwrap();
        Some(built)
    }

    fn pinfold(&self, home: &str, args: &[&str]) -> Output {
        self.machine.pinfold(args).env("PINFOLD_HOME", self.machine.path(home)).output().unwrap()
    }

    fn code(&self, home: &str, args: &[&str]) -> i32 {
        self.pinfold(home, args).status.code().unwrap()
    }

    /// The digest that a build gives.
    fn built(&self, home: &str) -> String {
        let output = self.pinfold(home, &["build", "--offline", "--json"]);
        assert!(output.status.success(), "{}", told(&output));
        let built: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        built["index"].as_str().unwrap().to_owned()
    }

    /// A home like the first one, with all its times and links.
    fn copy(&self, home: &str) -> PathBuf {
        let (from, to) = (self.machine.path("home"), self.machine.path(home));
        assert!(Command::new("cp").arg("-a").args([&from, &to]).status().unwrap().success());
        to
    }

    /// Files of the caches and of the image store, by their paths below the home.
    fn files(&self) -> Vec<PathBuf> {
        let home = self.machine.path("home");
        let mut found = Vec::new();
        let mut folders = vec![home.join("cache"), home.join("data/images"), home.join("data/locks")];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.metadata().unwrap().len() > 0 {
                    found.push(path.strip_prefix(&home).unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const RUN: &[&str] = &["run", "--offline", "--network", "none", "--", "/bin/busybox", "true"];

/// What meets the damage, and the exit codes it may have: an image that cannot be looked at is an error, everything else goes on.
const VERBS: [(&[&str], &[i32]); 6] = [
    (&["build", "--offline"], &[0]),
    (RUN, &[0]),
    (&["verify", "box"], &[0, 1]),
    (&["images"], &[0]),
    (&["gc", "--yes"], &[0]),
    (&["inspect", "box"], &[0, 4]),
];

/// What harms a file: one bit of the middle, the end, everything, and the file itself.
const HARM: [fn(&Path); 4] = [
    |path| {
        let mut bytes = fs_err::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs_err::write(path, bytes).unwrap();
    },
    |path| {
        let bytes = fs_err::read(path).unwrap();
        fs_err::write(path, &bytes[..bytes.len() - 1]).unwrap();
    },
    |path| fs_err::write(path, b"").unwrap(),
    |path| fs_err::remove_file(path).unwrap(),
];

#[test]
fn every_file_of_the_store_damaged_in_turn_is_made_again_whichever_verb_meets_it() {
    let Some(machine) = Built::new() else { return };
    let files = machine.files();
    for kind in ["index.json", "oci-layout", "names.json", "cache/builds", "cache/layers/blobs", "data/locks"]
    {
        assert!(files.iter().any(|file| file.to_str().unwrap().contains(kind)), "{kind} in {files:?}");
    }
    // Each harm of each file is met by two verbs, and each kind of file by all of them.
    let cases = files.iter().enumerate().flat_map(|(at, file)| {
        HARM.iter().enumerate().flat_map(move |(how, harm)| {
            let first = (at + how) % VERBS.len();
            [first, (first + 3) % VERBS.len()].map(|verb| (file, how, harm, VERBS[verb]))
        })
    });
    for (number, (file, how, harm, (verb, codes))) in cases.enumerate() {
        let home = format!("home-{number}");
        let folder = machine.copy(&home);
        harm(&folder.join(file));
        let met = machine.pinfold(&home, verb);
        let case = format!("{verb:?} met {} harmed by {how}: {}", file.display(), told(&met));
        assert!(codes.contains(&met.status.code().unwrap()), "{case}");
        assert_eq!(machine.built(&home), machine.digest, "{case}");
        let verified = machine.pinfold(&home, &["verify", "--only", "oci", "box"]);
        assert!(verified.status.success(), "{case}, {}", told(&verified));
        fs_err::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn what_a_disk_changed_in_silence_is_found_by_reading() {
    let Some(machine) = Built::new() else { return };
    let layer = machine.files().into_iter().find(|file| file.starts_with("cache/layers/blobs")).unwrap();
    let damaged = |home: &str| {
        let file = machine.copy(home).join(&layer);
        HARM[0](&file);
        stamp::stamp(&file).unwrap();
    };
    // Nobody reads a layer to find that nothing is to be done; a run unpacks it.
    damaged("run");
    assert_eq!(machine.code("run", RUN), 0);
    assert_eq!(machine.code("run", &["verify", "--only", "oci", "box"]), 0);
    damaged("verify");
    let output = machine.pinfold("verify", &["verify", "--only", "oci", "box"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("it was set aside"), "{}", told(&output));
    assert_eq!(machine.built("verify"), machine.digest);
    assert_eq!(machine.code("verify", &["verify", "--only", "oci", "box"]), 0);
    damaged("force");
    let output = machine.pinfold("force", &["build", "--offline", "--force", "--quiet"]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        machine.digest,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(machine.code("force", &["verify", "--only", "oci", "box"]), 0);
    damaged("export");
    let export = ["build", "--offline", "--output", "oci-archive:image.tar"];
    assert_eq!(machine.code("export", &export), 0);
    assert_eq!(machine.code("export", &["verify", "--only", "oci", "oci-archive:image.tar"]), 0);
}

#[test]
fn a_root_that_lost_a_file_is_unpacked_again_after_a_forced_build() {
    let Some(machine) = Built::new() else { return };
    let folder = machine.copy("root");
    assert_eq!(machine.code("root", RUN), 0);
    let roots = fs_err::read_dir(folder.join("data/rootfs")).unwrap().map(|entry| entry.unwrap().path());
    let root = roots.into_iter().find(|path| path.join("bin/busybox").exists()).unwrap();
    fs_err::remove_file(root.join("bin/busybox")).unwrap();
    assert_ne!(machine.code("root", RUN), 0);
    assert_eq!(machine.code("root", &["build", "--offline", "--force"]), 0);
    assert_eq!(machine.code("root", RUN), 0);
}

#[test]
fn verify_store_names_what_is_damaged_and_sets_it_aside() {
    let Some(machine) = Built::new() else { return };
    let folder = machine.copy("whole");
    assert_eq!(machine.code("whole", &["verify", "--store"]), 0);
    assert_eq!(machine.code("whole", &["verify", "--store", "box"]), 2);
    for file in machine.files() {
        let text = file.to_str().unwrap();
        if !text.contains("blobs/") {
            continue;
        }
        let right = fs_err::read(folder.join(&file)).unwrap();
        HARM[0](&folder.join(&file));
        stamp::stamp(&folder.join(&file)).unwrap();
        let output = machine.pinfold("whole", &["verify", "--store"]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(told(&output).contains(name), "{text}: {}", told(&output));
        assert_eq!(machine.code("whole", &["verify", "--store"]), 0, "{text}");
        assert_eq!(machine.built("whole"), machine.digest, "{text}");
        if !folder.join(&file).exists() {
            // A blob that only another entry needs.
            fs_err::write(folder.join(&file), right).unwrap();
        }
    }
}
