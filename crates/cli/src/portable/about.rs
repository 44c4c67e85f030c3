//! What is done about a file that carries an image, and not with the image: nothing is kept, nothing is started.

use std::ffi::OsString;
use std::io;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use pinfold_base::Digest;
use pinfold_base::directory;
use pinfold_base::shown;
use pinfold_base::units;
use pinfold_image::ImageError;
use pinfold_image::blobs::Blobs as _;
use pinfold_image::blobs::VerifiedReader;
use pinfold_image::blobs::unwrap_io;
use pinfold_image::portable::Form;
use pinfold_image::portable::Portable;

use super::error::PortableVerbError;
use super::words::AppImage;
use crate::commands::Outcome;
use crate::render;
use crate::render::page::Page;

/// The variable by which another runtime says which file is meant (AppImageSpec, "Environment variables").
const TARGET: &str = "TARGET_APPIMAGE";
/// Where files go that are taken out.
const ROOT: &str = "squashfs-root";
/// What the agent's files are called below the user's own.
const PREFIX: &str = "pinfold-";

/// The contract of AppImages.
pub(super) fn contract(asked: &AppImage, own: &Portable, path: &Path) -> Outcome {
    let target = std::env::var_os(TARGET).filter(|target| !target.is_empty()).map(PathBuf::from);
    let other = target.as_deref().map(Portable::open).transpose()?;
    let portable = other.as_ref().unwrap_or(own);
    let path = target.as_deref().unwrap_or(path);
    let offset = portable.offset().ok_or(PortableVerbError::NoAppImage)?;
    let mut page = Page::default();
    match asked {
        AppImage::Help => page.lines(
            "--appimage-help                    this\n\
             --appimage-version                 the version of pinfold\n\
             --appimage-offset                  where the squashfs begins, in bytes\n\
             --appimage-extract [PATTERN]       put its files into ./squashfs-root\n\
             --appimage-extract-and-run WORDS   run, as without it: nothing is ever mounted\n\
             --appimage-updateinfo              where updates are\n\
             --appimage-signature               the signature in the file (there is none: it has one beside it)\n\
             --appimage-portable-home           keep everything in FILE.home, beside the file\n\
             --appimage-mount                   not possible: use --appimage-extract",
        ),
        AppImage::Version => page.line(shown!("pinfold {}", env!("CARGO_PKG_VERSION"))),
        AppImage::Offset => page.line(offset.to_string()),
        AppImage::Updates => page.line(portable.section(".upd_info")?),
        AppImage::Signature => page.line(portable.section(".sha256_sig")?),
        AppImage::Extract(pattern) => {
            return extract(portable, Path::new(ROOT), pattern.as_ref());
        }
        AppImage::PortableHome => {
            let mut home = path.as_os_str().to_owned();
            home.push(".home");
            let home = PathBuf::from(home);
            fs::create_dir_all(&home).map_err(ImageError::from)?;
            page.line(shown!("from now on all is kept in `{}`; work in another directory than that", home.display()));
        }
        AppImage::Mount => {
            return Err(PortableVerbError::Mount.into());
        }
    }
    render::out(&page);
    Ok(ExitCode::SUCCESS)
}

/// What a file is.
pub(super) fn info(portable: &Portable) -> ExitCode {
    let index = portable.index();
    let mut page = Page::default();
    page.line(shown!("name      {}", index.name));
    page.line(shown!("agents    {}", index.agents.join(", ")));
    page.line(shown!("platform  {}", index.platform));
    page.line(shown!("image     {}", index.image.digest));
    page.line(shown!("unpacked  about {}", units::bytes(index.unpacked)));
    page.line(shown!("program   {}", portable.program_digest()));
    page.line(shown!("made by   pinfold {}", env!("CARGO_PKG_VERSION")));
    if let Some(offset) = portable.offset() {
        page.line(shown!("squashfs  at byte {offset}"));
    }
    render::out(&page);
    ExitCode::SUCCESS
}

/// Whether it is what this program makes of the image, byte for byte. It cannot say whose it is: that needs its digest or a signature
/// from elsewhere.
pub(super) fn verify(portable: &Portable) -> Outcome {
    let digest = portable.verify()?;
    render::out(&Page::from(shown!(
        "whole: {digest}, the image {}; who made it is not said by it: compare one of the two, or a signature",
        portable.index().image.digest
    )));
    Ok(ExitCode::SUCCESS)
}

/// Puts its files into a directory that is not there yet; those that a pattern means. Where that fails nothing is left.
pub(super) fn extract(portable: &Portable, directory: &Path, pattern: Option<&OsString>) -> Outcome {
    fs::create_dir(directory).map_err(ImageError::from)?;
    let pattern = pattern.map(|pattern| pattern.as_bytes());
    let files = match extract_into(portable, directory, pattern) {
        Ok(files) => files,
        Err(error) => {
            if let Err(remains) = directory::remove(directory) {
                render::note(shown!("{remains}"));
            }
            return Err(error.into());
        }
    };
    match pattern {
        // As the reference runtime has it, this is no failure.
        Some(pattern) if files == 0 => {
            let pattern = String::from_utf8_lossy(pattern);
            render::note(shown!("nothing in it is called `{pattern}`: `{}` is empty", directory.display()));
        }
        _ => render::note(shown!("{files} files in `{}`", directory.display())),
    }
    Ok(ExitCode::SUCCESS)
}

/// How many files that are.
fn extract_into(portable: &Portable, directory: &Path, pattern: Option<&[u8]>) -> Result<u32, ImageError> {
    let mut files = 0_u32;
    for file in portable.files() {
        let (path, mode, mut content) = file?;
        let name = path.to_string();
        let name = name.trim_start_matches('/');
        if pattern.is_some_and(|pattern| !is_meant(pattern, name.as_bytes())) {
            continue;
        }
        let to = directory.join(name);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut new = fs::OpenOptions::new().write(true).create_new(true).mode(mode.into()).open(&to)?;
        files += 1;
        let digest = name
            .strip_prefix("oci/blobs/sha256/")
            .and_then(|hex| Digest::from_hex(pinfold_base::Algorithm::Sha256, hex).ok());
        if let Some(digest) = digest {
            let (blob, size) = portable.open(&digest)?;
            content = Box::new(VerifiedReader::new(blob, digest, size));
        }
        io::copy(&mut content, &mut new).map_err(unwrap_io)?;
    }
    Ok(files)
}

/// Whether a pattern of glob(7), `*` and `?` alone, means a name or a directory that it is in. `*` does not stop at slashes.
fn is_meant(pattern: &[u8], name: &[u8]) -> bool {
    let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain([name.len()]).any(|end| is_match(pattern, &name[..end]))
}

/// Whether a pattern means all of a name: where it does not, the last `*` takes one byte more.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name, mut star) = (0, 0, None);
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((pattern, taken)) = star else { return false };
                star = Some((pattern, taken + 1));
                (at, in_name) = (pattern + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Where a file is found by shell and menu: a link, an entry, an icon.
struct Installed {
    /// What the link leads to.
    starts: PathBuf,
    link: PathBuf,
    entry: PathBuf,
    icon: PathBuf,
}

impl Installed {
    fn of(portable: &Portable, path: &Path) -> Result<Self, PortableVerbError> {
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let home = home.ok_or(PortableVerbError::NoHome)?;
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let data = data.unwrap_or_else(|| home.join(".local/share"));
        let name = &portable.index().name;
        let starts = match portable.form() {
            Form::Folder => path.join("run.sh"),
            Form::AppImage | Form::Tar => path.to_owned(),
        };
        Ok(Self {
            starts,
            link: home.join(".local/bin").join(name),
            entry: data.join("applications").join(format!("{PREFIX}{name}.desktop")),
            icon: data.join("icons/hicolor/256x256/apps").join(format!("{PREFIX}{name}.png")),
        })
    }
}

/// A link in `~/.local/bin`; entry and icon, which an AppImage has, unless the user has said that they want none (`DESKTOPINTEGRATION`).
pub(super) fn install(portable: &Portable, path: &Path) -> Outcome {
    let Installed { starts, link, entry, icon } = Installed::of(portable, path)?;
    let name = &portable.index().name;
    let there = fs::read_link(&link).ok();
    if there.as_deref() != Some(&*starts) {
        if fs::symlink_metadata(&link).is_ok() {
            return Err(PortableVerbError::Taken(link).into());
        }
        folder_of(&link)?;
        std::os::unix::fs::symlink(&starts, &link).map_err(ImageError::from)?;
    }
    let unwanted = std::env::var_os("DESKTOPINTEGRATION")
        .is_some_and(|value| value == "0" || value == "false")
        || ["/etc/skel/.config/no_desktopintegration", "/etc/no_desktopintegration"]
            .iter()
            .any(|file| Path::new(file).exists());
    if !unwanted && portable.form() == Form::AppImage {
        for (to, from) in [(&entry, format!("/{name}.desktop")), (&icon, format!("/{name}.png"))] {
            let bytes = content(portable, &from)?;
            let text = if to == &entry {
                let Some(exec) = exec_value(path) else {
                    render::note("no entry for menus is made: a path that is not UTF-8 cannot be in one");
                    break;
                };
                let icon = format!("Icon={PREFIX}{name}");
                let text = String::from_utf8_lossy(&bytes).into_owned();
                text.replace(&format!("Exec={name}"), &format!("Exec={exec}"))
                    .replace(&format!("Icon={name}"), &icon)
                    .into_bytes()
            } else {
                bytes
            };
            folder_of(to)?;
            fs::write(to, text).map_err(ImageError::from)?;
        }
    }
    render::note(shown!(
        "`{name}` leads to `{}`; `{name} --pinfold-uninstall` takes it away",
        starts.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Takes away what installing made.
pub(super) fn uninstall(portable: &Portable, path: &Path) -> Outcome {
    let Installed { starts, link, entry, icon } = Installed::of(portable, path)?;
    // Of another file with this name nothing is taken away.
    if fs::read_link(&link).is_ok_and(|to| to != starts) {
        return Err(PortableVerbError::Taken(link).into());
    }
    let leads = fs::read_link(&link).is_ok();
    for file in [leads.then_some(&link), Some(&entry), Some(&icon)].into_iter().flatten() {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ImageError::from(error).into());
            }
            _ => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A program as the key `Exec` names it (Desktop Entry Specification 1.5, "The Exec key"): quoted, its own signs of quoting, `$` and `` ` ``
/// escaped, percent signs doubled; then escaped once more as every string is ("Possible value types"). Nothing where it is no text.
fn exec_value(program: &Path) -> Option<String> {
    let mut value = String::from("\"");
    for letter in program.to_str()?.chars() {
        match letter {
            '\\' => value.push_str(r"\\\\"),
            '"' | '$' | '`' => value.extend([r"\\", letter.encode_utf8(&mut [0; 4])]),
            '%' => value.push_str("%%"),
            '\n' => value.push_str(r"\n"),
            '\r' => value.push_str(r"\r"),
            '\t' => value.push_str(r"\t"),
            letter => value.push(letter),
        }
    }
    value.push('"');
    Some(value)
}

fn folder_of(file: &Path) -> Result<(), ImageError> {
    file.parent().map_or(Ok(()), |folder| Ok(fs::create_dir_all(folder)?))
}

/// A small file of it.
fn content(portable: &Portable, name: &str) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    for file in portable.files() {
        let (path, _, mut content) = file?;
        if path.to_string() == name {
            content.read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    /// What GLib's `g_key_file_get_string` and then `g_shell_parse_argv` make of each is the path, with `%%` for `%`.
    #[test]
    fn a_path_in_a_menu_is_quoted_twice() {
        for (path, value) in [
            ("/a b.AppImage", r#""/a b.AppImage""#),
            (r"/a\b", r#""/a\\\\b""#),
            (r#"/a"b"#, r#""/a\\"b""#),
            ("/$a`b", r#""/\\$a\\`b""#),
            ("/50%", r#""/50%%""#),
            ("/a\nb", r#""/a\nb""#),
        ] {
            assert_eq!(exec_value(Path::new(path)).as_deref(), Some(value), "{path}");
        }
        assert_eq!(exec_value(Path::new(OsStr::from_bytes(b"/\xff"))), None);
    }

    #[test]
    fn patterns_mean_names_and_what_is_below_them() {
        for (pattern, name, means) in [
            ("usr/*", "usr/share/metainfo/x", true),
            ("oci", "oci/index.json", true),
            ("usr/share", "usr/share/x", true),
            ("us", "usr/share/x", false),
            ("*.png", "box.png", true),
            ("*.p?g", "box.png", true),
            ("*.png", "box.png.txt", false),
            ("", "x", false),
        ] {
            assert_eq!(is_meant(pattern.as_bytes(), name.as_bytes()), means, "{pattern} {name}");
        }
        // Many stars take no time.
        let pattern = "*a".repeat(40) + "b";
        assert!(!is_meant(pattern.as_bytes(), "a".repeat(4096).as_bytes()));
    }
}
