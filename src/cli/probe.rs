//! Probes, parsed by hand: they run every few seconds, and a whole process must stay under 3 ms.

use std::ffi::OsString;

use super::forms::base_name;
use super::{Probe, ProbeArgs};

/// A probe, without the cost of the whole parser; `None` for every other call, and for a probe that is not well-formed.
pub fn probe_fast_path(argv: &[OsString]) -> Option<ProbeArgs> {
    let words: Option<Vec<String>> = argv.iter().take(8).map(|word| word.to_str().map(str::to_owned)).collect();
    let words = words?;
    let (name, rest) = words.split_first()?;
    if let Some(probe) = under_name(base_name(name), rest) {
        return Some(probe);
    }
    // Under the elector's name the words are the elector's.
    if base_name(name) == "server" || rest.first()? != "probe" {
        return None;
    }
    arguments(rest.get(1..)?)
}

/// The scripts' names that images of old are probed by.
pub fn under_name(name: &str, rest: &[String]) -> Option<ProbeArgs> {
    let probe = match name {
        "live_check.sh" | "sentinel_check.sh" => Probe::Live,
        "ready_check.sh" => Probe::Ready,
        _ => return None,
    };
    // The scripts took no arguments they needed; `--docker` is ours.
    Some(ProbeArgs { probe, docker: rest.iter().any(|word| word == "--docker") })
}

/// What stands behind `probe`, where it is well-formed; the rest is for the parser, which can say what is wrong.
fn arguments(words: &[String]) -> Option<ProbeArgs> {
    let (mut probe, mut docker) = (None, false);
    for word in words {
        match word.as_str() {
            "--docker" if !docker => docker = true,
            word if probe.is_none() => probe = Some(Probe::from_word(word)?),
            _ => return None,
        }
    }
    probe.map(|probe| ProbeArgs { probe, docker })
}
