//! The path of `docs/migrate.md`: an old cluster without supervisors is followed, and then replaced. Nobody in it is taken for
//! another cluster's, whether the settings give the new one's id or its first leader makes it (N15).

use std::net::SocketAddr;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use redinit::demo::cluster::MASTER_NAME;
use redinit::demo::sentinels::Sentinels;

use super::bed::wire::{Connection, Reply};
use super::bed::{self, Bed, secs};

const OLD: &str = "server-1";
const OLD_REPLICA: &str = "server-2";
const OLD_SENTINEL: &str = "sentinel-4";
const NEW: [&str; 3] = ["server-3", "server-4", "server-5"];
const NEW_SENTINELS: [&str; 3] = ["sentinel-1", "sentinel-2", "sentinel-3"];

/// The rights that `docs/migrate.md` gives to the new Sentinels on the old servers.
const SENTINEL: &str = "resetkeys resetchannels &__sentinel__:hello -@all +ping +info +publish +subscribe +multi \
    +exec +slaveof +client|setname +client|kill +config|rewrite";

/// The page itself, so that it gives what is tested here.
const PAGE: &str = include_str!("../../docs/migrate.md");

/// The old cluster: no supervisor, one password for all, and Sentinels that log in as everybody does.
const BEFORE: &str = r#"#!/bin/sh
cd "$REDINIT_DATA_DIR" || exit 1
if [ "$REDINIT_MODE" = sentinel ]; then
    cat > own.conf <<END
port 26379
bind $REDINIT_BIND
sentinel monitor $OLD_NAME $OLD_MASTER 6379 1
sentinel down-after-milliseconds $OLD_NAME 5000
sentinel failover-timeout $OLD_NAME 10000
END
    [ -z "$REDIS_PASSWORD" ] || echo "sentinel auth-pass $OLD_NAME $REDIS_PASSWORD" >> own.conf
    exec redis-server own.conf --sentinel
fi
cat > own.conf <<END
port 6379
bind $REDINIT_BIND
replica-announce-ip $REDINIT_BIND
save ""
protected-mode no
repl-diskless-sync-delay 0
END
# The master has no masterauth: it never needed one.
[ -z "$REDIS_PASSWORD" ] || echo "requirepass $REDIS_PASSWORD" >> own.conf
if [ "$REDINIT_BIND" != "$OLD_MASTER" ]; then
    echo "replicaof $OLD_MASTER 6379" >> own.conf
    [ -z "$REDIS_PASSWORD" ] || echo "masterauth $REDIS_PASSWORD" >> own.conf
fi
exec redis-server own.conf
"#;

/// An old cluster and a new one.
struct Move {
    bed: Bed,
    password: Option<&'static str>,
    _dir: tempfile::TempDir,
}

#[test]
fn n15_an_old_master_is_followed_and_replaced_with_every_key() {
    let mut going = Move::prepare(None, MASTER_NAME);
    let writer = going.old_cluster_writes();
    going.old_servers_are_prepared();
    // Step 2. Of one name, they would be one group with the new ones.
    going.bed.node_mut(OLD_SENTINEL).kill();
    going.new_cluster_follows();
    let acknowledged = going.writes_end(writer);
    let leader = going.a_new_one_leads(acknowledged);
    going.old_master_is_told(leader);
    let gap = going.all_follow(leader);
    assert!(gap < secs(1), "{gap:?} without a write");
    going.old_servers_go();
}

#[test]
fn n15_an_old_master_with_a_password_is_followed_and_replaced_with_every_key() {
    let mut going = Move::prepare(Some("hush-old-one"), "before");
    for node in &mut going.bed.cluster.nodes {
        node.env.push(("REDINIT_CLUSTER_ID".into(), "prod/cache".into()));
    }
    let writer = going.old_cluster_writes();
    going.old_servers_are_prepared();
    going.new_cluster_follows();
    let acknowledged = going.writes_end(writer);
    // Step 2, later. Of another name, they may stay so long.
    let old = Sentinels::new(vec![going.bed.node(OLD_SENTINEL).address()], "before");
    assert_eq!(old.named(), [Some(going.bed.node(OLD).address())]);
    assert_eq!(old.order(old.addresses()[0], &["REMOVE"]).unwrap(), ok());
    let leader = going.a_new_one_leads(acknowledged);
    // Nobody tells the old master: the Sentinels do, by the rights of step 1. Until then two say master, and the new one
    // is fenced.
    going.all_follow(leader);
    going.old_servers_go();
}

impl Move {
    fn prepare(password: Option<&'static str>, old_name: &str) -> Self {
        let mut plan = bed::plan().sized(5, 4, 2).set("OLD_NAME", old_name);
        plan.expected_servers = Some(3);
        plan = password.into_iter().fold(plan, |plan, password| plan.set("REDIS_PASSWORD", password));
        let mut bed = Bed::prepare(plan);
        let dir = tempfile::tempdir().unwrap();
        let before = bed::script(dir.path(), "before", BEFORE);
        let list = |names: &[&str]| {
            names.iter().map(|name| bed.node(name).address().to_string()).collect::<Vec<_>>().join(",")
        };
        let servers = list(&[&NEW[..], &[OLD]].concat());
        let settings = [("REDINIT_SERVERS", servers), ("REDINIT_SENTINELS", list(&NEW_SENTINELS))];
        let old_master = bed.node(OLD).ip.to_string();
        for node in &mut bed.cluster.nodes {
            for (name, value) in &settings {
                node.env.retain(|(known, _)| known != name);
                node.env.push(((*name).to_owned(), value.clone()));
            }
            node.env.push(("OLD_MASTER".into(), old_master.clone()));
        }
        for name in [OLD, OLD_REPLICA, OLD_SENTINEL] {
            before.clone_into(&mut bed.node_mut(name).program);
        }
        Move { bed, password, _dir: dir }
    }

    /// The old cluster runs and is written to; the writer ends when it is refused.
    fn old_cluster_writes(&mut self) -> JoinHandle<usize> {
        for name in [OLD, OLD_REPLICA, OLD_SENTINEL] {
            self.bed.node_mut(name).start().unwrap();
        }
        self.wait("the old replica follows", 10, |going| going.follows(OLD_REPLICA, OLD));
        let mut link = self.link(OLD).unwrap();
        std::thread::spawn(move || {
            let mut acknowledged = 0;
            while link.call(&["SET", &key(acknowledged), "x"]).is_ok_and(|reply| reply == ok()) {
                acknowledged += 1;
                sleep(Duration::from_micros(200));
            }
            acknowledged
        })
    }

    /// Step 1: a user for the new Sentinels, and no old replica can be chosen.
    fn old_servers_are_prepared(&self) {
        let given = |right: &str| PAGE.split(|c: char| c.is_whitespace() || c == '\'').any(|word| word == right);
        assert!(SENTINEL.split_whitespace().all(given), "docs/migrate.md gives other rights");
        for name in [OLD, OLD_REPLICA] {
            if let Some(password) = self.password {
                let login = format!(">{password}");
                let user = ["ACL", "SETUSER", "sentinel", "reset", "on", &login];
                let user: Vec<&str> = user.into_iter().chain(SENTINEL.split_whitespace()).collect();
                assert_eq!(self.ask(name, &user), Some(ok()));
                assert_eq!(self.ask(name, &["CONFIG", "SET", "masterauth", password]), Some(ok()));
            }
            assert_eq!(self.ask(name, &["CONFIG", "SET", "replica-priority", "0"]), Some(ok()));
        }
    }

    /// Step 3: the old master is found among the servers, and followed.
    fn new_cluster_follows(&mut self) {
        for name in NEW.iter().chain(&NEW_SENTINELS) {
            self.bed.node_mut(name).start().unwrap();
        }
        self.wait("all follow the old one", 40, |going| {
            NEW.iter().all(|name| going.follows(name, OLD))
                && going.sentinels().unanimous() == Ok(going.bed.node(OLD).address())
        });
        self.wait("the Sentinels know the new ones and each other", 20, |going| {
            let sentinels = going.sentinels();
            sentinels.addresses().iter().all(|at| {
                let quorum = sentinels.order(*at, &["CKQUORUM"]);
                let list = sentinels.order(*at, &["REPLICAS"]);
                quorum.is_ok_and(|reply| matches!(reply, Reply::Status(text) if text.starts_with("OK 3")))
                    && list.is_ok_and(|list| list.items().len() == NEW.len() + 1)
            })
        });
    }

    /// Step 4: no more writes; everything has arrived.
    fn writes_end(&self, writer: JoinHandle<usize>) -> usize {
        assert_eq!(self.ask(OLD, &["CONFIG", "SET", "min-replicas-to-write", "100"]), Some(ok()));
        let acknowledged = writer.join().unwrap();
        assert!(acknowledged > 1000, "only {acknowledged} writes while the new cluster joined");
        let written = self.info(OLD, "master_repl_offset");
        self.wait("everything has arrived", 10, |going| {
            NEW.iter().all(|name| going.info(name, "slave_repl_offset") == written)
        });
        acknowledged
    }

    /// Step 5: a new one leads, with every key.
    fn a_new_one_leads(&self, acknowledged: usize) -> &'static str {
        let began = Instant::now();
        // A Sentinel that has just heard of them knows too little of them for some seconds: NOGOODSLAVE.
        self.wait("a Sentinel proposes one", 20, |going| going.bed.type_failover(NEW_SENTINELS[0]) == ok());
        let mut leader = None;
        self.wait("a new one takes writes", 20, |going| {
            leader = NEW.into_iter().find(|name| going.takes_writes(name));
            leader.is_some()
        });
        let (leader, writable) = (leader.unwrap(), began.elapsed());
        let lost = self.lost(leader, acknowledged);
        println!("{OLD} to {leader}: {acknowledged} acknowledged, {lost} lost, writable after {writable:?}");
        assert_eq!(lost, 0, "{leader} lacks keys");
        leader
    }

    /// Step 6: the old master is told to follow.
    fn old_master_is_told(&self, leader: &str) {
        let address = self.bed.node(leader).ip.to_string();
        assert_eq!(self.ask(OLD, &["REPLICAOF", &address, "6379"]), Some(ok()));
    }

    /// The old ones follow and all name the leader; the longest time without a write until then.
    fn all_follow(&self, leader: &str) -> Duration {
        let (began, mut written, mut gap) = (Instant::now(), Instant::now(), Duration::ZERO);
        self.wait("all follow, and writes flow", 30, |going| {
            let writable = going.takes_writes(leader);
            if writable {
                gap = gap.max(written.elapsed());
                written = Instant::now();
            }
            let others = NEW.iter().filter(|name| **name != leader);
            let named = || going.sentinels().unanimous() == Ok(going.bed.node(leader).address());
            // A fence would come within 2 s.
            let long_enough = began.elapsed() > secs(5);
            long_enough
                && writable
                && others.chain(&[OLD, OLD_REPLICA]).all(|name| going.follows(name, leader))
                && named()
        });
        println!("all follow {leader} after {:?}, longest gap {gap:?}", began.elapsed());
        gap
    }

    /// Step 8: the old cluster is removed; the new one goes on.
    fn old_servers_go(&mut self) {
        let leader = self.sentinels().unanimous().unwrap();
        for name in [OLD, OLD_REPLICA, OLD_SENTINEL] {
            self.bed.node_mut(name).kill();
        }
        sleep(secs(8));
        assert_eq!(self.sentinels().unanimous(), Ok(leader));
        let master = self.bed.cluster.name_of(leader);
        assert!(self.takes_writes(&master), "{master} refuses writes");
        for name in NEW.iter().chain(&NEW_SENTINELS) {
            let (ready, reason) = self.bed.node(name).probe("readyz").unwrap();
            assert!(ready, "{name}: {reason}");
            assert_eq!(self.bed.logged(name, " foreign: "), 0, "{name} takes somebody for another cluster's");
        }
    }

    fn sentinels(&self) -> Sentinels {
        let addresses: Vec<SocketAddr> = NEW_SENTINELS.iter().map(|name| self.bed.node(name).address()).collect();
        Sentinels::new(addresses, MASTER_NAME)
    }

    fn takes_writes(&self, name: &str) -> bool {
        self.ask(name, &["SET", "after", "1"]) == Some(ok())
    }

    fn lost(&self, name: &str, acknowledged: usize) -> usize {
        let mut link = self.link(name).unwrap();
        (0..acknowledged).filter(|number| link.call(&["EXISTS", &key(*number)]).unwrap() != Reply::Integer(1)).count()
    }

    fn follows(&self, name: &str, whom: &str) -> bool {
        self.info(name, "master_link_status").as_deref() == Some("up")
            && self.info(name, "master_host") == Some(self.bed.node(whom).ip.to_string())
    }

    fn info(&self, name: &str, field: &str) -> Option<String> {
        let text = self.ask(name, &["INFO", "replication"])?.text()?;
        text.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
    }

    fn ask(&self, name: &str, command: &[&str]) -> Option<Reply> {
        self.link(name)?.call(command).ok()
    }

    /// A connection that has logged in.
    fn link(&self, name: &str) -> Option<Connection> {
        let mut link = Connection::open(self.bed.node(name).address(), secs(1)).ok()?;
        if let Some(password) = self.password {
            link.call(&["AUTH", password]).ok().filter(|reply| *reply == ok())?;
        }
        Some(link)
    }

    #[track_caller]
    fn wait(&self, what: &str, limit: u64, mut is_so: impl FnMut(&Self) -> bool) {
        self.bed.wait(what, secs(limit), |_| is_so(self));
    }
}

fn key(number: usize) -> String {
    format!("moves:{number}")
}

fn ok() -> Reply {
    Reply::Status("OK".into())
}
