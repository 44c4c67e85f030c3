//! Regular expressions that people write for images.

use pinfold_engine::project::manifest::pattern::Pattern;

/// Any bytes as an expression, a NUL and a text: it compiles or is refused with a line, and a text that is quoted whole finds itself.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (expression, text) = text.split_once('\0').unwrap_or((text, text));
    match Pattern::new(expression) {
        Ok(pattern) => {
            let found = pattern.is_in(text.as_bytes());
            assert_eq!(pattern.is_in(text.as_bytes()), found);
        }
        Err(problem) => assert!(!problem.contains('\n') || expression.contains('\n'), "{problem}"),
    }
    if !text.contains("\\E") && text.len() < 1000 {
        match Pattern::new(&format!("^\\Q{text}\\E$")) {
            Ok(quoted) => assert!(quoted.is_in(text.as_bytes()), "{text}"),
            Err(problem) => assert!(text.is_empty(), "{text}: {problem}"),
        }
    }
}
