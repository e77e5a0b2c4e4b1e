//! Compares the rows of an experiment's tables, and tells in words which is the best, which is the
//! fastest and how large the noise is. Every number is taken from the tables.

mod noise;

use std::collections::BTreeSet;

use super::column_groups::key_columns;
use super::details::Differences;
use super::result_table::{ABSENT, ResultTable, TableColumn};
use super::tables::SEEDS;
use surgcam_pipeline::planned::Built;

/// The rows of one table that are judged by one column of quality.
pub struct Comparison<'a> {
    pub table: &'a ResultTable,
    pub quality: &'a TableColumn,
    /// Frames a second, where they were measured.
    pub speed: Option<&'a TableColumn>,
    /// Rows with a quality. Yardsticks and controls do not compete.
    pub rows: Vec<usize>,
    /// Yardsticks and controls with a quality.
    pub yardsticks: Vec<usize>,
}

/// The tables that can be compared, the most important one first, each with its columns of quality.
/// The column that most rows have a value in is taken, and of several such columns the first.
const QUALITIES: [(&str, &[&str]); 3] = [
    ("extraction", &["probe mAP", "CIDEr", "interaction mAP"]),
    ("localization", &["mIoU", "AP50"]),
    ("classification", &["mAP", "accuracy"]),
];

/// The column that tells whose boxes the localization table scores against, and its text in rows
/// that are not a control.
pub const GROUND_TRUTH: &str = "ground truth";
pub const OWN_GROUND_TRUTH: &str = "its own";

impl<'a> Comparison<'a> {
    /// `None` if nothing is measured yet. `yardsticks` are the modes that do not compete.
    pub fn of(tables: &'a [ResultTable], yardsticks: &BTreeSet<String>) -> Option<Self> {
        QUALITIES.iter().find_map(|(name, qualities)| {
            let table = tables.iter().find(|table| table.name == *name)?;
            let measured = |column: &TableColumn| {
                (0..column.len()).filter(|&row| column.number_at(row).is_some()).count()
            };
            let columns = qualities.iter().rev().filter_map(|quality| table.column(quality));
            let quality = columns
                .max_by_key(|column| measured(column))
                .filter(|column| measured(column) > 0)?;
            let (rows, yardsticks): (Vec<usize>, Vec<usize>) = (0..table.rows())
                .filter(|&row| quality.number_at(row).is_some())
                .partition(|&row| competes(table, row, yardsticks));
            let speed = table.column("FPS").filter(|column| measured(column) > 0);
            (!rows.is_empty()).then_some(Comparison { table, quality, speed, rows, yardsticks })
        })
    }

    /// What tells a row from the others, in words.
    pub fn row_name(&self, row: usize) -> String {
        row_names(self.table)(row)
    }

    fn quality_of(&self, row: usize) -> f64 {
        self.quality.number_at(row).unwrap_or(f64::NAN)
    }

    /// The best of the rows that compete. There is at least one such row.
    fn best(&self) -> Option<usize> {
        self.rows.iter().copied().reduce(|best, other| {
            if self.quality_of(other) > self.quality_of(best) { other } else { best }
        })
    }

    /// Rows that no other beats in both speed and quality.
    pub fn front(&self) -> Vec<usize> {
        let Some(speed) = self.speed else { return Vec::new() };
        let rows: Vec<usize> =
            self.rows.iter().copied().filter(|&row| speed.number_at(row).is_some()).collect();
        let points: Vec<(f64, f64)> = rows
            .iter()
            .filter_map(|&row| Some((speed.number_at(row)?, self.quality.number_at(row)?)))
            .collect();
        pareto_front(&points).into_iter().map(|place| rows[place]).collect()
    }

    /// Three sentences: the best, speed against quality, what is within noise. Without differences,
    /// the number of frames bounds the noise.
    pub fn sentences(
        &self,
        validation_frames: Option<usize>,
        differences: Option<&Differences>,
    ) -> Vec<String> {
        let Some(best) = self.best() else { return Vec::new() };
        vec![
            self.about_the_best(best),
            self.about_speed(best),
            self.about_noise(best, validation_frames, differences),
        ]
    }

    fn about_the_best(&self, best: usize) -> String {
        let others = match (self.rows.len(), self.yardsticks.len()) {
            (1, _) => "the only one that was measured".to_string(),
            (rows, 0) => format!("the best of {rows}"),
            (rows, yardsticks) => format!(
                "the best of {rows} (yardsticks and controls, which do not compete: {yardsticks})"
            ),
        };
        format!(
            "{} has the {} {}, {others}.",
            self.row_name(best),
            self.quality.name,
            self.quality.shown(best)
        )
    }

    fn about_speed(&self, best: usize) -> String {
        let Some(speed) = self.speed else {
            return "Speed was not measured for these rows.".into();
        };
        let timed = self.rows.iter().copied().filter_map(|row| Some((row, speed.number_at(row)?)));
        let Some((fastest, _)) =
            timed.reduce(|fastest, other| if other.1 > fastest.1 { other } else { fastest })
        else {
            return "Speed was not measured for these rows.".into();
        };
        let on_front = self.front().len();
        let timed_rows = self.rows.iter().filter(|&&row| speed.number_at(row).is_some()).count();
        if fastest == best {
            return format!("It is also the fastest, with {} frames a second.", speed.shown(best));
        }
        let of_best = if speed.has_value(best) {
            format!("the best runs at {}", speed.shown(best))
        } else {
            "the best was not timed".into()
        };
        format!(
            "The fastest is {} with {} frames a second and the {} {}; {of_best}, \
             and {on_front} of {timed_rows} rows are beaten by no other in both speed and quality.",
            self.row_name(fastest),
            speed.shown(fastest),
            self.quality.name,
            self.quality.shown(fastest),
        )
    }
}

/// The names of the extractions that do not compete, because they use the true boxes, the whole
/// frame, or the features of another frame.
pub fn yardsticks(built: &Built) -> BTreeSet<String> {
    let (mut yardsticks, mut competing) = (BTreeSet::new(), BTreeSet::new());
    for extraction in built.cells.iter().filter_map(|cell| cell.extraction.as_ref()) {
        let names = if extraction.value.is_reference() { &mut yardsticks } else { &mut competing };
        names.insert(extraction.name.clone());
    }
    // A recipe whose mode is swept may be both, and then competes.
    yardsticks.difference(&competing).cloned().collect()
}

/// Whether a row competes with others: it is neither a yardstick nor a control.
pub fn competes(table: &ResultTable, row: usize, yardsticks: &BTreeSet<String>) -> bool {
    let is = |name: &str, value: &dyn Fn(&str) -> bool| {
        table.column(name).is_some_and(|column| value(&column.shown(row)))
    };
    let is_shuffled = |name: &&str| is(name, &|shuffled| shuffled == "true");
    !is("mode", &|mode| yardsticks.contains(mode))
        && !["shuffled", "extraction.shuffled"].iter().any(is_shuffled)
        && !is(GROUND_TRUTH, &|truth| truth != OWN_GROUND_TRUTH)
}

/// What tells each row of a table from the others, in words.
pub fn row_names(table: &ResultTable) -> impl Fn(usize) -> String {
    let is_telling = |column: &&TableColumn| {
        let says_nothing =
            ["frames", "classes", "trained on", SEEDS].contains(&column.name.as_str());
        !says_nothing && (column.name == "variant" || !column.is_constant())
    };
    let columns: Vec<&TableColumn> = key_columns(table).iter().filter(is_telling).collect();
    let told = |column: &TableColumn, row: usize| match column.name.as_str() {
        "variant" | "mode" | "head" => column.shown(row),
        name => format!("{name} {}", column.shown(row)),
    };
    move |row| {
        let columns = columns.iter().filter(|column| column.shown(row) != ABSENT);
        columns.map(|column| told(column, row)).collect::<Vec<_>>().join(", ")
    }
}

/// Places of the points that no other beats in both coordinates, from the largest first coordinate
/// to the smallest.
pub fn pareto_front(points: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len())
        .filter(|&place| points[place].0.is_finite() && points[place].1.is_finite())
        .collect();
    order.sort_by(|&a, &b| {
        points[b].0.total_cmp(&points[a].0).then(points[b].1.total_cmp(&points[a].1))
    });
    let mut highest = f64::NEG_INFINITY;
    order.retain(|&place| {
        let is_higher = points[place].1 > highest;
        highest = highest.max(points[place].1);
        is_higher
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(quality: [f64; 4], seeds: Option<[&str; 4]>) -> Vec<ResultTable> {
        let text = |name: &str, values: [&str; 4]| {
            TableColumn::text(name, values.map(|value| Some(value.to_string())).to_vec())
        };
        let mut columns = vec![
            text("variant", ["gc-c"; 4]),
            text("mode", ["sl-fe", "sl-fe", "ln-fe", "shuffled"]),
        ];
        columns.extend(seeds.map(|seeds| text("seed", seeds)));
        columns.push(TableColumn::number(
            "FPS",
            1,
            vec![Some(60.0), Some(50.0), Some(5.0), Some(70.0)],
        ));
        columns.push(TableColumn::number("probe mAP", 3, quality.map(Some).to_vec()));
        vec![ResultTable { name: "extraction".into(), columns, ..Default::default() }]
    }

    #[test]
    fn the_front_has_the_points_that_no_other_beats() {
        assert_eq!(
            pareto_front(&[
                (1.0, 9.0),
                (2.0, 5.0),
                (2.0, 7.0),
                (3.0, 6.0),
                (0.5, 9.0),
                (f64::NAN, 20.0)
            ]),
            [3, 2, 0]
        );
        assert!(pareto_front(&[]).is_empty());
    }

    #[test]
    fn the_best_is_told_with_its_speed_and_the_noise_of_seeds_and_a_control_does_not_compete() {
        let yardsticks = BTreeSet::from(["shuffled".to_string()]);
        let made = tables([0.5, 0.52, 0.8, 0.9], Some(["1", "2", "1", "1"]));
        let comparison = Comparison::of(&made, &yardsticks).unwrap();
        assert_eq!(comparison.front(), [0, 1, 2]);
        let [best, speed, noise]: [String; 3] =
            comparison.sentences(None, None).try_into().unwrap();
        assert_eq!(
            best,
            "gc-c, ln-fe, seed 1 has the probe mAP 0.800, the best of 3 \
             (yardsticks and controls, which do not compete: 1)."
        );
        let fastest = "The fastest is gc-c, sl-fe, seed 1 with 60.0 frames a second \
                       and the probe mAP 0.500;";
        assert!(speed.starts_with(fastest), "{speed}");
        assert!(noise.contains("vary by 0.028 (two standard deviations): no other row"), "{noise}");
    }

    #[test]
    fn means_over_seeds_tell_how_much_seeds_vary() {
        let mut made = tables([0.5, 0.78, 0.8, 0.1], None);
        let quality = made[0].columns.pop().unwrap();
        let deviations = vec![Some(0.02), None, Some(0.01), Some(0.5)];
        made[0].columns.push(quality.with_deviations(deviations));
        let seeds = vec![Some(3), Some(1), Some(3), Some(3)];
        made[0].columns.insert(2, TableColumn::count(SEEDS, seeds));
        let yardsticks = BTreeSet::from(["shuffled".to_string()]);
        let comparison = Comparison::of(&made, &yardsticks).unwrap();
        let noise = comparison.sentences(None, None).remove(2);
        assert!(noise.contains("vary by 0.032 (two standard deviations): 1 other row"), "{noise}");
        assert_eq!(comparison.row_name(2), "gc-c, ln-fe");
    }

    #[test]
    fn without_repeated_seeds_the_number_of_frames_bounds_the_noise() {
        let made = tables([0.5, 0.78, 0.8, 0.1], None);
        let comparison = Comparison::of(&made, &BTreeSet::new()).unwrap();
        let noise = comparison.sentences(Some(400), None).remove(2);
        assert!(
            noise.contains("400 validation frames") && noise.contains("0.025, and 1 other row is"),
            "{noise}"
        );
    }
}
