//! An image into the storage that a container runtime of Kubernetes looks at: containerd's, in the namespace of its CRI plugin.
//!
//! **Guarantees**: what is found there is told from another image of the same name by its configuration's digest, which is the id that
//! the runtime gives it; an image that is there is not sent again.

use std::time::Duration;
use std::time::Instant;

use pinfold_base::Platform;
use pinfold_cri::Client;
use pinfold_cri::CriError;
use pinfold_cri::Socket;
use pinfold_image::Image;
use pinfold_image::ImageSource;
use pinfold_image::export::Archive;
use pinfold_image::export::Selection;
use pinfold_image::export::known_name;
use pinfold_image::export::qualified;
use pinfold_image::export::stream;

use super::LoadError;
use super::program::Program;
use crate::context::Context;
use crate::ship::error::ShipError;

/// containerd's namespace that its CRI plugin works in.
const NAMESPACE: &str = "k8s.io";
/// How long the runtime may take to notice an image.
const NOTICED: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(50);

/// Sees to it that the runtime has the image: its id there. `ctr` is called where it has to be sent.
pub(crate) fn load(
    context: &Context,
    source: &ImageSource,
    image: &Image,
    platform: Platform,
    socket: &Socket,
) -> Result<String, ShipError> {
    let id = image.config.digest().to_string();
    let client = Client::connect(socket).map_err(LoadError::from)?;
    if has(&client, &id)? {
        return Ok(id);
    }
    let root = Selection::One(platform).root(source)?;
    // One without a name gets one that says what it is.
    let name = known_name(source.root())
        .unwrap_or_else(|| format!("localhost/pinfold:{}", id.trim_start_matches("sha256:")));
    let name = qualified(&name);
    let address = socket.path().display().to_string();
    context.reporter.note(&format!("loading `{name}` into containerd"));
    let words = ["--address", &address, "--namespace", NAMESPACE, "images", "import", "-"];
    Program::find(context, "ctr")?
        .feed(&words, |to| Ok(stream(source, &root, Archive::Oci, Some(&name), context.store.root(), to)?))?;
    let start = Instant::now();
    while !has(&client, &id)? {
        if start.elapsed() > NOTICED {
            return Err(LoadError::Cri(CriError::NoImage(name)).into());
        }
        std::thread::sleep(AGAIN);
    }
    Ok(id)
}

fn has(client: &Client, id: &str) -> Result<bool, ShipError> {
    match client.image(id) {
        Ok(found) => Ok(found == id),
        Err(CriError::NoImage(_)) => Ok(false),
        Err(error) => Err(LoadError::from(error).into()),
    }
}
