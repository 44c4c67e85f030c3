//! Tools as the model calls them, on files that are there and files that are traps.

use std::os::unix::fs::symlink;

use fs_err as fs;
use serde_json::json;

use super::*;

struct Scene {
    scratch: tempfile::TempDir,
    tools: Tools,
    pulse: Pulse,
}

impl Scene {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        for name in ["workspace", "memory", "shared"] {
            fs::create_dir(scratch.path().join(name)).unwrap();
        }
        let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
        let files = Files::open(&path("workspace"), &path("memory"), &path("shared"));
        Self { tools: Tools::new(files, Exec::Off), pulse: Pulse::new().unwrap(), scratch }
    }

    fn call(&mut self, name: &str, arguments: Value) -> Result<String, String> {
        let call = Call { id: "1".into(), name: name.into(), arguments, signature: None };
        match self.tools.call(&call, &mut self.pulse) {
            Done::Text(text) => Ok(text),
            Done::Failed(why) => Err(why),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn files_are_written_read_edited_and_listed() {
    let mut scene = Scene::new();
    scene.call("write_file", json!({ "path": "/workspace/d/a", "content": "one two\n" })).unwrap();
    scene.call("write_file", json!({ "path": "/memory/note", "content": "m" })).unwrap();
    scene.call("edit_file", json!({ "path": "d/a", "old": "two", "new": "three" })).unwrap();
    assert_eq!(scene.call("read_file", json!({ "path": "d/a" })).unwrap(), "one three\n");
    assert_eq!(scene.call("read_file", json!({ "path": "d/a", "offset": 4 })).unwrap(), "three\n");
    for (old, part) in [("e", "more than once"), ("x", "is not in"), ("", "empty")] {
        let why = scene.call("edit_file", json!({ "path": "d/a", "old": old, "new": "y" })).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
    fs::create_dir(scene.scratch.path().join("workspace/d/b\nc")).unwrap();
    let listed = scene.call("list_dir", json!({ "path": "/workspace/d" })).unwrap();
    assert!(listed.starts_with("file\t10\ta\ndir\t") && listed.ends_with("\tb\\nc\n"), "{listed}");
}

#[test]
fn paths_and_files_that_are_traps_are_refused() {
    let mut scene = Scene::new();
    let workspace = scene.scratch.path().join("workspace");
    fs::write(scene.scratch.path().join("secret"), "secret").unwrap();
    fs::write(scene.scratch.path().join("shared/s"), "shared").unwrap();
    symlink("../secret", workspace.join("up")).unwrap();
    symlink("/proc/self/root/etc/hostname", workspace.join("magic")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        workspace.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    fs::File::create(workspace.join("large")).unwrap().set_len(2 << 30).unwrap();
    fs::write(workspace.join("bytes"), b"\xff\xfe").unwrap();
    for path in [
        "../secret",
        "up",
        "magic",
        "fifo",
        "/etc/passwd",
        "/workspace/../secret",
        "/workspacex/a",
        "/proc/self/root/etc/passwd",
        "a\0b",
        "/shared/../secret",
        "/memory/none",
        "",
        "/workspace",
    ] {
        let read = scene.call("read_file", json!({ "path": path }));
        assert!(read.is_err(), "{path:?}: {read:?}");
        if path != "/memory/none" {
            let written = scene.call("write_file", json!({ "path": path, "content": "x" }));
            assert!(written.is_err(), "{path:?}: {written:?}");
        }
    }
    // Of a large file a part is read; it is not edited.
    let text = scene.call("read_file", json!({ "path": "large", "offset": (2_u64 << 30) - 5 })).unwrap();
    assert_eq!(text.len(), 5);
    assert!(
        scene
            .call("read_file", json!({ "path": "large" }))
            .unwrap()
            .ends_with("of 2147483648; read on with offset 65336]")
    );
    assert!(scene.call("edit_file", json!({ "path": "large", "old": "a", "new": "b" })).is_err());
    assert!(scene.call("edit_file", json!({ "path": "bytes", "old": "a", "new": "b" })).is_err());
    // What is shared is read and not written.
    assert_eq!(scene.call("read_file", json!({ "path": "/shared/s" })).unwrap(), "shared");
    let why = scene.call("write_file", json!({ "path": "/shared/s", "content": "x" })).unwrap_err();
    assert!(why.contains("read-only"), "{why}");
    assert_eq!(fs::read_to_string(scene.scratch.path().join("secret")).unwrap(), "secret");
}

#[test]
fn calls_that_are_none_are_answered() {
    let mut scene = Scene::new();
    for (name, arguments) in [
        ("read_file", json!({})),
        ("read_file", json!({ "path": 7 })),
        ("read_file", json!("path")),
        ("read_file", json!({ "path": "a", "offset": -1 })),
        ("write_file", json!({ "path": "a" })),
        ("nothing", json!({})),
        ("exec", json!({ "command": ["true"] })),
        ("schedule", json!({ "name": "n", "text": "t" })),
        ("schedule", json!({ "name": "n", "text": "t", "after_seconds": 5, "every_seconds": 60 })),
        ("schedule", json!({ "name": "n", "text": "t", "every_seconds": 5 })),
        ("schedule", json!({ "name": "n".repeat(201), "text": "t", "every_seconds": 60 })),
        ("send_message", json!({ "text": " " })),
        ("ask_user", json!({ "question": "q", "choices": [7] })),
    ] {
        assert!(scene.call(name, arguments.clone()).is_err(), "{name} {arguments}");
    }
}

#[test]
fn every_tool_that_is_told_is_one() {
    let mut scene = Scene::new();
    for tool in scene.tools.told() {
        let call = Call { id: "1".into(), name: tool.name.into(), arguments: json!({}), signature: None };
        let Done::Failed(why) = scene.tools.call(&call, &mut scene.pulse) else { panic!("{}", tool.name) };
        assert!(!why.contains("no tool"), "{why}");
        assert_eq!(tool.parameters["type"], "object");
    }
}
