//! Carries out the core's orders to the child, strictly one after the other, and its looks beside them.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::convert::{self, Conversion, Job};
use super::detect::Engine;
use super::error::EngineError;
use super::examine::examine;
use super::files::{socket_place, writable_directory};
use super::life::Life;
use super::loading::{self, Loading};
use super::own_config::OwnConfig;
use super::process::{Launch, Processes};
use super::render::{self, Start};
use super::secret::ChildPassword;
use super::sentinel_file::SentinelState;
use super::store::remove_leftovers;
use super::wire::{Door, Wire};
use super::{acl, keep, looks, orders};
use crate::config::settings::Settings;
use crate::control::clock::Clock;
use crate::control::events::EventSender;
use crate::core::action::{Birth, ChildOrder, Depth};
use crate::core::ailment::{Ailment, Complaint};
use crate::core::event::{Done, Event, OrderFailure};
use crate::core::id::{Address, OrderId};
use crate::core::rules::Mode;
use crate::core::seen::ChildFailure;

/// Orders that may wait; the core gives a handful at most.
const QUEUE: usize = 256;
/// Looks under way at once; one more is answered as silence.
const LOOKS: usize = 16;
/// A quickening ends by itself after this, even if the core forgets it (design section 4).
const QUICKENED: Duration = Duration::from_secs(3);
/// Ending it is tried again this often.
const UNQUICKEN_TRIES: u32 = 25;
const UNQUICKEN_AGAIN: Duration = Duration::from_millis(200);

/// The driver of the own child. Cheap to clone.
#[derive(Clone)]
pub struct ChildDriver {
    shared: Arc<Shared>,
    queue: mpsc::Sender<(OrderId, ChildOrder)>,
}

struct Shared {
    engine: Engine,
    settings: Arc<Settings>,
    processes: Arc<dyn Processes>,
    clock: Clock,
    events: EventSender,
    life: Mutex<Option<Arc<Life>>>,
    spawns_waiting: AtomicUsize,
    looks: AtomicUsize,
}

impl ChildDriver {
    /// A driver without a child. Called within the runtime on the main thread: children are started there, since a
    /// parent-death signal follows the thread that started them (P34).
    pub fn new(
        engine: Engine,
        settings: Arc<Settings>,
        processes: Arc<dyn Processes>,
        clock: Clock,
        events: EventSender,
    ) -> Self {
        let shared = Arc::new(Shared {
            engine,
            settings,
            processes,
            clock,
            events,
            life: Mutex::new(None),
            spawns_waiting: AtomicUsize::new(0),
            looks: AtomicUsize::new(0),
        });
        if shared.settings.mode == Mode::Server && shared.settings.password.is_none() {
            tracing::warn!("no password is set: everybody who reaches the port may read and write; set `password`");
        }
        let (queue, mut waiting) = mpsc::channel::<(OrderId, ChildOrder)>(QUEUE);
        let worker = shared.clone();
        tokio::spawn(async move {
            while let Some((id, order)) = waiting.recv().await {
                let done = worker.carry_out(order).await;
                worker.events.send(Event::ChildDone { id, done }).await;
            }
        });
        ChildDriver { shared, queue }
    }

    /// Looks at the child; `Event::Child` follows within the look limit.
    pub fn look(&self, depth: Depth) {
        let shared = self.shared.clone();
        let asked = shared.clock.now();
        tokio::spawn(async move {
            let seen = if shared.looks.fetch_add(1, Ordering::Relaxed) >= LOOKS {
                Err(ChildFailure::Silent)
            } else {
                match shared.life() {
                    Some(life) => looks::look(&life, depth).await,
                    None => Err(ChildFailure::NotListening),
                }
            };
            shared.looks.fetch_sub(1, Ordering::Relaxed);
            shared.events.send(Event::Child { asked, seen }).await;
        });
    }

    /// A check of large files takes long: nothing waits for it.
    fn examine(&self, id: OrderId, complaint: Complaint) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let of = shared.clone();
            let look = move || examine(complaint, &of.settings, &of.engine, of.processes.as_ref());
            let found = tokio::task::spawn_blocking(look).await.unwrap_or(Ailment::Unclear);
            shared.events.send(Event::ChildDone { id, done: Ok(Done::Found(found)) }).await;
        });
    }

    /// Gives an order; `Event::ChildDone` follows. Orders are carried out in the order given, but a SIGKILL waits for
    /// nothing except a start that was ordered before it.
    pub fn order(&self, id: OrderId, order: ChildOrder) {
        if let ChildOrder::Examine(complaint) = order {
            return self.examine(id, complaint);
        }
        match &order {
            ChildOrder::Spawn(_) => drop(self.shared.spawns_waiting.fetch_add(1, Ordering::AcqRel)),
            ChildOrder::Terminate | ChildOrder::ShutdownNow | ChildOrder::Kill => {
                if let Some(life) = self.shared.life() {
                    life.hurry.store(true, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        let at_once = matches!(order, ChildOrder::Kill | ChildOrder::KillRest)
            && self.shared.spawns_waiting.load(Ordering::Acquire) == 0;
        if at_once {
            let done = self.shared.signal(&order);
            self.tell(id, done);
        } else if let Err(full) = self.queue.try_send((id, order)) {
            let (id, order) = match full {
                mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job) => job,
            };
            if matches!(order, ChildOrder::Spawn(_)) {
                self.shared.spawns_waiting.fetch_sub(1, Ordering::AcqRel);
            }
            self.tell(id, Err(OrderFailure::Refused("too many orders wait".into())));
        }
    }

    fn tell(&self, id: OrderId, done: Result<Done, OrderFailure>) {
        let events = self.shared.events.clone();
        tokio::spawn(async move { events.send(Event::ChildDone { id, done }).await });
    }
}

impl Drop for Shared {
    /// A socket directory of our own goes with us; the data directory's socket is the engine's to remove.
    fn drop(&mut self) {
        let Some(life) = self.life() else { return };
        let Some(directory) = life.door.socket.parent().filter(|directory| *directory != life.data_dir) else { return };
        let _gone = std::fs::remove_file(&life.door.socket);
        let _left = std::fs::remove_dir(directory);
    }
}

impl Shared {
    fn life(&self) -> Option<Arc<Life>> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn carry_out(self: &Arc<Self>, order: ChildOrder) -> Result<Done, OrderFailure> {
        match order {
            ChildOrder::Spawn(birth) => {
                let done = self.spawn(birth).await;
                self.spawns_waiting.fetch_sub(1, Ordering::AcqRel);
                return done;
            }
            ChildOrder::Terminate | ChildOrder::Kill | ChildOrder::KillRest => return self.signal(&order),
            _ => {}
        }
        let Some(life) = self.life() else { return Err(OrderFailure::NoChild("none was started".into())) };
        match order {
            ChildOrder::Keep => return keep::keep(&life).await,
            // Before the order: one that is not answered may have happened.
            ChildOrder::Quicken => end_quickening_later(&life),
            ChildOrder::Unquicken => drop(life.quickened.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
        orders::carry_out(&life, &order).await
    }

    fn signal(&self, order: &ChildOrder) -> Result<Done, OrderFailure> {
        let sent = match order {
            ChildOrder::Terminate => self.processes.terminate(),
            ChildOrder::KillRest => self.processes.kill_rest(),
            _ => self.processes.kill_group(),
        };
        sent.map(|()| Done::Ok).map_err(OrderFailure::NoChild)
    }

    async fn spawn(&self, birth: Birth) -> Result<Done, OrderFailure> {
        let (settings, engine) = (self.settings.clone(), self.engine.clone());
        // Files on slow volumes: not on the control thread.
        let prepared = tokio::task::spawn_blocking(move || prepare(&settings, &engine, &birth)).await;
        let Prepared { life, launch, job } = match prepared {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(error)) => return Err(OrderFailure::NoChild(error.to_string())),
            Err(_ended) => return Err(OrderFailure::NoChild("its files could not be prepared".into())),
        };
        let pid = self.processes.spawn(&launch).map_err(OrderFailure::NoChild)?;
        tracing::info!(pid, engine = %self.engine.name, version = %self.engine.version, "child started");
        let life = Arc::new(life);
        if let Some(job) = job {
            tokio::spawn(convert::run(Arc::downgrade(&life), job));
        }
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = Some(life);
        Ok(Done::Spawned { pid })
    }
}

/// A child to be.
struct Prepared {
    life: Life,
    launch: Launch,
    /// What there is to do once it has loaded.
    job: Option<Job>,
}

/// Renders the files for a new child.
fn prepare(settings: &Settings, engine: &Engine, birth: &Birth) -> Result<Prepared, EngineError> {
    let own = OwnConfig::read(settings)?;
    let (loading, _) = loading::judge(settings, &own, engine)?;
    writable_directory(&settings.data_dir)?;
    loading::make_way(&loading)?;
    let socket = socket_place(&settings.data_dir)?;
    let password = ChildPassword::random()?;
    let start = Start { settings, own: &own, engine, socket: &socket, password: &password };
    let (mode, args) = match birth {
        Birth::Server => {
            if let Err(error) = remove_leftovers(&settings.data_dir) {
                tracing::warn!(%error, "half-written files of an earlier child stay");
            }
            (Mode::Server, vec![OsString::from(render::server(start, &loading)?)])
        }
        Birth::Sentinel(told) => {
            let file = render::sentinel_file(&settings.data_dir);
            let mut state = SentinelState::read(&file, settings, own.resolve_hostnames)?;
            state.complete(told);
            (Mode::Sentinel, vec![render::sentinel(start, &state)?.into(), OsString::from("--sentinel")])
        }
    };
    let launch = Launch { program: engine.server_binary.clone(), args, cwd: settings.data_dir.clone() };
    let shared = own.masterauth.clone().or(settings.password.clone()).or(own.requirepass.clone());
    let replicas = acl::replicas(&own, &settings.replication_users);
    let life = Life {
        mode,
        shared_login: (own.masteruser.clone().unwrap_or_default(), shared.unwrap_or_default()),
        own_login: (acl::REPLICATION.to_owned(), render::replication_password(settings, &own)),
        cluster_secret: render::cluster_secret(settings, &own),
        cluster: Mutex::new(None),
        // One that the settings name stays let in, whoever comes and goes.
        default_replicates: acl::default_replicates(&own.users) && !replicas.iter().any(|name| name == "default"),
        door: Door { socket, password },
        orders: Wire::default(),
        looks: Wire::default(),
        last: Mutex::new(None),
        me: Address::new(settings.announce_ip, settings.port),
        port: settings.port,
        data_dir: settings.data_dir.clone(),
        priority: own.priority.unwrap_or(100),
        min_replicas: AtomicU32::new(render::own_min_replicas(settings, &own)),
        released: AtomicBool::new(false),
        quickened: AtomicU64::new(0),
        conversion: Conversion::of(&loading),
        hurry: AtomicBool::new(false),
    };
    let job = (loading != Loading::ByItself).then(|| Job { loading, names: own.data, engine: engine.clone() });
    Ok(Prepared { life, launch, job })
}

/// Ends this quickening after 3 s, unless it was ended or begun anew. Over the wire of its own order, so that a
/// child that is slow does not keep it.
fn end_quickening_later(life: &Arc<Life>) {
    let mine = life.quickened.fetch_add(1, Ordering::Relaxed) + 1;
    let life = life.clone();
    tokio::spawn(async move {
        tokio::time::sleep(QUICKENED).await;
        for _ in 0..UNQUICKEN_TRIES {
            if life.quickened.load(Ordering::Relaxed) != mine {
                return;
            }
            match orders::carry_out(&life, &ChildOrder::Unquicken).await {
                Ok(_) | Err(OrderFailure::NoChild(_)) => return,
                Err(_) => tokio::time::sleep(UNQUICKEN_AGAIN).await,
            }
        }
    });
}
