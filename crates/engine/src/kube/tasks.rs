//! The texts of a job's tasks: a line each, or a line of JSON each.
//!
//! **Refuses** more tasks than a job of one volume carries, texts that no program can be given, and lines of JSON that are neither a text
//! nor `{"task": TEXT}`.

use std::path::Path;

use pinfold_base::Shown;
use pinfold_kube::objects::export::written;
use serde::Deserialize;

use super::error::KubeError;

/// Tasks at most: each pod mounts all of them.
const TASKS_MAX: usize = 10_000;
/// Bytes of the file at most.
pub(super) const FILE_MAX: u64 = 8 << 20;
/// Bytes of a text as it is written in an object that `kubectl apply` still takes.
const WRITTEN_MAX: usize = 240 << 10;
/// Bytes of a text: Linux gives a program no longer word than 128 KiB.
const TEXT_MAX: usize = 120 << 10;

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text(String),
    Task(Task),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    task: String,
}

/// The texts of a file; its name says whether they are JSON.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<String>, KubeError> {
    let wrong = |line: usize, problem: &str| KubeError::Tasks {
        file: file.to_owned(),
        line,
        problem: Shown::from(problem),
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        wrong(line, "it is not UTF-8")
    })?;
    let is_json = file.extension().is_some_and(|end| end == "jsonl" || end == "ndjson");
    let mut tasks = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let task = if is_json {
            match serde_json::from_str(line) {
                Ok(Line::Text(text) | Line::Task(Task { task: text })) => text,
                Err(_) => return Err(wrong(number, "it is neither a text in JSON nor `{\"task\": \"…\"}`")),
            }
        } else {
            line.to_owned()
        };
        if task.trim().is_empty() || task.contains('\0') {
            return Err(wrong(number, "there is no task in it, or a zero byte"));
        }
        if task.len() > TEXT_MAX {
            return Err(wrong(number, "it is longer than a program can be given, 120 KiB"));
        }
        if written(&task) > WRITTEN_MAX {
            return Err(wrong(
                number,
                "it is longer than 240 KiB when its control characters are written as objects have them",
            ));
        }
        if tasks.len() == TASKS_MAX {
            return Err(wrong(number, "there are more than 10,000 tasks: make several jobs of them"));
        }
        tasks.push(task);
    }
    if tasks.is_empty() {
        return Err(wrong(1, "there is no task in it"));
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Result<Vec<String>, String> {
        parse(Path::new(name), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_is_a_task() {
        assert_eq!(of("a.txt", "one\n\n {\"b\"} \n").unwrap(), ["one", " {\"b\"} "]);
        assert_eq!(of("a.jsonl", "\"one\\ntwo\"\n{\"task\":\"three\"}\n").unwrap(), ["one\ntwo", "three"]);
        for (name, text, told) in [
            ("a.txt", "\n \n", "line 1 of `a.txt`: there is no task"),
            ("a.jsonl", "\"a\"\n{\"tsak\":\"x\"}", "line 2 of `a.jsonl`: it is neither"),
            ("a.jsonl", "one", "line 1 of `a.jsonl`: it is neither"),
            ("a.jsonl", "\"\\u0000\"", "zero byte"),
            ("a.txt", &"x".repeat(TEXT_MAX + 1), "120 KiB"),
            ("a.txt", &"x\n".repeat(TASKS_MAX + 1), "line 10001"),
        ] {
            let error = of(name, text).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let error = parse(Path::new("a"), b"x\ny\xff").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("UTF-8"), "{error}");
    }
}
