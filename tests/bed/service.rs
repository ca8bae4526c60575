//! A Kubernetes Service in miniature: one address in front of the pods that say ready, and a reset where none does.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Bed, Kind, http, ms};

/// How often readiness is probed.
const PERIOD: Duration = ms(500);

/// One Service. Connections that stand outlive their pod's readiness, as in the field.
pub struct Service {
    stop: Arc<AtomicBool>,
}

impl Service {
    /// A Service for all servers, one for all Sentinels, and a cluster that knows nothing else. Nothing runs yet.
    pub fn before_all(bed: &mut Bed) -> [Self; 2] {
        Self::known_as(bed, |value, service| *value = service)
    }

    /// The same for a cluster that knows each node too: one address more in both settings.
    pub fn beside_all(bed: &mut Bed) -> [Self; 2] {
        Self::known_as(bed, |value, service| *value = format!("{value},{service}"))
    }

    fn known_as(bed: &mut Bed, setting: fn(&mut String, String)) -> [Self; 2] {
        let services = [Kind::Server, Kind::Sentinel].map(|kind| {
            let at = Self::address(bed, kind);
            let pods = bed.cluster.nodes.iter().filter(|node| node.kind == kind);
            (Self::start(at, pods.map(|node| (node.http(), node.address())).collect()), at)
        });
        let [servers, sentinels] = services;
        for node in &mut bed.cluster.nodes {
            for (name, value) in &mut node.env {
                match name.as_str() {
                    "REDINIT_SERVERS" => setting(value, servers.1.to_string()),
                    "REDINIT_SENTINELS" => setting(value, sentinels.1.to_string()),
                    _ => {}
                }
            }
        }
        [servers.0, sentinels.0]
    }

    /// Where the Service of these stands.
    pub fn address(bed: &Bed, kind: Kind) -> SocketAddr {
        let first = bed.cluster.nodes.iter().find(|node| node.kind == kind).expect("there is one");
        let std::net::IpAddr::V4(ip) = first.ip else { panic!("IPv4 only") };
        let [a, b, c, _] = ip.octets();
        SocketAddr::from(([a, b, c, if kind == Kind::Server { 201 } else { 202 }], first.address().port()))
    }

    /// In front of these: where each says ready, and where it serves.
    fn start(at: SocketAddr, pods: Vec<(SocketAddr, SocketAddr)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ready = Arc::new(Mutex::new(Vec::new()));
        let (probing, seen) = (Arc::clone(&stop), Arc::clone(&ready));
        std::thread::spawn(move || {
            while !probing.load(Ordering::Relaxed) {
                let says = |at| http::get(at, "/readyz", ms(300)).is_ok_and(|(code, _)| code == 200);
                let now: Vec<SocketAddr> = pods.iter().filter(|(at, _)| says(*at)).map(|(_, to)| *to).collect();
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
                std::thread::sleep(PERIOD);
            }
        });
        let ending = Arc::clone(&stop);
        std::thread::spawn(move || {
            let (mut listener, mut turn) = (None::<TcpListener>, 0);
            while !ending.load(Ordering::Relaxed) {
                let pods = ready.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if pods.is_empty() {
                    // Nobody listens: a reset.
                    listener = None;
                } else if listener.is_none() {
                    listener = TcpListener::bind(at).inspect(|one| one.set_nonblocking(true).unwrap()).ok();
                }
                match listener.as_ref().map(TcpListener::accept) {
                    Some(Ok((from, _))) => {
                        turn += 1;
                        let to = pods[turn % pods.len()];
                        std::thread::spawn(move || join(&from, to));
                    }
                    _ => std::thread::sleep(ms(2)),
                }
            }
        });
        Service { stop }
    }
}

/// Carries bytes both ways until one side ends.
fn join(from: &TcpStream, to: SocketAddr) {
    let Ok(to) = TcpStream::connect_timeout(&to, ms(300)) else { return };
    from.set_nonblocking(false).unwrap();
    std::thread::scope(|scope| {
        for (mut one, mut other) in [(from, &to), (&to, from)] {
            scope.spawn(move || {
                io::copy(&mut one, &mut other).ok();
                other.shutdown(Shutdown::Both).ok();
                one.shutdown(Shutdown::Both).ok();
            });
        }
    });
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
