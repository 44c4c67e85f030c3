//! Lists of modules that a library loads: image loaders of gdk-pixbuf, modules of GIO, input methods of GTK.
//!
//! A module is code, and its library starts it to ask what it can do. Nothing runs here, so what each says of itself is a table
//! by its name (`data/caches`), taken from the files that the libraries' own programs wrote on Debian 12 and 13. They agreed.
//!
//! **Guarantees**: modules that are in a table are listed as the library's program lists them; what is not in it is named.

/// What a library's program would have written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::debian) struct Listed {
    /// The list.
    pub(in crate::debian) text: String,
    /// Modules that are not in the table.
    pub(in crate::debian) unknown: Vec<String>,
}

const PIXBUF: &str = include_str!("../../../data/caches/gdk-pixbuf");
const GIO: &str = include_str!("../../../data/caches/gio");
const GTK2: &str = include_str!("../../../data/caches/gtk-2.0");
const GTK3: &str = include_str!("../../../data/caches/gtk-3.0");

/// What a table says of a module: the lines below its name.
fn lines<'a>(table: &'a str, name: &str) -> Option<&'a str> {
    table.split("\n\n").find_map(|block| {
        let (first, rest) = block.split_once('\n')?;
        (first == name).then_some(rest.trim_end_matches('\n'))
    })
}

/// Whether a name ends as those of shared objects do.
fn is_object(name: &str) -> bool {
    name.as_bytes().ends_with(b".so")
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `loaders.cache` of gdk-pixbuf, for loaders by their paths.
pub(in crate::debian) fn pixbuf(version: &str, paths: &[String]) -> Listed {
    let mut listed = Listed {
        text: format!(
            "# GdkPixbuf Image Loader Modules file\n# Automatically generated file, do not edit\n\
             # Created by gdk-pixbuf-query-loaders from gdk-pixbuf-{version}\n#\n"
        ),
        unknown: Vec::new(),
    };
    for path in paths {
        match lines(PIXBUF, name(path)) {
            Some(lines) => listed.text.push_str(&format!("\"{path}\"\n{lines}\n\n")),
            None => listed.unknown.push(path.clone()),
        }
    }
    listed.text.push('\n');
    listed
}

/// `giomodule.cache`, for the names in a folder; others than modules are passed over.
pub(in crate::debian) fn gio(names: &[String]) -> Listed {
    let mut listed = Listed::default();
    let is_module = |name: &&String| name.starts_with("lib") && is_object(name);
    for name in names.iter().filter(is_module) {
        let line = GIO.lines().find(|line| line.split(':').next() == Some(name));
        match line {
            Some(line) => listed.text.push_str(&format!("{line}\n")),
            None => listed.unknown.push(name.clone()),
        }
    }
    listed
}

/// A release of GTK with a list of input methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::debian) enum Gtk {
    /// GTK 2.
    Two,
    /// GTK 3.
    Three,
}

impl Gtk {
    /// The folder of the library below `/usr/lib/TRIPLET`.
    pub(in crate::debian) fn folder(self) -> &'static str {
        match self {
            Self::Two => "gtk-2.0/2.10.0",
            Self::Three => "gtk-3.0/3.0.0",
        }
    }
}

/// `immodules.cache` of GTK, for the names in its folder. `program` is what lists them, `library` is `/usr/lib/TRIPLET`.
pub(in crate::debian) fn input(
    gtk: Gtk,
    program: &str,
    version: &str,
    library: &str,
    names: &[String],
) -> Listed {
    let folder = gtk.folder();
    let series = folder.split('/').next().unwrap_or(folder);
    // GTK 2 names more places, which differ by its build; they are a comment.
    let places = match gtk {
        Gtk::Two => format!("{library}/{folder}/immodules"),
        Gtk::Three => [
            format!("{library}/{folder}/linux/immodules"),
            format!("{library}/{folder}/immodules"),
            format!("{library}/{series}/linux/immodules"),
            format!("{library}/{series}/immodules"),
        ]
        .join(":"),
    };
    let mut listed = Listed {
        text: format!(
            "# GTK+ Input Method Modules file\n# Automatically generated file, do not edit\n\
             # Created by {program} from gtk+-{version}\n#\n# ModulesPath = {places}\n#\n"
        ),
        unknown: Vec::new(),
    };
    let table = if gtk == Gtk::Two { GTK2 } else { GTK3 };
    for name in names.iter().filter(|name| is_object(name)) {
        match lines(table, name) {
            Some(lines) => {
                listed.text.push_str(&format!("\"{library}/{folder}/immodules/{name}\" \n{lines}\n\n"));
            }
            None => listed.unknown.push(name.clone()),
        }
    }
    listed
}

#[cfg(test)]
mod tests;
