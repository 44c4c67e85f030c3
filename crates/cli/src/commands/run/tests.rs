//! From flags to a request: what was typed is what is asked for, and nothing that was not typed is.

use clap::Parser as _;
use pinfold_engine::project::manifest::run::Bind;
use pinfold_sandbox::spec::Access;

use super::*;
use crate::args::Args;
use crate::args::Command;

fn typed(words: &str) -> Result<Command, clap::Error> {
    Args::try_parse_from(words.split_whitespace()).map(|args| args.command)
}

/// The request of `pinfold run …`.
fn request(words: &str) -> Request {
    match typed(&format!("pinfold run {words}")).unwrap_or_else(|error| panic!("{error}")) {
        Command::Run(args) => args.what.request(args.name.as_ref()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Why `pinfold run …` is refused before anything is done.
fn refused(words: &str) -> String {
    match typed(&format!("pinfold run {words}")) {
        Err(error) => error.to_string(),
        Ok(Command::Run(args)) => args.what.request(args.name.as_ref()).unwrap_err().to_string(),
        Ok(other) => panic!("{other:?}"),
    }
}

#[test]
fn nothing_said_leaves_everything_to_the_manifest() {
    let plain = request("");
    let here = Request::default();
    assert_eq!(format!("{plain:?}"), format!("{here:?}"));
}

#[test]
fn the_image_is_the_one_that_is_named() {
    for (words, basis) in [
        ("claude-code", Basis::Here),
        ("-f other.toml", Basis::Manifest("other.toml".into())),
        ("--preset iteron", Basis::Preset("iteron".into())),
        ("--image team/x:1", Basis::Image("team/x:1".into())),
    ] {
        assert_eq!(request(words).basis, basis, "{words}");
    }
    for words in ["-f a --preset b", "-f a --image b", "--preset a --image b"] {
        assert!(refused(words).contains("cannot be used with"), "{words}");
    }
}

#[test]
fn words_before_the_dashes_are_the_agent_and_those_after_the_command() {
    let both = request("codex-cli -- exec --json -v");
    assert_eq!((both.agent.as_deref(), &both.command[..]), (Some("codex-cli"), &words("exec --json -v")[..]));
    let command = request("-- bash -lc true");
    assert_eq!((command.agent, command.command), (None, words("bash -lc true")));
    // A second word without dashes would be lost.
    assert!(refused("codex-cli exec").contains("unexpected argument"));
}

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

#[test]
fn what_is_seen_reached_and_used_is_what_was_typed() {
    let full = request(
        "claude-code --name mine -w /src:/work --mode mirror -v /data -v /out:/o:rw --network host \
         --allow *.example.org:8443 --env A=b --env C --memory 4g --cpus 1.5 --pids-limit 64 --platform linux/arm64 \
         --allow-root-id",
    );
    assert_eq!(full.name.as_deref(), Some("mine"));
    assert_eq!(full.workspace, "/src:/work");
    assert_eq!(full.view, View::Mirror);
    assert!(full.allow_root_id);
    assert_eq!(full.network, Some(Reach::Host));
    assert_eq!(full.platform, Some(Platform::ALL[1]));
    let bind =
        |source: &str, target: &str, access| Bind { source: source.into(), target: target.into(), access };
    assert_eq!(
        full.mounts,
        [bind("/data", "/data", Access::ReadOnly), bind("/out", "/o", Access::ReadWrite)]
    );
    assert_eq!(full.memory, Some(Size(4 << 30)));
    assert_eq!(full.cpus, Some("1.5".parse().unwrap()));
    assert_eq!(full.pids, Some("64".parse().unwrap()));
    assert_eq!((full.allow.len(), full.env.len()), (1, 2));
}

#[test]
fn values_that_cannot_work_are_refused_before_anything_is_done() {
    for (words, said) in [
        ("--network bridge", "possible values: none, proxy, host"),
        ("--mode shared", "possible values: isolated, mirror"),
        ("--runtime crun", "possible values: builtin, runc, runsc"),
        ("--platform windows/amd64", "--platform"),
        ("--memory lots", "--memory"),
        ("--cpus=-1", "--cpus"),
        ("--cpus 0", "--cpus"),
        ("--pids-limit 0", "--pids-limit"),
        ("--allow https://example.org/x", "--allow"),
        ("-v a/relative/path", "--volume"),
    ] {
        let error = refused(words);
        assert!(error.contains(said), "{words}: {error}");
    }
}

#[test]
fn a_key_that_was_typed_by_mistake_is_not_repeated() {
    for words in ["--key sk-ant-canary", "--key anthropic=sk-ant-canary"] {
        let error = refused(words);
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn runtimes_are_those_that_are_named() {
    for (words, runtime) in [
        ("", Runtime::Builtin),
        ("--runtime builtin", Runtime::Builtin),
        ("--runtime runc", Runtime::Oci(OciRuntime::Runc)),
        ("--runtime runsc", Runtime::Oci(OciRuntime::Runsc)),
    ] {
        let Ok(Command::Run(args)) = typed(&format!("pinfold run {words}")) else { panic!("{words}") };
        assert_eq!(args.what.runtime.meant(), runtime, "{words}");
    }
}

#[test]
fn a_run_that_does_not_come_to_a_program_ends_with_125_to_127() {
    let at = |step, errno: Errno| {
        SandboxError::Start(StepError { step, object: "x".into(), errno: errno.raw_os_error() })
    };
    for (error, code) in [
        (at(Step::Execute, Errno::NOENT), 127),
        (at(Step::Execute, Errno::NOTDIR), 127),
        (at(Step::Execute, Errno::ACCESS), 126),
        (at(Step::Execute, Errno::NOEXEC), 126),
        (at(Step::Execute, Errno::LOOP), 126),
        (at(Step::Execute, Errno::NOMEM), 125),
        (at(Step::WorkingDirectory, Errno::NOENT), 125),
        (SandboxError::Vanished, 125),
    ] {
        assert_eq!(own_code(&error), code, "{error:?}");
    }
    let own = Failure::usage("x", "y").ending(126);
    assert_eq!((own.exit_code(), own.ending(OWN).exit_code()), (126, 126));
}
