//! Does the network itself tell the truth?

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use super::bed::{self, Bed, Family, Fault, ms, scarce, secs};

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

/// A node's data fit on a small disk and no more; its memory is what it may have and no more.
#[test]
fn disks_and_memory_can_be_small() {
    needs_net!();
    let plan = bed::plan().sized(1, 0, 1).set("REDINIT_EXPECTED_SERVERS", "1");
    let mut bed = Bed::prepare_apart(plan, Family::V4);
    bed.small_disk("server-1", 8);
    let memory = bed.little_memory("server-1", 60);
    bed.node_mut("server-1").start().unwrap();
    let server = bed.node("server-1").address();
    let write = |bytes: usize| bed::wire::ask(server, secs(5), &["SET", "key", &"x".repeat(bytes)]);
    bed.wait("a first write", secs(20), |_| write(1).is_ok_and(|reply| reply.text().as_deref() == Some("OK")));
    let data = scarce::as_seen_by(bed.node("server-1"), &bed.node("server-1").data());
    assert!(data.join("redinit.state").exists(), "its data are elsewhere");
    let full = std::fs::write(data.join("filler"), vec![0; 9 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert!(!bed.node("server-1").data().join("filler").exists(), "the machine's own disk was filled");
    let engine = bed.node("server-1").engine_pid().unwrap();
    match memory {
        Err(reason) => bed::say_skipped("little memory", &reason),
        Ok(()) => {
            write(100 << 20).unwrap_err();
            bed.wait("the kernel kills what wants too much", secs(10), |cluster| {
                cluster.node("server-1").unwrap().engine_pid() != Some(engine)
            });
        }
    }
    let dir = bed.cluster.dir().display().to_string();
    drop(bed);
    assert!(!std::fs::read_to_string("/proc/mounts").unwrap().contains(&dir), "a disk stayed behind");
}
