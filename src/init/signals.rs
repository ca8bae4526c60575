//! Signals to ourselves. Nothing that the kernel or a terminal sends may end or stop PID 1 (P1, P8 to P10, P12).

#![expect(unsafe_code, reason = "system calls that no safe crate offers; only src/init may")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals as Caught;

use super::reaper::Reaper;
use crate::control::events::EventSender;
use crate::core::event::{Event, Signal as Meaning};

/// Signals that mean something to us.
const MEANINGFUL: [i32; 5] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1];

/// Ignored, not caught: a caught TTOU makes a write to a terminal fail and repeat for ever, an ignored one lets it
/// through (P9). A child gets them back as default (P11). Faults (SEGV, ABRT, ..) stay as they are.
const SWALLOWED: [Signal; 11] = [
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGPIPE,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGXFSZ,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// The thread needs little; the default of 2 MiB would be address space for nothing.
const STACK: usize = 256 * 1024;

/// Signal handlers that are in place. Signals that come before [`Signals::run`] are kept for it.
#[derive(Debug)]
pub struct Signals {
    caught: Caught,
    stop: Arc<AtomicBool>,
}

/// Puts the handlers in place. The first thing in `main`: before this, PID 1 loses a SIGTERM without a trace (P1).
///
/// # Errors
/// The kernel refused a handler. Nothing was started yet; the caller exits with 70.
pub fn install() -> io::Result<Signals> {
    let stop = Arc::new(AtomicBool::new(false));
    for number in [SIGTERM, SIGINT, SIGQUIT] {
        signal_hook::flag::register(number, Arc::clone(&stop))?;
    }
    let caught = Caught::new(MEANINGFUL)?;
    for number in SWALLOWED {
        // SAFETY: SIG_IGN runs no code in signal context, and nobody else in this process handles these signals.
        unsafe { signal(number, SigHandler::SigIgn) }?;
    }
    for number in libc::SIGRTMIN()..=libc::SIGRTMAX() {
        // SAFETY: as above; the range is what the C library leaves to programs. Their default would end us where we
        // are not PID 1 (P12).
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
    // Whoever started us may have blocked TERM: masks survive exec (P11, measured). Threads inherit this one.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(Signals { caught, stop })
}

impl Signals {
    /// A TERM, INT or QUIT came already: there is nothing to start (P1).
    pub fn pending_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Starts the thread that turns signals into events, and the reaper's. Both live as long as the process.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn run(self, events: EventSender, reaper: Reaper) -> io::Result<()> {
        reaper.start()?;
        let mut caught = self.caught;
        thread::Builder::new().name("signals".into()).stack_size(STACK).spawn(move || {
            for number in caught.forever() {
                if let Some(meaning) = meaning(number) {
                    events.send_blocking(Event::Signal(meaning));
                }
            }
        })?;
        Ok(())
    }
}

/// What a signal asks of the core. TERM twice is Stop twice; that this changes nothing is the core's business (P3).
fn meaning(number: i32) -> Option<Meaning> {
    match number {
        SIGTERM | SIGINT => Some(Meaning::Stop),
        SIGQUIT => Some(Meaning::Quit),
        SIGHUP => Some(Meaning::Reload),
        SIGUSR1 => Some(Meaning::Report),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_int_means_the_same_as_term() {
        assert_eq!(meaning(SIGINT), Some(Meaning::Stop));
        assert_eq!(meaning(SIGTERM), Some(Meaning::Stop));
    }

    #[test]
    fn p8_swallowed_signals_mean_nothing() {
        for number in SWALLOWED {
            assert_eq!(meaning(number as i32), None, "{number}");
            assert!(!MEANINGFUL.contains(&(number as i32)), "{number}");
        }
    }
}
