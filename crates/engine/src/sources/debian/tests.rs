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
