//! What a registry says of a package.

use pinfold_base::Arch;
use pinfold_base::Platform;
use pinfold_sources::npm::Packument;

/// Any bytes as the document about `sample`: each release is found under its own version, and each version that was left out is
/// noted.
pub fn packument(bytes: &[u8]) {
    let Ok(packument) = Packument::parse("sample", bytes) else { return };
    assert_eq!(packument.name, "sample");
    for release in packument.releases.values() {
        assert_eq!(packument.release(&release.version), Some(release));
        let _ = release.fits(Platform { arch: Arch::Amd64 });
    }
    assert!(packument.notes.iter().all(|note| note.contains("`sample`")));
    assert_eq!(Packument::parse("sample", bytes).ok(), Some(packument));
}
