//! Where a base is read from (a registry, a layout, an archive), and whether the user's rules let it in.

use std::io;
use std::io::Write as _;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Reporter;
use pinfold_base::Store;
use pinfold_base::store::Expected;
use pinfold_base::store::StoreError;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::Reference;
use pinfold_image::blobs::BlobRead;
use pinfold_image::blobs::Blobs;
use pinfold_image::blobs::open_verified;
use pinfold_image::model::Descriptor;
use pinfold_image::registry::Client;
use pinfold_image::registry::RegistryBlobs;
use pinfold_image::registry::Remote;
use pinfold_image::registry::pull::first;
use pinfold_image::trust::Admitted;
use pinfold_image::trust::Origin;
use pinfold_image::trust::Rules;
use pinfold_image::trust::TrustError;
use pinfold_image::trust::admit_source;

use super::BaseRequest;
use super::Place;
use crate::context::Context;
use crate::context::Network;
use crate::ship::admit::Attached;
use crate::ship::admit::document;
use crate::ship::connect::reading;
use crate::ship::proofs::Kept;
use crate::ship::registries::Registries;
use crate::sources::Remotes;
use crate::sources::SourceError;

/// The registry has no such image.
#[derive(Debug, thiserror::Error)]
#[error("there is no image `{image}`")]
struct Missing {
    image: String,
}

impl Diagnose for Missing {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some("check name and tag of `image` in the manifest's `[base]`".into())
    }
}

/// The image is to be had only with a network.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {what}: the network is switched off")]
struct Offline {
    what: String,
}

impl Diagnose for Offline {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Network)
    }

    fn own_hint(&self) -> Option<String> {
        Some("run `pinfold fetch` once with a network, or name kept inputs with `--vendor DIR`".into())
    }
}

/// The base as it is today, let in by the user's rules.
pub(super) fn image(
    remotes: &Remotes<'_>,
    request: &BaseRequest,
) -> Result<Admitted<ImageSource>, SourceError> {
    let context = remotes.context;
    let rules = rules(context)?;
    let kept = Kept::of(context);
    let Place::Registry(reference) = &request.place else {
        return admit_source(rules, local(request)?, None, Origin::Place, &kept).map_err(SourceError::of);
    };
    let Asked { reference, remote, clients } = asked(context, request, qualified(context, reference)?)?;
    let answer =
        first(&clients, |client| client.get_manifest(&remote.which, None)).map_err(SourceError::of)?;
    let found = answer.ok_or_else(|| SourceError::of(Missing { image: request.image.clone() }))?;
    let found = document(context, &clients, &reference, found).map_err(SourceError::of)?;
    let root = found.descriptor.clone();
    let blobs = RegistryBlobs::new(clients).with(&found);
    let source = ImageSource::new(&request.image, root, Box::new(blobs));
    admit_source(rules, source, None, Origin::Name(&reference), &kept).map_err(SourceError::of)
}

/// Lets in what is locked: by the proofs that were kept when it was, else by those of its registry.
pub(super) fn locked(
    context: &Context,
    request: &BaseRequest,
    root: &Descriptor,
) -> Result<Admitted<ImageSource>, SourceError> {
    let rules = rules(context)?;
    let source = || {
        let stored = Stored(context.store.clone());
        ImageSource::new(&request.image, root.clone(), Box::new(stored))
    };
    let kept = Kept::of(context);
    let Place::Registry(reference) = &request.place else {
        return admit_source(rules, source(), None, Origin::Place, &kept).map_err(SourceError::of);
    };
    let reference = qualified(context, reference)?;
    match admit_source(rules, source(), None, Origin::Name(&reference), &kept) {
        Err(TrustError::Refused { .. }) if context.network() == Network::Online => {}
        result => return result.map_err(SourceError::of),
    }
    let Asked { reference, clients, .. } = asked(context, request, reference)?;
    admit_source(rules, source(), None, Origin::Name(&reference), &Attached(&clients))
        .map_err(SourceError::of)
}

/// Whom a base is asked of.
struct Asked {
    /// Its name, with its registry.
    reference: Reference,
    remote: Remote,
    clients: Vec<Client>,
}

fn asked(context: &Context, request: &BaseRequest, reference: Reference) -> Result<Asked, SourceError> {
    if context.network() == Network::Offline {
        return Err(SourceError::of(Offline { what: format!("`{}`", request.image) }));
    }
    let remote = Remote::of(&reference).map_err(SourceError::of)?;
    let clients = reading(context, &remote).map_err(SourceError::of)?;
    Ok(Asked { reference, remote, clients })
}

/// The name with the registry that it is in: of one without, what the machine's configuration of registries says.
fn qualified(context: &Context, reference: &Reference) -> Result<Reference, SourceError> {
    Registries::of(context).and_then(|all| all.qualified(reference)).map_err(SourceError::of)
}

fn rules(context: &Context) -> Result<&Rules, SourceError> {
    Ok(&context.settings().map_err(SourceError::of)?.trust)
}

/// An image in a directory or an archive.
fn local(request: &BaseRequest) -> Result<ImageSource, SourceError> {
    match &request.place {
        Place::Location(location) => ImageSource::from_location(location).map_err(SourceError::of),
        Place::Registry(_) => Err(SourceError::of(Missing { image: request.image.clone() })),
    }
}

/// Puts a part of the base into the store.
pub(super) fn bring(
    remotes: &Remotes<'_>,
    request: &BaseRequest,
    part: &Descriptor,
    what: &str,
    reporter: &dyn Reporter,
) -> Result<(), SourceError> {
    let store = &remotes.context.store;
    let source = remotes.kept(|| source(remotes.context, request, part))?;
    let failed = |error: ImageError| SourceError::of(error);
    if source.blobs().deliver(part, store, reporter).map_err(failed)? {
        return Ok(());
    }
    let mut blob = open_verified(source.blobs(), part).map_err(failed)?;
    let expected = Expected { digest: part.digest.clone(), size: Some(part.size) };
    let mut writer = store.writer(what, expected).map_err(SourceError::of)?;
    let copied = io::copy(&mut blob, &mut writer).and_then(|_| writer.flush());
    copied.map_err(StoreError::from).map_err(SourceError::of)?;
    writer.finish().map_err(SourceError::of)?;
    Ok(())
}

/// Where all parts of the base are read from that a verb wants.
fn source(context: &Context, request: &BaseRequest, part: &Descriptor) -> Result<ImageSource, SourceError> {
    let Place::Registry(reference) = &request.place else { return local(request) };
    let blobs = RegistryBlobs::new(asked(context, request, qualified(context, reference)?)?.clients);
    Ok(ImageSource::new(&request.image, part.clone(), Box::new(blobs)))
}

/// Parts of a base that were fetched.
struct Stored(Store);

impl Blobs for Stored {
    fn location(&self) -> String {
        "the cache".into()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        let missing = || ImageError::MissingBlob { digest: digest.clone(), place: self.location() };
        if !self.0.contains(digest) {
            return Err(missing());
        }
        Ok((Box::new(self.0.read(digest)?), self.0.size(digest)))
    }
}
