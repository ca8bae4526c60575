//! Tables: every name, every range, every layer.

mod announcing;
mod errors;
mod layering;
mod links;
mod machine;
mod names;
mod output;
mod ranges;
