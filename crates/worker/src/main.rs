//! `/sandbox`: the program of the sealed image. See the library beside it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use pinfold_worker::Exit;

#[expect(clippy::disallowed_methods, reason = "the worker has two lines to say, at its end")]
fn main() -> ExitCode {
    use std::io::Write as _;
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if matches!(words.as_slice(), [word] if word == "--help" || word == "--version") {
        let text = if words[0] == "--help" { pinfold_worker::HELP } else { pinfold_worker::VERSION };
        let _ = std::io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    let exit = pinfold_worker::run(&words);
    if exit != Exit::Stopped {
        let _ = writeln!(std::io::stderr(), "sandbox: {exit}");
    }
    ExitCode::from(exit.code())
}
