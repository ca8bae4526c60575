//! A start that loads from one kind of file and goes on with the other (U01). Until all of it is in the other one, looks show a
//! child that loads: nobody leads with it, follows with it or writes to it, so a crash at any step finds what there was before.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::data;
use super::detect::Engine;
use super::info::Info;
use super::keep::{now, save, say};
use super::life::Life;
use super::loading::Loading;
use super::names::DataNames;
use crate::core::event::OrderFailure;
use crate::core::seen::{Appended, ChildSeen, Link, RoleSeen};

/// Between two questions whether it is done.
const POLL: Duration = Duration::from_millis(50);
/// What has failed is tried again after this, for as long as the child lives.
const AGAIN: Duration = Duration::from_secs(5);
/// A save, or the first append-only file, takes no longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// How far it is.
#[derive(Debug, Default)]
pub struct Conversion(Mutex<Stage>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// There is nothing to do, or it has been forgotten.
    #[default]
    None,
    UnderWay,
    Done(LoadedFrom),
}

/// What it holds comes from this, whatever it appends to now: by that its rank is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadedFrom {
    Snapshot,
    AppendOnlyFile { bytes: u64 },
}

impl Conversion {
    /// What a start begins with.
    pub fn of(loading: &Loading) -> Self {
        Conversion(Mutex::new(if *loading == Loading::ByItself { Stage::None } else { Stage::UnderWay }))
    }

    fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Shows what a look has seen as what it means. Once it streams or leads, what it loaded matters no more.
    pub fn show(&self, seen: &mut ChildSeen) {
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *stage {
            Stage::None => {}
            Stage::UnderWay => seen.loading = seen.loading.or(Some(Duration::ZERO)),
            Stage::Done(_)
                if seen.role.is_master() || matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. }) =>
            {
                *stage = Stage::None;
            }
            Stage::Done(LoadedFrom::Snapshot) => (seen.aof, seen.appended) = (false, None),
            Stage::Done(LoadedFrom::AppendOnlyFile { bytes }) => {
                seen.aof = true;
                seen.appended = Some(Appended { offset: seen.history.offset, bytes });
            }
        }
    }
}

/// What there is to do.
pub struct Job {
    /// How it is loaded, and what becomes of it.
    pub loading: Loading,
    /// The names of the files.
    pub names: DataNames,
    /// The engine.
    pub engine: Engine,
}

/// Does it, once the child has loaded. Ends with the child's life.
pub async fn run(life: Weak<Life>, mut job: Job) {
    let mut said = None;
    loop {
        let Some(life) = life.upgrade() else { return };
        let tried = tokio::time::timeout(LONGEST, step(&life, &mut job)).await;
        match tried.unwrap_or(Err(OrderFailure::Unknown)) {
            Ok(from) => {
                life.conversion.set(Stage::Done(from));
                return match from {
                    LoadedFrom::Snapshot => tracing::info!("what the snapshot held is in the append-only file now"),
                    LoadedFrom::AppendOnlyFile { .. } => {
                        tracing::info!("what the append-only file held is in the snapshot now");
                    }
                };
            }
            Err(_) if life.hurry.load(Ordering::Relaxed) => return,
            // It does not listen yet, or it is gone: then this life ends too.
            Err(OrderFailure::NoChild(_)) => {}
            Err(failure) if said.as_ref() != Some(&failure) => {
                tracing::warn!(
                    ?failure,
                    "the loaded data cannot be put into the other kind of file: tried again every 5 s"
                );
                said = Some(failure);
            }
            Err(_) => {}
        }
        drop(life);
        tokio::time::sleep(if said.is_some() { AGAIN } else { POLL }).await;
    }
}

async fn step(life: &Arc<Life>, job: &mut Job) -> Result<LoadedFrom, OrderFailure> {
    while Info::parse(&persistence(life).await?).flag("loading") {
        tokio::time::sleep(POLL).await;
    }
    match &mut job.loading {
        Loading::ByItself => Ok(LoadedFrom::Snapshot),
        Loading::ThenAppend { .. } => begin_appending(life).await,
        Loading::ThenSnapshot { aside } => {
            // Only the old one: the second time there is a new one in its place.
            if let Some(old) = aside.take() {
                put_aside(&old).await?;
            }
            save(life).await?;
            let bytes = Info::parse(&persistence(life).await?).number("aof_current_size").unwrap_or(0);
            say(life, &["CONFIG", "SET", "appendonly", "no"]).await?;
            let found = data::look(&life.data_dir, &job.names, &job.engine).map_err(refused)?;
            if let Some(appended) = found.appended {
                put_aside(&appended.whole).await?;
            }
            Ok(LoadedFrom::AppendOnlyFile { bytes })
        }
    }
}

/// The file is whole when its first writing is done; until then the engine has none under its name.
async fn begin_appending(life: &Life) -> Result<LoadedFrom, OrderFailure> {
    say(life, &["CONFIG", "SET", "appendonly", "yes"]).await?;
    loop {
        let text = persistence(life).await?;
        let info = Info::parse(&text);
        let at_work = info.flag("aof_rewrite_in_progress") || info.flag("aof_rewrite_scheduled");
        let done = info.number("aof_last_rewrite_time_sec").is_some();
        match info.text("aof_last_bgrewrite_status") {
            Some("ok") if done && !at_work => return Ok(LoadedFrom::Snapshot),
            Some("ok") => {}
            _ if at_work => {}
            _ => return Err(OrderFailure::Refused("the append-only file could not be written".into())),
        }
        if life.hurry.load(Ordering::Relaxed) {
            // While it writes its first file the engine refuses to end. What it holds is whole in the snapshot.
            say(life, &["CONFIG", "SET", "appendonly", "no"]).await?;
            say(life, &["SHUTDOWN", "NOSAVE"]).await?;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// `INFO persistence`.
async fn persistence(life: &Life) -> Result<String, OrderFailure> {
    Ok(say(life, &["INFO", "persistence"]).await?.unwrap_or_default())
}

async fn put_aside(path: &Path) -> Result<(), OrderFailure> {
    let path: PathBuf = path.to_owned();
    let done = tokio::task::spawn_blocking(move || data::put_aside(&path, now()).map(|aside| (path, aside))).await;
    let (path, aside) = done.map_err(|_ended| OrderFailure::Unknown)?.map_err(refused)?;
    tell_aside(&path, &aside);
    Ok(())
}

/// Says what has another name from now on.
pub fn tell_aside(path: &Path, aside: &Path) {
    tracing::warn!(file = %path.display(), aside = %aside.display(), "a data file that this start does not read was put aside; remove it when you do not need it");
}

fn refused(error: super::error::EngineError) -> OrderFailure {
    OrderFailure::Refused(error.to_string())
}
