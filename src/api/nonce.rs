//! Nonces: they prove that a message was sent to this process, moments ago, and that it comes once.
//!
//! A message may lie in the socket of a frozen process for seconds; carried out then, it would depose a master that
//! went on (M29). So a nonce lives for 2 s of this process's clock, which goes on while the process is frozen.
//! A nonce carries its own age under a tag, so that handing them out costs no memory however many are asked for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::key::{digest, hex, padded, same, unhex};

/// How long a message may be under way.
pub const LIFETIME: Duration = Duration::from_secs(2);

/// How many used ones are remembered; only those of the last [`LIFETIME`] are, and only of messages that were
/// accepted so far. A full memory refuses.
const USED: usize = 4096;

/// Why a nonce does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Not ours, too old, or used before.
    Void,
    /// More messages than we remember.
    TooMany,
}

/// Hands out nonces and takes them back, each once.
#[derive(Debug)]
pub struct Nonces {
    secret: [u8; 64],
    start: Instant,
    count: AtomicU64,
    used: Mutex<HashMap<u64, u64>>,
}

impl Nonces {
    /// With a secret of its own: nonces of an earlier process do not count.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Nonces {
            secret: padded(secret),
            start: Instant::now(),
            count: AtomicU64::new(0),
            used: Mutex::new(HashMap::new()),
        })
    }

    /// A fresh one.
    pub fn issue(&self) -> String {
        let at = self.now().to_be_bytes();
        let number = self.count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let tag = digest(&self.secret, &[&at, &number]);
        hex(&[at.as_slice(), &number, &tag].concat())
    }

    /// Takes one back: only ours, only once, only within [`LIFETIME`].
    pub fn take(&self, text: &str) -> Result<(), Stale> {
        let (at, number) = self.open(text).ok_or(Stale::Void)?;
        let now = self.now();
        let lifetime = millis(LIFETIME);
        if now.saturating_sub(at) > lifetime {
            return Err(Stale::Void);
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, at| now.saturating_sub(*at) <= lifetime);
        if used.contains_key(&number) {
            return Err(Stale::Void);
        }
        if used.len() >= USED {
            return Err(Stale::TooMany);
        }
        used.insert(number, at);
        Ok(())
    }

    fn open(&self, text: &str) -> Option<(u64, u64)> {
        let bytes: [u8; 48] = unhex(text)?;
        let (at, rest) = bytes.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let tag = <[u8; 32]>::try_from(rest).ok()?;
        let ours = digest(&self.secret, &[at, number]);
        same(ours, tag).then(|| (u64::from_be_bytes(*at), u64::from_be_bytes(*number)))
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_once_and_only_here() {
        let (here, there) = (Nonces::new().unwrap(), Nonces::new().unwrap());
        let nonce = here.issue();
        assert_eq!(there.take(&nonce), Err(Stale::Void));
        assert_eq!(here.take(&nonce), Ok(()));
        assert_eq!(here.take(&nonce), Err(Stale::Void), "a replay");
        let mut forged = here.issue();
        forged.replace_range(0..16, "ffffffffffffffff");
        assert_eq!(here.take(&forged), Err(Stale::Void));
        for garbage in ["", "zz", "00", &"0".repeat(96), &"0".repeat(1000)] {
            assert_eq!(here.take(garbage), Err(Stale::Void));
        }
    }

    #[test]
    fn m29_is_void_after_two_seconds() {
        let mut nonces = Nonces::new().unwrap();
        let nonce = nonces.issue();
        nonces.start = nonces.start.checked_sub(Duration::from_millis(2010)).unwrap();
        assert_eq!(nonces.take(&nonce), Err(Stale::Void));
    }

    #[test]
    fn remembers_a_bounded_number() {
        let nonces = Nonces::new().unwrap();
        for _ in 0..USED {
            assert_eq!(nonces.take(&nonces.issue()), Ok(()));
        }
        assert_eq!(nonces.take(&nonces.issue()), Err(Stale::TooMany));
    }
}
