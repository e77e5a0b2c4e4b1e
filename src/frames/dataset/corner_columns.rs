//! The columns of a table that have the corners of a box.

use super::delimited::{Header, Row};
use super::fields::coordinate;
use crate::vision::geometry::Box2;
use surgcam_engine::error::Result;

/// The numbers of the columns `x1`, `y1`, `x2` and `y2`, counted from 0.
#[derive(Debug, Clone, Copy)]
pub struct CornerColumns([usize; 4]);

impl CornerColumns {
    pub fn of(header: &Header) -> Result<Self> {
        Ok(CornerColumns([
            header.column("x1")?,
            header.column("y1")?,
            header.column("x2")?,
            header.column("y2")?,
        ]))
    }

    /// The box of a row.
    pub fn bounds(self, row: &Row) -> Result<Box2> {
        let mut corners = [0; 4];
        for (corner, column) in corners.iter_mut().zip(self.0) {
            *corner = coordinate(row.field(column))?;
        }
        Ok(Box2::from(corners))
    }
}
