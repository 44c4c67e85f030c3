//! Puts the workers into the program, where the build is told where they are: `PINFOLD_WORKERS=DIR` with `DIR/linux-ARCH/sandbox`, as
//! `cargo xtask worker` writes them. Without the variable there are none; with it, none may be missing.

#![expect(clippy::disallowed_methods, reason = "a build script has the standard library alone")]

use std::fmt::Write as _;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-env-changed=PINFOLD_WORKERS");
    let mut text = String::from(
        "/// Workers by the name of their architecture.\nstatic EMBEDDED: &[(&str, &[u8])] = &[\n",
    );
    if let Some(folder) = std::env::var_os("PINFOLD_WORKERS").filter(|folder| !folder.is_empty()) {
        for arch in ["amd64", "arm64"] {
            let file = std::path::absolute(PathBuf::from(&folder).join(format!("linux-{arch}/sandbox")))?;
            println!("cargo::rerun-if-changed={}", file.display());
            if !file.is_file() {
                return Err(format!("PINFOLD_WORKERS: there is no `{}`", file.display()).into());
            }
            writeln!(text, "    ({arch:?}, include_bytes!({:?})),", file.display().to_string())?;
        }
    }
    text.push_str("];\n");
    std::fs::write(PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("workers.rs"), text)?;
    Ok(())
}
