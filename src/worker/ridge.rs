//! Ridge regression in closed form, from sums that are gathered block by block: memory does not
//! grow with the rows.

use surgcam_engine::error::{Error, Result};
use tch::{Device, Kind, Tensor};

/// An input with a smaller deviation than this counts as constant.
const SMALLEST_DEVIATION: f64 = 1e-6;

/// The sums over all rows so far that the solution needs, all in f64.
pub struct RidgeSums {
    rows: f64,
    /// [1, d]: the mean of the first block. It is subtracted from each row before the row is
    /// summed, so that rounding loses little.
    origin: Option<Tensor>,
    /// [1, d]
    inputs: Tensor,
    /// [d, d]
    products: Tensor,
    /// [1, targets]
    targets: Tensor,
    /// [d, targets]
    products_with_targets: Tensor,
}

/// A linear rule on standardised inputs.
pub struct Ridge {
    /// [1, d]
    center: Tensor,
    /// [1, d], infinite where an input does not vary.
    scale: Tensor,
    /// [d, targets]
    weights: Tensor,
    /// [1, targets]
    offset: Tensor,
}

impl RidgeSums {
    pub fn new(inputs: usize, targets: usize) -> Self {
        let zeros = |height: usize, width: usize| {
            Tensor::zeros([height as i64, width as i64], (Kind::Double, Device::Cpu))
        };
        RidgeSums {
            rows: 0.0,
            origin: None,
            inputs: zeros(1, inputs),
            products: zeros(inputs, inputs),
            targets: zeros(1, targets),
            products_with_targets: zeros(inputs, targets),
        }
    }

    /// A block of rows: `x` [n, d] and `y` [n, targets], f64. A block without rows changes nothing.
    pub fn add(&mut self, x: &Tensor, y: &Tensor) {
        if x.size()[0] == 0 {
            return;
        }
        let x = x - &*self.origin.get_or_insert_with(|| column_means(x));
        self.rows += x.size()[0] as f64;
        self.inputs += x.sum_dim_intlist(0, true, Kind::Double);
        self.products += x.tr().matmul(&x);
        self.targets += y.sum_dim_intlist(0, true, Kind::Double);
        self.products_with_targets += x.tr().matmul(y);
    }

    /// `penalty` counts relative to d, the number of inputs: the trace of their correlations.
    pub fn solve(self, penalty: f64) -> Result<Ridge> {
        let origin = self.origin.ok_or_else(|| Error::failure("a regression needs rows"))?;
        let (mean, offset) = (self.inputs / self.rows, self.targets / self.rows);
        let centered = self.products - mean.tr().matmul(&mean) * self.rows;
        let deviation = (centered.diag(0) / self.rows).clamp_min(0.0).sqrt().unsqueeze(0);
        let scale = deviation.where_scalarother(&deviation.gt(SMALLEST_DEVIATION), f64::INFINITY);
        let size = scale.size()[1];
        let system = centered / scale.tr() / &scale
            + Tensor::eye(size, (Kind::Double, Device::Cpu)) * (penalty * size as f64);
        let right =
            (self.products_with_targets - mean.tr().matmul(&offset) * self.rows) / scale.tr();
        let weights = system
            .f_linalg_cholesky(false)
            .and_then(|factor| right.f_cholesky_solve(&factor, false))
            .map_err(|error| {
                Error::failure(format!("the regression's equations have no solution: {error}"))
                    .hint("raise head.ridge")
            })?;
        Ok(Ridge { center: mean + origin, scale, weights, offset })
    }
}

impl Ridge {
    /// `x` [n, d] -> [n, targets].
    pub fn scores(&self, x: &Tensor) -> Tensor {
        ((x - &self.center) / &self.scale).matmul(&self.weights) + &self.offset
    }
}

fn column_means(x: &Tensor) -> Tensor {
    x.mean_dim(0, true, Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);

    fn worst(a: &Tensor, b: &Tensor) -> f64 {
        f64::try_from((a - b).abs().max()).unwrap()
    }

    /// All rows at once, by the inverse: the formula of any textbook.
    fn scores_by_the_book(x: &Tensor, y: &Tensor, unseen: &Tensor, penalty: f64) -> Tensor {
        let center = column_means(x);
        let deviation = (x - &center).square().mean_dim(0, true, Kind::Double).sqrt();
        let (x, unseen) = ((x - &center) / &deviation, (unseen - &center) / &deviation);
        let d = x.size()[1];
        let inverse =
            (x.tr().matmul(&x) + Tensor::eye(d, OPTIONS) * (penalty * d as f64)).inverse();
        unseen.matmul(&inverse.matmul(&x.tr().matmul(&(y - column_means(y))))) + column_means(y)
    }

    #[test]
    fn sums_of_blocks_give_the_solution_of_all_rows_and_recover_a_linear_rule() {
        let _kept = crate::generator::seeded(1);
        for (rows, penalty) in [(200, 1e-9), (200, 0.5), (4, 0.5)] {
            // Far from zero, as features after a ReLU are.
            let x = Tensor::randn([rows, 5], OPTIONS) + 50.0;
            let y = x.matmul(&Tensor::randn([5, 2], OPTIONS));
            let unseen = Tensor::randn([50, 5], OPTIONS) + 50.0;
            let mut sums = RidgeSums::new(5, 2);
            for start in (0..rows).step_by(3) {
                let block = |of: &Tensor| of.narrow(0, start, 3.min(rows - start));
                sums.add(&block(&x), &block(&y));
            }
            let scores = sums.solve(penalty).unwrap().scores(&unseen);
            assert!(
                worst(&scores, &scores_by_the_book(&x, &y, &unseen, penalty)) < 1e-6,
                "{rows} rows"
            );
        }
    }

    #[test]
    fn a_constant_feature_does_no_harm() {
        let x = Tensor::from_slice(&[1e3, 0.0, 1e3, 1.0]).view([2, 2]);
        let y = Tensor::from_slice(&[0.0, 1.0]).view([2, 1]);
        let mut sums = RidgeSums::new(2, 1);
        sums.add(&x, &y);
        let scores: Vec<f64> =
            Vec::try_from(sums.solve(0.1).unwrap().scores(&x).view([-1])).unwrap();
        assert!(scores[0].is_finite() && scores[0] < scores[1], "{scores:?}");
        assert!(RidgeSums::new(2, 1).solve(0.1).is_err());
    }
}
