//! The image is built once per run, from the Dockerfile as it is, with whatever layers are cached.

use std::sync::OnceLock;

use super::cli::{self, attempt, docker, output, said};

/// Where nothing is cached, two cores take some minutes.
const BUILD_LIMIT: &str = "1500";
/// What the image may add to the engine's.
const LAYERS: i64 = 12_000_000;

/// The image's name, or why there is none.
pub fn built() -> Result<&'static str, String> {
    static IMAGE: OnceLock<Result<String, String>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        attempt(&["version"]).map_err(|error| format!("no Docker: {error}"))?;
        cli::remove_leftovers();
        build("redinit-test", &[])
    });
    image.as_ref().map(String::as_str).map_err(String::clone)
}

/// Builds it. Where a base image cannot be had there is nothing to test; any other failure is the Dockerfile's.
fn build(tag: &str, arguments: &[(&str, &str)]) -> Result<String, String> {
    for base in ["BUILDER_IMAGE", "RUNTIME_IMAGE"] {
        let image = arguments
            .iter()
            .find(|(name, _)| *name == base)
            .map_or_else(|| default(base), |(_, value)| (*value).to_owned());
        if attempt(&["image", "inspect", &image]).is_err() {
            attempt(&["pull", "--quiet", &image]).map_err(|error| format!("no base image {image}: {error}"))?;
        }
    }
    let arguments: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // A small share of the processor: whoever else builds on this machine goes first. More than what runs at idle priority has,
    // as the simulation does in `make test`: it starved this build.
    let mut words = vec!["build", "--cpu-shares", "128", "--tag", tag];
    words.extend(arguments.iter().flat_map(|argument| ["--build-arg", argument]));
    words.push(".");
    let built = output(BUILD_LIMIT, "docker", &words, &[]);
    assert!(built.status.success(), "{}\n{}", String::from_utf8_lossy(&built.stdout), said(&built).unwrap_err());
    Ok(tag.to_owned())
}

/// The default of a build argument.
fn default(argument: &str) -> String {
    let dockerfile = include_str!("../../Dockerfile");
    let line = dockerfile.lines().find_map(|line| line.strip_prefix(&format!("ARG {argument}=")));
    line.expect("a default in the Dockerfile").to_owned()
}

/// The image with Redis's official image under it.
pub fn on_redis() -> Result<String, String> {
    built()?;
    build("redinit-test-redis", &[("RUNTIME_IMAGE", "redis:7")])
}

fn inspect(image: &str, what: &str) -> String {
    docker(&["image", "inspect", "--format", what, image])
}

#[test]
fn the_image_adds_12_mb_at_most_and_says_what_it_is() {
    let image = needs_image!();
    let size = |image: &str| inspect(image, "{{.Size}}").parse::<i64>().unwrap();
    let added = size(image) - size(&default("RUNTIME_IMAGE"));
    println!("layers beyond the engine: {added} bytes");
    assert!(added > 0 && added <= LAYERS, "{added} bytes beyond the engine, promised are {LAYERS}");
    let label =
        |name: &str| inspect(image, &format!("{{{{index .Config.Labels \"org.opencontainers.image.{name}\"}}}}"));
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"), "ARG VERSION in the Dockerfile");
    for name in ["title", "description", "licenses", "revision"] {
        assert!(!label(name).is_empty(), "no label {name}");
    }
    assert_eq!(inspect(image, "{{json .Config.Entrypoint}} {{len .Config.Cmd}}"), r#"["redinit"] 0"#);
    assert_eq!(inspect(image, "{{.Config.User}}"), "999", "a number: runAsNonRoot cannot judge a name");
}

#[test]
fn the_dockerfile_is_clean_for_hadolint() {
    let linter =
        std::env::var_os("CHART_PYTHON").map(|python| std::path::PathBuf::from(python).with_file_name("hadolint"));
    let Some(linter) = linter.filter(|path| path.is_file()) else {
        return super::bed::say_skipped(
            "the_dockerfile_is_clean_for_hadolint",
            "hadolint is not there: make chart-tools",
        );
    };
    let dockerfile = concat!(env!("CARGO_MANIFEST_DIR"), "/Dockerfile");
    let found = output("60", &linter.to_string_lossy(), &[dockerfile], &[]);
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
}

#[test]
fn the_names_that_manifests_know_are_there() {
    let image = needs_image!();
    for (name, status, said) in [
        ("/live_check.sh", 2, "no answer"),
        ("/sentinel_check.sh", 2, "no answer"),
        ("/ready_check.sh", 2, "no answer"),
        ("/server", 64, "--election"),
    ] {
        let (code, text) = cli::answer(&["run", "--rm", "--network", "none", "--entrypoint", name, image]);
        assert_eq!(code, Some(status), "{name}: {text}");
        assert!(text.contains(said), "{name}: {text}");
    }
}
