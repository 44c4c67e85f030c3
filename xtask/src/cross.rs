//! Compilers for both platforms, for what is shipped as a program: heads and workers.
//!
//! The compiler is the machine's own where it has the target's standard library (`rustup target add`). Else it is the one that
//! Debian's security updates carry for browsers (`rustc-web`; the ordinary one is older than this project), fetched by apt from
//! the machine's archives and unpacked below `target/heads`: nothing is installed, dpkg is not asked. C code (`ring`, zstd,
//! SQLite) takes Debian's cross compiler, which has to be there.
//!
//! **Guarantees**: a standard library fits its own compiler only and other compilers make other bytes, so the compiler's version is
//! printed.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use pinfold_base::Arch;
use pinfold_base::Platform;

use crate::say;

/// Debian's compiler and the standard library of a platform, with the packages that these name by version.
const COMPILER: &str = "rustc-web";
/// See [`COMPILER`].
const LIBRARY: &str = "libstd-rust-web-dev";

/// A compiler that has the standard libraries of some platforms.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    rustc: PathBuf,
    /// Where what it makes may lie: other compilers' does elsewhere.
    pub(crate) into: PathBuf,
}

/// What is to be built.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    /// The package.
    pub(crate) package: &'a str,
    /// The profile.
    pub(crate) profile: &'a str,
    /// For the compiler, beside those of `.cargo/config.toml`.
    pub(crate) flags: &'a [String],
    /// For build scripts and the compiler.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
}

/// The compiler for all of these platforms: the machine's own, else Debian's.
pub(crate) fn compiler(platforms: &[Platform]) -> Result<Compiler, String> {
    let kept = crate::root().join("target/heads");
    let own = Path::new("rustc");
    let mut found = Compiler { rustc: own.to_owned(), into: kept.join("build") };
    for platform in platforms {
        if !has_library(own, &target(*platform))? {
            let rustc = debian(&kept.join("rust"), platform.arch)?;
            found = Compiler { rustc, into: kept.join("build-debian") };
        }
    }
    Ok(found)
}

/// The target of a platform, as the compiler names it.
fn target(platform: Platform) -> String {
    format!("{}-unknown-linux-gnu", platform.arch.machine())
}

impl Compiler {
    /// Its version, as it says it.
    pub(crate) fn version(&self) -> Result<String, String> {
        Ok(printed(command(&self.rustc).arg("--version"))?.trim().to_owned())
    }

    /// Builds what is asked for; the program is in the folder that comes back.
    #[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
    pub(crate) fn build(&self, platform: Platform, asked: &Asked<'_>) -> Result<PathBuf, String> {
        let target = target(platform);
        say(&format!("{target}: {}", self.version()?));
        let mut cargo = Command::new("cargo");
        cargo.current_dir(crate::root()).env("RUSTC", &self.rustc).env_remove("CARGO_TARGET_DIR");
        cargo
            .args(["build", "--profile", asked.profile, "--package", asked.package])
            .args(["--target", &target, "--target-dir"])
            .arg(&self.into)
            .envs(asked.variables.iter().map(|(name, value)| (name, value)));
        if !asked.flags.is_empty() {
            // The separator is for flags with spaces; the variable takes the place of the configuration's.
            let all: Vec<&str> = ["-C", "target-feature=+crt-static"]
                .into_iter()
                .chain(asked.flags.iter().map(String::as_str))
                .collect();
            cargo.env("CARGO_ENCODED_RUSTFLAGS", all.join("\u{1f}"));
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
        Ok(self.into.join(&target).join(asked.profile))
    }
}

#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn command(program: &Path) -> Command {
    Command::new(program)
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
pub(crate) fn starting(platform: Platform, program: &Path) -> Command {
    if Some(platform) == Platform::host() {
        return Command::new(program);
    }
    let mut command = Command::new(format!("qemu-{}-static", platform.arch.machine()));
    command.arg(program);
    command
}

/// What a program prints; an error with its own words when it fails.
pub(crate) fn printed(command: &mut Command) -> Result<String, String> {
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
