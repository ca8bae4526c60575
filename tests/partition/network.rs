//! Does the network itself tell the truth?

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use super::bed::{self, Bed, Family, Fault, ms};

#[test]
fn links_are_cut_and_healed_one_way_and_both() {
    needs_net!();
    for family in [Family::V4, Family::V6] {
        let mut bed = Bed::prepare_apart(bed::plan().sized(2, 0, 1), family);
        let to = bed.node("server-2").address();
        let listener = bed.net().inside("server-2", || TcpListener::bind(to)).unwrap();
        let reached = |bed: &mut Bed| {
            let began = Instant::now();
            let stream = bed.net().inside("server-1", || TcpStream::connect_timeout(&to, ms(300)));
            (stream.map(|stream| stream.peer_addr().unwrap()).map_err(|error| error.kind()), began.elapsed())
        };
        assert_eq!(reached(&mut bed).0, Ok::<SocketAddr, _>(to));
        bed.net().cut(&["server-1"], &["server-2"], Fault::Reject);
        let (refused, took) = reached(&mut bed);
        assert_eq!(refused, Err(std::io::ErrorKind::ConnectionRefused));
        assert!(took < ms(250), "a refusal took {took:?}");
        bed.net().heal();
        for (from, other) in [("server-1", "server-2"), ("server-2", "server-1")] {
            bed.net().cut_one_way(&[from], &[other], Fault::Drop);
            assert_eq!(reached(&mut bed).0, Err(std::io::ErrorKind::TimedOut), "{from} to {other} dropped");
            assert!(TcpStream::connect_timeout(&to, ms(300)).is_ok(), "the test itself reaches everybody always");
            bed.net().heal();
        }
        bed.net().cut_port(&["server-1"], &["server-2"], to.port() + 1, Fault::Drop);
        assert_eq!(reached(&mut bed).0, Ok::<SocketAddr, _>(to), "another port");
        drop(listener);
    }
}
