//! `interact`: trains an interaction graph on the features of the train frames and scores it on the
//! validation frames (METHOD 8).

use surgcam_artifacts::history::HistoryFiles;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::write_json;
use surgcam_frames::dataset::annotations::{self, INTERACTIONS, LabelledInteraction};
use surgcam_frames::metrics::InteractionMetrics;
use surgcam_pipeline::head_settings::{HeadTraining, head_file};
use surgcam_pipeline::kinds::InteractStage;
use surgcam_values::InteractionLoss;
use tch::{Device, Tensor};

use super::{KindRun, Make, StageRun};
use crate::heads::cognition_tree::CognitionTree;
use crate::heads::graph_batch::Edge;
use crate::heads::interaction_graph::{InteractionGraph, of_edges};
use crate::heads::interaction_loss::{LossFunction, balanced_weights};
use crate::heads::interaction_metrics::metrics;
use crate::heads::interaction_predictions::{Interactions, predicted};
use crate::heads::layers::TensorSource;
use crate::heads::regions::FrameRegions;
use crate::model::weights::Weights;
use crate::one_thread::OneThread;
use crate::training::adam::AdamSettings;
use crate::training::heads::{self, Head};

impl Make for InteractStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let _one = OneThread::if_wanted(parameters.needs_one_core());
        let frames = stage.frames(stage.inputs.index, stage.inputs.pack)?;
        let annotations = annotations::read(&stage.path_of(stage.inputs.annotations)?)?;
        let train = Interactions::of(&frames, &annotations, |frame| frame.train);
        let validation = Interactions::of(&frames, &annotations, |frame| frame.validation);
        if train.frames.is_empty() || validation.frames.is_empty() {
            return without_interactions(stage);
        }
        let head = InteractionHead::new(stage, train, validation)?;
        let run: &StageRun = stage;
        let files = HistoryFiles {
            parquet: stage.output(Self::HISTORY),
            csv: stage.output(Self::HISTORY_CSV),
        };
        heads::train(run, &head, parameters.training.epochs, &files)?;
        head.graph.write(&head.weights, &stage.output(Self::HEAD))?;
        stage.write_metrics(&Some(head.validation_metrics()))
    }
}

fn without_interactions(stage: &KindRun<InteractStage>) -> Result<()> {
    stage.note("no interactions in the train or in the validation frames".into());
    write_json(&stage.output_folder(InteractStage::HEAD)?.join(head_file::NOTHING_ANNOTATED), &())?;
    stage.write_metrics(&None)
}

struct InteractionHead<'a> {
    parameters: &'a InteractStage,
    graph: InteractionGraph,
    weights: Weights,
    loss_function: LossFunction,
    regions: FrameRegions,
    train: Interactions,
    validation: Interactions,
    device: Device,
}

impl<'a> InteractionHead<'a> {
    fn new(
        stage: &'a KindRun<'_, InteractStage>,
        train: Interactions,
        validation: Interactions,
    ) -> Result<Self> {
        let parameters = &stage.parameters;
        let device = stage.worker.device;
        let training = &parameters.training;
        let rows = [train.rows(), validation.rows()].concat();
        let mut regions = FrameRegions::read(
            &stage.path_of(stage.inputs.features)?,
            &rows,
            training.maximum_regions,
        )?;
        if training.shuffled {
            regions.shuffle(&train.rows(), training.seed);
            regions.shuffle(&validation.rows(), training.seed);
        }
        let loss_function = loss_function(stage, &train, &regions)?;
        let mut source = TensorSource::random(training.seed, device);
        let mut graph = InteractionGraph::new(&mut source, parameters.graph)?;
        graph.standardization.set(&regions.spread(&train.rows()));
        let weights = source.into_parameters();
        Ok(InteractionHead {
            parameters,
            graph,
            weights,
            loss_function,
            regions,
            train,
            validation,
            device,
        })
    }

    fn validation_metrics(&self) -> InteractionMetrics {
        let predictions = predicted(&self.graph, &self.validation, &self.regions, self.device);
        metrics(&predictions, self.train.instruments())
    }
}

fn loss_function(
    stage: &KindRun<InteractStage>,
    train: &Interactions,
    regions: &FrameRegions,
) -> Result<LossFunction> {
    let device = stage.worker.device;
    let counts = train.counts();
    let weights = || {
        let weights: Vec<f32> =
            balanced_weights(&counts).into_iter().map(|weight| weight as f32).collect();
        Tensor::from_slice(&weights).to_device(device)
    };
    Ok(match stage.parameters.loss {
        InteractionLoss::SoftMargin => LossFunction::SoftMargin,
        InteractionLoss::CrossEntropy => LossFunction::CrossEntropy,
        InteractionLoss::ClassBalanced => LossFunction::ClassBalanced { weights: weights() },
        InteractionLoss::CogTree => {
            let biased = stage
                .inputs
                .biased
                .ok_or_else(|| Error::failure("the CogTree loss needs a biased head"))?;
            let biased =
                InteractionGraph::read(&stage.path_of(biased)?, device).map_err(|error| {
                    Error::failure(format!("the biased head cannot be read: {}", error.what()))
                })?;
            let mut confusions = vec![vec![0; INTERACTIONS.len()]; INTERACTIONS.len()];
            for found in predicted(&biased, train, regions, device) {
                confusions[found.right][found.answer()] += 1;
            }
            LossFunction::CognitionTree {
                weights: weights(),
                tree: CognitionTree::of(&confusions, &counts),
            }
        }
    })
}

impl Head for InteractionHead<'_> {
    const SCORE: &'static str = "mAP";

    fn adam(&self) -> AdamSettings {
        AdamSettings::default()
    }

    fn settings(&self) -> &HeadTraining {
        &self.parameters.training
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn phase(&self, _epoch: usize) -> &'static str {
        self.parameters.loss.name()
    }

    /// Places among the train frames.
    fn samples(&self) -> Vec<usize> {
        (0..self.train.frames.len()).collect()
    }

    fn loss(&self, places: &[usize], _epoch: usize) -> Result<Tensor> {
        let frames: Vec<&(usize, Vec<LabelledInteraction>)> =
            places.iter().map(|&place| &self.train.frames[place]).collect();
        let rows: Vec<usize> = frames.iter().map(|(row, _)| *row).collect();
        let batch = self.graph.batch(&self.regions.batch(&rows, self.device));
        let labels = frames
            .iter()
            .enumerate()
            .flat_map(|(frame, (_, labels))| labels.iter().map(move |label| (frame, label)));
        let edge_of = |(frame, label): (usize, &LabelledInteraction)| {
            batch
                .edges_of(frame, label)
                .into_iter()
                .map(|edge| (edge, label.interaction as i64))
                .collect::<Vec<_>>()
        };
        let (edges, targets): (Vec<Edge>, Vec<i64>) = labels.flat_map(edge_of).unzip();
        let logits = of_edges(&self.graph.logits(&batch, true), &edges);
        Ok(self.loss_function.of(&logits, &Tensor::from_slice(&targets).to_device(self.device)))
    }

    fn learning_rates(&self, _epoch: usize, _step: i64) -> impl Fn(&str) -> f64 {
        let learning_rate = self.parameters.training.learning_rate;
        move |_: &str| learning_rate
    }

    fn judge(&self, _epoch: usize) -> Result<f64> {
        Ok(self.validation_metrics().mean_average_precision)
    }
}
