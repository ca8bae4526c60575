//! Names and numbers of the field, each a type of its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Where a server or a Sentinel listens. Always an IP address: the drivers resolve names anew each round (C6),
/// so that two ways to write one place compare equal here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address(pub SocketAddr);

impl Address {
    /// The address of `ip` and `port`; an IPv4 address written as IPv6 is unwrapped.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Address(SocketAddr::new(ip.to_canonical(), port))
    }

    /// The master of a replica of nobody, as every child is born.
    pub fn nobody() -> Self {
        Address::new(IpAddr::from([127, 0, 0, 1]), 1)
    }

    /// Parses what a server or Sentinel says; `None` for an empty host, a name or port 0 (A7).
    pub fn parse(host: &str, port: u16) -> Option<Self> {
        if port == 0 {
            return None;
        }
        host.parse().ok().map(|ip| Address::new(ip, port))
    }

    /// The IP address alone.
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The port alone.
    pub fn port(self) -> u16 {
        self.0.port()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.to_owned())
            }
        }
    };
}

text_id!(
    /// A server's `run_id`: new at every start of the process.
    RunId
);
text_id!(
    /// A replication id (`master_replid`); offsets compare only within one.
    ReplId
);
text_id!(
    /// A Sentinel's `myid`.
    SentinelId
);
text_id!(
    /// One attempt of one candidate to lead; names its release and its consents.
    AttemptId
);

/// Bytes of replication stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offset(pub u64);

/// Sentinel's config epoch: a higher one is a newer decision about who is master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An order to the own child, answered by `Event::ChildDone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// A message to another supervisor or a Sentinel, answered by an event with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Somebody who waits for our answer (an HTTP request in a driver).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub u64);
