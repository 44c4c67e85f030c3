//! What the user's own files mean for a Debian image.

use super::*;
use crate::sources::testing::World;

#[test]
fn files_below_the_folder_for_local_certificates_are_authorities() {
    let world = World::new();
    world.write("corp.pem", "from a file");
    let entry = |path: &str, content: &str| format!("[[file]]\npath = '{path}'\n{content}\n");
    let local = "/usr/local/share/ca-certificates";
    let text = [
        "name = 'x'\n".to_owned(),
        entry(&format!("{local}/corp.crt"), "source = 'corp.pem'"),
        entry(&format!("{local}/sub/In (b), x.crt"), "content = 'inline'"),
        entry(&format!("{local}/README"), "content = 'no certificate'"),
        entry("/usr/local/share/other.crt", "content = 'elsewhere'"),
    ];
    let found = authorities(&world.project(&text.concat()), Platform::ALL[0]);
    let expected = [("corp.crt", "from a file"), ("sub/In (b), x.crt", "inline")];
    assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
}

#[test]
fn an_entry_of_scripts_that_skips_nothing_is_told() {
    let none = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let deb = |name: &str| {
        format!(
            "{{ name = '{name}', version = '1', arch = 'all', source = '{name}', sha256 = '{none}', size = 1, \
             path = 'p', suite = 's', manual = true }}"
        )
    };
    let lock = format!(
        "version = 1\ncompat = 1\nepoch = 0\n[encoders]\n[request]\n[debian]\nsuites = []\n[debian.packages]\n\
         'linux/amd64' = [{}, {}]\n[npm]\n'linux/amd64' = [{{ dir = 'node_modules/n', package = {{ name = 'n', \
         version = '1.0.0', integrity = '{none}', path = 'n.tgz' }}, requested = true }}]\n",
        deb("has"),
        deb("bare")
    );
    let lock = Lock::parse(&lock, Path::new("pinfold.lock")).unwrap();
    let entry = format!("package = 'has'\nscript = 'postinst'\nsha256 = '{none}'\nclass = 'nothing'\n");
    let ledger: place::LedgerEntry = toml::from_str(&entry).unwrap();
    let told = |scripts: &str| {
        let project = World::new().project(&format!("name = 'x'\n[scripts]\n{scripts}\n"));
        stale(&project.manifest, &lock, Platform::ALL[0], std::slice::from_ref(&ledger))
    };
    for used in ["has = 'skip: y'", "has.postinst = { skip = 'y' }", "n = 'skip: a package of npm'"] {
        assert_eq!(told(used), Vec::<String>::new(), "{used}");
    }
    for (unused, expected) in [
        ("gone = 'skip: y'", "`[scripts]` skips `gone`, which is not in the image: leave it out"),
        ("bare = 'skip: y'", "`[scripts]` skips `bare`, which has no install script: leave it out"),
        (
            "has.preinst = { skip = 'y' }",
            "`[scripts]` skips `has.preinst`, and the package has no such script: leave it out",
        ),
    ] {
        assert_eq!(told(unused), [expected], "{unused}");
    }
}
