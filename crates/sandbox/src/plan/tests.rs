//! What is planned and what is refused, by specifications and small images.

use std::path::Path;

use super::*;
use crate::probe::Cgroups;
use crate::spec::Mount;
use crate::spec::Need;

struct Image(tempfile::TempDir);

impl Image {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["dev", "proc", "tmp", "run", "home/agent", "usr"] {
            fs_err::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self(dir)
    }

    fn link(&self, name: &str, target: &str) {
        let path = self.0.path().join(name);
        let _ = fs_err::remove_dir(&path);
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    fn spec(&self) -> Spec {
        Spec::new("a", self.0.path(), vec!["true".into()])
    }

    fn plan(&self, change: impl FnOnce(&mut Spec)) -> Result<Plan, Refusal> {
        let mut spec = self.spec();
        change(&mut spec);
        Plan::new(&spec, &probe())
    }
}

fn probe() -> Probe {
    Probe {
        kernel: String::new(),
        uid: 1001,
        gid: 1001,
        user_namespaces: Ok(()),
        landlock_abi: Some(6),
        cgroups: Cgroups::None("test".into()),
        tun: false,
    }
}

/// What Landlock lets through from ABI 9 on, whatever is made in a mount after the start.
#[test]
fn host_sockets_may_be_connected_to_where_the_user_said_so() {
    let image = Image::new();
    let outside = tempfile::tempdir().unwrap();
    let plan = image.plan(|spec| {
        spec.mounts.push(Mount::writable(outside.path(), "/workspace"));
        spec.mounts.push(Mount {
            sockets: crate::spec::Sockets::Allow,
            judged: None,
            ..Mount::read_only(outside.path(), "/mnt/agent")
        });
    });
    assert_eq!(plan.unwrap().landlock.as_ref().unwrap().sockets, [Path::new("/mnt/agent")]);
}

/// Row U2, CVE-2026-41579.
#[test]
fn links_at_mount_points_are_refused() {
    for name in ["dev", "proc", "tmp", "run", "home"] {
        let image = Image::new();
        let _ = fs_err::remove_dir(image.0.path().join("home/agent"));
        image.link(name, "/etc");
        let refusal = image.plan(|_| ()).unwrap_err();
        let expected = Path::new("/").join(name);
        assert!(
            matches!(&refusal, Refusal::LinkInImage { link, .. } if *link == expected),
            "{name}: {refusal}"
        );
    }
    let image = Image::new();
    image.link("work", "/tmp");
    let refusal = image.plan(|spec| spec.mounts.push(Mount::read_only("/usr", "/work/deep"))).unwrap_err();
    assert!(matches!(refusal, Refusal::LinkInImage { .. }));
}

/// Row P12, CVE-2024-21626.
#[test]
fn a_working_directory_in_proc_is_refused() {
    for cwd in ["/proc/self/fd/7", "/proc/1/cwd", "/dev/fd/7", "relative", "/a/../proc"] {
        let refusal = Image::new().plan(|spec| spec.cwd = cwd.into()).unwrap_err();
        assert!(matches!(refusal, Refusal::Reserved { .. } | Refusal::Path { .. }), "{cwd}: {refusal}");
    }
}

#[test]
fn places_of_the_sandbox_are_refused_as_targets() {
    for target in
        ["/", "/proc", "/proc/sys", "/dev/shm", "/sys/fs", "/run/pinfold/x", "/run", "/tmp", "a", "/a/../b"]
    {
        let plan = Image::new().plan(|spec| spec.mounts.push(Mount::read_only("/usr", target)));
        assert!(matches!(plan, Err(Refusal::Reserved { .. } | Refusal::Path { .. })), "{target}");
    }
    let twice = Image::new().plan(|spec| {
        spec.mounts.extend([Mount::read_only("/usr", "/a"), Mount::read_only("/etc", "/a")]);
    });
    assert!(matches!(twice, Err(Refusal::Twice(_))));
    let whole = Image::new().plan(|spec| spec.mounts.push(Mount::read_only("/", "/host")));
    assert!(matches!(whole, Err(Refusal::Reserved { .. })));
}

#[test]
fn missing_mount_points_become_a_skeleton() {
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("file");
    fs_err::write(&file, "").unwrap();
    let plan = Image::new()
        .plan(|spec| {
            spec.mounts.push(Mount::writable(source.path(), "/home/me/project"));
            spec.mounts.push(Mount::read_only(&file, "/opt/tool"));
            // Below memory and below another mount nothing is missing in the image.
            spec.mounts.push(Mount::read_only(source.path(), "/tmp/inner"));
            spec.mounts.push(Mount::read_only(source.path(), "/home/agent/inner"));
        })
        .unwrap();
    let made: Vec<_> = plan.skeleton.iter().map(|entry| entry.path.to_str().unwrap()).collect();
    assert_eq!(made, ["/", "/home", "/home/me", "/home/me/project", "/opt", "/opt/tool"]);
    assert_eq!(plan.skeleton[5].kind, SkeletonKind::File);
}

#[test]
fn inner_mounts_come_after_outer_ones() {
    let plan = Image::new()
        .plan(|spec| {
            spec.mounts.push(Mount::read_only("/usr", "/work/a/b"));
            spec.mounts.push(Mount::read_only("/etc", "/work"));
        })
        .unwrap();
    for (index, mount) in plan.mounts.iter().enumerate() {
        let later = &plan.mounts[index + 1..];
        assert!(
            later.iter().all(|other| !mount.target.starts_with(&other.target)),
            "{}",
            mount.target.display()
        );
    }
}

/// Row M1: a wall that is required and missing is a refusal.
#[test]
fn a_missing_wall_is_a_refusal_or_stated() {
    let image = Image::new();
    let mut weak = probe();
    weak.landlock_abi = None;
    let mut spec = image.spec();
    assert!(matches!(Plan::new(&spec, &weak), Err(Refusal::NoLandlock)));
    spec.policy.landlock = Need::IfAvailable;
    let plan = Plan::new(&spec, &weak).unwrap();
    assert!(plan.walls.iter().any(|standing| standing.wall == Wall::Landlock && !standing.on));
    weak.user_namespaces = Err(crate::probe::NamespaceProblem::AppArmor);
    let refusal = Plan::new(&spec, &weak).unwrap_err();
    let hint = pinfold_base::Diagnose::hint(&refusal).unwrap();
    assert!(hint.contains("profile pinfold") && hint.contains("userns,"), "{hint}");
}

#[test]
fn nobody_is_root_inside() {
    assert!(matches!(Image::new().plan(|spec| spec.user.uid = 0), Err(Refusal::RootInside)));
    assert!(matches!(Image::new().plan(|spec| spec.user.gid = 0), Err(Refusal::RootInside)));
}

#[test]
fn strings_the_kernel_cannot_pass_on_are_refused() {
    assert!(matches!(Image::new().plan(|spec| spec.args.push("a\0b".into())), Err(Refusal::Nul(_))));
    let name = Image::new().plan(|spec| drop(spec.env.insert("A=B".into(), "c".into())));
    assert!(matches!(name, Err(Refusal::Nul(_))));
    assert!(matches!(Image::new().plan(|spec| spec.args.clear()), Err(Refusal::NoProgram)));
    assert!(matches!(Image::new().plan(|spec| spec.hostname = "a/b".into()), Err(Refusal::Hostname(_))));
}

#[test]
fn the_proxy_is_in_the_environment_unless_set() {
    let plan = Image::new().plan(|spec| drop(spec.env.insert("NO_PROXY".into(), "x".into()))).unwrap();
    assert_eq!(plan.env["HTTPS_PROXY"], "http://127.0.0.1:3128");
    assert_eq!(plan.env["NO_PROXY"], "x");
    let plan = Image::new().plan(|spec| spec.network = Network::None).unwrap();
    assert!(!plan.env.contains_key("HTTPS_PROXY") && plan.listens.is_empty());
}

#[test]
fn a_socket_of_a_sandbox_is_not_covered_and_one_that_is_named_neither() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs_err::canonicalize(dir.path()).unwrap();
    let socket = base.join("a.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let plan = |more: Vec<crate::spec::Mount>| {
        Image::new()
            .plan(|spec| spec.mounts = [vec![crate::spec::Mount::writable(&base, "/w")], more].concat())
            .unwrap()
    };
    let covered = |plan: &Plan| plan.covered_sockets().map(std::path::Path::to_owned).collect::<Vec<_>>();
    assert_eq!(covered(&plan(Vec::new())), std::slice::from_ref(&socket));
    assert!(covered(&plan(Vec::new()).with_own_sockets(|own| own == socket)).is_empty());
    assert_eq!(covered(&plan(Vec::new()).with_own_sockets(|_| false)), std::slice::from_ref(&socket));
    // At the same place, and at another.
    for target in ["/w/a.sock", "/elsewhere.sock"] {
        let named = crate::spec::Mount {
            sockets: crate::spec::Sockets::Allow,
            ..crate::spec::Mount::read_only(&socket, target)
        };
        assert!(covered(&plan(vec![named])).is_empty(), "{target}");
    }
    // Another mount lies over it.
    let memory = crate::spec::Mount {
        source: crate::spec::MountSource::Memory(1 << 20),
        ..crate::spec::Mount::read_only("/", "/w")
    };
    fs_err::create_dir(base.join("deep")).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(base.join("deep/b.sock")).unwrap();
    let over = crate::spec::Mount { target: "/w/deep".into(), ..memory };
    assert_eq!(covered(&plan(vec![over])), [socket]);
}

/// An agent on the host's side exchanges what was judged, for a link or for another directory, before it is planned.
#[test]
fn what_is_no_longer_what_was_judged_is_not_mounted() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let base = fs_err::canonicalize(dir.path()).unwrap();
    for name in ["good", "secret"] {
        fs_err::create_dir(base.join(name)).unwrap();
    }
    let data = fs_err::metadata(base.join("good")).unwrap();
    let plan = |judged| {
        Image::new().plan(|spec| {
            spec.mounts = vec![crate::spec::Mount {
                judged,
                ..crate::spec::Mount::writable(base.join("good"), "/good")
            }];
        })
    };
    let judged = Some((data.dev(), data.ino()));
    plan(judged).unwrap();
    fs_err::rename(base.join("good"), base.join("kept")).unwrap();
    std::os::unix::fs::symlink("secret", base.join("good")).unwrap();
    assert!(matches!(plan(judged), Err(Refusal::Exchanged(_))));
    // Control: who judged nothing goes where it leads.
    plan(None).unwrap();
    fs_err::remove_file(base.join("good")).unwrap();
    fs_err::rename(base.join("secret"), base.join("good")).unwrap();
    assert!(matches!(plan(judged), Err(Refusal::Exchanged(_))));
}

#[test]
fn every_mount_of_the_host_is_read_only_unless_said() {
    let plan = Image::new().plan(|spec| spec.mounts.push(Mount::read_only("/usr", "/work"))).unwrap();
    let host: Vec<_> = plan
        .mounts
        .iter()
        .filter(|mount| matches!(mount.kind, MountKind::Host(_)))
        .map(ToString::to_string)
        .collect();
    assert_eq!(host, ["/work ro,nosuid,nodev from /usr"]);
}
