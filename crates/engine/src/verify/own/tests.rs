use super::*;
use crate::project::manifest::pattern::Pattern;
use crate::project::manifest::test::ImageTest;
use crate::project::manifest::test::Value;

fn patterns(expected: &[&str], excluded: &[&str]) -> Patterns {
    let compile = |list: &[&str]| list.iter().map(|text| Pattern::new(text).unwrap()).collect();
    Patterns { expected: compile(expected), excluded: compile(excluded) }
}

fn said(output: &str, errors: &str, ended: Ended) -> Said {
    Said { ended, output: output.into(), errors: errors.into() }
}

#[test]
fn each_wish_about_a_command_is_judged_alone() {
    let asked = CommandTest {
        exit_code: 3,
        stdout: patterns(&["^hello$"], &["secret"]),
        stderr: patterns(&["warn"], &["panic"]),
        ..CommandTest::default()
    };
    let code = |code| Ended::Exit(Exit::Code(code));
    let count = |said: &Said| judge_command(&asked, said).len();
    assert_eq!(count(&said("hello", "warning", code(3))), 0);
    for wrong in [
        said("hello", "warning", code(0)),
        said("hello", "warning", Ended::Exit(Exit::Signal(9))),
        said("hello", "warning", Ended::Late),
        // `$` is the end of the text, not of a line, unless the expression says `(?m)`.
        said("hello\n", "warning", code(3)),
        said("hello", "", code(3)),
        said("hello", "warning: panic", code(3)),
    ] {
        assert_eq!(count(&wrong), 1, "{wrong:?}");
    }
    assert_eq!(count(&said("secret", "panic", code(0))), 5);
}

#[test]
fn words_of_a_setup_are_words() {
    assert_eq!(quoted("a'b $HOME\n"), "'a'\\''b $HOME\n'");
}

#[test]
fn each_wish_about_a_configuration_is_judged_alone() {
    let config = serde_json::from_value(serde_json::json!({
        "User": "u", "Env": ["A=1", "B=2", "B=3"], "Entrypoint": ["/e"], "Cmd": ["c"], "WorkingDir": "/w",
        "Labels": { "l": "2024-01-01" }, "ExposedPorts": { "8080/tcp": {} }, "Volumes": { "/v": {} }
    }))
    .unwrap();
    let text = |value: &str| Value::Text(value.into());
    let pattern = |value: &str| Value::Pattern(Pattern::new(value).unwrap());
    let none = ImageTest::default;
    let cases: Vec<(ImageTest, ImageTest)> = vec![
        (
            ImageTest { env: vec![("B".into(), text("3"))], ..none() },
            ImageTest { env: vec![("B".into(), text("2"))], ..none() },
        ),
        (
            ImageTest { env: vec![("A".into(), pattern("^[0-9]$"))], ..none() },
            ImageTest { env: vec![("C".into(), text(""))], ..none() },
        ),
        (ImageTest { no_env: vec!["C".into()], ..none() }, ImageTest { no_env: vec!["A".into()], ..none() }),
        (
            ImageTest { labels: vec![("l".into(), pattern(r"^\d{4}-"))], ..none() },
            ImageTest { labels: vec![("l".into(), text("2024"))], ..none() },
        ),
        (
            ImageTest { entrypoint: Some(vec!["/e".into()]), ..none() },
            ImageTest { entrypoint: Some(Vec::new()), ..none() },
        ),
        (
            ImageTest { cmd: Some(vec!["c".into()]), ..none() },
            ImageTest { cmd: Some(vec!["c".into(), "d".into()]), ..none() },
        ),
        (
            ImageTest { workdir: Some("/w".into()), user: Some("u".into()), ..none() },
            ImageTest { workdir: Some("/x".into()), ..none() },
        ),
        (
            ImageTest { ports: vec!["8080".into()], ..none() },
            ImageTest { no_ports: vec!["8080/tcp".into()], ..none() },
        ),
        (
            ImageTest { volumes: vec!["/v".into()], ..none() },
            ImageTest { volumes: vec!["/x".into()], ..none() },
        ),
        (
            ImageTest { no_volumes: vec!["/x".into()], ..none() },
            ImageTest { no_volumes: vec!["/v".into()], ..none() },
        ),
    ];
    for (holds, fails) in cases {
        assert_eq!(config::judge(&holds, &config), [], "{holds:?}");
        assert_eq!(config::judge(&fails, &config).len(), 1, "{fails:?}");
    }
}
