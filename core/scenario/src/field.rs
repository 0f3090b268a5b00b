//! Fields: what a file may contain, each defined once.
//!
//! [`sections!`](crate::sections) turns a list of fields with documentation, default, unit and
//! range into a struct that serde reads, the check of its ranges, and the rows of the tables in
//! `scenarios/README.md`. [`variants!`](crate::variants) does the same for an enum whose variants
//! have fields. The derive of serde would need a named function for each default; here the default
//! is an expression, which the tables show as well.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::ops::RangeInclusive;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use crate::Raw;

/// A field that a file may contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its path, such as `tasks.size_mbit`; `N` stands for the number of an entry of a list, and
    /// `NAME` for the key of an entry of a map.
    pub path: String,
    /// Its meaning, in sentences: the documentation of its definition.
    pub about: String,
    /// Its unit; empty if it has none.
    pub unit: &'static str,
    /// Its value if it is left out.
    pub default: FieldDefault,
    /// Its range; empty if its type says all.
    pub range: String,
}

/// The value of a field that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldDefault {
    /// None: the field can't be left out.
    Required,
    /// A value, as RON.
    Value(String),
    /// A default in words; empty if it is a section, whose fields have defaults of their own.
    Words(String),
}

/// The fields of a struct or enum that is part of a file.
pub trait Section {
    /// Appends the fields of the section at `path`.
    fn list(path: &str, into: &mut Vec<Field>);

    /// Checks the ranges of the section at `path`, of everything nested in it too.
    ///
    /// # Errors
    /// The first value that is out of range.
    fn check(&self, path: &str) -> Result<(), OutOfRange>;
}

/// A value that is out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The path of its field, with the numbers and keys of entries.
    pub path: String,
    /// The value and its range.
    pub fault: String,
}

/// The path of `field` inside `path`.
pub fn join(path: &str, field: &str) -> String {
    match (path, field) {
        ("", _) => field.to_owned(),
        (_, "") => path.to_owned(),
        _ => format!("{path}.{field}"),
    }
}

impl<S: Section> Section for Option<S> {
    fn list(path: &str, into: &mut Vec<Field>) {
        S::list(path, into);
    }

    fn check(&self, path: &str) -> Result<(), OutOfRange> {
        self.as_ref().map_or(Ok(()), |section| section.check(path))
    }
}

impl<S: Section> Section for Vec<S> {
    fn list(path: &str, into: &mut Vec<Field>) {
        S::list(&join(path, "N"), into);
    }

    fn check(&self, path: &str) -> Result<(), OutOfRange> {
        let mut entries = self.iter().enumerate();
        entries.try_for_each(|(number, section)| section.check(&join(path, &number.to_string())))
    }
}

impl<S: Section> Section for BTreeMap<String, S> {
    fn list(path: &str, into: &mut Vec<Field>) {
        S::list(&join(path, "NAME"), into);
    }

    fn check(&self, path: &str) -> Result<(), OutOfRange> {
        self.iter().try_for_each(|(name, section)| section.check(&join(path, name)))
    }
}

/// The values that a field of type `T` may have.
pub trait Bounds<T> {
    /// The range in words or symbols.
    fn shown(&self) -> String;

    /// Describes `value` and the range; `None` if it is in range.
    fn fault(&self, value: &T) -> Option<String>;
}

impl<T: Copy + Into<u64>> Bounds<T> for RangeInclusive<u64> {
    fn shown(&self) -> String {
        format!("{} … {}", count(*self.start()), count(*self.end()))
    }

    fn fault(&self, &value: &T) -> Option<String> {
        let value = value.into();
        let range = || Bounds::<u64>::shown(self);
        (!self.contains(&value)).then(|| format!("{value} is out of range {}", range()))
    }
}

impl Bounds<f64> for RangeInclusive<f64> {
    fn shown(&self) -> String {
        let shown = |value: f64| {
            if value.fract() == 0.0 { count(value as u64) } else { value.to_string() }
        };
        format!("{} … {}", shown(*self.start()), shown(*self.end()))
    }

    fn fault(&self, value: &f64) -> Option<String> {
        let range = || Bounds::<f64>::shown(self);
        (!self.contains(value)).then(|| format!("{value} is out of range {}", range()))
    }
}

impl Bounds<f64> for offramp_model::Range {
    fn shown(&self) -> String {
        Bounds::<Raw>::shown(self)
    }

    fn fault(&self, value: &f64) -> Option<String> {
        Self::fault(self, *value)
    }
}

/// The range of each value of a quantity. The model checks it when the values are known.
impl Bounds<Raw> for offramp_model::Range {
    fn shown(&self) -> String {
        let shown = match self {
            Self::Positive => "above 0",
            Self::NotNegative | Self::ZeroOrPositive => "0 or more",
            Self::Unit => "0 … 1",
        };
        shown.to_owned()
    }

    fn fault(&self, _: &Raw) -> Option<String> {
        None
    }
}

/// The range of a value that may be left out.
#[derive(Clone, Copy, Debug)]
pub struct IfGiven<B>(pub B);

impl<T, B: Bounds<T>> Bounds<Option<T>> for IfGiven<B> {
    fn shown(&self) -> String {
        self.0.shown()
    }

    fn fault(&self, value: &Option<T>) -> Option<String> {
        value.as_ref().and_then(|value| self.0.fault(value))
    }
}

/// A range that is stated here and checked elsewhere.
impl<T> Bounds<T> for &str {
    fn shown(&self) -> String {
        (*self).to_owned()
    }

    fn fault(&self, _: &T) -> Option<String> {
        None
    }
}

/// A count in digits; a power of ten or two above 10⁵ as such.
fn count(value: u64) -> String {
    let superscript = |exponent: u32| -> String {
        let digit = |digit: char| match digit {
            '0' => '⁰',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            _ => '⁹',
        };
        exponent.to_string().chars().map(digit).collect()
    };
    let ten = value.checked_ilog10().unwrap_or(0);
    if value <= 100_000 {
        value.to_string()
    } else if value == 10_u64.pow(ten) {
        format!("10{}", superscript(ten))
    } else if value.is_power_of_two() {
        format!("2{}", superscript(value.ilog2()))
    } else {
        value.to_string()
    }
}

/// A value that tables can show.
pub trait Shown {
    /// The value as RON; `None` if it is an option or a collection without a value.
    fn shown(&self) -> Option<String>;
}

/// A default as a field has it.
pub fn default_of(value: &impl Shown) -> FieldDefault {
    let none = || FieldDefault::Words("none".to_owned());
    value.shown().map_or_else(none, FieldDefault::Value)
}

macro_rules! shown_as_debug {
    ($($type:ty),+) => {
        $(impl Shown for $type {
            fn shown(&self) -> Option<String> {
                Some(format!("{self:?}"))
            }
        })+
    };
}

shown_as_debug!(u32, u64, f64, bool, String);

impl Shown for Raw {
    fn shown(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> Option<String> {
        self.as_ref().and_then(Shown::shown)
    }
}

impl<T: Debug> Shown for Vec<T> {
    fn shown(&self) -> Option<String> {
        (!self.is_empty()).then(|| format!("{self:?}"))
    }
}

impl<K: Debug, V: Debug> Shown for BTreeMap<K, V> {
    fn shown(&self) -> Option<String> {
        (!self.is_empty()).then(|| format!("{self:?}"))
    }
}

/// The name of a field of a struct: reads one of these names.
#[derive(Clone, Copy, Debug)]
pub struct FieldName(pub &'static [&'static str]);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = &'static str;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("field identifier")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<&'static str, E> {
        let known = self.0.iter().find(|known| **known == name);
        known.copied().ok_or_else(|| E::unknown_field(name, self.0))
    }
}

/// A Markdown table of `fields`, one row each, as `scenarios/README.md` has it.
pub fn table(fields: &[Field]) -> String {
    let mut text =
        String::from("| field | default | unit | range | meaning |\n|---|---|---|---|---|\n");
    for Field { path, about, unit, default, range } in fields {
        let default = match default {
            FieldDefault::Required => "required".to_owned(),
            FieldDefault::Value(value) => format!("`{value}`"),
            FieldDefault::Words(words) => words.clone(),
        };
        let _ = writeln!(text, "| `{path}` | {default} | {unit} | {range} | {about} |");
    }
    text
}

/// `document` with the text between `<!-- NAME -->` and `<!-- end of NAME -->` replaced; `None` if
/// it lacks one of these lines.
pub fn with_generated(document: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{text}\n{end}{after}"))
}

/// Defines structs that are sections of a file: their fields in order, each with documentation,
/// and any of
///
/// - `default`: an expression, the value if the field is left out; without one it is required;
/// - `shown`: how the table shows the default, if its [`Shown`](crate::field::Shown) does not serve;
/// - `unit`;
/// - `range`: [`Bounds`](crate::field::Bounds) of its value, or a text if something else checks it;
/// - `nested: section`: its type is a section itself, or an option, list or map of sections.
///
/// The name in parentheses is how errors refer to the section. After `: Default` all fields need a
/// default. The crate that uses this depends on `serde`.
#[macro_export]
macro_rules! sections {
    ($(
        $(#[doc = $about:literal])+
        struct $section:ident($name:literal) $(: $all_default:ident)? {$(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty {
                $(default: $default:expr,)?
                $(shown: $shown:literal,)?
                $(unit: $unit:literal,)?
                $(range: $range:expr,)?
                $(nested: $nested:ident,)?
            },
        )+}
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub(crate) struct $section {
            $($(#[doc = $doc])+ pub(crate) $field: $type,)+
        }

        impl<'de> serde::Deserialize<'de> for $section {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const NAMES: &[&str] = &[$(stringify!($field)),+];
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $section;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("struct ", $name))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$section, A::Error> {
                        use serde::de::Error as _;
                        $(let mut $field: Option<$type> = None;)+
                        while let Some(name) = map.next_key_seed($crate::field::FieldName(NAMES))? {
                            match name {
                                $(stringify!($field) if $field.is_none() => {
                                    $field = Some(map.next_value()?);
                                })+
                                twice => return Err(A::Error::duplicate_field(twice)),
                            }
                        }
                        Ok($section {$(
                            $field: match $field {
                                Some(value) => value,
                                None => $crate::sections!(@absent A $field $($default)?),
                            },
                        )+})
                    }
                }
                deserializer.deserialize_struct($name, NAMES, Fields)
            }
        }

        $crate::sections!(@default $section $($all_default)? {$($field $($default)?,)+});

        impl $crate::field::Section for $section {
            fn list(path: &str, into: &mut Vec<$crate::field::Field>) {$(
                let own = $crate::field::join(path, stringify!($field));
                into.push($crate::sections!(@row $type, own {$($doc)+} {$($default)?} {$($shown)?}
                    {$($unit)?} {$($range)?} {$($nested)?}));
                $($crate::sections!(@is $nested); <$type as $crate::field::Section>::list(&own, into);)?
            )+}

            fn check(&self, path: &str) -> Result<(), $crate::field::OutOfRange> {
                // Sections whose fields have no range do not use it.
                let _ = path;
                $($(if let Some(fault) = $crate::field::Bounds::fault(&$range, &self.$field) {
                    let path = $crate::field::join(path, stringify!($field));
                    return Err($crate::field::OutOfRange { path, fault });
                })?)+
                $($crate::sections!(@check self path $field $($nested)?);)+
                Ok(())
            }
        }
    )+};

    (@is section) => {};

    (@absent $access:ident $field:ident $default:expr) => { $default };
    (@absent $access:ident $field:ident) => {
        return Err($access::Error::missing_field(stringify!($field)))
    };

    (@default $section:ident { $($rest:tt)* }) => {};
    (@default $section:ident Default {$($field:ident $default:expr,)+}) => {
        impl Default for $section {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }
    };

    (@check $self:ident $path:ident $field:ident) => {};
    (@check $self:ident $path:ident $field:ident section) => {
        $crate::field::Section::check(
            &$self.$field,
            &$crate::field::join($path, stringify!($field)),
        )?
    };

    (@row $type:ty, $path:ident {$($doc:literal)+} {$($default:expr)?} {$($shown:literal)?}
        {$($unit:literal)?} {$($range:expr)?} {$($nested:ident)?}) => {
        $crate::field::Field {
            path: $path.clone(),
            about: concat!($($doc),+).trim().to_owned(),
            unit: concat!($($unit)?),
            default: $crate::sections!(@shown $type {$($default)?} {$($shown)?} {$($nested)?}),
            range: $crate::sections!(@range $type {$($range)?}),
        }
    };

    (@shown $type:ty {$($default:expr)?} {$shown:literal} {$($nested:ident)?}) => {
        $crate::field::FieldDefault::Words($shown.to_owned())
    };
    (@shown $type:ty {} {} {$($nested:ident)?}) => { $crate::field::FieldDefault::Required };
    // The defaults of a section are those of its fields.
    (@shown $type:ty {$default:expr} {} {section}) => {
        $crate::field::FieldDefault::Words(String::new())
    };
    (@shown $type:ty {$default:expr} {} {}) => {{
        let default: $type = $default;
        $crate::field::default_of(&default)
    }};

    (@range $type:ty {}) => { String::new() };
    (@range $type:ty {$range:expr}) => { $crate::field::Bounds::<$type>::shown(&$range) };
}

/// Defines an enum whose variants have fields, as [`sections!`](crate::sections) does for structs:
/// each field with documentation and either `{}`, which makes it required, or
/// `{ otherwise: default }`, which gives it the default of its type. Paths name the variant, such as `policies.NAME.Fixed.plugin`.
#[macro_export]
macro_rules! variants {
    ($(
        $(#[doc = $about:literal])+
        enum $name:ident {$(
            $(#[doc = $variant_doc:literal])+
            $variant:ident {$(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty {
                    $(otherwise: $default:ident)? $(nested: $nested:ident)?
                },
            )+},
        )+}
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) enum $name {$(
            $(#[doc = $variant_doc])+
            $variant {$(
                $(#[doc = $doc])+
                $(#[serde($default)])?
                $field: $type,
            )+},
        )+}

        impl $crate::field::Section for $name {
            fn list(path: &str, into: &mut Vec<$crate::field::Field>) {$(
                let path_of_variant = $crate::field::join(path, stringify!($variant));
                into.push($crate::field::Field {
                    path: path_of_variant.clone(),
                    about: concat!($($variant_doc),+).trim().to_owned(),
                    unit: "",
                    default: $crate::field::FieldDefault::Words(String::new()),
                    range: String::new(),
                });
                $(
                    let own = $crate::field::join(&path_of_variant, stringify!($field));
                    into.push($crate::sections!(@row $type, own {$($doc)+}
                        {$(<$type>::$default())?} {} {} {} {$($nested)?}));
                    $($crate::sections!(@is $nested);
                        <$type as $crate::field::Section>::list(&own, into);)?
                )+
            )+}

            fn check(&self, _: &str) -> Result<(), $crate::field::OutOfRange> {
                Ok(())
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_ron;

    crate::sections! {
        /// A box.
        struct Outer("box") {
            /// Its width,
            /// inside.
            width_cm: f64 { unit: "cm", range: 0.5..=2.0, },
            /// How many.
            count: u32 { default: 3, range: 1..=1_000_000_000, },
            /// Its lids.
            lids: Vec<Lid> { default: Vec::new(), nested: section, },
        }
        /// A lid.
        struct Lid("lid"): Default {
            /// Its colour.
            colour: String { default: "red".to_owned(), },
            /// Its handles.
            handles: u64 { default: 1, range: 0..=2, },
        }
    }

    fn read(text: &str) -> Result<Outer, String> {
        read_ron("box.ron", text).map_err(|fault| format!("{fault}; {:?}", fault.help))
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let read = read("(lids: [(handles: 2), ()], width_cm: 1.0)").unwrap();
        assert_eq!((read.width_cm, read.count), (1.0, 3));
        assert_eq!((read.lids[0].handles, read.lids[1].handles), (2, Lid::default().handles));
        assert_eq!(read.lids[0].colour, "red");
    }

    #[test]
    fn what_serde_would_refuse_is_refused_in_the_same_words() {
        let error = |text| read(text).unwrap_err();
        assert_eq!(
            error("(width_cm: 1.0, cuont: 2)"),
            "box.ron:1:17: there is no field `cuont` in `box`; Some(\"did you mean `count`?\")"
        );
        assert_eq!(
            error("(count: 2)"),
            "box.ron:1:10: the field `width_cm` in `box` is missing; None"
        );
        assert!(error("(count: 2, count: 2)").contains("count"));
    }

    #[test]
    fn ranges_are_checked_at_any_depth() {
        let out = |text| read(text).unwrap().check("").unwrap_err();
        let OutOfRange { path, fault } = out("(width_cm: 3.0)");
        assert_eq!((path.as_str(), fault.as_str()), ("width_cm", "3 is out of range 0.5 … 2"));
        let OutOfRange { path, fault } = out("(width_cm: 1.0, lids: [(), (handles: 3)])");
        assert_eq!((path.as_str(), fault.as_str()), ("lids.1.handles", "3 is out of range 0 … 2"));
        assert_eq!(out("(width_cm: 1.0, count: 0)").fault, "0 is out of range 1 … 10⁹");
    }

    #[test]
    fn the_table_has_a_row_for_each_field() {
        let mut fields = Vec::new();
        Outer::list("", &mut fields);
        let rows = [
            "| `width_cm` | required | cm | 0.5 … 2 | Its width, inside. |",
            "| `count` | `3` |  | 1 … 10⁹ | How many. |",
            "| `lids` |  |  |  | Its lids. |",
            "| `lids.N.colour` | `\"red\"` |  |  | Its colour. |",
            "| `lids.N.handles` | `1` |  | 0 … 2 | Its handles. |",
        ];
        assert_eq!(table(&fields).lines().skip(2).collect::<Vec<_>>(), rows);
    }
}
