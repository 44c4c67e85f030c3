//! `send`, `recv`, `queue` and `ps` with queues, against a worker that is played by the test.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "these tests run the program, say what they skip, and may fail"
)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use pinfold_engine::worker::prepare;
use pinfold_queue::Content;
use pinfold_queue::Direction;
use pinfold_queue::Header;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::SandboxId;
use pinfold_queue::SessionKey;
use pinfold_queue::Spool;
use pinfold_queue::format;
use pinfold_queue::message::Failure;
use pinfold_queue::message::Reply;
use pinfold_queue::spool;
use pinfold_queue::spool::Published;
use serde_json::Value;

const ID: &str = "00112233445566778899aabbccddeeff";

/// A user with a sandbox `w1` that has a queue and does not run.
struct Machine {
    dir: tempfile::TempDir,
}

struct Told {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        Self {
            // Of one that was killed: as a shell says it.
            code: output.status.code().unwrap_or(137),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        fs_err::create_dir_all(machine.folder()).unwrap();
        prepare(&machine.folder(), "w1").unwrap();
        machine
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn folder(&self) -> PathBuf {
        self.home().join("data/sandboxes/w1")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).env("PINFOLD_HOME", self.home()).stdin(Stdio::null());
        command
    }

    fn pinfold(&self, words: &[&str]) -> Told {
        self.command(env!("CARGO_BIN_EXE_pinfold")).args(words).output().unwrap().into()
    }

    fn json(&self, words: &[&str]) -> Value {
        let told = self.pinfold(&[words, &["--json"]].concat());
        assert_eq!(told.code, 0, "{words:?}: {}{}", told.out, told.err);
        serde_json::from_str(&told.out).unwrap()
    }

    fn spool(&self, part: &str) -> Spool {
        Spool::open(&self.folder().join("queue").join(part)).unwrap()
    }

    fn key(&self) -> SessionKey {
        SessionKey::from_bytes(&fs_err::read(self.folder().join("queue/key")).unwrap()).unwrap()
    }

    /// The worker says something under this number.
    fn say(&self, seq: u64, message: &Message) {
        let header = Header::new(Direction::FromWorker, seq, 0).unwrap();
        let body = message.to_body().unwrap();
        let file = format::seal(&self.key(), &SandboxId::new("w1").unwrap(), &header, &body).unwrap();
        assert_eq!(self.spool("out").publish(seq, &file).unwrap(), Published::New);
    }

    /// A state of the worker's with this body.
    fn state(&self, body: &[u8]) -> Vec<u8> {
        let header = Header::new(Direction::State, 1, 0).unwrap();
        format::seal(&self.key(), &SandboxId::new("w1").unwrap(), &header, body).unwrap()
    }

    /// Tasks that wait for the worker, as it reads them.
    fn tasks(&self) -> Vec<Message> {
        let (spool, key) = (self.spool("in"), self.key());
        let open = |seq: u64| {
            let file = spool.read(seq, Direction::ToWorker.file_max()).unwrap().unwrap();
            let name = SandboxId::new("w1").unwrap();
            let (_, body) = format::open(&key, &name, Direction::ToWorker, Some(seq), file).unwrap();
            Message::parse(Direction::ToWorker, &body).unwrap()
        };
        let all = spool.list(&[]).unwrap().messages.into_iter().map(open);
        all.filter(|message| message.content != Content::Ack).collect()
    }
}

fn reply(words: &str) -> Message {
    let content = Content::Reply(Reply { text: words.into(), usage: None });
    Message::new(content).unwrap().replying(ID.parse().unwrap())
}

fn text_of(message: &Message) -> &str {
    match &message.content {
        Content::Task(text) | Content::Answer(text) => &text.text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_goes_out_and_a_reply_comes_in() {
    let machine = Machine::new();
    let told = machine.pinfold(&["send", "w1", "summarise README.md"]);
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let tasks = machine.tasks();
    assert_eq!(text_of(&tasks[0]), "summarise README.md");
    assert_eq!(told.out.trim().parse::<MessageId>().unwrap(), tasks[0].id);
    let told = machine.pinfold(&["recv", "w1"]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (1, "", "nothing to receive\n"));
    machine.say(1, &reply("one\n\x1b[2Jtwo"));
    let peeked = machine.pinfold(&["recv", "w1", "--peek"]);
    let told = machine.pinfold(&["recv", "w1"]);
    assert_eq!((told.code, &told.out), (0, &peeked.out));
    let (head, words) = told.out.split_once('\n').unwrap();
    assert!(head.starts_with(&format!("reply to {ID}, ")), "{head}");
    assert_eq!(words, "one\n\\x1b[2Jtwo\n\n", "nothing reaches the terminal but text");
    assert_eq!(machine.pinfold(&["recv", "w1"]).code, 1);
    machine.say(2, &reply("three"));
    machine.say(3, &reply("four"));
    let told = machine.pinfold(&["recv", "w1", "--json"]);
    let lines: Vec<Value> = told.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "an object a line");
    assert_eq!((&lines[1]["seq"], &lines[1]["content"]["text"]), (&3.into(), &"four".into()));
    assert_eq!(lines[1]["in-reply-to"], ID);
}

#[test]
fn text_comes_from_arguments_or_standard_input() {
    let machine = Machine::new();
    let send = |words: &[&str], input: &[u8]| -> Told {
        let mut child = machine
            .command(env!("CARGO_BIN_EXE_pinfold"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that refuses the words does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap().into()
    };
    assert_eq!(send(&["send", "w1", "-"], b"from a pipe\n").code, 0);
    assert_eq!(send(&["send", "w1"], b"as well").code, 0);
    let told = send(&["send", "w1", "-"], b"\xff");
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.err.contains("iconv -t UTF-8"), "{}", told.err);
    let told = send(&["send", "w1", "-"], &vec![b'x'; 2 << 20]);
    assert_eq!(told.code, 2, "{}", told.err);
    assert!(told.err.contains("too large"), "{}", told.err);
    let tasks = machine.tasks();
    assert_eq!(tasks.iter().map(text_of).collect::<Vec<_>>(), ["from a pipe\n", "as well"]);
}

#[test]
fn an_id_is_sent_once() {
    let machine = Machine::new();
    assert_eq!(machine.json(&["send", "w1", "--id", ID, "x"])["sent"], true);
    let again = machine.json(&["send", "w1", "--id", ID, "x"]);
    assert_eq!((&again["sent"], &again["id"]), (&false.into(), &ID.into()));
    assert_eq!(machine.tasks().len(), 1);
    machine.say(1, &reply("done").acknowledging(vec![1]));
    assert_eq!(machine.pinfold(&["recv", "w1"]).code, 0);
    let told = machine.pinfold(&["send", "w1", "--id", ID, "--wait=1", "x"]);
    assert_eq!(told.code, 1);
    assert!(
        told.err.contains("its reply was received") && told.err.contains("leave out `--id`"),
        "{}",
        told.err
    );
    assert_eq!(machine.pinfold(&["send", "w1", "--id", "no", "x"]).code, 2);
    assert!(machine.tasks().is_empty());
}

#[test]
fn a_reply_is_not_waited_for_where_nobody_runs() {
    let machine = Machine::new();
    let told = machine.pinfold(&["send", "w1", "--id", ID, "--wait", "x"]);
    assert_eq!(told.code, 1);
    assert!(told.err.contains("does not run; the message waits"), "{}", told.err);
    assert!(told.err.contains("`pinfold recv w1` then shows the reply"), "{}", told.err);
    assert_eq!(machine.tasks().len(), 1, "it was sent");
    machine.say(1, &reply("done").acknowledging(vec![1]));
    let told = machine.pinfold(&["send", "w1", "--id", ID, "--wait", "x"]);
    assert_eq!((told.code, told.out.as_str()), (0, "done\n"), "{}", told.err);
    assert_eq!(machine.pinfold(&["recv", "w1"]).code, 1, "it was received");
}

#[test]
fn a_provider_that_fails_is_an_error_with_a_hint() {
    let machine = Machine::new();
    machine.pinfold(&["send", "w1", "--id", ID, "x"]);
    let failure = Failure { code: "429".into(), message: "too many\nrequests".into(), retried: Some(5) };
    let error = Message::new(Content::Error(failure)).unwrap().replying(ID.parse().unwrap());
    machine.say(1, &error.acknowledging(vec![1]));
    let told = machine.pinfold(&["send", "w1", "--id", ID, "--wait", "x"]);
    assert_eq!((told.code, told.out.as_str()), (3, ""));
    assert!(
        told.err.contains("(429): too many\\nrequests") && told.err.contains("send it again later"),
        "{}",
        told.err
    );
    // Somebody holds the sandbox, as its supervisor does.
    let lock = fs_err::File::create(machine.folder().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let told = machine.pinfold(&["send", "w1", "--wait=1", "y"]);
    assert_eq!(told.code, 1);
    assert!(
        told.err.contains("has not replied in 1 s") && told.err.contains("`pinfold recv w1 --follow`"),
        "{}",
        told.err
    );
    let told = machine.pinfold(&["queue", "w1", "rekey"]);
    assert_eq!(told.code, 5, "{}", told.err);
    drop(lock);
    assert_eq!(machine.pinfold(&["queue", "w1", "rekey"]).code, 0);
}

#[test]
fn a_damaged_state_of_the_worker_is_healed() {
    let machine = Machine::new();
    machine.pinfold(&["send", "w1", "x"]);
    let told = machine.pinfold(&["queue", "w1", "heal"]);
    assert_eq!(told.code, 2, "there is none: {}", told.err);
    let state = machine.folder().join("queue/out/state");
    fs_err::write(&state, "PFQ1").unwrap();
    let told = machine.pinfold(&["queue", "w1", "heal"]);
    assert_eq!(told.code, 0, "{}", told.err);
    for words in ["dead/1", "it ends after 4 bytes", "the conversation", "1 messages wait"] {
        assert!(told.out.contains(words), "{}", told.out);
    }
    assert!(!state.exists());
    // One that opens stays, unless that is meant.
    fs_err::write(&state, machine.state(b"{}")).unwrap();
    let told = machine.pinfold(&["queue", "w1", "heal"]);
    assert!(told.code == 5 && told.err.contains("`pinfold queue w1 heal --force`"), "{}", told.err);
    assert_eq!(machine.pinfold(&["queue", "w1", "heal", "--force"]).code, 0);
    assert!(!state.exists());
}

#[test]
fn nothing_is_sent_without_words() {
    let machine = Machine::new();
    for words in ["", " \n"] {
        let told = machine.pinfold(&["send", "w1", words]);
        assert!(told.code == 2 && told.err.contains("the text is empty"), "{}", told.err);
    }
    assert_eq!(machine.json(&["queue", "w1"])["in"].as_array().unwrap().len(), 0);
}

#[test]
fn what_waits_is_shown_dropped_and_sent_again() {
    let machine = Machine::new();
    machine.pinfold(&["send", "w1", "--id", ID, "fails"]);
    machine.pinfold(&["send", "w1", "waits"]);
    let failure = Failure { code: "500".into(), message: "no".into(), retried: None };
    machine.say(1, &Message::new(Content::Error(failure)).unwrap().acknowledging(vec![1]));
    let listed = machine.json(&["queue", "w1"]);
    assert_eq!(listed["in"][0]["kind"], "task");
    assert_eq!(listed["out"][0]["kind"], "error");
    assert_eq!(listed["dead"][0]["reason"], "the worker failed (500): no");
    let told = machine.pinfold(&["queue", "w1", "ls"]);
    for words in ["in/2", "out/1", "dead/1", "the worker failed (500): no"] {
        assert!(told.out.contains(words), "{}", told.out);
    }
    assert!(machine.pinfold(&["queue", "w1", "show", "dead/1"]).out.contains("fails"));
    let again = machine.json(&["queue", "w1", "requeue", "dead/1"]);
    assert_ne!(again["id"], ID);
    assert_eq!(text_of(&machine.tasks()[1]), "fails");
    assert_eq!(machine.pinfold(&["queue", "w1", "drop", "in/2"]).code, 0);
    assert_eq!(machine.tasks().len(), 1);
    let told = machine.pinfold(&["queue", "w1", "drop", "in/2"]);
    assert_eq!(told.code, 2);
    assert!(told.err.contains("`pinfold queue w1` lists what is there"), "{}", told.err);
    assert_eq!(machine.pinfold(&["queue", "w1", "show", "in"]).code, 2);
    assert_eq!(machine.json(&["queue", "w1", "prune", "--older", "0s"])["pruned"], 0);
}

/// 4 for what is not sealed as it should be, 5 for what is nothing to be read, and what is good is printed all the same.
#[test]
fn what_is_put_aside_is_told_once_by_the_exit_code() {
    let machine = Machine::new();
    let out = machine.folder().join("queue/out");
    std::os::unix::fs::symlink("/etc/passwd", out.join(spool::name(1))).unwrap();
    machine.say(2, &reply("good"));
    let told = machine.pinfold(&["recv", "w1"]);
    assert_eq!(told.code, 5, "{}", told.err);
    assert!(told.out.contains("good") && told.err.contains("it is a link"), "{}", told.err);
    machine.say(3, &reply("flipped"));
    let path = out.join(spool::name(3));
    let mut file = fs_err::read(&path).unwrap();
    file[70] ^= 1;
    fs_err::write(&path, file).unwrap();
    let told = machine.pinfold(&["recv", "w1"]);
    assert_eq!(told.code, 4, "{}", told.err);
    assert!(told.err.contains("its tag does not match"), "{}", told.err);
    assert_eq!(machine.pinfold(&["recv", "w1"]).code, 1, "told once");
    assert_eq!(machine.pinfold(&["queue", "w1", "requeue", "dead/2"]).code, 4);
    assert_eq!(machine.json(&["queue", "w1", "prune", "--older", "0s"])["pruned"], 2);
}

#[test]
fn a_key_that_is_gone_is_told() {
    let machine = Machine::new();
    machine.pinfold(&["send", "w1", "x"]);
    fs_err::remove_file(machine.folder().join("queue/key")).unwrap();
    let told = machine.pinfold(&["send", "w1", "y"]);
    assert_eq!(told.code, 4);
    assert!(told.err.contains("it is gone") && told.err.contains("`pinfold rm`"), "{}", told.err);
    assert_eq!(machine.pinfold(&["rm", "w1"]).code, 0);
    assert!(!machine.folder().exists());
    let told = machine.pinfold(&["send", "w1", "y"]);
    assert_eq!(told.code, 2, "{}", told.err);
}

#[test]
fn ps_shows_depth_and_heartbeat_where_there_is_a_queue() {
    let machine = Machine::new();
    // As a sandbox that was prepared has it; without one it is a leftover.
    let columns = |machine: &Machine| machine.pinfold(&["ps"]).out.lines().next().unwrap().to_owned();
    machine.pinfold(&["send", "w1", "x"]);
    machine.spool("out").touch("alive").unwrap();
    assert!(columns(&machine).ends_with("IN/OUT  OLDEST  HEARTBEAT"), "{}", columns(&machine));
    let listed = machine.json(&["ps"]);
    assert_eq!((&listed[0]["name"], &listed[0]["queue"]["waiting"]), (&"w1".into(), &1.into()));
    assert!(listed[0]["queue"]["heartbeat"].as_u64().unwrap() < 60);
    fs_err::rename(machine.folder().join("queue"), machine.dir.path().join("moved")).unwrap();
    assert!(!columns(&machine).contains("HEARTBEAT"));
    assert!(machine.json(&["ps"])[0].get("queue").is_none());
    let told = machine.pinfold(&["recv", "w1"]);
    assert_eq!(told.code, 2);
    assert!(told.err.contains("has no queue") && told.err.contains("--preset sealed"), "{}", told.err);
}

/// What comes is printed as it comes; a reader who is gone has not received what came after.
#[test]
fn following_goes_on_until_nobody_reads() {
    let machine = Machine::new();
    let mut child = machine
        .command(env!("CARGO_BIN_EXE_pinfold"))
        .args(["recv", "w1", "--follow", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    for seq in 1..=3 {
        machine.say(seq, &reply(&seq.to_string()));
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["seq"], seq);
    }
    drop(lines);
    machine.say(4, &reply("4"));
    assert!(child.wait().unwrap().success());
    let told = machine.pinfold(&["recv", "w1", "--json"]);
    assert!(told.out.contains("\"seq\":4"), "{}{}", told.out, told.err);
}

/// The system calls after which a verb may be killed.
const STEPS: &[&str] = &["fsync", "renameat2,renameat,rename", "unlinkat,unlink", "flock", "write"];
/// More than a verb has of one.
const CALLS_MAX: usize = 80;

/// Kills a verb at each of its steps, `prepared` anew each time, and hands on what it printed until then.
fn killed_at_every_step(
    words: &[&str],
    prepare: impl Fn() -> Machine,
    check: impl Fn(&Machine, &Told, &str),
) {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skip: strace is not installed");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
        return;
    }
    let mut kills = 0;
    for calls in STEPS {
        for number in 1..=CALLS_MAX {
            let machine = prepare();
            let trace = machine.dir.path().join("trace");
            let mut command = machine.command("strace");
            command.args(["-f", "-qq", "-o"]).arg(&trace).args(["-e", &format!("trace={calls}")]);
            command.args(["-e", &format!("inject={calls}:signal=SIGKILL:when={number}")]);
            let told: Told = command.arg(env!("CARGO_BIN_EXE_pinfold")).args(words).output().unwrap().into();
            let is_killed = fs_err::read_to_string(&trace).unwrap().contains("killed by SIGKILL");
            check(&machine, &told, &format!("{calls} {number}"));
            if !is_killed {
                assert_eq!(told.code, 0, "{calls} {number}: {}", told.err);
                break;
            }
            kills += 1;
            assert!(number < CALLS_MAX, "{calls} has no end");
        }
    }
    assert!(kills > 5, "it was killed only {kills} times");
}

#[test]
fn a_sender_that_is_killed_anywhere_sends_once() {
    let check = |machine: &Machine, _: &Told, step: &str| {
        let told = machine.pinfold(&["send", "w1", "--id", ID, "x"]);
        assert_eq!(told.code, 0, "{step}: {}", told.err);
        assert_eq!(machine.tasks().len(), 1, "{step}");
    };
    killed_at_every_step(&["send", "w1", "--id", ID, "x"], Machine::new, check);
}

#[test]
fn a_receiver_that_is_killed_anywhere_loses_nothing() {
    let prepare = || {
        let machine = Machine::new();
        machine.pinfold(&["send", "w1", "--id", ID, "x"]);
        fs_err::write(machine.folder().join("queue/out").join(spool::name(1)), "PFQ1").unwrap();
        machine.say(2, &reply("done").acknowledging(vec![1]));
        machine
    };
    let check = |machine: &Machine, told: &Told, step: &str| {
        let again = machine.pinfold(&["recv", "w1", "--json"]);
        let all = told.out.clone() + &again.out;
        assert!(all.contains("\"done\""), "{step}: {all} {}", again.err);
        assert!(machine.tasks().is_empty(), "{step}");
        let dead = machine.json(&["queue", "w1"])["dead"].as_array().unwrap().len();
        assert_eq!(dead, 1, "{step}");
        let more = machine.pinfold(&["recv", "w1"]);
        assert_eq!((more.code, more.out.as_str()), (1, ""), "{step}: {}", more.err);
    };
    // It ends with 4, for the letter; `queue` does the same without.
    killed_at_every_step(&["queue", "w1", "ls"], prepare, check);
}

#[test]
fn a_change_of_the_key_that_is_killed_anywhere_leaves_one_whole_set() {
    let prepare = || {
        let machine = Machine::new();
        machine.pinfold(&["send", "w1", "--id", ID, "fails"]);
        machine.pinfold(&["send", "w1", "x"]);
        let failure = Failure { code: "500".into(), message: "no".into(), retried: None };
        machine.say(1, &Message::new(Content::Error(failure)).unwrap().acknowledging(vec![1]));
        machine.say(2, &reply("done"));
        machine
    };
    let check = |machine: &Machine, _: &Told, step: &str| {
        let listed = machine.json(&["queue", "w1"]);
        let count = |part: &str| listed[part].as_array().unwrap().len();
        assert_eq!((count("in"), count("out"), count("dead")), (1, 2, 1), "{step}: {listed}");
        assert_eq!(listed["in"][0]["kind"], "task", "{step}");
        assert!(!machine.folder().join("queue.new").exists(), "{step}");
        assert_eq!(text_of(&machine.tasks()[0]), "x", "{step}");
        assert_eq!(machine.json(&["send", "w1", "--id", ID, "fails"])["sent"], false, "{step}");
        let letter = format!("dead/{}", listed["dead"][0]["number"]);
        assert!(machine.json(&["queue", "w1", "requeue", &letter])["seq"].is_u64(), "{step}");
        assert!(machine.pinfold(&["recv", "w1"]).out.contains("done"), "{step}");
    };
    killed_at_every_step(&["queue", "w1", "rekey"], prepare, check);
}

/// On a disk that is full a message is sent whole or not at all, and what was printed is received again at worst.
#[test]
fn a_full_disk_loses_nothing() {
    let machine = Machine::new();
    let script = "set -e; mkdir small; mount -t tmpfs -o size=200k none small\n\
                  cp -a home/data small/; export PINFOLD_HOME=$PWD/small\n\
                  sent=0; while \"$PINFOLD\" send w1 \"task $sent\" >/dev/null 2>err; do sent=$((sent+1)); \
                  [ $sent -lt 300 ] || break; done\n\
                  echo \"$sent\"; cat err\n\
                  mount -o remount,size=8m small\n\
                  \"$PINFOLD\" queue w1 --json";
    let output = machine
        .command("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .env("PINFOLD", env!("CARGO_BIN_EXE_pinfold"))
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        failed => {
            eprintln!("skipped: no mount namespace can be had: {failed:?}");
            assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
            return;
        }
    };
    let told = String::from_utf8(output.stdout).unwrap();
    let (sent, rest) = told.split_once('\n').unwrap();
    let (error, listed) = rest.split_at(rest.find("\n{").unwrap());
    let sent: usize = sent.parse().unwrap();
    assert!(error.contains("No space left on device") && error.contains("the disk is full"), "{error}");
    let listed: Value = serde_json::from_str(listed).unwrap();
    let waiting = listed["in"].as_array().unwrap();
    assert!((1..300).contains(&sent), "{sent}");
    assert_eq!(waiting.len(), sent, "each that was said to be sent is there, and no other");
    assert!(waiting.iter().all(|one| one["kind"] == "task"), "{listed}");
}
