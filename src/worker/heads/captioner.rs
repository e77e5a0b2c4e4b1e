//! A captioner: the transformer with its vocabulary, its two losses, and its file form.

use std::path::Path;

use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::store::{read_json, write_json};
use surgcam_frames::language::vocabulary::{END, PADDING, START, Vocabulary};
use surgcam_pipeline::checked::Checked;
use surgcam_pipeline::head_settings::{CaptionSearch, TransformerSettings, head_file};
use tch::{Device, Kind, Reduction, Tensor};

use super::beam::{self, Sentence};
use super::layers::TensorSource;
use super::regions::RegionBatch;
use super::transformer::Transformer;
use crate::model::checkpoint;
use crate::model::weights::Weights;

pub struct Captioner {
    pub transformer: Transformer,
    pub vocabulary: Vocabulary,
    settings: TransformerSettings,
}

impl Captioner {
    pub fn new(
        source: &mut TensorSource,
        settings: TransformerSettings,
        vocabulary: Vocabulary,
    ) -> Result<Self> {
        Ok(Captioner {
            transformer: Transformer::new(source, settings, vocabulary.len())?,
            vocabulary,
            settings,
        })
    }

    /// From a folder that [`Captioner::write`] wrote.
    pub fn read(folder: &Path, device: Device) -> Result<Self> {
        let mut source = TensorSource::of_checkpoint(
            checkpoint::read_safetensors(&folder.join(head_file::TENSORS))?,
            device,
        );
        let vocabulary = read_json(&folder.join(head_file::VOCABULARY))?;
        let settings: Checked<TransformerSettings> = read_json(&folder.join(head_file::SETTINGS))?;
        Captioner::new(&mut source, *settings, vocabulary).map_err(|error| error.at_path(folder))
    }

    /// `parameters`: those of the transformer, perhaps of an earlier epoch.
    pub fn write(&self, parameters: &Weights, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
        write_json(&folder.join(head_file::SETTINGS), &self.settings)?;
        write_json(&folder.join(head_file::VOCABULARY), &self.vocabulary)?;
        checkpoint::write(parameters, &folder.join(head_file::TENSORS))
    }

    /// Cross-entropy of each next word of the captions, one for each frame; padding does not count.
    pub fn loss(
        &self,
        regions: &RegionBatch,
        captions: &[Vec<usize>],
        label_smoothing: f64,
    ) -> Tensor {
        let (given, wanted) = self.shifted(captions, regions.features.device());
        let logits = self.transformer.decode(&self.transformer.encode(regions, true), &given, true);
        logits.flatten(0, 1).cross_entropy_loss(
            &wanted.flatten(0, 1),
            None::<&Tensor>,
            Reduction::Mean,
            PADDING as i64,
            label_smoothing,
        )
    }

    /// Self-critical: the mean over sentences of -(reward - baseline) times the sentence's
    /// log-probability, divided by the greatest length, which is the same for all: a word counts as
    /// much in a short sentence as in a long one. `sampled`: of each frame several sentences with
    /// their rewards; the baseline is the mean reward of the frame's sentences.
    pub fn self_critical_loss(
        &self,
        regions: &RegionBatch,
        sampled: &[Vec<(Sentence, f64)>],
        longest: usize,
    ) -> Tensor {
        let device = regions.features.device();
        // The end of a sentence that was cut off was chosen by nobody.
        let caption = |(sentence, _): &(Sentence, f64)| {
            let end: &[usize] = if sentence.has_ended { &[END] } else { &[] };
            [&[START], sentence.words.as_slice(), end].concat()
        };
        let captions: Vec<Vec<usize>> = sampled.iter().flatten().map(caption).collect();
        let frames: Vec<i64> = sampled
            .iter()
            .enumerate()
            .flat_map(|(frame, of_frame)| vec![frame as i64; of_frame.len()])
            .collect();
        let advantages: Vec<f32> =
            sampled.iter().flat_map(|of_frame| advantages(of_frame)).collect();
        let (given, wanted) = self.shifted(&captions, device);
        let repeated = regions.of_frames(&Tensor::from_slice(&frames).to_device(device));
        let logits =
            self.transformer.decode(&self.transformer.encode(&repeated, true), &given, true);
        let of_words = logits
            .log_softmax(-1, Kind::Float)
            .gather(2, &wanted.unsqueeze(-1), false)
            .squeeze_dim(-1);
        let is_word = wanted.ne(PADDING as i64).to_kind(Kind::Float);
        let of_sentences =
            (of_words * &is_word).sum_dim_intlist(1, false, Kind::Float) / longest.max(1) as f64;
        -(of_sentences * Tensor::from_slice(&advantages).to_device(device)).mean(Kind::Float)
    }

    /// Captions START ... END -> what the decoder is given and what it should answer, both [N, T],
    /// padded.
    fn shifted(&self, captions: &[Vec<usize>], device: Device) -> (Tensor, Tensor) {
        let longest = captions.iter().map(Vec::len).max().unwrap_or(1).max(2) - 1;
        let padded = |part: &dyn Fn(&[usize]) -> Vec<usize>| {
            let row = |caption: &Vec<usize>| {
                let mut words: Vec<i64> =
                    part(caption).into_iter().map(|word| word as i64).collect();
                words.resize(longest, PADDING as i64);
                words
            };
            let values: Vec<i64> = captions.iter().flat_map(row).collect();
            Tensor::from_slice(&values)
                .view([captions.len() as i64, longest as i64])
                .to_device(device)
        };
        (
            padded(&|caption| caption[..caption.len() - 1].to_vec()),
            padded(&|caption| caption[1..].to_vec()),
        )
    }

    /// The best sentences of each frame, the best first.
    pub fn sentences(&self, regions: &RegionBatch, search: CaptionSearch) -> Vec<Vec<Sentence>> {
        tch::no_grad(|| {
            let mut narration = self.transformer.narrate(regions);
            beam::search(&mut narration, regions.regions.len(), search.beam, search.longest)
        })
    }

    /// The best caption of each frame, as words.
    pub fn captions(&self, regions: &RegionBatch, search: CaptionSearch) -> Vec<Vec<String>> {
        let best = |sentences: Vec<Sentence>| {
            sentences.first().map_or(Vec::new(), |best| self.vocabulary.decode(&best.words))
        };
        self.sentences(regions, search).into_iter().map(best).collect()
    }
}

/// Of a frame's sentences: reward minus the mean reward.
fn advantages(of_frame: &[(Sentence, f64)]) -> Vec<f32> {
    let mean =
        of_frame.iter().map(|(_, reward)| reward).sum::<f64>() / of_frame.len().max(1) as f64;
    of_frame.iter().map(|(_, reward)| (reward - mean) as f32).collect()
}

/// Vaswani et al. 2017: rises for so many steps, then falls with the root of the step (from 1).
pub fn warm_up_factor(width: usize, warm_up_steps: usize, step: i64) -> f64 {
    let (step, warm_up) = (step.max(1) as f64, warm_up_steps.max(1) as f64);
    (width as f64).powf(-0.5) * step.powf(-0.5).min(step * warm_up.powf(-1.5))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::regions::{FEATURES, FrameRegions, HeadRegion};
    use super::*;
    use crate::training::adam::{Adam, AdamSettings};
    use rand::RngExt;
    use surgcam_frames::language::scores::{Judged, score};
    use surgcam_frames::language::tokens::tokenize;
    use surgcam_frames::random::stream;
    use surgcam_frames::vision::geometry::Box2;

    const SMALL: TransformerSettings = TransformerSettings {
        width: 64,
        layers: 2,
        attention_heads: 4,
        feed_forward: 128,
        memory_slots: 8,
        dropout: 0.0,
    };

    /// 30 different captions in the manner of the real ones, each with its own random regions.
    fn thirty() -> (Vec<Vec<String>>, FrameRegions) {
        let tools = [
            "bipolar forceps",
            "prograsp forceps",
            "large needle driver",
            "monopolar curved scissors",
            "suction",
            "clip applier",
        ];
        let actions = ["looping", "cutting", "retracting", "cauterizing", "manipulating"];
        let caption = |number: usize| {
            let action = actions[number % actions.len()];
            tokenize(&match number % 2 {
                0 => format!("A {} is {action} tissue", tools[number / 5]),
                _ => format!(
                    "A {} and a {} are {action} kidney tissue",
                    tools[number / 5],
                    tools[(number + 1) % tools.len()]
                ),
            })
        };
        let mut random = stream("thirty captions");
        let of_row = |row| {
            let count = random.random_range(1..=6);
            let region = |_| HeadRegion {
                class: 0,
                bounds: Box2::from([0, 0, 1, 1]),
                features: (0..FEATURES).map(|_| random.random_range(0.0..1.0)).collect(),
            };
            (row, (0..count).map(region).collect())
        };
        (
            (0..30).map(caption).collect(),
            FrameRegions::new((0..30).map(of_row).collect::<HashMap<_, _>>(), 6),
        )
    }

    fn captioner(captions: &[Vec<String>], seed: u64) -> (Captioner, Weights) {
        let vocabulary = Vocabulary::of(captions.iter().map(Vec::as_slice), 1);
        let mut source = TensorSource::random(seed, Device::Cpu);
        let captioner = Captioner::new(&mut source, SMALL, vocabulary).unwrap();
        (captioner, source.into_parameters())
    }

    /// BLEU-4 of what a captioner says after it has seen each caption 200 times.
    fn learnt_by_heart(captions: &[Vec<String>], regions: &FrameRegions) -> f64 {
        let (captioner, parameters) = captioner(captions, 1);
        let mut adam = Adam::new(&parameters, AdamSettings { betas: (0.9, 0.98), epsilon: 1e-8 });
        let batch = regions.batch(&(0..captions.len()).collect::<Vec<_>>(), Device::Cpu);
        let encoded: Vec<Vec<usize>> =
            captions.iter().map(|caption| captioner.vocabulary.encode(caption)).collect();
        for _ in 0..200 {
            let loss = captioner.loss(&batch, &encoded, 0.0);
            let rate = 0.15 * warm_up_factor(SMALL.width, 60, adam.steps() + 1);
            adam.step(&loss, |_| rate);
        }
        let found = captioner.captions(&batch, CaptionSearch { beam: 5, longest: 20 });
        let judged: Vec<Judged> = found
            .into_iter()
            .zip(captions)
            .map(|(candidate, own)| Judged { candidate, references: vec![own.clone()] })
            .collect();
        score(&judged).bleu[3]
    }

    #[test]
    fn a_captioner_learns_thirty_captions_by_heart() {
        let (captions, regions) = thirty();
        let bleu = learnt_by_heart(&captions, &regions);
        assert!(bleu > 0.95, "{bleu}");
    }

    #[test]
    fn a_captioner_learns_thirty_real_captions_by_heart() {
        let folder = std::path::Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/real/endovis18/captions"
        ));
        let Ok(text) = std::fs::read(folder.join("captions_train.json")) else {
            eprintln!("skipped: the real captions are not beside this project");
            return;
        };
        let real: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        let mut captions: Vec<Vec<String>> =
            real.iter().map(|one| tokenize(one["caption"].as_str().unwrap())).collect();
        captions.retain(|words| words.len() <= 20);
        captions.sort();
        captions.dedup();
        let apart = captions.len() / 30;
        let captions: Vec<Vec<String>> = captions.into_iter().step_by(apart).take(30).collect();
        assert_eq!(captions.len(), 30);
        let bleu = learnt_by_heart(&captions, &thirty().1);
        assert!(bleu > 0.95, "{bleu}");
    }

    /// Word by word with what was kept, and all words at once, are the same function.
    #[test]
    fn growing_sentences_get_the_probabilities_of_whole_ones() {
        let (captions, regions) = thirty();
        let (captioner, _) = captioner(&captions, 2);
        let batch = regions.batch(&[0, 1, 29, 77], Device::Cpu);
        for sentences in captioner
            .sentences(&batch, CaptionSearch { beam: 3, longest: 9 })
            .iter()
            .enumerate()
            .map(|(frame, found)| {
                assert_eq!(found.len(), 3);
                (frame, found)
            })
        {
            let (frame, found) = sentences;
            for sentence in found {
                let caption = [&[START], sentence.words.as_slice(), &[END]].concat();
                let ended = sentence.words.len() < 9;
                let one = regions.batch(&[[0, 1, 29, 77][frame]], Device::Cpu);
                let (given, wanted) = captioner.shifted(&[caption], Device::Cpu);
                let mut logits = captioner.transformer.decode(
                    &captioner.transformer.encode(&one, false),
                    &given,
                    false,
                );
                for never in [PADDING, START] {
                    let _ = logits.narrow(2, never as i64, 1).fill_(f64::NEG_INFINITY);
                }
                logits = logits.log_softmax(-1, Kind::Float);
                let of_words = logits.gather(2, &wanted.unsqueeze(-1), false).view([-1]);
                let counted = sentence.words.len() as i64 + i64::from(ended);
                let expected =
                    f64::try_from(of_words.narrow(0, 0, counted).sum(Kind::Double)).unwrap();
                assert!(
                    (sentence.log_probability - expected).abs() < 1e-4,
                    "{} {expected}",
                    sentence.log_probability
                );
            }
        }
    }

    /// Absent regions and how many there are of them change nothing: a frame without regions is one
    /// masked row.
    #[test]
    fn padding_changes_no_caption() {
        let (captions, regions) = thirty();
        let (captioner, _) = captioner(&captions, 3);
        let logits = |maximum: usize, row: usize| {
            let own: Vec<HeadRegion> = regions.of_row(row).to_vec();
            let batch = RegionBatch::of(&[&own], maximum, Device::Cpu);
            captioner.transformer.decode(
                &captioner.transformer.encode(&batch, false),
                &Tensor::from_slice(&[START as i64, 4, 5]).view([1, 3]),
                false,
            )
        };
        for row in [3, 77] {
            let difference = f64::try_from((logits(6, row) - logits(11, row)).abs().max()).unwrap();
            assert!(difference < 1e-4, "row {row}: {difference}");
        }
    }

    #[test]
    fn memory_slots_take_part_in_captions() {
        let (captions, regions) = thirty();
        let logits = |memory_slots| {
            let mut source = TensorSource::random(4, Device::Cpu);
            let vocabulary = Vocabulary::of(captions.iter().map(Vec::as_slice), 1);
            let captioner = Captioner::new(
                &mut source,
                TransformerSettings { memory_slots, ..SMALL },
                vocabulary,
            )
            .unwrap();
            let encoded = captioner.transformer.encode(&regions.batch(&[0], Device::Cpu), false);
            captioner.transformer.decode(
                &encoded,
                &Tensor::from_slice(&[START as i64]).view([1, 1]),
                false,
            )
        };
        assert!(f64::try_from((logits(0) - logits(8)).abs().max()).unwrap() > 1e-3);
    }

    /// The loss by hand, from the log-probabilities that the sentences have: a cut-off one has no
    /// end.
    #[test]
    fn the_self_critical_loss_is_reward_over_the_mean_times_log_probability() {
        let (captions, regions) = thirty();
        let (captioner, _) = captioner(&captions, 6);
        let batch = regions.batch(&[0], Device::Cpu);
        let log_probability = |words: &[usize], has_ended: bool| {
            let end: &[usize] = if has_ended { &[END] } else { &[] };
            let (given, wanted) =
                captioner.shifted(&[[&[START], words, end].concat()], Device::Cpu);
            let logits = captioner.transformer.decode(
                &captioner.transformer.encode(&batch, false),
                &given,
                false,
            );
            let of_words = logits
                .log_softmax(-1, Kind::Float)
                .gather(2, &wanted.unsqueeze(-1), false)
                .view([-1]);
            f64::try_from(
                of_words.narrow(0, 0, (words.len() + end.len()) as i64).sum(Kind::Double).detach(),
            )
            .unwrap()
        };
        let sentence = |words: &[usize], has_ended| Sentence {
            words: words.to_vec(),
            log_probability: 0.0,
            has_ended,
        };
        let sampled = vec![vec![(sentence(&[5, 6, 7], false), 0.9), (sentence(&[8], true), 0.1)]];
        let found =
            f64::try_from(captioner.self_critical_loss(&batch, &sampled, 3).detach()).unwrap();
        let expected = -(0.4 * log_probability(&[5, 6, 7], false) / 3.0
            - 0.4 * log_probability(&[8], true) / 3.0)
            / 2.0;
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }

    /// With smoothing s each word's loss is (1 - s) of its own and s of the mean over all words;
    /// padding counts nothing.
    #[test]
    fn label_smoothing_mixes_in_the_mean_over_all_words() {
        let (captions, regions) = thirty();
        let (captioner, _) = captioner(&captions, 7);
        let batch = regions.batch(&[0, 1], Device::Cpu);
        let encoded = vec![vec![START, 5, END], vec![START, 6, 7, 8, END]];
        let (given, wanted) = captioner.shifted(&encoded, Device::Cpu);
        let logits = captioner.transformer.decode(
            &captioner.transformer.encode(&batch, false),
            &given,
            false,
        );
        let surprise = -logits.log_softmax(-1, Kind::Double);
        let own = surprise.gather(2, &wanted.unsqueeze(-1), false).squeeze_dim(-1);
        let smoothed = own * 0.8 + surprise.mean_dim([2i64].as_slice(), false, Kind::Double) * 0.2;
        let counted = wanted.ne(PADDING as i64).to_kind(Kind::Double);
        let expected =
            f64::try_from((smoothed * &counted).sum(Kind::Double) / counted.sum(Kind::Double))
                .unwrap();
        let found = f64::try_from(captioner.loss(&batch, &encoded, 0.2).detach()).unwrap();
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }

    #[test]
    fn self_critical_training_makes_rewarded_words_more_probable() {
        let (captions, regions) = thirty();
        let (captioner, parameters) = captioner(&captions, 5);
        let mut adam = Adam::new(&parameters, AdamSettings::default());
        let batch = regions.batch(&[0, 1], Device::Cpu);
        let (good, bad) = (vec![5, 6], vec![7, 8]);
        let sentence = |words: &Vec<usize>| Sentence {
            words: words.clone(),
            log_probability: 0.0,
            has_ended: true,
        };
        let sampled = vec![vec![(sentence(&good), 1.0), (sentence(&bad), 0.0)]; 2];
        let preference = || {
            let loss = |words: &Vec<usize>| {
                let caption = [&[START], words.as_slice(), &[END]].concat();
                f64::try_from(captioner.loss(&batch, &[caption.clone(), caption], 0.0).detach())
                    .unwrap()
            };
            loss(&bad) - loss(&good)
        };
        let before = preference();
        for _ in 0..10 {
            let loss = captioner.self_critical_loss(&batch, &sampled, 4);
            adam.step(&loss, |_| 1e-3);
        }
        assert!(preference() > before + 0.5);
    }

    #[test]
    fn the_learning_rate_rises_then_falls_with_the_root_of_the_step() {
        let factor = |step| warm_up_factor(512, 10_000, step);
        assert!((factor(10_000) / factor(1) - 10_000.0).abs() < 1e-6);
        assert!((factor(40_000) / factor(10_000) - 0.5).abs() < 1e-9);
        assert!((factor(10_000) - 512f64.powf(-0.5) * 0.01).abs() < 1e-12);
    }
}
