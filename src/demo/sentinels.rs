//! What a client asks Sentinels.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::wire::{self, Reply};

/// How long one Sentinel may take.
const LIMIT: Duration = Duration::from_millis(300);

/// The Sentinels of one group.
#[derive(Clone, Debug)]
pub struct Sentinels {
    addresses: Vec<SocketAddr>,
    master_name: String,
}

impl Sentinels {
    /// These Sentinels, asked for that group.
    pub fn new(addresses: Vec<SocketAddr>, master_name: &str) -> Self {
        Sentinels { addresses, master_name: master_name.to_owned() }
    }

    /// Their addresses.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whom one of them names.
    pub fn named_by(&self, sentinel: SocketAddr) -> Option<SocketAddr> {
        let reply = wire::ask(sentinel, LIMIT, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.master_name]).ok()?;
        let [host, port] = reply.items() else { return None };
        let host: IpAddr = host.text()?.parse().ok()?;
        Some(SocketAddr::new(host, port.text()?.parse().ok()?))
    }

    /// Whom each of them names.
    pub fn named(&self) -> Vec<Option<SocketAddr>> {
        self.addresses.iter().map(|sentinel| self.named_by(*sentinel)).collect()
    }

    /// The first answer, asked from the `turn`th on: what every client library does.
    pub fn first_answer(&self, turn: usize) -> Option<SocketAddr> {
        let count = self.addresses.len().max(1);
        self.addresses.iter().cycle().skip(turn % count).take(count).find_map(|sentinel| self.named_by(*sentinel))
    }

    /// Whom more than half of them name.
    pub fn majority(&self) -> Option<SocketAddr> {
        let named = self.named();
        let votes = |address: &SocketAddr| named.iter().filter(|one| one.as_ref() == Some(address)).count();
        named.iter().flatten().find(|address| votes(address) * 2 > named.len()).copied()
    }

    /// The one whom all of them name; otherwise what they say.
    pub fn unanimous(&self) -> Result<SocketAddr, String> {
        let named = self.named();
        match named.first() {
            Some(Some(first)) if named.iter().all(|one| *one == Some(*first)) => Ok(*first),
            _ => Err(format!("the Sentinels name {named:?}")),
        }
    }

    /// One command to one of them, with the group's name at its end: `SENTINEL FAILOVER mymaster`.
    pub fn order(&self, sentinel: SocketAddr, words: &[&str]) -> std::io::Result<Reply> {
        let mut command = vec!["SENTINEL"];
        command.extend(words);
        command.push(&self.master_name);
        wire::ask(sentinel, LIMIT, &command)
    }
}
