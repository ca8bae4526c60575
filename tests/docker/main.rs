//! The image as its users run it: real containers on a private network. Without Docker, or without the base images, each
//! test is skipped by its name.
#![allow(clippy::disallowed_methods, reason = "tests have no reaper to race with")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../bed/mod.rs"]
#[macro_use]
mod bed;

/// Skips a test where there is no image to run, by its name and with the reason.
macro_rules! needs_image {
    () => {
        match crate::image::built() {
            Ok(image) => image,
            Err(reason) => {
                fn here() {}
                let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
                return crate::bed::say_skipped(name, &reason);
            }
        }
    };
}

mod cli;
mod cluster;
mod compose;
mod container;
mod events;
mod forms;
mod image;
mod limits;
mod neighbours;
mod page;
mod probes;
