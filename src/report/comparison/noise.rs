//! What is said about noise: over frames by the paired comparisons, and over seeds.

use std::collections::{BTreeMap, BTreeSet};

use super::Comparison;
use crate::report::column_groups::key_columns;
use crate::report::details::{Differences, Found, in_words};
use crate::report::result_table::TableColumn;
use crate::report::tables::SEEDS;

impl Comparison<'_> {
    /// Which rows are within noise of the best.
    pub(super) fn about_noise(
        &self,
        best: usize,
        validation_frames: Option<usize>,
        differences: Option<&Differences>,
    ) -> String {
        let of_seeds = self.about_seeds(best);
        let of_frames = differences.and_then(|differences| self.about_frames(best, differences));
        match (of_seeds, of_frames) {
            (Some(seeds), Some(frames)) => format!("{frames} {seeds}"),
            (Some(sentence), None) | (None, Some(sentence)) => sentence,
            (None, None) => self.about_unmeasured_noise(best, validation_frames),
        }
    }

    /// What the paired comparisons of the best row with the others found. `None` if there are none.
    fn about_frames(&self, best: usize, differences: &Differences) -> Option<String> {
        let found: Vec<&Found> = differences
            .with_best(&self.table.name, &self.quality.name, best)
            .filter(|found| self.rows.contains(&found.other))
            .collect();
        let first = found.first()?;
        let judged = found.iter().filter(|found| found.difference.is_some()).count();
        let name = &self.quality.name;
        if judged == 0 {
            return Some(format!(
                "Whether the {name} of other rows differs by more than noise cannot be told: \
                 there are too few sequences and blocks of frames, or too few that differ ({}).",
                in_words(first.units)
            ));
        }
        let different =
            found.iter().filter(|found| found.difference.is_some_and(|d| d.is_beyond_noise()));
        let different = different.count();
        let units: BTreeSet<String> = found.iter().map(|found| in_words(found.units)).collect();
        let units = match units.len() {
            1 => in_words(first.units),
            _ => "blocks of consecutive frames".into(),
        };
        let not_judged = match found.len() - judged {
            0 => String::new(),
            few => format!(
                "; {few} more could not be judged, because too few sequences or blocks differ"
            ),
        };
        Some(format!(
            "By a paired bootstrap over {units} (95 % intervals), {} of the {judged} rows that \
             were compared with the best have a {name} within noise of it{not_judged}.",
            judged - different,
        ))
    }

    /// How much seeds vary. `None` if no seed was repeated.
    fn about_seeds(&self, best: usize) -> Option<String> {
        let twice = 2.0 * self.deviation_of_replicates().or_else(|| self.deviation_of_seeds())?;
        Some(format!(
            "Seeds alone make the {} vary by {twice:.3} (two standard deviations): {}.",
            self.quality.name,
            self.within(best, twice)
        ))
    }

    /// How many other rows are so near to the best, in words.
    fn within(&self, best: usize, distance: f64) -> String {
        let others = self.rows.iter().filter(|&&row| {
            row != best && self.quality_of(best) - self.quality_of(row) <= distance
        });
        match others.count() {
            0 => "no other row is within that of the best".to_string(),
            1 => "1 other row is within that of the best".to_string(),
            several => format!("{several} other rows are within that of the best"),
        }
    }

    fn about_unmeasured_noise(&self, best: usize, validation_frames: Option<usize>) -> String {
        let name = &self.quality.name;
        match validation_frames.filter(|frames| *frames > 0 && name != "CIDEr") {
            Some(frames) => {
                let error = 0.5 / (frames as f64).sqrt();
                format!(
                    "Noise was not measured, for no seed was repeated; {frames} validation frames \
                     alone leave a standard error of up to {error:.3}, and {}.",
                    self.within(best, error)
                )
            }
            None => "Noise was not measured, for no seed was repeated.".into(),
        }
    }

    /// The pooled standard deviation of rows that are means over seeds.
    fn deviation_of_replicates(&self) -> Option<f64> {
        let counts = self.table.column(SEEDS)?;
        let (mut squares, mut degrees) = (0.0, 0.0);
        for &row in &self.rows {
            if let (Some(deviation), Some(count)) =
                (self.quality.deviation_at(row), counts.number_at(row))
            {
                squares += (count - 1.0) * deviation * deviation;
                degrees += count - 1.0;
            }
        }
        (degrees > 0.0).then(|| (squares / degrees).sqrt())
    }

    /// The pooled standard deviation of the quality of rows that differ in their seed alone.
    fn deviation_of_seeds(&self) -> Option<f64> {
        let keys = key_columns(self.table);
        let is_seed =
            |column: &TableColumn| column.name == "seed" || column.name.ends_with(".seed");
        keys.iter().find(|column| is_seed(column))?;
        let mut groups: BTreeMap<Vec<String>, Vec<f64>> = BTreeMap::new();
        for &row in &self.rows {
            let others = keys
                .iter()
                .filter(|column| !is_seed(column))
                .map(|column| column.shown(row))
                .collect();
            groups.entry(others).or_default().push(self.quality_of(row));
        }
        let (mut squares, mut degrees) = (0.0, 0);
        for values in groups.values() {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            squares += values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            degrees += values.len() - 1;
        }
        (degrees > 0).then(|| (squares / degrees as f64).sqrt())
    }
}
