//! `redinit demo` itself.

use super::bed;

/// What a newcomer runs first: it ends by itself, counts, and leaves nothing behind.
#[test]
fn demo_once_loses_nothing_and_cleans_up() {
    let _turn = bed::Turn::alone();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("demo");
    let mut demo = std::process::Command::new(bed::binary());
    demo.args(["demo", "--once", "--dir"]).arg(&place);
    let output = demo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let count =
        |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label).map(str::trim)).unwrap().to_owned();
    assert_eq!(count("Lost"), "0");
    assert!(!place.exists(), "its directory is still there");
}
