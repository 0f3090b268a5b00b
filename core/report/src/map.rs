//! A map: where stations are, where devices went, and how fast they can send from where.

use std::fmt::Write;

/// The contents of a map; positions in metres from the south-western corner.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// What it shows, in a few words.
    pub title: String,
    /// From west to east, metres.
    pub width_m: f64,
    /// From south to north, metres.
    pub height_m: f64,
    /// The stations.
    pub stations: Vec<(f64, f64)>,
    /// The way of each device, slot by slot.
    pub ways: Vec<Vec<(f64, f64)>>,
    /// The rate that can be expected in each square of a grid over the area, Mbit/s, row by row from the
    /// south, each from the west; empty if it does not depend on the place.
    pub rates: Vec<Vec<f64>>,
}

/// Width of the picture, in its own unit.
const WIDTH: f64 = 720.0;
/// Room above and below the area.
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
const SIDE: f64 = 16.0;

/// The map as SVG; light or dark as its reader has it.
pub fn svg(map: &Map) -> String {
    let scale = (WIDTH - 2.0 * SIDE) / map.width_m;
    let height = TOP + map.height_m * scale + BOTTOM;
    let at = |(x, y): (f64, f64)| (SIDE + x * scale, TOP + (map.height_m - y) * scale);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-label=\"{title}\">\n<style>\
         svg {{ color-scheme: light dark; --ink: #1C2126; --ground: #FFFFFF; --rate: #2E57D6; --way: #D04319 }}\
         @media (prefers-color-scheme: dark) {{ svg {{ --ink: #E8EAED; --ground: #16191D; --rate: #5F8BFB; --way: #F3572A }} }}\
         text {{ font: 12px system-ui, sans-serif; fill: var(--ink) }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"var(--ground)\"/>\n\
         <text x=\"{SIDE}\" y=\"20\" style=\"font-weight: 600\">{title}</text>\n",
        title = escaped(&map.title),
    );
    let most = map.rates.iter().flatten().copied().fold(0.0, f64::max);
    let side = map.rates.len().max(1) as f64;
    text += "<g fill=\"var(--rate)\" shape-rendering=\"crispEdges\">\n";
    for (row, rates) in map.rates.iter().enumerate() {
        let (w, h) = (map.width_m / rates.len() as f64, map.height_m / side);
        for (column, &rate) in rates.iter().enumerate().filter(|(_, rate)| **rate > 0.0) {
            // Edges are rounded, not sizes, so that neighbours leave no gap.
            let corner = |column: usize, row: usize| {
                let (x, y) = at((column as f64 * w, row as f64 * h));
                (x.round(), y.round())
            };
            let ((x, y), (right, bottom)) = (corner(column, row + 1), corner(column + 1, row));
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" opacity=\"{:.2}\"/>",
                right - x,
                bottom - y,
                0.06 + 0.54 * rate / most,
            );
        }
    }
    text += "</g>\n<g fill=\"none\" stroke=\"var(--way)\" stroke-width=\"1.2\" opacity=\"0.8\">\n";
    for way in map.ways.iter().filter(|way| !way.is_empty()) {
        let points: Vec<_> = way
            .iter()
            .map(|&place| {
                let (x, y) = at(place);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(text, "<polyline points=\"{}\"/>", points.join(" "));
    }
    text += "</g>\n<g fill=\"var(--way)\">\n";
    for &place in map.ways.iter().filter_map(|way| way.last()) {
        let (x, y) = at(place);
        let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>");
    }
    text += "</g>\n";
    for (number, &place) in map.stations.iter().enumerate() {
        let (x, y) = at(place);
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} {:.1}l6 10.5h-12z\" fill=\"var(--ink)\" stroke=\"var(--ground)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            y - 7.0,
            x + 9.0,
            y + 4.0,
            number + 1,
        );
    }
    let (left, bottom) = at((0.0, 0.0));
    let (right, top) = at((map.width_m, map.height_m));
    let bar = round_length(map.width_m / 5.0);
    let _ = writeln!(
        text,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"none\" \
         stroke=\"var(--ink)\"/>\n\
         <path d=\"M{left:.1} {:.1}v6h{:.1}v-6\" fill=\"none\" stroke=\"var(--ink)\"/>\n\
         <text x=\"{left:.1}\" y=\"{:.1}\">{bar} m</text>",
        right - left,
        bottom - top,
        bottom + 8.0,
        bar * scale,
        bottom + 32.0,
    );
    let legend =
        [("▲ station", true), ("● device, with its way", map.ways.iter().any(|way| way.len() > 1))];
    let legend = legend.iter().filter(|(_, shown)| *shown).map(|(text, _)| *text);
    let mut legend: Vec<String> = legend.map(str::to_owned).collect();
    if most > 0.0 {
        legend.push(format!("■ expected rate, up to {most:.0} Mbit/s"));
    }
    let _ = writeln!(
        text,
        "<text x=\"{right:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n</svg>",
        bottom + 20.0,
        legend.join("   "),
    );
    text
}

/// The largest of 1, 2 and 5 times a power of ten that is not above `length`.
fn round_length(length: f64) -> f64 {
    let power = 10.0_f64.powf(length.log10().floor());
    [5.0, 2.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|round| *round <= length)
        .unwrap_or(power)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_shows_each_station_and_each_way() {
        let map = Map {
            title: "a < b".into(),
            width_m: 1000.0,
            height_m: 500.0,
            stations: vec![(250.0, 250.0), (750.0, 250.0)],
            ways: vec![vec![(0.0, 0.0), (1000.0, 500.0)], Vec::new()],
            rates: vec![vec![10.0, 0.0], vec![20.0, 5.0]],
        };
        let text = svg(&map);
        assert_eq!(text.matches("<path d=\"M").count(), 3, "two stations and the bar");
        assert_eq!(text.matches("<polyline").count(), 1);
        assert!(text.contains("points=\"16.0,378.0 704.0,34.0\""), "{text}");
        // Three squares with coverage; that with most is darkest.
        assert_eq!(text.matches("opacity=\"0.60\"").count(), 1);
        assert_eq!(text.matches("<rect x=").count(), 3 + 1);
        assert!(text.contains("a &lt; b") && text.contains("200 m") && text.contains("20 Mbit/s"));
    }

    #[test]
    fn lengths_of_bars_are_round() {
        let lengths = [1.0, 1.9, 2.0, 49.0, 50.0, 260.0].map(round_length);
        assert_eq!(lengths, [1.0, 1.0, 2.0, 20.0, 50.0, 200.0]);
    }
}
