//! A captioner: the transformer with its vocabulary, its search for captions, and its file form.

#[cfg(test)]
mod examples;
mod losses;

use std::path::Path;

use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::store::{read_json, write_json};
use surgcam_frames::language::vocabulary::Vocabulary;
use surgcam_pipeline::checked::Checked;
use surgcam_pipeline::head_settings::{CaptionSearch, TransformerSettings, head_file};
use tch::Device;

use super::beam::{self, Sentence};
use super::layers::TensorSource;
use super::regions::RegionBatch;
use super::transformer::Transformer;
use crate::model::checkpoint;
use crate::model::weights::Weights;

pub use losses::warm_up_factor;

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

#[cfg(test)]
mod tests {
    use super::super::regions::{FrameRegions, HeadRegion};
    use super::examples::{SMALL, captioner, thirty};
    use super::*;
    use crate::training::adam::{Adam, AdamSettings};
    use surgcam_frames::language::scores::{Judged, score};
    use surgcam_frames::language::tokens::tokenize;
    use surgcam_frames::language::vocabulary::{END, PADDING, START};
    use tch::{Kind, Tensor};

    /// The BLEU-4 of a captioner that was trained on each caption 200 times.
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
}
