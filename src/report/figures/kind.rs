//! The figures that there can be, by name.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum FigureKind {
    /// The table's quality against frames a second, with the Pareto front
    SpeedQuality,
    /// mIoU of boxes over T_ROI
    MiouOverThreshold,
    /// AP50 of boxes over T_ROI
    Ap50OverThreshold,
    /// mAP of the probe over T_ROI
    ProbeOverThreshold,
    /// Average precision of each class as a grid of coloured cells
    ClassAp,
    /// Which interactions are taken for which others, as a grid of coloured cells
    InteractionConfusion,
    /// mAP of classification over the number of classes
    ClassCount,
    /// Validation mAP over epochs
    TrainingMap,
    /// Losses over epochs
    TrainingLoss,
    /// Which stages the last run made when
    Timeline,
}

impl FigureKind {
    /// On the command line, and without extension as a file.
    pub fn name(self) -> &'static str {
        match self {
            FigureKind::SpeedQuality => "speed-quality",
            FigureKind::MiouOverThreshold => "miou-over-threshold",
            FigureKind::Ap50OverThreshold => "ap50-over-threshold",
            FigureKind::ProbeOverThreshold => "probe-over-threshold",
            FigureKind::ClassAp => "class-ap",
            FigureKind::InteractionConfusion => "interaction-confusion",
            FigureKind::ClassCount => "class-count",
            FigureKind::TrainingMap => "training-map",
            FigureKind::TrainingLoss => "training-loss",
            FigureKind::Timeline => "timeline",
        }
    }

    /// What must be in the store for it.
    pub fn needs(self) -> &'static str {
        match self {
            FigureKind::SpeedQuality => {
                "measured speeds in the extraction table, and a quality beside them"
            }
            FigureKind::MiouOverThreshold | FigureKind::Ap50OverThreshold => {
                "the localization table at several values of T_ROI"
            }
            FigureKind::ProbeOverThreshold => "probes at several values of T_ROI",
            FigureKind::ClassAp => "average precisions of classes in a table",
            FigureKind::InteractionConfusion => {
                "an interaction head's predictions for the validation frames"
            }
            FigureKind::ClassCount => "the classification table of several numbers of classes",
            FigureKind::TrainingMap | FigureKind::TrainingLoss => "trainings",
            FigureKind::Timeline => "a run that made stages",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_and_files_have_the_same_names() {
        for kind in FigureKind::value_variants() {
            let value = kind.to_possible_value().expect("no kind is hidden");
            assert_eq!(value.get_name(), kind.name());
        }
    }
}
