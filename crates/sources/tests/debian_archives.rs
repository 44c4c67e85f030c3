//! Several archives beside each other, judged by apt: for every priority, flag and way to ask, the very same files are chosen.
//!
//! apt reads the same archives through `file:`, each with `signed-by` its key, from a root of its own with an empty status; what
//! it would fetch (`--print-uris`) is what must be locked, archive and size included.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that compares with apt, and says where it is skipped"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use pinfold_base::Arch;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::Store;
use pinfold_base::http::Client;
use pinfold_base::http::Options;
use pinfold_base::report::Silent;
use pinfold_sources::debian::lock;
use pinfold_sources::debian::lock::AskedSuite;
use pinfold_sources::debian::lock::Base;
use pinfold_sources::debian::lock::Inputs;
use pinfold_sources::debian::lock::Previous;
use pinfold_sources::debian::lock::Recommends;
use pinfold_sources::debian::lock::Request;
use pinfold_sources::debian::lock::mirrors::Declared;
use pinfold_sources::debian::lock::mirrors::Further;
use pinfold_sources::debian::lock::mirrors::Mirrors;
use pinfold_sources::debian::lock::mirrors::name_of;
use pinfold_testkit::openpgp::BORN;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::openpgp::sign;

const DATE: u32 = BORN + 1_000_000;

/// Name, version and whatever else stands in its stanza.
type Package = (&'static str, &'static str, &'static str);

const DEBIAN: &[Package] = &[
    ("newer", "1", ""),
    ("older", "3", ""),
    ("equal", "1.0", "Installed-Size: 1\n"),
    ("same", "1.0", ""),
    ("app", "1", "Depends: lib\n"),
    ("lib", "1", ""),
    ("wants", "1", "Depends: virtual | newer\n"),
    ("needs-new", "1", "Depends: newer (>= 2)\n"),
];
const VENDOR: &[Package] = &[
    ("newer", "2", ""),
    ("older", "2", ""),
    ("equal", "1.0", "Installed-Size: 22\n"),
    ("same", "1.0", ""),
    ("only-vendor", "1", "Depends: lib (>= 2)\n"),
    ("lib", "2", ""),
    ("provider", "1", "Provides: virtual\n"),
];
const FLAT: &[Package] = &[
    ("newer", "3", ""),
    ("older", "1", ""),
    ("equal", "1.0", "Installed-Size: 333\n"),
    ("only-flat", "1", "Depends: older (= 1)\n"),
    ("other", "1", "Depends: lib\n"),
];

/// Every way to ask for a package.
const ASKED: &[&str] = &[
    "newer",
    "older",
    "equal",
    "same",
    "app",
    "wants",
    "needs-new",
    "only-vendor",
    "only-flat",
    "other",
    "newer=1",
    "newer=2",
    "newer=3",
    "equal=1.0",
    "older/vended",
    "newer/stable",
    "lib/tested",
    "equal/vended",
    "same/vended",
    "only-vendor/vended",
    "virtual",
];

fn sha256(bytes: &[u8]) -> String {
    Digest::sha256(bytes).hex()
}

fn write(path: &Path, bytes: &[u8]) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
}

/// Writes an archive with one suite: below `dists`, or flat. What a stanza says is all there is of a package.
fn publish(archive: &Path, suite: &str, head: &str, packages: &[Package], key: &TestKey) {
    let flat = suite.ends_with('/');
    let (folder, index) = if flat {
        (archive.to_owned(), "Packages")
    } else {
        (archive.join("dists").join(suite), "main/binary-amd64/Packages")
    };
    let mut text = String::new();
    for (name, version, rest) in packages {
        // What is the same in two archives has the same content.
        let content = format!("{name} {version} {rest}");
        let path = if flat { "./" } else { "pool/main/" };
        let _ = writeln!(
            text,
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@t.example>\n{rest}\
             Filename: {path}{name}_{version}_amd64.deb\nSize: {}\nSHA256: {}\nDescription: a test\n",
            content.len(),
            sha256(content.as_bytes())
        );
    }
    if flat {
        text += "Package: newer\nVersion: 9\nArchitecture: arm64\nMaintainer: T <t@t.example>\nFilename: ./x.deb\nSize: 1\n\
                 SHA256: 00\nDescription: of another architecture\n\n";
    }
    let date = "Date: Thu, 01 Jan 2026 00:00:00 UTC";
    let release = format!(
        "{head}{date}\nArchitectures: amd64\nComponents: main\nSHA256:\n {} {} {index}\n",
        sha256(text.as_bytes()),
        text.len()
    );
    write(&folder.join(index), text.as_bytes());
    write(&folder.join("InRelease"), sign(release.trim_end(), &[key], DATE).as_bytes());
}

/// How the two further archives are pinned.
struct Pinned {
    vendor: Option<i16>,
    flat: Option<i16>,
    /// Of the vendor's Release file.
    flags: &'static str,
}

const PINS: &[Pinned] = &[
    Pinned { vendor: None, flat: None, flags: "" },
    Pinned { vendor: None, flat: None, flags: "NotAutomatic: yes\n" },
    Pinned { vendor: None, flat: None, flags: "NotAutomatic: yes\nButAutomaticUpgrades: yes\n" },
    Pinned { vendor: Some(-1), flat: None, flags: "" },
    Pinned { vendor: Some(-1), flat: Some(-10), flags: "" },
    Pinned { vendor: Some(1), flat: Some(100), flags: "" },
    Pinned { vendor: Some(100), flat: Some(-1), flags: "" },
    Pinned { vendor: Some(500), flat: Some(100), flags: "NotAutomatic: yes\n" },
    Pinned { vendor: Some(990), flat: Some(500), flags: "" },
    Pinned { vendor: Some(990), flat: Some(990), flags: "NotAutomatic: yes\n" },
    Pinned { vendor: Some(1001), flat: Some(990), flags: "" },
    Pinned { vendor: Some(500), flat: Some(1001), flags: "" },
];

/// The three archives, and a root for apt.
struct World {
    dir: tempfile::TempDir,
    keys: [TestKey; 3],
}

impl World {
    fn new(pinned: &Pinned) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = [3, 4, 5].map(|seed| TestKey::new(&Shape { seed, ..Shape::default() }));
        let at = |name: &str| dir.path().join(name);
        publish(
            &at("debian"),
            "tested",
            "Origin: Debian\nSuite: stable\nCodename: tested\n",
            DEBIAN,
            &keys[0],
        );
        let head = format!("Origin: Vendor\nSuite: stable\nCodename: vended\n{}", pinned.flags);
        publish(&at("vendor"), "vended", &head, VENDOR, &keys[1]);
        publish(&at("flat"), "./", "Origin: Flat\n", FLAT, &keys[2]);
        for (key, name) in keys.iter().zip(["debian", "vendor", "flat"]) {
            write(&at(&format!("{name}.gpg")), &key.binary());
        }
        for folder in [
            "root/var/lib/apt/lists/partial",
            "root/var/cache/apt/archives/partial",
            "root/etc/apt/apt.conf.d",
            "root/etc/apt/preferences.d",
            "root/etc/apt/sources.list.d",
            "root/etc/apt/trusted.gpg.d",
            "root/etc/apt/auth.conf.d",
        ] {
            fs_err::create_dir_all(at(folder)).unwrap();
        }
        write(&at("root/status"), b"");
        let mut sources = String::new();
        for (name, suite) in [("debian", "tested main"), ("vendor", "vended main"), ("flat", "./")] {
            let place = at(name);
            let _ = writeln!(sources, "deb [signed-by={0}.gpg] file:{0} {suite}", place.display());
        }
        write(&at("root/etc/apt/sources.list"), sources.as_bytes());
        let mut preferences = String::new();
        for (origin, pin) in [("Vendor", pinned.vendor), ("Flat", pinned.flat)] {
            if let Some(pin) = pin {
                let _ = writeln!(preferences, "Package: *\nPin: release o={origin}\nPin-Priority: {pin}\n");
            }
        }
        write(&at("root/etc/apt/preferences"), preferences.as_bytes());
        let world = Self { dir, keys };
        let updated = world.apt(&["update", "-qq"]);
        assert!(updated.as_ref().is_ok_and(|told| !told.contains("W:")), "apt-get update: {updated:?}");
        world
    }

    /// What `apt-get` prints; what it says when it fails.
    fn apt(&self, words: &[&str]) -> Result<String, String> {
        let root = self.dir.path().join("root");
        let config = self.dir.path().join("apt.conf");
        let text = format!(
            "Dir \"{0}\"; Dir::State::status \"{0}/status\"; APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; }}; \
             Acquire::Languages \"none\"; APT::Sandbox::User \"\"; APT::Install-Recommends \"false\"; Dir::Etc::main \"/dev/null\"; \
             Dir::Etc::parts \"/dev/null\"; Dir::Bin::methods \"/usr/lib/apt/methods\"; APT::Key::gpgvcommand \"/usr/bin/gpgv\";",
            root.display()
        );
        write(&config, text.as_bytes());
        let output = Command::new("apt-get")
            .args(words)
            .env("APT_CONFIG", &config)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap() + &told)
        } else {
            Err(told)
        }
    }

    /// What apt would fetch: address below the three archives and size.
    fn by_apt(&self, asked: &str) -> Result<BTreeSet<String>, String> {
        let printed = self.apt(&["install", "--print-uris", "-qq", "-y", asked])?;
        let here = format!("'file:{}/", self.dir.path().display());
        let line = |line: &str| {
            let mut words = line.strip_prefix(&here)?.split(' ');
            let place = words.next()?.trim_end_matches('\'').replace("/./", "/");
            Some(format!("{place} {}", words.nth(1)?))
        };
        Ok(printed
            .lines()
            .map(|text| line(text).unwrap_or_else(|| panic!("apt-get printed {text}")))
            .collect())
    }

    fn further(&self, name: &str, suite: &str, key: &TestKey) -> Further {
        let uri = format!("file:{}", self.dir.path().join(name).display());
        Further { archive: name_of(&uri).unwrap(), suite: suite.into(), uri, keyring: Some(key.binary()) }
    }

    /// What is locked, told the same way.
    fn by_pinfold(&self, asked: &str, pinned: &Pinned) -> Result<BTreeSet<String>, String> {
        let further =
            vec![self.further("vendor", "vended", &self.keys[1]), self.further("flat", "./", &self.keys[2])];
        let suite = |further: &Further, components: &[&str], priority| AskedSuite {
            archive: further.archive.clone(),
            name: further.suite.clone(),
            components: components.iter().map(|&name| name.to_owned()).collect(),
            priority,
            arches: vec![Arch::Amd64],
        };
        let request = Request {
            suites: vec![
                AskedSuite::of_debian("tested", &["main".into()]),
                suite(&further[0], &["main"], pinned.vendor),
                suite(&further[1], &[], pinned.flat),
            ],
            base: Base::None,
            packages: vec![asked.into()],
            recommends: Recommends::Skip,
            platforms: vec![Platform::ALL[0]],
            present: std::collections::BTreeMap::new(),
        };
        let declared = Declared {
            mirror: Some(format!("file://{}", self.dir.path().join("debian").display())),
            keyring: Some(self.keys[0].binary()),
            further,
            ..Declared::default()
        };
        let mirrors = Mirrors::find(declared, |_| None, self.dir.path());
        let store = Store::open(&self.dir.path().join("cache")).unwrap();
        let client = Client::with(Options { retries: 0, ..Options::default() });
        // The first of January of 2026, with the archives.
        let inputs = Inputs {
            mirrors: &mirrors,
            fetch: &client,
            store: &store,
            reporter: &Silent,
            now: 1_767_300_000,
        };
        let resolution = lock::resolve(&request, &Previous::default(), &inputs)
            .map_err(|error| format!("{error} {error:?}"))?;
        let mut found = BTreeSet::new();
        for deb in &resolution.packages[&Platform::ALL[0]] {
            let suite = resolution.suites.iter().find(|suite| suite.has(deb)).unwrap();
            let places = mirrors.archive_paths(deb, suite).map_err(|error| error.to_string())?;
            assert_eq!(places.len(), 1, "an archive stands in for no other");
            let place = places[0].url.file_path().unwrap();
            let place = place.strip_prefix(self.dir.path()).unwrap();
            found.insert(format!("{} {}", place.display(), deb.size));
        }
        Ok(found)
    }
}

#[test]
fn of_several_archives_the_files_are_chosen_that_apt_would_fetch() {
    if Command::new("apt-get").arg("--version").output().is_err() {
        println!("skip: apt is not installed");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
        return;
    }
    let (mut wrong, mut both) = (Vec::new(), 0);
    let mut seen = BTreeSet::new();
    for (number, pinned) in PINS.iter().enumerate() {
        let world = World::new(pinned);
        for asked in ASKED {
            let (theirs, ours) = (world.by_apt(asked), world.by_pinfold(asked, pinned));
            match (&theirs, &ours) {
                (Ok(theirs), Ok(ours)) if theirs == ours => {
                    both += 1;
                    seen.extend(ours.iter().cloned());
                }
                (Err(_), Err(_)) => {}
                _ => wrong.push(format!("{number} {asked}\n  apt  {theirs:?}\n  ours {ours:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The control: each archive has its part in it, and most can be had.
    assert!(both > ASKED.len() * PINS.len() / 2, "{both}");
    for archive in ["debian/", "vendor/", "flat/"] {
        assert!(seen.iter().any(|place| place.starts_with(archive)), "{archive}");
    }
}
