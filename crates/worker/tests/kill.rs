//! The worker is killed at each step it makes on the disk and the model's socket: nothing is lost, and each task has one reply.
//!
//! A tracer (strace) kills it before its N-th call of one kind; then it is started again without, and has to finish. A round that does
//! not kill is over when the worker is done first. The default run has some kinds with few numbers; all of them, more than a
//! thousand rounds, are made with `PINFOLD_TEST_KILLS=all`.
#![expect(clippy::unwrap_used, reason = "a test")]

mod host;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use host::Host;
use pinfold_queue::Content;
use pinfold_queue::MessageId;

/// Calls that change something, or wait for somebody who is told something.
const CALLS: [&str; 12] = [
    "openat",
    "write",
    "fsync",
    "renameat,renameat2",
    "unlinkat",
    "mkdirat",
    "connect",
    "sendto",
    "utimensat",
    "openat2",
    "read",
    "pread64",
];

/// One round; whether the worker was killed.
fn round(calls: &str, number: usize) -> bool {
    let mut host = Host::new();
    let tasks = [
        host.task("one"),
        host.task(r#"call write_file {"path":"d/file","content":"two"}"#),
        host.task(r#"call send_message {"text":"half"}"#),
        // Answers that are written together.
        host.task("three"),
        host.task("four"),
        host.task("/help"),
        host.task("five"),
    ];
    let inject = format!("inject={calls}:signal=KILL:when={number}");
    let traced = format!("trace={calls}");
    let log = host.path("trace");
    let tracer =
        ["strace", "-qq", "-o", log.to_str().unwrap(), "-e", &traced, "-e", "signal=none", "-e", &inject];
    let mut worker = host.start(&tracer, "anthropic", &[]);
    let mut said: BTreeMap<MessageId, Content> = BTreeMap::new();
    let mut replies: BTreeMap<MessageId, Vec<MessageId>> = BTreeMap::new();
    let until = Instant::now() + Duration::from_secs(60);
    let mut killed = false;
    loop {
        for message in host.receive() {
            if host::ends(&message, message.in_reply_to.unwrap_or(message.id)) {
                replies.entry(message.in_reply_to.unwrap()).or_default().push(message.id);
            }
            said.insert(message.id, message.content);
        }
        if tasks.iter().all(|task| replies.contains_key(task)) && host.input.list(&[]).unwrap().count <= 1 {
            break;
        }
        if !killed && let Some(status) = worker.0.try_wait().unwrap() {
            assert_eq!(status.signal(), Some(9), "{calls} {number}: {status}");
            killed = true;
            worker = host.start(&[], "anthropic", &[]);
        }
        assert!(Instant::now() < until, "{calls} {number}: {replies:?} {said:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    if killed {
        assert_eq!(worker.stop().0.code(), Some(0), "{calls} {number}");
    }
    for message in host.receive() {
        said.insert(message.id, message.content);
    }
    // One reply a task; the message once; the file whole.
    assert_eq!(replies.len(), tasks.len(), "{calls} {number}");
    assert!(replies.values().all(|ids| ids.len() == 1), "{calls} {number}: {replies:?}");
    let messages = said.values().filter(|content| matches!(content, Content::Message(_))).count();
    assert_eq!((said.len(), messages), (8, 1), "{calls} {number}: {said:?}");
    assert_eq!(host.file("workspace/d/file"), "two", "{calls} {number}");
    let texts: Vec<&str> = tasks.iter().map(|task| host::text(&said[&replies[task][0]])).collect();
    assert!(texts[5].starts_with("/help"), "{texts:?}");
    assert_eq!(
        [&texts[..5], &texts[6..]].concat(),
        [
            "echo: one",
            "brought: 3 bytes are written",
            "brought: it is sent",
            "echo: three",
            "echo: four",
            "echo: five"
        ],
        "{calls} {number}"
    );
    let left: Vec<String> = fs::read_dir(host.path("workspace/d"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "file" && name != ".pinfold-write")
        .collect();
    assert_eq!(left, [""; 0]);
    killed
}

#[test]
fn killed_at_any_step_it_loses_nothing_and_replies_once() {
    let all = std::env::var_os("PINFOLD_TEST_KILLS").is_some_and(|value| value == "all");
    let (mut rounds, mut kills) = (0, 0);
    for calls in CALLS {
        let mut number = 1;
        loop {
            rounds += 1;
            if !round(calls, number) {
                break;
            }
            kills += 1;
            // Everything in turn, or every seventh step of what is on the disk.
            number += if all { 1 } else { 7 };
        }
    }
    if all {
        // Again, each at another moment of the machine, until there are a thousand.
        let mut number = 1;
        while rounds < 1000 {
            for calls in CALLS {
                rounds += 1;
                kills += usize::from(round(calls, number));
            }
            number = number % 40 + 1;
        }
        assert!(kills > 400, "{kills} kills in {rounds} rounds");
    }
    assert!(kills >= 10, "{kills} kills in {rounds} rounds: is strace there, and may it trace?");
}
