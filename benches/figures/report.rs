//! The figures, as a table and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    /// Every run's value.
    pub values: Vec<f64>,
    /// The largest median, and the largest value, that are promised.
    pub median: Option<f64>,
    pub worst: Option<f64>,
}

/// All figures.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
}

impl Figure {
    /// A figure of durations, in milliseconds.
    pub fn times(name: &str, values: &[Duration], median: Option<Duration>, worst: Option<Duration>) -> Self {
        let millis = |time: &Duration| time.as_secs_f64() * 1000.0;
        Figure {
            name: name.to_owned(),
            unit: "ms",
            values: values.iter().map(millis).collect(),
            median: median.as_ref().map(millis),
            worst: worst.as_ref().map(millis),
        }
    }

    /// A figure of counts of which none may exceed `worst`, where that is promised.
    pub fn counts(name: &str, unit: &'static str, values: Vec<f64>, worst: impl Into<Option<f64>>) -> Self {
        Figure { name: name.to_owned(), unit, values, median: None, worst: worst.into() }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median_value(&self) -> f64 {
        self.sorted().get(self.values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn worst_value(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(f64::NAN)
    }

    fn kept(&self) -> bool {
        self.median.is_none_or(|limit| self.median_value() <= limit)
            && self.worst.is_none_or(|limit| self.worst_value() <= limit)
    }
}

impl Report {
    /// Adds a figure, and says it at once.
    pub fn add(&mut self, figure: Figure) {
        println!("{}", row(&figure));
        self.figures.push(figure);
    }

    /// Was every promise kept?
    pub fn all_kept(&self) -> bool {
        self.figures.iter().all(Figure::kept)
    }

    /// The table.
    pub fn table(&self) -> String {
        let head = format!(
            "{:<64}{:>6}{:>12}{:>12}{:>12}{:>12}  {}",
            "figure", "runs", "median", "worst", "limit med.", "limit worst", "kept"
        );
        let rows = self.figures.iter().map(row);
        std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
    }

    /// The JSON, with every value.
    pub fn json(&self) -> String {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "figure": figure.name, "unit": figure.unit, "runs": figure.values.len(),
                    "median": figure.median_value(), "worst": figure.worst_value(), "kept": figure.kept(),
                    "limit_median": figure.median, "limit_worst": figure.worst, "values": figure.values,
                })
            })
            .collect();
        serde_json::to_string_pretty(&json!({ "figures": figures })).unwrap()
    }
}

fn row(figure: &Figure) -> String {
    let number = |value: f64| if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    let limit = |value: Option<f64>| value.map(number).unwrap_or_default();
    format!(
        "{:<64}{:>6}{:>12}{:>12}{:>12}{:>12}  {}",
        format!("{} ({})", figure.name, figure.unit),
        figure.values.len(),
        number(figure.median_value()),
        number(figure.worst_value()),
        limit(figure.median),
        limit(figure.worst),
        match (figure.median.or(figure.worst), figure.kept()) {
            (None, _) => "-",
            (_, true) => "yes",
            (_, false) => "NO",
        }
    )
}
