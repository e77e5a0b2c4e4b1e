//! The scores of each sequence.

use super::judged::JudgedRow;
use crate::report::column_groups::key_columns;
use crate::report::result_table::{ResultTable, TableColumn};
use crate::report::statistics::{mean, sample_deviation};

/// Columns that tell of all frames of a row, and not of one sequence.
const OF_ALL_FRAMES: [&str; 3] = ["frames", "classes", "trained on"];

/// A row for each row of the table and each sequence. `None` if nothing is known of any frame.
pub fn table(of: &ResultTable, rows: &[Option<JudgedRow>]) -> Option<ResultTable> {
    let known: Vec<(usize, &JudgedRow)> =
        rows.iter().enumerate().filter_map(|(row, found)| Some((row, found.as_ref()?))).collect();
    let names: Vec<&'static str> = known.first()?.1.scores.iter().map(|score| score.name).collect();
    let of_rows: Vec<usize> =
        known.iter().flat_map(|(row, judged)| vec![*row; judged.frames.sequences.len()]).collect();
    let sequences = || known.iter().flat_map(|(_, judged)| &judged.frames.sequences);
    let keys = key_columns(of).iter();
    let mut columns: Vec<TableColumn> = keys
        .filter(|column| !OF_ALL_FRAMES.contains(&column.name.as_str()))
        .map(|column| column.with_rows(&of_rows))
        .collect();
    columns.push(TableColumn::text(
        "sequence",
        sequences().map(|sequence| Some(sequence.name.clone())).collect(),
    ));
    columns.push(TableColumn::count(
        "frames",
        sequences().map(|sequence| Some(sequence.places.len() as i64)).collect(),
    ));
    let scores = names.iter().enumerate().map(|(place, name)| score_column(name, place, &known));
    columns.extend(scores.filter(|column| (0..column.len()).any(|row| column.has_value(row))));
    let is_reference = |place: &usize| of.reference_rows.contains(&of_rows[*place]);
    let reference_rows = (0..of_rows.len()).filter(is_reference).collect();
    Some(ResultTable {
        name: format!("{}-sequences", of.name),
        title: format!("{}, sequence by sequence", of.title),
        columns,
        notes: vec![
            "mAP of a sequence is the mean over the classes that occur in it, so that the values \
             of two sequences may be over other classes"
                .into(),
        ],
        more_rows: 0,
        reference_rows,
    })
}

/// A score of each sequence of each row, as the mean over the replicates.
fn score_column(name: &str, place: usize, known: &[(usize, &JudgedRow)]) -> TableColumn {
    let (mut means, mut deviations) = (Vec::new(), Vec::new());
    for (_, judged) in known {
        for values in &judged.scores[place].by_sequence {
            means.push(mean(values));
            deviations.push(sample_deviation(values));
        }
    }
    let has_replicates = known.iter().any(|(_, judged)| judged.scores[place].replicates.len() > 1);
    let column = TableColumn::number(name, 3, means);
    if has_replicates { column.with_deviations(deviations) } else { column }
}

#[cfg(test)]
mod tests {
    use surgcam_engine::plan::StageId;

    use super::super::frame_list::{FrameList, Sequence};
    use super::super::frame_values::FrameValues;
    use super::*;

    #[test]
    fn each_row_has_the_scores_of_its_sequences_over_the_seeds() {
        let of = ResultTable {
            name: "classification".into(),
            title: "Classification".into(),
            columns: vec![
                TableColumn::text("variant", vec![Some("gc-a".into()), Some("gc-b".into())]),
                TableColumn::count("frames", vec![Some(3); 2]),
                TableColumn::number("accuracy", 3, vec![Some(0.5); 2]),
            ],
            notes: vec![],
            more_rows: 0,
            reference_rows: Default::default(),
        };
        let sequence = |name: &str, places| Sequence { name: name.into(), places };
        let frames = FrameList {
            rows: vec![0, 1, 2],
            sequences: vec![sequence("seq_1", 0..2), sequence("seq_5", 2..3)],
        };
        let mut judged = JudgedRow::new(StageId(0), frames, &["accuracy"]);
        judged.add("accuracy", &FrameValues::mean(vec![1.0, 0.0, 1.0]));
        judged.add("accuracy", &FrameValues::mean(vec![1.0, 1.0, 1.0]));
        let found = table(&of, &[None, Some(judged)]).unwrap();
        let shown = |row: usize| -> Vec<String> {
            found.columns.iter().map(|column| column.shown(row)).collect()
        };
        assert_eq!(found.rows(), 2);
        assert_eq!(shown(0), ["gc-b", "seq_1", "2", "0.750 ± 0.354"]);
        assert_eq!(shown(1), ["gc-b", "seq_5", "1", "1.000 ± 0.000"]);
        assert!(table(&of, &[None, None]).is_none());
    }
}
