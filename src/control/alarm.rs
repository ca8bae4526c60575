//! The control loop's alarm, a timer of the kernel's. Of tokio's own timers, one that lies more than 64 ms ahead wakes
//! the thread twice: once in between, to be sorted anew. At some ten turns a second that was a tenth of the idle cost.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe::Receiver;

use super::clock::Clock;
use crate::core::moment::Moment;

/// A moment in the past rings at once; zero would switch the timer off.
const AT_ONCE: Duration = Duration::from_nanos(1);

/// Rings at one moment at a time.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    /// The same once more, as tokio's own: it reads like a pipe.
    rung: Receiver,
    clock: Clock,
    set: Option<Moment>,
}

impl Alarm {
    /// An alarm that is not set. Called within a runtime.
    pub fn new(clock: Clock) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let rung = Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Alarm { timer, rung, clock, set: None })
    }

    /// Waits for that moment. Given up, it stays set: the next wait until the same moment sets nothing.
    pub async fn ring(&mut self, at: Moment) {
        if self.wait(at).await.is_err() {
            // No kernel fails here; one that did must not make the loop spin.
            tokio::time::sleep(self.clock.until(at)).await;
        }
    }

    async fn wait(&mut self, at: Moment) -> io::Result<()> {
        if self.set != Some(at) {
            let wait = TimeSpec::from_duration(self.clock.until(at).max(AT_ONCE));
            self.timer.set(Expiration::OneShot(wait), TimerSetTimeFlags::empty())?;
            self.set = Some(at);
        }
        loop {
            self.rung.readable().await?;
            match self.rung.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                rung => {
                    self.set = None;
                    return rung.map(|_count| ());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn it_rings_at_its_moment_also_after_a_wait_that_was_given_up() {
        let clock = Clock::new();
        let mut alarm = Alarm::new(clock).expect("a timer");
        let soon = clock.now() + Duration::from_millis(80);
        for _ in 0..3 {
            timeout(Duration::from_millis(5), alarm.ring(soon)).await.expect_err("not yet");
        }
        alarm.ring(soon).await;
        assert!(clock.now() >= soon);
        let (later, sooner) = (clock.now() + Duration::from_secs(60), clock.now() + Duration::from_millis(20));
        timeout(Duration::from_millis(5), alarm.ring(later)).await.expect_err("not yet");
        alarm.ring(sooner).await;
        assert!(clock.now() >= sooner && clock.now() < later);
        timeout(Duration::from_secs(5), alarm.ring(Moment::ZERO)).await.expect("at once");
    }
}
