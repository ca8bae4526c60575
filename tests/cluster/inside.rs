//! What runs in the clients' pod: writers with a ledger, and a watch for a second master. It reads one order a line, as
//! JSON, and answers each with one line.

use std::io::{BufRead, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use redinit::demo::ledger::{Ledger, Writing};
use redinit::demo::sentinels::Sentinels;
use redinit::demo::watch::Watch;
use redinit::demo::wire::Connection;
use serde_json::{Value, json};

use super::bed::{ms, secs};

/// Answers begin with it; what else is printed there is the test runner's.
pub const MARK: &str = "> ";
/// How long a name may take to appear, and a master to be found.
const PATIENCE: Duration = secs(60);
/// One round of the watch.
const ROUND: Duration = ms(100);
/// The size of a value of the filling.
const VALUE: usize = 10_000;
/// How many of them go out in one go.
const BATCH: usize = 50;

#[derive(Default)]
struct Inside {
    sentinels: Option<Sentinels>,
    ledger: Option<Ledger>,
    watch: Option<Watch>,
    /// What ended watches saw.
    doubles: Vec<String>,
}

/// Serves until its input ends.
pub fn serve() {
    let mut inside = Inside::default();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let order: Value = serde_json::from_str(&line).unwrap_or_default();
        let answer = inside.obey(&order).unwrap_or_else(|error| json!({ "error": error }));
        let mut out = std::io::stdout().lock();
        if writeln!(out, "\n{MARK}{answer}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

impl Inside {
    fn obey(&mut self, order: &Value) -> Result<Value, String> {
        match order["do"].as_str().unwrap_or_default() {
            "find" => {
                self.find(order["sentinels"].as_str().unwrap_or_default(), order["name"].as_str().unwrap_or_default())
            }
            "master" => Ok(json!({ "master": self.sentinels()?.first_answer(0).map(|at| at.to_string()) })),
            "open" => self.open(order),
            "watch" => self.look_at(order),
            "progress" => self.progress(order),
            "close" => self.close(order),
            "fill" => self.fill(order),
            "keys" => self.keys(),
            other => Err(format!("unknown order {other:?}")),
        }
    }

    /// The address of the Sentinels' Service, as soon as there is one.
    fn find(&mut self, host: &str, name: &str) -> Result<Value, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            match host.to_socket_addrs() {
                Ok(found) => {
                    self.sentinels = Some(Sentinels::new(found.collect(), name));
                    return Ok(json!({}));
                }
                Err(error) if Instant::now() > end => return Err(format!("{host}: {error}")),
                Err(_) => std::thread::sleep(ms(100)),
            }
        }
    }

    fn sentinels(&self) -> Result<&Sentinels, String> {
        self.sentinels.as_ref().ok_or_else(|| "no Sentinels".to_owned())
    }

    fn open(&mut self, order: &Value) -> Result<Value, String> {
        let writing = Writing { rest: ms(order["rest_ms"].as_u64().unwrap_or(0)), ..Writing::default() };
        let name = order["name"].as_str().unwrap_or_default();
        self.ledger = Some(Ledger::open(self.sentinels()?, name, &writing));
        self.doubles.clear();
        Ok(json!({}))
    }

    /// From now on these servers are watched.
    fn look_at(&mut self, order: &Value) -> Result<Value, String> {
        self.end_watch();
        let servers = order["servers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let servers: Vec<SocketAddr> = servers.filter_map(|server| server.parse().ok()).collect();
        self.watch = Some(Watch::start(servers, ROUND));
        Ok(json!({}))
    }

    fn end_watch(&mut self) {
        let seen = self.watch.take().map(Watch::end).unwrap_or_default();
        self.doubles.extend(seen.doubles.iter().map(|double| format!("{double:?}")));
    }

    /// Milliseconds since the ledger was opened: now, and when every writer had written after `after_ms`.
    fn progress(&self, order: &Value) -> Result<Value, String> {
        let ledger = self.ledger.as_ref().ok_or("no ledger")?;
        let after = ledger.began() + ms(order["after_ms"].as_u64().unwrap_or(0));
        let since = |moment: Instant| moment.duration_since(ledger.began()).as_millis();
        let written = ledger.all_after(after).map(|moment| u64::try_from(since(moment)).unwrap_or(u64::MAX));
        let now = u64::try_from(since(Instant::now())).unwrap_or(u64::MAX);
        Ok(json!({ "now_ms": now, "acknowledged": ledger.acknowledged(), "written_ms": written }))
    }

    /// Stops the writers, and counts what the master does not have.
    fn close(&mut self, order: &Value) -> Result<Value, String> {
        let mut ledger = self.ledger.take().ok_or("no ledger")?;
        let from = ledger.began() + ms(order["from_ms"].as_u64().unwrap_or(0));
        let gap = ledger.longest_gap(from, Instant::now());
        ledger.close();
        self.end_watch();
        let lost = self.at_the_master(|master| ledger.lost(master))?;
        let gap_ms = u64::try_from(gap.length.as_millis()).unwrap_or(u64::MAX);
        let answer = json!({
            "lost": lost.len(), "some": lost.iter().take(5).collect::<Vec<_>>(), "gap_ms": gap_ms,
            "acknowledged": ledger.acknowledged(), "errors": ledger.errors(), "doubles": self.doubles,
        });
        self.at_the_master(|master| ledger.erase(master))?;
        Ok(answer)
    }

    fn keys(&self) -> Result<Value, String> {
        let count = self.at_the_master(|master| Connection::open(master, secs(5))?.call(&["DBSIZE"]))?;
        Ok(json!({ "keys": count.text().and_then(|text| text.parse::<u64>().ok()) }))
    }

    /// Whatever fails is tried anew, for the master may just be changing.
    fn at_the_master<T>(&self, act: impl Fn(SocketAddr) -> std::io::Result<T>) -> Result<T, String> {
        let end = Instant::now() + PATIENCE;
        for turn in 0.. {
            let done = match self.sentinels()?.first_answer(turn) {
                Some(master) => act(master).map_err(|error| format!("{master}: {error}")),
                None => Err("no Sentinel names a master".to_owned()),
            };
            match done {
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => std::thread::sleep(ms(200)),
                Ok(done) => return Ok(done),
            }
        }
        Err("unreachable".to_owned())
    }

    /// So many megabytes of keys of their own.
    fn fill(&self, order: &Value) -> Result<Value, String> {
        let keys = usize::try_from(order["mb"].as_u64().unwrap_or(0)).unwrap_or(0) * 1_000_000 / VALUE;
        let mut number = 0_u32;
        let noise = || {
            // Cheap, and hardly compressible.
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + u8::try_from(number >> 25).unwrap_or(0) % 90)
        };
        let value: String = std::iter::repeat_with(noise).take(VALUE).collect();
        for first in (0..keys).step_by(BATCH) {
            self.at_the_master(|master| {
                let mut connection = Connection::open(master, secs(20))?;
                for key in first..first + BATCH {
                    connection.push(&["SET", &format!("fill:{key}"), &value]);
                }
                connection.flush()?;
                (0..BATCH).try_for_each(|_| match connection.read()? {
                    redinit::demo::wire::Reply::Status(_) => Ok(()),
                    other => Err(std::io::Error::other(format!("{other:?}"))),
                })
            })?;
        }
        Ok(json!({ "keys": keys }))
    }
}
