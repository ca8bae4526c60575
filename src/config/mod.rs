//! Settings: defaults, files, environment, validation.

mod announce;
mod build;
mod elector;
mod engine_names;
mod env;
mod environment;
mod error;
#[cfg(test)]
mod fake;
pub mod keys;
mod kubernetes;
mod layers;
mod links;
mod load;
mod reader;
mod reference;
pub mod settings;
mod show;
#[cfg(test)]
mod tests;
mod tls;
mod values;

pub use env::{Env, Machine};
pub use error::{ConfigError, ConfigErrors};
pub use load::{Loaded, load, socket};
pub use reader::Shown;
pub use reference::reference;
pub use settings::Settings;
pub use show::{check, show};
pub use values::host_port;
