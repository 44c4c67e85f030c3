use pinfold_archive::tree::InlineOnly;

use super::*;

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/bash\nguest::1001:1001:::/bin/sh\n";
const GROUP: &str = "root:x:0:\nshadow:x:42:node\nnode:x:1000:\nstaff:x:50:guest,node\n";
const SHADOW_FILE: &str = "node:!:20000:0:99999:7:::\nroot:$6$salt$hash:20000:0:99999:7:::\n";
const GSHADOW: &str = "root:*::\nshadow:*::node\nnode:!::\nstaff:*:root:guest,node\n";

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn below() -> Tree {
    let owner = Component::from("base/node");
    let mut tree = Tree::new();
    let file =
        |text: &str, mode| Node::file(&owner, Metadata::root(mode, 7), Content::inline(text.as_bytes()));
    tree.insert(path("etc/passwd"), file(PASSWD, 0o644));
    tree.insert(path("etc/group"), file(GROUP, 0o644));
    tree.insert(path("etc/shadow"), file(SHADOW_FILE, 0o600));
    tree.insert(path("etc/gshadow"), file(GSHADOW, 0o640));
    let own = Metadata::root(0o755, 7).owned_by(1000, 1000);
    tree.insert(path("home/node"), Node::directory(&owner, own.clone()));
    let shell = Node { meta: own.clone(), ..file("# rc\n", 0o644) };
    tree.insert(path("home/node/.bashrc"), shell.clone());
    let link = Node { kind: NodeKind::Hardlink(path("home/node/.bashrc")), ..shell };
    tree.insert(path("home/node/.profile"), link);
    tree.complete(&owner, 7).unwrap();
    tree
}

fn text(tree: &Tree, name: &str) -> String {
    String::from_utf8(InlineOnly.read(tree.content(&path(name)).unwrap(), 1 << 20).unwrap()).unwrap()
}

fn user(name: &str, uid: u32) -> NewUser {
    NewUser {
        name: name.into(),
        uid,
        gid: uid,
        gecos: String::new(),
        home: path(&format!("home/{name}")),
        home_mode: 0o755,
        shell: "/bin/bash".into(),
    }
}

#[test]
fn what_nothing_changes_is_written_as_it_was() {
    let mut tree = below();
    let accounts = Accounts::of_tree(&tree, &InlineOnly).unwrap();
    let files = accounts.files(9);
    assert_eq!((files.passwd.as_str(), files.group.as_str()), (PASSWD, GROUP));
    assert_eq!((files.shadow.as_str(), files.gshadow.as_str()), (SHADOW_FILE, GSHADOW));
    write(&mut tree, &InlineOnly, &accounts, 9).unwrap();
    assert_eq!(tree, below());
    // The same user once more changes nothing either.
    settle(&mut tree, &InlineOnly, &user("node", 1000), 9).unwrap();
    assert_eq!(tree, below());
}

// What `usermod -l iteron -d /home/iteron -m node` and `groupmod -n iteron node` of shadow 4.13 leave.
#[test]
fn a_user_of_the_same_id_is_renamed_with_home_and_groups() {
    let mut tree = below();
    settle(&mut tree, &InlineOnly, &user("iteron", 1000), 9).unwrap();
    assert_eq!(
        text(&tree, "etc/passwd"),
        PASSWD.replace("node:x:1000:1000::/home/node", "iteron:x:1000:1000::/home/iteron")
    );
    assert_eq!(
        text(&tree, "etc/group"),
        "root:x:0:\nshadow:x:42:iteron\niteron:x:1000:\nstaff:x:50:guest,iteron\n"
    );
    assert_eq!(text(&tree, "etc/shadow"), SHADOW_FILE.replace("node:", "iteron:"));
    assert_eq!(
        text(&tree, "etc/gshadow"),
        "root:*::\nshadow:*::iteron\niteron:!::\nstaff:*:root:guest,iteron\n"
    );
    let shadow = tree.get(&path("etc/shadow")).unwrap();
    assert_eq!((shadow.meta.mode, shadow.owner.as_str()), (0o600, "generated/accounts"));
    assert!(!tree.contains(&path("home/node")));
    assert_eq!(text(&tree, "home/iteron/.profile"), "# rc\n");
    let link = &tree.get(&path("home/iteron/.profile")).unwrap().kind;
    assert_eq!(*link, NodeKind::Hardlink(path("home/iteron/.bashrc")));
    assert_eq!(tree.get(&path("home/iteron")).unwrap().owner.as_str(), "base/node");
}

#[test]
fn a_home_stays_where_something_is_at_the_new_place_and_where_it_is_anothers() {
    let mut tree = below();
    let taken = Node::directory(&Component::from("base/node"), Metadata::root(0o755, 7));
    tree.insert(path("home/iteron"), taken);
    settle(&mut tree, &InlineOnly, &user("iteron", 1000), 9).unwrap();
    assert!(tree.contains(&path("home/node/.bashrc")));
    assert_eq!(tree.get(&path("home/iteron")).unwrap().meta.uid, 1000);
    let mut tree = below();
    tree.get_mut(&path("home/node")).unwrap().meta.uid = 0;
    settle(&mut tree, &InlineOnly, &user("iteron", 1000), 9).unwrap();
    assert!(tree.contains(&path("home/node/.bashrc")) && tree.contains(&path("home/iteron")));
}

#[test]
fn a_new_user_is_added_and_one_of_another_id_is_refused() {
    let mut tree = below();
    settle(&mut tree, &InlineOnly, &user("me", 1002), 9).unwrap();
    assert_eq!(text(&tree, "etc/passwd"), format!("{PASSWD}me:x:1002:1002::/home/me:/bin/bash\n"));
    assert_eq!(text(&tree, "etc/shadow"), format!("{SHADOW_FILE}me:!:0:0:99999:7:::\n"));
    assert!(text(&tree, "etc/gshadow").ends_with("me:!::\n"));
    let error = settle(&mut below(), &InlineOnly, &user("node", 1005), 9).unwrap_err();
    assert!(error.to_string().contains("clashes with user `node`, id 1000"), "{error}");
}

#[test]
fn a_tree_without_accounts_gets_the_least_and_broken_ones_are_refused() {
    let mut tree = Tree::new();
    settle(&mut tree, &InlineOnly, &user("me", 1000), 9).unwrap();
    tree.complete(&Component::from("base/node"), 7).unwrap();
    assert!(text(&tree, "etc/passwd").starts_with("root:x:0:0:"));
    let mut tree = below();
    let broken = Node::file(
        &Component::from("base/node"),
        Metadata::root(0o644, 7),
        Content::inline(&b"root:x:0\n"[..]),
    );
    tree.insert(path("etc/passwd"), broken);
    let error = settle(&mut tree, &InlineOnly, &user("me", 1000), 9).unwrap_err().to_string();
    assert_eq!(error, "`passwd` line 1: it does not have seven fields");
}
