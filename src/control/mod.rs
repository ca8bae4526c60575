//! The one control task: events in, actions out. It owns the core and decides nothing.

mod alarm;
pub mod clock;
pub mod drivers;
pub mod events;
mod rules;
pub mod run;
mod saver;
