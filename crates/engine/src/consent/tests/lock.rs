//! Every field of a lock, changed one at a time, as an agent that can write to the project may: each change is asked about,
//! or refused, or gives the image that was locked, or another image and nothing else. Which fields there are, the reader of
//! locks says itself, so that one that is added is missed here.
//!
//! What is changed is a lock that was made, of every source, and what becomes of it is tried: the project is read, the user's
//! word is looked for, and a machine that has nothing yet fetches and builds. A server that nobody agreed to listens.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use pinfold_base::Digest;
use pinfold_testkit::debian;
use pinfold_testkit::debian::Archive;
use pinfold_testkit::debian::Deb;
use pinfold_testkit::debian::Suite;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::nix;
use pinfold_testkit::npm::NpmRegistry;
use pinfold_testkit::npm::Package;
use pinfold_testkit::npm::Running;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::build;
use crate::build::LockUse;
use crate::context::Network;
use crate::project::lock;
use crate::project::lock::Lock;
use crate::project::lock::v1::LockedPreset;
use crate::sources::Upgrade;
use crate::sources::testing;

/// What becomes of a changed lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// The user is asked.
    Asked,
    /// It is an error.
    Refused,
    /// The image is the one that was locked.
    Same,
    /// The image is another, of the same places.
    Other,
}

use End::Asked;
use End::Other;
use End::Refused;
use End::Same;

const FORMAT: &str = "what is read only as it is written";
const ANSWER: &str = "what the manifest asks for, and this lock answers";
const TEXT: &str = "for people, or for the next lock";
const HELD: &str = "what is fetched is held to it";
const PATH: &str = "below the place that was agreed to, and what is there is held to the digest";
const IMAGE: &str = "what is in the image, and seen inside only";
const BASE: &str =
    "fetched from the place that the manifest names and was agreed to, and from nowhere without one";
const PRESET: &str = "read where there is no manifest, and asked about then";

/// Every field, what may become of it, and what it is.
const FIELDS: &[(&str, &[End], &str)] = &[
    ("version", &[Refused], FORMAT),
    ("compat", &[Refused], FORMAT),
    ("epoch", &[Other], "the time of files in the image"),
    ("encoders.*", &[Refused], FORMAT),
    ("preset.name", &[Same], PRESET),
    ("preset.suite", &[Same], PRESET),
    ("preset.agents[]", &[Same], PRESET),
    ("request.*", &[Refused], ANSWER),
    ("base.name", &[Refused], BASE),
    ("base.root.media-type", &[Refused], BASE),
    ("base.root.digest", &[Refused], BASE),
    ("base.root.size", &[Refused], BASE),
    ("base.platforms.*.manifest.media-type", &[Refused], BASE),
    ("base.platforms.*.manifest.digest", &[Refused], BASE),
    ("base.platforms.*.manifest.size", &[Refused], BASE),
    ("base.platforms.*.config.media-type", &[Refused], BASE),
    ("base.platforms.*.config.digest", &[Refused], BASE),
    ("base.platforms.*.config.size", &[Refused], BASE),
    ("base.platforms.*.layers[].media-type", &[Refused], BASE),
    ("base.platforms.*.layers[].digest", &[Refused], BASE),
    ("base.platforms.*.layers[].size", &[Refused], BASE),
    ("base.platforms.*.layers[].diff-id", &[Refused], BASE),
    (
        "debian.suites[].name",
        &[Refused],
        "which of the agreed places is asked; there is none of another name",
    ),
    ("debian.suites[].codename", &[Same], TEXT),
    ("debian.suites[].archive", &[Refused], PATH),
    ("debian.suites[].inrelease", &[Same], TEXT),
    ("debian.suites[].date", &[Same], TEXT),
    ("debian.packages.*[].name", &[Refused], HELD),
    ("debian.packages.*[].version", &[Refused], HELD),
    ("debian.packages.*[].arch", &[Refused], HELD),
    ("debian.packages.*[].source", &[Refused], "the component, which is in no layer then"),
    ("debian.packages.*[].sha256", &[Refused], HELD),
    ("debian.packages.*[].size", &[Refused], HELD),
    ("debian.packages.*[].path", &[Refused], PATH),
    (
        "debian.packages.*[].suite",
        &[Refused],
        "which of the agreed places is asked; there is none of another name",
    ),
    (
        "debian.packages.*[].archive",
        &[Refused],
        "which of the agreed places is asked; there is none of another name",
    ),
    ("debian.packages.*[].manual", &[Same], TEXT),
    ("agents[].name", &[Refused], ANSWER),
    ("agents[].version", &[Other], "what the image says of itself"),
    ("agents[].packages.*.name", &[Refused], HELD),
    ("agents[].packages.*.version", &[Refused], HELD),
    ("agents[].packages.*.integrity", &[Refused], HELD),
    ("agents[].packages.*.path", &[Refused], PATH),
    ("agents[].packages.*.size", &[Refused], HELD),
    ("agents[].packages.*.published", &[Same], TEXT),
    ("npm.*[].dir", &[Other, Refused], IMAGE),
    ("npm.*[].package.name", &[Refused], HELD),
    ("npm.*[].package.version", &[Refused], HELD),
    ("npm.*[].package.integrity", &[Refused], HELD),
    ("npm.*[].package.path", &[Refused], PATH),
    ("npm.*[].package.size", &[Refused], HELD),
    ("npm.*[].package.published", &[Same], TEXT),
    ("npm.*[].bins.*", &[Other, Refused], "a file of the package, or none"),
    ("npm.*[].requested", &[Other], IMAGE),
    ("nix.*.roots[].name", &[Other], IMAGE),
    ("nix.*.roots[].agent", &[Other], IMAGE),
    ("nix.*.roots[].attribute", &[Same], TEXT),
    ("nix.*.roots[].system", &[Same], TEXT),
    ("nix.*.roots[].revision", &[Same], TEXT),
    ("nix.*.roots[].output", &[Same], TEXT),
    ("nix.*.roots[].path", &[Refused], "one of the paths"),
    ("nix.*.paths[].path", &[Refused], "what others refer to, or a root"),
    ("nix.*.paths[].nar", &[Refused], HELD),
    ("nix.*.paths[].nar_size", &[Refused], HELD),
    ("nix.*.paths[].references[]", &[Refused], "what was signed"),
    ("nix.*.paths[].deriver", &[Same], TEXT),
    ("nix.*.paths[].ca", &[Other], IMAGE),
    ("nix.*.paths[].signatures[]", &[Refused], FORMAT),
    ("nix.*.paths[].file", &[Refused], HELD),
    ("nix.*.paths[].size", &[Refused], HELD),
    ("nix.*.paths[].compression", &[Refused], FORMAT),
    ("nix.*.paths[].url", &[Refused], PATH),
    ("binaries.*[].name", &[Refused], ANSWER),
    ("binaries.*[].version", &[Other], "what the image says of itself"),
    ("binaries.*[].url", &[Asked], "an address that stands in the lock itself"),
    ("binaries.*[].sha256", &[Refused], HELD),
    ("binaries.*[].size", &[Refused], HELD),
    ("binaries.*[].format", &[Refused], HELD),
    ("builds.*[].path", &[Refused], ANSWER),
    ("builds.*[].by", &[Same, Refused], TEXT),
    ("builds.*[].made", &[Same], TEXT),
    ("builds.*[].sha256", &[Refused], HELD),
    ("builds.*[].size", &[Refused], HELD),
    ("toy.*.version", &[Same], TEXT),
    ("toy.*.sha256", &[Refused], HELD),
    ("toy.*.size", &[Refused], HELD),
    ("layers[].name", &[Other], IMAGE),
    ("layers[].components[]", &[Same, Refused], "what there is must be in a layer"),
    ("ledger.*[].package", &[Same], TEXT),
    ("ledger.*[].script", &[Same], TEXT),
    ("ledger.*[].sha256", &[Same], TEXT),
    ("ledger.*[].class", &[Refused], FORMAT),
    ("ledger.*[].what[]", &[Same], TEXT),
    ("ledger.*[].warning", &[Same], TEXT),
];

/// What a tool of the project's makes.
const MADE: &str = "#!/x";

/// Changes other than another letter at the end. `ELSEWHERE` is the server that nobody agreed to.
const CHANGES: &[(&str, &[&str])] = &[
    (
        "debian.packages.*[].path",
        &[
            "/x.deb",
            "../x.deb",
            "%2e%2e/x.deb",
            "//ELSEWHERE/x.deb",
            "http://ELSEWHERE/x.deb",
            "@ELSEWHERE/x.deb",
        ],
    ),
    ("debian.suites[].archive", &["../..", "//ELSEWHERE", "@ELSEWHERE", "x?", "x#"]),
    (
        "agents[].packages.*.path",
        &["/x.tgz", "../x.tgz", "//ELSEWHERE/x.tgz", "http://ELSEWHERE/x.tgz", "@ELSEWHERE/x.tgz"],
    ),
    (
        "npm.*[].package.path",
        &["/x.tgz", "../x.tgz", "//ELSEWHERE/x.tgz", "http://ELSEWHERE/x.tgz", "@ELSEWHERE/x.tgz"],
    ),
    ("npm.*[].dir", &["../../../../etc", "/etc", "node_modules/other"]),
    ("npm.*[].bins.*", &["../../../../etc/passwd", "/etc/passwd"]),
    (
        "nix.*.paths[].url",
        &["/x.nar", "../x.nar", "//ELSEWHERE/x.nar", "http://ELSEWHERE/x.nar", "@ELSEWHERE/x.nar"],
    ),
    ("binaries.*[].url", &["http://ELSEWHERE/tool", "file:///etc/hostname", "file:/etc/hostname"]),
    ("binaries.*[].format", &["executable", "zip"]),
    ("builds.*[].by", &["worker", "cargo"]),
];

/// What the lock that is made has not, put into it.
fn additions() -> Vec<(&'static str, Value)> {
    vec![
        ("/preset", json!({ "name": "solo", "suite": "sid", "agents": ["../outside.toml"] })),
        (
            "/base",
            json!({
                "name": "b",
                "root": { "media-type": "x", "digest": Digest::sha256(b"index"), "size": 2 },
                "platforms": { "linux/amd64": {
                    "manifest": { "media-type": "x", "digest": Digest::sha256(b"manifest"), "size": 2 },
                    "config": { "media-type": "x", "digest": Digest::sha256(b"config"), "size": 2 },
                    "layers": [{
                        "media-type": "application/vnd.oci.image.layer.v1.tar",
                        "digest": Digest::sha256(b"layer"),
                        "size": 3,
                        "diff-id": Digest::sha256(b"layer"),
                    }],
                } },
            }),
        ),
        ("/debian/packages/linux~1amd64/0/archive", "apt.example/other".into()),
        ("/agents/0/packages/linux~1amd64/size", 1.into()),
        ("/npm/linux~1amd64/0/package/size", 1.into()),
        ("/nix/linux~1amd64/roots/0/name", "x".into()),
        ("/nix/linux~1amd64/roots/0/agent", "x".into()),
        ("/nix/linux~1amd64/roots/0/attribute", "x".into()),
        ("/nix/linux~1amd64/roots/0/revision", "x".into()),
        ("/nix/linux~1amd64/roots/0/output", "x".into()),
        ("/nix/linux~1amd64/paths/0/ca", "x".into()),
        ("/nix/linux~1amd64/paths/1/ca", "x".into()),
        ("/nix/linux~1amd64/paths/2/ca", "x".into()),
        ("/nix/linux~1amd64/paths/3/ca", "x".into()),
        // Paths that refer to nothing refer to themselves.
        ("/nix/linux~1amd64/paths/1/references", json!(["q77gkzk7c4p7xgsq3ii89d0iw8z1yl1p-tiny-odd-1.0"])),
        ("/nix/linux~1amd64/paths/3/references", json!(["s3zc23mfbdjaczxaagdzk9g112hazri7-tiny-hello-1.0"])),
        ("/ledger/linux~1amd64/0/warning", "x".into()),
    ]
}

/// Tables whose keys are names of the project's own.
const MAPS: &[&str] = &[
    "encoders",
    "request",
    "base.platforms",
    "debian.packages",
    "agents[].packages",
    "npm",
    "npm.*[].bins",
    "nix",
    "binaries",
    "builds",
    "toy",
    "ledger",
];

/// What a reader of locks says when a table has a field that it does not know: those that it knows.
fn known(whole: &Value, at: &str) -> Option<Vec<String>> {
    let mut other = whole.clone();
    other.pointer_mut(at).unwrap().as_object_mut().unwrap().insert("zz".into(), true.into());
    let told = parse(&other).expect_err("`zz` is no field").to_string();
    let (_, known) = told.split_once("unknown field `zz`, expected ")?;
    Some(known.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

fn parse(value: &Value) -> Result<Lock, lock::LockError> {
    Lock::parse(&toml::to_string(value).unwrap(), Path::new("pinfold.lock"))
}

/// Leaves below `at`, each with the name of its field; `lacking` are fields that have no example.
struct Leaves<'a> {
    whole: &'a Value,
    found: Vec<(String, String)>,
    lacking: Vec<String>,
}

impl Leaves<'_> {
    fn of(whole: &Value) -> Leaves<'_> {
        let mut leaves = Leaves { whole, found: Vec::new(), lacking: Vec::new() };
        leaves.below(whole, "", "");
        leaves
    }

    fn below(&mut self, value: &Value, at: &str, path: &str) {
        let field = |name: &str| format!("{path}.{name}").trim_start_matches('.').to_owned();
        match value {
            Value::Object(map) => {
                let known = known(self.whole, at);
                assert_ne!(known.is_some(), MAPS.contains(&path), "`{path}` is a map, or knows its fields");
                let lacking = known.iter().flatten().filter(|name| !map.contains_key(*name));
                self.lacking.extend(lacking.map(|name| field(name)));
                for (name, inner) in map {
                    let path = field(if known.is_some() { name } else { "*" });
                    self.below(inner, &format!("{at}/{}", name.replace('/', "~1")), &path);
                }
            }
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate() {
                    self.below(inner, &format!("{at}/{index}"), &format!("{path}[]"));
                }
            }
            _ => self.found.push((at.to_owned(), path.to_owned())),
        }
    }
}

/// A project of every source, its places, and the machine whose user agreed to them.
struct Scene {
    world: World,
    archive: Archive,
    registry: Running,
    shop: Server,
    cache: Server,
    elsewhere: Server,
    context: Context,
    homes: std::cell::Cell<u32>,
}

impl Scene {
    fn new() -> Self {
        let key = TestKey::new(&Shape::default());
        let greet = Deb::new("greet", "1", "amd64").file("usr/bin/greet", 0o755, b"greet").script(
            "postinst",
            "#!/bin/sh\nset -e\n# Automatically added by dh_installalternatives/13.11.4\n\
             if [ \"$1\" = \"configure\" ]; then\n\
             \tupdate-alternatives --install /usr/bin/welcome welcome /usr/bin/greet 10\nfi\n\
             # End automatically added section\nexit 0\n",
        );
        let archive = Archive::start(debian::publish(&[Suite::new("sample").deb(greet)], &key));
        let tool = Package::new("tool", "1.0.0")
            .field("bin", json!({ "tool": "cli.js" }))
            .file("cli.js", 0o644, b"");
        let mine = Package::new("mine", "1.0.0").file("mine", 0o755, b"mine");
        let registry = NpmRegistry::new().package(tool).package(mine).start();
        let shop = Server::start(|request| match request.path.as_str() {
            "/bear" => Response::ok("bear 1\n"),
            "/rg" => Response::ok("\u{7f}ELF"),
            _ => Response::status(404),
        });
        let cache = nix::serve();
        let elsewhere = Server::start(|_| Response::ok("elsewhere"));
        let world = World::new();
        let context = world.online();
        let scene = Self { world, archive, registry, shop, cache, elsewhere, context, homes: 0.into() };
        scene.world.write("key.asc", &key.armoured());
        scene.world.write("make.sh", &format!("#!/bin/sh\nprintf '{MADE}' > made\n"));
        let script = scene.world.folder().join("make.sh");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(script, mode).unwrap();
        let kept = scene.world.dir.path().join("kept/sha256");
        fs_err::create_dir_all(&kept).unwrap();
        fs_err::write(kept.join(Digest::sha256(MADE.as_bytes()).hex()), MADE).unwrap();
        scene.world.write(
            "mine.toml",
            "name = 'mine'\ntitle = 'Mine'\ncommand = 'mine'\n[npm]\npackage = 'mine'\nversion = '1'\n\
             [[place]]\nfrom = 'mine'\nto = '/usr/local/bin/mine'\n",
        );
        scene
    }

    fn manifest(&self) -> String {
        format!(
            "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['./mine.toml']\n\
             [debian]\nsuites = ['sample']\nbase = 'none'\npackages = ['greet']\nmirror = '{debian}'\nkeyring = 'key.asc'\n\
             snapshot = '{debian}-{{archive}}/{{timestamp}}'\n\
             [npm]\npackages = ['tool']\nregistry = '{npm}'\n\
             [nix]\nroots = ['{greet}']\ncaches = [{{ url = '{cache}', keys = ['{key}'] }}]\n\
             [toy]\nshop = '{shop}'\nnames = ['bear']\n\
             [[build]]\npath = '/made'\ncommand = ['./make.sh']\noutput = 'made'\n\
             [[binary]]\nname = 'rg'\nversion = '1'\nurl = {{ 'linux/amd64' = '{shop}/rg' }}\nmembers = {{ '.' = '/rg' }}\n",
            debian = self.archive.url,
            npm = self.registry.url,
            shop = self.shop.url(""),
            greet = nix::root("greet").path,
            cache = self.cache.url(""),
            key = nix::public_key().trim(),
        )
    }

    /// What becomes of a lock, the image's digest if there is one, and the error if there is one.
    fn tried(&self, text: &str) -> (Option<Digest>, End, String) {
        self.world.write("pinfold.lock", text);
        let project = match Project::discover(&self.world.folder()) {
            Ok(project) => project,
            Err(error) => return (None, Refused, testing::told(&error)),
        };
        let project = match agree(&self.context, project) {
            Ok(project) => project,
            Err(error) => return (None, Asked, testing::told(&error)),
        };
        self.homes.set(self.homes.get() + 1);
        let mut context = self.world.context(&format!("home{}", self.homes.get()), Network::Online);
        // What tools of another machine have made is kept with the project.
        context.vendor = vec![self.world.dir.path().join("kept")];
        let options = build::Options::new(LockUse::Locked);
        match build::build(&context, &project, &options) {
            Ok(outcome) => (Some(outcome.built.index), Other, String::new()),
            Err(error) => (None, Refused, testing::told(&error)),
        }
    }
}

fn changed(scene: &Scene, value: &Value, path: &str) -> Vec<Value> {
    let elsewhere = format!("127.0.0.1:{}", scene.elsewhere.port());
    let others = CHANGES.iter().filter(|(name, _)| *name == path).flat_map(|(_, texts)| *texts);
    let others = others.map(|text| Value::from(text.replace("ELSEWHERE", &elsewhere)));
    let first = match value {
        Value::String(text) => match text.parse::<Digest>() {
            Ok(_) => Digest::sha256(b"another").to_string().into(),
            Err(_) => format!("{text}x").into(),
        },
        Value::Bool(bit) => (!bit).into(),
        Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        _ => panic!("{path}"),
    };
    std::iter::once(first).chain(others).collect()
}

#[test]
fn every_field_of_a_lock_is_a_new_wish_or_refused_or_does_nothing_to_the_host() {
    let scene = Scene::new();
    let project = scene.world.project(&scene.manifest());
    let made = testing::lock(&scene.context, &project, &Upgrade::Nothing).unwrap();
    let (locked, _, told) = scene.tried(&made.render());
    assert!(locked.is_some(), "{told}");

    let base: Value = toml::from_str(&made.render()).unwrap();
    let mut whole = base.clone();
    let mut ends: BTreeMap<String, BTreeSet<End>> = BTreeMap::new();
    let mut end = |path: &str, value: &Value| {
        let text = toml::to_string(value).unwrap();
        let (image, end, told) = scene.tried(&text);
        let end = if image.is_some() && image == locked { Same } else { end };
        assert_eq!(scene.elsewhere.requests().len(), 0, "{path}: {told}\n{text}");
        ends.entry(path.to_owned()).or_default().insert(end);
    };
    for (at, added) in additions() {
        let (table, name) = at.rsplit_once('/').unwrap();
        let mut other = base.clone();
        for value in [&mut other, &mut whole] {
            value.pointer_mut(table).unwrap()[name] = added.clone();
        }
        let before: BTreeSet<String> = Leaves::of(&base).found.into_iter().map(|(at, _)| at).collect();
        for (_, path) in Leaves::of(&other).found.into_iter().filter(|(at, _)| !before.contains(at)) {
            end(&path, &other);
        }
    }
    assert_eq!(Leaves::of(&whole).lacking, Vec::<String>::new(), "the example lacks these");
    for (at, path) in Leaves::of(&base).found {
        for value in changed(&scene, base.pointer(&at).unwrap(), &path) {
            let mut other = base.clone();
            *other.pointer_mut(&at).unwrap() = value;
            end(&path, &other);
        }
    }
    let expected: BTreeMap<String, BTreeSet<End>> =
        FIELDS.iter().map(|(path, ends, _)| ((*path).to_owned(), ends.iter().copied().collect())).collect();
    assert_eq!(ends, expected);
}

#[test]
fn a_preset_that_a_lock_names_is_asked_about_as_a_manifest_is() {
    let world = World::new();
    let recipe = "name = 'outside'\ntitle = 'O'\ncommand = 'o'\n[npm]\npackage = 'o'\nversion = '1'\n";
    fs_err::write(world.dir.path().join("outside.toml"), recipe).unwrap();
    let asked = |agents: &[&str]| {
        let agents = agents.iter().map(|&agent| agent.to_owned()).collect();
        let preset = Some(LockedPreset { name: "solo".into(), suite: None, agents });
        world.write(
            "pinfold.lock",
            &Lock { version: 1, compat: lock::COMPAT, preset, ..Lock::default() }.render(),
        );
        super::told(&Project::discover(&world.folder()).unwrap())
    };
    assert_eq!(asked(&["opencode"]), Vec::<String>::new());
    let outside = fs_err::canonicalize(world.dir.path()).unwrap().join("outside.toml");
    assert_eq!(asked(&["../outside.toml"]), [format!("read `{}` as the recipe outside", outside.display())]);
}
