//! What is told of images, through the program: `diff`, `explain`, `report`. Images are of busybox, in layers by what is in them.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]

use std::process::Output;
use std::process::Stdio;

use pinfold_testkit::machine::Machine;
use serde_json::Value;

/// Two projects, of which one is built twice with other content.
struct Images(Machine);

impl Images {
    fn new() -> Option<Self> {
        let images = Self(Machine::empty(env!("CARGO_BIN_EXE_pinfold"))?);
        images.build("one", "1", "a.example");
        images.build("two", "2", "b.example");
        Some(images)
    }

    /// An image called by its folder, with a text and an allowed host.
    fn build(&self, folder: &str, text: &str, host: &str) {
        self.0.project(
            folder,
            &format!(
                "[[file]]\npath = '/text'\ncontent = '{text}'\n[[file]]\npath = '/only-{folder}'\ncontent = 'x'\n\
                 [[file]]\npath = '/etc/<script>alert(1)<b>'\ncontent = 'x'\n\
                 [[link]]\npath = '/sh'\ntarget = 'bin/busybox'\n[run]\nnetwork = 'proxy'\nallow = ['{host}']\n"
            ),
        );
        let built = self.run(folder, &["build", "--offline", "--tag", folder]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    fn run(&self, folder: &str, args: &[&str]) -> Output {
        self.0.pinfold(args).current_dir(self.0.path(folder)).output().unwrap()
    }

    /// Exit code and stdout.
    fn told(&self, args: &[&str]) -> (i32, String) {
        let output = self.run("one", args);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    fn json(&self, args: &[&str]) -> (i32, Value) {
        let (code, text) = self.told(&[args, &["--json"]].concat());
        (code, serde_json::from_str(&text).unwrap())
    }
}

/// A verdict of a part is none of the whole, and what cannot be read is not remembered.
#[test]
fn a_manifest_that_is_gone_is_not_made_up_for_by_an_earlier_verdict() {
    let Some(images) = Images::new() else { return };
    let verify = ["verify", "--only", "oci", "one"];
    let part = [&verify[..], &["--platform", "linux/amd64"]].concat();
    assert_eq!(images.told(&verify).0, 0);
    assert_eq!(images.told(&part).0, 0);
    let (_, told) = images.json(&["inspect", "one"]);
    let platforms = told["platforms"].as_array().unwrap();
    let arm64 = platforms.iter().find(|one| one["platform"] == "linux/arm64").unwrap();
    let hex = arm64["manifest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let blob = images.0.path("home/data/images/blobs/sha256").join(hex);
    let aside = blob.with_extension("aside");
    fs_err::rename(&blob, &aside).unwrap();
    assert_eq!(images.told(&verify).0, 1);
    fs_err::rename(&aside, &blob).unwrap();
    assert_eq!(images.told(&verify).0, 0);
    // What makes no check is no answer.
    let (code, _) = images.told(&["verify", "--only", "test", "one"]);
    assert_eq!(code, 2);
}

#[test]
fn two_images_differ_in_what_was_changed() {
    let Some(images) = Images::new() else { return };
    let (code, told) = images.json(&["diff", "one", "two", "--files"]);
    assert_eq!(code, 1);
    let platforms = told["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2);
    let amd64 = &platforms[0];
    assert_eq!(amd64["platforms"], serde_json::json!(["linux/amd64"]));
    let paths: Vec<(&str, &Value)> = amd64["files"]["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["path"].as_str().unwrap(), &change["differs"]))
        .collect();
    let (none, content) = (serde_json::json!([]), serde_json::json!(["content"]));
    // The last tells the hosts that the image needs.
    let told = "/usr/share/pinfold/image.json";
    assert_eq!(paths, [("/only-one", &none), ("/only-two", &none), ("/text", &content), (told, &content)]);
    assert_eq!(amd64["contract"][0]["key"], "allow");
    assert_eq!(amd64["contract"][0]["to"], "[\"b.example\"]");
    assert_eq!(amd64["packages"], none);
    let components = amd64["files"]["components"].as_array().unwrap();
    let component = components.iter().find(|one| one["component"] == "generated/files").unwrap();
    assert_eq!((&component["component"], &component["changed"]), (&"generated/files".into(), &1.into()));

    let (code, text) = images.told(&["diff", "one", "two", "--markdown", "--files"]);
    assert_eq!(code, 1);
    for line in [
        "### What it asks of its sandbox (linux/amd64, linux/arm64)",
        "| `content` | `generated/files` | `/text` |",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    // Controls: nothing is listed that was not asked for, and nothing differs from itself.
    let (_, few) = images.json(&["diff", "one", "two", "--platform", "linux/arm64"]);
    assert_eq!(few["platforms"].as_array().unwrap().len(), 1);
    assert!(few["platforms"][0]["files"].get("paths").is_none());
    let (code, same) = images.json(&["diff", "one", "one"]);
    assert_eq!((code, &same["platforms"]), (0, &none));
    assert!(images.told(&["diff", "one", "one"]).1.ends_with("Nothing differs.\n"));
    assert_eq!(images.told(&["diff", "one", "nowhere"]).0, 2);
}

#[test]
fn locks_are_told_from_images_and_compared() {
    let Some(images) = Images::new() else { return };
    let lock = images.0.path("one/pinfold.lock");
    let text = fs_err::read_to_string(&lock).unwrap();
    let other = images.0.path("one/other.lock");
    fs_err::write(&other, text.replace("epoch = ", "epoch = 1")).unwrap();
    assert_ne!(fs_err::read_to_string(&other).unwrap(), text);
    assert_eq!(images.told(&["diff", "pinfold.lock", "lock:pinfold.lock"]), (0, "Nothing differs.\n".into()));
    let (code, told) = images.json(&["diff", "pinfold.lock", "other.lock"]);
    assert_eq!((code, told["rules"][0]["key"].as_str()), (1, Some("epoch")));
    let (code, text) = images.told(&["diff", "pinfold.lock", "other.lock", "--markdown"]);
    assert!(code == 1 && text.contains("| `epoch` | `"), "{text}");
    // From a revision of git, say.
    let piped = images
        .0
        .pinfold(&["diff", "lock:-", "other.lock"])
        .current_dir(images.0.path("one"))
        .stdin(Stdio::from(fs_err::File::open(&lock).unwrap().into_parts().0))
        .output()
        .unwrap();
    assert_eq!(piped.status.code(), Some(1), "{}", String::from_utf8_lossy(&piped.stderr));
    for (args, hint) in [
        (["diff", "pinfold.lock", "one"], "name two images, or two locks"),
        (["diff", "lock:nowhere", "pinfold.lock"], "git show REVISION:pinfold.lock"),
        (["diff", "a.lock", "pinfold.lock"], "there is no lock `a.lock`"),
        (["diff", "one", "nosuch.lock"], "there is no lock `nosuch.lock`"),
    ] {
        let output = images.run("one", &args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(hint), "{said}");
    }
}

#[test]
fn a_path_is_explained() {
    let Some(images) = Images::new() else { return };
    let (code, told) = images.json(&["explain", "one", "/sh"]);
    assert_eq!((code, told["path"].as_str()), (0, Some("/bin/busybox")));
    assert_eq!(told["links"][0]["target"], "bin/busybox");
    assert_eq!(told["found"]["component"], "generated/files");
    let busybox = fs_err::read("/bin/busybox").unwrap();
    assert_eq!(told["found"]["digest"], pinfold_base::Digest::sha256(&busybox).to_string().as_str());
    assert_eq!(told["found"]["mode"], "-rwxr-xr-x");
    let (code, text) = images.told(&["explain", "one", "etc/passwd"]);
    assert!(code == 0 && text.contains("component  generated/etc\n"), "{text}");
    let (code, text) = images.told(&["explain", "one", "/txet"]);
    assert!(
        code == 1 && text.contains("not there: /txet\n") && text.contains("similar    /text\n"),
        "{text}"
    );
    let outside = images.run("one", &["explain", "one", "../x"]);
    let said = String::from_utf8(outside.stderr).unwrap();
    assert!(outside.status.code() == Some(2) && said.contains("name a path from the image's root"), "{said}");
    assert_eq!(images.told(&["explain", "one", "/text", "--lock", "nowhere.lock"]).0, 2);
}

#[test]
fn a_report_is_one_page_and_the_same_each_time() {
    let Some(images) = Images::new() else { return };
    let page = || {
        let (code, told) = images.json(&["report", "one", "-o", "page.html"]);
        assert_eq!((code, told["page"].as_str()), (0, Some("page.html")));
        fs_err::read_to_string(images.0.path("one/page.html")).unwrap()
    };
    let first = page();
    assert_eq!(first, page());
    assert!(first.starts_with("<!doctype html>") && first.ends_with("</html>\n"));
    assert!(first.contains("linux/arm64") && first.contains("one:latest"));
    for word in ["<script", "http://", "https://", " src="] {
        assert!(!first.contains(word), "{word}");
    }
    // Where a page cannot be written, that is said, and nothing else is left.
    let output = images.run("one", &["report", "one", "-o", "nowhere/page.html"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let left = fs_err::read_dir(images.0.path("one")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.filter(|name| name.as_encoded_bytes().starts_with(b".pinfold-")).count(), 0);
    // To a pipe it is written as to any program.
    let piped = images.run("one", &["report", "one", "-o", "/dev/stdout", "--quiet"]);
    assert!(String::from_utf8(piped.stdout).unwrap().contains(&first));
}

#[test]
fn a_document_goes_to_stdout_or_into_a_folder_that_is_there() {
    let Some(images) = Images::new() else { return };
    for (verb, begins) in [("report", "<!"), ("sbom", "{")] {
        let (code, text) = images.told(&[verb, "one", "-o", "-"]);
        assert!(code == 0 && text.to_lowercase().starts_with(begins), "{verb}: {text}");
        assert!(!images.0.path("one/-").exists());
        // No image was read: there is none.
        let output = images.run("one", &[verb, "nowhere", "-o", "none/x"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("there is no folder `none`") && said.contains("make the folder"), "{said}");
    }
    let output = images.run("one", &["verify", "one", "--json", "--junit", "-"]);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), error["error"]["kind"].as_str()), (Some(2), Some("usage")));
    let output = images.run("one", &["verify", "one", "--budget", "500"]);
    assert!(
        output.status.code() == Some(2)
            && String::from_utf8(output.stderr).unwrap().contains("with its unit")
    );
}
