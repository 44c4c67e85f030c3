//! Where things are asked for and fetched from: the machine's own configuration, as the sources read it.
//!
//! Nothing is read before it is needed, and what is read is kept for one verb. Credentials stay in memory.

use std::path::Path;
use std::sync::OnceLock;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_base::http::HttpError;
use pinfold_base::http::Source;
use pinfold_sources::debian::lock as debian;
use pinfold_sources::debian::locked::LockedDeb;
use pinfold_sources::npm;
use pinfold_sources::npm::AgePolicy;
use pinfold_sources::npm::InstallScripts;
use pinfold_sources::npm::LockedNpm;
use pinfold_sources::npm::MissingTime;
use pinfold_sources::npm::NpmError;
use pinfold_sources::npm::PackageTemplate;
use pinfold_sources::npm::PlatformPackage;

use crate::context::Context;
use crate::context::Environment;
use crate::context::Network;
use crate::project::lock::Lock;
use crate::project::lock::v1::LockedAgent;
use crate::project::manifest::Manifest;
use crate::project::manifest::PlatformName;
use crate::project::recipe;
use crate::project::recipe::Recipe;

/// Why there is nowhere to fetch from.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The machine's apt configuration, or the mirrors named, are not usable.
    #[error(transparent)]
    Mirrors(#[from] debian::mirrors::MirrorError),
    /// Debian packages cannot be chosen.
    #[error(transparent)]
    Debian(#[from] debian::LockError),
    /// npm's configuration is not usable.
    #[error(transparent)]
    Npm(#[from] NpmError),
    /// The network client.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Diagnose for OriginError {
    fn kind(&self) -> Kind {
        match self {
            Self::Mirrors(error) => error.kind(),
            Self::Debian(error) => error.kind(),
            Self::Npm(error) => error.kind(),
            Self::Http(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Mirrors(error) => error.hint(),
            Self::Debian(error) => error.hint(),
            Self::Npm(error) => error.hint(),
            Self::Http(error) => error.hint(),
        }
    }
}

/// Archives and registries of one verb.
pub struct Origins<'a> {
    manifest: &'a Manifest,
    environment: &'a Environment,
    registry: OnceLock<npm::Registry>,
    mirrors: OnceLock<debian::mirrors::Mirrors>,
}

impl std::fmt::Debug for Origins<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origins").finish_non_exhaustive()
    }
}

/// What npm itself would use, where it is installed: the one program that is asked, and only when nothing else says.
#[expect(clippy::disallowed_methods, reason = "npm knows its own default; the design allows asking it")]
fn ask_npm(environment: &Environment) -> Option<String> {
    let mut npm = std::process::Command::new("npm");
    npm.args(["config", "get", "registry"]).env_clear().envs(environment.all());
    let output = npm.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}

impl<'a> Origins<'a> {
    /// Those of a manifest on this machine.
    pub fn new(manifest: &'a Manifest, environment: &'a Environment) -> Self {
        Self { manifest, environment, registry: OnceLock::new(), mirrors: OnceLock::new() }
    }

    fn registry(&self, context: &Context) -> Result<&npm::Registry, NpmError> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let manifest = self.manifest;
        let mut layers = npm::config::Layers::read(
            manifest.mirrors.npm.as_deref(),
            &manifest.directory,
            self.environment.texts(),
        )?;
        let mut config = npm::Config::new(&layers);
        if matches!(config, Err(npm::config::ConfigError::NoRegistry)) && context.network() == Network::Online
        {
            layers.asked = ask_npm(self.environment);
            config = npm::Config::new(&layers);
        }
        let client = context.http().map_err(|source| NpmError::Http { package: "npm".into(), source })?;
        let registry = npm::Registry::new(config?, client.clone());
        Ok(self.registry.get_or_init(|| registry))
    }

    /// Where a tarball is.
    pub fn tarball(&self, context: &Context, package: &LockedNpm) -> Result<Source, OriginError> {
        Ok(self.registry(context)?.source(package)?)
    }

    /// One version of a recipe's program for all platforms, and what the user should know. `kept` is what was locked.
    pub fn resolve_agent(
        &self,
        context: &Context,
        recipe: &Recipe,
        kept: Option<&LockedAgent>,
        now: u64,
    ) -> Result<(LockedAgent, Vec<String>), NpmError> {
        let manifest = self.manifest;
        let recipe::Origin::Npm(origin) = &recipe.origin;
        let template = |(name, package): (&PlatformName, &crate::project::recipe::PlatformPackage)| {
            (name.0, PackageTemplate { name: package.package.clone(), version: package.version.clone() })
        };
        let wanted = PlatformPackage {
            title: recipe.title.clone(),
            versions_from: Some(origin.package.clone()),
            spec: origin.version.clone(),
            packages: origin.platforms.iter().map(template).collect(),
            scripts: match &origin.scripts {
                Some(reason) => InstallScripts::Answered { reason: reason.clone() },
                None => InstallScripts::Refuse,
            },
        };
        let resolved = npm::platform::resolve_platform_package(
            self.registry(context)?,
            &wanted,
            &manifest.platforms,
            &self.age(now),
            kept.map(|agent| agent.version.as_str()),
        )?;
        let locked =
            LockedAgent { name: recipe.name.clone(), version: resolved.version, packages: resolved.packages };
        Ok((locked, resolved.notes))
    }

    /// The npm packages of the manifest with everything they need. `kept` is what was locked, without what shall move.
    pub fn resolve_npm(
        &self,
        context: &Context,
        kept: &npm::tree::Kept,
        now: u64,
    ) -> Result<npm::ResolvedTree, NpmError> {
        let manifest = self.manifest;
        let requests: Vec<npm::Request> = manifest
            .npm
            .packages
            .iter()
            .map(|(name, package)| npm::Request {
                name: name.clone(),
                spec: package.version.clone(),
                scripts: match &package.scripts {
                    Some(reason) => InstallScripts::Answered { reason: reason.clone() },
                    None => InstallScripts::Refuse,
                },
            })
            .collect();
        let request = npm::tree::TreeRequest {
            requests: &requests,
            platforms: &manifest.platforms,
            age: self.age(now),
            answers: &manifest.scripts,
            keep: kept,
        };
        npm::tree::resolve_tree(self.registry(context)?, &request)
    }

    fn age(&self, now: u64) -> AgePolicy {
        AgePolicy { min_age: self.manifest.policy.min_age.0, now, missing: MissingTime::Accept }
    }

    fn mirrors(&self) -> &debian::mirrors::Mirrors {
        self.mirrors.get_or_init(|| {
            let declared = debian::mirrors::Declared {
                mirror: self.manifest.mirrors.debian.clone(),
                security_mirror: self.manifest.mirrors.debian_security.clone(),
                snapshot: self.manifest.mirrors.snapshot.clone(),
                keyring: self.manifest.mirrors.keyring.as_ref().map(|file| {
                    // Files of apt's configuration are absolute, and so is this one.
                    std::path::absolute(file).unwrap_or_else(|_| file.clone())
                }),
                freshness: self.manifest.mirrors.freshness,
            };
            let variable = |name: &str| self.environment.text(name).map(str::to_owned);
            debian::mirrors::Mirrors::find(declared, variable, Path::new("/"))
        })
    }

    /// Where a .deb is, best first.
    pub fn deb(&self, deb: &LockedDeb, lock: &Lock) -> Result<Vec<Source>, OriginError> {
        let suites = lock.debian.iter().flat_map(|debian| &debian.suites);
        let Some(suite) = suites.into_iter().find(|suite| suite.name == deb.suite) else {
            return Ok(Vec::new());
        };
        Ok(self.mirrors().archive_paths(deb, suite)?)
    }

    /// What Debian packages to install.
    pub fn resolve_debian(
        &self,
        context: &Context,
        request: &debian::Request,
        previous: &debian::Previous,
        now: u64,
    ) -> Result<debian::Resolution, OriginError> {
        let inputs = debian::Inputs {
            mirrors: self.mirrors(),
            fetch: context.http()?,
            store: &context.store,
            reporter: &*context.reporter,
            now,
        };
        Ok(debian::resolve(request, previous, &inputs)?)
    }
}
