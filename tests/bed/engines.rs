//! Engines beside the one in `PATH`: `REDINIT_TEST_ENGINES` is a directory with a folder for each, `redis-8.6/bin/redis-server`.

use std::path::PathBuf;

/// The server of this engine, where it is there.
pub fn engine(name: &str) -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("REDINIT_TEST_ENGINES")?).join(name).join("bin");
    ["redis-server", "valkey-server"].iter().map(|server| directory.join(server)).find(|server| server.is_file())
}

/// Skips a test that needs engines beside the one in `PATH`, by name; else their servers.
#[macro_export]
macro_rules! needs_engines {
    ($($name:literal),+) => {
        match [$(bed::engines::engine($name)),+] {
            engines if engines.iter().all(Option::is_some) => engines.map(Option::unwrap_or_default),
            _ => {
                fn here() {}
                let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
                return bed::say_skipped(name, concat!("needs the engines", $(" ", $name),+, " in REDINIT_TEST_ENGINES"));
            }
        }
    };
}
