//! Colours: one per policy throughout a page or the files of a study.
//!
//! All are legible as text on their background, and neighbours in the order differ in lightness, so that
//! those who don't see red and green apart can tell them apart. Beyond twelve, markers differ too.

use std::collections::BTreeMap;
use std::fmt::Write;

use plotters::style::RGBColor;

/// The shape of a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marker {
    /// Of the first name with a colour.
    #[default]
    Disc,
    /// Of the second.
    Square,
    /// Of all others.
    Triangle,
}

/// The looks of a line or bar: an index into the colours, and a marker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The colour, 0 to 11; on pages the CSS variable `--cN`.
    pub colour: usize,
    /// The shape of its points.
    pub marker: Marker,
}

/// The looks of policies, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    looks: BTreeMap<String, Look>,
}

/// Colours on white, and the same on dark.
const COLOURS: [(RGBColor, RGBColor); 12] = [
    (RGBColor(0x1b, 0x4f, 0xad), RGBColor(0x6d, 0xa5, 0xff)), // blue
    (RGBColor(0xc0, 0x4d, 0x00), RGBColor(0xff, 0x95, 0x4d)), // vermilion
    (RGBColor(0x00, 0x7d, 0x5f), RGBColor(0x35, 0xd0, 0xa2)), // green
    (RGBColor(0xb0, 0x3a, 0x88), RGBColor(0xf2, 0x9d, 0xd2)), // purple
    (RGBColor(0x8c, 0x66, 0x00), RGBColor(0xe3, 0xb7, 0x45)), // ochre
    (RGBColor(0x0c, 0x7f, 0xad), RGBColor(0x62, 0xcc, 0xf7)), // sky
    (RGBColor(0x7a, 0x14, 0x3c), RGBColor(0xe2, 0x7a, 0x9c)), // wine
    (RGBColor(0x69, 0x78, 0x00), RGBColor(0xc5, 0xd2, 0x52)), // olive
    (RGBColor(0x56, 0x3b, 0xc4), RGBColor(0xab, 0x9a, 0xff)), // violet
    (RGBColor(0x6b, 0x6b, 0x6b), RGBColor(0xac, 0xb1, 0xb8)), // grey
    (RGBColor(0x74, 0x43, 0x25), RGBColor(0xd0, 0xa3, 0x82)), // brown
    (RGBColor(0xd0, 0x2c, 0x4e), RGBColor(0xff, 0x7d, 0x8d)), // red
];

impl Look {
    /// The looks of the line of that number in a figure that has no policies.
    pub fn numbered(number: usize) -> Self {
        let marker = match number / COLOURS.len() {
            0 => Marker::Disc,
            1 => Marker::Square,
            _ => Marker::Triangle,
        };
        Self { colour: number % COLOURS.len(), marker }
    }

    /// The colour on white.
    pub(crate) fn rgb(self) -> RGBColor {
        COLOURS[self.colour].0
    }
}

impl Palette {
    /// Looks for all names, by first appearance. Names of one group stand in one figure: they have
    /// different colours as long as there are enough.
    pub fn of_groups<'n, G>(groups: impl IntoIterator<Item = G>) -> Self
    where
        G: IntoIterator<Item = &'n str>,
    {
        let groups: Vec<Vec<&str>> =
            groups.into_iter().map(|group| group.into_iter().collect()).collect();
        let mut looks = BTreeMap::<String, Look>::new();
        let mut uses = [0_usize; COLOURS.len()];
        for &name in groups.iter().flatten() {
            if looks.contains_key(name) {
                continue;
            }
            let beside = groups.iter().filter(|group| group.contains(&name)).flatten();
            let mut clashes = [false; COLOURS.len()];
            for look in beside.filter_map(|other| looks.get(*other)) {
                clashes[look.colour] = true;
            }
            let best = (0..COLOURS.len()).min_by_key(|&at| (clashes[at], uses[at], at));
            let colour = best.unwrap_or(0);
            let look = Look::numbered(colour + uses[colour] * COLOURS.len());
            uses[colour] += 1;
            looks.insert(name.to_owned(), look);
        }
        Self { looks }
    }

    /// The looks of a policy; those of the first colour if it is unknown.
    pub fn look(&self, name: &str) -> Look {
        self.looks.get(name).copied().unwrap_or_default()
    }
}

/// Each colour of SVG files, as plotters writes it, with the CSS variable that replaces it on pages.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    let named = COLOURS.iter().enumerate();
    named.map(|(at, (light, _))| (hex(*light), format!("var(--c{at})")))
}

/// The declarations of the CSS variables `--c0` to `--c11` on white.
pub(crate) fn light_css() -> String {
    css(COLOURS.map(|(light, _)| light))
}

/// The declarations of the CSS variables `--c0` to `--c11` on dark.
pub(crate) fn dark_css() -> String {
    css(COLOURS.map(|(_, dark)| dark))
}

fn css(colours: [RGBColor; COLOURS.len()]) -> String {
    let mut text = String::new();
    for (at, colour) in colours.into_iter().enumerate() {
        let _ = write!(text, "--c{at}:{};", hex(colour));
    }
    text
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2).
    fn luminance(RGBColor(red, green, blue): RGBColor) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        if a > b { a / b } else { b / a }
    }

    #[test]
    fn each_colour_is_legible_as_text_on_its_background() {
        for (light, dark) in COLOURS {
            assert!(contrast(light, RGBColor(255, 255, 255)) >= 4.4, "{light:?}");
            assert!(contrast(dark, RGBColor(0x12, 0x15, 0x19)) >= 5.5, "{dark:?}");
        }
    }

    #[test]
    fn policies_of_one_figure_differ_in_colour_and_keep_it() {
        let names: Vec<String> = (0..16).map(|at| format!("p{at}")).collect();
        let group = |range: std::ops::Range<usize>| names[range].iter().map(String::as_str);
        let palette = Palette::of_groups([group(0..7), group(3..12), group(9..16)]);
        let colours = |range: std::ops::Range<usize>| {
            let mut colours: Vec<usize> =
                names[range].iter().map(|name| palette.look(name).colour).collect();
            colours.sort_unstable();
            colours.dedup();
            colours.len()
        };
        assert_eq!((colours(0..12), colours(9..16)), (12, 7));
        // A colour used twice has two markers.
        let looks: Vec<Look> = names.iter().map(|name| palette.look(name)).collect();
        assert!((0..16).all(|at| looks.iter().filter(|look| **look == looks[at]).count() == 1));
    }
}
