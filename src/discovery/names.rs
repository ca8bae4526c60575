//! Host names and what they resolve to. Anew each round, never more than a few look-ups at a time, one a name (C6).

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

/// Look-ups in flight in the whole process: each holds a thread for as long as the resolver pleases.
static IN_FLIGHT: Semaphore = Semaphore::const_new(4);
/// Of these, the ones for names that somebody told us: a liar's slow names must not starve the configured ones.
static TOLD_IN_FLIGHT: Semaphore = Semaphore::const_new(2);
/// Names remembered; the one that was not asked for the longest goes first.
const NAMES_LIMIT: usize = 64;
/// Addresses taken from one answer.
const ADDRESSES_LIMIT: usize = 64;
/// While a look-up hangs, the last answer stands in for it for this long.
const REMEMBER: Duration = Duration::from_secs(30);

/// The look-up itself.
type LookUp = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;
/// `None`: the look-up failed.
type Answer = Option<Arc<[IpAddr]>>;

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The name stands in the settings.
    Configured,
    /// A Sentinel, a server or an elector told us the name.
    Told,
}

/// Resolves names and remembers the answers.
#[derive(Clone)]
pub struct Names {
    look_up: LookUp,
    table: Arc<Mutex<HashMap<String, Entry>>>,
}

struct Entry {
    answer: Option<(Instant, Answer)>,
    pending: Option<watch::Receiver<Option<Answer>>>,
    used: Instant,
}

enum Begun {
    Known(Answer),
    Pending(watch::Receiver<Option<Answer>>),
    Full,
}

impl Default for Names {
    fn default() -> Self {
        Names::with(Arc::new(|host| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
        }))
    }
}

impl Names {
    /// Names that are looked up by `look_up`.
    pub fn with(look_up: LookUp) -> Self {
        Names { look_up, table: Arc::default() }
    }

    /// The addresses of `host`, from an answer no older than `age`; `None` where the look-up failed, or hangs and
    /// nothing recent is remembered. An address resolves to itself.
    pub async fn resolve(&self, host: &str, source: Source, age: Duration, until: Instant) -> Answer {
        if let Some(ip) = literal(host) {
            return Some(Arc::from([ip]));
        }
        if !plausible(host) {
            return None;
        }
        let mut pending = match self.begin(host, source, age) {
            Begun::Known(answer) => return answer,
            Begun::Pending(pending) => pending,
            Begun::Full => return None,
        };
        match timeout_at(until, pending.wait_for(Option::is_some)).await {
            Ok(Ok(answer)) => answer.clone().flatten(),
            _ => self.remembered(host),
        }
    }

    /// One address of `host`: the lowest, so that every look at a name of many gives the same.
    pub async fn one(&self, host: &str, source: Source, age: Duration, until: Instant) -> Option<IpAddr> {
        self.resolve(host, source, age, until).await?.first().copied()
    }

    fn begin(&self, host: &str, source: Source, age: Duration) -> Begun {
        let now = Instant::now();
        let mut table = self.table();
        if let Some(entry) = table.get_mut(host) {
            entry.used = now;
            if let Some(pending) = &entry.pending {
                return Begun::Pending(pending.clone());
            }
            if let Some((at, answer)) = &entry.answer
                && now.duration_since(*at) < age
            {
                return Begun::Known(answer.clone());
            }
        } else if !make_room(&mut table) {
            return Begun::Full;
        }
        let (sender, receiver) = watch::channel(None);
        let entry = table.entry(host.to_owned()).or_insert(Entry { answer: None, pending: None, used: now });
        entry.pending = Some(receiver.clone());
        tokio::spawn(self.clone().run(host.to_owned(), source, sender));
        Begun::Pending(receiver)
    }

    async fn run(self, host: String, source: Source, done: watch::Sender<Option<Answer>>) {
        let found = {
            let _told = match source {
                Source::Told => TOLD_IN_FLIGHT.acquire().await.ok(),
                Source::Configured => None,
            };
            let _place = IN_FLIGHT.acquire().await;
            (self.look_up)(host.clone()).await
        };
        let answer = found.ok().map(canonical).filter(|found| !found.is_empty()).map(Arc::from);
        if let Some(entry) = self.table().get_mut(&host) {
            entry.pending = None;
            // A failed look-up replaces a good one: the next round must not take an old answer for a new one.
            entry.answer = Some((Instant::now(), answer.clone()));
        }
        let _nobody_waits = done.send(Some(answer));
    }

    fn remembered(&self, host: &str) -> Answer {
        let table = self.table();
        let (at, answer) = table.get(host)?.answer.as_ref()?;
        if at.elapsed() < REMEMBER { answer.clone() } else { None }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(table: &mut HashMap<String, Entry>) -> bool {
    if table.len() < NAMES_LIMIT {
        return true;
    }
    let idle = table.iter().filter(|(_, entry)| entry.pending.is_none()).min_by_key(|(_, entry)| entry.used);
    let Some(oldest) = idle.map(|(host, _)| host.clone()) else { return false };
    table.remove(&oldest).is_some()
}

fn canonical(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = found.into_iter().take(ADDRESSES_LIMIT).map(|ip| ip.to_canonical()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// An address, also as `[::1]`.
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Could this be a host name at all? Spares the resolver what a liar tells us.
fn plausible(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.len() <= 253 && !host.starts_with('.') && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(300)
    }

    fn counting(found: &'static [&'static str], delay: Duration) -> (Names, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let names = Names::with(Arc::new(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::time::sleep(delay).await;
                match found {
                    [] => Err(io::Error::other("no such name")),
                    found => Ok(found.iter().map(|ip| ip.parse().expect("an address")).collect()),
                }
            })
        }));
        (names, count)
    }

    #[tokio::test]
    async fn an_address_and_nonsense_ask_nobody() {
        let (names, count) = counting(&["10.0.0.1"], Duration::ZERO);
        let anew = Duration::ZERO;
        let one = names.one("[::ffff:10.0.0.9]", Source::Configured, anew, soon()).await;
        assert_eq!(one, Some("10.0.0.9".parse().expect("an address")));
        for host in ["", " ", "a b", "x\r\nSHUTDOWN", ".", "a/b", &"x".repeat(254)] {
            assert_eq!(names.resolve(host, Source::Told, anew, soon()).await, None, "{host:?}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn every_address_of_a_headless_name_once_and_in_order() {
        let (names, _) = counting(&["10.0.0.3", "::ffff:10.0.0.1", "10.0.0.3"], Duration::ZERO);
        let found = names.resolve("redis.default", Source::Configured, Duration::ZERO, soon()).await.expect("found");
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1", "10.0.0.3"]);
    }

    #[tokio::test]
    async fn one_look_up_a_name_whoever_waits() {
        let (names, count) = counting(&["10.0.0.1"], Duration::from_millis(50));
        let ask = || names.resolve("a", Source::Configured, Duration::ZERO, soon());
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert!(a.is_some() && a == b && b == c);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        names.resolve("a", Source::Told, Duration::from_secs(5), soon()).await.expect("remembered");
        assert_eq!(count.load(Ordering::SeqCst), 1);
        ask().await.expect("anew");
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn e4_a_name_that_is_gone_is_no_answer_and_not_the_old_one() {
        let (names, _) = counting(&[], Duration::ZERO);
        names.table().insert(
            "gone".to_owned(),
            Entry {
                answer: Some((Instant::now(), Some(Arc::from(["10.0.0.1".parse().expect("an address")])))),
                pending: None,
                used: Instant::now(),
            },
        );
        assert_eq!(names.resolve("gone", Source::Configured, Duration::ZERO, soon()).await, None);
        assert_eq!(names.resolve("gone", Source::Told, Duration::from_secs(1), soon()).await, None);
    }

    #[tokio::test]
    async fn a_silent_resolver_holds_nobody_up_and_the_last_answer_stands_in() {
        let (names, _) = counting(&["10.0.0.1"], Duration::from_secs(60));
        names.table().insert(
            "slow".to_owned(),
            Entry {
                answer: Some((Instant::now(), Some(Arc::from(["10.0.0.7".parse().expect("an address")])))),
                pending: None,
                used: Instant::now(),
            },
        );
        let started = Instant::now();
        assert!(names.resolve("slow", Source::Configured, Duration::ZERO, soon()).await.is_some());
        assert!(names.resolve("never-seen", Source::Configured, Duration::ZERO, soon()).await.is_none());
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn the_table_of_names_has_an_end() {
        let (names, _) = counting(&["10.0.0.1"], Duration::from_secs(60));
        for number in 0..3 * NAMES_LIMIT {
            let until = Instant::now();
            assert!(names.resolve(&format!("n{number}"), Source::Told, Duration::ZERO, until).await.is_none());
        }
        assert!(names.table().len() <= NAMES_LIMIT);
    }
}
