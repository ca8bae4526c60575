use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::elector::answer::GIVE_UP;
use crate::elector::campaign::Campaign;
use crate::kubernetes::access::CALL_LIMIT;
use crate::kubernetes::fake::{FakeApi, Fault};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/redis";

/// For calls that are not answered.
const SHORT: Duration = Duration::from_millis(50);

/// One candidate with its own way to the API server.
struct One {
    id: &'static str,
    lock: LeaseLock,
    campaign: Campaign,
}

impl One {
    fn new(api: &FakeApi, id: &'static str) -> Self {
        let lock = LeaseLock::new(api.access(id), "redis").expect("a name");
        One { id, lock, campaign: Campaign::new("redis", id, &format!("run of {id}")) }
    }

    fn leads(&self, now: Instant) -> bool {
        self.campaign.standing().is_some_and(|standing| standing.own && now < standing.until)
    }

    fn names(&self, now: Instant) -> Option<String> {
        self.campaign.standing().filter(|standing| now < standing.until).map(|standing| standing.leader.clone())
    }
}

/// Two candidates, and the time, which is ours: a lease of 15 s takes no time here.
struct Table {
    api: FakeApi,
    all: Vec<One>,
    start: Instant,
    now: Duration,
}

impl Table {
    fn new() -> Self {
        let api = FakeApi::start();
        let all = ["a", "b"].map(|id| One::new(&api, id)).into_iter().collect();
        Table { api, all, start: Instant::now(), now: Duration::ZERO }
    }

    /// Everybody takes a step every half second, a second later twice, for this long. Never do two lead.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 2 {
            self.now += Duration::from_millis(500);
            let now = self.start + self.now;
            for one in &mut self.all {
                let _away_or_not = one.campaign.step(&mut one.lock, &|| now, true);
            }
            let leaders: Vec<_> = self.all.iter().filter(|one| one.leads(now)).map(|one| one.id).collect();
            assert!(leaders.len() <= 1, "two leaders at {:?}: {leaders:?}", self.now);
        }
    }

    /// It does not get through, and need not wait for long to know.
    fn hurry(&mut self, id: &str) {
        self.limit(id, SHORT);
    }

    /// It gets through again.
    fn calm(&mut self, id: &str) {
        self.api.fault(id, None);
        self.limit(id, CALL_LIMIT);
    }

    fn limit(&mut self, id: &str, limit: Duration) {
        for one in self.all.iter_mut().filter(|one| one.id == id) {
            one.lock.caller.limit = limit;
        }
    }

    fn leader(&self) -> Option<&'static str> {
        let now = self.start + self.now;
        self.all.iter().find(|one| one.leads(now)).map(|one| one.id)
    }

    fn named_by(&self, id: &str) -> Option<String> {
        let now = self.start + self.now;
        self.all.iter().find(|one| one.id == id).and_then(|one| one.names(now))
    }
}

#[test]
fn a_lease_is_taken_renewed_believed_and_released() {
    let mut table = Table::new();
    table.pass(2);
    assert_eq!(table.leader(), Some("a"));
    assert_eq!(table.named_by("b").as_deref(), Some("a"));
    let object = table.api.object(PATH).expect("a Lease");
    assert_eq!(object["spec"]["holderIdentity"], "a");
    assert_eq!(object["spec"]["leaseDurationSeconds"], 15);
    assert!(object["spec"]["renewTime"].as_str().is_some_and(|time| time.ends_with('Z')), "{object}");
    let One { lock, campaign, .. } = &mut table.all[0];
    campaign.release(lock).expect("released");
    assert_eq!(table.api.object(PATH).expect("a Lease")["spec"]["holderIdentity"], "");
    table.all.swap(0, 1);
    table.pass(1);
    assert_eq!(table.leader(), Some("b"), "a released lease is free at once");
}

#[test]
fn of_those_who_read_the_same_version_one_writes() {
    let api = FakeApi::start();
    for round in 0..20 {
        let winners: usize = std::thread::scope(|scope| {
            let tasks: Vec<_> = ["a", "b", "c", "d"]
                .into_iter()
                .map(|id| {
                    let api = &api;
                    scope.spawn(move || {
                        let mut lock = LeaseLock::new(api.access(id), "redis").expect("a name");
                        let seen = lock.read().expect("read");
                        // What somebody has changed since is not what was read.
                        let lease =
                            Lease { election: "redis".into(), holder: id.into(), run: "r".into(), renewal: round };
                        (seen.version.clone(), lock.swap(&seen, &lease).expect("asked").is_some())
                    })
                })
                .collect();
            let all: Vec<_> = tasks.into_iter().map(|task| task.join().expect("no panic")).collect();
            let first = all.iter().map(|(version, _)| version).min().expect("some").clone();
            all.iter().filter(|(version, won)| *won && *version == first).count()
        });
        assert_eq!(winners, 1);
    }
}

/// The leader's way to the API server fails in every way there is; the other one's does not.
#[test]
fn a_leader_that_is_cut_off_gives_up_before_another_leads() {
    let statuses = [401, 403, 409, 429, 500, 503].map(Fault::Status);
    for fault in statuses.into_iter().chain([Fault::Unanswered, Fault::Silent]) {
        let mut table = Table::new();
        table.pass(2);
        assert_eq!(table.leader(), Some("a"));
        table.hurry("a");
        table.api.fault("a", Some(fault));
        if fault == Fault::Unanswered {
            // Its renewals are done, and it does not hear so: it holds nothing for sure, and nobody else does.
            table.pass(GIVE_UP.as_secs() + 1);
            assert_eq!(table.leader(), None);
            table.calm("a");
            table.pass(1);
            assert_eq!(table.leader(), Some("a"));
            continue;
        }
        table.pass(LEASE.as_secs() + 2);
        assert_eq!(table.leader(), Some("b"), "{fault:?}");
        table.calm("a");
        table.pass(2);
        assert_eq!((table.leader(), table.named_by("a").as_deref()), (Some("b"), Some("b")), "{fault:?}");
    }
}

#[test]
fn an_outage_for_all_leaves_nobody_and_ends_with_one() {
    let mut table = Table::new();
    table.pass(2);
    for id in ["a", "b"] {
        table.api.fault(id, Some(Fault::Status(500)));
    }
    table.pass(GIVE_UP.as_secs() + 1);
    assert_eq!((table.leader(), table.named_by("b")), (None, None));
    for id in ["a", "b"] {
        table.api.fault(id, None);
    }
    table.pass(1);
    assert_eq!(table.leader(), Some("a"), "nobody has taken what it held");
}

#[test]
fn an_outage_that_is_shorter_than_the_lease_changes_nothing() {
    let mut table = Table::new();
    table.pass(2);
    table.api.fault("a", Some(Fault::Status(503)));
    table.pass(GIVE_UP.as_secs() - 2);
    assert_eq!(table.leader(), Some("a"));
    table.api.fault("a", None);
    table.pass(20);
    assert_eq!(table.leader(), Some("a"));
}

/// A write that was on its way for longer than anybody waited arrives when another one leads.
#[test]
fn a_write_that_arrives_late_changes_nothing() {
    let mut table = Table::new();
    table.pass(2);
    table.hurry("a");
    table.api.fault("a", Some(Fault::Held));
    table.pass(1);
    table.api.fault("a", Some(Fault::Status(500)));
    table.pass(LEASE.as_secs() + 1);
    assert_eq!(table.leader(), Some("b"));
    let before = table.api.object(PATH);
    assert!(table.api.deliver() > 0);
    assert_eq!(table.api.object(PATH), before, "it named a version that does not stand any more");
}

#[test]
fn an_expired_token_is_read_anew_in_time() {
    let mut table = Table::new();
    table.pass(2);
    table.api.write_token("a", "a2");
    table.api.expire("a");
    let now = table.start + table.now;
    let One { lock, campaign, .. } = &mut table.all[0];
    assert!(campaign.step(lock, &|| now, true).is_err(), "the old token is not good any more");
    table.pass(1);
    assert_eq!(table.leader(), Some("a"));
    table.pass(20);
    assert_eq!(table.leader(), Some("a"));
}

/// Whatever the times in the object say: only a change that was seen counts.
#[test]
fn clocks_that_differ_mean_nothing() {
    for time in ["1999-01-01T00:00:00.000000Z", "2199-01-01T00:00:00.000000Z"] {
        let mut table = Table::new();
        table.pass(2);
        table.api.fault("a", Some(Fault::Status(500)));
        let mut object = table.api.object(PATH).expect("a Lease");
        object["spec"]["renewTime"] = json!(time);
        object["spec"]["leaseDurationSeconds"] = json!(1);
        table.api.put(PATH, object);
        table.pass(LEASE.as_secs());
        assert_eq!(table.leader(), None, "b must wait for a whole lease: {time}");
        table.pass(2);
        assert_eq!(table.leader(), Some("b"), "{time}");
    }
}

#[test]
fn what_others_keep_in_the_object_stays_and_what_they_hold_is_theirs() {
    let api = FakeApi::start();
    let metadata = json!({"name": "redis", "labels": {"app": "redis"}, "annotations": {"note": "x"}});
    api.put(PATH, json!({"metadata": metadata, "spec": {"holderIdentity": "foreign", "leaseDurationSeconds": 15}}));
    let mut lock = LeaseLock::new(api.access("a"), "redis").expect("a name");
    let seen = lock.read().expect("read");
    assert_eq!(seen.lease.as_ref().map(|lease| lease.holder.as_str()), Some("foreign"));
    let lease = Lease { election: "redis".into(), holder: "a".into(), run: "r".into(), renewal: 7 };
    let stamp = lock.swap(&seen, &lease).expect("asked").expect("won");
    assert_eq!(stamp.lease, Some(lease.clone()));
    let object = api.object(PATH).expect("a Lease");
    assert_eq!(
        (&object["metadata"]["labels"]["app"], &object["metadata"]["annotations"]["note"]),
        (&json!("redis"), &json!("x"))
    );
    // Deleted by hand, and not created anew by who thinks that it is there.
    api.delete(PATH);
    assert_eq!(lock.swap(&stamp, &lease).expect("asked"), None);
    assert_eq!(lock.read().expect("read"), Stamp::default());
}

#[test]
fn an_empty_lease_that_came_with_the_manifest_is_free() {
    let mut table = Table::new();
    table.api.put(PATH, json!({"metadata": {"name": "redis"}}));
    table.pass(1);
    assert_eq!(table.leader(), Some("a"));
    assert_eq!(table.api.objects(LEASES).len(), 1);
}

#[test]
fn garbage_in_the_object_is_nobody() {
    let api = FakeApi::start();
    let mut lock = LeaseLock::new(api.access("a"), "redis").expect("a name");
    for holder in ["x".repeat(300), "a\nb".to_owned()] {
        api.put(PATH, json!({"metadata": {"name": "redis"}, "spec": {"holderIdentity": holder}}));
        let seen = lock.read().expect("read");
        assert!(seen.lease.is_none() && !seen.version.is_empty());
    }
    api.put(PATH, json!({"metadata": {"name": "redis"}, "spec": 7}));
    assert!(lock.read().is_err());
}

#[test]
fn a_missing_right_is_said_with_where_it_is_written_down() {
    let api = FakeApi::start();
    let mut lock = LeaseLock::new(api.access("a"), "redis").expect("a name");
    api.fault("a", Some(Fault::Status(403)));
    let said = lock.read().expect_err("refused").to_string();
    assert!(said.contains("must not read the Lease ns/redis") && said.contains("docs/elector.md"), "{said}");
    api.fault("a", Some(Fault::Silent));
    lock.caller.limit = SHORT;
    let said = lock.read().expect_err("silent").to_string();
    assert!(said.contains("no answer within 50 ms"), "{said}");
}

#[test]
fn a_name_that_kubernetes_refuses_is_refused_at_once() {
    for (name, good) in
        [("redis", true), ("a.b-c9", true), ("My_Redis", false), ("-a", false), ("a.", false), ("", false)]
    {
        assert_eq!(is_name(name), good, "{name}");
    }
    assert!(LeaseLock::new(FakeApi::start().access("a"), "My_Redis").is_err());
}

/// On a real API server: `KUBECONFIG` of any cluster whose user may use Leases in the namespace `default`.
#[test]
fn two_candidates_on_a_real_api_server() {
    if std::env::var_os("KUBECONFIG").is_none() {
        return println!("SKIPPED two_candidates_on_a_real_api_server: KUBECONFIG is not set");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = runtime.block_on(kube::Config::from_kubeconfig(&Default::default())).expect("KUBECONFIG");
    let election = format!("redinit-test-{}", std::process::id());
    let lock = || LeaseLock::new(Access::new(config.clone()), &election).expect("a name");
    let (mut a, mut b) = (lock(), lock());
    let (start, mut now) = (Instant::now(), Duration::ZERO);
    let mut campaigns = [Campaign::new(&election, "a", "ra"), Campaign::new(&election, "b", "rb")];
    let mut leaders = Vec::new();
    for half_seconds in 0..60 {
        now += Duration::from_millis(500);
        let at = start + now;
        // From 5 s to 25 s a does not get through.
        if !(10..50).contains(&half_seconds) {
            campaigns[0].step(&mut a, &|| at, true).expect("a step");
        }
        campaigns[1].step(&mut b, &|| at, true).expect("a step");
        let leads = |campaign: &Campaign| campaign.standing().is_some_and(|one| one.own && at < one.until);
        leaders.push(campaigns.iter().map(leads).collect::<Vec<_>>());
    }
    campaigns[1].release(&mut b).expect("released");
    let released = a.read().expect("read").lease.expect("a Lease");
    runtime.block_on(async {
        let client = kube::Client::try_from(config.clone()).expect("a client");
        let leases: Api<Object> = Api::default_namespaced(client);
        leases.delete(&election, &Default::default()).await.expect("deleted");
    });
    assert!(leaders.iter().all(|both| both != &[true, true]), "two leaders");
    assert_eq!((leaders[3].as_slice(), leaders[59].as_slice()), (&[true, false][..], &[false, true][..]));
    assert_eq!(released.holder, "");
}
