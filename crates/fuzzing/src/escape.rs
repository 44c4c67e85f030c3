//! The filter of what a program writes to the terminal.

use pinfold_sandbox::terminal::escape::Filter;
use pinfold_sandbox::terminal::escape::Showing;

/// Any bytes as output: cutting them elsewhere changes nothing, what is passed passes again, and none of it is a string that a
/// terminal acts on in silence (DCS, APC, PM, SOS, a clipboard command, an eight-bit control).
pub fn escape(bytes: &[u8]) {
    for showing in [Showing::Live, Showing::Replay] {
        let mut filter = Filter::new(showing);
        let shown = filter.pass(bytes);
        let mut cut = Filter::new(showing);
        let pieces: Vec<u8> = bytes.iter().flat_map(|byte| cut.pass(&[*byte])).collect();
        assert!(pieces == shown, "the pieces of a stream show something else than the whole");
        assert!(Filter::new(showing).pass(&shown) == shown, "what was passed does not pass again");
        // A byte that is no character becomes a replacement of three.
        assert!(shown.len() <= 3 * bytes.len());
        let text = String::from_utf8(shown).expect("only whole characters are shown");
        for odd in ["\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1b]52", "\x1b]7;", "\x1b]1337", "\x1b[21t", "\x05"]
        {
            assert!(!text.contains(odd), "{odd:?} was shown");
        }
        assert!(!text.chars().any(|character| ('\u{80}'..='\u{9f}').contains(&character)));
        let undone = filter.restore();
        assert!(
            Filter::new(Showing::Replay).pass(&undone) == undone,
            "undoing needs more than a program may write"
        );
    }
}
