//! A network of the bed's own: every node in a network namespace, joined by a bridge in one more, where the test lives.
//! Faults are rules on the bridge, so nodes see them as they see a broken switch or a firewall. Nothing has a name
//! outside this process: namespaces, pairs and rules go with the last descriptor, however the test ends.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, setns, unshare};
use redinit::demo::cluster::{Kind, Place, Plan};
use redinit::demo::launch::namespaces_work;

/// Where clients live that no node's machine is home to.
pub const CLIENTS: &str = "clients";

/// What a network speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// What a broken link does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody hears anything: silence.
    Drop,
    /// The sender gets a reset: evidence.
    Reject,
}

/// The network. Dropping it brings the thread that made it home.
pub struct Net {
    family: Family,
    home: File,
    rooms: BTreeMap<String, (IpAddr, File)>,
    rules: Vec<String>,
}

/// Why there can be no such network here.
pub fn missing() -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("it needs root".into());
    }
    for program in ["ip", "iptables-restore", "ip6tables-restore", "nsenter"] {
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
        if !found {
            return Some(format!("{program} is missing"));
        }
    }
    let tried = std::thread::scope(|scope| {
        let trial = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            ip(&["link add name hub type bridge", "link add name one type veth peer name two"])?;
            restore(Family::V4, &["-A FORWARD -s 10.0.0.1 -p tcp -j REJECT --reject-with tcp-reset".into()])
        });
        trial.join().unwrap()
    });
    tried.err().map(|error| format!("no network namespaces: {error}"))
}

impl Net {
    /// Makes a room for each node of the plan, and one for clients; this thread moves to the bridge.
    pub fn make(plan: &mut Plan, family: Family) -> io::Result<Self> {
        // The thread that starts processes lives where it was first needed: at home, not in here.
        namespaces_work();
        let home = File::open(OWN)?;
        let mut net = Net { family, home, rooms: BTreeMap::new(), rules: Vec::new() };
        unshare(CloneFlags::CLONE_NEWNET)?;
        let hub = net.host(254);
        ip(&[
            "link set lo up",
            "link add name hub type bridge stp_state 0 mcast_snooping 0",
            &net.address("hub", hub),
            "link set hub up",
        ])?;
        // The bridge's packets go through the rules; a switch of this namespace alone.
        for name in ["iptables", "ip6tables"] {
            fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{name}"), "1")?;
        }
        let servers = (1..=plan.servers).map(|n| (Kind::Server.name(n), n));
        let sentinels = (1..=plan.sentinels).map(|n| (Kind::Sentinel.name(n), 10 + n));
        for (name, number) in servers.chain(sentinels).collect::<Vec<_>>() {
            let enter = net.furnish(&name, number)?;
            let ip = net.host(number);
            plan.places.insert(name, Place { ip, enter });
        }
        net.furnish(CLIENTS, 200)?;
        Ok(net)
    }

    /// One more room, wired to the bridge; the words that a command line begins with to be in it.
    fn furnish(&mut self, name: &str, number: u8) -> io::Result<Vec<String>> {
        let room = aside(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(OWN)
        })?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), room.as_raw_fd());
        ip(&[
            &format!("link add name {name} type veth peer name eth0 netns {path}"),
            &format!("link set dev {name} master hub up"),
        ])?;
        let own = self.address("eth0", self.host(number));
        within(&room, || ip(&["link set lo up", &own, "link set eth0 up"]))?;
        self.rooms.insert(name.to_owned(), (self.host(number), room));
        Ok(vec!["nsenter".into(), format!("--net={path}")])
    }

    fn host(&self, number: u8) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::from([10, 77, 0, number]),
            Family::V6 => IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, u16::from(number)]),
        }
    }

    fn address(&self, device: &str, ip: IpAddr) -> String {
        match self.family {
            Family::V4 => format!("addr add {ip}/24 dev {device}"),
            Family::V6 => format!("addr add {ip}/64 dev {device} nodad"),
        }
    }

    /// Runs something in a room. Threads that it starts stay there.
    pub fn inside<T: Send>(&self, name: &str, what: impl FnOnce() -> T + Send) -> T {
        within(&self.room(name).1, what)
    }

    fn room(&self, name: &str) -> &(IpAddr, File) {
        self.rooms.get(name).unwrap_or_else(|| panic!("no room for {name}"))
    }

    /// Everybody's names but these.
    pub fn others(&self, than: &[&str]) -> Vec<String> {
        self.rooms.keys().filter(|name| !than.contains(&name.as_str())).cloned().collect()
    }

    /// Parts two sets of rooms.
    pub fn cut(&mut self, ones: &[impl AsRef<str>], others: &[impl AsRef<str>], fault: Fault) {
        self.cut_one_way(ones, others, fault);
        self.cut_one_way(others, ones, fault);
    }

    /// Nothing gets from one set to another; answers to what comes the other way neither.
    pub fn cut_one_way(&mut self, from: &[impl AsRef<str>], to: &[impl AsRef<str>], fault: Fault) {
        self.rule(from, to, "", fault);
    }

    /// Nobody of one set reaches this port of another.
    pub fn cut_port(&mut self, from: &[impl AsRef<str>], to: &[impl AsRef<str>], port: u16, fault: Fault) {
        self.rule(from, to, &format!(" --dport {port}"), fault);
    }

    fn rule(&mut self, from: &[impl AsRef<str>], to: &[impl AsRef<str>], more: &str, fault: Fault) {
        let verdict = match fault {
            Fault::Drop => "DROP",
            Fault::Reject => "REJECT --reject-with tcp-reset",
        };
        for from in from {
            for to in to {
                let (from, to) = (self.room(from.as_ref()).0, self.room(to.as_ref()).0);
                if from != to {
                    self.rules.push(format!("-A FORWARD -s {from} -d {to} -p tcp{more} -j {verdict}"));
                }
            }
        }
        restore(self.family, &self.rules).unwrap();
    }

    /// Every link works again.
    pub fn heal(&mut self) {
        self.rules.clear();
        restore(self.family, &[]).unwrap();
    }

    /// A room's own connections leave from another address than the one it is reached at, as behind a NAT.
    pub fn translate(&self, name: &str, number: u8) {
        let other = self.host(number);
        let line = self.address("eth0", other);
        self.inside(name, || {
            ip(&[&line]).unwrap();
            feed(
                "iptables-restore",
                &[],
                &format!("*nat\n-A POSTROUTING -o eth0 -p tcp --syn -j SNAT --to-source {other}\nCOMMIT\n"),
            )
            .unwrap();
        });
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.home, CloneFlags::CLONE_NEWNET) {
            eprintln!("this thread stays in a network namespace that is gone: {error}");
        }
    }
}

/// The network namespace of the thread that opens it.
const OWN: &str = "/proc/thread-self/ns/net";

/// On a thread of its own, which may change where it lives.
fn aside<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(what).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn within<T: Send>(room: &File, what: impl FnOnce() -> T + Send) -> T {
    aside(|| {
        setns(room, CloneFlags::CLONE_NEWNET).unwrap();
        what()
    })
}

/// The rules of this namespace's bridge, all at once: no packet sees half of them.
fn restore(family: Family, rules: &[String]) -> io::Result<()> {
    let program = match family {
        Family::V4 => "iptables-restore",
        Family::V6 => "ip6tables-restore",
    };
    feed(program, &[], &format!("*filter\n:FORWARD ACCEPT [0:0]\n{}\nCOMMIT\n", rules.join("\n")))
}

fn ip(lines: &[&str]) -> io::Result<()> {
    feed("ip", &["-batch", "-"], &(lines.join("\n") + "\n"))
}

fn feed(program: &str, arguments: &[&str], text: &str) -> io::Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().unwrap().write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{program}: {}\n{text}", String::from_utf8_lossy(&output.stderr))))
}
