//! `redinit run`: everything put together, and the loop.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::api::desk::Desk;
use crate::api::key::PeerKey;
use crate::api::peers::Peers;
use crate::api::server;
use crate::api::shared::{EngineShown, Published, Shared};
use crate::api::{ApiError, Listen};
use crate::config::Settings;
use crate::control::alarm::Alarm;
use crate::control::clock::Clock;
use crate::control::drivers::{Drivers, Rest};
use crate::control::events::{self, EventReceiver, EventSender};
use crate::control::rules::rules;
use crate::control::saver::Saver;
use crate::core::Supervisor;
use crate::core::action::{Action, Exit};
use crate::core::event::Event;
use crate::core::moment::Moment;
use crate::core::record::Recovered;
use crate::core::rules::{Mode, Rules};
use crate::core::status::HistoryLine;
use crate::discovery::Discovery;
use crate::engine::store::{Store, StoreError};
use crate::engine::{self, ChildDriver, Engine, EngineError, OwnConfig, Reaped};
use crate::init::reaper::Reaper;
use crate::init::signals::Signals;
use crate::{elector, telemetry};

/// At most this many events are taken in before the picture is shown again.
const BATCH: usize = 64;
/// The picture for probes and people is at most this old.
const SHOWN_EVERY: Duration = Duration::from_millis(100);
/// In that time it is shown anew at most this often: in calm after every turn, which saves a turn just to show it.
const SHOWN_AT_MOST: u32 = 8;
/// The loop turns at least this often: the heartbeat behind `/livez`.
const BEAT: Duration = Duration::from_millis(500);

/// Why supervising could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine, its files or the data directory.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The state file or its lock.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our own socket or port.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Something that the user cannot set right.
    #[error("cannot start: {0}")]
    Internal(#[from] std::io::Error),
}

impl StartError {
    /// 78 for what the user can set right, else 70.
    pub fn status(&self) -> u8 {
        match self {
            StartError::Engine(_) | StartError::Store(_) => 78,
            StartError::Api(error) => error.status(),
            StartError::Internal(_) => 70,
        }
    }
}

/// Supervises until the end; the exit status.
pub fn run(mut settings: Settings, signals: Signals) -> Result<u8, StartError> {
    let own = OwnConfig::read(&settings)?;
    own.apply(&mut settings);
    let reaper = Reaper::new();
    let (sender, receiver) = events::channel();
    let processes = Arc::new(Reaped::new(reaper.clone(), sender.clone()));
    let engine = engine::detect(&settings, processes.as_ref())?;
    engine::judge(&settings, &own, &engine)?;
    engine::writable_directory(&settings.data_dir)?;
    let (store, recovered) = open_store(&settings)?;
    if signals.pending_stop() {
        return Ok(Exit::Asked.status());
    }
    if !crate::init::alive_as_pid1() {
        crate::init::become_subreaper()?;
    }
    let clock = Clock::new();
    let nonce = getrandom::u64().map_err(ApiError::Random)?;
    #[cfg(feature = "kubernetes")]
    let pods = {
        let pods = crate::kubernetes::Pods::start(&settings, &format!("{nonce:016x}"), sender.clone());
        settings.pod = settings.pod.filter(|_| pods.is_some());
        pods
    };
    let rules = rules(&settings, &own, &engine, nonce);
    telemetry::name_node(rules.me);
    tracing::info!(engine = %engine.name, version = %engine.version, mode = ?settings.mode, "redinit {} starts", env!("CARGO_PKG_VERSION"));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        let parts = Parts {
            settings: Arc::new(settings),
            engine,
            rules,
            recovered,
            store,
            clock,
            sender,
            receiver,
            processes,
            #[cfg(feature = "kubernetes")]
            pods,
        };
        parts.supervise(signals, reaper).await
    });
    // A name server that says nothing held a dropped runtime for 10 s (design section 4, Stopping).
    runtime.shutdown_background();
    exit.map(Exit::status)
}

/// Locks the data directory and reads what an earlier life left. A broken state file counts as lost; one of another
/// group ends us, before anything of its data is touched or spread.
fn open_store(settings: &Settings) -> Result<(Option<Store>, Option<Recovered>), StartError> {
    let store = Store::open(&settings.data_dir)?;
    let recovered = match store.load(&settings.master_name) {
        Ok(recovered) => recovered,
        Err(error @ StoreError::Broken { .. }) => {
            tracing::warn!(%error, "the state file");
            None
        }
        Err(error) => return Err(error.into()),
    };
    store.belongs(recovered.as_ref(), settings.cluster_id.as_ref())?;
    match engine::store::remove_leftovers(&settings.data_dir) {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "removed temporary files of a dead child"),
        Err(error) => tracing::warn!(%error, "temporary files of a dead child could not be removed"),
    }
    Ok((Some(store), recovered.filter(|_| settings.mode == Mode::Server)))
}

/// What the loop is made of.
struct Parts {
    settings: Arc<Settings>,
    engine: Engine,
    rules: Rules,
    recovered: Option<Recovered>,
    store: Option<Store>,
    clock: Clock,
    sender: EventSender,
    receiver: EventReceiver,
    processes: Arc<Reaped>,
    #[cfg(feature = "kubernetes")]
    pods: Option<crate::kubernetes::Pods>,
}

impl Parts {
    async fn supervise(self, signals: Signals, reaper: Reaper) -> Result<Exit, StartError> {
        let Parts { settings, engine, rules, recovered, store, clock, sender, receiver, processes, .. } = self;
        let key = settings.password.as_ref().map(PeerKey::derive);
        let me = rules.me;
        let shown = EngineShown { name: engine.name.to_string(), version: engine.version.to_string() };
        let core = Supervisor::new(rules, recovered, clock.now());
        let wall_base = SystemTime::now();
        let published = Published { status: core.status(), history: Arc::from([]), engine: shown.clone(), wall_base };
        let shared = Arc::new(Shared::new(clock, published));
        let (desk, inbox) = Desk::new(sender.clone());
        let listen = Listen { socket: settings.socket.clone(), http: settings.http_listen };
        let peers = Peers::new(&settings, me, clock, sender.clone(), key.clone())?;
        // Dropped last: probes are answered until the very end (P36, P41).
        let _server = server::start(listen, Arc::clone(&shared), inbox, key)?;
        signals.run(sender.clone(), reaper)?;
        let drivers = Drivers {
            child: ChildDriver::new(engine, Arc::clone(&settings), processes, clock, sender.clone()),
            discovery: Discovery::new(Arc::clone(&settings), clock, sender.clone()),
            elector: elector::Client::new(Arc::clone(&settings), clock, sender.clone()),
            peers,
            desk,
            saver: Arc::new(Saver::start(store)?),
            #[cfg(feature = "kubernetes")]
            pods: self.pods,
        };
        let show = Show {
            count: (Moment::ZERO, 0),
            probes: core.probes().verdicts(),
            history: (0, Arc::from([])),
            shared,
            engine: shown,
            wall_base,
        };
        let alarm = Alarm::new(clock)?;
        Ok(Loop { core, drivers, clock, alarm, receiver, show }.turn_until_exit().await)
    }
}

/// What is shown after every batch.
struct Show {
    /// How often it has been shown since when.
    count: (Moment, u32),
    /// What every probe answered when it was shown last.
    probes: [bool; 5],
    /// The history, after so many decisions.
    history: (u64, Arc<[HistoryLine]>),
    shared: Arc<Shared>,
    engine: EngineShown,
    wall_base: SystemTime,
}

impl Show {
    /// Shows the picture, unless that was done often in the last moments and every probe still answers as it did then:
    /// in a handover the loop turns hundreds of times a second, and a new master must be ready by the time its
    /// predecessor exits (C7). Says whether it was.
    fn publish_soon(&mut self, core: &Supervisor, now: Moment) -> bool {
        let (since, count) = self.count;
        self.count = if now.since(since) >= SHOWN_EVERY { (now, 1) } else { (since, count + 1) };
        let due = self.count.1 <= SHOWN_AT_MOST || core.probes().verdicts() != self.probes;
        if due {
            self.publish(core);
        }
        due
    }

    fn publish(&mut self, core: &Supervisor) {
        let status = core.status();
        self.probes = status.probes.verdicts();
        if self.history.0 != core.decided() {
            self.history = (core.decided(), core.history().cloned().collect());
        }
        let (history, engine) = (Arc::clone(&self.history.1), self.engine.clone());
        self.shared.publish(Published { status, history, engine, wall_base: self.wall_base });
    }
}

struct Loop {
    core: Supervisor,
    drivers: Drivers,
    clock: Clock,
    alarm: Alarm,
    receiver: EventReceiver,
    show: Show,
}

impl Loop {
    async fn turn_until_exit(mut self) -> Exit {
        self.core.handle(Event::Tick, self.clock.now());
        loop {
            if let Some(exit) = self.carry_out_all().await {
                self.show.publish(&self.core);
                return exit;
            }
            self.show.shared.beat();
            let now = self.clock.now();
            let longest = now + if self.show.publish_soon(&self.core, now) { BEAT } else { SHOWN_EVERY };
            let wake = self.core.poll_timeout().map_or(longest, |at| at.min(longest));
            let event = tokio::select! {
                biased;
                event = self.receiver.recv() => event,
                () = self.alarm.ring(wake) => None,
            };
            match event {
                Some(event) => self.take_in(event),
                None => self.core.handle(Event::Tick, self.clock.now()),
            }
        }
    }

    fn take_in(&mut self, event: Event) {
        self.hand_over(event);
        for _ in 1..BATCH {
            let Ok(event) = self.receiver.try_recv() else { return };
            self.hand_over(event);
        }
    }

    /// A request that nobody waits for any more (we were frozen) must not be acted on (M29).
    fn hand_over(&mut self, event: Event) {
        if self.drivers.desk.wants(&event) {
            self.core.handle(event, self.clock.now());
        }
    }

    async fn carry_out_all(&mut self) -> Option<Exit> {
        while let Some(action) = self.core.poll_action() {
            if matches!(action, Action::Inform { .. }) {
                // Whoever is told that something is done may look at once.
                self.show.publish(&self.core);
            }
            match self.drivers.carry_out(action).await {
                Rest::Done => {}
                Rest::LogStatus => self.log_status(),
                Rest::Exit(exit) => return Some(exit),
            }
        }
        None
    }

    fn log_status(&mut self) {
        self.show.publish(&self.core);
        let picture = crate::api::picture::Picture::take(&self.show.shared);
        match serde_json::to_string(&picture) {
            Ok(status) => tracing::info!(status, "status"),
            Err(error) => tracing::warn!(%error, "the status cannot be written"),
        }
    }
}
