//! `caption`: trains a captioner on the features of the train frames and scores it on the
//! validation frames (METHOD 8).
//!
//! Three phases follow each other: cross-entropy; self-critical training, where the recipe asks for
//! it; and epochs in which the backbone learns with the head, through SL-FE. Each starts from the
//! best epoch of the one before. The epoch of the last one with the best CIDEr is kept.

use std::collections::HashMap;

use surgcam_artifacts::captions::{self, FrameCaption};
use surgcam_artifacts::history::HistoryFiles;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::write_json;
use surgcam_frames::dataset::annotations::{self, FrameAnnotation};
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::language::cider::Cider;
use surgcam_frames::language::scores::{CaptionScores, Judged, score};
use surgcam_frames::language::tokens::tokenize;
use surgcam_frames::language::vocabulary::Vocabulary;
use surgcam_frames::metrics::CaptionMetrics;
use surgcam_pipeline::head_settings::{HeadTraining, head_file};
use surgcam_pipeline::kinds::CaptionStage;
use tch::{Device, Tensor};

use super::{KindRun, Make, StageRun};
use crate::frame_set::FrameSet;
use crate::heads::beam::Sentence;
use crate::heads::captioner::{Captioner, warm_up_factor};
use crate::heads::joint::JointBackbone;
use crate::heads::layers::TensorSource;
use crate::heads::regions::{FrameRegions, RegionBatch};
use crate::model::checkpoint;
use crate::model::weights::Weights;
use crate::one_thread::OneThread;
use crate::training::adam::AdamSettings;
use crate::training::heads::{self, Head};

/// Before the names of a jointly trained backbone's parameters.
const BACKBONE: &str = "backbone.";
/// Frames captioned together.
const FRAMES_TOGETHER: usize = 100;

/// Frames with their captions as words.
struct Captions {
    train: Vec<usize>,
    validation: Vec<usize>,
    of_row: HashMap<usize, Vec<String>>,
}

impl Captions {
    fn of(frames: &[Frame], annotations: &[FrameAnnotation]) -> Self {
        let words = |annotation: &FrameAnnotation| {
            annotation.caption.as_deref().map(tokenize).filter(|words| !words.is_empty())
        };
        let of_row: HashMap<usize, Vec<String>> = annotations
            .iter()
            .enumerate()
            .filter_map(|(row, annotation)| Some((row, words(annotation)?)))
            .collect();
        let rows = |wanted: fn(&Frame) -> bool| {
            (0..frames.len())
                .filter(|row| wanted(&frames[*row]) && of_row.contains_key(row))
                .collect()
        };
        Captions {
            train: rows(|frame| frame.train),
            validation: rows(|frame| frame.validation),
            of_row,
        }
    }

    fn of_rows(&self, rows: &[usize]) -> Vec<Vec<String>> {
        rows.iter().map(|row| self.of_row[row].clone()).collect()
    }
}

impl Make for CaptionStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let _one = OneThread::if_wanted(parameters.needs_one_core());
        let frames = stage.frames(stage.inputs.index, stage.inputs.pack)?;
        let captions =
            Captions::of(&frames, &annotations::read(&stage.path_of(stage.inputs.annotations)?)?);
        if captions.train.is_empty() || captions.validation.is_empty() {
            return without_captions(stage);
        }
        let head = CaptionHead::new(stage, captions)?;
        let epochs = parameters.training.epochs
            + parameters.self_critical.map_or(0, |further| further.epochs)
            + parameters.joint.as_ref().map_or(0, |further| further.epochs);
        let run: &StageRun = stage;
        let files = HistoryFiles {
            parquet: stage.output(Self::HISTORY),
            csv: stage.output(Self::HISTORY_CSV),
        };
        heads::train(run, &head, epochs, &files)?;
        head.finish(stage, &frames)
    }
}

fn without_captions(stage: &KindRun<CaptionStage>) -> Result<()> {
    stage.note("no captions in the train or in the validation frames".into());
    write_json(&stage.output_folder(CaptionStage::HEAD)?.join(head_file::NOTHING_ANNOTATED), &())?;
    stage.write_metrics(&None)
}

struct CaptionHead<'a> {
    parameters: &'a CaptionStage,
    captions: Captions,
    captioner: Captioner,
    /// The head's, and those of a backbone that learns with it.
    weights: Weights,
    regions: FrameRegions,
    backbone: Option<JointBackbone>,
    /// The CIDEr of sentences against the train captions, by which self-critical training rewards
    /// them.
    cider: Cider,
    device: Device,
}

impl<'a> CaptionHead<'a> {
    fn new(stage: &'a KindRun<'_, CaptionStage>, captions: Captions) -> Result<Self> {
        let parameters = &stage.parameters;
        let device = stage.worker.device;
        let training = &parameters.training;
        let mut regions = FrameRegions::read(
            &stage.path_of(stage.inputs.features)?,
            &[captions.train.as_slice(), &captions.validation].concat(),
            training.maximum_regions,
        )?;
        if training.shuffled {
            regions.shuffle(&captions.train, training.seed);
            regions.shuffle(&captions.validation, training.seed);
        }
        let train_captions = captions.of_rows(&captions.train);
        let vocabulary =
            Vocabulary::of(train_captions.iter().map(Vec::as_slice), parameters.minimum_frequency);
        let mut source = TensorSource::random(training.seed, device);
        let mut captioner = Captioner::new(&mut source, parameters.transformer, vocabulary)?;
        captioner.transformer.standardization.set(&regions.spread(&captions.train));
        let mut weights = source.into_parameters();
        let backbone = match &parameters.joint {
            None => None,
            Some(joint) => {
                let start = stage.inputs.checkpoint.ok_or_else(|| {
                    Error::failure("a joint training needs a backbone to start from")
                })?;
                let own = Weights::new(checkpoint::read_safetensors(&stage.path_of(start)?)?);
                let own = own.checked(joint.extraction.architecture, true)?.for_training(device);
                let frames = FrameSet::open(
                    &stage.path_of(stage.inputs.pack)?,
                    &stage.path_of(stage.inputs.index)?,
                )?;
                let backbone = JointBackbone::new(
                    &own,
                    &joint.extraction,
                    frames,
                    training.maximum_regions,
                    device,
                )?;
                weights = weights.with(own.renamed(|name| Some(format!("{BACKBONE}{name}"))));
                Some(backbone)
            }
        };
        let cider = Cider::new(
            &train_captions.into_iter().map(|caption| vec![caption]).collect::<Vec<_>>(),
        );
        Ok(CaptionHead {
            parameters,
            captions,
            captioner,
            weights,
            regions,
            backbone,
            cider,
            device,
        })
    }

    /// Cross-entropy first, then the others.
    fn phase_of(&self, epoch: usize) -> Phase {
        let cross_entropy = self.parameters.training.epochs;
        let self_critical = self.parameters.self_critical.map_or(0, |further| further.epochs);
        if epoch <= cross_entropy {
            Phase::CrossEntropy
        } else if epoch <= cross_entropy + self_critical {
            Phase::SelfCritical
        } else {
            Phase::Joint
        }
    }

    fn regions_of(&self, rows: &[usize], phase: Phase) -> Result<RegionBatch> {
        match &self.backbone {
            Some(backbone) if phase == Phase::Joint => backbone.regions(rows),
            _ => Ok(self.regions.batch(rows, self.device)),
        }
    }

    fn cross_entropy(&self, regions: &RegionBatch, rows: &[usize]) -> Tensor {
        let encoded: Vec<Vec<usize>> = rows
            .iter()
            .map(|row| self.captioner.vocabulary.encode(&self.captions.of_row[row]))
            .collect();
        self.captioner.loss(regions, &encoded, self.parameters.label_smoothing)
    }

    fn self_critical(&self, regions: &RegionBatch, rows: &[usize]) -> Tensor {
        let sentences = self.captioner.sentences(regions, self.parameters.search);
        let rewarded = |(row, sentences): (&usize, Vec<Sentence>)| -> Vec<(Sentence, f64)> {
            let reference = std::slice::from_ref(&self.captions.of_row[row]);
            let reward = |sentence: &Sentence| {
                self.cider.score(&self.captioner.vocabulary.decode(&sentence.words), reference)
            };
            sentences.into_iter().map(|sentence| (sentence.clone(), reward(&sentence))).collect()
        };
        let rewarded: Vec<Vec<(Sentence, f64)>> =
            rows.iter().zip(sentences).map(rewarded).collect();
        self.captioner.self_critical_loss(regions, &rewarded, self.parameters.search.longest)
    }

    /// The captions of the validation frames.
    fn validation_captions(&self, phase: Phase) -> Result<Vec<Vec<String>>> {
        let mut captions = Vec::with_capacity(self.captions.validation.len());
        for rows in self.captions.validation.chunks(FRAMES_TOGETHER) {
            let together = || -> Result<Vec<Vec<String>>> {
                Ok(self.captioner.captions(&self.regions_of(rows, phase)?, self.parameters.search))
            };
            captions.extend(tch::no_grad(together)?);
        }
        Ok(captions)
    }

    fn scores(&self, phase: Phase) -> Result<(CaptionScores, Vec<Judged>)> {
        let references = self.captions.of_rows(&self.captions.validation);
        let judge = |(candidate, reference)| Judged { candidate, references: vec![reference] };
        let judged: Vec<Judged> =
            self.validation_captions(phase)?.into_iter().zip(references).map(judge).collect();
        Ok((score(&judged), judged))
    }

    /// Writes the head as it is now, and the captions of the validation frames.
    fn finish(&self, stage: &KindRun<CaptionStage>, frames: &[Frame]) -> Result<()> {
        let phase = if self.backbone.is_some() { Phase::Joint } else { Phase::CrossEntropy };
        let (scores, judged) = self.scores(phase)?;
        let folder = stage.output(CaptionStage::HEAD);
        self.captioner.write(
            &self.weights.renamed(|name| (!name.starts_with(BACKBONE)).then(|| name.to_string())),
            &folder,
        )?;
        if self.backbone.is_some() {
            let backbone =
                self.weights.renamed(|name| name.strip_prefix(BACKBONE).map(String::from));
            checkpoint::write(&backbone, &folder.join(head_file::BACKBONE))?;
        }
        let said = |(row, judged): (&usize, &Judged)| FrameCaption {
            sequence: frames[*row].sequence.clone(),
            frame: frames[*row].name.clone(),
            caption: judged.candidate.join(" "),
            reference: judged.references.concat().join(" "),
        };
        let lines: Vec<FrameCaption> =
            self.captions.validation.iter().zip(&judged).map(said).collect();
        captions::write(&lines, &stage.output(CaptionStage::CAPTIONS))?;
        let metrics = CaptionMetrics {
            train_captions: self.captions.train.len(),
            captions: self.captions.validation.len(),
            words: self.captioner.vocabulary.len(),
            scores,
        };
        stage.write_metrics(&Some(metrics))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    CrossEntropy,
    SelfCritical,
    Joint,
}

impl Head for CaptionHead<'_> {
    const SCORE: &'static str = "CIDEr";

    /// METHOD 8.
    fn adam(&self) -> AdamSettings {
        AdamSettings { betas: (0.9, 0.98), epsilon: 1e-8 }
    }

    fn settings(&self) -> &HeadTraining {
        &self.parameters.training
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn phase(&self, epoch: usize) -> &'static str {
        match self.phase_of(epoch) {
            Phase::CrossEntropy => "cross-entropy",
            Phase::SelfCritical => "self-critical",
            Phase::Joint => "joint",
        }
    }

    /// Rows of frames.
    fn samples(&self) -> Vec<usize> {
        self.captions.train.clone()
    }

    fn loss(&self, rows: &[usize], epoch: usize) -> Result<Tensor> {
        let phase = self.phase_of(epoch);
        let regions = self.regions_of(rows, phase)?;
        Ok(match phase {
            Phase::SelfCritical => self.self_critical(&regions, rows),
            Phase::CrossEntropy | Phase::Joint => self.cross_entropy(&regions, rows),
        })
    }

    /// One of the head's own weights, one of the backbone's.
    fn learning_rates(&self, epoch: usize, step: i64) -> impl Fn(&str) -> f64 {
        let parameters = self.parameters;
        let warm = parameters.training.learning_rate
            * warm_up_factor(parameters.transformer.width, parameters.warm_up_steps, step);
        let (own, backbone) = match self.phase_of(epoch) {
            Phase::CrossEntropy => (warm, 0.0),
            Phase::SelfCritical => {
                (parameters.self_critical.map_or(0.0, |further| further.learning_rate), 0.0)
            }
            Phase::Joint => {
                (warm, parameters.joint.as_ref().map_or(0.0, |further| further.learning_rate))
            }
        };
        move |name: &str| if name.starts_with(BACKBONE) { backbone } else { own }
    }

    fn judge(&self, epoch: usize) -> Result<f64> {
        Ok(self.scores(self.phase_of(epoch))?.0.cider)
    }
}
