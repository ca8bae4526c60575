//! `/metrics`: the few figures that say whether somebody should look.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::shared::{Probe, Shared};
use crate::core::status::RoleShown;

/// OpenMetrics text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabel {
    role: &'static str,
}

/// The figures now, out of the picture: no state of their own that could differ from it.
pub fn text(shared: &Shared) -> Result<String, fmt::Error> {
    let published = shared.published();
    let status = &published.status;
    let mut registry = Registry::with_prefix("redinit");
    let gauge = |registry: &mut Registry, name: &str, help: &str, value: bool| {
        let gauge = <Gauge>::default();
        gauge.set(i64::from(value));
        registry.register(name, help, gauge);
    };
    let roles = Family::<RoleLabel, Gauge>::default();
    for role in [RoleShown::Unknown, RoleShown::Master, RoleShown::Replica, RoleShown::Sentinel] {
        roles.get_or_create(&RoleLabel { role: role.word() }).set(i64::from(role == status.role));
    }
    registry.register("role", "The child's role: 1 for the one it has", roles);
    gauge(&mut registry, "up", "The child runs", status.pid.is_some());
    gauge(&mut registry, "ready", "The readiness probe says yes", shared.answer(Probe::Ready).is_yes());
    gauge(&mut registry, "fenced", "Our fence refuses writers", status.fenced);
    gauge(&mut registry, "handover", "A handover is under way", status.handover.is_some());
    registry.register("restarts", "Restarts of the child", ConstCounter::new(u64::from(status.restarts)));
    let build = Info::new(vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("engine", published.engine.name.clone()),
        ("engine_version", published.engine.version.clone()),
    ]);
    registry.register("build", "Versions", build);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
