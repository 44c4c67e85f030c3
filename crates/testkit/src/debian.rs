//! A Debian archive in the test's own process: packages as values become .debs, indexes and signed Release files.
//!
//! ```text
//! GET /debian/dists/SUITE/InRelease
//! GET /debian/dists/SUITE/main/binary-ARCH/by-hash/SHA256/HEX      Packages.gz
//! GET /debian/pool/main/NAME_VERSION_ARCH.deb
//! ```
//!
//! Everything is written here after deb(5), the Debian repository format and [`crate::tar`], nothing by pinfold's own readers
//! and writers. What is served can be changed while the server runs: a mirror that goes back in time, loses or alters a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use pinfold_base::time;
use sha2::Digest as _;

use crate::http::Response;
use crate::http::Server;
use crate::openpgp::BORN;
use crate::openpgp::TestKey;
use crate::openpgp::sign;
use crate::tar::Tar;
use crate::tar::gzip;

/// Architectures that every suite has an index for.
pub const ARCHES: [&str; 2] = ["amd64", "arm64"];

/// A time at which a sound key of [`crate::openpgp`] can sign, in seconds since the epoch.
pub const DATE: u64 = BORN as u64 + 1_000_000;

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(u32, Vec<u8>),
    Symlink(String),
}

/// A binary package.
#[derive(Clone, Debug)]
pub struct Deb {
    name: String,
    version: String,
    arch: String,
    fields: Vec<(String, String)>,
    control: Vec<(String, u32, String)>,
    data: BTreeMap<String, Node>,
}

impl Deb {
    /// A package without files.
    pub fn new(name: &str, version: &str, arch: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            arch: arch.into(),
            fields: Vec::new(),
            control: Vec::new(),
            data: BTreeMap::new(),
        }
    }

    /// With a field in its control file and in the index.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// With a maintainer script.
    #[must_use]
    pub fn script(mut self, name: &str, text: &str) -> Self {
        self.control.push((name.into(), 0o755, text.into()));
        self
    }

    /// With another control file (`triggers`, `conffiles`).
    #[must_use]
    pub fn control(mut self, name: &str, text: &str) -> Self {
        self.control.push((name.into(), 0o644, text.into()));
        self
    }

    /// With a file; the directories above it come along.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.add(path, Node::File(mode, bytes.into()));
        self
    }

    /// With a symbolic link.
    #[must_use]
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        self.add(path, Node::Symlink(target.into()));
        self
    }

    fn add(&mut self, path: &str, node: Node) {
        for (at, _) in path.match_indices('/') {
            self.data.entry(path[..at].into()).or_insert(Node::Directory);
        }
        self.data.insert(path.into(), node);
    }

    /// The fields that index and control file share.
    fn stanza(&self) -> String {
        let Self { name, version, arch, .. } = self;
        let mut text = format!("Package: {name}\nVersion: {version}\nArchitecture: {arch}\n");
        for (name, value) in &self.fields {
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }

    /// Its path in the archive.
    pub fn path(&self) -> String {
        format!("pool/main/{}_{}_{}.deb", self.name, self.version, self.arch)
    }

    /// The package as a file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut control = Tar::new(DATE);
        control.directory("./");
        let text = format!("{}Maintainer: T <t@example.org>\nDescription: a test\n", self.stanza());
        control.file("./control", 0o644, text.as_bytes());
        for (name, mode, text) in &self.control {
            control.file(&format!("./{name}"), *mode, text.as_bytes());
        }
        let mut data = Tar::new(DATE);
        data.directory("./");
        for (path, node) in &self.data {
            match node {
                Node::Directory => data.directory(&format!("./{path}/")),
                Node::File(mode, bytes) => data.file(&format!("./{path}"), *mode, bytes),
                Node::Symlink(target) => data.symlink(&format!("./{path}"), target),
            }
        }
        let mut deb = b"!<arch>\n".to_vec();
        for (name, bytes) in [
            ("debian-binary", b"2.0\n".to_vec()),
            ("control.tar.gz", control.gzip()),
            ("data.tar.gz", data.gzip()),
        ] {
            deb.extend_from_slice(
                format!("{name:<16}{DATE:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 100_644, bytes.len())
                    .as_bytes(),
            );
            deb.extend_from_slice(&bytes);
            if bytes.len() % 2 == 1 {
                deb.push(b'\n');
            }
        }
        deb
    }
}

/// A suite of an archive.
#[derive(Clone, Debug)]
pub struct Suite {
    name: String,
    date: u64,
    valid_until: Option<u64>,
    debs: Vec<Deb>,
}

impl Suite {
    /// A suite without packages, of [`DATE`], valid for ever.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), date: DATE, valid_until: None, debs: Vec::new() }
    }

    /// Of another time, in seconds since the epoch.
    #[must_use]
    pub fn date(mut self, date: u64) -> Self {
        self.date = date;
        self
    }

    /// With `Valid-Until`.
    #[must_use]
    pub fn valid_until(mut self, until: u64) -> Self {
        self.valid_until = Some(until);
        self
    }

    /// With a package.
    #[must_use]
    pub fn deb(mut self, deb: Deb) -> Self {
        self.debs.push(deb);
        self
    }
}

/// Files by their path in the archive.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files of an archive with these suites, signed by `key`.
pub fn publish(suites: &[Suite], key: &TestKey) -> Files {
    let mut files = Files::new();
    for suite in suites {
        let mut release = format!("Origin: Test\nCodename: {}\nDate: {}\n", suite.name, rfc5322(suite.date));
        if let Some(until) = suite.valid_until {
            let _ = writeln!(release, "Valid-Until: {}", rfc5322(until));
        }
        release.push_str("Acquire-By-Hash: yes\nSHA256:\n");
        for arch in ARCHES {
            let mut index = String::new();
            for deb in suite.debs.iter().filter(|deb| deb.arch == arch || deb.arch == "all") {
                let bytes = deb.bytes();
                let (path, size, sum) = (deb.path(), bytes.len(), sha256(&bytes));
                let _ = writeln!(index, "{}Filename: {path}\nSize: {size}\nSHA256: {sum}\n", deb.stanza());
                files.insert(path, bytes);
            }
            let packed = gzip(index.as_bytes());
            let folder = format!("main/binary-{arch}");
            for (name, bytes) in [("Packages", index.as_bytes()), ("Packages.gz", &packed)] {
                let _ = writeln!(release, " {} {} {folder}/{name}", sha256(bytes), bytes.len());
            }
            let by_hash = format!("dists/{}/{folder}/by-hash/SHA256/{}", suite.name, sha256(&packed));
            files.insert(by_hash, packed);
        }
        let made = u32::try_from(suite.date).unwrap_or(BORN);
        let signed = sign(release.trim_end(), &[key], made);
        files.insert(format!("dists/{}/InRelease", suite.name), signed.into_bytes());
    }
    files
}

/// An archive being served.
#[derive(Debug)]
pub struct Archive {
    /// The server behind it.
    pub server: Server,
    /// Its address, without a slash at the end.
    pub url: String,
    files: Arc<Mutex<Files>>,
}

impl Archive {
    /// Serves `files`.
    pub fn start(files: Files) -> Self {
        let files = Arc::new(Mutex::new(files));
        let served = files.clone();
        let server = Server::start(move |request| {
            let served = served.lock().unwrap_or_else(PoisonError::into_inner);
            let path = request.path.strip_prefix("/debian/");
            path.and_then(|path| served.get(path))
                .map_or(Response::status(404), |bytes| Response::ranged(request, bytes))
        });
        Self { url: server.url("/debian"), server, files }
    }

    /// What is served, to be changed.
    pub fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A time as archives write it (RFC 5322).
fn rfc5322(epoch: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = epoch / 86_400;
    let (year, month, day) = time::date(days);
    let (weekday, month) = (DAYS[(days % 7) as usize], MONTHS[(month - 1) as usize]);
    let clock = &time::rfc3339(epoch)[11..19];
    format!("{weekday}, {day:02} {month} {year} {clock} UTC")
}
