//! `images`, `tag`, `rmi`: what is in the local store, as values, the image that a name means, and giving names and taking them.
//!
//! **Refuses** to remove what a running sandbox stands on, and an image of several names by its digest, unless forced.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::store::Expected;
use pinfold_base::text::word;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::Location;
use pinfold_image::Place;
use pinfold_image::Reference;
use pinfold_image::blobs::read_document;
use pinfold_image::model::Descriptor;
use pinfold_image::model::ImageConfiguration;
use pinfold_image::model::Index;
use pinfold_image::model::Manifest;
use pinfold_image::sink::is_index;
use pinfold_image::sink::parts;
use pinfold_image::trust::Admitted;
use pinfold_image::trust::Origin;
use pinfold_image::trust::TrustError;
use pinfold_image::trust::Why;
use pinfold_image::trust::admit_source;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Spec;
use serde::Serialize;

use super::gc;
use crate::context::Context;
use crate::settings::SettingsError;
use crate::ship::proofs::Kept;

/// Why an image is not found, or not used.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It is not there, or cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The user's rules do not let it in.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The user's rules cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl FindError {
    fn inner(&self) -> &dyn Diagnose {
        match self {
            Self::Image(error) => error,
            Self::Trust(error) => error,
            Self::Settings(error) => error,
        }
    }
}

impl Diagnose for FindError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Inner(self.inner())
    }

    fn own_hint(&self) -> Option<String> {
        let Self::Trust(TrustError::Refused { image, why: Why::Missing, .. }) = self else { return None };
        let named = image.parse::<Reference>().is_ok_and(|name| name.registry().is_some());
        named.then(|| format!("`pinfold pull {}` asks its registry for it", word(image)))
    }

    fn lines(&self) -> Vec<Shown> {
        self.inner().lines()
    }
}

/// The image that text means (a place outside of the store, or a name in it), let in by the user's rules: for whatever unpacks it, runs
/// it or gives it away. What a project here made needs nobody's signature; of what came from elsewhere the proofs that were kept count.
pub fn find(context: &Context, text: &str) -> Result<Admitted<ImageSource>, FindError> {
    if Location::is_spelt_by(text) {
        return find_at(context, &text.parse()?);
    }
    let rules = &context.settings()?.trust;
    let kept = Kept::of(context);
    let (store, reference): (_, Reference) = (context.images()?, text.parse()?);
    let found = store.find(&reference)?;
    let source = ImageSource::new(&reference.to_string(), found.descriptor, Box::new(store));
    let origin = if found.owner.is_some() { Origin::Made } else { Origin::Name(&reference) };
    Ok(admit_source(rules, source, found.upstream.index.as_ref(), origin, &kept)?)
}

/// The same of a directory or file.
pub fn find_at(context: &Context, place: &Location) -> Result<Admitted<ImageSource>, FindError> {
    let source = ImageSource::from_location(place)?;
    Ok(admit_source(&context.settings()?.trust, source, None, Origin::Place, &Kept::of(context))?)
}

/// The same, to be looked at only.
pub fn look(context: &Context, text: &str) -> Result<ImageSource, ImageError> {
    if Location::is_spelt_by(text) {
        return ImageSource::from_location(&text.parse()?);
    }
    ImageSource::from_store(&context.images()?, &text.parse()?)
}

/// What stands for a name that an image does not have, as elsewhere.
pub const NO_NAME: &str = "<none>";
/// Fewest hexadecimal digits that an image is found by.
const DIGITS: usize = 6;

/// Why an image is not removed, or gets no name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// The image store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The user's rules do not let it in, or it cannot be told.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The sandboxes.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A running sandbox stands on it.
    #[error("the sandbox `{sandbox}` runs on the image `{image}`")]
    InUse {
        /// The image.
        image: String,
        /// A sandbox.
        sandbox: String,
    },
    /// It has several names, and its digest was said.
    #[error("the image `{image}` has several names: {}", names.join(", "))]
    Names {
        /// The image.
        image: String,
        /// Its names.
        names: Vec<String>,
    },
    /// It is part of an image.
    #[error("`{image}` is one platform of the image `{of}`, and is not removed alone")]
    Part {
        /// The part.
        image: String,
        /// A name of the image, or its digest.
        of: String,
    },
    /// Digits that several images begin with.
    #[error("several images begin with `{0}`")]
    Ambiguous(String),
}

impl Diagnose for NameError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Find(error) => Diagnosis::Inner(error),
            Self::Sandbox(error) => Diagnosis::Inner(error),
            Self::InUse { .. } => Diagnosis::Own(Kind::Refused),
            Self::Names { .. } | Self::Part { .. } | Self::Ambiguous(_) => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::InUse { image, sandbox } => Some(format!(
                "`pinfold stop {}` first, or `pinfold rmi --force {}`: the sandbox goes on",
                word(sandbox),
                word(image)
            )),
            Self::Names { image, .. } => Some(format!(
                "say one of the names, or `pinfold rmi --force {}` for all of them",
                word(image)
            )),
            Self::Part { of, .. } => Some(format!("`pinfold rmi {}` removes all of it", word(of))),
            Self::Ambiguous(_) => Some("`pinfold images --no-trunc` shows all of their digits".into()),
            Self::Image(_) | Self::Find(_) | Self::Sandbox(_) => None,
        }
    }
}

/// An image that text means, and by what.
enum Meant {
    Name(Reference, Descriptor),
    Digest(Descriptor),
}

/// The image of the store that text means: `NAME[:TAG]`, `NAME@DIGEST`, or a digest or how one begins.
fn meant(store: &ImageStore, text: &str) -> Result<Meant, NameError> {
    let reference = text.parse::<Reference>();
    if let Ok(reference) = &reference {
        match store.resolve(reference) {
            Ok(found) if reference.digest().is_none() => return Ok(Meant::Name(reference.clone(), found)),
            Ok(found) => return Ok(Meant::Digest(found)),
            Err(ImageError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    if digits.len() >= DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let mut found: Vec<Descriptor> = store.list()?.into_iter().map(|entry| entry.descriptor).collect();
        found.retain(|found| found.digest.hex().starts_with(&digits.to_ascii_lowercase()));
        found.dedup_by(|a, b| a.digest == b.digest);
        found.sort_by(|a, b| a.digest.cmp(&b.digest));
        found.dedup_by(|a, b| a.digest == b.digest);
        match found.len() {
            0 => {}
            1 => return Ok(Meant::Digest(found.remove(0))),
            _ => return Err(NameError::Ambiguous(text.to_owned())),
        }
    }
    // The error that says which names there are.
    Err(store
        .resolve(&reference?)
        .err()
        .map_or_else(|| NameError::Ambiguous(text.to_owned()), NameError::from))
}

/// Gives an image one more name. Says what project the name was taken from.
pub fn tag(context: &Context, image: &str, name: &Reference) -> Result<Option<String>, NameError> {
    let store = context.images()?;
    let found = match meant(&store, image)? {
        Meant::Name(_, found) | Meant::Digest(found) => found,
    };
    // It stays the image of the project that it comes from, whatever it is called.
    let entries = store.list()?;
    // A new name does not take it out of the rule for the one it has.
    let names =
        entries.iter().filter(|entry| entry.owner.is_none() && entry.descriptor.digest == found.digest);
    let whole = image.parse::<Reference>().ok().filter(|name| store.resolve(name).is_ok());
    let named = names.filter_map(|entry| entry.reference.clone()).chain(whole);
    for name in named.map(|name| name.to_string()) {
        find(context, &name)?;
    }
    let owner =
        entries.into_iter().find_map(|entry| entry.owner.filter(|_| entry.descriptor.digest == found.digest));
    Ok(store.tag(name, &found, owner.as_deref())?)
}

/// What `rmi` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Names that were taken away.
    pub untagged: Vec<String>,
    /// The image, when nothing leads to it any more.
    pub deleted: Option<Digest>,
}

/// Takes a name away, and the image with its last name: its blobs, and its roots that nobody stands on.
pub fn remove(context: &Context, text: &str, force: bool) -> Result<Removed, NameError> {
    let store = context.images()?;
    let meant = meant(&store, text)?;
    let (Meant::Name(_, found) | Meant::Digest(found)) = &meant;
    let entries = store.list()?;
    if !entries.iter().any(|entry| entry.descriptor.digest == found.digest) {
        let whole = entries.iter().find(|entry| holds(&store, &entry.descriptor, &found.digest));
        let of = whole.map_or_else(
            || found.digest.to_string(),
            |entry| {
                let digest = || entry.descriptor.digest.to_string();
                entry.reference.as_ref().map_or_else(digest, ToString::to_string)
            },
        );
        return Err(NameError::Part { image: text.to_owned(), of });
    }
    let names: Vec<String> = entries
        .iter()
        .filter(|entry| entry.descriptor.digest == found.digest)
        .filter_map(|entry| entry.reference.as_ref().map(ToString::to_string))
        .collect();
    let (untagged, last) = match &meant {
        Meant::Name(name, _) => (vec![name.name_and_tag().unwrap_or_default()], names.len() < 2),
        Meant::Digest(_) if names.len() > 1 && !force => {
            return Err(NameError::Names { image: text.to_owned(), names });
        }
        Meant::Digest(_) => (names, true),
    };
    if last && !force {
        refuse_in_use(context, &store, text, found)?;
    }
    if !last {
        if let Meant::Name(name, _) = &meant {
            store.untag(name)?;
        }
        return Ok(Removed { untagged, deleted: None });
    }
    // A damaged image has parts that nobody knows; the next `gc` finds them.
    let parts: Vec<Digest> = parts(&store, found)
        .map(|parts| parts.into_iter().map(|part| part.digest).collect())
        .unwrap_or_default();
    store.forget(&found.digest)?;
    store.drop_blobs(&parts)?;
    gc::drop_old_roots(context);
    Ok(Removed { untagged, deleted: Some(found.digest.clone()) })
}

/// Whether an index of the store has this part.
fn holds(store: &ImageStore, root: &Descriptor, part: &Digest) -> bool {
    is_index(root)
        && read_document::<Index>(store, root)
            .is_ok_and(|index| index.value().manifests.iter().any(|entry| entry.digest == *part))
}

/// Refuses an image that a running sandbox stands on.
fn refuse_in_use(
    context: &Context,
    store: &ImageStore,
    text: &str,
    found: &Descriptor,
) -> Result<(), NameError> {
    let source = ImageSource::new(text, found.clone(), Box::new(store.clone()));
    // One that is damaged has no root that could be told.
    let manifests = source.platforms().unwrap_or_default();
    let roots: Vec<PathBuf> = manifests
        .values()
        .map(|manifest| context.home.data().join("rootfs").join(manifest.digest.hex()))
        .collect();
    let sandboxes = context.sandboxes();
    for sandbox in sandboxes.list()? {
        let stands = |spec: &Spec| roots.contains(&spec.rootfs);
        if sandbox.status.is_live() && sandboxes.spec(&sandbox.name).is_ok_and(|spec| stands(&spec)) {
            return Err(NameError::InUse { image: text.to_owned(), sandbox: sandbox.name });
        }
    }
    Ok(())
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Name without the tag.
    pub repository: String,
    /// Tag.
    pub tag: String,
    /// Digest of the index or image manifest.
    pub digest: Digest,
    /// Platforms, `amd64` or `linux/amd64` as the index says.
    pub platforms: Vec<String>,
    /// RFC 3339 time that the image carries.
    pub created: String,
    /// Compressed size of all layers of all platforms, each blob once.
    pub size: u64,
    /// The project that it comes from, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Whether something of it is missing or damaged: a build makes it again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

impl Listed {
    /// Before its documents are read.
    fn new(reference: Option<&Reference>, root: &Descriptor) -> Self {
        let none = || NO_NAME.to_owned();
        Self {
            repository: reference.map_or_else(none, |reference| reference.name().to_owned()),
            tag: reference.and_then(|reference| reference.tag()).map_or_else(none, ToOwned::to_owned),
            project: None,
            digest: root.digest.clone(),
            platforms: Vec::new(),
            created: String::new(),
            size: 0,
            damaged: false,
        }
    }
}

/// Which images are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that have a name.
    Named,
    /// Also those that are kept for the projects that run them.
    All,
}

/// All images, by name. One that is damaged is listed as such, with what is known of it.
pub fn list(context: &Context, which: Which) -> Result<Vec<Listed>, ImageError> {
    let store = context.images()?;
    let mut found = Vec::new();
    for entry in store.list()? {
        if which == Which::Named && entry.reference.is_none() {
            continue;
        }
        let mut listed = Listed::new(entry.reference.as_ref(), &entry.descriptor);
        listed.project = entry.owner;
        match describe(&store, &entry.descriptor, &mut listed) {
            Err(ImageError::Io(error)) => return Err(error.into()),
            described => listed.damaged = !described.unwrap_or(false),
        }
        found.push(listed);
    }
    Ok(found)
}

/// Whether all blobs of a stored image are there and what they should be. Of one outside of the store nothing is looked at.
pub fn is_whole(context: &Context, text: &str) -> Result<bool, ImageError> {
    let Place::Store(reference) = text.parse()? else { return Ok(true) };
    let store = context.images()?;
    let looked = store
        .resolve(&reference)
        .and_then(|root| describe(&store, &root, &mut Listed::new(Some(&reference), &root)));
    match looked {
        Err(ImageError::Io(error)) => Err(error.into()),
        // It was read elsewhere.
        Err(ImageError::NotFound { .. }) => Ok(true),
        whole => Ok(whole.unwrap_or(false)),
    }
}

/// Fills in what the documents of an image say. Whether its blobs are there and what they should be.
fn describe(store: &ImageStore, root: &Descriptor, listed: &mut Listed) -> Result<bool, ImageError> {
    let mut blobs: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut add = |manifest: &Manifest| {
        let layers = manifest.layers.iter();
        blobs.extend(layers.clone().map(|layer| (layer.digest.clone(), layer.size)));
        listed.size = blobs.values().sum();
        let config = Expected { digest: manifest.config.digest.clone(), size: Some(manifest.config.size) };
        let layers = layers
            .map(|layer| Expected { digest: layer.digest.clone(), size: Some(layer.size) })
            .chain([config]);
        // All of them: each that is wrong is set aside now.
        layers
            .map(|expected| store.holds(&expected))
            .try_fold(true, |all, held| Ok::<_, ImageError>(all & held?))
    };
    let created = pinfold_image::compose::annotation::CREATED;
    if !is_index(root) {
        let manifest = read_document::<Manifest>(store, root)?;
        if let Ok(config) = read_document::<ImageConfiguration>(store, &manifest.value().config) {
            listed.created = config.value().created.clone().unwrap_or_default();
            listed.platforms.push(format!("{}/{}", config.value().os, config.value().architecture));
        }
        if let Some(said) = manifest.value().annotations.get(created) {
            listed.created.clone_from(said);
        }
        return add(manifest.value());
    }
    let index = read_document::<Index>(store, root)?;
    listed.created = index.value().annotations.get(created).cloned().unwrap_or_default();
    let mut whole = true;
    for descriptor in &index.value().manifests {
        let platform = descriptor.platform.as_ref();
        listed
            .platforms
            .extend(platform.map(|platform| format!("{}/{}", platform.os, platform.architecture)));
        match read_document::<Manifest>(store, descriptor) {
            Ok(manifest) => whole &= add(manifest.value())?,
            Err(ImageError::Io(error)) => return Err(error.into()),
            Err(_) => whole = false,
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pinfold_base::Home;
    use pinfold_base::report::Silent;
    use pinfold_image::sign::Bundle;
    use pinfold_image::sign::SecretKey;
    use pinfold_image::sign::Signer as _;
    use pinfold_image::sign::Statement;
    use pinfold_image::sink::copy;
    use pinfold_image::store::OWNER;

    use super::*;
    use crate::build;
    use crate::consent;
    use crate::context::Network;
    use crate::project::Project;

    fn context(dir: &Path) -> Context {
        Context::at(Home::under(&dir.join("home")), Network::Offline, Box::new(Silent)).unwrap()
    }

    /// Builds an image of one file under a name.
    fn build(context: &Context, dir: &Path, platforms: &str, tag: &str) -> Digest {
        let text =
            format!("name = 'x'\nplatforms = [{platforms}]\n[[file]]\npath = '/hello'\ncontent = 'hello'\n");
        fs_err::write(dir.join("pinfold.toml"), text).unwrap();
        let _ = fs_err::remove_file(dir.join("pinfold.lock"));
        let project = Project::from_file(&dir.join("pinfold.toml")).unwrap();
        let project = consent::agree(context, project).unwrap();
        let options = build::Options {
            name: build::Naming::As(tag.parse().unwrap()),
            ..build::Options::new(build::LockUse::Update)
        };
        build::build(context, &project, &options).unwrap().built.index
    }

    #[test]
    fn images_are_listed_by_name_with_platforms_and_each_blob_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        assert_eq!(list(&context, Which::Named).unwrap(), []);
        let both = build(&context, dir.path(), "'linux/amd64', 'linux/arm64'", "both:v1");
        let one = build(&context, dir.path(), "'linux/arm64'", "one");
        let found = list(&context, Which::Named).unwrap();
        let row = |listed: &Listed| {
            (listed.repository.clone(), listed.tag.clone(), listed.digest.clone(), listed.platforms.join(" "))
        };
        assert_eq!(
            found.iter().map(row).collect::<Vec<_>>(),
            [
                ("both".into(), "v1".into(), both, "linux/amd64 linux/arm64".into()),
                ("one".into(), "latest".into(), one, "linux/arm64".into()),
            ]
        );
        assert_eq!(found[0].size, found[1].size, "both platforms have the same layer");
        assert!(found.iter().all(|listed| listed.created.ends_with('Z')), "{found:?}");
    }

    #[test]
    fn what_came_from_elsewhere_is_found_with_its_proof_only() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::generate().unwrap();
        fs_err::create_dir_all(dir.path().join("home/config")).unwrap();
        let file = dir.path().join("home/config/config.toml");
        let rules = format!("[[trust]]\nimages = '*'\nkeys = ['''{}''']\n", key.public().to_pem());
        fs_err::write(&file, &rules).unwrap();
        let first = context(dir.path());
        let made = build(&first, dir.path(), "'linux/amd64'", "mine:v1");
        let source = find(&first, "mine:v1").expect("what was made here needs nobody's signature");
        // An image from elsewhere may say that it was made here: nobody believes it.
        let mut root = source.root().clone();
        root.annotations.insert(OWNER.into(), "x".into());
        let name: Reference = "registry.example/team/x:1".parse().unwrap();
        let store = first.images().unwrap();
        copy(source.blobs(), &root, store.sink(&name, &Silent)).unwrap();
        let place: Location = format!("oci:{}:x", dir.path().join("layout").display()).parse().unwrap();
        pinfold_image::export::export(
            &source,
            pinfold_image::export::Selection::All,
            &place,
            None,
            &pinfold_base::report::Silent,
        )
        .unwrap();
        let by_digest = format!("registry.example/team/x@{made}");
        let elsewhere = [name.to_string(), by_digest, place.to_string()];
        let refused = |context: &Context| {
            let refused = |text: &String| match find(context, text) {
                Ok(_) => false,
                Err(error) => {
                    assert!(matches!(&error, FindError::Trust(TrustError::Refused { .. })), "{error}");
                    assert_eq!(error.kind(), Kind::Refused);
                    true
                }
            };
            elsewhere.iter().map(refused).collect::<Vec<_>>()
        };
        assert_eq!(refused(&first), [true; 3]);
        let hint = find(&first, &elsewhere[0]).unwrap_err().hint();
        assert_eq!(hint.unwrap(), "`pinfold pull registry.example/team/x:1` asks its registry for it");
        let hint = find(&first, &elsewhere[2]).unwrap_err().hint().unwrap();
        assert!(hint.contains("config.toml") && !hint.contains("pull"), "nobody can be asked: {hint}");
        assert!(elsewhere.iter().all(|text| look(&first, text).is_ok()), "it may be looked at");
        // Without a rule, and with a proof, it is used.
        fs_err::remove_file(&file).unwrap();
        assert_eq!(refused(&context(dir.path())), [false; 3]);
        fs_err::write(&file, &rules).unwrap();
        let other = Bundle::make(&Statement::signature(Digest::sha256(b"other")), &key).unwrap();
        let kept = Kept::of(&first);
        kept.keep(&made, &[other.to_bytes().to_vec()]).unwrap();
        assert_eq!(refused(&context(dir.path())), [true; 3], "of another image");
        let right = Bundle::make(&Statement::signature(made.clone()), &key).unwrap();
        kept.keep(&made, &[right.to_bytes().to_vec()]).unwrap();
        assert_eq!(refused(&context(dir.path())), [false; 3]);
        // What cannot be understood is no permission.
        fs_err::write(&file, "[[trust]]\n").unwrap();
        let broken = context(dir.path());
        assert!(matches!(find(&broken, "mine:v1"), Err(FindError::Settings(_))));
        assert!(look(&broken, "mine:v1").is_ok());
    }

    #[test]
    fn an_image_is_found_by_what_people_call_it() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        let digest = build(&context, dir.path(), "'linux/amd64'", "mine:v1");
        for text in ["mine:v1".to_owned(), format!("mine@{digest}")] {
            assert!(find(&context, &text).is_ok(), "{text}");
        }
        for (text, expected) in [
            ("mine", "mine:latest"),
            ("Not A Name", "Not A Name"),
            ("oci:/nowhere", "/nowhere"),
            ("docker-archive:/nowhere", "/nowhere"),
        ] {
            let told = find(&context, text).unwrap_err();
            let told = pinfold_base::error::one_line(&told);
            assert!(told.contains(expected), "{text} gave {told}");
        }
    }
}
