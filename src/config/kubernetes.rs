//! What is done for the pod that we run in: the role label and Events.

use std::path::Path;

use super::elector::TOKEN;
use super::env::Env;
use super::environment::Environment;
use super::reader::Reader;
use super::settings::Pod;
use crate::core::notice::Notices;
use crate::core::rules::Mode;

/// Nothing outside of a pod with a service account, for a Sentinel, and where all of it is off.
pub fn pod(reader: &mut Reader, variables: &Environment, env: &dyn Env, mode: Mode) -> Option<Pod> {
    let off = |text: &str| (text == "off").then_some(None);
    let role_label = reader.parse("kubernetes.role_label", |text| off(text).or_else(|| label(text).map(Some)), None);
    let group = reader.parse_auto("kubernetes.group", value);
    let events = reader.parse("kubernetes.events", notices, Notices::Off);
    let named = variables.get("POD_NAME").map(str::to_owned).or_else(|| env.hostname());
    let usable = cfg!(feature = "kubernetes")
        && mode == Mode::Server
        && variables.get("KUBERNETES_SERVICE_HOST").is_some()
        && env.exists(Path::new(TOKEN));
    let wanted = role_label.is_some() || events == Notices::On;
    let name = named.filter(|name| usable && wanted && crate::elector::is_name(name))?;
    Some(Pod { name, role_label, group, events })
}

fn notices(text: &str) -> Option<Notices> {
    match text {
        "on" => Some(Notices::On),
        "off" => Some(Notices::Off),
        _ => None,
    }
}

/// A label's name, with or without a prefix.
fn label(text: &str) -> Option<String> {
    let name = match text.split_once('/') {
        Some((prefix, name)) if crate::elector::is_name(prefix) => name,
        Some(_) => return None,
        None => text,
    };
    value(name).map(|_| text.to_owned())
}

/// A label's value that is not empty.
fn value(text: &str) -> Option<String> {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inner = bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b));
    (bytes.len() <= 63 && inner && edge(bytes.first()) && edge(bytes.last())).then(|| text.to_owned())
}
