//! The JSON schemas under `schema/`, generated from the types of the manifest, of recipes, of the proxy's configuration and of
//! a pod's task.

use fs_err as fs;
use pinfold_engine::project::manifest::ManifestFile;
use pinfold_engine::project::recipe::RecipeFile;
use pinfold_engine::proxy::ProxyFile;
use pinfold_sandbox::pod::PodTask;

/// Whether files are compared or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Compare.
    Check,
    /// Write.
    Write,
}

/// Compares or writes all schemas.
pub(crate) fn check(mode: Mode) -> Result<(), String> {
    let folder = crate::root().join("schema");
    for (name, schema) in [
        ("pinfold.schema.json", pinfold_engine::schema_of::<ManifestFile>()),
        ("recipe.schema.json", pinfold_engine::schema_of::<RecipeFile>()),
        ("proxy.schema.json", pinfold_engine::schema_of::<ProxyFile>()),
        ("pod.schema.json", pinfold_engine::schema_of::<PodTask>()),
    ] {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())? + "\n";
        match mode {
            Mode::Write => {
                fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
                fs::write(&path, text).map_err(|error| error.to_string())?;
            }
            Mode::Check if fs::read_to_string(&path).is_ok_and(|old| old == text) => {}
            Mode::Check => {
                return Err(format!("schema/{name} is not what the types say: `cargo xtask schema --write`"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_schemas_are_those_of_the_types() {
        super::check(super::Mode::Check).unwrap();
    }
}
