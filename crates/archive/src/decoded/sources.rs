//! The deflate blocks of decoded archives, for layers that copy them.
//!
//! **Guarantees**: what an archive has is there. A file of blocks that is missing, damaged or of another version is made again
//! by decoding the archive, since the bytes of a layer must not depend on what a cache happens to hold.

use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::PoisonError;

use fs_err::File;
use pinfold_base::Digest;

use super::DecodedStore;
use super::Format;
use super::check::Known;
use crate::deflate::Blocks;
use crate::deflate::DeflateSources;

/// Largest file of blocks that is read: more than [`crate::deflate::MAX_BLOCKS`] need.
const MAX_FILE: u64 = 16 << 20;

impl DecodedStore {
    fn kept(&self, archive: &Digest) -> Option<Arc<Blocks>> {
        if let Some(blocks) = self.state().blocks.get(archive) {
            return Some(Arc::clone(blocks));
        }
        let mut bytes = Vec::new();
        File::open(self.path(archive, ".blocks")).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        let blocks = Arc::new(Blocks::parse(&bytes).ok()?);
        self.state().blocks.insert(archive.clone(), Arc::clone(&blocks));
        Some(blocks)
    }
}

impl DeflateSources for DecodedStore {
    fn blocks(&self, archive: &Digest) -> io::Result<Option<Arc<Blocks>>> {
        let format = self.known(archive)?.format;
        if matches!(format, Format::Deb | Format::Raw | Format::File | Format::Layer | Format::Nar) {
            return Ok(None);
        }
        if let Some(blocks) = self.kept(archive) {
            return Ok(Some(blocks));
        }
        let busy = self.busy(archive);
        let _guard = busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(blocks) = self.kept(archive) {
            return Ok(Some(blocks));
        }
        let (index, _) = self.make(archive, format, &|_| ()).map_err(io::Error::other)?;
        self.state().known.insert(archive.clone(), Known::of(&index));
        let blocks = self.kept(archive).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("the deflate blocks of {archive} are gone again"))
        })?;
        Ok(Some(blocks))
    }

    fn read_at(&self, archive: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.compressed(archive, offset, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use flate2::FlushCompress;
    use pinfold_base::ImagePath;
    use pinfold_base::Store;

    use super::*;
    use crate::Component;
    use crate::Content;
    use crate::Metadata;
    use crate::Node;
    use crate::Tree;
    use crate::decoded::MemberKind;
    use crate::deflate::samples::Encoder;
    use crate::deflate::samples::deflate;
    use crate::deflate::samples::member;
    use crate::deflate::samples::text;
    use crate::encode::Encoded;
    use crate::encode::Encoding;
    use crate::encode::Reuse;
    use crate::encode::encode;
    use crate::tar;

    const BEST: Encoder = Encoder::Zlib(9, FlushCompress::None, usize::MAX);

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (dir, store)
    }

    /// The tar of a small file and a big one, by the writer that is tested against GNU tar.
    fn tgz() -> Vec<u8> {
        let owner = Component::new("npm", "x");
        let mut tree = Tree::new();
        for (name, len) in [("package/README", 5_000), ("package/bin", 900_000)] {
            let content = Content::inline(text(len, 3));
            tree.insert(ImagePath::new(name).unwrap(), Node::file(&owner, Metadata::root(0o755, 0), content));
        }
        tree.complete(&owner, 0).unwrap();
        let mut bytes = Vec::new();
        tar::write::write(&tree, &crate::tree::InlineOnly, &mut bytes).unwrap();
        member(&deflate(&bytes, BEST), &bytes)
    }

    /// A zip of deflated and stored files (APPNOTE.TXT 4.3), the central directory in the other order.
    fn zip(files: &[(&str, &[u8], u16)]) -> Vec<u8> {
        let mut zip = Vec::new();
        let mut central: Vec<Vec<u8>> = Vec::new();
        for (name, bytes, method) in files {
            let data = if *method == 8 { deflate(bytes, BEST) } else { bytes.to_vec() };
            let mut fields = vec![20, 0, 0, 0, *method as u8, 0, 0, 0, 0x21, 0];
            fields.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
            fields.extend_from_slice(&(data.len() as u32).to_le_bytes());
            fields.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            fields.extend_from_slice(&(name.len() as u16).to_le_bytes());
            fields.extend_from_slice(&[0, 0]);
            let offset = zip.len() as u32;
            let header =
                [b"PK\x01\x02\x14\x00", &fields[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()];
            central.push(header.concat());
            zip.extend([b"PK\x03\x04", &fields[..], name.as_bytes(), &data].concat());
        }
        central.reverse();
        let directory = central.concat();
        let (count, offset) = (files.len() as u16, zip.len() as u32);
        zip.extend_from_slice(&directory);
        zip.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        zip.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
        zip.extend([(directory.len() as u32).to_le_bytes(), offset.to_le_bytes()].concat());
        zip.extend([0, 0]);
        zip
    }

    /// The layer of all files of an archive.
    fn layer(store: &DecodedStore, archive: &Digest, format: Format, reuse: Reuse) -> (Encoded, Vec<u8>) {
        let owner = Component::new("npm", "x");
        let mut tree = Tree::new();
        for entry in &store.decode(archive, format).unwrap().data {
            if let MemberKind::File { content } = &entry.kind {
                tree.insert(
                    entry.path.clone(),
                    Node::file(&owner, Metadata::root(0o644, 0), content.clone()),
                );
            }
        }
        tree.complete(&owner, 0).unwrap();
        let mut blob = Vec::new();
        let encoding = Encoding::Gzip { level: 6, reuse };
        let encoded =
            encode(tar::pieces(&tree), store, store, &encoding, NonZeroUsize::MIN, &mut blob).unwrap();
        let mut decoded = Vec::new();
        flate2::bufread::GzDecoder::new(&blob[..]).read_to_end(&mut decoded).unwrap();
        assert_eq!(Digest::sha256(&decoded), encoded.diff_id);
        let mut plain = Vec::new();
        tar::write::write(&tree, store, &mut plain).unwrap();
        assert!(plain == decoded);
        (encoded, blob)
    }

    #[test]
    fn layers_of_a_tarball_copy_its_blocks() {
        let (_dir, store) = store();
        let archive = store.put("x.tgz", &tgz()).unwrap();
        let (copied, blob) = layer(&DecodedStore::new(&store), &archive, Format::Tar, Reuse::Publisher);
        assert!(copied.reused * 10 > copied.size * 8, "{copied:?}");
        let (compressed, _) = layer(&DecodedStore::new(&store), &archive, Format::Tar, Reuse::Never);
        assert_eq!((compressed.reused, compressed.diff_id), (0, copied.diff_id));

        // Whatever the cache has lost or kept wrongly, the layer is the same.
        let blocks = DecodedStore::new(&store).path(&archive, ".blocks");
        let decoded = DecodedStore::new(&store).path(&archive, "");
        let good = fs_err::read(&blocks).unwrap();
        let harm: [&dyn Fn(); 4] = [
            &|| fs_err::remove_file(&blocks).unwrap(),
            &|| fs_err::write(&blocks, b"pinfold blocks 9\n").unwrap(),
            &|| fs_err::write(&blocks, &good[..good.len() - 1]).unwrap(),
            &|| fs_err::remove_file(&decoded).unwrap(),
        ];
        for harm in harm {
            harm();
            let again = layer(&DecodedStore::new(&store), &archive, Format::Tar, Reuse::Publisher).1;
            assert!(again == blob);
            assert_eq!(fs_err::read(&blocks).unwrap(), good);
        }
    }

    #[test]
    fn changed_compressed_bytes_are_not_copied() {
        let (_dir, store) = store();
        let bytes = tgz();
        let archive = store.put("x.tgz", &bytes).unwrap();
        let (_, blob) = layer(&DecodedStore::new(&store), &archive, Format::Tar, Reuse::Publisher);
        // In the middle of the big file, whose blocks are copied: the decoded form does not know.
        let mut harmed = bytes.clone();
        harmed[bytes.len() / 2] ^= 0x20;
        fs_err::write(store.path(&archive), &harmed).unwrap();
        let decoded = DecodedStore::new(&store);
        let mut tree = Tree::new();
        for entry in &decoded.decode(&archive, Format::Tar).unwrap().data {
            if let MemberKind::File { content } = &entry.kind {
                let owner = Component::new("npm", "x");
                tree.insert(
                    entry.path.clone(),
                    Node::file(&owner, Metadata::root(0o644, 0), content.clone()),
                );
            }
        }
        tree.complete(&Component::new("npm", "x"), 0).unwrap();
        let encoding = Encoding::Gzip { level: 6, reuse: Reuse::Publisher };
        let result = encode(tar::pieces(&tree), &decoded, &decoded, &encoding, NonZeroUsize::MIN, Vec::new());
        assert!(result.is_err());
        assert_eq!(store.take_damage(), [format!("the download {archive}")]);
        assert!(!store.contains(&archive));
        // With the download back, the layer is what it was.
        store.put("x.tgz", &bytes).unwrap();
        let again = layer(&DecodedStore::new(&store), &archive, Format::Tar, Reuse::Publisher).1;
        assert!(again == blob);
    }

    #[test]
    fn remembered_blocks_need_no_inflating() {
        let (_dir, store) = store();
        let archive = store.put("x.tgz", &tgz()).unwrap();
        let first = DecodedStore::new(&store);
        first.decode(&archive, Format::Tar).unwrap();
        let blocks = first.blocks(&archive).unwrap().unwrap();
        fs_err::remove_file(store.path(&archive)).unwrap();
        let second = DecodedStore::new(&store);
        assert_eq!(second.blocks(&archive).unwrap().unwrap(), blocks);
        assert!(Arc::ptr_eq(
            &second.blocks(&archive).unwrap().unwrap(),
            &second.blocks(&archive).unwrap().unwrap()
        ));
        assert!(second.read_at(&archive, 0, &mut [0]).is_err());
        // An archive that nobody has decoded has no listing, and so no files in a tree.
        let error = second.blocks(&Digest::sha256(b"other")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn layers_of_a_zip_copy_its_entries() {
        let (_dir, store) = store();
        let (first, second, stored) = (text(400_000, 1), text(300_000, 2), text(300_000, 3));
        let zip =
            zip(&[("a", &first, 8), ("b", &stored, 0), ("c", &second, 8), ("d", b"", 0), ("e", b"", 8)]);
        let archive = store.put("x.zip", &zip).unwrap();
        let (copied, blob) = layer(&DecodedStore::new(&store), &archive, Format::Zip, Reuse::Publisher);
        // Both deflated entries are copied from their first bit to their last.
        let deflated = deflate(&first, BEST).len() + deflate(&second, BEST).len();
        assert!(copied.reused + 4 >= deflated as u64, "{copied:?}");
        fs_err::remove_file(DecodedStore::new(&store).path(&archive, ".blocks")).unwrap();
        let again = layer(&DecodedStore::new(&store), &archive, Format::Zip, Reuse::Publisher).1;
        assert!(again == blob);
        let (compressed, _) = layer(&DecodedStore::new(&store), &archive, Format::Zip, Reuse::Never);
        assert_eq!(compressed.diff_id, copied.diff_id);
    }

    #[test]
    fn what_is_not_deflated_has_no_blocks() {
        let (_dir, store) = store();
        let decoded = DecodedStore::new(&store);
        let raw = store.put("raw", b"\x1f\x8b").unwrap();
        decoded.decode(&raw, Format::Raw).unwrap();
        assert_eq!(decoded.blocks(&raw).unwrap(), None);
        let plain = store.put("plain.tar", &tar::write::END).unwrap();
        decoded.decode(&plain, Format::Tar).unwrap();
        assert!(decoded.blocks(&plain).unwrap().unwrap().all().is_empty());
    }
}
