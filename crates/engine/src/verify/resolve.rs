//! Which file a command is, inside an image.

use pinfold_base::ImagePath;
use pinfold_image::survey::Seen;
use pinfold_image::survey::Survey;
use pinfold_image::survey::What;

/// The executable file that a command is, found as execvp(3) does: with a slash as it stands, else in the directories of `path`.
/// The error says what is wrong.
pub fn command(survey: &Survey, path: &str, name: &str) -> Result<ImagePath, String> {
    let executable = |candidate: &str| match survey.find(candidate.as_bytes()) {
        Ok((real, Seen { what: What::File(_), mode, .. })) if mode & 0o111 != 0 => Ok(real.clone()),
        Ok((real, Seen { what: What::File(_), .. })) => Err(format!("`{real}` is not executable")),
        Ok((real, _)) => Err(format!("`{real}` is no file")),
        Err(nowhere) => Err(nowhere.to_string()),
    };
    if name.contains('/') {
        return executable(name);
    }
    let mut other = None;
    for directory in path.split(':').filter(|directory| directory.starts_with('/')) {
        let candidate = format!("{}/{name}", directory.trim_end_matches('/'));
        match executable(&candidate) {
            Ok(real) => return Ok(real),
            // What is there and does not work says more than that it is in no other directory.
            Err(problem)
                if survey
                    .in_real_directory(candidate.as_bytes())
                    .is_ok_and(|at| survey.paths.contains_key(&at)) =>
            {
                other.get_or_insert(format!("`{candidate}` does not work: {problem}"));
            }
            Err(_) => {}
        }
    }
    Err(other.unwrap_or_else(|| format!("`{name}` is in no directory of PATH (`{path}`)")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn commands_are_found_as_execvp_finds_them() {
        let seen = |what| Seen { layer: 0, what, mode: 0o755, uid: 0, gid: 0, size: 0 };
        let link = |target: &str| What::Link(target.as_bytes().into());
        let entries = [
            ("bin", link("usr/bin")),
            ("usr/bin/dir", link("..")),
            ("usr/bin/sh", link("/bin/dash")),
            ("usr/bin/dash", What::File(Arc::default())),
            ("usr/share", What::Directory),
        ];
        let paths = entries.map(|(path, what)| (ImagePath::new(path).unwrap(), seen(what))).into();
        let mut image = Survey { paths, ..Survey::default() };
        let of =
            |image: &Survey, path: &str, name: &str| command(image, path, name).map(|path| path.to_string());
        assert_eq!(of(&image, "/none:/bin", "sh"), Ok("/usr/bin/dash".into()));
        assert_eq!(of(&image, "", "/bin/sh"), Ok("/usr/bin/dash".into()));
        assert!(of(&image, "/bin", "zsh").unwrap_err().contains("in no directory of PATH"));
        image.paths.insert(ImagePath::new("usr").unwrap(), seen(What::Directory));
        assert!(of(&image, "/none:/bin", "dir").unwrap_err().contains("no file"));
        image.paths.get_mut(&ImagePath::new("usr/bin/dash").unwrap()).unwrap().mode = 0o644;
        assert!(of(&image, "/bin", "sh").unwrap_err().contains("is not executable"));
    }
}
