use pinfold_base::Kind;
use pinfold_image::plan::Volatility;

use super::*;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::project;

#[test]
fn how_often_a_component_moves_is_its_sources_word() {
    let project = project("name = 'x'\nagents = ['gemini-cli']\n");
    for (component, expected) in [
        ("debian/openssl", Volatility::Stable),
        ("agent/gemini-cli", Volatility::Volatile),
        ("agent/node", Volatility::Weekly),
        ("agent/of-another-manifest", Volatility::Volatile),
        ("npm/typescript", Volatility::Weekly),
        ("npm/@scope/name", Volatility::Weekly),
        ("binary/rg", Volatility::Weekly),
        ("generated/etc", Volatility::Stable),
        ("nonsense", Volatility::Stable),
    ] {
        assert_eq!(sources::volatility(&project, component), expected, "{component}");
    }
}

/// Layers of components with these sizes, as `NAME: COMPONENTS`.
fn planned(manifest: &str, sizes: &[(&str, u64)], old: Option<&Lock>) -> Vec<String> {
    let sizes = sizes.iter().map(|&(name, size)| (name.to_owned(), size)).collect();
    let layers = layers(&project(manifest), &sizes, &BTreeMap::new(), 0, old);
    layers.iter().map(|layer| format!("{}: {}", layer.name, layer.components.join(" "))).collect()
}

#[test]
fn what_moves_often_lies_on_top_and_what_is_to_be_alone_is() {
    const MIB: u64 = 1 << 20;
    let sizes = [
        ("agent/gemini-cli", 90 * MIB),
        ("agent/node", 90 * MIB),
        ("debian/libc6", 12 * MIB),
        ("debian/perl", MIB),
        ("generated/etc", 1),
        ("npm/typescript", MIB),
    ];
    let base = "name = 'x'\nagents = ['gemini-cli']\n";
    let at = |layers: &[String], component: &str| {
        let holds = |layer: &String| layer.split([' ', ':']).skip(1).any(|name| name == component);
        layers.iter().position(holds).unwrap_or_else(|| panic!("{component} is in none of {layers:?}"))
    };
    let layers = planned(base, &sizes, None);
    assert!(at(&layers, "debian/libc6") < at(&layers, "agent/node"), "{layers:?}");
    assert!(at(&layers, "agent/node") < at(&layers, "agent/gemini-cli"), "{layers:?}");
    assert_eq!(at(&layers, "generated/etc"), layers.len() - 1, "{layers:?}");
    let alone = planned(&format!("{base}[layers]\nalone = ['debian/perl']\n"), &sizes, None);
    assert!(alone.contains(&"debian/perl: debian/perl".to_owned()), "{alone:?}");
    assert!(!layers.contains(&"debian/perl: debian/perl".to_owned()), "{layers:?}");
    let few = planned(&format!("{base}[layers]\nmax = 2\n"), &sizes, None);
    assert!(few.len() <= 2, "{few:?}");
    for (name, _) in sizes {
        at(&few, name);
    }
}

#[test]
fn a_component_stays_in_the_layer_it_was_locked_in() {
    let layer = |name: &str, components: &[&str]| LockedLayer {
        name: name.into(),
        components: components.iter().map(|&name| name.into()).collect(),
    };
    let first = planned("name = 'x'\n", &[("debian/a", 10), ("debian/b", 10)], None);
    let locked = first.iter().map(|text| {
        let (name, components) = text.split_once(": ").unwrap();
        layer(name, &components.split(' ').collect::<Vec<_>>())
    });
    let old = Lock { layers: locked.collect(), ..Lock::default() };
    // `b` grows, `c` is new, `a` goes: `b` is where it was.
    let then = planned("name = 'x'\n", &[("debian/b", 99), ("debian/c", 1)], Some(&old));
    let name = |layers: &[String], component: &str| {
        let layer = layers.iter().find(|layer| layer.contains(component)).unwrap();
        layer.split(':').next().unwrap().to_owned()
    };
    assert_eq!(name(&then, "debian/b"), name(&first, "debian/b"));
    assert!(!then.iter().any(|layer| layer.contains("debian/a")), "{then:?}");
}

#[test]
fn an_agent_that_needs_debian_packages_needs_debian_when_there_is_a_user() {
    let world = World::new();
    let user = "[user]\nname = 'u'\nuid = 1\ngid = 1\nhome = '/u'\n";
    let project = world.project(&format!("name = 'x'\nagents = ['claude-code']\n{user}"));
    let error = lock(&world.online(), &agreed(&world.online(), &project), &Upgrade::Nothing).unwrap_err();
    assert_eq!(
        error.to_string(),
        "agent `claude-code` needs Debian packages (git, ripgrep, procps, ca-certificates), and the manifest has no `[debian]`"
    );
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(
        error.block().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["[debian]", "suite = \"bookworm\""]
    );
}

#[test]
fn a_check_compares_and_writes_nothing() {
    let world = World::new();
    let (context, project) = (world.online(), world.project("name = 'x'\n"));
    let first = check(&context, &agreed(&context, &project)).unwrap();
    assert!(first.differs && !first.had_lock && !first.written);
    assert!(!project.lock_file.exists());
    assert!(lock(&context, &agreed(&context, &project), &Upgrade::Nothing).unwrap().written);
    let then = check(&context, &agreed(&context, &project)).unwrap();
    assert!(!then.differs && then.had_lock && then.changes.is_empty());
    assert_eq!(then.lock.epoch, STILL, "nothing has a date");
    assert!(
        !lock(&context, &agreed(&context, &project), &Upgrade::All).unwrap().written,
        "the bytes are there already"
    );
}

#[test]
fn a_name_with_its_source_moves_nothing_of_another() {
    let only = |name: &str| Upgrade::Only(vec![name.into()]);
    for (name, moved) in [
        ("foo", ["debian/foo", "npm/foo"].as_slice()),
        ("debian/foo", &["debian/foo"]),
        ("npm/foo", &["npm/foo"]),
        ("@s/foo", &["npm/@s/foo"]),
        ("npm/@s/foo", &["npm/@s/foo"]),
        ("s/foo", &[]),
    ] {
        let all = ["debian/foo", "npm/foo", "npm/@s/foo", "debian/foo-data"];
        let found: Vec<&str> = all.into_iter().filter(|component| only(name).moves(component)).collect();
        assert_eq!(found, moved, "{name}");
    }
}
