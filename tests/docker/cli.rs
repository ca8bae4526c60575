//! The `docker` command.

use std::process::{Command, Output};

/// What marks everything that these tests make, with the number of the process that made it.
pub const LABEL: &str = "redinit-test";

/// Longer than any single command takes, short enough that a hanging daemon fails the test.
const LIMIT: &str = "120";

/// Runs `docker ..`; what it printed, or what it complained of.
pub fn attempt(words: &[&str]) -> Result<String, String> {
    said(&output(LIMIT, "docker", words, &[]))
}

/// The same, where a failure fails the test.
#[track_caller]
pub fn docker(words: &[&str]) -> String {
    attempt(words).unwrap_or_else(|error| panic!("docker {}: {error}", words.join(" ")))
}

/// The exit status too, and both streams as one text.
pub fn answer(words: &[&str]) -> (Option<i32>, String) {
    let output = output(LIMIT, "docker", words, &[]);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned())
}

/// Any program, ended after so many seconds.
pub fn output(limit: &str, program: &str, words: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", limit, program]).args(words).envs(env.iter().copied());
    command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("timeout(1) is part of coreutils")
}

/// Standard output of one that succeeded.
pub fn said(output: &Output) -> Result<String, String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// Removes what a run left that was killed.
pub fn remove_leftovers() {
    let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
    let filter = format!("label={LABEL}");
    for (list, remove) in
        [(["ps", "--all"].as_slice(), ["rm", "-fv"].as_slice()), (&["network", "ls"], &["network", "rm"])]
    {
        let listed = attempt(&[list, &["--filter", &filter, "--format", &format]].concat()).unwrap_or_default();
        for (id, pid) in listed.lines().filter_map(|line| line.split_once(' ')) {
            if !std::path::Path::new("/proc").join(pid).exists() {
                let gone = attempt(&[remove, &[id]].concat());
                println!("removed a leftover of process {pid}: {gone:?}");
            }
        }
    }
}
