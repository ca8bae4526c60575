//! Loopback addresses of a cluster's own, so that several clusters can run side by side: every address of 127.0.0.0/8
//! is local on Linux without any set-up.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

/// A free 127.a.b.0/24, ours while this lives.
#[derive(Debug)]
pub struct Subnet {
    a: u8,
    b: u8,
    /// Bound for as long as we use the net, so that no other demo takes it.
    _claim: TcpListener,
}

/// The port of the claim; nothing of a cluster listens there.
const CLAIM: u16 = 6300;

impl Subnet {
    /// Claims a random net in which nobody listens.
    pub fn claim() -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..64 {
            let mut random = [0; 2];
            getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
            let [a, b] = random;
            // Away from 127.0.x.y, where everybody's own services are, and from 127.255.255.255.
            let (a, b) = (a.clamp(16, 250), b.clamp(1, 250));
            match TcpListener::bind(SocketAddrV4::new(Ipv4Addr::new(127, a, b, 254), CLAIM)) {
                Ok(claim) => return Ok(Subnet { a, b, _claim: claim }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The host of that number.
    pub fn host(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.a, self.b, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_never_share_a_net() {
        let nets: Vec<_> = (0..50).map(|_| Subnet::claim().unwrap()).collect();
        let mut hosts: Vec<_> = nets.iter().map(|net| net.host(1)).collect();
        hosts.sort();
        hosts.dedup();
        assert_eq!(hosts.len(), nets.len());
    }
}
