//! The task of process 1 in a pod.

use pinfold_sandbox::pod::PodTask;

/// Any bytes as a `pod.json`: what is taken is written and read as the same, and nothing that the program may write to holds the token.
pub fn pod(bytes: &[u8]) {
    let Ok(task) = PodTask::parse(bytes) else { return };
    let written = serde_json::to_vec(&task).expect("a task is JSON");
    assert_eq!(PodTask::parse(&written).expect("what was taken once is taken again"), task);
    for path in &task.writable {
        assert!(!task.proxy.token.starts_with(path), "the token could be exchanged");
        assert!(path.is_absolute() && path.parent().is_some());
    }
}
