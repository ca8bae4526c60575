//! Two clusters side by side, and what is asked of both.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use redinit::demo::cluster::{Cluster, Kind, Place, Plan};

use super::asked::{bare_led, led, ok, sentinels, wait_led, write};
use super::bed::wire::{Connection, Reply};
use super::bed::{self, Bed, Turn, ms, secs};

/// Keys of each cluster.
pub const OURS: usize = 500;
pub const THEIRS: usize = 1000;

/// Both clusters run, and both have been written to.
pub struct Pair {
    pub ours: Bed,
    pub theirs: Cluster,
    pub password: Option<&'static str>,
    /// Who leads each.
    pub our_leader: String,
    pub their_leader: String,
    /// Nodes of ours that have gone, and those of theirs that have not come: nobody asks them.
    pub away: Vec<String>,
    _programs: tempfile::TempDir,
}

/// What the other cluster is to be.
#[derive(Clone, Copy)]
pub struct Neighbour {
    /// Who of theirs will live at the addresses of ours of that name. They do not run yet.
    pub moves: &'static [&'static str],
    /// Settings of both.
    pub settings: &'static [(&'static str, &'static str)],
    pub password: Option<&'static str>,
    /// Nobody supervises them.
    pub bare: bool,
    /// For the engines of both.
    pub engine: &'static [&'static str],
}

/// Without a password.
pub const OPEN: Neighbour =
    Neighbour { moves: &["server-3"], settings: &[], password: None, bare: false, engine: bed::disks::NOTHING };

fn plan(neighbour: Neighbour) -> Plan {
    let plan = bed::disks::plan_with(neighbour.engine);
    neighbour.settings.iter().fold(plan, |plan, (name, value)| plan.set(name, value))
}

impl Pair {
    /// Theirs has the higher epoch.
    #[track_caller]
    pub fn up(turn: Turn, neighbour: Neighbour) -> Self {
        let mut ours = Bed::prepare_in(turn, plan(neighbour));
        ours.cluster.start_all().unwrap();
        let programs = tempfile::tempdir().unwrap();
        let bare = neighbour.bare.then(|| bed::bare(programs.path()));
        let theirs = prepare(&ours.cluster, neighbour, bare);
        let (password, away) = (neighbour.password, Vec::new());
        let nobody = String::new();
        let mut pair = Pair {
            ours,
            theirs,
            password,
            our_leader: nobody.clone(),
            their_leader: nobody,
            away,
            _programs: programs,
        };
        pair.our_leader = wait_led(&pair.ours.cluster, &[], secs(60));
        for _ in 0..2 {
            let leader = pair.wait_theirs(neighbour, secs(60));
            pair.one_more_epoch(neighbour, &leader);
        }
        pair.their_leader = pair.wait_theirs(neighbour, secs(60));
        write(&pair.theirs, &pair.their_leader, "theirs", THEIRS, password);
        if neighbour.moves.contains(&pair.our_leader.as_str())
            && neighbour.moves != ["server-1", "server-2", "server-3"]
        {
            let (code, text) = bed::command(pair.ours.node(&pair.our_leader), &["handover"]);
            assert_eq!(code, Some(0), "{text}");
            pair.our_leader = wait_led(&pair.ours.cluster, &[], secs(30));
        }
        write(&pair.ours.cluster, &pair.our_leader, "ours", OURS, password);
        pair.wait_synced();
        pair
    }

    fn one_more_epoch(&self, neighbour: Neighbour, leader: &str) {
        if neighbour.bare {
            let end = Instant::now() + secs(30);
            let at = sentinels(&self.theirs, neighbour.moves).addresses()[0];
            while sentinels(&self.theirs, neighbour.moves).order(at, &["FAILOVER"]).ok() != Some(ok()) {
                assert!(Instant::now() < end, "no failover of the other cluster");
                std::thread::sleep(ms(500));
            }
            self.wait("another bare server leads", secs(20), |pair| {
                bare_led(&pair.theirs, neighbour.moves).is_some_and(|now| now != leader)
            });
            return;
        }
        let (code, text) = bed::command(self.theirs.node(leader).unwrap(), &["handover"]);
        assert_eq!(code, Some(0), "{text}");
    }

    fn wait_theirs(&self, neighbour: Neighbour, limit: Duration) -> String {
        if !neighbour.bare {
            return wait_led(&self.theirs, neighbour.moves, limit);
        }
        let mut leader = None;
        self.wait("a bare server leads", limit, |pair| {
            leader = bare_led(&pair.theirs, neighbour.moves);
            leader.is_some()
        });
        leader.unwrap()
    }

    /// Everybody who runs has what was written.
    #[track_caller]
    fn wait_synced(&self) {
        self.wait("all have every key", secs(20), |pair| {
            let all = pair.ours.cluster.servers().all(|node| pair.keys(node.address(), "ours") == Some((OURS, OURS)));
            all && ["server-1", "server-2"]
                .iter()
                .all(|name| pair.keys(pair.theirs.node(name).unwrap().address(), "theirs") == Some((THEIRS, THEIRS)))
        });
    }

    /// How many keys with this prefix the server has, and how many in all.
    pub fn keys(&self, server: SocketAddr, prefix: &str) -> Option<(usize, usize)> {
        let mut link = self.link(server)?;
        let found = link.call(&["KEYS", &format!("{prefix}:*")]).ok()?.items().len();
        let Reply::Integer(all) = link.call(&["DBSIZE"]).ok()? else { return None };
        Some((found, usize::try_from(all).ok()?))
    }

    /// How many servers of each follow one of the other. Who is away has no say, nor its address.
    pub fn following_the_other(&self) -> usize {
        let there = |cluster: &Cluster, away: &[String]| {
            let nodes = cluster.servers().filter(|node| !away.contains(&node.name));
            nodes.map(|node| node.address()).collect::<Vec<_>>()
        };
        let (ours, theirs) = (there(&self.ours.cluster, &self.away), there(&self.theirs, &[]));
        let strays = |these: &[SocketAddr], others: &[SocketAddr]| {
            let masters = these.iter().filter_map(|at| self.master_of(*at));
            masters.filter(|host| others.iter().any(|at| at.ip().to_string() == *host)).count()
        };
        strays(&ours, &theirs) + strays(&theirs, &ours)
    }

    /// Whom a server follows.
    fn master_of(&self, server: SocketAddr) -> Option<String> {
        let text = self.link(server)?.call(&["INFO", "replication"]).ok()?.text()?;
        text.lines().find_map(|line| Some(line.strip_prefix("master_host:")?.trim().to_owned()))
    }

    fn link(&self, server: SocketAddr) -> Option<Connection> {
        let mut link = Connection::open(server, secs(5)).ok()?;
        if let Some(password) = self.password {
            link.call(&["AUTH", password]).ok()?;
        }
        Some(link)
    }

    pub fn keys_of_theirs(&self, name: &str) -> Option<(usize, usize)> {
        self.keys(self.theirs.node(name).unwrap().address(), "theirs")
    }

    #[track_caller]
    pub fn wait(&self, what: &str, limit: Duration, mut is_so: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + limit;
        while !is_so(self) {
            assert!(Instant::now() < end, "{what}: not within {limit:?}");
            std::thread::sleep(ms(20));
        }
    }

    /// A node of ours ends as it does in a rolling update.
    #[track_caller]
    pub fn our_one_stops(&mut self, name: &str) {
        self.ours.signal(name, bed::Signal::SIGTERM);
        self.ours.node_mut(name).wait(secs(20)).expect("it ends");
        self.away.push(name.to_owned());
    }

    /// One of theirs starts, at the address of ours of that name.
    #[track_caller]
    pub fn their_one_comes(&mut self, name: &str) -> Instant {
        self.theirs.node_mut(name).unwrap().start().unwrap();
        Instant::now()
    }

    /// How long until a node of ours says one of these words.
    #[track_caller]
    pub fn wait_said(&self, since: Instant, words: &str, limit: Duration) -> Duration {
        while !self.ours.cluster.nodes.iter().any(|node| self.ours.logged(&node.name, words) > 0) {
            assert!(since.elapsed() < limit, "nobody says `{words}` within {limit:?}");
            std::thread::sleep(ms(20));
        }
        let said = since.elapsed();
        println!("`{words}` said after {said:?}");
        said
    }

    /// Ours is led by one of its own, with every key of ours and no other, and nobody has given way.
    #[track_caller]
    pub fn ours_is_whole(&self) {
        let away: Vec<&str> = self.away.iter().map(String::as_str).collect();
        // One that is being taken back restarts, and does not answer for a moment.
        let since = Instant::now();
        while led(&self.ours.cluster, &away).is_none() && since.elapsed() < secs(10) {
            std::thread::sleep(ms(100));
        }
        let leader = led(&self.ours.cluster, &away);
        assert_eq!(leader.as_deref(), Some(self.our_leader.as_str()), "our Sentinels name our master");
        for node in self.ours.cluster.servers().filter(|node| !self.away.contains(&node.name)) {
            assert_eq!(self.keys(node.address(), "ours"), Some((OURS, OURS)), "ours, {}", node.name);
        }
        assert_eq!(self.following_the_other(), 0, "servers of one cluster follow the other's");
        for node in &self.ours.cluster.nodes {
            assert_eq!(self.ours.logged(&node.name, " demote"), 0, "{}", node.name);
        }
    }

    /// The same of theirs, all of which run by now.
    #[track_caller]
    pub fn theirs_is_whole(&self) {
        assert_eq!(wait_led(&self.theirs, &[], secs(10)), self.their_leader, "theirs name theirs");
        for node in self.theirs.servers() {
            assert_eq!(self.keys(node.address(), "theirs"), Some((THEIRS, THEIRS)), "theirs, {}", node.name);
        }
    }

    /// Theirs is led as before and has every key, but at this one.
    #[track_caller]
    pub fn theirs_goes_on(&self, but: &str) {
        assert_eq!(wait_led(&self.theirs, &[], secs(10)), self.their_leader, "theirs name theirs");
        for node in self.theirs.servers().filter(|node| node.name != but) {
            assert_eq!(self.keys(node.address(), "theirs"), Some((THEIRS, THEIRS)), "theirs, {}", node.name);
        }
    }

    #[track_caller]
    pub fn our_handover_works(&mut self) {
        let (code, text) = bed::command(self.ours.node(&self.our_leader), &["handover"]);
        assert_eq!(code, Some(0), "a handover works afterwards: {text}");
        let away: Vec<&str> = self.away.iter().map(String::as_str).collect();
        self.our_leader = wait_led(&self.ours.cluster, &away, secs(10));
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.theirs.keep = true;
            eprintln!("==== the other cluster, kept in {}", self.theirs.dir().display());
            for node in &self.theirs.nodes {
                eprintln!("---- their {} ({})\n{}", node.name, node.address(), node.log_tail(15));
            }
        }
    }
}

/// Cluster B, of which some shall live at addresses of A's. The others run, and have not been told of those addresses.
fn prepare(ours: &Cluster, neighbour: Neighbour, bare: Option<PathBuf>) -> Cluster {
    let mut plan = plan(neighbour);
    plan.places = BTreeMap::new();
    for name in neighbour.moves {
        let ip = ours.node(name).unwrap().ip;
        plan = plan.set_for(name, "REDINIT_BIND", &ip.to_string());
        plan = plan.set_for(name, "REDINIT_HTTP_LISTEN", &format!("{ip}:8379"));
        plan.places.insert((*name).to_owned(), Place { ip, enter: Vec::new() });
    }
    let mut theirs = Cluster::prepare(plan).unwrap();
    let known = |kind: Kind| {
        let nodes =
            theirs.nodes.iter().filter(|node| node.kind == kind && !neighbour.moves.contains(&node.name.as_str()));
        nodes.map(|node| node.address().to_string()).collect::<Vec<_>>().join(",")
    };
    let lists = [("REDINIT_SERVERS", known(Kind::Server)), ("REDINIT_SENTINELS", known(Kind::Sentinel))];
    for node in &mut theirs.nodes {
        if let Some(bare) = &bare {
            node.program.clone_from(bare);
        }
        if neighbour.moves.contains(&node.name.as_str()) {
            continue;
        }
        for (name, value) in &lists {
            node.env.retain(|(known, _)| known != name);
            node.env.push(((*name).to_owned(), value.clone()));
        }
        node.start().unwrap();
    }
    theirs
}
