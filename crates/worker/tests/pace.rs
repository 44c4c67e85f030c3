//! How fast and how small it is; numbers for a report with `PINFOLD_TEST_PACE=1`, loose bounds else, which only a mistake exceeds.
#![expect(clippy::unwrap_used, reason = "a test")]

mod host;

use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use host::Host;
use pinfold_queue::Content;
use pinfold_queue::Message;
use pinfold_queue::message::Text;

/// Bytes of memory that a process has of its own, and of the files it is made of, by `smaps_rollup`.
fn memory(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let kib = |field: &str| {
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    };
    (kib("Pss:"), kib("Rss:"))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "numbers for a report")]
fn messages_go_through_and_it_stays_small() {
    use std::io::Write as _;
    let report = std::env::var_os("PINFOLD_TEST_PACE").is_some();
    let count = if report { 2000 } else { 100 };
    let mut host = Host::new();
    let worker = host.start(&[], "anthropic", &[]);
    let mut times: Vec<Duration> = Vec::new();
    for number in 0..50 {
        let message = Message::new(Content::Task(Text { text: number.to_string() })).unwrap();
        let begun = Instant::now();
        host.put(&message);
        while !host.out().values().any(|said| host::ends(said, message.id)) {
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_micros(300));
        }
        times.push(begun.elapsed());
        host.receive();
    }
    times.sort();
    let middle = times[times.len() / 2];
    assert!(middle < Duration::from_secs(1), "{middle:?}");

    // Nothing of these is left, so that the rest can be counted.
    let begun = Instant::now();
    while !host.out().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        host.receive();
        std::thread::sleep(Duration::from_millis(5));
    }
    let begun = Instant::now();
    let files = |host: &Host| host.output.list(&["state", "alive"]).unwrap().count;
    for number in 0..count {
        host.task(&format!("task {number}"));
    }
    // Counted and not read: a host that opens each of them would be measured, too.
    while files(&host) < usize::try_from(count).unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(5));
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(3));
    let (pss, rss) = memory(worker.0.id());
    // A build for tests is larger than what is shipped.
    assert!(pss < 24 << 20, "{pss} bytes");
    if report {
        let _ = writeln!(
            std::io::stderr(),
            "send to reply: {middle:?} (middle of 50); {rate:.0} messages/s of {count} that waited; idle: {} KiB PSS, {} KiB RSS",
            pss >> 10,
            rss >> 10
        );
    }
    assert_eq!(worker.stop().0.code(), Some(0));
}
