//! The table of values in the chart's README is made of the comments in `values.yaml`: `# -- what it is for`.

use super::{CHART, root};

const BEGIN: &str = "<!-- values: generated -->\n";
const END: &str = "<!-- /values -->";

#[test]
fn the_table_of_values_is_current() {
    let folder = root().join(CHART);
    let values = std::fs::read_to_string(folder.join("values.yaml")).unwrap();
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the table's beginning");
    let (_, after) = rest.split_once(END).expect("the table's end");
    let current = format!("{before}{BEGIN}{}{END}{after}", table(&values));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(folder.join("README.md"), current).unwrap();
    } else {
        assert_eq!(readme, current, "UPDATE_DOCS=1 cargo test --test chart");
    }
}

fn table(values: &str) -> String {
    let mut rows = vec!["| value | what | default |".to_owned(), "|---|---|---|".to_owned()];
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut lines = values.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if let Some(what) = line.trim_start().strip_prefix("# -- ") {
            let (key, default) = lines.peek().and_then(|line| line.trim().split_once(':')).expect("a value below");
            above.retain(|(outer, _)| *outer < indent);
            let name: Vec<&str> = above.iter().map(|(_, name)| *name).chain([key]).collect();
            let default = if default.trim().is_empty() { "see values.yaml" } else { default.trim() };
            rows.push(format!("| `{}` | {what} | `{default}` |", name.join(".")));
        } else if let Some(name) = line.trim().strip_suffix(':').filter(|name| !name.starts_with(['#', '-'])) {
            above.retain(|(outer, _)| *outer < indent);
            above.push((indent, name));
        }
    }
    assert!(rows.len() > 50, "only {} values found", rows.len());
    format!("{}\n", rows.join("\n"))
}
