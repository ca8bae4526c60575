//! Settings: defaults, files, environment, validation.

pub mod settings;

pub use settings::Settings;
