//! The examples of docs/http.md are what the code reads and writes, and the document names every field.

use serde_json::Value;

use super::desk::Said;
use super::peer_routes::parse;
use super::picture::Picture;
use crate::core::message::{Envelope, PeerAnswer};

const REFERENCE: &str = include_str!("../../docs/http.md");

fn example(name: &str) -> &'static str {
    let (_, rest) = REFERENCE.split_once(&format!("<!-- example: {name} -->\n```json\n")).expect(name);
    rest.split_once("```").expect(name).0
}

fn lines(name: &str) -> impl Iterator<Item = Value> {
    example(name).lines().map(|line| serde_json::from_str(line).unwrap())
}

/// Every name in a value, at any depth.
fn names(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.push(name.clone());
                names(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn every_message_is_read_and_written_as_the_reference_says() {
    for kind in
        ["release", "consent", "led", "quicken", "priority", "report", "vouch", "lead", "decided", "follow", "met"]
    {
        let example: Value = serde_json::from_str(example(kind)).unwrap();
        let Said { from, cluster, message: body } = parse(kind, example.to_string().as_bytes()).unwrap();
        let mut written = serde_json::to_value(Envelope { v: 1, from, cluster, body }).unwrap();
        assert_eq!(written.as_object_mut().unwrap().remove("kind"), Some(Value::from(kind)));
        assert_eq!(written, example, "{kind}");
        let mut fields = Vec::new();
        names(&example, &mut fields);
        for field in fields {
            assert!(REFERENCE.contains(&format!("`{field}`")) || field == "v", "{kind}: {field} is not explained");
        }
    }
}

#[test]
fn every_answer_is_read_and_written_as_the_reference_says() {
    let mut seen = Vec::new();
    for example in lines("answers") {
        let answer: Envelope<PeerAnswer> = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(serde_json::to_value(&answer).unwrap(), example);
        seen.push(std::mem::discriminant(&answer.body));
    }
    let count = seen.len();
    seen.dedup();
    assert_eq!((seen.len(), count), (14, 14), "each answer once");
}

#[test]
fn the_status_is_read_and_written_as_the_reference_says() {
    let example: Value = serde_json::from_str(example("status")).unwrap();
    let picture: Picture = serde_json::from_value(example.clone()).unwrap();
    assert_eq!(serde_json::to_value(picture).unwrap(), example);
    let mut fields = Vec::new();
    names(&example, &mut fields);
    for field in fields {
        let shown = [format!("`{field}`"), format!("`{field}[]`")];
        assert!(shown.iter().any(|shown| REFERENCE.contains(shown)), "{field} is not explained");
    }
}

#[test]
fn the_lines_of_a_handover_are_as_the_reference_says() {
    use crate::core::action::Progress;
    let written: Vec<Value> = [
        Progress::Step("H2 asked Sentinel 10.0.0.1:26379 for a proposal".to_owned()),
        Progress::Done("10.0.0.2:6379 leads".to_owned()),
    ]
    .iter()
    .map(|line| serde_json::from_str(&super::progress::written(line)).unwrap())
    .collect();
    assert_eq!(written, lines("progress").collect::<Vec<_>>());
    assert!(serde_json::from_str::<Value>(example("handover")).unwrap().get("to").is_some());
}
