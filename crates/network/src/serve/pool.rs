//! Threads for work that waits: resolving, dialling, and passing one request on. Started when needed, gone when idle.
//!
//! **Guarantees**: turns go round by owner: who has much work has at most `each` threads at once, and one who has little waits
//! behind one job of each other, not behind all of them. Threads, and jobs that wait for one, are bounded, for all and for each.

use std::collections::HashMap;
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

/// Jobs of one owner.
#[derive(Default)]
struct Owner {
    queue: VecDeque<Job>,
    running: usize,
}

#[derive(Default)]
struct State {
    owners: HashMap<u64, Owner>,
    /// Owners with jobs that wait, in the order of their turns.
    turns: VecDeque<u64>,
    queued: usize,
    threads: usize,
    idle: usize,
    stopped: bool,
}

impl State {
    /// The next job of the first owner who may have one more thread.
    fn next(&mut self, each: usize) -> Option<(u64, Job)> {
        let turn = self.turns.iter().position(|number| {
            self.owners.get(number).is_some_and(|owner| owner.running < each && !owner.queue.is_empty())
        })?;
        let number = self.turns.remove(turn)?;
        let owner = self.owners.get_mut(&number)?;
        let job = owner.queue.pop_front()?;
        owner.running += 1;
        self.queued -= 1;
        if !owner.queue.is_empty() {
            self.turns.push_back(number);
        }
        Some((number, job))
    }

    /// A job of the owner is over.
    fn done(&mut self, number: u64) {
        if let Some(owner) = self.owners.get_mut(&number) {
            owner.running = owner.running.saturating_sub(1);
            if owner.running == 0 && owner.queue.is_empty() {
                self.owners.remove(&number);
            }
        }
    }
}

/// How much a pool does at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Threads, for all and for one owner.
    pub(crate) threads: [usize; 2],
    /// Jobs that wait for one, of all and of one owner.
    pub(crate) waiting: [usize; 2],
}

/// At most so many threads, and at most so many jobs waiting for one.
pub(crate) struct Pool {
    name: &'static str,
    bounds: Bounds,
    state: Mutex<State>,
    work: Condvar,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(name: &'static str, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { name, bounds, state: Mutex::default(), work: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more job of `owner` would be taken.
    pub(crate) fn has_room(&self, owner: u64) -> bool {
        let state = self.lock();
        let own = state.owners.get(&owner).map_or(0, |owner| owner.queue.len());
        let Bounds { threads: [threads, _], waiting: [waiting, each_waiting] } = self.bounds;
        !state.stopped
            && own <= each_waiting
            && (state.threads < threads || state.queued < waiting + state.idle)
    }

    /// Hands a job to a thread, or lets it wait for one. A job that finds no room is dropped.
    pub(crate) fn submit(self: &Arc<Self>, owner: u64, job: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        let Bounds { threads: [threads, _], waiting: [waiting, _] } = self.bounds;
        if state.stopped || state.queued >= waiting + threads {
            return;
        }
        let own = state.owners.entry(owner).or_default();
        own.queue.push_back(Box::new(job));
        if own.queue.len() == 1 {
            state.turns.push_back(owner);
        }
        state.queued += 1;
        if state.idle > 0 {
            self.work.notify_one();
        }
        // Of those that wait some may be nobody's turn yet: then a thread too many looks and rests.
        if state.queued > state.idle && state.threads < threads {
            let pool = Arc::clone(self);
            let started =
                thread::Builder::new().name(self.name.into()).stack_size(STACK).spawn(move || pool.work());
            if started.is_ok() {
                state.threads += 1;
            } else if state.threads == 0 {
                // Nobody will ever take them: dropping jobs closes their connections.
                state.owners.clear();
                state.turns.clear();
                state.queued = 0;
            }
        }
    }

    /// Drops waiting jobs and lets threads end after the present one.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.turns.clear();
        state.owners.clear();
        state.queued = 0;
        self.work.notify_all();
    }

    fn work(self: Arc<Self>) {
        let mut leaving = Leaving { pool: &self, owner: None };
        let mut state = self.lock();
        loop {
            while let Some((owner, job)) = state.next(self.bounds.threads[1]) {
                drop(state);
                leaving.owner = Some(owner);
                job();
                leaving.owner = None;
                state = self.lock();
                state.done(owner);
            }
            if state.stopped {
                return;
            }
            state.idle += 1;
            let (woken, wait) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if wait.timed_out() && state.queued == 0 {
                return;
            }
        }
    }
}

/// Counts a thread out, also when its job panicked.
struct Leaving<'a> {
    pool: &'a Pool,
    owner: Option<u64>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // The guard of `work` may be held when its loop returns; it is dropped before this.
        let mut state = self.pool.lock();
        state.threads -= 1;
        if let Some(owner) = self.owner {
            state.done(owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_in_bounded_numbers() {
        let pool = Pool::new("test", Bounds { threads: [2; 2], waiting: [1; 2] });
        let (entered, entering) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        for _ in 0..2 {
            let (entered, gate) = (entered.clone(), Arc::clone(&gate));
            pool.submit(0, move || {
                entered.send(()).unwrap();
                drop(gate.lock());
            });
            entering.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert!(pool.has_room(0));
        let last = entered.clone();
        pool.submit(0, move || last.send(()).unwrap());
        assert!(!pool.has_room(0));
        assert!(entering.recv_timeout(Duration::from_millis(50)).is_err());
        drop(closed);
        entering.recv_timeout(Duration::from_secs(10)).unwrap();
        pool.stop();
        assert!(!pool.has_room(0));
    }

    #[test]
    fn a_job_that_panics_does_not_take_a_place_for_ever() {
        let pool = Pool::new("test", Bounds { threads: [1; 2], waiting: [4; 2] });
        pool.submit(0, || panic!("on purpose"));
        let (done, waiting) = mpsc::channel();
        for _ in 0..200 {
            let done = done.clone();
            pool.submit(0, move || done.send(()).unwrap_or_default());
            if waiting.recv_timeout(Duration::from_millis(50)).is_ok() {
                return;
            }
        }
        panic!("no thread took the job");
    }

    /// Runs ten long jobs of owner 1 and then a short one of owner 2, with four threads: whether the short one gets its turn.
    fn the_other_has_a_turn(each: usize) -> bool {
        let pool = Pool::new("test", Bounds { threads: [4, each], waiting: [64; 2] });
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let (entered, entering) = mpsc::channel();
        for _ in 0..10 {
            let (entered, gate) = (entered.clone(), Arc::clone(&gate));
            pool.submit(1, move || {
                entered.send(()).unwrap_or_default();
                drop(gate.lock());
            });
        }
        (0..each).for_each(|_| entering.recv_timeout(Duration::from_secs(10)).unwrap());
        let (done, waiting) = mpsc::channel();
        pool.submit(2, move || done.send(()).unwrap_or_default());
        let served = waiting.recv_timeout(Duration::from_millis(500)).is_ok();
        drop(closed);
        pool.stop();
        served
    }

    #[test]
    fn one_owner_cannot_take_all_threads() {
        assert!(the_other_has_a_turn(3));
        // Negative control: who may have all of them takes all of them.
        assert!(!the_other_has_a_turn(4));
    }

    #[test]
    fn an_owners_queue_is_its_own() {
        let pool = Pool::new("test", Bounds { threads: [1; 2], waiting: [64, 1] });
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let (entered, entering) = mpsc::channel();
        for number in 0..3 {
            assert!(pool.has_room(1), "{number}");
            let (entered, gate) = (entered.clone(), Arc::clone(&gate));
            pool.submit(1, move || {
                entered.send(()).unwrap_or_default();
                drop(gate.lock());
            });
            if number == 0 {
                entering.recv_timeout(Duration::from_secs(10)).unwrap();
            }
        }
        // One runs, two wait.
        assert!(!pool.has_room(1) && pool.has_room(2));
        drop(closed);
        pool.stop();
    }
}
