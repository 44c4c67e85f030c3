//! What programs need when they run and packages make when they are installed: asked for here, made natively at the end.

#![expect(clippy::unnecessary_wraps, reason = "all commands have one type")]

use super::Command;
use super::Word;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;

/// The program that writes the keystore of Java.
const KEYSTORE_JAR: &[u8] = b"/usr/share/ca-certificates-java/ca-certificates-java.jar";

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "ldconfig" | "update-ca-certificates" | "pam-auth-update" | "update-shells" => asked,
        "java" => java,
        _ => return None,
    })
}

/// Notes that the command was asked for, under its own name.
fn asked(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = String::from_utf8_lossy(&words[0]).into_owned();
    let package = shell.script().0.to_owned();
    shell.world().triggers.insert((name, package));
    Ok(0)
}

/// Java is there or not, and writes the keystore; no other program is known.
fn java(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if shell.found(&words[0]).is_none() {
        shell.say_error(b"java: not found\n")?;
        return Ok(127);
    }
    let given: Vec<&[u8]> = words[1..].iter().map(|word| &**word).collect();
    match given[..] {
        [b"-version"] => Ok(0),
        [.., b"-jar", KEYSTORE_JAR, b"-storepass", _] => {
            let package = shell.script().0.to_owned();
            shell.world().triggers.insert(("update-ca-certificates-java".into(), package));
            Ok(0)
        }
        _ => Err(shell.fault(words, "a program in Java is not evaluated")),
    }
}
