//! Every field of manifest, recipe and `.npmrc`, changed one at a time: each is a new wish, or is listed with the reason
//! why it does nothing to the host. The schemas say which fields there are, so that one that is added is missed here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::project::manifest::ManifestFile;
use crate::project::recipe::RecipeFile;
use crate::schema_of;

/// Every key of a manifest.
const MANIFEST: &str = r#"
preset = "sealed"
name = "x"
platforms = ["linux/amd64", "linux/arm64"]
agents = ["opencode", "./mine.toml", { name = "codex-cli", version = "1" }, { name = "claude-code", nix = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e" }]
[base]
image = "registry.example/team/base:1"
[debian]
suites = ["sid"]
components = ["main"]
base = "none"
packages = ["bash", "dash", "dash=1", "dashx"]
add = ["jq"]
remove = ["dash"]
recommends = true
slim = true
mirror = "https://d.example"
security-mirror = "https://s.example"
snapshot = "https://n.example/{archive}/{timestamp}"
keyring = "keys"
check-valid-until = true
debconf = { "x/text" = "a", "x/list" = ["a"] }
[[debian.archive]]
uri = "https://v.example"
suite = "stable"
components = ["main"]
keyring = "keys"
priority = 500
architectures = ["amd64"]
[npm]
packages = ["tool"]
registry = "https://r.example"
[npm.package]
short = "1"
long = { version = "1", bin = ["l"], scripts = "none" }
[[binary]]
name = "b"
version = "1"
url = { "linux/amd64" = "https://b.example/{version}", "linux/arm64" = "https://b.example/{version}" }
platforms = ["linux/amd64", "linux/arm64"]
format = "raw"
sha256 = { "linux/amd64" = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
members = { "." = "/b" }
[[build]]
path = "/worker"
worker = true
[[build]]
path = "/pinfold"
pinfold = true
[[build]]
path = "/c"
cargo = "c"
bin = "b"
features = ["f"]
profile = "p"
platforms = ["linux/amd64", "linux/arm64"]
mode = "0755"
owner = "1:1"
[[build]]
path = "/g"
go = "./g"
[[build]]
path = "/m"
command = ["make"]
output = "o"
[nix]
profile = "base"
resolution = "names"
roots = ["/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-a", { package = "nixpkgs#a" }, { name = "b", path = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-b" }, { "linux/amd64" = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-c", "linux/arm64" = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-d" }]
caches = ["https://x.example", { url = "https://y.example", keys = ["fixture-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="] }]
conf = { max-jobs = "1" }
[toy]
shop = "http://shop.example"
names = ["bear"]
[[file]]
path = "/a"
source = "../secret"
mode = "0600"
owner = "1:1"
replace = true
[[file]]
path = "/b"
source-platform = { "linux/amd64" = "../secret" }
[[file]]
path = "/c"
content = "text"
[[dir]]
path = "/d"
mode = "0700"
owner = "1:1"
replace = true
[[link]]
path = "/l"
target = "a"
replace = true
[user]
name = "u"
uid = 1000
gid = 1000
home = "/u"
shell = "/bin/sh"
[image]
entrypoint = ["a"]
cmd = ["b"]
workdir = "/w"
env = { A = "b" }
labels = { a = "b" }
annotations = { a = "b" }
volumes = ["/v"]
compression = "gzip"
[layers]
max = 60
alone = ["a/b"]
[policy]
min-age = "3d"
size-budget = "1GB"
set-id = "strip"
missing-time = "refuse"
[scripts]
each = { config = "skip: none", postinst = { skip = "none" } }
p = "skip: none"
[run]
sealed = false
network = "proxy"
allow = ["h.example"]
mounts = ["/srv"]
pass-env = ["A"]
memory = "1GiB"
cpus = "1"
pids = 100
protect = ["tools/run.sh"]
unprotect = [".vscode"]
nix-store = "private"
credentials = { claude-code = "env:A" }
[[test]]
name = "runs"
command = ["a"]
env = { A = "b" }
exit-code = 1
stdout = ["a"]
stdout-excluded = ["a"]
stderr = ["a"]
stderr-excluded = ["a"]
[[test]]
name = "is there"
path = "/a"
exists = true
[[test]]
name = "is so"
path = "/a"
type = "file"
mode = "0644"
owner = "1:1"
content = ["a"]
content-excluded = ["a"]
[[test]]
name = "says"
[test.image]
env = { A = "b" }
labels = { a = "b" }
entrypoint = ["a"]
cmd = ["b"]
workdir = "/w"
user = "u"
volumes = ["/v"]
"#;

/// Other forms of values in it.
const FORMS: &[(&str, &str)] = &[
    ("suites = [\"sid\"]\n", "suite = \"trixie\"\nbackports = true\n"),
    (r#"set-id = "strip""#, r#"set-id = { keep = ["/s"] }"#),
    (
        r#"nix = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e""#,
        r#"nix = { package = "nixpkgs#e", name = "e" }"#,
    ),
    (
        r#"nix = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e""#,
        r#"nix = { path = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e" }"#,
    ),
    (
        r#"nix = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e""#,
        r#"nix = { "linux/amd64" = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e", "linux/arm64" = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-f" }"#,
    ),
];

/// Other places that a recipe's program may come from.
const NIX: &[&str] = &[
    r#"nix = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e""#,
    r#"nix = { package = "nixpkgs#e", name = "e" }"#,
    r#"nix = { path = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e" }"#,
    r#"nix = { "linux/amd64" = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-e", "linux/arm64" = "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-f" }"#,
];

/// Every key of a recipe.
const RECIPE: &str = r#"
name = "mine"
title = "Mine"
kind = "agent"
command = "mine"
recipes = ["node"]
debian = ["git"]
place = [{ from = "a", to = "/a", mode = "0755", drop = ["b"] }]
link = [{ path = "/l", target = "a" }]
env = { A = "b" }
home = [{ path = "a", content = "b", mode = "0600" }]
[npm]
package = "mine"
version = "1"
platforms = { "linux/amd64" = { package = "m", version = "1" } }
scripts = "none"
dependencies = "skip"
[check]
version = ["-v"]
config = ["-c"]
[run]
autonomous = ["-y"]
hosts = ["h2.example"]
protect = [".mine"]
protect-files = [".mine.json"]
worker = ["-w", "x"]
[[run.route]]
upstream = "https://keys.example"
header = "bearer"
paths = ["/v1"]
key = ["KEY"]
starts = ["sk-"]
name = "n"
base = ["BASE"]
append-headers = { beta = "yes" }
env = { A = "b" }
[run.route.request]
methods = ["GET"]
headers = ["x-one"]
query = ["one"]
escapes = ["%2F"]
types = ["application/json"]
[[run.file]]
path = "a"
prepend = "p"
[[run.file]]
path = "b"
append = "q"
[[run.file]]
path = "c"
replace = "r"
"#;

/// Changes other than another letter at the end.
const CHANGES: &[(&str, &str)] = &[
    ("test[].type", "link"),
    ("test[].mode", "0600"),
    ("test[].owner", "2:2"),
    ("preset", "solo"),
    ("platforms[]", "linux/arm64"),
    ("binary[].platforms[]", "linux/arm64"),
    ("binary[].format", "zip"),
    ("agents[]", "../outside.toml"),
    ("agents[].name", "../outside.toml"),
    ("debian.base", "minbase"),
    ("debian.keyring", "other-keys"),
    ("debian.archive[].keyring", "other-keys"),
    ("debian.archive[].architectures[]", "arm64"),
    ("build[].platforms[]", "linux/arm64"),
    ("build[].mode", "0555"),
    ("build[].owner", "2:2"),
    ("nix.profile", "rust"),
    ("nix.resolution", "other-names"),
    ("nix.caches[].keys[]", "fixture-2:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
    ("file[].source", "../other"),
    ("file[].source-platform.*", "../other"),
    ("file[].mode", "0644"),
    ("file[].owner", "2:2"),
    ("dir[].mode", "0755"),
    ("dir[].owner", "2:2"),
    ("binary[].sha256.*", "E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("image.compression", "zstd"),
    ("policy.min-age", "0"),
    ("policy.size-budget", "2GB"),
    ("policy.set-id", "keep"),
    ("policy.missing-time", "accept"),
    ("run.network", "host"),
    ("run.memory", "64GiB"),
    ("run.cpus", "64"),
    ("run.pids", "1000000"),
    ("run.nix-store", "shared"),
    ("kind", "runtime"),
    ("recipes[]", "../outside.toml"),
    ("place[].mode", "0644"),
    ("home[].mode", "0644"),
    ("run.route[].header", "x-api-key"),
    ("run.route[].request.methods[]", "POST"),
    ("run.route[].request.escapes[]", "%3A"),
];

const TAKEN: &str = "what is taken from registries and archives of the machine's, or agreed to, verified by their keys and digests";
const IMAGE: &str = "what is in the image, and seen inside only";
const TEXT: &str = "for people";
const FEWER: &str = "a limit where there is none by itself";
const NARROWS: &str = "what a sandbox may not change";
const TESTED: &str =
    "a test of the image: a command of it in a sandbox that has nothing of the host, or files of it";
const ONE: &str = "there is one value";

/// What does nothing to the host, and why.
const HARMLESS: &[(&str, &str)] = &[
    ("preset", "a built-in manifest, which asks for nothing"),
    ("name", "the name under which the image is kept"),
    ("platforms[]", TAKEN),
    ("agents[].version", TAKEN),
    ("agents[].nix", TAKEN),
    ("agents[].nix.package", TAKEN),
    ("agents[].nix.name", IMAGE),
    ("agents[].nix.path", TAKEN),
    ("agents[].nix.*", TAKEN),
    ("debian.suite", TAKEN),
    ("debian.suites[]", TAKEN),
    ("debian.backports", TAKEN),
    ("debian.components[]", TAKEN),
    ("debian.base", TAKEN),
    ("debian.packages[]", TAKEN),
    ("debian.add[]", TAKEN),
    ("debian.remove[]", TAKEN),
    ("debian.recommends", TAKEN),
    ("debian.slim", IMAGE),
    ("debian.archive[].components[]", TAKEN),
    ("debian.archive[].priority", TAKEN),
    ("debian.archive[].architectures[]", TAKEN),
    ("debian.debconf.*", IMAGE),
    ("debian.debconf.*[]", IMAGE),
    ("npm.packages[]", TAKEN),
    ("npm.package.*", TAKEN),
    ("npm.package.*.version", TAKEN),
    ("npm.package.*.bin[]", IMAGE),
    ("npm.package.*.scripts", TEXT),
    ("binary[].name", TEXT),
    ("binary[].sha256.*", "what came from the address is held to it"),
    ("binary[].members.*", IMAGE),
    ("binary[].format", IMAGE),
    ("binary[].platforms[]", "fewer addresses than those that are asked about"),
    ("build[].worker", ONE),
    ("build[].pinfold", ONE),
    ("nix.profile", TAKEN),
    ("nix.resolution", TAKEN),
    ("nix.roots[]", TAKEN),
    ("nix.roots[].package", TAKEN),
    ("nix.roots[].name", IMAGE),
    ("nix.roots[].path", TAKEN),
    ("nix.roots[].*", TAKEN),
    ("nix.conf.*", IMAGE),
    ("toy.names[]", TAKEN),
    ("file[].content", IMAGE),
    ("dir[].path", IMAGE),
    ("dir[].mode", IMAGE),
    ("dir[].owner", IMAGE),
    ("dir[].replace", IMAGE),
    ("link[].replace", IMAGE),
    ("link[].path", IMAGE),
    ("link[].target", IMAGE),
    ("user.name", IMAGE),
    ("user.uid", "an id inside; outside it is the caller's"),
    ("user.gid", "an id inside; outside it is the caller's"),
    ("user.home", IMAGE),
    ("user.shell", IMAGE),
    ("image.entrypoint[]", IMAGE),
    ("image.cmd[]", IMAGE),
    ("image.workdir", IMAGE),
    ("image.env.*", IMAGE),
    ("image.labels.*", TEXT),
    ("image.annotations.*", TEXT),
    ("image.volumes[]", "not mounted by pinfold"),
    ("image.compression", IMAGE),
    ("layers.max", IMAGE),
    ("layers.alone[]", IMAGE),
    ("policy.min-age", TAKEN),
    ("policy.size-budget", "a build that fails"),
    ("policy.set-id", "bits of the image; unpacking takes them off"),
    ("policy.set-id.keep[]", "bits of the image; unpacking takes them off"),
    ("policy.missing-time", TAKEN),
    ("scripts.*", TEXT),
    ("scripts.*.*", TEXT),
    ("scripts.*.*.skip", TEXT),
    ("run.sealed", "it takes the network away, and what asks for one besides is refused"),
    ("run.memory", FEWER),
    ("run.cpus", FEWER),
    ("run.protect[]", NARROWS),
    ("test[].name", TESTED),
    ("test[].command[]", TESTED),
    ("test[].env.*", TESTED),
    ("test[].exit-code", TESTED),
    ("test[].stdout[]", TESTED),
    ("test[].stdout-excluded[]", TESTED),
    ("test[].stderr[]", TESTED),
    ("test[].stderr-excluded[]", TESTED),
    ("test[].path", TESTED),
    ("test[].exists", TESTED),
    ("test[].type", TESTED),
    ("test[].mode", TESTED),
    ("test[].owner", TESTED),
    ("test[].content[]", TESTED),
    ("test[].content-excluded[]", TESTED),
    ("test[].image.env.*", TESTED),
    ("test[].image.labels.*", TESTED),
    ("test[].image.entrypoint[]", TESTED),
    ("test[].image.cmd[]", TESTED),
    ("test[].image.workdir", TESTED),
    ("test[].image.user", TESTED),
    ("test[].image.volumes[]", TESTED),
];

/// The same of recipes.
const HARMLESS_IN_RECIPES: &[(&str, &str)] = &[
    ("title", TEXT),
    ("kind", TEXT),
    ("command", "run inside"),
    ("debian[]", TAKEN),
    ("place[].from", IMAGE),
    ("place[].to", IMAGE),
    ("place[].mode", IMAGE),
    ("place[].drop[]", IMAGE),
    ("link[].path", IMAGE),
    ("link[].target", IMAGE),
    ("env.*", IMAGE),
    ("home[].path", IMAGE),
    ("home[].content", IMAGE),
    ("home[].mode", IMAGE),
    ("npm.package", TAKEN),
    ("npm.version", TAKEN),
    ("npm.platforms.*.package", TAKEN),
    ("npm.platforms.*.version", TAKEN),
    ("npm.scripts", TEXT),
    ("npm.dependencies", ONE),
    ("nix", TAKEN),
    ("nix.package", TAKEN),
    ("nix.name", IMAGE),
    ("nix.path", TAKEN),
    ("nix.*", TAKEN),
    ("check.version[]", TEXT),
    ("check.config[]", TEXT),
    ("run.autonomous[]", "run inside"),
    ("run.protect[]", NARROWS),
    ("run.protect-files[]", NARROWS),
    ("run.worker[]", "run inside"),
    ("run.file[].path", "written to the sandbox's own home"),
    ("run.file[].prepend", "written to the sandbox's own home"),
    ("run.file[].append", "written to the sandbox's own home"),
    ("run.file[].replace", "written to the sandbox's own home"),
];

fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(root.pointer(&reference[1..]).unwrap(), root),
        None => schema,
    }
}

/// The forms that a value may have.
fn forms<'a>(schema: &'a Value, root: &'a Value) -> Vec<&'a Value> {
    let schema = resolved(schema, root);
    match ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array()) {
        Some(forms) => forms.iter().flat_map(|form| self::forms(form, root)).collect(),
        None => vec![schema],
    }
}

/// The schema of what a map holds under any key.
fn of_any(schema: &Value) -> Option<&Value> {
    let patterns = schema["patternProperties"].as_object().and_then(|patterns| patterns.values().next());
    patterns.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))
}

/// A field of a table. Platforms are keys of a map, though the schema knows which there are.
fn below(path: &str, name: &str) -> String {
    let name = if name.starts_with("linux/") { "*" } else { name };
    format!("{path}.{name}")
}

/// Paths of all fields that a schema has.
fn known(schema: &Value, root: &Value, path: &str, found: &mut BTreeSet<String>) {
    for form in forms(schema, root) {
        if let Some(fields) = form["properties"].as_object().filter(|fields| !fields.is_empty()) {
            for (name, field) in fields {
                known(field, root, below(path, name).trim_start_matches('.'), found);
            }
        } else if let Some(any) = of_any(form) {
            known(any, root, &format!("{path}.*"), found);
        } else if let Some(items) = form.get("items") {
            known(items, root, &format!("{path}[]"), found);
        } else if form["type"] != "null" {
            found.insert(path.to_owned());
        }
    }
}

/// Leaves of a value: where each is, and which field of the schema that is.
fn leaves(value: &Value, names: &BTreeSet<String>, at: &str, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let field = below(path, name).trim_start_matches('.').to_owned();
                let begins = |known: &String| {
                    known
                        .strip_prefix(&field)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                let field = if names.iter().any(begins) { field } else { format!("{path}.*") };
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(inner, names, &format!("{at}/{name}"), &field, found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                leaves(inner, names, &format!("{at}/{index}"), &format!("{path}[]"), found);
            }
        }
        _ => found.push((at.to_owned(), path.to_owned())),
    }
}

fn changed(value: &Value, path: &str) -> Value {
    let other = CHANGES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text);
    match (value, other) {
        (Value::String(_), Some(text)) => text.into(),
        (Value::String(text), None) => format!("{text}x").into(),
        (Value::Bool(bit), _) => (!bit).into(),
        (Value::Number(_), Some(text)) => text.parse::<u64>().unwrap().into(),
        (Value::Number(number), None) => (number.as_u64().unwrap() + 1).into(),
        _ => panic!("{path}"),
    }
}

/// A project with everything that the examples name.
fn world() -> World {
    let world = World::new();
    for name in ["secret", "other"] {
        fs_err::write(world.dir.path().join(name), name).unwrap();
    }
    let outside = RECIPE.replace("\"mine\"", "\"outside\"").replace("node", "opencode");
    fs_err::write(world.dir.path().join("outside.toml"), outside).unwrap();
    for (name, text) in
        [("keys", "keys"), ("other-keys", "other"), ("mine.toml", RECIPE), ("pinfold.toml", MANIFEST)]
    {
        world.write(name, text);
    }
    world
}

/// Digests of all that the project asks for.
fn digests(world: &World) -> Result<BTreeSet<String>, String> {
    let project =
        Project::discover(&world.folder()).map_err(|error| crate::sources::testing::told(&error))?;
    let wishes = Wishes {
        declared: project.manifest.run.clone(),
        recipes: project.recipes.clone(),
        ..Wishes::default()
    };
    Ok(asks(&Environment::default(), Some(&project), &wishes)
        .iter()
        .map(|ask| ask.digest().to_string())
        .collect())
}

/// Changes each field of the examples, each kept as `file`, and holds what happens to `harmless`.
fn each_field(file: &str, examples: &[String], schema: &Value, harmless: &[(&str, &str)]) {
    let world = world();
    let mut names = BTreeSet::new();
    known(schema, schema, "", &mut names);
    let mut found = Vec::new();
    for text in examples {
        let value: Value = toml::from_str(text).unwrap();
        let mut fields = Vec::new();
        leaves(&value, &names, "", "", &mut fields);
        world.write(file, text);
        let base = digests(&world).unwrap();
        found.extend(fields.into_iter().map(|(at, path)| (value.clone(), base.clone(), at, path)));
    }
    let tried: BTreeSet<String> = found.iter().map(|(.., path)| path.clone()).collect();
    assert_eq!(
        names.difference(&tried).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "the example lacks these"
    );
    let mut asked: BTreeMap<&str, bool> = BTreeMap::new();
    let mut done = BTreeSet::new();
    for (value, base, at, path) in &found {
        if !done.insert((at, path)) {
            continue;
        }
        let mut other = value.clone();
        let leaf = other.pointer_mut(at).unwrap();
        *leaf = changed(leaf, path);
        let same_word = harmless.iter().any(|(name, why)| name == path && *why == ONE);
        if same_word {
            asked.entry(path).or_default();
            continue;
        }
        world.write(file, &toml::to_string(&other).unwrap());
        let now = digests(&world).unwrap_or_else(|error| panic!("{at}: {error}"));
        *asked.entry(path).or_default() |= now.difference(base).next().is_some();
    }
    for (path, asked) in asked {
        let listed = harmless.iter().any(|(name, _)| *name == path);
        assert_ne!(
            asked, listed,
            "`{path}`: a change is a new wish ({asked}), or is listed as harmless ({listed})"
        );
    }
}

#[test]
fn every_field_of_a_manifest_is_a_new_wish_or_does_nothing_to_the_host() {
    let others = FORMS.iter().map(|(one, other)| MANIFEST.replace(one, other));
    let examples: Vec<String> = [MANIFEST.to_owned()].into_iter().chain(others).collect();
    each_field("pinfold.toml", &examples, &schema_of::<ManifestFile>(), HARMLESS);
}

#[test]
fn every_field_of_a_recipe_is_a_new_wish_or_does_nothing_to_the_host() {
    let (head, rest) = RECIPE.split_once("[npm]\n").unwrap();
    let (_, rest) = rest.split_once("[check]").unwrap();
    let head: Vec<&str> = head.lines().filter(|line| !line.starts_with(['p', 'l'])).collect();
    let head = head.join("\n");
    let others = NIX.iter().map(|nix| format!("{nix}\n{head}\n[check]{rest}"));
    let examples: Vec<String> = std::iter::once(RECIPE.to_owned()).chain(others).collect();
    each_field("mine.toml", &examples, &schema_of::<RecipeFile>(), HARMLESS_IN_RECIPES);
}

#[test]
fn every_setting_of_an_npmrc_that_is_heeded_is_a_new_wish() {
    let world = world();
    let line = |line: &str| {
        world.write(".npmrc", line);
        digests(&world).unwrap()
    };
    let none = line("");
    for (one, other) in [
        ("registry=https://a.example/", "registry=https://b.example/"),
        ("registry=https://a.example/", "registry=https://a.example/${A}"),
        ("registry=https://a.example/${A}", "registry=https://a.example/${B}"),
        ("registry=https://u:p@a.example/", "registry=https://u:q@a.example/"),
        ("@s:registry=https://a.example/", "@t:registry=https://a.example/"),
        ("@s:registry=https://a.example/", "@s:registry=https://b.example/"),
        ("//a.example/:_authToken=a", "//a.example/:_authToken=b"),
        ("//a.example/:_authToken=a", "//b.example/:_authToken=a"),
        ("//a.example/:_auth=a", "//a.example/:_auth=${A}"),
        ("//a.example/:username=a", "//a.example/:username=b"),
        ("//a.example/:_password=a", "//a.example/:_password=b"),
        ("${A}=https://a.example/", "${B}=https://a.example/"),
    ] {
        let (first, second) = (line(one), line(other));
        assert!(first.difference(&none).next().is_some(), "{one}");
        assert!(second.difference(&first).next().is_some(), "{other}");
    }
    for harmless in ["save-exact=true", "; registry=https://a.example/", "email=a@b.example", "cache=/tmp"] {
        assert_eq!(line(harmless), none, "{harmless} is not read");
    }
}
