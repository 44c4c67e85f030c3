//! Directories of the image that are written to: what is written stays with the sandbox, or with those that share it, and the
//! image as it is.

use std::os::unix::fs::PermissionsExt;

use fs_err as fs;
use pinfold_base::directory;
use pinfold_base::error::one_line;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Kept;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::MountSource;
use pinfold_sandbox::spec::Written;

use crate::host::Host;
use crate::sessions;

/// Where it is, and what the image has in it.
const TARGET: &str = "/nix";
const FILE: &str = "store/one";
const TEXT: &str = "of the image";

fn spec(host: &Host, name: &str, image: &str, kept: Kept) -> Spec {
    let mut spec = sessions::spec(host, name, "rewritten");
    spec.home.keep = Keep::Home;
    let written =
        Written { image: image.into(), whole: vec!["var".into()], alone: vec!["store".into()], kept };
    spec.mounts.push(Mount { source: MountSource::Image(written), ..Mount::writable("/", TARGET) });
    spec.args.push(format!("{TARGET}/{FILE}").into());
    spec
}

/// What stands in the image, as the host sees it.
fn in_image(host: &Host) -> Result<(), String> {
    let directory = host.root.join(&TARGET[1..]).join("store");
    let text = fs::read_to_string(directory.join("one")).map_err(|error| error.to_string())?;
    let names = fs::read_dir(&directory).map_err(|error| error.to_string())?.count();
    if (text.as_str(), names) == (TEXT, 1) {
        Ok(())
    } else {
        Err(format!("the image has {text:?} and {names} names"))
    }
}

/// Runs it: the probe is told what it must find, and rewrites it.
fn run(host: &Host, spec: &Spec, runtime: Runtime, finds: &str) -> Result<(), String> {
    let mut spec = spec.clone();
    spec.args.push(finds.into());
    match sessions::sandboxes(host).run(&spec, runtime, Stdio::Null) {
        Ok(Exit::Code(0)) => Ok(()),
        Ok(other) => Err(format!("{} did not find {finds:?} ({other})", spec.name)),
        Err(error) => Err(one_line(&error)),
    }
}

/// One sandbox's own: it finds what it wrote, and no other one does, nor one of another image.
pub(crate) fn own(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sessions::sandboxes(host);
    let first = spec(host, "own", "0", Kept::Sandbox);
    run(host, &first, runtime, TEXT)?;
    in_image(host)?;
    run(host, &first, runtime, "rewritten")?;
    run(host, &spec(host, "other", "0", Kept::Sandbox), runtime, TEXT)?;
    run(host, &spec(host, "own", "1", Kept::Sandbox), runtime, TEXT)?;
    in_image(host)?;
    for name in ["own", "other"] {
        let name = spec(host, name, "0", Kept::Sandbox).name;
        sandboxes.remove(&name).map_err(|error| one_line(&error))?;
        if sandboxes.directory().join(&name).exists() {
            return Err(format!("something of {name} stays"));
        }
    }
    // Without a name it goes with the run.
    let mut gone = first.clone();
    gone.home.keep = Keep::Run;
    run(host, &gone, runtime, TEXT)?;
    run(host, &gone, runtime, TEXT)?;
    // Control: with the image's directory itself, the image is what is changed.
    control(host, runtime, &first)
}

/// Shared by two: both write to it, and it is not the image either.
pub(crate) fn shared(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sessions::sandboxes(host);
    let place = host.scratch.join("shared");
    let kept = || Kept::Shared(place.join("0"));
    let (first, second) = (spec(host, "first", "0", kept()), spec(host, "second", "0", kept()));
    run(host, &first, runtime, TEXT)?;
    run(host, &second, runtime, "rewritten")?;
    in_image(host)?;
    for spec in [&first, &second] {
        sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    }
    if !pinfold_sandbox::remove_shared(&place.join("0")).map_err(|error| one_line(&error))? {
        return Err("somebody still has it".into());
    }
    run(host, &first, runtime, TEXT)?;
    sandboxes.remove(&first.name).map_err(|error| one_line(&error))?;
    let _ = pinfold_sandbox::remove_shared(&place.join("0"));
    control(host, runtime, &first)
}

fn control(host: &Host, runtime: Runtime, spec: &Spec) -> Result<(), String> {
    let copy = host.scratch.join("written-image");
    let _ = directory::remove(&copy);
    fs::create_dir_all(copy.join("store")).unwrap();
    fs::create_dir_all(copy.join("var")).unwrap();
    fs::write(copy.join(FILE), TEXT).unwrap();
    fs::set_permissions(copy.join(FILE), PermissionsExt::from_mode(0o444)).unwrap();
    let mut weak = spec.clone();
    weak.home.keep = Keep::Run;
    weak.mounts = vec![Mount::writable(&copy, TARGET)];
    run(host, &weak, runtime, TEXT)?;
    match fs::read_to_string(copy.join(FILE)) {
        Ok(text) if text == "rewritten" => Ok(()),
        other => Err(format!("the control: {other:?}")),
    }
}
