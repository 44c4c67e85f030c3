//! What layers of store paths of Nix cost: a closure of about 200 MB in a binary cache compressed with zstd, its files here and in the page
//! cache, made into gzip layers. Beside it what nobody can go below (decompressed, hashed, compressed, hashed), measured by the same
//! libraries on one thread in this run, and what Nix's own programs do on this machine: `nix copy`, then `nix-store --export | gzip`.
//!
//! The closures are made of this machine's programs and libraries by Nix, in stores below the bench's folder: the same files as few packages,
//! each with a layer of its own, and as many that share layers. Packages differ by name: versions of one would be one component.

use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use pinfold_archive::codec;
use pinfold_archive::codec::decoder;
use pinfold_base::Algorithm;
use pinfold_base::digest::HashingReader;
use pinfold_base::digest::HashingWriter;
use pinfold_base::directory;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

use super::BenchArgs;
use super::Cost;
use super::Row;
use super::build::median;
use super::command;
use super::line;
use super::measure;
use super::write;
use crate::say;

/// Bytes of all files, and how many paths have them: few, and more than there are layers.
const BYTES: u64 = 200_000_000;
const FEW: u64 = 16;
const MANY: u64 = 256;
/// No file is larger, so that paths are about equal.
const MAX_FILE: u64 = BYTES / FEW;
/// How many times the floor building may cost, what Nix's programs cost at least of ours, and the peak in MiB.
const SHARE: f64 = 1.3;
const PEER: f64 = 3.0;
const PEAK: f64 = 100.0;
/// Where the files come from, the first first.
const FROM: [&str; 3] = ["/usr/lib/python3", "/usr/bin", "/usr/lib"];
/// How our program is called.
const BUILD: [&str; 4] = ["build", "--offline", "--locked", "--quiet"];

struct Bench<'a> {
    pinfold: &'a str,
    nix: Nix,
    rows: Vec<Row>,
}

/// Measures everything.
pub(super) fn rows(args: &BenchArgs, folder: &Path, pinfold: &str) -> Result<Vec<Row>, String> {
    let runs = args.runs.max(1);
    let mut bench = Bench::of(&folder.join("nix-few"), FEW, pinfold)?;
    say(&format!("{:<46} {:>8} {:>8} {:>8}", "what", "CPU s", "wall s", "peak MiB"));
    let nars = bench.nix.nars()?;
    let (costs, sizes): (Vec<Cost>, Vec<u64>) =
        (0..runs).map(|_| floor(&nars)).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let mib = sizes.first().copied().unwrap_or_default() >> 20;
    let floor = bench.tell(
        "floor: decompressed, hashed, compressed, hashed",
        median(costs),
        format!("{mib} MiB of NAR"),
    );
    let cost = bench.cold_build("gzip", runs)?;
    let note = format!("{:.2} × the floor (goal ≤ {SHARE}), peak goal ≤ {PEAK:.0}", cost.cpu / floor);
    let ours = bench.tell("cold build, gzip", cost, note);
    let cost = bench.one_changed(runs)?;
    let note = bench.note_of_change(cost, ours)?;
    bench.tell("one root changed", cost, note);
    let roots = bench.nix.roots()?;
    let costs = (0..runs).map(|_| bench.nix.copy_and_export(&roots));
    let cost = median(costs.collect::<Result<_, _>>()?);
    let note = format!("{:.1} × ours (goal ≥ {PEER}), {:.1} × the floor", cost.cpu / ours, cost.cpu / floor);
    let peer = bench.tell("peer: nix copy, nix-store --export | gzip", cost, note);
    let cost = bench.cold_build("zstd", runs)?;
    let note = format!("the peer above is {:.1} × this", peer / cost.cpu);
    bench.tell("cold build, zstd", cost, note);
    let mut rows = bench.rows;
    let mut bench = Bench::of(&folder.join("nix-many"), MANY, pinfold)?;
    let cost = bench.cold_build("gzip", runs)?;
    let note = format!("{} paths in as many layers as there may be", bench.nix.roots()?.len());
    let ours = bench.tell("cold build, shared layers", cost, note);
    let cost = bench.one_changed(runs)?;
    let note = bench.note_of_change(cost, ours)?;
    bench.tell("one root changed, shared layers", cost, note);
    rows.extend(bench.rows);
    Ok(rows)
}

impl<'a> Bench<'a> {
    /// A closure of so many paths, locked and fetched. It is made where it is missing.
    fn of(folder: &Path, paths: u64, pinfold: &'a str) -> Result<Self, String> {
        let nix = Nix { folder: folder.to_owned(), paths };
        for folder in ["conf", "project"] {
            fs::create_dir_all(nix.folder.join(folder)).map_err(|error| error.to_string())?;
        }
        if !nix.folder.join("roots").exists() {
            say("preparing: a closure of this machine's files, by Nix");
            nix.make()?;
        }
        let bench = Self { pinfold, nix, rows: Vec::new() };
        say("preparing: locking and fetching");
        bench.manifest("gzip", &bench.nix.roots()?)?;
        bench.pinfold(&["lock", "--quiet"])?;
        bench.pinfold(&["fetch", "--quiet"])?;
        Ok(bench)
    }

    /// Builds all paths of what was downloaded.
    fn cold_build(&self, compression: &str, runs: usize) -> Result<Cost, String> {
        self.manifest(compression, &self.nix.roots()?)?;
        self.pinfold(&["lock", "--offline", "--quiet"])?;
        let costs = (0..runs).map(|_| self.cold().and_then(|()| self.pinfold(&BUILD)));
        Ok(median(costs.collect::<Result<_, _>>()?))
    }

    /// Builds with another version of the first path when all others are built.
    fn one_changed(&self, runs: usize) -> Result<Cost, String> {
        let roots = self.nix.roots()?;
        let (Some((_, old)), Some((_, new))) = (roots.split_last(), roots.split_first()) else {
            return Err("there are no paths".into());
        };
        let costs = (0..runs).map(|_| {
            self.manifest("gzip", old)?;
            self.pinfold(&["lock", "--offline", "--quiet"])?;
            self.cold()?;
            self.pinfold(&BUILD)?;
            self.manifest("gzip", new)?;
            self.pinfold(&["lock", "--offline", "--quiet"])?;
            self.forget_build()?;
            self.pinfold(&BUILD)
        });
        Ok(median(costs.collect::<Result<_, _>>()?))
    }

    fn note_of_change(&self, cost: Cost, cold: f64) -> Result<String, String> {
        let paths = u32::try_from(self.nix.roots()?.len() - 1).map_or(f64::MAX, f64::from);
        let share = cost.cpu / cold * paths;
        Ok(format!("{share:.1} × the share of one path of {paths:.0} in the cold build"))
    }

    fn tell(&mut self, name: &str, cost: Cost, note: String) -> f64 {
        let Cost { cpu, wall, peak } = cost;
        let row = Row { name: name.into(), cpu, wall, peak, note, target: None };
        say(&line(&row));
        self.rows.push(row);
        cpu
    }

    fn pinfold(&self, args: &[&str]) -> Result<Cost, String> {
        let env = [
            ("PINFOLD_HOME", self.nix.folder.join("home").display().to_string()),
            ("NIX_CONF_DIR", self.nix.folder.join("conf").display().to_string()),
            ("NIX_USER_CONF_FILES", "/dev/null".to_owned()),
        ];
        let all: Vec<&str> = std::iter::once(self.pinfold).chain(args.iter().copied()).collect();
        measure(&self.nix.folder.join("project"), &env, &all)
    }

    fn manifest(&self, compression: &str, roots: &[String]) -> Result<(), String> {
        let roots: Vec<String> = roots.iter().map(|root| format!("{root:?}")).collect();
        let text = format!(
            "name = \"bench-nix\"\nplatforms = [\"linux/amd64\"]\n[image]\ncompression = {compression:?}\n[nix]\nroots = [{}]\n",
            roots.join(", ")
        );
        write(&self.nix.folder.join("project/pinfold.toml"), &text)
    }

    /// Leaves the downloads and nothing made from them.
    fn cold(&self) -> Result<(), String> {
        self.remove(&["cache/layers", "cache/decoded", "cache/builds", "data/images"])
    }

    /// Leaves what was made of each path, and takes away what says that all is built.
    fn forget_build(&self) -> Result<(), String> {
        self.remove(&["cache/builds"])
    }

    fn remove(&self, folders: &[&str]) -> Result<(), String> {
        let home = self.nix.folder.join("home");
        for path in folders.iter().map(|folder| home.join(folder)).filter(|path| path.exists()) {
            directory::remove(&path).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Nix's programs, with a store and a configuration of the bench's own.
///
/// ```text
/// FOLDER/{pieces,store,cache}   what paths are made of, the store that has them, the binary cache
/// FOLDER/roots                  the paths, one a line; the last is another version of the first
/// FOLDER/conf/nix.conf          names the cache and its key
/// FOLDER/{project,home}         the manifest, and what is ours
/// ```
struct Nix {
    folder: PathBuf,
    /// How many at most, without the other version of the first.
    paths: u64,
}

impl Nix {
    fn env(&self) -> [(&'static str, String); 4] {
        let folder = self.folder.display();
        [
            ("NIX_CONF_DIR", format!("{folder}/conf")),
            ("NIX_USER_CONF_FILES", "/dev/null".to_owned()),
            ("NIX_REMOTE", String::new()),
            ("HOME", format!("{folder}/nix-home")),
        ]
    }

    fn run(&self, args: &[&str]) -> Result<String, String> {
        let (program, args) = args.split_first().ok_or("nothing to run")?;
        let output = command(program)
            .args(args)
            .envs(self.env())
            .output()
            .map_err(|error| format!("cannot run {program} (it is in nix-bin): {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "`{program} {}` failed: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The paths; the last is another version of the first.
    fn roots(&self) -> Result<Vec<String>, String> {
        let text = fs::read_to_string(self.folder.join("roots")).map_err(|error| error.to_string())?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The files of the cache.
    fn nars(&self) -> Result<Vec<PathBuf>, String> {
        let entries = fs::read_dir(self.folder.join("cache/nar")).map_err(|error| error.to_string())?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    /// Makes the paths, the first a second time with a file more, and a cache with all.
    fn make(&self) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        let folder = &self.folder;
        let key = pinfold_testkit::nix::public_key();
        let cache = folder.join("cache");
        let conf = format!(
            "experimental-features = nix-command\nbuild-users-group =\nsubstituters = file://{}\ntrusted-public-keys = {}\n",
            cache.display(),
            key.trim()
        );
        write(&folder.join("conf/nix.conf"), &conf)?;
        write(&folder.join("secret"), pinfold_testkit::nix::secret_key().trim())?;
        let pieces = folder.join("pieces");
        if pieces.exists() {
            directory::remove(&pieces).map_err(|error| error.to_string())?;
        }
        let count = fill(&pieces, BYTES / self.paths)?;
        let store = format!("local?root={}/store", folder.display());
        let mut roots = Vec::new();
        for number in 0..count {
            let piece = pieces.join(piece(number));
            roots.push(self.run(&["nix-store", "--store", &store, "--add", &piece.display().to_string()])?);
        }
        let (first, changed) = (pieces.join(piece(0)), pieces.join("piece-aa-1.1"));
        fs::rename(first, &changed).map_err(failed)?;
        write(&changed.join("more"), "more\n")?;
        roots.push(self.run(&["nix-store", "--store", &store, "--add", &changed.display().to_string()])?);
        let to = format!(
            "file://{}?compression=zstd&secret-key={}",
            cache.display(),
            folder.join("secret").display()
        );
        let copy = ["nix", "copy", "--from", &store, "--to", &to];
        self.run(&copy.into_iter().chain(roots.iter().map(String::as_str)).collect::<Vec<_>>())?;
        write(&folder.join("roots"), &(roots.join("\n") + "\n"))
    }

    /// Gets the closure from the cache and makes one compressed file of it.
    fn copy_and_export(&self, roots: &[String]) -> Result<Cost, String> {
        let scratch = tempfile::tempdir_in(&self.folder).map_err(|error| error.to_string())?;
        let store = format!("local?root={}", scratch.path().display());
        let roots = roots.join(" ");
        let script = format!(
            "set -e; nix copy --from 'file://{}' --to '{store}' {roots}; nix-store --store '{store}' --export {roots} | gzip >{}/out",
            self.folder.join("cache").display(),
            scratch.path().display()
        );
        let cost = measure(&self.folder, &self.env(), &["sh", "-c", &script]);
        // Paths of a store cannot be written to.
        self.run(&["chmod", "-R", "u+w", &scratch.path().display().to_string()])?;
        cost
    }
}

/// The name of a package and its version: letters, since what follows a dash and is none begins the version.
fn piece(number: u64) -> String {
    let letter = |digit: u64| char::from(b'a' + (digit % 26) as u8);
    format!("piece-{}{}-1.0", letter(number / 26), letter(number))
}

/// Copies files of this machine until there are enough, in folders of at least so many bytes: how many folders.
fn fill(pieces: &Path, least: u64) -> Result<u64, String> {
    let failed = |error: io::Error| error.to_string();
    let mut open: Vec<PathBuf> = FROM.iter().rev().map(PathBuf::from).collect();
    let (mut bytes, mut number, mut begin) = (0, 0, 0);
    while let Some(from) = open.pop() {
        let Ok(entries) = fs::read_dir(&from) else { continue };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
        for entry in entries {
            let kind = entry.file_type().map_err(failed)?;
            let size = entry.metadata().map_err(failed)?.len();
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() && size < MAX_FILE {
                if bytes >= begin + least {
                    (number, begin) = (number + 1, bytes);
                }
                let path = entry.path();
                let below = path.strip_prefix("/").unwrap_or(&path);
                let to = pieces.join(piece(number)).join(below);
                fs::create_dir_all(to.parent().unwrap_or(pieces)).map_err(failed)?;
                if fs::copy(&path, &to).is_ok() {
                    bytes += size;
                }
            }
        }
        if bytes >= BYTES {
            return Ok(number + 1);
        }
    }
    Err(format!("there are only {bytes} bytes in {}", FROM.join(", ")))
}

/// Decompresses, hashes, compresses and hashes files once, on this thread; with the bytes of their content.
fn floor(nars: &[PathBuf]) -> Result<(Cost, u64), String> {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let (begin, wall) = (now(), Instant::now());
    let failed = |error: io::Error| error.to_string();
    let mut bytes = 0;
    for nar in nars.iter().filter(|nar| nar.extension().is_some_and(|extension| extension == "zst")) {
        let file = io::BufReader::with_capacity(1 << 20, fs::File::open(nar).map_err(failed)?);
        let plain = decoder(codec::Compression::Zstd, file).map_err(failed)?;
        let mut plain = HashingReader::new(Algorithm::Sha256, plain);
        let mut gzip = GzEncoder::new(HashingWriter::new(Algorithm::Sha256, io::sink()), Compression::new(6));
        bytes += io::copy(&mut plain, &mut gzip).map_err(failed)?;
        gzip.flush().and_then(|()| gzip.finish()).map_err(failed)?;
    }
    let cost = Cost {
        cpu: now().saturating_sub(begin).as_secs_f64(),
        wall: wall.elapsed().as_secs_f64(),
        peak: 0.0,
    };
    Ok((cost, bytes))
}
