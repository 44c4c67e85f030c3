//! The rows, each on a stage of its own.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;

use crate::stage;
use crate::stage::Stage;
use crate::stage::until;

type Found = Result<(), String>;

type Row = fn() -> Found;

/// All of them.
pub(crate) const ROWS: &[(&str, Row)] = &[
    ("it_starts_where_nothing_but_the_proxy_is_reached", it_starts_where_nothing_but_the_proxy_is_reached),
    ("what_is_open_is_named_and_refused", what_is_open_is_named_and_refused),
    ("each_way_out_is_tried", each_way_out_is_tried),
    ("the_gateway_is_asked_and_silence_is_closed", the_gateway_is_asked_and_silence_is_closed),
    ("ways_by_ipv6_are_asked", ways_by_ipv6_are_asked),
    ("what_is_closed_in_time_is_waited_for", what_is_closed_in_time_is_waited_for),
    ("a_proxy_that_is_not_proved_is_refused", a_proxy_that_is_not_proved_is_refused),
    ("a_proxy_that_comes_in_time_is_waited_for", a_proxy_that_comes_in_time_is_waited_for),
    ("it_ends_as_the_program_does", it_ends_as_the_program_does),
    ("orphans_are_reaped", orphans_are_reaped),
    ("signals_reach_the_program", signals_reach_the_program),
    (
        "what_does_not_end_is_killed_before_the_kubelet_does",
        what_does_not_end_is_killed_before_the_kubelet_does,
    ),
    ("it_ends_at_once_while_it_proves", it_ends_at_once_while_it_proves),
    ("the_walls_hold", the_walls_hold),
    ("the_token_is_process_1_s_alone", the_token_is_process_1_s_alone),
    ("a_pod_of_a_job_has_its_task", a_pod_of_a_job_has_its_task),
    ("a_bad_task_is_refused", a_bad_task_is_refused),
    ("whoever_attaches_finds_the_program", whoever_attaches_finds_the_program),
    ("output_that_nobody_sees_is_bounded", output_that_nobody_sees_is_bounded),
    ("what_stands_is_measured_from_inside", what_stands_is_measured_from_inside),
];

/// In the row's own namespaces.
pub(crate) fn play(name: &str) -> i32 {
    let Some((_, row)) = ROWS.iter().find(|(known, _)| *known == name) else { return 2 };
    match row() {
        Ok(()) => 0,
        Err(text) => {
            println!("{text}");
            1
        }
    }
}

fn holds(is_so: bool, what: &str) -> Found {
    if is_so { Ok(()) } else { Err(what.to_owned()) }
}

fn it_starts_where_nothing_but_the_proxy_is_reached() -> Found {
    let mut stage = Stage::with_proxy();
    stage.program(&["asks", "3128"]);
    let said = stage.run();
    said.ended(0, &["the proxy answers, and nothing else"])
}

fn what_is_open_is_named_and_refused() -> Found {
    let mut stage = Stage::with_proxy();
    stage.task["probes"]["patience_seconds"] = json!(1);
    stage.program(&["say", "started"]);
    stage::open("1.1.1.1:443", Duration::MAX);
    let begun = Instant::now();
    let said = stage.run();
    said.ended(78, &["1.1.1.1:443 by TCP (listed in pod.json)", "NetworkPolicy"])?;
    holds(!said.output.contains("started"), "the program ran")?;
    holds(!said.errors.contains("8.8.8.8"), "what is closed was named")?;
    holds(begun.elapsed() >= Duration::from_secs(1), "there was no patience")?;
    // The control: it is only the proof that keeps it from starting.
    stage.without("network-proof");
    let said = stage.run();
    holds(said.output.contains("started"), &said.errors)
}

fn each_way_out_is_tried() -> Found {
    let mut stage = Stage::with_proxy();
    stage.variables.push(("KUBERNETES_SERVICE_HOST", "10.96.0.1".into()));
    stage.variables.push(("KUBERNETES_SERVICE_PORT", "6443".into()));
    stage::names("9.9.9.53:53");
    stage.run().ended(78, &["9.9.9.53:53 by DNS (a name server of /etc/resolv.conf)"])?;
    let mut stage = stage;
    fs::write("/run/resolv.conf", "nameserver 127.0.0.1\n").unwrap();
    stage::open("10.96.0.1:6443", Duration::MAX);
    stage.run().ended(78, &["10.96.0.1:6443 by TCP (the API server)"])?;
    // What is accepted is let be.
    stage.task["probes"]["accept"] = json!(["10.96.0.1:6443"]);
    stage.program(&["exit", "3"]);
    stage.run().ended(3, &["besides 1 accepted"])?;
    // A name server by TCP alone, at a listed address.
    stage::open("8.8.8.8:53", Duration::MAX);
    stage.run().ended(78, &["8.8.8.8:53 by TCP"])?;
    // What cannot be read whole says nothing.
    fs::write("/run/resolv.conf", vec![b'x'; 2 << 20]).unwrap();
    stage.run().ended(78, &["it cannot be proved", "/etc/resolv.conf"])
}

/// The node as most pods see it, and a policy that drops: whatever is sent that way is lost.
fn the_gateway_is_asked_and_silence_is_closed() -> Found {
    let mut stage = Stage::with_proxy();
    stage::route();
    stage.program(&["exit", "2"]);
    let begun = Instant::now();
    stage.run().ended(2, &["nothing else"])?;
    holds(begun.elapsed() >= Duration::from_secs(2), "nobody waited for an answer")?;
    stage::open("10.7.0.1:10250", Duration::MAX);
    stage.run().ended(78, &["10.7.0.1:10250 by TCP (the default gateway)"])
}

/// A node that is the way by IPv6, and the public network where the agents' policy forgot it.
fn ways_by_ipv6_are_asked() -> Found {
    let mut stage = Stage::with_proxy();
    if !stage::route6() {
        println!("no IPv6 in this kernel");
        return Ok(());
    }
    stage.program(&["exit", "6"]);
    stage.run().ended(6, &["nothing else"])?;
    stage::open("[fd00:7::1]:10250", Duration::MAX);
    stage::open("[2606:4700:4700::1111]:443", Duration::MAX);
    let both =
        ["[fd00:7::1]:10250 by TCP (the default gateway)", "[2606:4700:4700::1111]:443 by TCP (the public"];
    stage.run().ended(78, &both)?;
    stage.task["probes"]["accept"] = json!(["[fd00:7::1]:10250", "[2606:4700:4700::1111]:443"]);
    stage.run().ended(6, &["besides 2 accepted"])
}

fn what_is_closed_in_time_is_waited_for() -> Found {
    let mut stage = Stage::with_proxy();
    stage.task["probes"]["patience_seconds"] = json!(30);
    stage.program(&["exit", "5"]);
    stage::open("1.1.1.1:443", Duration::from_secs(2));
    stage.run().ended(5, &["reached besides the proxy, trying again", "1.1.1.1:443", "nothing else"])
}

fn a_proxy_that_is_not_proved_is_refused() -> Found {
    let mut stage = Stage::set();
    stage.program(&["say", "started"]);
    let none = stage.run();
    none.ended(78, &["the proxy is not proved to be there", "10.9.9.9:8443", "kubectl get networkpolicy"])?;
    stage.own_proxy([8; 32]);
    let unknown = stage.run();
    unknown.ended(78, &["the proxy is not proved to be there", "--secrets"])?;
    for said in [&none, &unknown] {
        holds(!said.output.contains("started"), "the program ran")?;
        holds(!said.errors.contains("0707"), "the token was told")?;
    }
    fs::write("/run/pinfold/token/token", "07").unwrap();
    stage.run().ended(78, &["is no token"])?;
    fs::remove_file("/run/pinfold/token/token").unwrap();
    stage.run().ended(78, &["cannot read `/run/pinfold/token/token`"])?;
    stage::restore_token();
    stage.strange_proxy();
    stage.run().ended(78, &["the proxy is not proved to be there", "certificate"])
}

fn a_proxy_that_comes_in_time_is_waited_for() -> Found {
    let mut stage = Stage::set();
    stage.task["probes"]["patience_seconds"] = json!(30);
    stage.program(&["exit", "4"]);
    let started = stage.start();
    std::thread::sleep(Duration::from_millis(1500));
    stage.own_proxy([7; 32]);
    started.end().ended(4, &["trying again for 30 s", "the proxy answers"])
}

fn it_ends_as_the_program_does() -> Found {
    let mut stage = Stage::with_proxy();
    for (words, code) in
        [(&["exit", "0"][..], 0), (&["exit", "7"], 7), (&["kill", "9"], 137), (&["kill", "15"], 143)]
    {
        stage.program(words);
        stage.run().ended(code, &[])?;
    }
    stage.task["program"] = json!(["no-such-program"]);
    stage.run().ended(126, &["cannot execute the program `no-such-program`"])?;
    stage.task["terminal"] = json!(true);
    stage.run().ended(126, &["cannot execute the program `no-such-program`"])?;
    stage.program(&["exit", "8"]);
    stage.run().ended(8, &[])
}

fn orphans_are_reaped() -> Found {
    let mut stage = Stage::with_proxy();
    stage.program(&["orphans"]);
    stage.run().ended(0, &[])
}

fn signals_reach_the_program() -> Found {
    let mut stage = Stage::with_proxy();
    for terminal in [false, true] {
        stage.task["terminal"] = json!(terminal);
        stage.program(&["obeys", "9"]);
        let _ = fs::remove_file("/run/work/ready");
        let started = stage.start();
        until("the program runs", || Path::new("/run/work/ready").exists().then_some(()));
        started.signal(Signal::TERM);
        started.end().ended(9, &[])?;
    }
    Ok(())
}

/// The kubelet's own patience is 30 seconds: whoever is killed by it has no exit code that says so.
fn what_does_not_end_is_killed_before_the_kubelet_does() -> Found {
    let mut stage = Stage::with_proxy();
    stage.program(&["deaf"]);
    let _ = fs::remove_file("/run/work/ready");
    let started = stage.start();
    until("the program runs", || Path::new("/run/work/ready").exists().then_some(()));
    let begun = Instant::now();
    started.signal(Signal::TERM);
    started.end().ended(137, &[])?;
    let took = begun.elapsed();
    holds((25..30).contains(&took.as_secs()), &format!("it took {took:?}"))
}

fn it_ends_at_once_while_it_proves() -> Found {
    let mut stage = Stage::with_proxy();
    stage.task["probes"]["patience_seconds"] = json!(600);
    stage.program(&["say", "started"]);
    stage::open("1.1.1.1:443", Duration::MAX);
    let started = stage.start();
    started.pid();
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    started.signal(Signal::TERM);
    let said = started.end();
    said.ended(143, &["asked to end"])?;
    holds(begun.elapsed() < Duration::from_secs(10) && !said.output.contains("started"), &said.errors)
}

/// Each wall with its control: without it the probe fails.
fn the_walls_hold() -> Found {
    let mut stage = Stage::with_proxy();
    for (guard, probe) in [
        ("seccomp", &["status", "Seccomp", "2"][..]),
        ("landlock", &["writes", "/run/other"]),
        ("dumpable-init", &["hidden"]),
    ] {
        if guard == "landlock" && no_landlock() {
            println!("no Landlock in this kernel");
            continue;
        }
        stage.program(probe);
        stage.run().ended(0, &[])?;
        stage.without(guard);
        if guard == "dumpable-init" {
            // The domain is a wall of its own here: nothing outside of it is looked into.
            stage.without("landlock");
        }
        let weakened = stage.run();
        holds(
            weakened.code == Some(1),
            &format!("without {guard} the probe found nothing: {}", weakened.errors),
        )?;
        fs::remove_file("/run/work/here").ok();
        stage.with_all();
    }
    for (name, wanted) in
        [("NoNewPrivs", "1"), ("CapEff", "0000000000000000"), ("CapAmb", "0000000000000000")]
    {
        stage.program(&["status", name, wanted]);
        stage.run().ended(0, &[])?;
    }
    Ok(())
}

fn no_landlock() -> bool {
    pinfold_sandbox::Probe::for_start().landlock_abi.is_none()
}

fn the_token_is_process_1_s_alone() -> Found {
    if no_landlock() {
        println!("no Landlock in this kernel");
        return Ok(());
    }
    let files = ["/run/pinfold/token/token", "/run/conf/pod/pod.json", "/run/conf/pod/ca.pem"];
    let mut stage = Stage::with_proxy();
    stage.program(&[&["refused"][..], &files].concat());
    let said = stage.run();
    said.ended(0, &[]).map_err(|error| format!("{error} {}", said.output))?;
    stage.without("landlock");
    let said = stage.run();
    holds(
        said.code == Some(1) && said.output.contains("token` can be read"),
        "without the domain it is not read",
    )
}

fn a_pod_of_a_job_has_its_task() -> Found {
    let mut stage = Stage::with_proxy();
    fs::create_dir("/run/conf/tasks").unwrap();
    fs::write("/run/conf/tasks/0", "first").unwrap();
    fs::write("/run/conf/tasks/1", "second\nof two").unwrap();
    fs::write("/run/conf/tasks/2", vec![b'x'; 200 << 10]).unwrap();
    fs::write("/run/conf/tasks/3", [0xff]).unwrap();
    stage.program(&["say", "-p", "do: {task}"]);
    let words = stage.task["program"].take();
    stage.task["program"] = json!([]);
    stage.task["tasks"] = json!({ "directory": "/run/conf/tasks", "words": words });
    stage.run().ended(78, &["JOB_COMPLETION_INDEX` is not set", "Indexed Job"])?;
    for (index, code, text) in [
        ("1", 0, "-p|do: second\nof two"),
        ("0", 0, "-p|do: first"),
        ("2", 78, "more than"),
        ("3", 78, "is no text"),
        ("4", 78, "No such file"),
        ("../pod/pod.json", 78, "no number"),
        ("", 78, "no number"),
    ] {
        stage.variables = vec![("JOB_COMPLETION_INDEX", index.into())];
        let said = stage.run();
        let told = if code == 0 { &said.output } else { &said.errors };
        holds(said.code == Some(code) && told.contains(text), &format!("{index}: {told}"))?;
    }
    Ok(())
}

fn a_bad_task_is_refused() -> Found {
    let stage = Stage::with_proxy();
    let refused = |bytes: &[u8], told: &[&str]| {
        fs::write("/run/conf/pod/bad.json", bytes).unwrap();
        let mut command = stage.command_of("/run/conf/pod/bad.json");
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_so = output.status.code() == Some(78) && told.iter().all(|text| errors.contains(text));
        holds(is_so, &format!("{:?}: {errors}", output.status))
    };
    let good = serde_json::to_vec(&stage.task).unwrap();
    refused(b"", &["bad.json` is no task that can be carried out"])?;
    refused(&good[1..], &["is no task"])?;
    refused(&[&good[..], b"x"].concat(), &["trailing characters"])?;
    refused(&vec![b' '; 300 << 10], &["cannot read"])?;
    let with = |pointer: &str, value: Value| {
        let mut task = stage.task.clone();
        *task.pointer_mut(pointer).unwrap() = value;
        serde_json::to_vec(&task).unwrap()
    };
    refused(&with("/version", json!(2)), &["version 2", "write the objects anew with `pinfold kube`"])?;
    refused(&with("/writable/0", json!("/run")), &["`writable[0]`", "process 1's alone"])?;
    refused(&with("/workspace", json!("/run/none")), &["the workspace, is no directory", "mount a volume"])?;
    refused(&with("/listens/0/at/port", json!(8443)), &[]).ok();
    let missing = stage.command_of("/run/conf/pod/none.json").output().unwrap();
    let errors = String::from_utf8_lossy(&missing.stderr).into_owned();
    holds(errors.contains("cannot read `/run/conf/pod/none.json`, the pod's task"), &errors)?;
    // Nobody could attach.
    let mut stage = stage;
    stage.task["terminal"] = json!(true);
    fs::remove_dir_all("/run/pinfold/run").unwrap();
    stage.run().ended(78, &["cannot listen on `/run/pinfold/run/", "mount an emptyDir"])
}

/// In gVisor, which has no Landlock and hides no process of the same user: all else is as it is elsewhere.
pub(crate) fn in_gvisor() -> i32 {
    let mut stage = Stage::on_loopback();
    stage.program(&["status", "Seccomp", "2"]);
    let filtered = stage.run().ended(0, &["no Landlock", "the proxy answers, and nothing else"]);
    stage.task["terminal"] = json!(true);
    stage.program(&["exit", "11"]);
    let ended = stage.run().ended(11, &[]);
    match filtered.and(ended) {
        Ok(()) => 0,
        Err(text) => {
            println!("{text}");
            1
        }
    }
}

/// A terminal of whoever attaches.
struct Screen {
    master: OwnedFd,
    seen: String,
}

impl Screen {
    /// Attaches, in the pod's namespaces as the kubelet's exec does.
    fn attach(pid: i32) -> (Self, std::process::Child) {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let child =
            inside(pid).arg("attach").stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        (Self { master, seen: String::new() }, child)
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    fn typed(&self, text: &str) {
        rustix::io::write(&self.master, text.as_bytes()).unwrap();
    }

    fn shows(&mut self, text: &str) {
        let file = self.master.try_clone().unwrap();
        rustix::io::ioctl_fionbio(&file, true).unwrap();
        let mut file = fs::File::from_parts(file.into(), "terminal");
        until(text, || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = file.read(&mut bytes) {
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
            let at = self.seen.find(text)? + text.len();
            self.seen.drain(..at);
            Some(())
        });
    }
}

/// This program beside process 1, as its user.
fn inside(pid: i32) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target".to_owned(), pid.to_string(), "--pid".into(), "--mount".into()]);
    let status = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    let own = fs::read_to_string("/proc/self/uid_map").unwrap();
    if status == own {
        command.args(["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--bounding-set=-all"]);
        command.arg("--no-new-privs");
    } else {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.arg(fs::read_link("/proc/self/exe").unwrap());
    command
}

fn whoever_attaches_finds_the_program() -> Found {
    let mut stage = Stage::with_proxy();
    stage.task["terminal"] = json!(true);
    stage.program(&["echo"]);
    let started = stage.start();
    until("the socket is there", || Path::new("/run/pinfold/run/attach.sock").exists().then_some(()));
    let (mut screen, mut first) = Screen::attach(started.pid());
    screen.shows("ready");
    screen.typed("hello\r");
    screen.shows("you said hello");
    screen.resize(33, 99);
    std::thread::sleep(Duration::from_millis(600));
    screen.typed("size\r");
    screen.shows("size (33, 99)");
    screen.typed("\x1c");
    holds(first.wait().unwrap().code() == Some(40), "it does not detach")?;
    // What went before is shown to the next, and the program has not noticed.
    let (mut again, mut second) = Screen::attach(started.pid());
    again.shows("you said hello");
    again.typed("still here\r");
    again.shows("you said still here");
    again.typed("bye\r");
    holds(second.wait().unwrap().code() == Some(6), "its end is not told")?;
    started.end().ended(6, &[])?;
    let late = Command::new(fs::read_link("/proc/self/exe").unwrap()).arg("attach").output().unwrap();
    let said = String::from_utf8_lossy(&late.stdout).into_owned();
    holds(late.status.code() == Some(42) && said.contains("no session to attach to"), &said)
}

fn output_that_nobody_sees_is_bounded() -> Found {
    let mut stage = Stage::with_proxy();
    stage.task["terminal"] = json!(true);
    stage.program(&["flood"]);
    let started = stage.start();
    until("it has said all", || Path::new("/run/work/flooded").exists().then_some(()));
    let kept: u64 = fs::read_dir("/run/pinfold/run")
        .unwrap()
        .flatten()
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum();
    let (mut screen, mut attached) = Screen::attach(started.pid());
    screen.shows("done");
    screen.typed("\x1c");
    attached.wait().unwrap();
    started.signal(Signal::KILL);
    let _ = started.end();
    holds(kept <= 3 << 20, &format!("{kept} bytes are kept"))
}

fn what_stands_is_measured_from_inside() -> Found {
    let mut stage = Stage::with_proxy();
    stage.program(&["waits"]);
    let started = stage.start();
    let pid = started.pid();
    until("the program runs", || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let child = children.split_whitespace().next()?.to_owned();
        let words = fs::read(format!("/proc/{child}/cmdline")).ok()?;
        String::from_utf8_lossy(&words).contains("waits").then_some(())
    });
    let verdicts = || {
        let mut command = inside(pid);
        let output = command.args(["verify", "/run/conf/pod/pod.json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let rows = report["rows"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| {
            let row = rows.iter().find(|row| row["name"] == name);
            row.map_or("none".into(), |row| format!("{} {}", row["verdict"].as_str().unwrap(), row["seen"]))
        };
        [
            "capabilities",
            "no-new-privileges",
            "program-filter",
            "token",
            "relay",
            "proxy",
            "egress",
            "process-1",
        ]
        .map(|name| (name, of(name)))
    };
    for (name, row) in verdicts() {
        // Here process 1 is this test, started as one.
        let wanted = if name == "process-1" { "fail" } else { "pass" };
        // unshare(1) leaves an ordinary user's bounding set as it is, and a new process beside it without the flag.
        let is_users = name == "capabilities" && !stage::is_root_of_all();
        if name == "token" && no_landlock() || name == "no-new-privileges" || is_users {
            continue;
        }
        holds(row.starts_with(wanted), &format!("{name}: {row}"))?;
    }
    stage::open("1.1.1.1:443", Duration::MAX);
    let egress = verdicts().into_iter().find(|(name, _)| *name == "egress").unwrap().1;
    holds(egress.starts_with("fail") && egress.contains("1.1.1.1:443"), &egress)?;
    started.signal(Signal::KILL);
    let _ = started.end();
    Ok(())
}
