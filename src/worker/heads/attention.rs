//! Scaled dot-product attention with several heads. In an encoder it also has memory slots: learnt
//! keys and values that every query may attend to besides the regions (Cornia, Stefanini, Baraldi,
//! Cucchiara: "Meshed-Memory Transformer for Image Captioning", CVPR 2020, section 3.1).

use surgcam_engine::error::Result;
use tch::{Kind, Tensor};

use super::layers::{Initial, LayerNorm, Linear, TensorSource};

/// The score of a blocked key. It is finite, so that a query whose keys are all blocked gets the
/// mean of all values and not NaN.
const BLOCKED: f64 = -1e9;

pub struct Attention {
    queries: Linear,
    keys: Linear,
    values: Linear,
    output: Linear,
    /// Keys and values [1, slots, width].
    memory: Option<(Tensor, Tensor)>,
    norm: LayerNorm,
    heads: i64,
    dropout: f64,
}

/// The shape of an attention.
#[derive(Debug, Clone, Copy)]
pub struct AttentionShape {
    pub width: i64,
    pub heads: i64,
    pub memory_slots: i64,
    pub dropout: f64,
}

/// What queries attend to, projected once: keys and values [N, heads, keys, width / heads], the
/// memory's slots behind the rest.
pub struct Attended {
    keys: Tensor,
    values: Tensor,
}

impl Attended {
    /// The same for the rows of a batch given by their places.
    pub fn of_rows(&self, rows: &Tensor) -> Self {
        Attended {
            keys: self.keys.index_select(0, rows),
            values: self.values.index_select(0, rows),
        }
    }

    /// These, and `later` ones behind them.
    pub fn with(&self, later: &Attended) -> Self {
        Attended {
            keys: Tensor::cat(&[&self.keys, &later.keys], 2),
            values: Tensor::cat(&[&self.values, &later.values], 2),
        }
    }
}

impl Attention {
    pub fn new(source: &mut TensorSource, name: &str, shape: AttentionShape) -> Result<Self> {
        let AttentionShape { width, heads, memory_slots, dropout } = shape;
        let mut linear = |part: &str| Linear::new(source, &format!("{name}.{part}"), width, width);
        let (queries, keys, values, output) =
            (linear("queries")?, linear("keys")?, linear("values")?, linear("output")?);
        let memory = if memory_slots > 0 {
            let size = [1, memory_slots, width];
            let keys = source.take(
                &format!("{name}.memory_keys"),
                &size,
                Initial::Normal(heads as f64 / width as f64),
            )?;
            let values = source.take(
                &format!("{name}.memory_values"),
                &size,
                Initial::Normal(1.0 / memory_slots as f64),
            )?;
            Some((keys, values))
        } else {
            None
        };
        Ok(Attention {
            queries,
            keys,
            values,
            output,
            memory,
            norm: LayerNorm::new(source, &format!("{name}.norm"), width)?,
            heads,
            dropout,
        })
    }

    /// [N, keys, width] -> what can be attended to.
    pub fn attended(&self, x: &Tensor) -> Attended {
        let (mut keys, mut values) = (self.keys.forward(x), self.values.forward(x));
        if let Some((memory_keys, memory_values)) = &self.memory {
            let (slots, width) = (memory_keys.size()[1], memory_keys.size()[2]);
            // As large as projected keys and values are, which makes them learn as fast.
            let scale = ((width / self.heads) as f64).sqrt();
            let expanded = |memory: &Tensor, scale: f64| {
                (memory * scale).expand([x.size()[0], slots, width], false)
            };
            keys = Tensor::cat(&[keys, expanded(memory_keys, scale)], 1);
            values = Tensor::cat(&[values, expanded(memory_values, (slots as f64).sqrt())], 1);
        }
        Attended { keys: self.by_head(&keys), values: self.by_head(&values) }
    }

    /// Queries [N, Q, width] -> [N, Q, width], added to the queries and normalised. `blocked`: true
    /// where a query must not see a key, broadcast to [N, heads, Q, K]; the memory's slots are
    /// never blocked.
    pub fn attend(
        &self,
        queries: &Tensor,
        attended: &Attended,
        blocked: Option<&Tensor>,
        train: bool,
    ) -> Tensor {
        let out = self.looked_up(queries, attended, blocked).dropout(self.dropout, train);
        self.norm.forward(&(queries + out))
    }

    /// The attention without the sum and the normalisation.
    fn looked_up(&self, queries: &Tensor, attended: &Attended, blocked: Option<&Tensor>) -> Tensor {
        let by_head = self.by_head(&self.queries.forward(queries));
        let head_width = by_head.size()[3];
        let mut scores =
            by_head.matmul(&attended.keys.transpose(2, 3)) / (head_width as f64).sqrt();
        if let Some(blocked) = blocked {
            let slots = scores.size()[3] - blocked.size()[3];
            let blocked = blocked.constant_pad_nd([0, slots]);
            scores = scores.masked_fill(&blocked, BLOCKED);
        }
        let found = scores.softmax(-1, Kind::Float).matmul(&attended.values);
        let [batch, count] = [queries.size()[0], queries.size()[1]];
        self.output.forward(&found.transpose(1, 2).reshape([batch, count, self.heads * head_width]))
    }

    /// [N, K, width] -> [N, heads, K, width / heads]
    fn by_head(&self, x: &Tensor) -> Tensor {
        let size = x.size();
        x.view([size[0], size[1], self.heads, size[2] / self.heads]).transpose(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// One head of width 2 whose projections are the identity.
    fn plain(memory: &[f32]) -> Attention {
        let identity = || Tensor::eye(2, (Kind::Float, Device::Cpu));
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        for part in ["queries", "keys", "values", "output"] {
            tensors.push((format!("a.{part}.weight"), identity()));
            tensors
                .push((format!("a.{part}.bias"), Tensor::zeros([2], (Kind::Float, Device::Cpu))));
        }
        tensors.push(("a.norm.weight".into(), Tensor::ones([2], (Kind::Float, Device::Cpu))));
        tensors.push(("a.norm.bias".into(), Tensor::zeros([2], (Kind::Float, Device::Cpu))));
        let memory_slots = memory.len() as i64 / 4;
        let (keys, values) = memory.split_at(memory.len() / 2);
        if memory_slots > 0 {
            tensors.push((
                "a.memory_keys".into(),
                Tensor::from_slice(keys).view([1, memory_slots, 2]),
            ));
            tensors.push((
                "a.memory_values".into(),
                Tensor::from_slice(values).view([1, memory_slots, 2]),
            ));
        }
        let shape = AttentionShape { width: 2, heads: 1, memory_slots, dropout: 0.0 };
        Attention::new(&mut TensorSource::of_checkpoint(tensors, Device::Cpu), "a", shape).unwrap()
    }

    fn close(tensor: &Tensor, expected: &[f64]) -> bool {
        let found: Vec<f64> =
            Vec::try_from(tensor.to_kind(Kind::Double).contiguous().view([-1])).unwrap();
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    /// By hand: softmax of [1, 0] / sqrt(2) over two values, and a third key behind them: the
    /// memory's slot, whose key and value count times sqrt(2) (the width of the head) and times 1
    /// (the root of the number of slots).
    #[test]
    fn memory_slots_take_part_as_one_more_key() {
        let query = Tensor::from_slice(&[1f32, 0.0]).view([1, 1, 2]);
        let keys = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0]).view([1, 2, 2]);
        let without = plain(&[]);
        let e = (1.0 / 2f64.sqrt()).exp();
        let share = e / (e + 1.0);
        assert!(close(
            &without.looked_up(&query, &without.attended(&keys), None),
            &[share, 1.0 - share]
        ));
        let with = plain(&[1.0, 0.0, 5.0, 7.0]);
        let memory = 1f64.exp();
        let total = e + 1.0 + memory;
        let expected = [(e + 5.0 * memory) / total, (1.0 + 7.0 * memory) / total];
        assert!(close(&with.looked_up(&query, &with.attended(&keys), None), &expected));
    }

    #[test]
    fn a_blocked_key_is_not_seen_and_the_memory_always_is() {
        let query = Tensor::from_slice(&[1f32, 0.0]).view([1, 1, 2]);
        let keys = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0]).view([1, 2, 2]);
        let blocked = |which: [bool; 2]| Tensor::from_slice(&which).view([1, 1, 1, 2]);
        let attention = plain(&[]);
        let seen =
            |which| attention.looked_up(&query, &attention.attended(&keys), Some(&blocked(which)));
        assert!(close(&seen([true, false]), &[0.0, 1.0]));
        // With no key left: the mean of the values.
        assert!(close(&seen([true, true]), &[0.5, 0.5]));
        let with = plain(&[1.0, 0.0, 5.0, 7.0]);
        assert!(close(
            &with.looked_up(&query, &with.attended(&keys), Some(&blocked([true, true]))),
            &[5.0, 7.0]
        ));
    }
}
