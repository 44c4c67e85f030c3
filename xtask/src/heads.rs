//! `cargo xtask heads`: pinfold for both platforms, to be put before an image with `pinfold pack --head`.
//!
//! The compiler is the machine's own where it has the target's standard library (`rustup target add`). Else it is the one that
//! Debian's security updates carry for browsers (`rustc-web`; the ordinary one is older than this project), fetched by apt from
//! the machine's archives and unpacked below `target/heads`: nothing is installed, dpkg is not asked. C code (`ring`, zstd,
//! SQLite) takes Debian's cross compiler, which has to be there.
//!
//! **Guarantees**: a head says its version, under qemu-user where it is of another machine. A standard library fits its own
//! compiler only and other compilers make other bytes, so the compiler's version is printed beside the SHA-256.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use pinfold_base::Arch;
use pinfold_base::Digest;
use pinfold_base::Platform;

use crate::say;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct HeadsArgs {
    /// Where the programs go: `DIR/pinfold-linux-arm64` and so on
    #[arg(long, value_name = "DIR", default_value = "target/heads")]
    output: PathBuf,
    /// Only these platforms
    #[arg(long, value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Pack an image with this program and each head of another machine, and try the file under qemu-user
    #[arg(long = "try", value_name = "PINFOLD")]
    with: Option<PathBuf>,
}

/// Debian's compiler and the standard library of a platform, with the packages that these name by version.
const COMPILER: &str = "rustc-web";
/// See [`COMPILER`].
const LIBRARY: &str = "libstd-rust-web-dev";

/// Builds what was asked for.
pub(crate) fn run(args: &HeadsArgs) -> Result<(), String> {
    let output = crate::root().join(&args.output);
    fs::create_dir_all(&output).map_err(|error| error.to_string())?;
    let platforms = if args.platform.is_empty() { Platform::ALL.to_vec() } else { args.platform.clone() };
    for platform in platforms {
        let built = build(platform)?;
        let head = output.join(format!("pinfold-linux-{}", platform.arch.oci()));
        fs::copy(&built, &head).map_err(|error| error.to_string())?;
        let bytes = fs::read(&head).map_err(|error| error.to_string())?;
        let version = printed(starting(platform, &head).arg("--version"))?;
        say(&format!(
            "{}: {}, {} bytes, {}",
            head.display(),
            version.trim(),
            bytes.len(),
            Digest::sha256(&bytes)
        ));
        if let Some(pinfold) = args.with.as_ref().filter(|_| Some(platform) != Platform::host()) {
            let pinfold = std::path::absolute(pinfold).map_err(|error| error.to_string())?;
            let words = ["tests/e2e/heads.sh", &pinfold.to_string_lossy(), &head.to_string_lossy()];
            crate::test::step("heads", "bash", &words)?;
        }
    }
    Ok(())
}

/// Builds the program for one platform; where it is then.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn build(platform: Platform) -> Result<PathBuf, String> {
    let target = format!("{}-unknown-linux-gnu", platform.arch.machine());
    let kept = crate::root().join("target/heads");
    let own = Path::new("rustc");
    let (rustc, into) = if has_library(own, &target)? {
        (own.to_owned(), kept.join("build"))
    } else {
        (debian(&kept.join("rust"), platform.arch)?, kept.join("build-debian"))
    };
    say(&format!("{target}: {}", printed(Command::new(&rustc).arg("--version"))?.trim()));
    let mut cargo = Command::new("cargo");
    cargo.current_dir(crate::root()).env("RUSTC", &rustc).env_remove("CARGO_TARGET_DIR");
    cargo
        .args(["build", "--release", "--package", "pinfold", "--target", &target, "--target-dir"])
        .arg(&into);
    // A release carries the worker for each platform, where `cargo xtask worker` has made them.
    let workers = crate::root().join("target/workers");
    let has = |known: Platform| workers.join(format!("linux-{}/sandbox", known.arch.oci())).is_file();
    if std::env::var_os("PINFOLD_WORKERS").is_none() && Platform::ALL.into_iter().all(has) {
        cargo.env("PINFOLD_WORKERS", &workers);
    }
    if Some(platform) != Platform::host() {
        let gcc = format!("{}-gcc", platform.arch.triplet());
        let packages =
            format!("gcc-{0} libc6-dev-{1}-cross", platform.arch.triplet(), platform.arch.debian());
        printed(Command::new(&gcc).arg("--version"))
            .map_err(|error| format!("{error}; Debian has it: `apt install {packages}`"))?;
        let name = target.to_uppercase().replace('-', "_");
        cargo
            .env(format!("CARGO_TARGET_{name}_LINKER"), &gcc)
            .env(format!("CC_{}", target.replace('-', "_")), &gcc);
    }
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("building for {platform} failed"));
    }
    Ok(into.join(&target).join("release/pinfold"))
}

/// Whether a compiler has the standard library of a target.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn has_library(rustc: &Path, target: &str) -> Result<bool, String> {
    let root = printed(Command::new(rustc).args(["--print", "sysroot"]))?;
    Ok(Path::new(root.trim()).join("lib/rustlib").join(target).join("lib").is_dir())
}

/// Debian's compiler, with the libraries of both platforms: fetched once into `folder`.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn debian(folder: &Path, arch: Arch) -> Result<PathBuf, String> {
    let host = Arch::host().ok_or("this machine is of no platform that heads are built on")?;
    let (root, rustc) = (folder.join("root"), folder.join("rustc"));
    let library = root.join("usr/lib/rustlib").join(format!("{}-unknown-linux-gnu", arch.machine()));
    if library.is_dir() && rustc.is_file() {
        return Ok(rustc);
    }
    let said = |error: std::io::Error| error.to_string();
    let (apt, packages) = (folder.join("apt"), folder.join("packages"));
    for directory in [apt.join("state/lists/partial"), apt.join("cache/archives/partial"), packages.clone()] {
        fs::create_dir_all(directory).map_err(said)?;
    }
    // apt of another configuration: both architectures, its own state, the machine's sources and keys.
    let configuration = apt.join("apt.conf");
    let words = format!(
        "APT::Architecture \"{host}\";\nAPT::Architectures {{ \"{host}\"; \"{arch}\"; }};\nAPT::Sandbox::User \"\";\n\
         Dir::State \"{apt}/state\";\nDir::State::status \"/var/lib/dpkg/status\";\nDir::Cache \"{apt}/cache\";\n",
        host = host.debian(),
        arch = arch.debian(),
        apt = apt.display()
    );
    fs::write(&configuration, words).map_err(said)?;
    let tool = |name: &str| {
        let mut command = Command::new(name);
        command.env("APT_CONFIG", &configuration).env("LC_ALL", "C").current_dir(&packages);
        command
    };
    printed(tool("apt-get").args(["--quiet", "update"]))?;
    let mut wanted = vec![COMPILER.to_owned()];
    for arch in [host, arch] {
        let library = format!("{LIBRARY}:{}", arch.debian());
        wanted.extend(versioned(
            &printed(tool("apt-cache").args(["depends", "--important", &library]))?,
            "libstd-rust-web-",
            arch,
        ));
        wanted.push(library);
    }
    // What the compiler itself is linked with, and is in no other compiler's system.
    let driver =
        wanted.iter().find(|name| name.starts_with("libstd-rust-web-1")).cloned().unwrap_or_default();
    wanted.extend(versioned(
        &printed(tool("apt-cache").args(["depends", "--important", &driver]))?,
        "libllvm",
        host,
    ));
    printed(tool("apt-get").arg("--quiet").arg("download").args(&wanted))?;
    let new = folder.join("new");
    for entry in fs::read_dir(&packages).map_err(said)? {
        let package = entry.map_err(said)?.path();
        printed(tool("dpkg-deb").arg("--extract").arg(&package).arg(&new))?;
    }
    pinfold_base::directory::remove(&root).map_err(|error| error.to_string())?;
    fs::rename(&new, &root).map_err(said)?;
    pinfold_base::directory::remove(&packages).map_err(|error| error.to_string())?;
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{0}/usr/lib/{1}' exec '{0}/usr/bin/rustc' \"$@\"\n",
        root.display(),
        host.triplet()
    );
    fs::write(&rustc, script).map_err(said)?;
    fs::set_permissions(&rustc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(said)?;
    Ok(rustc)
}

/// The names in the output of `apt-cache depends` that begin so, for one architecture.
fn versioned(depends: &str, begin: &str, arch: Arch) -> Vec<String> {
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let names = names.map(|name| name.split(':').next().unwrap_or(name));
    names.filter(|name| name.starts_with(begin)).map(|name| format!("{name}:{}", arch.debian())).collect()
}

/// A program of a platform, to be started here.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn starting(platform: Platform, program: &Path) -> Command {
    if Some(platform) == Platform::host() {
        return Command::new(program);
    }
    let mut command = Command::new(format!("qemu-{}-static", platform.arch.machine()));
    command.arg(program);
    command
}

/// What a program prints; an error with its own words when it fails.
fn printed(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{name}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{name}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use pinfold_base::Arch;

    use super::versioned;

    #[test]
    fn names_with_versions_are_taken_from_what_depends() {
        // As `apt-cache depends --important` prints it for a package of another architecture.
        let depends = "libstd-rust-web-dev:arm64\n  Depends: libstd-rust-web-1.96:arm64\n  Depends: libc6:arm64\n  Suggests: libllvm9\n";
        assert_eq!(versioned(depends, "libstd-rust-web-", Arch::Arm64), ["libstd-rust-web-1.96:arm64"]);
        assert_eq!(versioned(depends, "libllvm", Arch::Arm64), [""; 0]);
    }
}
