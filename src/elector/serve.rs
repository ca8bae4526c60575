//! `redinit elector`: a side-car with the old leader-elector's contract, and a lease behind it.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::beside::{ASK_EVERY, Beside};
use super::campaign::Campaign;
use super::candidate::Candidate;
use super::client::{plain_client, run as new_run, sort};
use super::file::FileLock;
use super::lock::{self, Lock, LockError};

/// How long the end of the process waits for the lease to be released.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);
/// The supervisor beside us, in the same pod.
const SUPERVISOR: &str = "http://127.0.0.1:8379/livez";
/// A configuration that cannot work.
const EX_CONFIG: u8 = 78;
/// Our own fault, or the machine's.
const EX_SOFTWARE: u8 = 70;

/// What `redinit elector` was told, also under the name `server`.
#[derive(Clone, Debug)]
pub struct Args {
    /// Name of the election.
    pub election: String,
    /// Address to answer at.
    pub http: SocketAddr,
    /// Who we are: an address, or a name that others can resolve.
    pub id: String,
    /// Where the lease is kept: `kubernetes` or `file:PATH`.
    pub lock: String,
    /// `/livez` of the supervisor that we stand for, or `none`.
    pub beside: String,
}

impl Args {
    /// An elector beside the supervisor in its own pod.
    pub fn new(election: String, http: SocketAddr, id: String, lock: String) -> Self {
        Args { election, http, id, lock, beside: SUPERVISOR.to_owned() }
    }
}

/// Why the elector could not start or go on.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("--lock {0}: expected `kubernetes` or `file:PATH` with an absolute path")]
    Lock(String),
    #[error("--id must not be empty")]
    NoId,
    #[error("--beside {0}: expected `none` or a URL like {SUPERVISOR}")]
    Beside(String),
    #[error("--lock: {0}")]
    Unusable(#[from] LockError),
    #[error("--http {address}: cannot listen there: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot start: {0}")]
    Internal(#[from] std::io::Error),
    #[error("cannot start: {0}")]
    Client(#[from] reqwest::Error),
}

/// Runs until SIGTERM or SIGINT; the exit status.
pub fn run(args: &Args) -> u8 {
    let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::from);
    let outcome = outcome.and_then(|runtime| {
        let outcome = runtime.block_on(stand(args));
        // A look-up that hangs must not hold up the end.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => 0,
        Err(trouble) => {
            let _nobody_reads = writeln!(std::io::stderr(), "redinit elector: {trouble}");
            match trouble {
                Trouble::Internal(_) | Trouble::Client(_) => EX_SOFTWARE,
                _ => EX_CONFIG,
            }
        }
    }
}

async fn stand(args: &Args) -> Result<(), Trouble> {
    let stop = stop_signal()?;
    if args.id.trim().is_empty() {
        return Err(Trouble::NoId);
    }
    let run = new_run();
    let lock = lock(args, &run)?;
    let listener = crate::api::listen::listen(args.http).and_then(TcpListener::from_std);
    let listener = listener.map_err(|source| Trouble::Listen { address: args.http, source })?;
    let beside = beside_url(&args.beside)?;
    let campaign = Campaign::new(&args.election, args.id.trim(), &run);
    let candidate = Arc::new(Candidate::start(lock, campaign, true)?);
    tracing::info!(
        event = "elector",
        election = args.election,
        id = args.id,
        http = %args.http,
        "standing for election"
    );
    tokio::select! {
        () = super::http::serve(listener, candidate.clone()) => {}
        outcome = watch(beside, &candidate) => outcome?,
        _ = stop.readable() => {}
    }
    candidate.release(RELEASE_LIMIT);
    Ok(())
}

/// Asks the supervisor beside us, and stands or does not.
async fn watch(url: Option<reqwest::Url>, candidate: &Candidate) -> Result<(), Trouble> {
    let Some(url) = url else { return std::future::pending().await };
    let client = plain_client(None)?;
    let mut beside = Beside::new(Instant::now());
    let mut standing = true;
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let answer = client.get(url.clone()).send().await.map(drop).map_err(|error| sort(&error));
        beside.heard(answer, Instant::now());
        let may = beside.may_stand(Instant::now());
        if may != standing {
            standing = may;
            let what = if may { "is back: standing again" } else { "is gone: not standing any more" };
            tracing::info!(event = "elector", "the supervisor at {url} {what}");
            candidate.stand(may);
        }
    }
}

fn beside_url(text: &str) -> Result<Option<reqwest::Url>, Trouble> {
    if text == "none" {
        return Ok(None);
    }
    let url = reqwest::Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    url.map(Some).ok_or_else(|| Trouble::Beside(text.to_owned()))
}

/// A lock that can never work is said now, not once a minute. An API server that is away may come back, and rights may be
/// granted after the pods run.
fn lock(args: &Args, run: &str) -> Result<Box<dyn Lock + Send>, Trouble> {
    if args.lock == "kubernetes" {
        return Ok(lock::kubernetes(&args.election)?);
    }
    let path = args.lock.strip_prefix("file:").map(Path::new).filter(|path| path.is_absolute());
    let path = path.ok_or_else(|| Trouble::Lock(args.lock.clone()))?;
    let mut lock = FileLock::new(path, run);
    lock.probe()?;
    lock.read()?;
    Ok(Box::new(lock))
}

/// A stream that becomes readable at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<StopSignal> {
    let (read, write) = UnixStream::pair()?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    read.set_nonblocking(true)?;
    Ok(StopSignal(tokio::net::UnixStream::from_std(read)?))
}

struct StopSignal(tokio::net::UnixStream);

impl StopSignal {
    async fn readable(&self) {
        let _broken_is_the_end_too = self.0.readable().await;
    }
}

#[cfg(test)]
mod tests;
