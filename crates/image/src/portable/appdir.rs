//! What makes the squashfs an AppDir (AppImageSpec, "AppDir"; Desktop Entry Specification 1.5; AppStream 1.0), for menus, for catalogues,
//! and for a mount that another program has made.

use super::About;
use super::PortableError;
use crate::ImageError;

/// A stone pen, 256 by 256.
const ICON: &[u8] = include_bytes!("../../data/portable.png");

/// What is executed where something else has mounted the squashfs: the file itself, which knows how to start, once.
const APPRUN: &str = "#!/bin/sh
if [ -n \"$APPIMAGE\" ] && [ -z \"$PINFOLD_APPRUN\" ]; then PINFOLD_APPRUN=1 exec \"$APPIMAGE\" \"$@\"; fi
echo 'run the AppImage itself: this is only what is in it' >&2; exit 5
";

/// Longest name of a file that is made of an image's name.
const MAX_NAME: usize = 64;

/// Whether a text can be the name of a file, of an agent, and of a command: letters, digits, `-` and `_`.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(plain) && !name.starts_with('-')
}

/// The files, as name, permission bits and content.
pub(super) fn files(about: &About) -> Result<Vec<(String, u16, Vec<u8>)>, ImageError> {
    let name = &about.name;
    if !is_name(name) {
        let reason = "its name is not of letters, digits, `-` and `_`".to_owned();
        return Err(PortableError::Program { program: name.clone(), reason }.into());
    }
    let agents = about.agents.join(", ");
    let summary = match &*agents {
        "" => "Programs in a sandbox".to_owned(),
        agents => format!("Agents in a sandbox: {agents}"),
    };
    let desktop = format!(
        "[Desktop Entry]\nType=Application\nName={name}\nComment={summary}\nExec={name}\nIcon={name}\nTerminal=true\n\
         Categories=Development;ConsoleOnly;\n"
    );
    let id = format!("dev.pinfold.{}", name.replace('-', "_"));
    let metainfo = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<component type=\"desktop-application\">\n  <id>{id}</id>\n  <name>{name}</name>\n  \
         <summary>{summary}</summary>\n  <metadata_license>FSFAP</metadata_license>\n  <project_license>LicenseRef-proprietary</project_license>\n  \
         <description><p>An image with {what} that runs on the current directory, and sees nothing else of this machine.</p></description>\n  \
         <launchable type=\"desktop-id\">{name}.desktop</launchable>\n  <content_rating type=\"oars-1.1\"/>\n</component>\n",
        what = if agents.is_empty() { "programs" } else { &agents },
    );
    Ok(vec![
        ("AppRun".into(), 0o755, APPRUN.into()),
        (format!("{name}.desktop"), 0o644, desktop.into_bytes()),
        (".DirIcon".into(), 0o644, ICON.into()),
        (format!("{name}.png"), 0o644, ICON.into()),
        (format!("usr/share/metainfo/{name}.appdata.xml"), 0o644, metainfo.into_bytes()),
    ])
}
