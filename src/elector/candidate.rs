//! The thread that runs a campaign. Locks may block (a hung disk); whoever asks who leads never does.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::answer::GIVE_UP;
use super::campaign::{Campaign, Standing};
use super::lock::{Lock, LockError};

/// One line about a lock that cannot be used in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// Commands wait for a step, which may hang; more of them than this say nothing new.
const COMMANDS: usize = 8;

enum Command {
    Stand(bool),
    /// Let go, do not stand any more, and say so.
    Release(SyncSender<()>),
}

/// A running candidacy. Dropping it releases the lease in the background.
#[derive(Debug)]
pub struct Candidate {
    commands: SyncSender<Command>,
    view: Arc<Mutex<View>>,
}

#[derive(Debug, Default)]
struct View {
    standing: Option<Standing>,
    worked: Option<Instant>,
}

impl Candidate {
    /// Starts the thread. `stand`: as a candidate; else it watches only.
    pub fn start(lock: Box<dyn Lock + Send>, campaign: Campaign, stand: bool) -> std::io::Result<Self> {
        let (commands, inbox) = sync_channel(COMMANDS);
        let view = Arc::new(Mutex::new(View::default()));
        let runner = Runner { lock, campaign, stand, view: view.clone(), complained: None, told: None };
        std::thread::Builder::new().name("elector".to_owned()).spawn(move || runner.run(&inbox))?;
        Ok(Candidate { commands, view })
    }

    /// Who leads now, where that is known.
    pub fn leader(&self) -> Option<Standing> {
        let now = Instant::now();
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.standing.clone().filter(|standing| now < standing.until)
    }

    /// The lock could be used a moment ago.
    pub fn healthy(&self) -> bool {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.worked.is_some_and(|at| at.elapsed() < GIVE_UP)
    }

    /// From now on a candidate, or none any more: then a lease that is held is released.
    pub fn stand(&self, stand: bool) {
        let _full_or_ended = self.commands.try_send(Command::Stand(stand));
    }

    /// Releases the lease and ends the candidacy; waits for it no longer than `limit`.
    pub fn release(&self, limit: Duration) {
        let (done, released) = sync_channel(1);
        if self.commands.try_send(Command::Release(done)).is_ok() {
            let _in_time_or_not = released.recv_timeout(limit);
        }
    }
}

struct Runner {
    lock: Box<dyn Lock + Send>,
    campaign: Campaign,
    stand: bool,
    view: Arc<Mutex<View>>,
    complained: Option<Instant>,
    told: Option<String>,
}

impl Runner {
    fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            if !self.stand {
                self.withdraw();
            }
            let outcome = self.campaign.step(self.lock.as_mut(), &Instant::now, self.stand);
            self.publish(outcome);
            match inbox.recv_timeout(self.campaign.pause(Instant::now())) {
                Ok(Command::Stand(stand)) => self.stand = stand,
                Ok(Command::Release(done)) => {
                    self.stand = false;
                    self.withdraw();
                    let outcome = self.campaign.release(self.lock.as_mut());
                    self.publish(outcome);
                    let _nobody_waits = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left who could ask.
                Err(RecvTimeoutError::Disconnected) => {
                    let outcome = self.campaign.release(self.lock.as_mut());
                    return self.publish(outcome);
                }
            }
        }
    }

    /// We stop saying that we lead before we let go: another one may lead in the next instant, and we may be frozen.
    fn withdraw(&self) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.standing = view.standing.take().filter(|standing| !standing.own);
    }

    fn publish(&mut self, outcome: Result<(), LockError>) {
        let now = Instant::now();
        let standing = self.campaign.standing().cloned();
        let leader = standing.as_ref().filter(|standing| now < standing.until).map(|standing| standing.leader.clone());
        if leader != self.told {
            match &leader {
                Some(leader) => tracing::info!(event = "elected", leader, "the election's leader is {leader}"),
                None => tracing::info!(event = "elected", "the election has no leader now"),
            }
            self.told = leader;
        }
        let worked = match outcome {
            Ok(()) => Some(now),
            Err(error) => {
                self.complain(&error, now);
                None
            }
        };
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.standing = standing;
        view.worked = worked.or(view.worked);
    }

    fn complain(&mut self, error: &LockError, now: Instant) {
        if self.complained.is_none_or(|last| now.duration_since(last) >= COMPLAIN_EVERY) {
            self.complained = Some(now);
            tracing::warn!(event = "lock", "the election's lock: {error}");
        }
    }
}
