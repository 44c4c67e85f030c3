//! `pinfold login` and `logout`: what registries want to know of who asks.

use std::io::Read as _;
use std::process::ExitCode;

use pinfold_base::http::Secret;
use pinfold_base::shown;
use pinfold_engine::ship::login;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::diagnostic::Failure;

/// The longest password that is read from stdin, in bytes.
const MAX: u64 = 16 << 10;

/// The exit code of what Ctrl-C ends.
const BROKEN_OFF: u8 = 130;

/// Keep a login for a registry, where podman keeps them, once the registry has taken it
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The registry, or a part of it that the login is for
    #[arg(value_name = "HOST[/TEAM]", value_parser = args::hinted::<login::Registry>)]
    registry: login::Registry,
    /// The name of the account
    #[arg(long, short = 'u', visible_alias = "username", value_name = "NAME")]
    user: Option<String>,
    /// Read the password, or a token in its place, from stdin; otherwise it is asked for
    #[arg(long, requires = "user")]
    password_stdin: bool,
}

/// Take the login for a registry away
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// The registry, or the part of it that the login is for
    #[arg(value_name = "HOST[/TEAM]", value_parser = args::hinted::<login::Registry>)]
    registry: login::Registry,
}

pub(crate) fn login(args: &LoginArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads::default())?;
    let given = if args.password_stdin {
        args.user.clone().zip(Some(from_stdin()?))
    } else if render::can_ask() {
        let user = args.user.clone().or_else(|| render::line(&format!("User name for {}: ", args.registry)));
        let user = user.filter(|user| !user.is_empty());
        user.map(|user| Ok::<_, Failure>(render::typed::unseen("Password: ")?.map(|word| (user, word))))
            .transpose()?
            .flatten()
    } else {
        return Err(Failure::usage(
            "nobody can be asked for the password here",
            "say who with `--user NAME`, and give the password on stdin with `--password-stdin`",
        ));
    };
    let Some((user, password)) = given else {
        render::note("no login was given; nothing was changed");
        return Ok(ExitCode::from(BROKEN_OFF));
    };
    let done = login::log_in(&context, &args.registry, &user, &password)?;
    if global.json {
        render::json(&done);
    } else if !global.quiet {
        render::note(shown!("logged in to {} as {user}; the login is in `{}`", done.registry, done.place));
    }
    Ok(ExitCode::SUCCESS)
}

/// The first line of stdin: what `echo` and password managers print ends with a newline that is no part of it.
fn from_stdin() -> Result<Secret, Failure> {
    let mut text = String::new();
    std::io::stdin().take(MAX + 1).read_to_string(&mut text)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() || text.len() as u64 > MAX || text.contains(['\n', '\0']) {
        return Err(Failure::usage(
            "stdin holds no password: one line is wanted",
            "for example `pinfold login --user NAME --password-stdin HOST < FILE`",
        ));
    }
    Ok(Secret::new(text))
}

pub(crate) fn logout(args: &LogoutArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads { offline: true })?;
    let done = login::log_out(&context, &args.registry)?;
    if done.is_empty() {
        return Err(Failure::usage(
            shown!("there is no login for `{}`", args.registry),
            "a login for a part of a registry is taken away by the name of the part",
        ));
    }
    if global.json {
        render::json(&done);
    } else if !global.quiet {
        for one in &done {
            render::note(shown!("took the login for {} out of `{}`", one.registry, one.place));
        }
    }
    Ok(ExitCode::SUCCESS)
}
