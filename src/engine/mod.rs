//! The server process: which engine, its configuration files, its orders, its looks, the state file. It decides nothing.

pub mod info;
