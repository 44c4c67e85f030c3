//! What is told while the long steps run: all of their bytes, each once.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use pinfold_base::Home;
use pinfold_base::Reporter;
use pinfold_base::report::Stage;
use pinfold_engine::build;
use pinfold_engine::build::LockUse;
use pinfold_engine::consent;
use pinfold_engine::context::Context;
use pinfold_engine::context::Network;
use pinfold_engine::project::Project;
use pinfold_image::unpack;
use pinfold_image::verify;
use pinfold_testkit::debian;
use pinfold_testkit::debian::Archive;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::sample;

/// An item: its stage, its bytes, how many of them were done, and whether it ended.
type Item = (Stage, Option<u64>, u64, bool);

/// Items by their names, parts apart.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<BTreeMap<String, Item>>>);

impl Reporter for Counting {
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>) {
        self.0.lock().unwrap().insert(format!("{stage:?} {id}"), (stage, total, 0, false));
    }

    fn advance(&self, id: &str, bytes: u64) {
        if let Some((_, item)) = self
            .0
            .lock()
            .unwrap()
            .iter_mut()
            .find(|(name, item)| !item.3 && name.ends_with(&format!(" {id}")))
        {
            item.2 += bytes;
        }
    }

    fn end(&self, id: &str) {
        for (name, item) in self.0.lock().unwrap().iter_mut() {
            item.3 |= name.ends_with(&format!(" {id}"));
        }
    }

    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

#[test]
fn every_step_tells_all_of_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let key = TestKey::new(&Shape::default());
    let archive = Archive::start(debian::publish(&sample::suites(), &key));
    fs_err::write(dir.path().join("key.asc"), key.armoured()).unwrap();
    fs_err::write(dir.path().join("pinfold.toml"), sample::manifest(&archive.url)).unwrap();
    let counting = Counting::default();
    let home = Home::under(&dir.path().join("home"));
    let context = Context::at(home, Network::Online, Box::new(counting.clone())).unwrap();
    let project = consent::accept(&context, Project::discover(dir.path()).unwrap()).unwrap();
    let outcome = build::build(&context, &project, &build::Options::new(LockUse::Update)).unwrap();
    verify::verify(&outcome.source, &counting).unwrap();
    let image = outcome.images.values().next().unwrap();
    let rootfs = dir.path().join("rootfs");
    unpack::unpack(&outcome.source, image, &rootfs, &unpack::Options::default(), &counting).unwrap();

    let items = counting.0.lock().unwrap();
    for (name, (stage, total, done, ended)) in &*items {
        assert!(ended, "{name} ended");
        // How much archives have to say nobody knows before.
        if *stage != Stage::Resolve {
            assert_eq!(Some(*done), *total, "{name}");
        }
    }
    let of = |stage: Stage| items.values().filter(|item| item.0 == stage && item.2 > 0).count();
    assert_eq!(of(Stage::Fetch), 1, "one item for all archives: {items:?}");
    assert_eq!(of(Stage::Place), 2, "one for each platform: {items:?}");
    assert!(of(Stage::Compose) > 2, "one for each layer: {items:?}");
    assert_eq!((of(Stage::Verify), of(Stage::Unpack)), (1, 1), "{items:?}");
}
