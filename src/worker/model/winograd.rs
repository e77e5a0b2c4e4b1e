//! Convolutions of 3x3 with a quarter of the multiplications (Lavin, Gray: "Fast Algorithms for Convolutional Neural Networks", CVPR
//! 2016; their F(4x4, 3x3)), for the CPU, in f32.
//!
//! The picture is cut into tiles of 4x4 outputs, each from 6x6 inputs. Tiles and weights are transformed so that what was a
//! convolution is 36 products of matrices [tiles, C] and [C, C'], which libtorch multiplies; their results are transformed back. A
//! tile's inputs are added and subtracted with factors up to 8, so roundings grow about tenfold, to some 1e-6 of the largest value.

use tch::{Device, Kind, Tensor};

use super::team;
use crate::features::{numbers, numbers_mut};

/// Outputs of a tile along one side, and inputs.
const OUTPUTS: usize = 4;
const INPUTS: usize = OUTPUTS + 2;
/// Products of matrices.
const PRODUCTS: usize = INPUTS * INPUTS;
/// Channels that are transformed together, in loops that become vector instructions.
const LANES: usize = 32;
type Lanes = [f32; LANES];
/// Numbers of transformed tiles that are worked on together: they shall stay in the cache between transformation and product.
const TOGETHER: usize = 2 << 20;

/// Along one side of a tile: B^T d in the paper.
#[inline(always)]
fn transform_inputs(d: [&Lanes; INPUTS], transformed: &mut [Lanes; INPUTS]) {
    for lane in 0..LANES {
        let d = d.map(|lanes| lanes[lane]);
        let (even, odd) = (d[4] - 4.0 * d[2], d[3] - 4.0 * d[1]);
        let (near, far) = (d[4] - d[2], 2.0 * (d[3] - d[1]));
        transformed[0][lane] = 4.0 * d[0] - 5.0 * d[2] + d[4];
        transformed[1][lane] = even + odd;
        transformed[2][lane] = even - odd;
        transformed[3][lane] = near + far;
        transformed[4][lane] = near - far;
        transformed[5][lane] = 4.0 * d[1] - 5.0 * d[3] + d[5];
    }
}

/// Along one side of a tile: A^T m in the paper.
#[inline(always)]
fn transform_outputs(m: [&Lanes; INPUTS], transformed: &mut [Lanes; OUTPUTS]) {
    for lane in 0..LANES {
        let m = m.map(|lanes| lanes[lane]);
        let (sum, difference) = (m[1] + m[2], m[1] - m[2]);
        let (far_sum, far_difference) = (m[3] + m[4], m[3] - m[4]);
        transformed[0][lane] = m[0] + sum + far_sum;
        transformed[1][lane] = difference + 2.0 * far_difference;
        transformed[2][lane] = sum + 4.0 * far_sum;
        transformed[3][lane] = difference + 8.0 * far_difference + m[5];
    }
}

/// Channels from `start` on.
#[inline(always)]
fn lanes(values: &[f32], start: usize) -> &Lanes {
    values[start..].first_chunk().unwrap_or_else(|| unreachable!("channels come in multiples of {LANES}"))
}

/// What is transformed: maps [N, height, width, channels] and their tiles.
#[derive(Clone, Copy)]
struct Tiling {
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
}

impl Tiling {
    fn of(height: usize, width: usize) -> Self {
        Tiling { height, width, rows: height.div_ceil(OUTPUTS), columns: width.div_ceil(OUTPUTS) }
    }

    fn tiles(&self) -> usize {
        self.rows * self.columns
    }
}

/// A convolution with a kernel of 3x3, a stride of 1 and a padding of 1.
pub struct Winograd {
    /// [36, C, C']
    weight: Tensor,
    /// [C']
    bias: Vec<f32>,
    channels: usize,
}

impl Winograd {
    /// Whether it is quicker for an input [N, C, H, W] than the plain convolution: with few tiles the transformed weights, four
    /// times as many, are read for too little.
    pub fn is_quicker(input: &[i64], outputs: i64) -> bool {
        let tiles = input[0] as usize * Tiling::of(input[2] as usize, input[3] as usize).tiles();
        let fits = |channels: i64| (channels as usize).is_multiple_of(LANES);
        fits(input[1]) && fits(outputs) && 20 * tiles as i64 >= input[1]
    }

    /// `weight` [C', C, 3, 3] and `bias` [C'], f32 on the CPU.
    pub fn new(weight: &Tensor, bias: &Tensor) -> Self {
        // G in the paper times 24; G w G^T for all kernels at once is one product with a matrix of 9 by 36.
        let factors = [[6.0, 0.0, 0.0], [-4.0, -4.0, -4.0], [-4.0, 4.0, -4.0], [1.0, 2.0, 4.0], [1.0, -2.0, 4.0], [0.0, 0.0, 24.0f64]];
        let both = |place: usize| {
            let (y, x) = (place / 3, place % 3);
            std::array::from_fn::<f64, PRODUCTS, _>(|product| factors[product / INPUTS][y] * factors[product % INPUTS][x] / 576.0)
        };
        let both = Tensor::from_slice2(&std::array::from_fn::<_, 9, _>(both));
        let channels = weight.size()[1];
        let transformed = weight.to_kind(Kind::Double).permute([1, 0, 2, 3]).reshape([channels * weight.size()[0], 9]).matmul(&both);
        let size = [PRODUCTS as i64, channels, weight.size()[0]];
        Winograd {
            weight: transformed.to_kind(Kind::Float).transpose(0, 1).contiguous().view(size),
            bias: Vec::try_from(bias).unwrap_or_default(),
            channels: channels as usize,
        }
    }

    /// [N, C, H, W] -> [N, C', H, W], both with their channels last in memory; what is in `residual` is added, then ReLU.
    pub fn forward(&self, input: &Tensor, residual: Option<&Tensor>, relu: bool) -> Tensor {
        let input = in_memory(input);
        let residual = residual.map(in_memory);
        let size = input.size();
        let (count, tiling) = (size[0] as usize, Tiling::of(size[1] as usize, size[2] as usize));
        let outputs = self.bias.len();
        let mut output = Tensor::empty([size[0], size[1], size[2], outputs as i64], (Kind::Float, Device::Cpu));
        let of_frame = tiling.height * tiling.width;
        let together = (TOGETHER / (PRODUCTS * tiling.tiles() * self.channels)).max(1);
        for first in (0..count).step_by(together) {
            let frames = together.min(count - first);
            let part = |channels: usize| first * of_frame * channels..(first + frames) * of_frame * channels;
            let products = self.products(&numbers(&input)[part(self.channels)], frames, tiling);
            let residual = residual.as_ref().map(|residual| &numbers(residual)[part(outputs)]);
            let end = End { bias: &self.bias, relu, tiling };
            end.untransformed(numbers(&products), residual, &mut numbers_mut(&mut output)[part(outputs)]);
        }
        output.permute([0, 3, 1, 2])
    }

    /// Of frames [N, H, W, C] the products [36, tiles, C'].
    fn products(&self, input: &[f32], frames: usize, tiling: Tiling) -> Tensor {
        let tiles = (frames * tiling.tiles()) as i64;
        let mut transformed = Tensor::empty([tiles, PRODUCTS as i64, self.channels as i64], (Kind::Float, Device::Cpu));
        let channels = self.channels;
        let rows = numbers_mut(&mut transformed).chunks_mut(PRODUCTS * channels * tiling.columns).collect();
        team::for_each(rows, |place, row| {
            let frame = &input[place / tiling.rows * tiling.height * tiling.width * channels..];
            transform_row_fast(frame, place % tiling.rows, channels, tiling, row);
        });
        transformed.permute([1, 0, 2]).bmm(&self.weight)
    }
}

/// One row of tiles of a frame [H, W, C] to [columns, 36, C].
#[inline(always)]
fn transform_row(frame: &[f32], tile_row: usize, channels: usize, tiling: Tiling, transformed: &mut [f32]) {
    let nothing = vec![0f32; channels];
    for (tile_column, transformed) in transformed.chunks_exact_mut(PRODUCTS * channels).enumerate() {
        // Outside of the frame there are zeros.
        let mut cells = [[nothing.as_slice(); INPUTS]; INPUTS];
        for (y, row) in cells.iter_mut().enumerate() {
            for (x, cell) in row.iter_mut().enumerate() {
                if let (Some(y), Some(x)) = ((tile_row * OUTPUTS + y).checked_sub(1), (tile_column * OUTPUTS + x).checked_sub(1))
                    && y < tiling.height
                    && x < tiling.width
                {
                    *cell = &frame[(y * tiling.width + x) * channels..][..channels];
                }
            }
        }
        for start in (0..channels).step_by(LANES) {
            // [x][y]: first along the columns, then along the rows.
            let mut columns = [[[0f32; LANES]; INPUTS]; INPUTS];
            for (x, column) in columns.iter_mut().enumerate() {
                transform_inputs(cells.each_ref().map(|row| lanes(row[x], start)), column);
            }
            let mut row = [[0f32; LANES]; INPUTS];
            for y in 0..INPUTS {
                transform_inputs(columns.each_ref().map(|column| &column[y]), &mut row);
                for (x, values) in row.iter().enumerate() {
                    transformed[(y * INPUTS + x) * channels + start..][..LANES].copy_from_slice(values);
                }
            }
        }
    }
}

/// What is done with the products.
struct End<'a> {
    bias: &'a [f32],
    relu: bool,
    tiling: Tiling,
}

impl End<'_> {
    /// `products` [36, tiles, C'] to frames [N, H, W, C'].
    fn untransformed(&self, products: &[f32], residual: Option<&[f32]>, output: &mut [f32]) {
        let (channels, Tiling { height, width, rows, .. }) = (self.bias.len(), self.tiling);
        let (frame, row) = (height * width * channels, OUTPUTS * width * channels);
        let parts = output.chunks_mut(frame).flat_map(|frame| frame.chunks_mut(row)).collect();
        team::for_each(parts, |number, output| {
            let start = number / rows * frame + number % rows * row;
            let residual = residual.map(|residual| &residual[start..][..output.len()]);
            untransform_row_fast(self, products, number, residual, output);
        });
    }

    /// One row of tiles, by its number among those of all frames: up to four rows [rows, W, C'] of a frame.
    #[inline(always)]
    fn row(&self, products: &[f32], number: usize, residual: Option<&[f32]>, output: &mut [f32]) {
        let (channels, Tiling { width, columns, .. }) = (self.bias.len(), self.tiling);
        let product = products.len() / PRODUCTS;
        for tile_column in 0..columns {
            let tile = &products[(number * columns + tile_column) * channels..];
            for start in (0..channels).step_by(LANES) {
                let bias = lanes(self.bias, start);
                let mut columns = [[[0f32; LANES]; OUTPUTS]; INPUTS];
                for (x, column) in columns.iter_mut().enumerate() {
                    let of_column = [0, 1, 2, 3, 4, 5].map(|y| lanes(tile, (y * INPUTS + x) * product + start));
                    transform_outputs(of_column, column);
                }
                let mut found = [[0f32; LANES]; OUTPUTS];
                for (y, row) in output.chunks_exact_mut(width * channels).enumerate() {
                    transform_outputs(columns.each_ref().map(|column| &column[y]), &mut found);
                    for (x, values) in found.iter().enumerate().take(width - tile_column * OUTPUTS) {
                        let place = (tile_column * OUTPUTS + x) * channels + start;
                        let added = residual.map(|residual| lanes(residual, y * width * channels + place));
                        self.finish(values, bias, added, &mut row[place..][..LANES]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn finish(&self, values: &Lanes, bias: &Lanes, residual: Option<&Lanes>, output: &mut [f32]) {
        let lowest = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        for (lane, output) in output.iter_mut().enumerate().take(LANES) {
            *output = (values[lane] + bias[lane] + residual.map_or(0.0, |residual| residual[lane])).max(lowest);
        }
    }
}

fn transform_row_fast(frame: &[f32], tile_row: usize, channels: usize, tiling: Tiling, transformed: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn with_avx2(frame: &[f32], tile_row: usize, channels: usize, tiling: Tiling, transformed: &mut [f32]) {
            transform_row(frame, tile_row, channels, tiling, transformed);
        }
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { with_avx2(frame, tile_row, channels, tiling, transformed) };
    }
    transform_row(frame, tile_row, channels, tiling, transformed);
}

fn untransform_row_fast(end: &End, products: &[f32], number: usize, residual: Option<&[f32]>, output: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn with_avx2(end: &End, products: &[f32], number: usize, residual: Option<&[f32]>, output: &mut [f32]) {
            end.row(products, number, residual, output);
        }
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { with_avx2(end, products, number, residual, output) };
    }
    end.row(products, number, residual, output);
}

/// [N, C, H, W] as [N, H, W, C], contiguous.
fn in_memory(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fused_convolution::channels_last;

    #[test]
    fn it_is_the_convolution_whatever_the_size() {
        let _kept = crate::generator::seeded(3);
        for [count, channels, outputs, height, width] in [[1, 32, 64, 8, 12], [3, 64, 32, 7, 5], [2, 32, 32, 1, 3], [1, 64, 64, 13, 9]] {
            let input = channels_last(&Tensor::randn([count, channels, height, width], (Kind::Float, Device::Cpu)));
            let weight = Tensor::randn([outputs, channels, 3, 3], (Kind::Float, Device::Cpu));
            let bias = Tensor::randn([outputs], (Kind::Float, Device::Cpu));
            let residual = Tensor::randn([count, outputs, height, width], (Kind::Float, Device::Cpu));
            let exact = |tensor: &Tensor| tensor.to_kind(Kind::Double);
            let expected = exact(&input).conv2d(&exact(&weight), Some(&exact(&bias)), [1, 1], [1, 1], [1, 1], 1);
            let winograd = Winograd::new(&weight, &bias);
            let largest = f64::try_from(expected.abs().max()).unwrap();
            let worst = |found: Tensor, expected: Tensor| f64::try_from((exact(&found) - expected).abs().max()).unwrap() / largest;
            assert!(worst(winograd.forward(&input, None, false), expected.shallow_clone()) < 1e-5);
            assert!(worst(winograd.forward(&input, None, true), expected.relu()) < 1e-5);
            assert!(worst(winograd.forward(&input, Some(&residual), true), (expected + exact(&residual)).relu()) < 1e-5);
        }
    }

    #[test]
    fn few_tiles_of_many_channels_are_left_to_the_plain_convolution() {
        assert!(Winograd::is_quicker(&[1, 64, 64, 80], 64) && Winograd::is_quicker(&[8, 512, 8, 10], 512));
        assert!(!Winograd::is_quicker(&[1, 512, 8, 10], 512) && !Winograd::is_quicker(&[1, 3, 64, 80], 64));
    }
}
