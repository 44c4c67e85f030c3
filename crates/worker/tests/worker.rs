//! The program itself, against a stand-in for the model: each provider, its tools, hostile messages, its ends.

#![expect(clippy::unwrap_used, reason = "a test")]

mod host;

use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use host::Host;
use host::NAME;
use host::text;
use pinfold_queue::Content;
use pinfold_queue::Direction;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::message::Text;

const PROVIDERS: [&str; 4] = ["anthropic", "openai", "openai-chat", "gemini"];

#[test]
fn a_task_changes_a_file_by_each_provider_and_the_worker_stops_in_order() {
    for provider in PROVIDERS {
        let mut host = Host::new();
        let worker = host.start(&[], provider, &[]);
        let task = host.task(r#"call write_file {"path":"a/b.txt","content":"wörds"}"#);
        let reply = host.reply(task);
        assert_eq!(text(&reply), "brought: 6 bytes are written", "{provider}");
        assert_eq!(host.file("workspace/a/b.txt"), "wörds");
        let Content::Reply(reply) = reply else { panic!("{reply:?}") };
        assert_eq!(reply.usage.map(|usage| (usage.input, usage.output)), Some((6, 8)), "{provider}");
        // The conversation goes on, and the key was taken away.
        let task = host.task("and now?");
        assert_eq!(text(&host.reply(task)), "echo: and now?");
        assert!(!host.path("run/session.key").exists());
        let model = host.model.clone().unwrap();
        let bodies = model.bodies();
        assert_eq!(bodies.len(), 3);
        let last = bodies[2].to_string();
        assert!(last.contains("6 bytes are written") && last.contains("and now?"), "{last}");
        for head in model.heads() {
            let lower = head.to_lowercase();
            assert!(!lower.contains("authorization") && !lower.contains("api-key"), "{head}");
        }
        let (status, said) = worker.stop();
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{provider}");
    }
}

#[test]
fn everything_is_removed_once_both_sides_have_it() {
    let mut host = Host::new();
    let _worker = host.start(&[], "anthropic", &[]);
    for number in 0..5 {
        let task = host.task(&number.to_string());
        assert_eq!(text(&host.reply(task)), format!("echo: {number}"));
    }
    let until = Instant::now() + Duration::from_secs(20);
    while !host.out().is_empty() {
        assert!(Instant::now() < until, "{:?}", host.out());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(host.path("queue/out/alive").exists() && host.path("queue/out/state").exists());
}

#[test]
fn questions_messages_and_schedules_go_to_the_host() {
    let mut host = Host::new();
    let worker = host.start(&[], "openai", &[]);
    let task = host.task(r#"call ask_user {"question":"which?","choices":["a","b"]}"#);
    let all = host.until(|all| all.iter().any(|message| matches!(message.content, Content::Ask(_))));
    let ask = all[0].clone();
    assert_eq!(ask.in_reply_to, Some(task));
    // Another task waits, a word for the worker does not; neither does a restart matter.
    let later = host.task("later");
    let status = host.task("/status");
    assert!(text(&host.reply(status)).starts_with("waits for an answer"));
    assert_eq!(worker.stop().0.code(), Some(0));
    let _worker = host.start(&[], "openai", &[]);
    let wrong = Message::new(Content::Answer(Text { text: "x".into() })).unwrap().replying(later);
    host.put(&wrong);
    let Content::Error(failure) = host.reply(wrong.id) else { panic!() };
    assert_eq!(failure.code, "no-question");
    host.put(&Message::new(Content::Answer(Text { text: "b".into() })).unwrap().replying(ask.id));
    let all = host.until(|all| all.iter().any(|message| host::ends(message, later)));
    let replies: Vec<&str> = all.iter().map(|message| text(&message.content)).collect();
    assert_eq!(replies, ["brought: b", "echo: later"]);

    let task = host.task(r#"call schedule {"name":"n","text":"look","every_seconds":3600}"#);
    let all = host.until(|all| all.iter().any(|message| host::ends(message, task)));
    let Content::Schedule(schedule) = &all[0].content else { panic!("{all:?}") };
    assert_eq!((schedule.name.as_str(), schedule.every, schedule.at), ("n", Some(3600), None));
    let task = host.task(r#"call send_message {"text":"half"}"#);
    let all = host.until(|all| all.iter().any(|message| host::ends(message, task)));
    assert_eq!(all[0].content, Content::Message(Text { text: "half".into() }));
}

#[test]
fn an_id_is_acted_on_once() {
    let mut host = Host::new();
    let worker = host.start(&[], "anthropic", &[]);
    let message = Message::new(Content::Task(Text { text: "x".into() })).unwrap();
    for _ in 0..3 {
        host.put(&message);
    }
    host.reply(message.id);
    assert_eq!(worker.stop().0.code(), Some(0));
    let _worker = host.start(&[], "anthropic", &[]);
    host.put(&message);
    let last = host.task("y");
    let all = host.until(|all| all.iter().any(|message| host::ends(message, last)));
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(host.model.clone().unwrap().bodies().len(), 2);
    let until = Instant::now() + Duration::from_secs(20);
    while !host.input.list(&[]).unwrap().messages.is_empty() {
        assert!(Instant::now() < until, "each of them is acknowledged");
        host.receive();
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_cannot_be_read_is_named_and_stops_nothing() {
    let mut host = Host::new();
    let first = host.task("first");
    let worker = host.start(&[], "gemini", &[]);
    host.reply(first);
    let task = Message::new(Content::Task(Text { text: "never".into() })).unwrap();
    let mut flipped = host.sealed(Direction::ToWorker, 100, NAME, &task);
    flipped[60] ^= 1;
    let cases: Vec<(u64, Vec<u8>, &str)> = vec![
        (100, flipped, "tag"),
        (101, host.sealed(Direction::FromWorker, 101, NAME, &task_of_worker()), "from the worker"),
        (102, host.sealed(Direction::ToWorker, 102, "w2", &task), "tag"),
        (103, host.sealed(Direction::ToWorker, 7, NAME, &task), "number 7"),
        (104, b"PFQ1".to_vec(), "ends after 4 bytes"),
        (105, vec![], "ends after 0 bytes"),
        (106, vec![b'x'; 3 << 20], "bytes, more than"),
    ];
    let count = cases.len();
    let mut wanted = Vec::new();
    for (seq, bytes, why) in cases {
        let _ = host.input.publish(seq, &bytes).unwrap();
        wanted.push((seq, why));
    }
    std::os::unix::fs::symlink("/etc/passwd", host.path("queue/in/00000000000000000107")).unwrap();
    fs::create_dir(host.path("queue/in/00000000000000000108")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        host.path("queue/in/00000000000000000109"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    fs::write(host.path("queue/in/what\nis this"), "x").unwrap();
    wanted.extend([(107, "a link"), (108, "a directory"), (109, "a pipe")]);
    let errors = |all: &[Message]| {
        all.iter()
            .filter(|message| matches!(&message.content, Content::Error(e) if e.code == "unreadable"))
            .count()
    };
    let all = {
        // A host that removes what cannot be removed as a file would fail here: only read.
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let all: Vec<Message> = host.out().into_values().collect();
            if errors(&all) == count + 3 {
                break all;
            }
            assert!(Instant::now() < until, "{all:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    for (seq, why) in wanted {
        let named =
            all.iter().find(|message| message.acks == [seq]).unwrap_or_else(|| panic!("{seq} is not named"));
        let said = text(&named.content);
        assert!(said.contains(&format!("message {seq}: ")) && said.contains(why), "{said}");
    }
    let message = Message::new(Content::Task(Text { text: "still".into() })).unwrap();
    host.put_at(200, &message);
    let until = Instant::now() + Duration::from_secs(30);
    while !host.out().values().any(|said| host::ends(said, message.id)) {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(host.model.clone().unwrap().bodies().len(), 2, "none of them reached the model");
    assert_eq!(worker.stop().0.code(), Some(0));
}

fn task_of_worker() -> Message {
    Message::new(Content::Message(Text { text: "never".into() })).unwrap()
}

#[test]
fn another_key_and_a_damaged_state_end_it() {
    // Three messages that the key does not open, and nothing that it does.
    let mut host = Host::new();
    for _ in 0..3 {
        host.task("x");
    }
    host.key = pinfold_queue::SessionKey::generate().unwrap();
    let (status, said) = host.start(&[], "anthropic", &[]).ended();
    assert_eq!(status.code(), Some(65), "{said}");
    assert!(said.contains("none of 3 messages"), "{said}");
    // A state that is none.
    let mut host = Host::new();
    let worker = host.start(&[], "anthropic", &[]);
    let task = host.task("x");
    host.reply(task);
    assert_eq!(worker.stop().0.code(), Some(0));
    let mut state = fs::read(host.path("queue/out/state")).unwrap();
    *state.last_mut().unwrap() ^= 1;
    fs::write(host.path("queue/out/state"), state).unwrap();
    let (status, said) = host.start(&[], "anthropic", &[]).ended();
    assert_eq!((status.code(), said.contains("out/state")), (Some(65), true), "{said}");
    assert!(said.contains("`pinfold queue w1 heal`"), "{said}");
    // Without it, it goes on above all numbers that it gave away.
    fs::remove_file(host.path("queue/out/state")).unwrap();
    let worker = host.start(&[], "anthropic", &[]);
    let task = host.task("y");
    assert_eq!(text(&host.reply(task)), "echo: y");
    assert_eq!(worker.stop().0.code(), Some(0));
    let state = fs::read(host.path("queue/out/state")).unwrap();
    let (_, body) = pinfold_queue::format::open(
        &host.key,
        &pinfold_queue::SandboxId::new(host::NAME).unwrap(),
        Direction::State,
        None,
        state,
    )
    .unwrap();
    let state: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(state["next"].as_u64().unwrap() > 1_700_000_000_000, "{state}");
    // No key; a flag that is none; no queue.
    let worker = host.start(&[], "anthropic", &["--what", "x"]);
    assert_eq!(worker.ended().0.code(), Some(64));
    let host = Host::new();
    let mut words = host.words("anthropic");
    host.hand_key();
    fs::set_permissions(host.path("run/session.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    assert_eq!(run(&words), Some(77));
    fs::remove_file(host.path("run/session.key")).unwrap();
    assert_eq!(run(&words), Some(77));
    host.hand_key();
    words[9] = "/nowhere".into();
    assert_eq!(run(&words), Some(65));
}

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn run(words: &[String]) -> Option<i32> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pinfold-worker"));
    command.args(words).stderr(std::process::Stdio::null()).status().unwrap().code()
}

#[test]
fn failures_of_the_provider_are_told_and_passing_ones_are_tried_again() {
    let mut host = Host::new();
    let _worker = host.start(&[], "anthropic", &[]);
    for (words, code) in [("status 401", "401"), ("status 404", "404"), ("status 400", "400")] {
        let task = host.task(words);
        let Content::Error(failure) = host.reply(task) else { panic!("{words}") };
        assert_eq!((failure.code.as_str(), failure.retried), (code, None));
        assert!(failure.message.contains(&format!("as asked for: {code}")), "{}", failure.message);
    }
    // A moment later it works; the other task is not disturbed.
    for words in ["once 429 fine", "once 529 good"] {
        let task = host.task(words);
        assert!(text(&host.reply(task)).starts_with("echo: "), "{words}");
    }
    let task = host.task("after");
    assert_eq!(text(&host.reply(task)), "echo: after");
}

/// An answer waits for those that follow at once, and for nothing that takes long: not for the next task's model, nor for the end.
#[test]
fn an_answer_is_told_while_the_next_task_takes_long() {
    let mut host = Host::new();
    let (one, other) = (host.task("one"), host.task("other"));
    host.task("hang");
    let worker = host.start(&[], "anthropic", &[]);
    let all = host.until(|all| all.len() >= 2);
    for (task, said) in [one, other].into_iter().zip(&all) {
        assert!(host::ends(said, task) && text(&said.content).starts_with("echo: o"), "{said:?}");
    }
    assert_eq!(worker.stop().0.code(), Some(0));
    assert!(host.input.list(&[]).unwrap().messages.contains(&3), "what is not answered stays");
}

/// The disk is waited for once for many answers, and each of them is there once.
#[test]
fn answers_that_follow_at_once_are_written_together() {
    let mut host = Host::new();
    let tasks: Vec<_> = (0..200).map(|_| host.task("/help")).collect();
    let worker = host.start(&[], "anthropic", &[]);
    let all = host.until(|all| all.len() >= tasks.len());
    for task in tasks {
        assert_eq!(all.iter().filter(|message| host::ends(message, task)).count(), 1);
    }
    assert_eq!(worker.stop().0.code(), Some(0));
    let state = fs::read(host.path("queue/out/state")).unwrap();
    let written = pinfold_queue::Header::parse(&state).unwrap().seq;
    assert!(written < 100, "the state was written {written} times for 200 answers");
}

/// Five failures in a row end the worker, each way of failing: about 15 s of waiting, at the same time.
#[test]
fn a_provider_that_fails_again_and_again_ends_it() {
    let cases = [
        ("anthropic", "cut"),
        ("openai", "junk"),
        ("openai-chat", "error"),
        ("gemini", "cut"),
        ("anthropic", "status 500"),
        ("openai", "gone"),
    ];
    let threads = cases.map(|(provider, words)| {
        std::thread::spawn(move || {
            let mut host = Host::new();
            let worker = host.start(&[], provider, &[]);
            if words == "gone" {
                fs::remove_file(host.path("run/model/r.sock")).unwrap();
            }
            let task = host.task(words);
            let Content::Error(failure) = host.reply(task) else { panic!("{provider} {words}") };
            assert_eq!(failure.retried, Some(4), "{provider} {words}");
            let code = match words {
                "status 500" => "500",
                "gone" => "unreachable",
                "error" => "overloaded_error",
                other => other,
            };
            assert_eq!(failure.code, code, "{provider} {words}: {}", failure.message);
            let (status, said) = worker.ended();
            assert_eq!(status.code(), Some(69), "{said}");
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_turn_ends_after_its_rounds() {
    let mut host = Host::new();
    let _worker = host.start(&[], "anthropic", &["--max-rounds", "1"]);
    // The stand-in answers a result with text, so one round is within the limit.
    let task = host.task(r#"call list_dir {"path":""}"#);
    assert_eq!(text(&host.reply(task)), "brought: [empty]\n");
    // A tool that there is none of, and one that is not enabled, are answered.
    for name in ["exec", "nothing"] {
        let task = host.task(&format!(r#"call {name} {{"command":["x"]}}"#));
        assert_eq!(text(&host.reply(task)), format!("brought: there is no tool `{name}`"));
    }
}

#[test]
fn programs_run_where_that_is_enabled() {
    let mut host = Host::new();
    let _worker = host.start(&[], "anthropic", &["--enable", "exec"]);
    let task = host.task(r#"call exec {"command":["env"]}"#);
    assert_eq!(text(&host.reply(task)), "brought: [exit status 0]\nPATH=/usr/local/bin:/usr/bin:/bin\n");
    let begun = Instant::now();
    let task = host.task(r#"call exec {"command":["sleep","100"],"timeout_seconds":1}"#);
    assert_eq!(text(&host.reply(task)), "brought: [killed after 1 seconds]\n");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let task = host.task(r#"call exec {"command":["sh","-c","exit 3"]}"#);
    assert_eq!(text(&host.reply(task)), "brought: [exit status 3]\n");
}

#[test]
fn words_for_the_worker_reach_no_model() {
    let mut host = Host::new();
    let _worker = host.start(&[], "anthropic", &[]);
    for (words, part) in
        [("/help", "/reset"), ("/status", "waits for a task"), ("/reset", "forgotten"), ("/x", "no `/x`")]
    {
        let task = host.task(words);
        let reply = host.reply(task);
        assert!(text(&reply).contains(part), "{words}: {reply:?}");
    }
    assert_eq!(host.model.clone().unwrap().bodies().len(), 0);
    let never = MessageId::derived("never");
    assert!(!host.out().values().any(|message| message.in_reply_to == Some(never)));
}
