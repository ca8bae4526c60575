//! `examples/compose/compose.yaml`, by whichever compose there is.

use std::time::{Duration, Instant};

use super::bed::{self, Ledger, Turn, Writing, ms, secs};
use super::cli::{docker, output, said};
use super::container::Container;
use redinit::demo::sentinels::Sentinels;

const FILE: &str = "examples/compose/compose.yaml";
/// A first start, and one after everything was away.
const WHOLE: Duration = secs(60);

/// A project, taken down with its volumes when dropped.
struct Project {
    program: &'static [&'static str],
    name: String,
    image: &'static str,
}

impl Project {
    /// The newer one, or the older one.
    fn find(image: &'static str) -> Result<Self, String> {
        let programs: [&'static [&'static str]; 2] = [&["docker", "compose"], &["docker-compose"]];
        let works = |program: &&&'static [&'static str]| {
            let (first, rest) = program.split_first().unwrap();
            output("30", first, &[rest, &["version"]].concat(), &[]).status.success()
        };
        let program = programs.iter().find(works).copied().ok_or("neither `docker compose` nor `docker-compose`")?;
        Ok(Project { program, name: format!("redinit-test-{}", std::process::id()), image })
    }

    fn run(&self, words: &[&str]) -> Result<String, String> {
        let (first, rest) = self.program.split_first().unwrap();
        let words = [rest, &["--file", FILE, "--project-name", &self.name], words].concat();
        said(&output("300", first, &words, &[("REDINIT_IMAGE", self.image)]))
    }

    fn up(&self) -> Vec<Container> {
        self.run(&["up", "--detach", "--no-build"]).unwrap();
        let ids = self.run(&["ps", "--quiet"]).unwrap();
        let mut nodes: Vec<Container> = ids
            .lines()
            .map(|id| {
                let name = docker(&["inspect", "--format", "{{.Config.Hostname}}", id]);
                Container::of(&name, id)
            })
            .collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(nodes.len(), 6, "{ids}");
        nodes
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if let Err(error) = self.run(&["down", "--volumes", "--timeout", "1"]) {
            eprintln!("{} is still there: {error}", self.name);
        }
    }
}

fn sentinels(nodes: &[Container]) -> Sentinels {
    let of = |node: &&Container| node.name.starts_with("sentinel");
    Sentinels::new(nodes.iter().filter(of).map(|node| node.at(26379)).collect(), "compose")
}

/// The master, once every container is healthy by the check of the file.
#[track_caller]
fn settle(nodes: &[Container]) -> &Container {
    let began = Instant::now();
    loop {
        let unwell: Vec<_> = nodes
            .iter()
            .filter(|node| node.inspect("{{.State.Health.Status}}") != "healthy")
            .map(|n| &n.name)
            .collect();
        let named = sentinels(nodes).unanimous();
        if let (true, Ok(at)) = (unwell.is_empty(), &named) {
            println!("everybody is healthy after {:?}", began.elapsed());
            return nodes.iter().find(|node| node.at(6379) == *at).expect("one of ours");
        }
        assert!(began.elapsed() < WHOLE, "not whole within {WHOLE:?}: {unwell:?}, {named:?}");
        std::thread::sleep(ms(200));
    }
}

#[test]
fn the_compose_file_works_as_it_stands() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let project = match Project::find(image) {
        Ok(project) => project,
        Err(reason) => return bed::say_skipped("the_compose_file_works_as_it_stands", &reason),
    };
    let nodes = project.up();
    let master = settle(&nodes);
    // In its first seconds a kill may take a second longer: the Sentinels have hardly looked at the replicas (docs/docker.md).
    std::thread::sleep(secs(10));
    let mut ledger = Ledger::open(&sentinels(&nodes), "compose", &Writing { rest: ms(2), ..Writing::default() });
    assert!(ledger.wait_for(200, secs(20)), "no writes: {:?}", ledger.errors());
    docker(&["kill", &master.id]);
    let killed = Instant::now();
    std::thread::sleep(ms(100));
    assert!(ledger.wait_for(200, secs(20)), "no writes after the kill: {:?}", ledger.errors());
    let gap = ledger.longest_gap(killed, Instant::now()).length;
    ledger.close();
    let next = sentinels(&nodes).majority().expect("a majority names a master");
    let lost = ledger.lost(next).unwrap();
    println!("{} killed, {} acknowledged, {} lost, gap {gap:?}", master.name, ledger.acknowledged(), lost.len());
    assert!(lost.len() <= 2, "{lost:?}");
    assert!(gap <= secs(7), "{gap:?} without a write, promised are down-after + 2 s");
    // Down and up again, all of it at other addresses perhaps: the volumes have the data.
    let began = Instant::now();
    project.run(&["down"]).unwrap();
    println!("down took {:?}", began.elapsed());
    let nodes = project.up();
    let master = settle(&nodes);
    let again = ledger.lost(master.at(6379)).unwrap();
    assert!(again.iter().all(|key| lost.contains(key)), "lost by down and up: {again:?}");
}
