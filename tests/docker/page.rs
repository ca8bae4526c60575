//! The examples of `docs/docker.md` that are marked `<!-- tested -->` do what they show.

use std::time::{Duration, Instant};

use super::bed::{Turn, ms, secs};
use super::cli::{answer, attempt};

/// A server that has just been started may need a moment for an answer that is shown.
const SOON: Duration = secs(20);

#[test]
fn the_examples_of_the_page_do_what_they_show() {
    let image = needs_image!();
    let _turn = Turn::alone();
    let page = include_str!("../../docs/docker.md");
    let examples: Vec<&str> = page.split("<!-- tested -->").skip(1).collect();
    assert!(examples.len() > 2, "only {} examples found", examples.len());
    for example in examples {
        let block = example.trim_start().strip_prefix("```console\n").unwrap().split_once("\n```").unwrap().0;
        Session { image, names: Vec::new() }.run(block);
    }
}

/// One block: its containers have names of their own here, and are removed at its end.
struct Session {
    image: &'static str,
    names: Vec<String>,
}

impl Session {
    #[track_caller]
    fn run(mut self, block: &str) {
        for step in block.split("$ docker ").skip(1) {
            let (command, shown) = step.split_once('\n').unwrap_or((step, ""));
            let words = self.words(command);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let end = Instant::now() + SOON;
            loop {
                let (status, said) = answer(&words);
                // Where nothing is shown only the status counts: `run` prints an id.
                if shown.is_empty() && status == Some(0) || !shown.is_empty() && said.starts_with(shown.trim_end()) {
                    break;
                }
                assert!(
                    Instant::now() < end && words[0] == "exec",
                    "$ docker {command}: {status:?}\n{said}\nshown:\n{shown}"
                );
                std::thread::sleep(ms(100));
            }
        }
    }

    /// The command with the image and the containers of this run.
    fn words(&mut self, command: &str) -> Vec<String> {
        let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words[0] == "run" {
            *words.iter_mut().find(|word| *word == "redinit").expect("the image") = self.image.to_owned();
            let named = words.iter().position(|word| word == "--name").map(|at| words[at + 1].clone());
            self.names.extend(named);
        }
        for word in &mut words {
            if self.names.contains(word) {
                *word = own(word);
            }
        }
        words
    }
}

fn own(name: &str) -> String {
    format!("redinit-test-{}-{name}", std::process::id())
}

impl Drop for Session {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = attempt(&["rm", "--force", "--volumes", &own(name)]) {
                eprintln!("{name} is still there: {error}");
            }
        }
    }
}
