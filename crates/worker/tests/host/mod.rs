//! The host's side of a worker for tests: its folders, its key, its messages, and the program itself.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses a part, and may fail")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_queue::Content;
use pinfold_queue::Direction;
use pinfold_queue::Header;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::SandboxId;
use pinfold_queue::SessionKey;
use pinfold_queue::Spool;
use pinfold_queue::format;
use pinfold_queue::message::Text;
use pinfold_testkit::model::Model;

/// The sandbox's name.
pub(crate) const NAME: &str = "w1";

/// A host with one worker. Its folder is in memory, since keys are.
pub(crate) struct Host {
    scratch: tempfile::TempDir,
    pub(crate) key: SessionKey,
    pub(crate) input: Spool,
    pub(crate) output: Spool,
    pub(crate) model: Option<Model>,
    next: u64,
    /// Ids that were received.
    seen: BTreeSet<MessageId>,
    /// Acknowledgements that are there, with what they name.
    acks: Vec<(u64, Vec<u64>)>,
}

impl Host {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = scratch.path();
        for folder in ["queue/in", "queue/out", "run/model", "workspace", "memory", "shared"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        let open = |name: &str| Spool::open(&path.join("queue").join(name)).unwrap();
        let (input, output) = (open("in"), open("out"));
        let model = Some(Model::start(&path.join("run/model/r.sock")).unwrap());
        Self {
            key: SessionKey::generate().unwrap(),
            input,
            output,
            model,
            next: 1,
            seen: BTreeSet::new(),
            acks: Vec::new(),
            scratch,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Writes the key as process 1 does.
    pub(crate) fn hand_key(&self) {
        let path = self.path("run/session.key");
        let _ = fs::remove_file(&path);
        fs::write(&path, self.key.expose()).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    }

    /// The worker's command line.
    pub(crate) fn words(&self, provider: &str) -> Vec<String> {
        let path = |name: &str| self.path(name).to_string_lossy().into_owned();
        let words: [(&str, &str); 10] = [
            ("--id", NAME),
            ("--provider", provider),
            ("--model", "m"),
            ("--route", "r"),
            ("--queue", &path("queue")),
            ("--key", &path("run/session.key")),
            ("--run", &path("run")),
            ("--workspace", &path("workspace")),
            ("--memory", &path("memory")),
            ("--shared", &path("shared")),
        ];
        words.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]).collect()
    }

    /// Starts the worker, behind these words (a tracer, an emulator) where there are any.
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    pub(crate) fn start(&self, before: &[&str], provider: &str, more: &[&str]) -> Worker {
        self.hand_key();
        let program =
            std::env::var("PINFOLD_TEST_WORKER").unwrap_or(env!("CARGO_BIN_EXE_pinfold-worker").into());
        // An emulator and its program, for another machine's.
        let words: Vec<&str> = before.iter().copied().chain(program.split_whitespace()).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(self.words(provider)).args(more);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Worker(command.spawn().unwrap())
    }

    /// Seals a message and puts it into the queue.
    pub(crate) fn put(&mut self, message: &Message) -> u64 {
        let seq = self.next;
        self.next += 1;
        self.put_at(seq, message);
        seq
    }

    pub(crate) fn put_at(&mut self, seq: u64, message: &Message) {
        let file = self.sealed(Direction::ToWorker, seq, NAME, message);
        assert_eq!(self.input.publish(seq, &file).unwrap(), pinfold_queue::spool::Published::New);
    }

    pub(crate) fn sealed(&self, direction: Direction, seq: u64, name: &str, message: &Message) -> Vec<u8> {
        let header = Header::new(direction, seq, 0).unwrap();
        let body = message.to_body().unwrap();
        format::seal(&self.key, &SandboxId::new(name).unwrap(), &header, &body).unwrap()
    }

    pub(crate) fn task(&mut self, text: &str) -> MessageId {
        let message = Message::new(Content::Task(Text { text: text.into() })).unwrap();
        self.put(&message);
        message.id
    }

    /// What lies there from the worker, opened.
    pub(crate) fn out(&self) -> BTreeMap<u64, Message> {
        let id = SandboxId::new(NAME).unwrap();
        let mut found = BTreeMap::new();
        for seq in self.output.list(&["state", "alive"]).unwrap().messages {
            let Some(file) = self.output.read(seq, Direction::FromWorker.file_max()).unwrap() else {
                continue;
            };
            let (_, body) = format::open(&self.key, &id, Direction::FromWorker, Some(seq), file).unwrap();
            found.insert(seq, Message::parse(Direction::FromWorker, &body).unwrap());
        }
        found
    }

    /// Does what a host does with all that is there: removes what is acknowledged, acknowledges what is said, and gives what is new.
    pub(crate) fn receive(&mut self) -> Vec<Message> {
        let mut seqs = Vec::new();
        let mut said = Vec::new();
        for (seq, message) in self.out() {
            self.input.remove_all(message.acks.iter().copied()).unwrap();
            if message.content != Content::Ack {
                seqs.push(seq);
                if self.seen.insert(message.id) {
                    said.push(message);
                }
            }
        }
        // Our own acknowledgements are ours to remove, once what they name is gone.
        let there = self.out();
        let (gone, left) = std::mem::take(&mut self.acks)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, acks)| !acks.iter().any(|seq| there.contains_key(seq)));
        self.input.remove_all(gone.into_iter().map(|(seq, _)| seq)).unwrap();
        self.acks = left;
        seqs.retain(|seq| !self.acks.iter().any(|(_, acks)| acks.contains(seq)));
        if !seqs.is_empty() {
            let acks = seqs.clone();
            let seq = self.put(&Message::new(Content::Ack).unwrap().acknowledging(seqs));
            self.acks.push((seq, acks));
        }
        said
    }

    /// Receives until something holds of all that was said.
    pub(crate) fn until(&mut self, what: impl Fn(&[Message]) -> bool) -> Vec<Message> {
        let mut all: Vec<Message> = Vec::new();
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            all.extend(self.receive());
            if what(&all) {
                return all;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        panic!("this was said, and no more: {all:#?}");
    }

    /// The one answer to a task.
    pub(crate) fn reply(&mut self, to: MessageId) -> Content {
        let all = self.until(|all| all.iter().any(|message| ends(message, to)));
        all.into_iter().find(|message| ends(message, to)).unwrap().content
    }

    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

/// Whether a message is the end of a task.
pub(crate) fn ends(message: &Message, task: MessageId) -> bool {
    let last = matches!(message.content, Content::Reply(_) | Content::Error(_) | Content::ProbeResult(_));
    message.in_reply_to == Some(task) && last
}

pub(crate) fn text(content: &Content) -> &str {
    match content {
        Content::Reply(reply) => &reply.text,
        Content::Error(failure) => &failure.message,
        other => panic!("{other:?}"),
    }
}

/// A running worker; it ends with this.
pub(crate) struct Worker(pub(crate) Child);

impl Worker {
    /// Asks it to stop; how it ended, and what it said.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.ended()
    }

    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut said).unwrap();
        (self.0.wait().unwrap(), said)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
