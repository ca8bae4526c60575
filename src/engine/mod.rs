//! The server process: which engine, its configuration files, its orders, its looks, the state file. It decides nothing.

pub mod acl;
mod convert;
mod data;
pub mod detect;
mod driver;
pub mod error;
mod examine;
mod files;
mod format;
mod includes;
pub mod info;
mod keep;
mod life;
mod lines;
mod loading;
mod logins;
mod looks;
mod names;
mod orders;
pub mod own_config;
pub mod process;
mod refusal;
pub mod render;
mod secret;
pub mod sentinel_file;
pub mod store;
mod wire;
mod words;

pub use detect::{Engine, detect};
pub use driver::ChildDriver;
pub use error::EngineError;
pub use files::writable_directory;
pub use loading::judge;
pub use names::{DataNames, Persistence};
pub use own_config::OwnConfig;
pub use process::{Processes, Reaped};
