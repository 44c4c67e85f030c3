//! What programs need when they run and packages make when they are installed: made here from what lies in the tree, or asked
//! for and made when everything is there.

use pinfold_archive::Component;

use super::Command;
use super::Word;
use super::as_text;
use super::files::last_component;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long;
use super::options::long_valued;
use super::options::valued;
use crate::debian::caches::capabilities;
use crate::debian::caches::modules;
use crate::debian::caches::modules::Gtk;
use crate::debian::caches::modules::Listed;
use crate::debian::caches::settings;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// What it takes to compile a byte of settings; made to be slow it takes four times as much.
const COMPILED: u64 = 64;
/// The program that writes the keystore of Java.
const KEYSTORE_JAR: &[u8] = b"/usr/share/ca-certificates-java/ca-certificates-java.jar";

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "ldconfig" | "update-ca-certificates" | "pam-auth-update" | "shadowconfig" => asked,
        "java" => java,
        "setcap" => setcap,
        "glib-compile-schemas" => compile_schemas,
        "gio-querymodules" => gio,
        "gdk-pixbuf-query-loaders" => pixbuf,
        "gtk-query-immodules-2.0" => |shell, words| input(shell, words, Gtk::Two),
        "gtk-query-immodules-3.0" => |shell, words| input(shell, words, Gtk::Three),
        _ => return None,
    })
}

/// Notes that the command was asked for, under its own name: it does its work over the whole image. Options that ask for less,
/// or for another place, are not known.
fn asked(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = as_text(last_component(&words[0]));
    let known: &[Known] = match name.as_str() {
        "ldconfig" => &[flag('v', "verbose"), flag('X', ""), valued('r', "")],
        "update-ca-certificates" => &[flag('v', "verbose"), flag('f', "fresh"), long_valued('h', "hooksdir")],
        "pam-auth-update" => &[long('p', "package"), long('f', "force"), long_valued('r', "root")],
        _ => &[],
    };
    let given = options::read(shell, words, known)?;
    let elsewhere = given.value('r').is_some_and(|root| !matches!(&**root, b"" | b"/"));
    let on = name == "shadowconfig" && matches!(&given.operands[..], [word] if **word == *b"on");
    if elsewhere || !given.operands.is_empty() && !on {
        return Err(shell.fault(words, "this use of it is not known"));
    }
    shell.world().asked.insert(name);
    Ok(0)
}

/// A program that is not there, as every shell says it.
fn not_found(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    shell.say_error(format!("{}: not found\n", words[0].escape_ascii()).as_bytes())?;
    Ok(127)
}

/// Java is there or not, and writes the keystore; no other program is known.
fn java(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if shell.found(&words[0]).is_none() {
        return not_found(shell, words);
    }
    let given: Vec<&[u8]> = words[1..].iter().map(|word| &**word).collect();
    match given[..] {
        [b"-version"] => Ok(0),
        [.., b"-jar", KEYSTORE_JAR, b"-storepass", _] => {
            shell.world().asked.insert("update-ca-certificates-java".into());
            Ok(0)
        }
        _ => Err(shell.fault(words, "a program in Java is not evaluated")),
    }
}

/// `setcap [-q] TEXT FILE…`, `setcap -r FILE…`: the attribute of regular files. Whether it stays is the policy's to say.
fn setcap(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if shell.found(&words[0]).is_none() {
        return not_found(shell, words);
    }
    const KNOWN: &[Known] = &[flag('q', ""), flag('r', "")];
    let given = options::read(shell, words, KNOWN)?;
    let (mut pairs, mut rest) = (Vec::new(), given.operands.iter());
    while let Some(first) = rest.next() {
        let pair =
            if given.has('r') { Some((None, first)) } else { rest.next().map(|file| (Some(first), file)) };
        pairs.push(pair.ok_or_else(|| shell.fault(words, "`setcap` has a text and a file"))?);
    }
    let cwd = shell.cwd().to_vec();
    for (text, file) in pairs {
        let attribute = match text.map(|text| capabilities::attribute(&as_text(text))) {
            None => None,
            Some(Some(attribute)) => Some(attribute),
            Some(None) => {
                shell.say_error(b"fatal error: Invalid argument\n")?;
                return Ok(1);
            }
        };
        let path = match shell.world().stat(&cwd, file, Last::Itself) {
            Ok(stat) if stat.kind == Kind::File => stat.path,
            Ok(_) => return shell.failed(words, file, Errno::Invalid),
            Err(errno) => return shell.failed(words, file, errno),
        };
        let shown = text.map(|text| as_text(text).escape_debug().to_string());
        if let Err(errno) = shell.world().set_capabilities(&path, attribute) {
            return shell.failed(words, file, errno);
        }
        shell.world().note(match shown {
            Some(shown) => format!("capabilities {path} {shown}, where `[policy] set-id` keeps them"),
            None => format!("capabilities {path} none"),
        });
    }
    Ok(0)
}

/// The names in a folder, in order; nothing where there is no such folder.
fn names(shell: &mut Shell<'_, '_>, folder: &[u8]) -> Result<Option<Vec<String>>, Errno> {
    let cwd = shell.cwd().to_vec();
    let stat = match shell.world().stat(&cwd, folder, Last::Followed) {
        Ok(stat) if stat.kind == Kind::Directory => stat,
        Err(errno) if !errno.is_told() => return Err(errno),
        _ => return Ok(None),
    };
    let names = shell.world().list(&stat.path)?;
    Ok(Some(names.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect()))
}

/// Writes a cache; it belongs to nobody's package, since it is made of what several bring.
fn write(shell: &mut Shell<'_, '_>, path: &str, bytes: Vec<u8>, owner: &str) -> Result<(), Errno> {
    let cwd = shell.cwd().to_vec();
    let world = shell.world();
    let file = world.open_to_write(&cwd, path.as_bytes(), 0o644, Kept::Nothing)?;
    world.replace_content(&file, bytes)?;
    if let Some(node) = world.tree.get_mut(&file) {
        node.owner = Component::generated(owner);
    }
    Ok(())
}

/// `glib-compile-schemas FOLDER`
fn compile_schemas(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given = options::read(shell, words, &[])?;
    let [folder] = &given.operands[..] else { return Err(shell.fault(words, "one folder is expected")) };
    let found = match names(shell, folder) {
        Ok(Some(found)) => found,
        Ok(None) => return shell.failed(words, folder, Errno::NotFound),
        Err(errno) => return shell.failed(words, folder, errno),
    };
    let folder = as_text(folder).trim_end_matches('/').to_owned();
    let mut files = Vec::new();
    for name in found.into_iter().filter(|name| settings::is_source(name)) {
        let path = format!("{folder}/{name}");
        let cwd = shell.cwd().to_vec();
        match shell.world().read(&cwd, path.as_bytes()) {
            Ok(bytes) => {
                shell.spend(COMPILED * bytes.len() as u64)?;
                files.push((name, bytes));
            }
            // A link that leads nowhere is passed over, as a file that cannot be read is.
            Err(errno) if errno.is_told() => {}
            Err(errno) => return shell.failed(words, path.as_bytes(), errno),
        }
    }
    let compiled = settings::compile(files);
    for (name, why) in &compiled.left_out {
        shell.world().not_done(&format!("settings of {folder}/{}: {why}", name.escape_debug()));
    }
    let path = format!("{folder}/{}", settings::NAME);
    let Some(bytes) = compiled.bytes else { return Ok(0) };
    match write(shell, &path, bytes, "settings") {
        Ok(()) => {
            shell.world().note(format!("settings compiled from {} files: {path}", compiled.files));
            Ok(0)
        }
        Err(errno) => shell.failed(words, path.as_bytes(), errno),
    }
}

/// Says which modules are not listed, and what is lost.
fn tell(shell: &mut Shell<'_, '_>, listed: &Listed, what: &str) {
    for name in &listed.unknown {
        shell.world().not_done(&format!("{what} of the module {}, which is not known", name.escape_debug()));
    }
}

/// `gio-querymodules FOLDER…`
fn gio(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given = options::read(shell, words, &[])?;
    for folder in &given.operands {
        let found = match names(shell, folder) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(errno) => return shell.failed(words, folder, errno),
        };
        let listed = modules::gio(&found);
        tell(shell, &listed, "what GIO would load");
        if listed.text.is_empty() {
            continue;
        }
        let path = format!("{}/giomodule.cache", as_text(folder).trim_end_matches('/'));
        match write(shell, &path, listed.text.into_bytes(), "gio-modules") {
            Ok(()) => shell.world().note(format!("modules of GIO listed: {path}")),
            Err(errno) => return shell.failed(words, path.as_bytes(), errno),
        }
    }
    Ok(0)
}

/// `/usr/lib/TRIPLET`
fn library(shell: &mut Shell<'_, '_>) -> String {
    format!("/usr/lib/{}", shell.world().arch.triplet())
}

/// The upstream version of the first of these packages that is there.
fn upstream(shell: &mut Shell<'_, '_>, packages: &[&str]) -> String {
    let world = shell.world();
    let version = packages.iter().find_map(|name| world.packages.get(*name)).map(|package| &*package.version);
    let version = version.unwrap_or_default();
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    version.split(['-', '+', '~']).next().unwrap_or_default().to_owned()
}

/// `gdk-pixbuf-query-loaders LOADER…`: the list, which goes where the script says.
fn pixbuf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given = options::read(shell, words, &[])?;
    let version = upstream(shell, &["libgdk-pixbuf-2.0-0"]);
    let mut paths = Vec::new();
    let cwd = shell.cwd().to_vec();
    for path in &given.operands {
        if shell.world().stat(&cwd, path, Last::Followed).is_ok_and(|stat| stat.kind == Kind::File) {
            paths.push(as_text(path));
        }
    }
    let listed = modules::pixbuf(&version, &paths);
    tell(shell, &listed, "images that gdk-pixbuf reads by way");
    shell.world().note(format!("{} loaders of gdk-pixbuf listed", paths.len() - listed.unknown.len()));
    shell.say(listed.text.as_bytes())?;
    Ok(0)
}

/// `gtk-query-immodules-3.0 --update-cache`
fn input(shell: &mut Shell<'_, '_>, words: &[Word], gtk: Gtk) -> Status {
    if words.len() != 2 || &*words[1] != b"--update-cache" {
        return Err(shell.fault(words, "this use of it is not known"));
    }
    let library = library(shell);
    let folder = format!("{library}/{}", gtk.folder());
    let found = match names(shell, format!("{folder}/immodules").as_bytes()) {
        Ok(found) => found.unwrap_or_default(),
        Err(errno) => return shell.failed(words, folder.as_bytes(), errno),
    };
    let packages: &[&str] = match gtk {
        Gtk::Two => &["libgtk2.0-0t64", "libgtk2.0-0"],
        Gtk::Three => &["libgtk-3-0t64", "libgtk-3-0"],
    };
    let version = upstream(shell, packages);
    let listed = modules::input(gtk, &as_text(&words[0]), &version, &library, &found);
    tell(shell, &listed, "an input method");
    let path = format!("{folder}/immodules.cache");
    match write(shell, &path, listed.text.into_bytes(), "input-methods") {
        Ok(()) => {
            shell.world().note(format!("input methods listed: {path}"));
            Ok(0)
        }
        Err(errno) => shell.failed(words, path.as_bytes(), errno),
    }
}
