//! Loading: the layers in their order, then the checks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::env::Env;
use super::environment::{Environment, Found};
use super::error::{ConfigError, ConfigErrors};
use super::keys::{self, KEYS};
use super::layers::{self, Layer};
use super::reader::{Reader, Shown};
use super::settings::{EngineChoice, Settings};
use super::{build, engine_names};
use crate::cli::RunArgs;
use crate::core::rules::Mode;

/// Settings that passed every check.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What every driver works with.
    pub settings: Settings,
    /// Every setting as it came out, and where it came from; secrets are not in it.
    pub sources: BTreeMap<&'static str, Shown>,
    /// What to log once, at start.
    pub warnings: Vec<String>,
}

/// Where the origin is what was typed.
const COMMAND_LINE: &str = "the command line";

/// Every setting: `conf/redinit.toml`, then `/etc/redinit/*.toml` by name, then the environment, then `args`.
pub fn load(env: &dyn Env, args: RunArgs) -> Result<Loaded, ConfigErrors> {
    let mut errors = Vec::new();
    let variables = Environment::read(env);
    let mut layers = vec![Layer::defaults().map_err(|error| ConfigErrors(vec![error]))?];
    layers.extend(layers::files(env, &mut errors));
    let typed = typed(&args);
    let mode = mode(&layers, &variables, env, &args);
    layers.push(environment(&variables, env, mode, &mut errors));
    layers.push(typed);
    errors.extend(variables.unknown());
    let merged = layers::merge(&layers).map_err(|error| ConfigErrors(vec![error]))?;

    let mut reader = Reader::new(merged, errors);
    let mut warnings = warnings(&variables);
    let settings = build::settings(&mut reader, &variables, env, args, &mut warnings);
    match settings {
        Some(settings) if reader.errors.is_empty() => {
            reader.derive("engine_args", engine_names::show(&settings.engine_args), COMMAND_LINE);
            Ok(Loaded { settings, sources: reader.shown, warnings })
        }
        _ => Err(ConfigErrors(reader.errors)),
    }
}

/// Our socket alone, for probes and commands: they must not pay for everything else, nor fail for it.
pub fn socket(env: &dyn Env) -> PathBuf {
    let variables = Environment::read(env);
    let key = keys::find("socket");
    let set = key.and_then(|key| variables.find(key, Mode::Server, env).ok().flatten());
    let set = set.and_then(|found| build::socket(&found.value)).or_else(|| {
        let files = layers::files(env, &mut Vec::new());
        layers::merge(&files).ok()?.remove("socket")?.into_string().ok().and_then(|text| build::socket(&text))
    });
    set.unwrap_or_else(|| PathBuf::from("/run/redinit/redinit.sock"))
}

/// What the command line says, as a layer.
fn typed(args: &RunArgs) -> Layer {
    let mut layer = Layer::default();
    let mut set = |key: &str, value: String| layer.set(key, Found { value, origin: COMMAND_LINE.into() });
    if let Some(mode) = args.mode {
        set("mode", if mode == Mode::Sentinel { "sentinel" } else { "server" }.into());
    }
    if let Some(EngineChoice::Path(path)) = &args.engine {
        set("engine", path.display().to_string());
    }
    if let Some(include) = &args.include {
        set("include", include.display().to_string());
    }
    layer
}

/// The mode comes first, since some names of the environment mean different things in the two.
fn mode(files: &[Layer], variables: &Environment, env: &dyn Env, args: &RunArgs) -> Mode {
    let named = || {
        let key = keys::find("mode")?;
        variables.find(key, Mode::Server, env).ok().flatten().map(|found| found.value)
    };
    let filed = || layers::merge(files).ok()?.remove("mode")?.into_string().ok();
    args.mode.or_else(|| named().or_else(filed).and_then(|text| build::mode(&text))).unwrap_or(Mode::Server)
}

fn environment(variables: &Environment, env: &dyn Env, mode: Mode, errors: &mut Vec<ConfigError>) -> Layer {
    let mut layer = Layer::default();
    for key in KEYS {
        match variables.find(key, mode, env) {
            Ok(Some(found)) => {
                errors.extend(variables.other_password(key, &found, mode, env));
                layer.set(key.key, found);
            }
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    layer
}

fn warnings(variables: &Environment) -> Vec<String> {
    let mut warnings = Vec::new();
    if variables.links_ignored > 0 {
        warnings.push(format!(
            "{} service links of Kubernetes in the environment are ignored (`enableServiceLinks: false` in the pod's \
             spec keeps them out)",
            variables.links_ignored
        ));
    }
    let roles = ["MASTER", "REDIS_REPLICATION_MODE", "VALKEY_REPLICATION_MODE"];
    let unused = ["REDIS_MASTER_USER", "VALKEY_PRIMARY_USER", "REDIS_REPLICA_PORT", "REDIS_SENTINEL_ANNOUNCE_PORT"];
    let set = |names: &[&str]| -> Vec<String> {
        names.iter().filter(|name| variables.get(name).is_some()).map(|name| (*name).to_owned()).collect()
    };
    let roles = set(&roles);
    if !roles.is_empty() {
        warnings.push(format!("{} ignored: who is master is found out, not set", roles.join(", ")));
    }
    let unused = set(&unused);
    if !unused.is_empty() {
        warnings.push(format!("{} ignored: no setting of redinit", unused.join(", ")));
    }
    warnings
}
