//! Files of structure tests.

use pinfold_engine::project::manifest::test::TESTS_MAX;
use pinfold_engine::verify::own::structure::SIZE;
use pinfold_engine::verify::own::structure::parse;

/// Any bytes as a file of container-structure-test: it is read within its limits or refused with a line, and reading it twice is the
/// same.
pub fn structure(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse(text) {
        Ok(tests) => {
            assert!(text.len() <= SIZE && tests.len() <= TESTS_MAX);
            assert_eq!(parse(text).ok(), Some(tests));
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
}
