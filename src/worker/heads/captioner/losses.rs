//! What a captioner learns from: cross-entropy, and self-critical training.

use surgcam_frames::language::vocabulary::{END, PADDING, START};
use tch::{Device, Kind, Reduction, Tensor};

use super::Captioner;
use crate::heads::beam::Sentence;
use crate::heads::regions::RegionBatch;

impl Captioner {
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
    pub(super) fn shifted(&self, captions: &[Vec<usize>], device: Device) -> (Tensor, Tensor) {
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
}

/// The advantage of each sentence of a frame: its reward minus the mean reward.
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
    use super::super::examples::{captioner, thirty};
    use super::*;
    use crate::training::adam::{Adam, AdamSettings};

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
