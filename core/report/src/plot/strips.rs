//! Distributions, one below the other: dots for single values, a box from the first quartile to the
//! third, and a line at the median.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::sheet::{Sheet, cause, range};
use super::{Strip, Strips, rows};

/// Most dots of a distribution; of more values, as many are drawn, evenly by rank.
const DOTS: usize = 100;

impl Strips {
    pub(super) fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        sheet: &Sheet,
        label: &str,
    ) -> Result<(), String> {
        let values = self.strips.iter().flat_map(|strip| strip.values.iter().copied());
        let range = range(values, 0.03);
        let names = self.strips.iter().map(|strip| strip.name.as_str());
        let mut chart = rows::chart(area, sheet, [&self.title, label], names, range)?;
        for (number, Strip { look, values, .. }) in self.strips.iter().enumerate() {
            let values: Vec<f64> =
                values.iter().copied().filter(|value| value.is_finite()).collect();
            let Some([first, median, third]) = quartiles(&values) else { continue };
            let at = rows::place(number, self.strips.len());
            let colour = look.rgb();
            let corners = [(first, at + 0.34), (third, at - 0.34)];
            let edge = colour.mix(0.6).stroke_width(sheet.pixels(1.0));
            let shapes =
                [Rectangle::new(corners, colour.mix(0.18).filled()), Rectangle::new(corners, edge)];
            chart.draw_series(shapes).map_err(cause)?;
            let shown = values.len().min(DOTS);
            let dots = (0..shown).map(|dot| {
                let rank = (2 * dot + 1) * values.len() / (2 * shown);
                // Neighbours in rank lie apart in height, so that none hides another.
                let height = [0.0, 0.2, -0.2, 0.1, -0.1][dot % 5];
                let style = colour.mix(0.55).filled();
                Circle::new((values[rank], at + height), sheet.pixels(1.5), style)
            });
            chart.draw_series(dots).map_err(cause)?;
            let line = [(median, at - 0.4), (median, at + 0.4)];
            let line = PathElement::new(line, colour.stroke_width(sheet.pixels(2.5)));
            chart.draw_series([line]).map_err(cause)?;
        }
        Ok(())
    }
}

/// First quartile, median and third quartile of ascending values, interpolated between neighbours;
/// `None` if there are none.
pub(crate) fn quartiles(values: &[f64]) -> Option<[f64; 3]> {
    let last = values.len().checked_sub(1)?;
    Some([0.25, 0.5, 0.75].map(|share| {
        let place = share * last as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_by_hand() {
        assert_eq!(quartiles(&[1.0, 2.0, 3.0, 4.0, 9.0]), Some([2.0, 3.0, 4.0]));
        assert_eq!(quartiles(&[1.0, 2.0]), Some([1.25, 1.5, 1.75]));
        assert_eq!(quartiles(&[7.0]), Some([7.0; 3]));
        assert_eq!(quartiles(&[]), None);
    }
}
