//! How far each row of a table is from the best one on the same frames, and whether this is more
//! than noise.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::judged::{JudgedRow, JudgedScore};
use crate::report::comparison::{competes, row_names};
use crate::report::result_table::{ResultTable, TableColumn};
use crate::report::statistics::{Difference, FEWEST_UNITS, RESAMPLES, Score, Units, compare};

/// The name of the table.
pub const DIFFERENCES: &str = "differences";

/// Every comparison, and the table of them.
pub struct Differences {
    pub table: ResultTable,
    pub found: Vec<Found>,
}

/// A row of a table, compared with the best row on the same frames.
pub struct Found {
    /// The name of the table.
    pub table: String,
    /// The column that is compared.
    pub score: &'static str,
    pub best: usize,
    pub other: usize,
    pub values: [f64; 2],
    pub frames: usize,
    pub units: Units,
    /// The best minus the other. `None` if there are too few sequences and too few blocks, or too
    /// few in which the rows differ.
    pub difference: Option<Difference>,
}

impl Found {
    pub fn verdict(&self) -> &'static str {
        match self.difference {
            None => "too few",
            Some(difference) if difference.is_beyond_noise() => "different",
            Some(_) => "within noise",
        }
    }
}

/// What was drawn, in words.
pub fn in_words(units: Units) -> String {
    match units {
        Units::Sequences { count } => format!("{count} sequences"),
        Units::Blocks { count, length } => format!("{count} blocks of {length} frames"),
    }
}

/// Compares the rows of one table, score by score.
pub fn found(
    table: &ResultTable,
    rows: &[Option<JudgedRow>],
    yardsticks: &BTreeSet<String>,
) -> Vec<Found> {
    let mut found = Vec::new();
    for group in on_the_same_frames(rows) {
        let judged = |row: usize| rows[row].as_ref();
        let Some(first) = group.first().and_then(|&row| judged(row)) else { continue };
        let lengths = first.frames.lengths();
        for (place, JudgedScore { name, .. }) in first.scores.iter().enumerate() {
            let scores: Vec<(usize, Score)> = group
                .iter()
                .filter_map(|&row| Some((row, judged(row)?.scores[place].of_all_frames()?)))
                .collect();
            let competing = scores.iter().filter(|(row, _)| competes(table, *row, yardsticks));
            let best = competing.reduce(|best, other| {
                let is_better = other.1.value > best.1.value;
                if is_better { other } else { best }
            });
            let Some((best, of_best)) = best else { continue };
            let others = scores.par_iter().filter(|(row, _)| row != best);
            found.par_extend(others.map(|(other, score)| {
                let (units, difference) = compare(of_best, score, &lengths);
                Found {
                    table: table.name.clone(),
                    score: name,
                    best: *best,
                    other: *other,
                    values: [of_best.value, score.value],
                    frames: of_best.influence.len(),
                    units,
                    difference,
                }
            }));
        }
    }
    found
}

/// Rows that are judged on the same frames with the same labels, in groups.
fn on_the_same_frames(rows: &[Option<JudgedRow>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&JudgedRow, Vec<usize>)> = Vec::new();
    for (row, judged) in rows.iter().enumerate() {
        let Some(judged) = judged else { continue };
        let same = groups
            .iter_mut()
            .find(|(first, _)| first.index == judged.index && first.frames == judged.frames);
        match same {
            Some((_, group)) => group.push(row),
            None => groups.push((judged, vec![row])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

impl Differences {
    /// `None` if nothing was compared. `tables` are those that the comparisons are of.
    pub fn of(found: Vec<Found>, tables: &[&ResultTable]) -> Option<Differences> {
        if found.is_empty() {
            return None;
        }
        let table = table_of(&found, tables);
        Some(Differences { table, found })
    }

    /// The comparisons with this row of a table, which is the best in this column.
    pub fn with_best<'a>(
        &'a self,
        table: &'a str,
        score: &'a str,
        best: usize,
    ) -> impl Iterator<Item = &'a Found> {
        self.found
            .iter()
            .filter(move |found| found.table == table && found.score == score && found.best == best)
    }
}

fn table_of(found: &[Found], tables: &[&ResultTable]) -> ResultTable {
    let names: Vec<_> = tables.iter().map(|table| (&table.name, row_names(table))).collect();
    let named = |found: &Found, row: usize| {
        let (_, name) = names.iter().find(|(table, _)| **table == found.table)?;
        Some(name(row))
    };
    let text = |value: &dyn Fn(&Found) -> Option<String>| -> Vec<Option<String>> {
        found.iter().map(value).collect()
    };
    let number = |value: &dyn Fn(&Found) -> Option<f64>| -> Vec<Option<f64>> {
        found.iter().map(value).collect()
    };
    let frames = found.iter().map(|found| Some(found.frames as i64)).collect();
    ResultTable {
        name: DIFFERENCES.into(),
        title: "Differences from the best row on the same frames".into(),
        columns: vec![
            TableColumn::text("table", text(&|found| Some(found.table.clone()))),
            TableColumn::text("score", text(&|found| Some(found.score.into()))),
            TableColumn::text("best", text(&|found| named(found, found.best))),
            TableColumn::text("other", text(&|found| named(found, found.other))),
            TableColumn::text("verdict", text(&|found| Some(found.verdict().into()))),
            TableColumn::count("frames", frames).detail(),
            TableColumn::text("drawn", text(&|found| Some(in_words(found.units)))).detail(),
            TableColumn::number("of best", 3, number(&|found| Some(found.values[0]))),
            TableColumn::number("of other", 3, number(&|found| Some(found.values[1]))),
            TableColumn::number("difference", 3, number(&|found| Some(found.difference?.value))),
            TableColumn::number("low", 3, number(&|found| Some(found.difference?.low))),
            TableColumn::number("high", 3, number(&|found| Some(found.difference?.high))),
        ],
        notes: vec![
            format!(
                "low and high: the 95 % interval of the difference by a paired bootstrap \
                 ({RESAMPLES} draws) over sequences, or over blocks of consecutive frames where \
                 there are fewer than {FEWEST_UNITS} sequences"
            ),
            format!(
                "different: the interval leaves out 0; too few: there are fewer than \
                 {FEWEST_UNITS} sequences and blocks, or the rows differ in so few of them that \
                 there is no interval"
            ),
            "every row is compared by itself: of twenty equal rows, one is found different by \
             chance; with several seeds the scores are means over them, and the interval tells of \
             the frames alone"
                .into(),
        ],
        more_rows: 0,
        reference_rows: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use surgcam_engine::plan::StageId;

    use super::super::frame_list::{FrameList, Sequence};
    use super::super::frame_values::FrameValues;
    use super::*;

    const SEQUENCES: usize = 12;
    const FRAMES: usize = 25;

    /// A row that is right in `right` of ten frames.
    fn judged(index: usize, right: usize) -> JudgedRow {
        let sequence = |place: usize| Sequence {
            name: format!("seq_{place}"),
            places: place * FRAMES..(place + 1) * FRAMES,
        };
        let count = SEQUENCES * FRAMES;
        let value = |frame: usize| if (frame * 7 + frame / 25) % 10 < right { 1.0 } else { 0.0 };
        let frames = FrameList {
            rows: (0..count).collect(),
            sequences: (0..SEQUENCES).map(sequence).collect(),
        };
        let mut row = JudgedRow::new(StageId(index), frames, &["accuracy"]);
        row.add("accuracy", &FrameValues::mean((0..count).map(value).collect()));
        row
    }

    #[test]
    fn rows_are_compared_with_the_best_on_the_same_frames() {
        let names = ["good", "bad", "same", "elsewhere", "shuffled"];
        let text = |names: [&str; 5]| names.map(|name| Some(name.to_string())).to_vec();
        let table = ResultTable {
            name: "extraction".into(),
            title: String::new(),
            columns: vec![
                TableColumn::text("variant", text(["gc-a"; 5])),
                TableColumn::text("mode", text(names)),
                TableColumn::number("accuracy", 3, vec![Some(0.5); 5]),
            ],
            notes: vec![],
            more_rows: 0,
            reference_rows: Default::default(),
        };
        let rows = [judged(0, 8), judged(0, 3), judged(0, 8), judged(1, 9), judged(0, 4)].map(Some);
        let yardsticks = BTreeSet::from(["shuffled".to_string()]);
        let found = found(&table, &rows, &yardsticks);
        let told: Vec<(usize, usize, &str)> =
            found.iter().map(|found| (found.best, found.other, found.verdict())).collect();
        assert_eq!(
            told,
            [(0, 1, "different"), (0, 2, "within noise"), (0, 4, "different")],
            "the control is different, and a row on other frames is not compared"
        );
        let made = Differences::of(found, &[&table]).unwrap();
        assert_eq!(made.with_best("extraction", "accuracy", 0).count(), 3);
        let shown: Vec<String> =
            made.table.columns[..7].iter().map(|column| column.shown(0)).collect();
        let expected = [
            "extraction",
            "accuracy",
            "gc-a, good",
            "gc-a, bad",
            "different",
            "300",
            "12 sequences",
        ];
        assert_eq!(shown, expected);
        assert!(Differences::of(Vec::new(), &[&table]).is_none());
    }
}
