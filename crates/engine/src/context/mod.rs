//! What every verb of the engine works with: the caller's environment, folders, settings, store, network, reporter. Made once, passed by
//! reference.

mod environment;

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use fs_err as fs;
use pinfold_archive::decoded::DecodedStore;
use pinfold_base::Diagnose;
use pinfold_base::Home;
use pinfold_base::Kind;
use pinfold_base::Reporter;
use pinfold_base::Store;
use pinfold_base::error::Diagnosis;
use pinfold_base::http;
use pinfold_base::private_folder;
use pinfold_base::store::StoreError;
use pinfold_image::ImageError;
use pinfold_image::ImageStore;
use pinfold_image::unpack::HeldRoot;
use pinfold_network::Place;
use pinfold_network::Surroundings;
use pinfold_sandbox::Sandboxes;
use pinfold_sources::debian::lock::archive;

pub use self::environment::Environment;
use crate::settings::Settings;
use crate::settings::SettingsError;

/// Where answers of archives and registries are kept, below the cache folder.
pub(crate) const METADATA: &str = archive::FOLDER;

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Yes.
    Online,
    /// Every request is an error that names what was wanted.
    Offline,
}

/// The engine's surroundings.
pub struct Context {
    /// The caller's variables.
    pub environment: Environment,
    /// Folders of this user.
    pub home: Home,
    /// Downloads.
    pub store: Store,
    /// Archives in seekable form.
    pub decoded: DecodedStore,
    /// Progress.
    pub reporter: Box<dyn Reporter>,
    /// Threads for CPU work. Never changes any byte of output.
    pub threads: NonZeroUsize,
    /// Further folders with vendored inputs.
    pub vendor: Vec<PathBuf>,
    network: Network,
    /// Roots that are about to be used: nobody removes them.
    held: Mutex<Vec<HeldRoot>>,
    settings: OnceLock<Settings>,
    // Made on first use: reading the machine's certificates takes longer than an unchanged build.
    http: OnceLock<http::Client>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("home", &self.home)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// No home directory.
    #[error("there is no home directory: none of PINFOLD_HOME, XDG_CACHE_HOME and HOME is set")]
    NoHome,
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Http(#[from] http::HttpError),
}

impl Diagnose for ContextError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::NoHome => Diagnosis::Own(Kind::System),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Http(error) => Diagnosis::Inner(error),
        }
    }

    fn own_hint(&self) -> Option<String> {
        matches!(self, Self::NoHome).then(|| "set `PINFOLD_HOME` to a folder you can write to".into())
    }
}

impl Context {
    /// The surroundings that the environment describes.
    pub fn new(
        environment: Environment,
        network: Network,
        reporter: Box<dyn Reporter>,
    ) -> Result<Self, ContextError> {
        let value = |name: &str| environment.raw(name).map(OsStr::to_owned);
        let home = Home::from_env(value).ok_or(ContextError::NoHome)?;
        Ok(Self { environment, ..Self::at(home, network, reporter)? })
    }

    /// The surroundings below `home`, with no variable set.
    pub fn at(home: Home, network: Network, reporter: Box<dyn Reporter>) -> Result<Self, ContextError> {
        let store = Store::open(home.cache())?;
        // Where it cannot be made, whoever needs it says so.
        let _ = private_folder(home.data());
        Ok(Self {
            environment: Environment::default(),
            decoded: DecodedStore::new(&store),
            store,
            home,
            network,
            held: Mutex::default(),
            settings: OnceLock::new(),
            http: OnceLock::new(),
            reporter,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            vendor: Vec::new(),
        })
    }

    /// The image store of this user. What is damaged in it is told where damage of the cache is.
    pub fn images(&self) -> Result<ImageStore, ImageError> {
        ImageStore::reporting(self.home.data(), self.store.damage())
    }

    /// Keeps a root from being removed by other processes while this context lives: until a sandbox stands on it, say.
    pub(crate) fn hold(&self, root: HeldRoot) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(root);
    }

    /// Tells the user what was found damaged since this was called last: what it was.
    pub fn tell_damage(&self) -> Vec<String> {
        let found = self.store.take_damage();
        for what in &found {
            self.reporter.note(&format!("note: {what} had changed on the disk; it was set aside"));
        }
        found
    }

    /// What decides about a program that is run for a login or a setting: it must not be one that a sandbox could have written.
    /// `directory` is one that a sandbox may have had, called `what`; the home itself is none.
    pub(crate) fn surroundings(&self, directory: &Path, what: &str) -> Surroundings {
        let home = self.environment.home();
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut places = [self.home.data(), self.home.cache()]
            .map(|path| Place::writable(path, "pinfold's own folder"))
            .to_vec();
        let directory = real(directory);
        if !home.is_some_and(|home| real(home).starts_with(&directory)) {
            places.push(Place::writable(&directory, what));
        }
        Surroundings {
            directory: "/".into(),
            home: home.map(Path::to_owned),
            path: self.environment.raw("PATH").unwrap_or_default().to_owned(),
            places,
        }
    }

    /// The sandboxes of this user.
    pub fn sandboxes(&self) -> Sandboxes {
        Sandboxes::new(self.home.data().join("sandboxes"))
    }

    /// Where the user's configuration is, whether there is one or not.
    pub fn config_folder(&self) -> Option<PathBuf> {
        let account = || self.environment.home().map(|home| home.join(".config/pinfold"));
        self.home.config().map(Path::to_owned).or_else(account)
    }

    /// The user's configuration, read on first use. A broken one fails whoever asks.
    pub fn settings(&self) -> Result<&Settings, SettingsError> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = match self.config_folder() {
            Some(folder) => Settings::read(&folder, self.environment.home())?,
            None => Settings::default(),
        };
        Ok(self.settings.get_or_init(|| settings))
    }

    /// Whether the network may be used.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The network client.
    pub fn http(&self) -> Result<&http::Client, http::HttpError> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let client = match self.network {
            Network::Online => http::Client::new()?,
            Network::Offline => http::Client::offline(),
        };
        let client = client.keeping(&self.store, METADATA);
        Ok(self.http.get_or_init(|| client))
    }
}
