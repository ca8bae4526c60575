//! N1, N2 in real containers: two clusters of one master name in one network, fixed addresses, of which one passes.

use std::time::{Duration, Instant};

use super::bed::wire::{Connection, Reply};
use super::bed::{Turn, ms, secs};
use super::cluster::{GRACE, Network};
use super::container::Container;
use redinit::demo::sentinels::Sentinels;

const KEYS: usize = 300;
const WHOLE: Duration = secs(60);
const SAID_WITHIN: Duration = secs(2);
/// Sentinels say hello each 2 s.
const MERGED_BY: Duration = secs(10);
/// What servers say of another cluster's.
const SAID: [&str; 2] = ["is a server of cluster", "knows this address"];

/// Its nodes have addresses that begin with these numbers.
struct Side {
    prefix: &'static str,
    servers: Vec<Container>,
    sentinels: Vec<Container>,
}

struct Town {
    image: &'static str,
    net: String,
    network: Network,
    password: Option<&'static str>,
    _turn: Turn,
}

impl Town {
    fn node(&self, name: &str, host: u8, lists: (&str, &str), sentinel: bool) -> Container {
        let ip = format!("{}.{host}", self.net);
        let settings = [
            format!("REDINIT_SERVERS={}", lists.0),
            format!("REDINIT_SENTINELS={}", lists.1),
            "REDINIT_ELECTOR=none".to_owned(),
            format!("REDIS_PASSWORD={}", self.password.unwrap_or_default()),
            format!("SENTINEL={}", if sentinel { "true" } else { "" }),
        ];
        let mut options = vec!["--network", &self.network.0, "--hostname", name, "--ip", &ip];
        for setting in settings.iter().filter(|setting| !setting.ends_with('=')) {
            options.extend(["--env", setting]);
        }
        let words: &[&str] = if sentinel { &[] } else { &["--appendonly", "yes"] };
        Container::run(name, &options, self.image, words)
    }

    fn list(&self, hosts: &[u8]) -> String {
        hosts.iter().map(|host| format!("{}.{host}", self.net)).collect::<Vec<_>>().join(",")
    }

    fn side(&self, prefix: &'static str, servers: &[u8], sentinels: &[u8]) -> Side {
        let lists = (self.list(servers), self.list(sentinels));
        let lists = (lists.0.as_str(), lists.1.as_str());
        // The same names in both: so it is where two shapes run in two namespaces.
        let all = |hosts: &[u8], name: &str, sentinel: bool| {
            (1..).zip(hosts).map(|(n, host)| self.node(&format!("{name}-{n}"), *host, lists, sentinel)).collect()
        };
        Side { prefix, servers: all(servers, "server", false), sentinels: all(sentinels, "sentinel", true) }
    }

    fn link(&self, server: &Container) -> Option<Connection> {
        let mut link = Connection::open(server.at(6379), secs(2)).ok()?;
        if let Some(password) = self.password {
            link.call(&["AUTH", password]).ok()?;
        }
        Some(link)
    }

    fn leader<'a>(&self, side: &'a Side) -> Option<&'a Container> {
        let ask = Sentinels::new(side.sentinels.iter().map(|node| node.at(26379)).collect(), "mymaster");
        let named = ask.unanimous().ok()?;
        side.servers.iter().find(|node| node.at(6379) == named).filter(|node| node.probe("master").is_ok())
    }

    #[track_caller]
    fn wait_leader<'a>(&self, side: &'a Side) -> &'a Container {
        let end = Instant::now() + WHOLE;
        loop {
            if let Some(leader) = self.leader(side) {
                return leader;
            }
            assert!(Instant::now() < end, "nobody leads {} within {WHOLE:?}", side.prefix);
            std::thread::sleep(ms(100));
        }
    }

    #[track_caller]
    fn fill(&self, side: &Side) {
        let mut link = self.link(self.wait_leader(side)).unwrap();
        for key in 0..KEYS {
            let reply = link.call(&["SET", &format!("{}:{key}", side.prefix), "x"]).unwrap();
            assert_eq!(reply, Reply::Status("OK".into()));
        }
    }

    /// With this side's prefix, and in all.
    fn keys(&self, server: &Container, prefix: &str) -> Option<(usize, Reply)> {
        let mut link = self.link(server)?;
        let found = link.call(&["KEYS", &format!("{prefix}:*")]).ok()?.items().len();
        Some((found, link.call(&["DBSIZE"]).ok()?))
    }

    #[track_caller]
    fn is_whole(&self, side: &Side, leader: &str) {
        assert_eq!(self.wait_leader(side).id, leader, "{} is led by another one", side.prefix);
        let all = Some((KEYS, Reply::Integer(i64::try_from(KEYS).unwrap())));
        for server in &side.servers {
            assert_eq!(self.keys(server, side.prefix), all, "{}, {}\n{}", side.prefix, server.name, server.log());
        }
    }
}

fn says_so(side: &Side) -> bool {
    side.servers.iter().any(|server| SAID.iter().any(|words| server.log().contains(words)))
}

fn an_address_passes(password: Option<&'static str>) {
    let image = needs_image!();
    let turn = Turn::alone();
    let (network, net) = Network::make();
    let town = Town { image, net, network, password, _turn: turn };
    let mut ours = town.side("ours", &[11, 12, 13], &[21, 22, 23]);
    let mut theirs = town.side("theirs", &[31, 32], &[41, 42, 43]);
    for _ in 0..2 {
        let (code, text) = town.wait_leader(&theirs).exec(&["redinit", "handover"]);
        assert_eq!(code, Some(0), "{text}");
    }
    if town.wait_leader(&ours).name == "server-3" {
        let (code, text) = town.wait_leader(&ours).exec(&["redinit", "handover"]);
        assert_eq!(code, Some(0), "{text}");
    }
    town.fill(&theirs);
    town.fill(&ours);
    let (our_leader, their_leader) = (town.wait_leader(&ours).id.clone(), town.wait_leader(&theirs).id.clone());
    let gone = ours.servers.pop().unwrap();
    assert_eq!(gone.stop(GRACE).0, 0);
    drop(gone);
    let began = Instant::now();
    let lists = (town.list(&[31, 32, 13]), town.list(&[41, 42, 43]));
    theirs.servers.push(town.node("server-3", 13, (&lists.0, &lists.1), false));
    let running = Instant::now();
    while !(says_so(&ours) && says_so(&theirs)) {
        assert!(running.elapsed() < SAID_WITHIN, "not both say so within {SAID_WITHIN:?}");
        std::thread::sleep(ms(50));
    }
    println!("both say so {:?} after it runs, {:?} after `docker run`", running.elapsed(), began.elapsed());
    std::thread::sleep(MERGED_BY);
    town.is_whole(&ours, &our_leader);
    town.is_whole(&theirs, &their_leader);
}

#[test]
fn n1_an_address_passes_between_containers_of_two_clusters() {
    an_address_passes(None);
}

#[test]
fn n2_the_same_between_containers_with_one_password() {
    an_address_passes(Some("same"));
}
