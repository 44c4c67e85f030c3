//! The list of all checks: ids that people and machines name them by, and what each says. The documentation's table is made of it.

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name: `closure.libraries`. The part before the dot is its group.
    pub id: &'static str,
    /// What holds where it passes, as a sentence without its full stop.
    pub says: &'static str,
}

impl Check {
    /// The part of its name before the dot.
    pub fn group(self) -> &'static str {
        self.id.split_once('.').map_or(self.id, |(group, _)| group)
    }
}

/// Writes a constant for each check, and the list of all.
macro_rules! checks {
    ($($name:ident = $id:literal: $says:literal;)*) => {
        $(#[doc = $says]
        pub const $name: Check = Check { id: $id, says: $says };)*

        /// All of them, in the order in which they are shown.
        pub const CHECKS: &[Check] = &[$($name),*];
    };
}

checks! {
    FILE_WHOLE = "file.whole": "a packed file is, byte for byte, what its program, its image and its words make";
    FILE_DIGEST = "file.digest": "it, or its image, has the SHA-256 that is asked for (`--digest`)";
    FILE_SIGNATURE = "file.signature": "the key that is asked for (`--key`) has signed it, or its image";
    OCI_BLOBS = "oci.blobs": "every blob has the size and digest that is claimed of it";
    OCI_LAYERS = "oci.layers": "every layer decompresses to the tar that the configuration names";
    OCI_DOCUMENTS = "oci.documents": "index, manifests and configurations agree with each other and with the specification";
    OCI_TAR = "oci.tar": "layers hold no duplicates, devices, absolute names, or entries before their directory";
    CLOSURE_PROGRAMS = "closure.programs": "every ELF file is of the image's platform, and its dynamic linker is there";
    CLOSURE_LIBRARIES = "closure.libraries": "every library that an ELF file needs is found where its loader looks";
    CLOSURE_VERSIONS = "closure.versions": "every symbol version that an ELF file needs is defined by the library that is found";
    CLOSURE_SCRIPTS = "closure.scripts": "the interpreter of every executable script is there";
    CLOSURE_LINKS = "closure.links": "every symbolic link leads to something, or to what exists only in a running system";
    CLOSURE_COMMANDS = "closure.commands": "entrypoint, command and the programs of npm packages are executable files";
    CLOSURE_USER = "closure.user": "user, group and home exist, and the home is the user's";
    CLOSURE_AUTHORITIES = "closure.authorities": "the bundle of certificates is there, and holds every authority that the image was given";
    HARDENING_SET_ID = "hardening.set-id": "no file or directory has the set-user-id or set-group-id bit";
    HARDENING_WRITABLE = "hardening.writable": "no path is writable for everybody, but directories with the sticky bit";
    HARDENING_OWNERS = "hardening.owners": "outside of the home, declared volumes and the state of Nix nothing is the user's";
    HARDENING_CAPABILITIES = "hardening.capabilities": "no file brings capabilities";
    HARDENING_MACHINE = "hardening.machine": "no machine id, host keys, random seeds, name or resolver of a machine";
    HARDENING_READ_ONLY = "hardening.read-only": "agents write only where a read-only root has a home, a volume or /tmp";
    SECRETS_FILES = "secrets.files": "no layer holds a key, token or login";
    SECRETS_ARCHIVES = "secrets.archives": "no archive that is a file of a layer holds one, as far as 3 archives in each other";
    SECRETS_CONFIG = "secrets.config": "environment, labels, annotations and history hold no secret";
    AGENTS_PRESENT = "agents.present": "every agent that the image names is there in its version, under its command";
    AGENTS_CONFIG = "agents.config": "every agent's configuration is well-formed and holds its keys";
    AGENTS_AUTONOMY = "agents.autonomy": "every agent acts without asking: its configuration says so";
    SIZE_BUDGET = "size.budget": "compressed layers stay within the budget";
    SIZE_CHANGE = "size.change": "what an image weighs more or less than another (`--against`) is known";
    ORIGIN_BASE = "origin.base": "the system below is the release that the image says";
    ORIGIN_COMPONENTS = "origin.components": "every path came with one component that the image names";
    ORIGIN_DPKG = "origin.dpkg": "files of Debian packages have the MD5 sums that their packages say";
    ORIGIN_LOCK = "origin.lock": "packages in the image are those of the lock, in their versions";
    RUN_START = "run.start": "the image starts in a sandbox";
    RUN_VERSION = "run.version": "every agent prints its version";
    RUN_USER = "run.user": "`id` is the user that the image says";
    RUN_INIT = "run.init": "the init that the entrypoint names runs the command";
    RUN_TOOLS = "run.tools": "tini and tmux print their versions";
    RUN_READ_ONLY = "run.read-only": "/usr/local cannot be written to";
    RUN_TMP = "run.tmp": "/tmp can be written to";
    RUN_SET_ID = "run.set-id": "`find / -perm /6000` finds nothing";
    RUN_PATH = "run.path": "~/.local/bin is on PATH, and can be written to";
    RUN_CONFIG = "run.config": "every agent accepts its own configuration";
    RUN_TOOL_CALL = "run.tool-call": "every agent runs a command that a model asks for, without asking anybody";
    RUN_CA = "run.ca": "HTTPS works with an authority that the image was given, and fails without it";
    REBUILD = "rebuild": "building again from the lock gives the same digest";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_names() {
        let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(names.len(), CHECKS.len());
        for check in CHECKS {
            assert!(!check.says.ends_with('.') && !check.says.is_empty(), "{}", check.id);
        }
    }

    #[test]
    fn the_documentation_has_them_all() {
        let rows = CHECKS.iter().map(|check| format!("| `{}` | {} |\n", check.id, check.says));
        let table = rows.collect::<Vec<_>>().concat();
        let text = include_str!("../../../../docs/verify.md");
        assert!(text.contains(&table), "docs/verify.md has another table than this:\n{table}");
    }
}
