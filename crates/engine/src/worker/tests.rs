//! The host and a worker, without a sandbox.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Diagnose as _;
use pinfold_base::Kind;
use pinfold_queue::Content;
use pinfold_queue::Direction;
use pinfold_queue::Header;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::SandboxId;
use pinfold_queue::SessionKey;
use pinfold_queue::Spool;
use pinfold_queue::format;
use pinfold_queue::message::Ask;
use pinfold_queue::message::Failure;
use pinfold_queue::message::Reply;
use pinfold_queue::message::Schedule;
use pinfold_queue::message::Text;
use pinfold_queue::message::Unschedule;
use pinfold_queue::spool;
use pinfold_queue::spool::Published;
use pinfold_sandbox::Sandboxes;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;

use super::attend::Attendant;
use super::queue::now_ms;
use super::*;

/// A queue with a worker that does what it is told.
struct Case {
    _dir: tempfile::TempDir,
    sandboxes: Sandboxes,
    queue: Queue,
    next: u64,
}

fn text(text: &str) -> Text {
    Text { text: text.into() }
}

fn task(words: &str) -> Message {
    Message::new(Content::Task(text(words))).unwrap()
}

fn reply(words: &str, to: MessageId, acks: &[u64]) -> Message {
    let reply = Content::Reply(Reply { text: words.into(), usage: None });
    Message::new(reply).unwrap().replying(to).acknowledging(acks.to_vec())
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sandboxes = Sandboxes::new(dir.path().join("sandboxes"));
        let folder = sandboxes.directory().join("w1");
        fs_err::create_dir_all(&folder).unwrap();
        prepare(&folder, "w1").unwrap();
        let queue = Queue::of(&sandboxes, "w1").unwrap();
        Self { _dir: dir, sandboxes, queue, next: 1 }
    }

    fn folder(&self) -> PathBuf {
        self.sandboxes.directory().join("w1/queue")
    }

    fn spool(&self, part: &str) -> Spool {
        Spool::open(&self.folder().join(part)).unwrap()
    }

    fn out(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder().join("out").join(name)
    }

    fn key(&self) -> SessionKey {
        SessionKey::from_bytes(&fs_err::read(self.folder().join("key")).unwrap()).unwrap()
    }

    /// What waits for the worker, as it reads it.
    fn inside(&self) -> Vec<(u64, Message)> {
        let spool = self.spool("in");
        let open = |seq: u64| {
            let file = spool.read(seq, Direction::ToWorker.file_max()).unwrap().unwrap();
            let id = SandboxId::new("w1").unwrap();
            let (_, body) = format::open(&self.key(), &id, Direction::ToWorker, Some(seq), file).unwrap();
            (seq, Message::parse(Direction::ToWorker, &body).unwrap())
        };
        spool.list(&[]).unwrap().messages.into_iter().map(open).collect()
    }

    /// The same without acknowledgements.
    fn tasks(&self) -> Vec<(u64, Message)> {
        self.inside().into_iter().filter(|(_, message)| message.content != Content::Ack).collect()
    }

    /// The worker says something.
    fn say(&mut self, message: &Message) -> u64 {
        let seq = self.next;
        self.next += 1;
        let file = self.seal(seq, Direction::FromWorker, &message.to_body().unwrap());
        assert_eq!(self.spool("out").publish(seq, &file).unwrap(), Published::New);
        seq
    }

    fn seal(&self, seq: u64, direction: Direction, body: &[u8]) -> Vec<u8> {
        let header = Header::new(direction, seq, now_ms()).unwrap();
        format::seal(&self.key(), &SandboxId::new("w1").unwrap(), &header, body).unwrap()
    }

    /// The worker removes what the host has acknowledged.
    fn clean(&self) {
        let acks: Vec<u64> = self.inside().into_iter().flat_map(|(_, message)| message.acks).collect();
        self.spool("out").remove_all(acks).unwrap();
    }

    /// What is received, in words.
    fn receive(&self) -> (Vec<String>, Vec<Letter>) {
        let mut words = Vec::new();
        let (count, letters) = self
            .queue
            .receive(Taking::Take, |one| {
                words.push(format!("{}: {}", one.kind, one.content["text"].as_str().unwrap_or_default()));
                true
            })
            .unwrap();
        assert_eq!(count, words.len());
        (words, letters)
    }

    fn dead(&self) -> Vec<Letter> {
        self.queue.list().unwrap().dead
    }
}

#[test]
fn a_task_goes_in_the_reply_comes_out_and_nothing_stays() {
    let mut case = Case::new();
    let sent = case.queue.send(&task("do it")).unwrap();
    let [(seq, message)] = &case.tasks()[..] else { panic!() };
    assert_eq!(sent, Sent::New { id: message.id, seq: *seq });
    assert_eq!(message.content, Content::Task(text("do it")));
    case.say(&reply("done", message.id, &[*seq]));
    assert_eq!(case.receive().0, ["reply: done"]);
    assert!(case.tasks().is_empty(), "acknowledged by the reply");
    assert!(case.receive().0.is_empty(), "told once, though the worker has not removed it");
    assert_eq!(glance(&case.folder().join(".."), "w1").unwrap().unread, 0);
    case.clean();
    assert!(case.receive().0.is_empty());
    assert!(case.inside().is_empty(), "the acknowledgement is settled, too");
}

#[test]
fn an_id_is_sent_once() {
    let case = Case::new();
    let message = task("once");
    assert!(matches!(case.queue.send(&message).unwrap(), Sent::New { seq: 1, .. }));
    for _ in 0..2 {
        assert_eq!(case.queue.send(&message).unwrap(), Sent::Before { id: message.id });
    }
    assert_eq!(case.tasks().len(), 1);
    assert!(matches!(case.queue.send(&task("other")).unwrap(), Sent::New { seq: 2, .. }));
}

/// Killed after its number was taken: not sent, so that it is sent the next time; killed after it was published: sent.
#[test]
fn a_sender_that_was_killed_sent_or_did_not() {
    let case = Case::new();
    let (lost, there) = (task("lost"), task("there"));
    let mut open = case.queue.open().unwrap();
    let seq = open.state.take();
    open.state.unsure = Some((lost.id, seq));
    open.write_state().unwrap();
    drop(open);
    assert!(matches!(case.queue.send(&lost).unwrap(), Sent::New { seq: 2, .. }), "under another number");
    // What `send` leaves on the disk when it ends after publishing.
    assert!(matches!(case.queue.send(&there).unwrap(), Sent::New { seq: 3, .. }));
    let on_disk = case.queue.read_only_state().unwrap();
    assert_eq!(on_disk.unsure, Some((there.id, 3)));
    assert_eq!(case.queue.send(&there).unwrap(), Sent::Before { id: there.id });
}

/// A message that was sent last is known as sent even where its file is gone before anything else was written.
#[test]
fn what_is_acknowledged_at_once_was_sent() {
    let mut case = Case::new();
    let message = task("fast");
    case.queue.send(&message).unwrap();
    case.say(&reply("done", message.id, &[1]));
    case.receive();
    assert!(case.tasks().is_empty());
    assert_eq!(case.queue.send(&message).unwrap(), Sent::Before { id: message.id });
    assert!(case.queue.is_over(message.id).unwrap());
}

#[test]
fn several_senders_at_once_lose_nothing() {
    let case = Case::new();
    let queue = &case.queue;
    std::thread::scope(|scope| {
        for sender in 0..4 {
            scope.spawn(move || {
                for number in 0..10 {
                    queue.send(&task(&format!("{sender} {number}"))).unwrap();
                }
            });
        }
    });
    let tasks = case.tasks();
    let seqs: Vec<u64> = tasks.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=40).collect::<Vec<_>>(), "no number twice, none left out");
    let mut words: Vec<_> = tasks.into_iter().map(|(_, message)| format!("{:?}", message.content)).collect();
    words.sort();
    words.dedup();
    assert_eq!(words.len(), 40);
}

#[test]
fn a_message_that_comes_again_is_told_once() {
    let mut case = Case::new();
    let message = reply("done", MessageId::derived("x"), &[]);
    let seq = case.say(&message);
    let file = fs_err::read(case.out(spool::name(seq))).unwrap();
    assert_eq!(case.receive().0.len(), 1);
    case.clean();
    case.receive();
    // The same file again, as who copied the disk could put it; and the same id under another number.
    fs_err::write(case.out(spool::name(seq)), file).unwrap();
    case.say(&message);
    assert!(case.receive().0.is_empty());
    case.clean();
    case.receive();
    assert!(case.spool("out").list(&[]).unwrap().messages.is_empty(), "and it is acknowledged again");
    assert!(case.dead().is_empty());
}

#[test]
fn what_nobody_could_print_is_received_again() {
    let mut case = Case::new();
    for words in ["a", "b", "c"] {
        case.say(&reply(words, MessageId::derived("x"), &[]));
    }
    let mut left = 2;
    let (count, _) = case
        .queue
        .receive(Taking::Take, |_| {
            left -= 1;
            left > 0
        })
        .unwrap();
    assert_eq!(count, 1);
    let (peeked, _) = case.queue.receive(Taking::Peek, |_| true).unwrap();
    assert_eq!(peeked, 2, "and stays where it is only looked at");
    assert_eq!(case.receive().0, ["reply: b", "reply: c"]);
}

/// Each by its name: put aside with the reason, at once, and what is good is received all the same.
#[test]
fn a_hostile_directory_is_put_aside() {
    let mut case = Case::new();
    let begun = Instant::now();
    let name = |seq: u64| case.out(spool::name(seq));
    rustix::fs::mknodat(CWD, name(10), FileType::Fifo, Mode::RUSR, 0).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", name(11)).unwrap();
    fs_err::write(case.folder().join("outside"), "x").unwrap();
    fs_err::hard_link(case.folder().join("outside"), name(12)).unwrap();
    let _socket = UnixListener::bind(case.folder().join("s")).unwrap();
    fs_err::rename(case.folder().join("s"), name(13)).unwrap();
    fs_err::create_dir_all(name(14).join("deep/er")).unwrap();
    fs_err::File::create(name(15)).unwrap().set_len(1 << 40).unwrap();
    fs_err::write(name(16), "PFQ1").unwrap();
    fs_err::write(case.out("a\nname"), "x").unwrap();
    fs_err::write(case.out("key"), "x").unwrap();
    case.next = 20;
    case.say(&reply("good", MessageId::derived("x"), &[]));
    let (words, letters) = case.receive();
    assert_eq!(words, ["reply: good"]);
    let mut told: Vec<_> =
        letters.iter().map(|letter| (letter.name.trim_start_matches('0'), letter.reason.as_str())).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("10", "it is a pipe"),
            ("11", "it is a link"),
            ("12", "it has more than one name"),
            ("13", "it is a socket"),
            ("14", "it is a directory"),
            ("15", "it has 1099511627776 bytes, more than 1048648"),
            ("16", "it ends after 4 bytes"),
            ("a\\nname", "its name is no number"),
            ("key", "its name is no number"),
        ]
    );
    assert!(letters.iter().all(|letter| letter.is_damaged() == (letter.reason == "it ends after 4 bytes")));
    assert!(case.receive().1.is_empty(), "told once");
    assert_eq!(case.queue.prune(Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(case.queue.prune(Duration::ZERO).unwrap(), 9);
    assert!(fs_err::read_dir(case.folder().join("dead")).unwrap().next().is_none());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn what_is_sealed_for_another_place_is_put_aside() {
    let mut case = Case::new();
    let body = reply("x", MessageId::derived("x"), &[]).to_body().unwrap();
    let good = case.seal(1, Direction::FromWorker, &body);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let foreign = SessionKey::generate().unwrap();
    let header = Header::new(Direction::FromWorker, 6, 0).unwrap();
    let foreign = format::seal(&foreign, &SandboxId::new("w1").unwrap(), &header, &body).unwrap();
    let other = SandboxId::new("w2").unwrap();
    let other = format::seal(&case.key(), &other, &Header { seq: 7, ..header }, &body).unwrap();
    for (seq, file) in [
        (1, flipped),
        (2, good.clone()),
        (3, case.seal(3, Direction::ToWorker, &body)),
        (4, case.seal(4, Direction::FromWorker, b"{}")),
        (5, case.seal(5, Direction::FromWorker, &task("not his to say").to_body().unwrap())),
        (6, foreign),
        (7, other),
        (8, good[..good.len() - 1].to_vec()),
    ] {
        fs_err::write(case.out(spool::name(seq)), file).unwrap();
    }
    case.next = 9;
    case.say(&reply("good", MessageId::derived("x"), &[]));
    let (words, letters) = case.receive();
    assert_eq!(words, ["reply: good"]);
    let damaged: Vec<bool> = letters.iter().map(Letter::is_damaged).collect();
    assert_eq!(damaged, [true, true, true, false, false, true, true, true], "{letters:#?}");
}

#[test]
fn a_task_that_failed_is_a_dead_letter_and_can_be_sent_again() {
    let mut case = Case::new();
    let message = task("try");
    case.queue.send(&message).unwrap();
    let failure = Failure { code: "429".into(), message: "too many".into(), retried: Some(5) };
    let error = Message::new(Content::Error(failure)).unwrap().replying(message.id).acknowledging(vec![1]);
    case.say(&error);
    let (_, letters) = case.receive();
    assert!(letters.is_empty(), "the error itself was received");
    let dead = case.dead();
    assert_eq!(
        (dead.len(), dead[0].from, dead[0].reason.as_str()),
        (1, Shelf::In, "the worker failed (429): too many")
    );
    assert!(case.tasks().is_empty());
    let (letter, shown) = case.queue.show("dead/1".parse().unwrap()).unwrap();
    assert!(letter.unwrap().is_undone());
    assert_eq!(shown.unwrap().content["text"], "try");
    let again = case.queue.requeue("dead/1".parse().unwrap()).unwrap().unwrap();
    assert_ne!(again.id(), message.id, "the worker does nothing twice for one id");
    assert_eq!(case.tasks()[0].1.content, message.content);
    assert!(case.dead().is_empty());
    assert!(matches!(case.queue.requeue("dead/1".parse().unwrap()), Err(WorkerError::NoMessage { .. })));
}

#[test]
fn a_letter_that_can_be_read_by_now_comes_in_again() {
    let mut case = Case::new();
    let seq = case.say(&reply("late", MessageId::derived("x"), &[]));
    let key = fs_err::read(case.folder().join("key")).unwrap();
    fs_err::remove_file(case.folder().join("state")).ok();
    fs_err::write(case.folder().join("key"), SessionKey::generate().unwrap().expose()).unwrap();
    assert!(case.receive().0.is_empty());
    let error = case.queue.requeue("dead/1".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity, "{error}");
    fs_err::remove_file(case.folder().join("state")).unwrap();
    fs_err::write(case.folder().join("key"), key).unwrap();
    assert_eq!(case.queue.requeue("dead/1".parse().unwrap()).unwrap(), None);
    assert!(case.out(spool::name(seq)).exists());
    assert_eq!(case.receive().0, ["reply: late"]);
}

#[test]
fn messages_are_dropped_unread() {
    let mut case = Case::new();
    let message = task("no");
    case.queue.send(&message).unwrap();
    case.say(&reply("unread", MessageId::derived("x"), &[]));
    assert!(
        matches!(case.queue.drop_message("1".parse().unwrap()), Err(WorkerError::NoMessage { .. })),
        "there are two of that number"
    );
    case.queue.drop_message("in/1".parse().unwrap()).unwrap();
    case.queue.drop_message("out/1".parse().unwrap()).unwrap();
    assert!(case.tasks().is_empty() && case.receive().0.is_empty());
    assert!(matches!(case.queue.send(&message).unwrap(), Sent::New { .. }), "it may be sent again");
}

#[test]
fn a_full_queue_takes_no_more_tasks() {
    let case = Case::new();
    let inward = case.folder().join("in");
    for seq in 100..100 + spool::FILES_MAX as u64 {
        fs_err::write(inward.join(spool::name(seq)), "").unwrap();
    }
    let error = case.queue.send(&task("one more")).unwrap_err();
    assert!(matches!(&error, WorkerError::Full { count, .. } if *count == spool::FILES_MAX), "{error}");
    assert_eq!(error.kind(), Kind::Refused);
    fs_err::remove_file(inward.join(spool::name(100))).unwrap();
    case.queue.send(&task("one more")).unwrap();
    for seq in 101..164 {
        fs_err::File::create(inward.join(spool::name(seq))).unwrap().set_len(1 << 21).unwrap();
    }
    fs_err::remove_file(inward.join(spool::name(200))).unwrap();
    assert!(matches!(case.queue.send(&task("by bytes")), Err(WorkerError::Full { .. })));
}

fn schedule(name: &str, at: Option<u64>, every: Option<u64>) -> Message {
    let schedule = Schedule { name: name.into(), text: format!("do {name}"), at, every };
    Message::new(Content::Schedule(schedule)).unwrap()
}

#[test]
fn schedules_are_kept_and_sent_when_they_are_due() {
    let mut case = Case::new();
    let now = now_ms() / 1000;
    case.say(&schedule("once", Some(now - 1), None));
    case.say(&schedule("hourly", None, Some(3600)));
    case.say(&schedule("never", Some(now + 9999), None));
    case.say(&Message::new(Content::Unschedule(Unschedule { name: "never".into() })).unwrap());
    let attendant = || Attendant { queue: case.queue.clone(), looked: None, due: None };
    attendant().step().unwrap();
    let words =
        |case: &Case| -> Vec<Content> { case.tasks().into_iter().map(|(_, one)| one.content).collect() };
    assert_eq!(words(&case), [Content::Task(text("do once"))]);
    let kept = case.queue.list().unwrap().schedules;
    assert_eq!(kept.len(), 1);
    assert!((now + 3600..now + 3660).contains(&kept[0].next), "{kept:?}");
    // Later, in another process; and a third that was killed before it wrote that it had sent it.
    let before = fs_err::read(case.folder().join("state")).unwrap();
    case.queue.open().unwrap().send_due(kept[0].next).unwrap();
    let once = case.tasks();
    assert_eq!(once.len(), 2);
    case.queue.open().unwrap().send_due(kept[0].next).unwrap();
    assert_eq!(case.tasks().len(), 2, "it is due in an hour again");
    fs_err::write(case.folder().join("state"), before).unwrap();
    let mut open = case.queue.open().unwrap();
    open.state.next = 100;
    open.send_due(kept[0].next).unwrap();
    drop(open);
    let tasks = case.tasks();
    assert_eq!(tasks[2].1.id, tasks[1].1.id, "the worker does it once");
    assert!(case.receive().0.is_empty(), "they are for the host");
    case.clean();
    case.receive();
    assert!(case.spool("out").list(&[]).unwrap().messages.is_empty(), "and acknowledged");
}

#[test]
fn too_many_or_too_large_schedules_are_put_aside() {
    let mut case = Case::new();
    for number in 0..=64 {
        case.say(&schedule(&number.to_string(), None, Some(60)));
    }
    let large = Schedule { name: "l".into(), text: "x".repeat(20_000), at: Some(1), every: None };
    case.say(&Message::new(Content::Schedule(large)).unwrap());
    let listed = case.queue.list().unwrap();
    assert_eq!((listed.schedules.len(), listed.dead.len()), (64, 2), "{:?}", listed.dead);
}

#[test]
fn an_attendant_settles_while_it_runs_and_ends_when_asked() {
    let mut case = Case::new();
    let message = task("x");
    case.queue.send(&message).unwrap();
    let (stop, ask) = rustix::pipe::pipe().unwrap();
    let folder = case.folder();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| attend(&folder, "w1", stop.as_fd()));
        std::thread::sleep(Duration::from_millis(50));
        case.say(&reply("done", message.id, &[1]));
        while !case.tasks_are_gone() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(ask);
    });
    assert_eq!(case.receive().0, ["reply: done"], "for somebody to receive");
}

impl Case {
    fn tasks_are_gone(&self) -> bool {
        self.spool("in").list(&[]).unwrap().messages.is_empty()
    }
}

#[test]
fn a_reply_is_waited_for() {
    let mut case = Case::new();
    let message = task("x");
    case.queue.send(&message).unwrap();
    case.say(&reply("another's", MessageId::derived("x"), &[]));
    case.say(&Message::new(Content::Message(text("soon"))).unwrap().replying(message.id));
    let queue = case.queue.clone();
    let told = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut told = Vec::new();
            queue
                .wait(
                    message.id,
                    Duration::from_secs(20),
                    || true,
                    |waited| {
                        let (Waited::Meanwhile(one) | Waited::End(one)) = &waited;
                        told.push(one.content["text"].as_str().unwrap().to_owned());
                        true
                    },
                )
                .unwrap();
            told
        });
        std::thread::sleep(Duration::from_millis(100));
        case.say(&reply("done", message.id, &[1]));
        waiting.join().unwrap()
    });
    assert_eq!(told, ["soon", "done"]);
    assert_eq!(case.receive().0, ["reply: another's"], "what is not his stays");
    let wait = |lives: bool| {
        case.queue.wait(MessageId::derived("y"), Duration::from_millis(20), || lives, |_| true).unwrap_err()
    };
    assert!(matches!(wait(true), WorkerError::Late { .. }));
    assert!(matches!(wait(false), WorkerError::NotRunning(_)));
}

#[test]
fn a_question_ends_the_wait_and_is_answered() {
    let mut case = Case::new();
    let message = task("x");
    case.queue.send(&message).unwrap();
    let ask =
        Message::new(Content::Ask(Ask { question: "which?".into(), choices: vec!["a".into()] })).unwrap();
    case.say(&ask.clone().replying(message.id).acknowledging(vec![1]));
    let mut ended = false;
    let tell = |waited: Waited| {
        ended = matches!(waited, Waited::End(_));
        true
    };
    case.queue.wait(message.id, Duration::from_secs(9), || true, tell).unwrap();
    assert!(ended);
    let answer = Message::new(Content::Answer(text("a"))).unwrap().replying(ask.id);
    case.queue.send(&answer).unwrap();
    assert_eq!(case.tasks()[0].1, answer);
}

/// Everything is there under the new key, and nothing under the old one.
#[test]
fn another_key_opens_all_that_waits() {
    let mut case = Case::new();
    let message = task("x");
    case.queue.send(&message).unwrap();
    case.queue.send(&task("fails")).unwrap();
    case.say(&reply("unread", MessageId::derived("x"), &[]));
    let failure = Failure { code: "500".into(), message: "no".into(), retried: None };
    case.say(&Message::new(Content::Error(failure)).unwrap().acknowledging(vec![2]));
    let state = case.seal(3, Direction::State, b"the worker's");
    fs_err::write(case.out("state"), state).unwrap();
    let old = case.key();
    let held = case.sandboxes.hold("w1").unwrap().unwrap();
    assert!(matches!(case.queue.rekey(&case.sandboxes), Err(WorkerError::Running(_))), "while it runs");
    drop(held);
    let rekeyed = case.queue.rekey(&case.sandboxes).unwrap();
    assert_eq!(rekeyed, Rekeyed { messages: 3, letters: 1 });
    assert_ne!(old.expose(), case.key().expose());
    assert_eq!(case.tasks()[0].1, message);
    let id = SandboxId::new("w1").unwrap();
    let worker = |key: &SessionKey| {
        format::open(key, &id, Direction::State, None, fs_err::read(case.out("state")).unwrap())
    };
    assert_eq!(worker(&case.key()).unwrap().1, b"the worker's");
    assert!(worker(&old).is_err());
    assert_eq!(case.receive().0, ["reply: unread", "error: "]);
    assert!(case.queue.requeue("dead/1".parse().unwrap()).unwrap().is_some());
    assert_eq!(case.queue.send(&message).unwrap(), Sent::Before { id: message.id }, "the host's state, too");
    assert!(!case.folder().with_extension("new").exists() && !case.folder().join("fresh").exists());
}

/// What is damaged is put aside with its reason, what is whole only where that is meant, and no reply is lost on the way.
#[test]
fn a_damaged_state_of_the_worker_is_put_aside() {
    let mut case = Case::new();
    let (done, waits) = (task("done"), task("waits"));
    case.queue.send(&done).unwrap();
    case.queue.send(&waits).unwrap();
    case.say(&reply("said", done.id, &[1]));
    let error = case.queue.heal(Healing::Any).unwrap_err();
    assert!(matches!(error, WorkerError::NoMessage { .. }), "there is none yet: {error}");
    let mut state = case.seal(3, Direction::State, b"the worker's");
    fs_err::write(case.out("state"), &state).unwrap();
    let error = case.queue.heal(Healing::Damaged).unwrap_err();
    assert!(matches!(error, WorkerError::Whole(_)) && case.out("state").exists(), "{error}");
    *state.last_mut().unwrap() ^= 1;
    fs_err::write(case.out("state"), &state).unwrap();
    let healed = case.queue.heal(Healing::Damaged).unwrap();
    assert_eq!((healed.letter, healed.waiting), (1, 1));
    assert!(healed.reason.as_deref().is_some_and(|why| why.contains("tag")), "{healed:?}");
    assert!(!case.out("state").exists());
    assert_eq!(fs_err::read(case.folder().join("dead").join(spool::name(1))).unwrap(), state, "it is kept");
    assert_eq!(case.dead()[0].name, "state");
    assert_eq!(case.tasks().len(), 1, "what has a reply is not done again");
    assert_eq!(case.receive().0, ["reply: said"]);
    fs_err::create_dir(case.out("state")).unwrap();
    assert_eq!(case.queue.heal(Healing::Damaged).unwrap().reason.as_deref(), Some("it is a directory"));
    fs_err::write(case.out("state"), case.seal(4, Direction::State, b"x")).unwrap();
    assert_eq!(case.queue.heal(Healing::Any).unwrap().reason, None);
}

#[test]
fn a_lost_state_gives_no_number_twice() {
    let case = Case::new();
    case.queue.send(&task("a")).unwrap();
    fs_err::write(case.folder().join("state"), "damaged").unwrap();
    assert!(matches!(case.queue.send(&task("b")).unwrap(), Sent::New { seq, .. } if seq > 1_000_000));
    assert_eq!(case.dead()[0].name, "state");
}

#[test]
fn a_key_that_is_none_is_an_error_that_says_so() {
    let case = Case::new();
    case.queue.send(&task("a")).unwrap();
    let key = case.folder().join("key");
    fs_err::write(&key, [0; 32]).unwrap();
    let error = case.queue.send(&task("b")).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity, "{error}");
    fs_err::remove_file(&key).unwrap();
    assert!(matches!(case.queue.send(&task("b")), Err(WorkerError::Key { .. })));
    let error = prepare(&case.sandboxes.directory().join("w1"), "w1").unwrap_err();
    assert!(matches!(error, WorkerError::Key { .. }), "no new key for what another has sealed: {error}");
    assert!(!key.exists());
    let other = case.sandboxes.directory().join("w2");
    fs_err::create_dir(&other).unwrap();
    assert!(matches!(Queue::of(&case.sandboxes, "w2"), Err(WorkerError::NoQueue(_))));
    assert_eq!(glance(&other, "w2"), None);
}

#[test]
fn at_a_glance_a_queue_has_depth_age_and_a_heartbeat() {
    let mut case = Case::new();
    let look = |case: &Case| glance(&case.sandboxes.directory().join("w1"), "w1").unwrap();
    assert_eq!(look(&case), Glance { waiting: 0, unread: 0, oldest: None, heartbeat: None, dead: 0 });
    case.queue.send(&task("a")).unwrap();
    case.queue.send(&task("b")).unwrap();
    case.say(&reply("c", MessageId::derived("x"), &[]));
    case.spool("out").touch("alive").unwrap();
    fs_err::write(case.out("junk"), "x").unwrap();
    let seen = look(&case);
    assert_eq!((seen.waiting, seen.unread), (2, 1));
    assert!(seen.oldest.is_some_and(|age| age < 60) && seen.heartbeat.is_some_and(|age| age < 60));
    case.receive();
    assert_eq!((look(&case).waiting, look(&case).unread), (2, 0), "what was received waits for nobody");
    assert_eq!(look(&case).dead, 1);
}
