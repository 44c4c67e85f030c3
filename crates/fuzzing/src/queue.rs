//! Files of a sealed worker's queue.

use pinfold_queue::Direction;
use pinfold_queue::Message;
use pinfold_queue::SandboxId;
use pinfold_queue::SessionKey;
use pinfold_queue::format;

/// The key of the seeds.
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Any bytes as a file that a worker wrote, and as the body of one: refused, or what comes out goes in again as it was.
pub fn queue(bytes: &[u8]) {
    let (Some(key), Some(name)) = (SessionKey::from_bytes(KEY), SandboxId::new("w1")) else { return };
    for direction in [Direction::ToWorker, Direction::FromWorker, Direction::State] {
        if let Ok((header, body)) = format::open(&key, &name, direction, None, bytes.to_vec()) {
            assert_eq!(format::seal(&key, &name, &header, &body).ok().as_deref(), Some(bytes));
            message(direction, &body);
        }
        message(direction, bytes);
    }
}

fn message(direction: Direction, body: &[u8]) {
    if let Ok(message) = Message::parse(direction, body) {
        assert!(direction != Direction::State && body.len() <= format::BODY_MAX);
        // What is written may be longer than what was read, and then too long.
        if let Ok(again) = message.to_body() {
            assert_eq!(Message::parse(direction, &again).ok(), Some(message));
        }
    }
}
