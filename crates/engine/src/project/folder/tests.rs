//! What is opened, and what of it an exchange of names can change.

use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::*;

/// A project beside a secret.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("project/sub")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(dir.path().join("project/own"), "own").unwrap();
        fs::write(dir.path().join("project/sub/deep"), "deep").unwrap();
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap().join(name)
    }

    fn folder(&self) -> Folder {
        Folder::open(&self.dir.path().join("project")).unwrap()
    }
}

fn text(opened: &Opened) -> String {
    String::from_utf8(opened.bytes(100).unwrap()).unwrap()
}

#[test]
fn what_lies_outside_says_so_however_it_is_named() {
    let world = World::new();
    let (project, folder) = (world.at("project"), world.folder());
    symlink("own", project.join("link")).unwrap();
    symlink("../own", project.join("sub/up")).unwrap();
    symlink(project.join("own"), project.join("absolute")).unwrap();
    symlink("../secret", project.join("out")).unwrap();
    symlink(world.at("secret"), project.join("far")).unwrap();
    symlink("out", project.join("chain")).unwrap();
    symlink("..", project.join("up")).unwrap();
    symlink("/proc/self/root", project.join("root")).unwrap();
    let through = format!("root{}", world.at("secret").display());
    for (name, content, outside) in [
        ("own", "own", false),
        ("./sub/../own", "own", false),
        ("link", "own", false),
        ("sub/up", "own", false),
        ("absolute", "own", false),
        ("sub/deep", "deep", false),
        ("../project/own", "own", false),
        ("../secret", "secret", true),
        ("out", "secret", true),
        ("far", "secret", true),
        ("chain", "secret", true),
        ("up/secret", "secret", true),
        (through.as_str(), "secret", true),
        (world.at("secret").to_str().unwrap(), "secret", true),
        (world.at("project/own").to_str().unwrap(), "own", false),
    ] {
        let opened = folder.file(name.as_ref()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((text(&opened).as_str(), opened.outside().is_some()), (content, outside), "{name}");
        if outside {
            assert_eq!(opened.outside(), Some(&*world.at("secret")), "{name}");
        }
    }
    for missing in ["nowhere", "sub/nowhere", "own/x", "/nowhere/at/all"] {
        assert!(!matches!(folder.find(missing.as_ref()), Ok(Some(_))), "{missing}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let world = World::new();
    let folder = world.folder();
    let pipe = world.at("project/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(world.at("project/socket")).unwrap();
    symlink("pipe", world.at("project/to-pipe")).unwrap();
    for (name, kind) in [
        ("pipe", "a named pipe"),
        ("to-pipe", "a named pipe"),
        ("socket", "a socket"),
        ("sub", "a directory"),
        ("/dev/zero", "a device"),
    ] {
        // A pipe that was opened for reading would wait here for its writer.
        let error = folder.file(name.as_ref()).unwrap_err();
        assert!(error.to_string().ends_with(&format!("is {kind}, not a regular file")), "{name}: {error}");
    }
}

#[test]
fn what_was_opened_is_what_is_read_whatever_becomes_of_its_name() {
    let world = World::new();
    let folder = world.folder();
    let (own, deep) = (folder.file("own".as_ref()).unwrap(), folder.file("sub/deep".as_ref()).unwrap());
    let read = folder.file("own".as_ref()).unwrap().read(100).unwrap();
    fs::remove_file(world.at("project/own")).unwrap();
    symlink("../secret", world.at("project/own")).unwrap();
    fs::rename(world.at("project/sub"), world.at("project/was")).unwrap();
    fs::create_dir(world.at("project/sub")).unwrap();
    fs::write(world.at("project/sub/deep"), "another").unwrap();
    assert_eq!((text(&own).as_str(), text(&deep).as_str(), text(&read).as_str()), ("own", "deep", "own"));
    // It can fail: by their names they are others.
    assert_eq!(text(&folder.file("own".as_ref()).unwrap()), "secret");
    assert_eq!(text(&folder.file("sub/deep".as_ref()).unwrap()), "another");
    // A directory that was opened stays the one that is looked in, and written to.
    fs::rename(world.at("project"), world.at("was")).unwrap();
    fs::create_dir(world.at("project")).unwrap();
    assert!(folder.find("own".as_ref()).unwrap().is_some());
    fs::write(folder.place_of("new".as_ref()), "new").unwrap();
    assert!(world.at("was/new").is_file() && !world.at("project/new").exists());
}

/// A name that is now the project's own file and now a link to the secret, as fast as it can be changed.
#[test]
fn no_exchange_passes_a_secret_as_the_projects_own() {
    let world = World::new();
    let (folder, project) = (world.folder(), world.at("project"));
    symlink("../secret", project.join("evil")).unwrap();
    fs::write(project.join("name"), "own").unwrap();
    let done = AtomicBool::new(false);
    let (mut own, mut secret) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let exchange = |a: &str| {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let cwd = rustix::fs::CWD;
                rustix::fs::renameat_with(cwd, project.join(a), cwd, project.join("name"), flags).unwrap();
            };
            while !done.load(Ordering::Relaxed) {
                exchange("evil");
                exchange("evil");
            }
        });
        for _ in 0..20_000 {
            let opened = folder.file("name".as_ref()).unwrap();
            match (text(&opened).as_str(), opened.outside().is_some()) {
                ("own", false) => own += 1,
                ("secret", true) => secret += 1,
                found => panic!("{found:?}"),
            }
            if own > 100 && secret > 100 {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(own > 0 && secret > 0, "both were seen: {own}, {secret}");
}

#[test]
fn no_more_is_read_than_is_allowed() {
    let world = World::new();
    let folder = world.folder();
    let own = folder.file("own".as_ref()).unwrap();
    assert_eq!(own.bytes(3).unwrap(), b"own");
    assert!(matches!(own.bytes(2), Err(OpenError::TooLong { max: 2, .. })));
    assert!(matches!(own.read(2), Err(OpenError::TooLong { .. })));
}

#[test]
fn what_is_in_a_directory_is_read_as_it_was_listed_or_not_at_all() {
    let world = World::new();
    let project = world.at("project");
    fs::create_dir_all(project.join("skel/deep")).unwrap();
    fs::write(project.join("skel/deep/a"), "a").unwrap();
    symlink(world.at(""), project.join("skel/link")).unwrap();
    let listed = |name: &str| match world.folder().source(Path::new(name)) {
        Ok(Source::Directory(directory)) => Ok(directory),
        Ok(Source::File(_)) => panic!("{name} is a file"),
        Err(error) => Err(error.to_string()),
    };
    let names = |directory: &Directory| -> Vec<String> {
        directory.entries().iter().map(|entry| entry.path.to_string()).collect()
    };
    let directory = listed("skel").unwrap();
    assert_eq!(names(&directory), ["/deep", "/deep/a", "/link"], "a link is not followed");
    assert_eq!(directory.outside(), None);
    let entry = |directory: &Directory, name: &str| {
        directory.entries().iter().find(|entry| entry.path.to_string() == name).unwrap().clone()
    };
    let a = entry(&directory, "/deep/a");
    assert_eq!(text(&directory.open(&a).unwrap()), "a");

    // The directory on the way becomes a link to elsewhere, where a file of the name is.
    fs::write(world.at("a"), "secret").unwrap();
    fs::rename(project.join("skel/deep"), project.join("skel/gone")).unwrap();
    symlink(world.at(""), project.join("skel/deep")).unwrap();
    assert!(matches!(directory.open(&a), Err(OpenError::Changed { .. })));
    // So does what is no file any more; and what was written to since.
    fs::remove_file(project.join("skel/deep")).unwrap();
    fs::create_dir_all(project.join("skel/deep/a")).unwrap();
    assert!(matches!(directory.open(&a), Err(OpenError::Changed { .. })));
    pinfold_base::directory::remove(&project.join("skel/deep")).unwrap();
    fs::rename(project.join("skel/gone"), project.join("skel/deep")).unwrap();
    assert_eq!(text(&directory.open(&a).unwrap()), "a", "it can succeed");
    fs::write(project.join("skel/deep/a"), "longer").unwrap();
    assert!(matches!(directory.open(&a), Err(OpenError::Changed { .. })));
    assert_ne!(listed("skel").unwrap().mark(), directory.mark());

    // What lies outside says so, with a slash.
    symlink("..", project.join("up")).unwrap();
    let outside = world.folder().source(Path::new("up")).unwrap().outside().unwrap();
    assert_eq!(outside.as_os_str(), world.at("").as_os_str());

    let _socket = std::os::unix::net::UnixListener::bind(project.join("skel/socket")).unwrap();
    assert!(listed("skel").unwrap_err().contains("is a socket"));
    fs::remove_file(project.join("skel/socket")).unwrap();
    let mut deep = project.join("skel");
    for _ in 0..64 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    assert!(listed("skel").unwrap_err().contains("more than 64 levels"));
}
