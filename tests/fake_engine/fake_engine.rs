//! A child that looks like `redis-server` as far as a supervisor can tell, and misbehaves as scripted ([`script`]).
//! It records what was done to it beside its data ([`record`]), for the tests of the whole binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "part of the tests: what goes wrong here must be seen"
)]

mod behaviour;
mod info;
mod record;
mod resp;
mod script;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use script::Script;
use server::{Engine, Settings};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--version" | "-v") => {
            println!("Redis server v=7.0.15 sha=00000000:0 malloc=libc bits=64 build=0");
            return;
        }
        Some("--grandchild") => return behaviour::live_as_grandchild(&arguments),
        _ => {}
    }
    // As an engine that has read its file to the end, and knows no such line.
    if let Some(unknown) = arguments.iter().find(|argument| *argument == "--redinit-asks") {
        eprintln!(">>> '{} \"1\"'\nBad directive or wrong number of arguments", unknown.trim_start_matches('-'));
        std::process::exit(1);
    }
    // First of all: what we were born with, before we open anything ourselves.
    let start = record::start();
    let directory = std::env::current_dir().unwrap();
    let script = Script::load(&directory, start);
    let settings = Settings::read(arguments.first().map(PathBuf::from), &arguments);
    let engine = Arc::new(Engine::new(settings, script.clone()));
    behaviour::watch_signals(&engine);
    server::listen(&engine);
    behaviour::act(&script);
    loop {
        std::thread::park();
    }
}
