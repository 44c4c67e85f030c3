//! What binary caches, `nix.conf`, Nix's lists of inputs and its answers say.

use std::io;
use std::path::Path;

use pinfold_base::http::SafeUrl;
use pinfold_sources::nix::Conf;
use pinfold_sources::nix::NarInfo;
use pinfold_sources::nix::cache::CacheInfo;
use pinfold_sources::nix::database;
use pinfold_sources::nix::flake::Package;
use pinfold_sources::nix::flake::Resolution;
use pinfold_sources::nix::flake::Said;
use pinfold_sources::nix::local::listed;

/// Any bytes as a narinfo: what is read stays below its cache, refers to store paths alone, and signs one text.
pub fn narinfo(bytes: &[u8]) {
    let _ = CacheInfo::parse(bytes);
    let Ok(narinfo) = NarInfo::parse(bytes) else { return };
    let (info, file) = (narinfo.claims(), narinfo.claimed_file());
    let cache = SafeUrl::parse("https://cache.example/below").expect("an address");
    let url = file.url.at(&cache).expect("what was taken can be joined");
    assert!(url.same_origin(&cache) && url.path().starts_with("/below/") && !url.path().contains(".."));
    let text = info.fingerprint();
    assert!(text.is_ascii() && !text.contains('\n'));
    assert_eq!(text.matches("/nix/store/").count(), 1 + info.references.len());
}

/// Any bytes as the list of a build's inputs: what is read is each path once, and of a size that can be.
pub fn nixlist(bytes: &[u8]) {
    let Ok(listed) = listed::parse(bytes) else { return };
    for (path, info) in &listed {
        assert!(info.path == *path && info.nar_size > 0);
        let text = info.fingerprint();
        assert!(text.is_ascii() && !text.contains('\n'));
        assert_eq!(text.matches("/nix/store/").count(), 1 + info.references.len());
    }
}

/// Any bytes as `nix.conf`, every file that it includes being the same: it comes to an end.
pub fn nixconf(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut again = |_: &Path| Ok(text.to_owned());
    let _ = Conf::default().read(text, Path::new("/etc/nix/nix.conf"), &mut again);
    let mut none = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let mut conf = Conf::default();
    if conf.read(text, Path::new("/etc/nix/nix.conf"), &mut none).is_ok() {
        let lists = [conf.substituters, conf.trusted_public_keys, conf.trusted_substituters];
        for list in &lists {
            for value in list.values() {
                assert!(!value.text.is_empty() && !value.text.contains([' ', '\t', '\n', '\r', '#']));
            }
        }
    }
}

/// A line as the name of a package and any bytes as Nix's answer: a name is written as it was read, and an answer has only store paths.
/// The same bytes as the database of another image.
pub fn nixnames(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (line, answer) = bytes.split_at(end);
    let package = std::str::from_utf8(line).ok().and_then(|line| line.parse::<Package>().ok());
    if let Some(package) = &package {
        assert_eq!(package.to_string().parse::<Package>().expect("what is written is read"), *package);
    }
    let _ = database::read(answer.get(1..).unwrap_or_default().to_vec());
    let Ok(answer) = Resolution::parse(answer) else { return };
    let Some(package) = package else { return };
    if let Said::Found(found, _) = answer.of(&package, "x86_64-linux") {
        for path in found.outputs.values() {
            assert!(!path.0.base_name().contains('/'));
        }
    }
}
