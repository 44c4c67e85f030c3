//! A small image, with an agent, that passes every static check; tests break it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::tree::InlineOnly;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::LayerBlob;
use pinfold_image::LayerEncoding;
use pinfold_image::RuntimeConfig;
use pinfold_image::blobs::BlobRead;
use pinfold_image::blobs::Blobs;
use pinfold_image::compose;
use pinfold_image::compose::ComposedImage;
use pinfold_image::model::Descriptor;

use crate::project::recipe::Recipe;

const DPKG: &str =
    "Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0-1\nDescription: a tool\n";

/// What stands for a program until it is known for which platform.
const PROGRAM: &[u8] = b"a program";

/// A static program of one segment, which is all of it (elf(5)).
fn program(platform: Platform) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2, platform.arch.elf_machine(), 1, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for word in [0, 64, 0_u64] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for half in [0_u16, 0, 64, 56, 1, 64, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for word in [0x5_0000_0001, 0, 0, 0, 120, 120, 4096_u64] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out
}

/// A key of Anthropic's form, put together here so that no scanner of sources takes it for one that leaked.
pub(super) fn token() -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = 7_u32;
    let letter = |_| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        char::from(LETTERS[(state >> 16) as usize % LETTERS.len()])
    };
    let body: String = (0..93).map(letter).collect();
    ["sk", "ant", "api03", &format!("{body}AA")].join("-")
}

/// A certificate, as far as bundles go: the number is all that tells it from others.
pub(super) fn certificate(number: u8) -> String {
    let der = STANDARD.encode([0x30, 3, 2, 1, number]);
    format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n")
}

/// What the image is made of.
pub(super) struct Sample {
    /// Layers by what they say is in them.
    layers: BTreeMap<&'static str, Tree>,
    runtime: RuntimeConfig,
    /// Whether a blob's bytes are changed.
    pub(super) damaged: bool,
    /// How often each blob was opened.
    pub(super) opened: Arc<Mutex<BTreeMap<Digest, usize>>>,
    /// Bytes that the tars lack at their ends, though the documents are of what is left.
    pub(super) cut: usize,
}

impl Sample {
    pub(super) fn good() -> Self {
        let runtime = RuntimeConfig {
            user: "me".into(),
            cmd: Some(vec!["/usr/local/bin/sh".into()]),
            env: vec![
                "PATH=/usr/local/bin:/usr/bin".into(),
                "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt".into(),
            ],
            labels: BTreeMap::from([
                ("dev.pinfold.agent.claude-code".into(), "2.1.0".into()),
                ("dev.pinfold.os.version-id".into(), "12".into()),
            ]),
            ..RuntimeConfig::default()
        };
        let mut sample =
            Self { layers: BTreeMap::new(), runtime, damaged: false, opened: Arc::default(), cut: 0 };
        let own = |mode| Metadata::root(mode, 7).owned_by(1000, 1000);
        sample.passwd("me:x:1000:1000::/home/me:/bin/sh\n");
        sample.file("etc/group", Metadata::root(0o644, 7), "root:x:0:\nme:x:1000:\n");
        sample.file(
            "etc/os-release",
            Metadata::root(0o644, 7),
            "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n",
        );
        let bundle = [1, 2, 3].map(certificate).concat();
        sample.file("etc/ssl/certs/ca-certificates.crt", Metadata::root(0o644, 7), &bundle);
        sample.file(
            "etc/ca-certificates.conf",
            Metadata::root(0o644, 7),
            "# chosen\nmozilla/a.crt\n!mozilla/b.crt\n",
        );
        sample.file("usr/share/ca-certificates/mozilla/a.crt", Metadata::root(0o644, 7), &certificate(1));
        sample.file("usr/share/ca-certificates/mozilla/b.crt", Metadata::root(0o644, 7), &certificate(9));
        let owners = [2, 3].map(certificate).concat();
        sample.file("usr/local/share/ca-certificates/team/own.crt", Metadata::root(0o644, 7), &owners);
        sample.dir("tmp", Metadata::root(0o1777, 7));
        sample.dir("home/me", own(0o700));
        sample.dir("home/me/.claude", own(0o755));
        for file in &Recipe::built_in("claude-code").unwrap().home {
            sample.file(&format!("home/me/{}", file.path), own(0o644), &file.content);
        }
        // `printf data | md5sum`
        let sums = "8d777f385d3dfec8815d20f7496026dc  usr/share/tool/data\n";
        sample.file("var/lib/dpkg/status", Metadata::root(0o644, 7), DPKG);
        sample.file(
            "var/lib/dpkg/info/tool.list",
            Metadata::root(0o644, 7),
            "/.\n/usr\n/usr/share/tool/data\n",
        );
        sample.file("var/lib/dpkg/info/tool.md5sums", Metadata::root(0o644, 7), sums);
        sample.put("debian/tool", "usr/share/tool/data", Metadata::root(0o644, 7), b"data");
        sample.put(
            "agent/claude-code",
            "usr/local/bin/claude",
            Metadata::root(0o755, 7),
            b"#!/usr/local/bin/sh\n",
        );
        sample.put("agent/claude-code", "usr/local/bin/sh", Metadata::root(0o755, 7), PROGRAM);
        sample
    }

    fn layer(&mut self, component: &'static str) -> &mut Tree {
        self.layers.entry(component).or_default()
    }

    pub(super) fn put(&mut self, component: &'static str, path: &str, meta: Metadata, bytes: &[u8]) {
        let node = Node::file(&component.into(), meta, Content::inline(bytes));
        self.layer(component).insert(ImagePath::new(path).unwrap(), node);
    }

    /// The layer that has a path.
    fn of(&self, path: &str) -> &'static str {
        let path = ImagePath::new(path).unwrap();
        let found = self.layers.iter().find(|(_, tree)| tree.contains(&path));
        found.map_or("generated/files", |(component, _)| component)
    }

    pub(super) fn file(&mut self, path: &str, meta: Metadata, text: &str) {
        self.bytes(path, meta, text.as_bytes());
    }

    pub(super) fn bytes(&mut self, path: &str, meta: Metadata, bytes: &[u8]) {
        let component = self.of(path);
        self.put(component, path, meta, bytes);
    }

    pub(super) fn dir(&mut self, path: &str, meta: Metadata) {
        let component = self.of(path);
        let node = Node::directory(&component.into(), meta);
        self.layer(component).insert(ImagePath::new(path).unwrap(), node);
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        let node = Node::symlink(&"generated/files".into(), 7, target);
        self.layer("generated/files").insert(ImagePath::new(path).unwrap(), node);
    }

    /// Another name of a file.
    pub(super) fn hard_link(&mut self, path: &str, of: &str) {
        let file = Node::file(&"generated/files".into(), Metadata::root(0o644, 7), Content::inline(*b""));
        let node = Node { kind: NodeKind::Hardlink(ImagePath::new(of).unwrap()), ..file };
        self.layer("generated/files").insert(ImagePath::new(path).unwrap(), node);
    }

    /// A file in the layer of a package that does not have it.
    pub(super) fn unexplained(&mut self, path: &str) {
        let node = Node::file(&"debian/tool".into(), Metadata::root(0o644, 7), Content::inline(*b"x"));
        self.layer("debian/tool debian/other").insert(ImagePath::new(path).unwrap(), node);
    }

    pub(super) fn remove(&mut self, path: &str) {
        let path = ImagePath::new(path).unwrap();
        for tree in self.layers.values_mut() {
            tree.remove(&path);
        }
    }

    pub(super) fn text(&self, path: &str) -> String {
        let tree = &self.layers[self.of(path)];
        match tree.get(&ImagePath::new(path).unwrap()).map(|node| &node.kind) {
            Some(NodeKind::File(Content::Inline(bytes))) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn passwd(&mut self, line: &str) {
        let text = format!("root:x:0:0:root:/root:/bin/sh\n{line}");
        self.file("etc/passwd", Metadata::root(0o644, 7), &text);
    }

    pub(super) fn label(&mut self, name: &str, value: &str) {
        self.runtime.labels.insert(name.into(), value.into());
    }

    pub(super) fn env(&mut self, name: &str, value: &str) {
        self.runtime.env.push(format!("{name}={value}"));
    }

    pub(super) fn volume(&mut self, path: &str) {
        self.runtime.volumes.push(path.into());
    }

    pub(super) fn command(&mut self, word: &str) {
        self.runtime.cmd = Some(vec![word.into()]);
    }

    /// What npm knows the agent as.
    pub(super) fn agent_package(&mut self, version: &str) {
        let text = format!(r#"{{"name":"@anthropic-ai/claude-code-linux-x64","version":"{version}"}}"#);
        let at = "usr/local/lib/node_modules/@anthropic-ai/claude-code-linux-x64/package.json";
        self.put("agent/claude-code", at, Metadata::root(0o644, 7), text.as_bytes());
    }

    pub(super) fn user(&mut self, name: &str) {
        self.runtime.user = name.into();
    }

    /// The image, for this one platform.
    pub(super) fn source(&self) -> ImageSource {
        let mut memory = self.memory();
        let root = self.put_into(&mut memory, Platform::ALL[0]).manifest.descriptor();
        ImageSource::new("sample", root, Box::new(memory))
    }

    fn memory(&self) -> Memory {
        Memory { blobs: BTreeMap::new(), opened: Arc::clone(&self.opened), is_store: false }
    }

    /// An index with the image for both platforms, in a store; of the second without its manifest where that is `missing`.
    pub(super) fn indexed(&self, missing: bool) -> ImageSource {
        let mut memory = self.memory();
        let both = Platform::ALL.map(|platform| (platform, self.put_into(&mut memory, platform)));
        let each: Vec<_> = both.iter().map(|(platform, image)| (*platform, image)).collect();
        let index = compose::index(&each, &BTreeMap::new(), 7).unwrap();
        memory.blobs.insert(index.digest().clone(), index.bytes().to_vec());
        if missing {
            memory.blobs.remove(both[1].1.manifest.digest());
        }
        memory.is_store = true;
        ImageSource::new("sample", index.descriptor(), Box::new(memory))
    }

    /// An index that says the image is for a machine that is not known here.
    pub(super) fn of_another_machine(&self) -> ImageSource {
        let mut memory = self.memory();
        let image = self.put_into(&mut memory, Platform::ALL[0]);
        let index = compose::index(&[(Platform::ALL[0], &image)], &BTreeMap::new(), 7).unwrap();
        let text = String::from_utf8(index.bytes().to_vec()).unwrap().replace("amd64", "s390x");
        let root = Descriptor::new(
            &index.descriptor().media_type,
            Digest::sha256(text.as_bytes()),
            text.len() as u64,
        );
        memory.blobs.insert(root.digest.clone(), text.into_bytes());
        ImageSource::new("sample", root, Box::new(memory))
    }

    fn put_into(&self, memory: &mut Memory, platform: Platform) -> ComposedImage {
        let mut layers = Vec::new();
        for (components, tree) in &self.layers {
            let mut tree = tree.clone();
            let sh = ImagePath::new("usr/local/bin/sh").unwrap();
            if let Some(node) = tree.get(&sh)
                && node.kind == NodeKind::File(Content::inline(PROGRAM))
            {
                let program = Content::inline(program(platform));
                tree.insert(sh, Node::file(&(*components).into(), Metadata::root(0o755, 7), program));
            }
            tree.complete(&Component::generated("base"), 7).unwrap();
            let mut tar = Vec::new();
            pinfold_archive::tar::write::write(&tree, &InlineOnly, &mut tar).unwrap();
            tar.truncate(tar.len() - self.cut);
            let digest = Digest::sha256(&tar);
            layers.push(LayerBlob {
                diff_id: digest.clone(),
                digest: digest.clone(),
                size: tar.len() as u64,
                uncompressed: tar.len() as u64,
                encoding: LayerEncoding::Tar,
                encoder: String::new(),
                reused: 0,
                components: components.split(' ').map(str::to_owned).collect(),
                created_by: "a test".into(),
            });
            if self.damaged {
                tar[0] ^= 1;
            }
            memory.blobs.insert(digest, tar);
        }
        let image = compose::image(platform, &self.runtime, &layers, &BTreeMap::new(), 7).unwrap();
        memory.blobs.insert(image.config.digest().clone(), image.config.bytes().to_vec());
        memory.blobs.insert(image.manifest.digest().clone(), image.manifest.bytes().to_vec());
        image
    }
}

/// Blobs by digest.
#[derive(Clone, Debug)]
struct Memory {
    blobs: BTreeMap<Digest, Vec<u8>>,
    opened: Arc<Mutex<BTreeMap<Digest, usize>>>,
    /// Whether it knows that nobody wrote to them.
    is_store: bool,
}

impl Blobs for Memory {
    fn location(&self) -> String {
        "memory".into()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        let missing = || ImageError::MissingBlob { digest: digest.clone(), place: self.location() };
        let bytes = self.blobs.get(digest).ok_or_else(missing)?.clone();
        let size = bytes.len() as u64;
        *self.opened.lock().unwrap().entry(digest.clone()).or_default() += 1;
        Ok((Box::new(Cursor::new(bytes)), size))
    }

    fn is_checked(&self, blob: &Descriptor) -> Result<bool, ImageError> {
        Ok(self.is_store && self.blobs.contains_key(&blob.digest))
    }
}
