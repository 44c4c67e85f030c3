//! A line on loopback that is cut: it passes on what a client and a server say, up to a byte.
//!
//! ```text
//! let line = Line::start(server_port, Cut { way: Way::There, after: 1_000, how: How::Once });
//! client ─► 127.0.0.1:line.port() ─► server
//! ```
//!
//! Bytes are counted over all connections of a direction. The connection whose byte it is ends at once for both sides.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From client to server.
    There,
    /// From server to client.
    Back,
}

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The connection whose byte it is.
    Once,
    /// That one, and all that come after it.
    Ever,
    /// Nothing: bytes are only counted.
    Never,
}

/// Where a line is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// In which direction bytes are counted.
    pub way: Way,
    /// How many of them pass.
    pub after: usize,
    /// What is cut then.
    pub how: How,
}

#[derive(Debug, Default)]
struct Passed {
    bytes: usize,
    is_cut: bool,
}

/// A line to a server.
#[derive(Debug)]
pub struct Line {
    port: u16,
    passed: Arc<Mutex<Passed>>,
    stop: Arc<AtomicBool>,
}

impl Line {
    /// Lays a line to a port of loopback.
    ///
    /// # Panics
    /// When there is no loopback.
    pub fn start(to: u16, cut: Cut) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let (passed, stop) = (Arc::<Mutex<Passed>>::default(), Arc::<AtomicBool>::default());
        let (counted, stopped) = (passed.clone(), stop.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if cut.how == How::Ever && locked(&counted).is_cut {
                    continue;
                }
                // A side that is gone is its own matter.
                let _ = client.and_then(|client| join(&client, to, cut, &counted));
            }
        });
        Self { port, passed, stop }
    }

    /// Where clients go.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes have passed in the direction that is counted.
    pub fn bytes(&self) -> usize {
        locked(&self.passed).bytes
    }

    /// Whether it was cut.
    pub fn is_cut(&self) -> bool {
        locked(&self.passed).is_cut
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn locked(passed: &Mutex<Passed>) -> MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn join(client: &TcpStream, to: u16, cut: Cut, passed: &Arc<Mutex<Passed>>) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to))?;
    // Small pieces go on as they come.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to, way) in [(client, &server, Way::There), (&server, client, Way::Back)] {
        let (from, to, passed) = (from.try_clone()?, to.try_clone()?, passed.clone());
        std::thread::spawn(move || {
            let _ = pass(&from, &to, cut, (way == cut.way).then_some(&*passed));
            // What ends on one side ends on the other.
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}

/// Passes on what comes, and counts it where this is the direction that is counted.
fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    cut: Cut,
    counted: Option<&Mutex<Passed>>,
) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        let mut pass = n;
        if let Some(passed) = counted {
            let mut passed = locked(passed);
            if cut.how != How::Never && !passed.is_cut && passed.bytes + n > cut.after {
                pass = cut.after.saturating_sub(passed.bytes);
                passed.is_cut = true;
            } else if cut.how == How::Ever && passed.is_cut {
                return Ok(());
            }
            passed.bytes += pass;
        }
        to.write_all(&buffer[..pass])?;
        if pass < n {
            return Ok(());
        }
    }
}
