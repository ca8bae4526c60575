//! `redinit elector`, and the side-car that it replaces: `/server --election=NAME --http=ADDR --id=ID`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;

use super::{CliExit, ElectorArgs, Lock};

/// A leader elector with the side-car's HTTP contract
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Name of the election
    #[arg(long, value_name = "NAME", value_parser = election)]
    election: String,
    /// Where to serve `GET /` and `GET /health`
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:4040", value_parser = address)]
    http: SocketAddr,
    /// Our name in the election; the host name if not given
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<String>,
    /// Where the lease is: `kubernetes` or `file:PATH`
    #[arg(long, value_name = "LOCK", default_value = "kubernetes", value_parser = lock)]
    lock: Lock,
}

/// What the side-car takes besides; nothing of it means anything here.
#[derive(Debug, Parser)]
#[command(name = "server", disable_version_flag = true)]
struct SideCar {
    #[command(flatten)]
    flags: Flags,
    #[arg(long, hide = true)]
    election_namespace: Option<String>,
    #[arg(long, hide = true)]
    ttl: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    use_cluster_credentials: Option<Option<String>>,
    #[arg(long, hide = true)]
    initial_wait: Option<String>,
    /// `--id=$(hostname -i)` gives every address of a pod that has several; the first is its id.
    #[arg(hide = true)]
    more_addresses: Vec<IpAddr>,
}

impl From<Flags> for ElectorArgs {
    fn from(flags: Flags) -> Self {
        ElectorArgs { election: flags.election, http: flags.http, id: flags.id, lock: flags.lock }
    }
}

/// Called as `server`; Go's flags may have one dash.
pub fn side_car(words: &[String]) -> Result<ElectorArgs, CliExit> {
    let two_dashes = |word: &String| match word.strip_prefix('-') {
        Some(rest) if rest.len() > 1 && !rest.starts_with('-') => format!("--{rest}"),
        _ => word.clone(),
    };
    let words = ["server".to_owned()].into_iter().chain(words.iter().map(two_dashes));
    match SideCar::try_parse_from(words) {
        Ok(side_car) => Ok(side_car.flags.into()),
        Err(error) => Err(CliExit::usage(error.to_string())),
    }
}

fn election(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let good = (1..=253).contains(&text.len()) && text.bytes().all(allowed);
    good.then(|| text.to_owned()).ok_or_else(|| "1 to 253 of `A-Z a-z 0-9 - _ .`".to_owned())
}

fn id(text: &str) -> Result<String, String> {
    let good = (1..=253).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    good.then(|| text.to_owned()).ok_or_else(|| "1 to 253 printable characters".to_owned())
}

/// As Go takes it: `:4040` is every interface.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = |text: &str| text.parse::<u16>().ok();
    let short = match text.rsplit_once(':') {
        Some(("", number)) => port(number).map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
        Some(("localhost", number)) => port(number).map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        _ => None,
    };
    let found = short.or_else(|| text.parse().ok()).filter(|at| at.port() != 0);
    found.ok_or_else(|| "an address and a port, like `0.0.0.0:4040`".to_owned())
}

fn lock(text: &str) -> Result<Lock, String> {
    if text == "kubernetes" {
        return Ok(Lock::Kubernetes);
    }
    let path = text.strip_prefix("file:").filter(|path| path.starts_with('/') && !path.ends_with('/'));
    path.map(|path| Lock::File(PathBuf::from(path)))
        .ok_or_else(|| "`kubernetes`, or `file:` and an absolute path".to_owned())
}
