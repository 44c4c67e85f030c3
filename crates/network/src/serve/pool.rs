//! Threads for work that waits: resolving, dialling, and passing one request on. Started when needed, gone when idle.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

/// How long a thread waits for more work.
const IDLE: Duration = Duration::from_secs(10);
/// Address space of a thread's stack; only what is used takes memory.
const STACK: usize = 512 << 10;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

/// At most so many threads, and at most so many jobs waiting for one.
pub(crate) struct Pool {
    name: &'static str,
    threads: usize,
    waiting: usize,
    state: Mutex<State>,
    work: Condvar,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(name: &'static str, threads: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self { name, threads, waiting, state: Mutex::default(), work: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more job would be taken.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        !state.stopped && (state.threads < self.threads || state.queue.len() < self.waiting + state.idle)
    }

    /// Hands a job to a thread, or lets it wait for one. A job that finds no room is dropped.
    pub(crate) fn submit(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.stopped || state.queue.len() >= self.waiting + self.threads {
            return;
        }
        state.queue.push_back(Box::new(job));
        if state.queue.len() <= state.idle {
            self.work.notify_one();
        } else if state.threads < self.threads {
            let pool = Arc::clone(self);
            let started =
                thread::Builder::new().name(self.name.into()).stack_size(STACK).spawn(move || pool.work());
            if started.is_ok() {
                state.threads += 1;
            } else if state.threads == 0 {
                // Nobody will ever take it: dropping the job closes its connection.
                state.queue.pop_back();
            }
        }
    }

    /// Drops waiting jobs and lets threads end after the present one.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.queue.clear();
        self.work.notify_all();
    }

    fn work(self: Arc<Self>) {
        let _leaving = Leaving(&self);
        let mut state = self.lock();
        loop {
            while let Some(job) = state.queue.pop_front() {
                drop(state);
                job();
                state = self.lock();
            }
            if state.stopped {
                return;
            }
            state.idle += 1;
            let (woken, wait) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if wait.timed_out() && state.queue.is_empty() {
                return;
            }
        }
    }
}

/// Counts a thread out, also when its job panicked.
struct Leaving<'a>(&'a Pool);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // The guard of `work` may be held when its loop returns; it is dropped before this.
        self.0.lock().threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_in_bounded_numbers() {
        let pool = Pool::new("test", 2, 1);
        let (entered, entering) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        for _ in 0..2 {
            let (entered, gate) = (entered.clone(), Arc::clone(&gate));
            pool.submit(move || {
                entered.send(()).unwrap();
                drop(gate.lock());
            });
            entering.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert!(pool.has_room());
        let last = entered.clone();
        pool.submit(move || last.send(()).unwrap());
        assert!(!pool.has_room());
        assert!(entering.recv_timeout(Duration::from_millis(50)).is_err());
        drop(closed);
        entering.recv_timeout(Duration::from_secs(10)).unwrap();
        pool.stop();
        assert!(!pool.has_room());
    }

    #[test]
    fn a_job_that_panics_does_not_take_a_place_for_ever() {
        let pool = Pool::new("test", 1, 4);
        pool.submit(|| panic!("on purpose"));
        let (done, waiting) = mpsc::channel();
        for _ in 0..200 {
            let done = done.clone();
            pool.submit(move || done.send(()).unwrap_or_default());
            if waiting.recv_timeout(Duration::from_millis(50)).is_ok() {
                return;
            }
        }
        panic!("no thread took the job");
    }
}
