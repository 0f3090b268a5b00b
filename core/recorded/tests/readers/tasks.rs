use std::sync::Arc;

use offramp_columns::{Column, Kind, Value, Writer};
use offramp_recorded::When::{Seconds, Slot};
use offramp_recorded::{TaskRow, When, tasks};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert_eq, proptest};

use super::{Desk, check_fault, example, plain};

fn row(when: When, device: u32) -> TaskRow {
    TaskRow {
        when,
        device,
        size_mbit: 1.5,
        density: 0.297,
        deadline_slots: None,
        alpha: None,
        class: None,
    }
}

#[test]
fn columns_may_be_missing_or_empty() {
    let desk = Desk::new();
    let path = desk.file("a.csv", "slot,device,size_mbit,density\n3,1,1.5,0.297\n");
    assert_eq!(tasks(&path, &plain()).unwrap(), [row(Slot(3), 1)]);
    let text = "time_s,device,size_mbit,density,deadline_slots,alpha,class\n\
                0.5,1,1.5,0.297,10,0.25,ar\n0.5,2,1.5,0.297,,,\n7,1,1.5,0.297,20.0,1,\"ar\"\n";
    let rows = tasks(&desk.file("a.csv", text), &plain()).unwrap();
    let ar: Option<Arc<str>> = Some("ar".into());
    assert_eq!(
        rows,
        [
            TaskRow {
                deadline_slots: Some(10),
                alpha: Some(0.25),
                class: ar.clone(),
                ..row(Seconds(0.5), 1)
            },
            row(Seconds(0.5), 2),
            TaskRow {
                deadline_slots: Some(20),
                alpha: Some(1.0),
                class: ar,
                ..row(Seconds(7.0), 1)
            },
        ]
    );
    assert!(Arc::ptr_eq(rows[0].class.as_ref().unwrap(), rows[2].class.as_ref().unwrap()));
}

#[test]
fn each_bad_row_has_its_place() {
    let header = "slot,device,size_mbit,density,deadline_slots,alpha,class\n";
    for (row, expected) in [
        (
            "-1,0,1,1,,,",
            "line 2, column `slot`: found `-1`; expected a whole number, 0 to 4294967295",
        ),
        ("4294967296,0,1,1,,,", "column `slot`: found `4294967296`; expected a whole number"),
        ("0,0,0,1,,,", "column `size_mbit`: found `0`; expected a size above 0 (Mbit)"),
        ("0,0,-3,1,,,", "column `size_mbit`: found `-3`; expected a size above 0 (Mbit)"),
        ("0,0,NaN,1,,,", "column `size_mbit`: found `NaN`; expected a size above 0 (Mbit)"),
        (
            "0,0,1,inf,,,",
            "column `density`: found `inf`; expected a density above 0 (Gcycles/Mbit)",
        ),
        ("0,0,1,1,0,,", "column `deadline_slots`: found `0`; expected a whole number, 1 to"),
        ("0,0,1,1,2.5,,", "column `deadline_slots`: found `2.5`; expected a whole number, 1 to"),
        (
            "0,0,1,1,,1.01,",
            "column `alpha`: found `1.01`; expected a number, 0 to 1, or an empty cell",
        ),
        ("0,0,1,1,,nan,", "column `alpha`: found `nan`; expected a number, 0 to 1"),
        ("0,,1,1,,,", "column `device`: found an empty cell; expected a device"),
        ("0,0,,1,,,", "column `size_mbit`: found an empty cell; expected a size above 0"),
    ] {
        let path = Desk::new();
        let path = path.file("tasks.csv", format!("{header}{row}\n"));
        check_fault(tasks(&path, &plain()), expected);
    }
    let desk = Desk::new();
    let path = desk.file("tasks.csv", "slot,size_mbit,density\n0,1,1\n");
    let fault = "line 2, column `device`: found `0.5`; expected a device: a whole number";
    check_fault(tasks(&path, &plain().fixed("device", 0.5)), fault);
    let fault = "the constant of `class` is 1; expected none: it is a text";
    check_fault(tasks(&path, &plain().fixed("class", 1.0)), fault);
    let path = desk.file("tasks.csv", "device,size_mbit,density\n0,1,1\n");
    let expected = "has no column `slot` or `time_s`; it has `device`, `size_mbit`, `density`;";
    check_fault(tasks(&path, &plain()), expected);
}

/// A trace of requests has neither devices nor megabits: `columns` states what they are.
#[test]
fn requests_of_another_system_become_tasks() {
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
                2023-11-16 18:17:03.9799600,4808,10\r\n2023-11-16 18:17:04.0319600,3180,8\r\n";
    let path = Desk::new();
    let path = path.file("AzureLLMInferenceTrace_code.csv", text);
    let columns = plain()
        .named("time_s", "TIMESTAMP")
        .named("size_mbit", "ContextTokens")
        .scaled("size_mbit", 0.001)
        .fixed("density", 0.3)
        .fixed("device", 4.0);
    let rows = tasks(&path, &columns).unwrap();
    assert_eq!((rows[0].when, rows[0].device), (Seconds(0.0), 4));
    assert_eq!((rows[1].when, rows[1].size_mbit, rows[1].density), (Seconds(0.052), 3.18, 0.3));
}

#[test]
fn files_of_other_programs_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../columns/tests/files");
    for program in ["polars", "pyarrow", "duckdb"] {
        let path = format!("{folder}/{program}.parquet");
        let rows = tasks(path.as_ref(), &plain()).unwrap();
        assert_eq!(rows.len(), 12);
        for (at, row) in rows.iter().enumerate() {
            let at_u32 = at as u32;
            assert_eq!((row.when, row.device), (Slot(at_u32 / 2), at_u32 % 3));
            assert_eq!(row.size_mbit, 1.5 + at as f64 / 4.0);
            assert_eq!(row.deadline_slots, (at % 5 != 0).then_some(10));
            assert_eq!(row.alpha, (at != 3).then_some(at as f64 / 16.0));
            let class = (at % 4 != 3).then_some(["ar", "health"][at % 2]);
            assert_eq!(row.class.as_deref(), class);
        }
        // Timestamps in a column of their own type.
        let rows = tasks(path.as_ref(), &plain().named("time_s", "at")).unwrap();
        assert_eq!(rows[5].when, Seconds(1.25));
        let fault = tasks(path.as_ref(), &plain().named("size_mbit", "class"));
        check_fault(fault, "row 1, column `class`: found `ar`; expected a size above 0 (Mbit)");
        let fault = tasks(path.as_ref(), &plain().named("alpha", "urgent"));
        check_fault(fault, "row 1, column `urgent`: found `true`; expected a number, 0 to 1");
    }
    let path = format!("{folder}/polars-zstd.parquet");
    let columns = plain().fixed("device", 0.0).fixed("size_mbit", 1.0).fixed("density", 1.0);
    check_fault(
        tasks(path.as_ref(), &columns),
        "polars-zstd.parquet: column `slot` in row group 1 has Zstandard compression, which is not supported; \
         write it with `df.write_parquet(path, compression=\"uncompressed\")` (Polars)",
    );
}

#[test]
fn the_example_is_read() {
    let rows = tasks(&example("tasks.csv"), &plain()).unwrap();
    assert_eq!(rows.len(), 91);
    assert_eq!(rows[0].class.as_deref(), Some("reality"));
}

fn task() -> impl Strategy<Value = TaskRow> {
    let optional = (
        prop::option::of(1..=u32::MAX),
        prop::option::of(0.0..=1.0),
        prop::option::of("[a-zé, \"]{0,6}[a-z]"),
    );
    (0..=u32::MAX, 0..=u32::MAX, 1e-9..1e9, 1e-9..1e9, optional).prop_map(
        |(slot, device, size_mbit, density, (deadline_slots, alpha, class))| TaskRow {
            when: Slot(slot),
            device,
            size_mbit,
            density,
            deadline_slots,
            alpha,
            // Blanks around a text are not part of it.
            class: class.map(|class| class.trim().into()),
        },
    )
}

const COLUMNS: [(&str, Kind); 7] = [
    ("slot", Kind::Count),
    ("device", Kind::Count),
    ("size_mbit", Kind::Number),
    ("density", Kind::Number),
    ("deadline_slots", Kind::Count),
    ("alpha", Kind::Number),
    ("class", Kind::Text),
];

fn cells(task: &TaskRow) -> [Value<'_>; 7] {
    let Slot(slot) = task.when else { panic!("{task:?}") };
    [
        Value::Count(slot.into()),
        Value::Count(task.device.into()),
        Value::Number(task.size_mbit),
        Value::Number(task.density),
        task.deadline_slots.map_or(Value::Empty, |slots| Value::Count(slots.into())),
        task.alpha.map_or(Value::Empty, Value::Number),
        task.class.as_deref().map_or(Value::Empty, Value::Text),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_written_is_read(written in vec(task(), 1..60)) {
        let desk = Desk::new();
        let columns = COLUMNS.map(|(name, kind)| Column::new(name, kind));
        let mut table = Writer::new(Vec::new(), columns.into()).unwrap();
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(COLUMNS.map(|(name, _)| name)).unwrap();
        for task in &written {
            table.row(cells(task)).unwrap();
            csv.write_record(cells(task).map(|cell| match cell {
                Value::Count(count) => count.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Text(text) => text.to_owned(),
                _ => String::new(),
            })).unwrap();
        }
        let parquet = desk.file("tasks.parquet", table.finish().unwrap());
        prop_assert_eq!(&tasks(&parquet, &plain()).unwrap(), &written);
        let csv = desk.file("tasks.csv", csv.into_inner().unwrap());
        prop_assert_eq!(&tasks(&csv, &plain()).unwrap(), &written);
    }

    /// Whatever the bytes are, reading ends in rows or a fault.
    #[test]
    fn any_text_does_no_harm(text in "(slot|device|size_mbit|density|time_s|[\"\r\n,;\t]|.|[0-9]){0,80}") {
        let desk = Desk::new();
        for name in ["a.csv", "a.xml", "a.parquet"] {
            let path = desk.file(name, &text);
            let _ = (tasks(&path, &plain()), offramp_recorded::tracks(&path, &plain()));
            let _ = offramp_recorded::rates(&path, &plain());
        }
    }
}
