//! The script makes again what is kept in `data/nix`.
#![expect(clippy::disallowed_methods, reason = "a foreign program is the point of this test")]
#![expect(clippy::print_stdout, reason = "a skipped test must say so")]

use std::path::Path;
use std::process::Command;

use pinfold_testkit::nix;

/// Why nothing can be made here: Nix, and the mount namespaces that its builders run in.
fn missing() -> Option<&'static str> {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !works("nix", &["--version"]) || !works("nix-store", &["--version"]) {
        return Some("nix-bin is not installed");
    }
    (!works("unshare", &["--user", "--map-root-user", "--mount", "true"])
        && !works("unshare", &["--mount", "true"]))
    .then_some("there are no mount namespaces for the builders")
}

#[test]
fn the_fixture_is_what_the_script_makes() {
    if let Some(reason) = missing() {
        println!("skip: {reason}");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/nix/make-nix-cache.sh");
    let out = tempfile::tempdir().unwrap();
    let output = Command::new("bash").arg(script).arg(out.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |folder: &Path, name: &str| fs_err::read_to_string(folder.join(name)).unwrap();
    for name in
        ["roots.tsv", "closure.txt", "registration", "keys/public", "keys/secret", "cache-xz/nix-cache-info"]
    {
        assert_eq!(read(out.path(), name), read(&nix::folder(), name), "{name}");
    }
    for path in nix::closure() {
        let name = format!("cache-xz/{}.narinfo", path.hash());
        let (kept, made) = (read(&nix::folder(), &name), read(out.path(), &name));
        // What follows liblzma is left out.
        let same = |text: &str| -> Vec<String> {
            let of_file =
                |line: &&str| ["URL: ", "FileHash: ", "FileSize: "].iter().any(|key| line.starts_with(key));
            text.lines().filter(|line| !of_file(line)).map(str::to_owned).collect()
        };
        assert_eq!(same(&kept), same(&made), "{name}");
        assert!(kept.contains("\nSig: fixture-1:"), "{kept}");
    }
    // Builders leave files that only their owner may remove.
    pinfold_base::directory::remove(out.path()).unwrap();
}
