//! The Meshed-Memory Transformer (Cornia et al., CVPR 2020): an encoder of regions whose attention
//! has memory slots, and a decoder of words that attends to every level of the encoder, each
//! through its own gate.

use surgcam_engine::error::Result;
use surgcam_frames::language::vocabulary::{PADDING, START};
use surgcam_pipeline::head_settings::TransformerSettings;
use tch::{Device, Kind, Tensor};

use super::attention::{Attended, Attention, AttentionShape};
use super::beam::{NextWords, Row};
use super::layers::{FeedForward, Initial, LayerNorm, Linear, Standardization, TensorSource};
use super::regions::{FEATURES, RegionBatch};

struct EncoderLayer {
    attention: Attention,
    feed_forward: FeedForward,
}

struct DecoderLayer {
    own: Attention,
    /// Attends to each level of the encoder with the same weights.
    across: Attention,
    /// One for each level.
    gates: Vec<Linear>,
    feed_forward: FeedForward,
}

pub struct Transformer {
    pub standardization: Standardization,
    input: Linear,
    input_norm: LayerNorm,
    encoder: Vec<EncoderLayer>,
    /// [words, width]
    embedding: Tensor,
    decoder: Vec<DecoderLayer>,
    output: Linear,
    settings: TransformerSettings,
}

/// The encoder's output for frames: each level [N, regions, width], and which regions are absent
/// [N, 1, 1, regions].
pub struct Encoded {
    levels: Vec<Tensor>,
    absent: Tensor,
}

impl Transformer {
    pub fn new(
        source: &mut TensorSource,
        settings: TransformerSettings,
        words: usize,
    ) -> Result<Self> {
        let width = settings.width as i64;
        let inner = settings.feed_forward as i64;
        let shape = |memory_slots| AttentionShape {
            width,
            heads: settings.attention_heads as i64,
            memory_slots,
            dropout: settings.dropout,
        };
        let mut encoder = Vec::new();
        let mut decoder = Vec::new();
        for layer in 0..settings.layers {
            encoder.push(EncoderLayer {
                attention: Attention::new(
                    source,
                    &format!("encoder.{layer}.attention"),
                    shape(settings.memory_slots as i64),
                )?,
                feed_forward: FeedForward::new(
                    source,
                    &format!("encoder.{layer}.feed_forward"),
                    width,
                    inner,
                    settings.dropout,
                )?,
            });
        }
        for layer in 0..settings.layers {
            let gate = |level| {
                Linear::new(source, &format!("decoder.{layer}.gate.{level}"), 2 * width, width)
            };
            let gates = (0..settings.layers).map(gate).collect::<Result<Vec<_>>>()?;
            decoder.push(DecoderLayer {
                own: Attention::new(source, &format!("decoder.{layer}.own"), shape(0))?,
                across: Attention::new(source, &format!("decoder.{layer}.across"), shape(0))?,
                gates,
                feed_forward: FeedForward::new(
                    source,
                    &format!("decoder.{layer}.feed_forward"),
                    width,
                    inner,
                    settings.dropout,
                )?,
            });
        }
        Ok(Transformer {
            standardization: Standardization::new(source, FEATURES as i64)?,
            input: Linear::new(source, "input", FEATURES as i64, width)?,
            input_norm: LayerNorm::new(source, "input_norm", width)?,
            encoder,
            embedding: source.take(
                "embedding",
                &[words as i64, width],
                Initial::Normal(1.0 / (width as f64).sqrt()),
            )?,
            decoder,
            output: Linear::without_bias(source, "output", width, words as i64)?,
            settings,
        })
    }

    pub fn encode(&self, regions: &RegionBatch, train: bool) -> Encoded {
        let absent = regions.absent.unsqueeze(1).unsqueeze(1);
        let embedded = self
            .input
            .forward(&self.standardization.forward(&regions.features))
            .relu()
            .dropout(self.settings.dropout, train);
        let mut x = self.input_norm.forward(&embedded);
        let mut levels = Vec::new();
        for layer in &self.encoder {
            x = layer.attention.attend(&x, &layer.attention.attended(&x), Some(&absent), train);
            x = layer.feed_forward.forward(&x, train);
            levels.push(x.shallow_clone());
        }
        Encoded { levels, absent }
    }

    /// Words [N, T] -> the logits of the next word after each of them [N, T, words].
    pub fn decode(&self, encoded: &Encoded, words: &Tensor, train: bool) -> Tensor {
        let length = words.size()[1];
        let future = Tensor::ones([length, length], (Kind::Bool, words.device()))
            .triu(1)
            .view([1, 1, length, length]);
        let blocked = future.logical_or(&words.eq(PADDING as i64).unsqueeze(1).unsqueeze(1));
        let is_word = words.ne(PADDING as i64).unsqueeze(-1).to_kind(Kind::Float);
        let mut x = self.embedded(words, 0);
        for layer in &self.decoder {
            let own =
                layer.own.attend(&x, &layer.own.attended(&x), Some(&blocked), train) * &is_word;
            let across: Vec<Attended> =
                encoded.levels.iter().map(|level| layer.across.attended(level)).collect();
            x = layer.looked_across(&own, &across, &encoded.absent, train) * &is_word;
            x = layer.feed_forward.forward(&x, train) * &is_word;
        }
        self.output.forward(&x)
    }

    /// Word embeddings with sinusoids of their places (Vaswani et al., "Attention Is All You Need",
    /// 2017). Words [N, T], the first of them at place `first`.
    fn embedded(&self, words: &Tensor, first: i64) -> Tensor {
        let width = self.settings.width as i64;
        let (options, length) = ((Kind::Float, words.device()), words.size()[1]);
        let places = Tensor::arange_start(first + 1, first + length + 1, options).unsqueeze(1);
        let rates = (Tensor::arange_start_step(0, width, 2, options)
            * (-(10_000f64.ln()) / width as f64))
            .exp();
        let angles = places * rates;
        let sinusoids = Tensor::stack(&[angles.sin(), angles.cos()], 2).reshape([length, width]);
        Tensor::embedding(&self.embedding, words, -1, false, false) + sinusoids
    }

    /// Starts sentences for frames.
    pub fn narrate(&self, regions: &RegionBatch) -> Narration<'_> {
        let encoded = self.encode(regions, false);
        let across = |layer: &DecoderLayer| {
            encoded.levels.iter().map(|level| layer.across.attended(level)).collect()
        };
        Narration {
            across: self.decoder.iter().map(across).collect(),
            absent: encoded.absent,
            past: Vec::new(),
            frame_of_row: (0..regions.features.size()[0]).collect(),
            place: 0,
            transformer: self,
        }
    }
}

impl DecoderLayer {
    /// The meshed part: each level of the encoder through its gate, divided by the root of their
    /// number.
    fn looked_across(
        &self,
        x: &Tensor,
        levels: &[Attended],
        absent: &Tensor,
        train: bool,
    ) -> Tensor {
        let through_gate = |(level, gate): (&Attended, &Linear)| {
            let found = self.across.attend(x, level, Some(absent), train);
            let open = gate.forward(&Tensor::cat(&[x, &found], -1)).sigmoid();
            found * open
        };
        let sum: Tensor = levels.iter().zip(&self.gates).map(through_gate).sum();
        sum / (levels.len() as f64).sqrt()
    }
}

/// Sentences that grow word by word: what was computed for earlier words is kept.
pub struct Narration<'a> {
    transformer: &'a Transformer,
    /// By layer and level. There is a row for each frame or, once frames have several sentences,
    /// for each sentence.
    across: Vec<Vec<Attended>>,
    absent: Tensor,
    /// By layer: the words so far.
    past: Vec<Attended>,
    frame_of_row: Vec<i64>,
    place: i64,
}

impl Narration<'_> {
    fn device(&self) -> Device {
        self.absent.device()
    }

    /// Sentences continue from their parents, which are rows of the last call.
    fn follow(&mut self, rows: &[Row]) {
        let parents: Vec<i64> = rows.iter().map(|row| row.parent as i64).collect();
        let chosen = Tensor::from_slice(&parents).to_device(self.device());
        self.past.iter_mut().for_each(|past| *past = past.of_rows(&chosen));
        let frames: Vec<i64> =
            parents.iter().map(|&parent| self.frame_of_row[parent as usize]).collect();
        if frames != self.frame_of_row {
            self.across.iter_mut().flatten().for_each(|level| *level = level.of_rows(&chosen));
            self.absent = self.absent.index_select(0, &chosen);
            self.frame_of_row = frames;
        }
    }
}

impl NextWords for Narration<'_> {
    fn log_probabilities(&mut self, rows: &[Row]) -> Vec<f32> {
        tch::no_grad(|| {
            self.follow(rows);
            let words: Vec<i64> = rows.iter().map(|row| row.word as i64).collect();
            let mut x = self.transformer.embedded(
                &Tensor::from_slice(&words).to_device(self.device()).unsqueeze(1),
                self.place,
            );
            for (number, layer) in self.transformer.decoder.iter().enumerate() {
                let newest = layer.own.attended(&x);
                let seen = if self.place == 0 { newest } else { self.past[number].with(&newest) };
                x = layer.own.attend(&x, &seen, None, false);
                if self.place == 0 {
                    self.past.push(seen)
                } else {
                    self.past[number] = seen
                }
                x = layer.looked_across(&x, &self.across[number], &self.absent, false);
                x = layer.feed_forward.forward(&x, false);
            }
            self.place += 1;
            let mut logits = self.transformer.output.forward(&x).squeeze_dim(1);
            // No sentence goes on with what stands before or behind it.
            for never in [PADDING, START] {
                let _ = logits.narrow(1, never as i64, 1).fill_(f64::NEG_INFINITY);
            }
            logits = logits.log_softmax(-1, Kind::Float);
            crate::features::values_of(&logits)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use surgcam_frames::vision::geometry::Box2;

    use super::super::regions::HeadRegion;

    /// As tests/golden/captioner.py has it.
    fn formula(name: &str, size: &[i64]) -> Tensor {
        let start = 1.0 + name.bytes().map(f64::from).sum::<f64>() * 0.1;
        let one =
            if name.ends_with("norm.weight") || name.ends_with("deviation") { 1.0 } else { 0.0 };
        let values: Vec<f32> = (0..size.iter().product())
            .map(|place: i64| (one + 0.5 * (start + 0.7 * place as f64).sin()) as f32)
            .collect();
        Tensor::from_slice(&values).view(size)
    }

    #[test]
    fn logits_are_those_of_an_independent_implementation() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/captioner.json");
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let shape = TransformerSettings {
            width: 8,
            layers: 2,
            attention_heads: 2,
            feed_forward: 12,
            memory_slots: 3,
            dropout: 0.0,
        };
        let mut drawn = TensorSource::random(1, Device::Cpu);
        Transformer::new(&mut drawn, shape, 7).unwrap();
        let tensors = drawn
            .into_parameters()
            .iter()
            .map(|(name, tensor)| (name.clone(), formula(name, &tensor.size())))
            .collect();
        let transformer =
            Transformer::new(&mut TensorSource::of_checkpoint(tensors, Device::Cpu), shape, 7)
                .unwrap();
        // Two regions, and a third that is absent.
        let region = |number: usize| HeadRegion {
            class: 0,
            bounds: Box2::from([0, 0, 1, 1]),
            features: Vec::try_from(formula(&format!("region {number}"), &[FEATURES as i64]))
                .unwrap(),
        };
        let regions = RegionBatch::of(&[&[region(0), region(1)]], 3, Device::Cpu);
        let words: Vec<i64> = serde_json::from_value(golden["words"].clone()).unwrap();
        let words = Tensor::from_slice(&words).unsqueeze(0);
        let found: Vec<Vec<f64>> = Vec::try_from(
            transformer
                .decode(&transformer.encode(&regions, false), &words, false)
                .squeeze_dim(0)
                .to_kind(Kind::Double),
        )
        .unwrap();
        let expected: Vec<Vec<f64>> = serde_json::from_value(golden["logits"].clone()).unwrap();
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        assert_eq!(found.len(), expected.len());
    }
}
