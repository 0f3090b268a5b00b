use offramp_columns::{Column, Kind, Value, Writer};
use offramp_recorded::{Columns, Devices, TrackRow, tracks, tracks_of};

use super::{Desk, check_fault, example, plain};

fn row(time_s: f64, device: u32, x_m: f64, y_m: f64) -> TrackRow {
    TrackRow { time_s, device, x_m, y_m }
}

#[track_caller]
fn check(text: &str, expected: &[TrackRow]) {
    check_with(text, &plain(), expected);
}

#[track_caller]
fn check_with(text: &str, columns: &Columns, expected: &[TrackRow]) {
    let desk = Desk::new();
    for name in ["tracks.csv", "tracks.csv.gz"] {
        assert_eq!(tracks(&desk.file(name, text), columns).unwrap(), expected);
    }
}

#[track_caller]
fn check_bad(text: impl AsRef<[u8]>, expected: &str) {
    check_fault(tracks(&Desk::new().file("tracks.csv", text), &plain()), expected);
}

#[track_caller]
fn check_xml(text: &str, expected: &str) {
    let desk = Desk::new();
    for name in ["a.fcd.xml", "a.fcd.xml.gz"] {
        check_fault(tracks(&desk.file(name, text), &plain()), expected);
    }
}

/// Wraps elements as SUMO does.
fn export(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- about -->\n<fcd-export>\n{inside}\n</fcd-export>\n"
    )
}

#[test]
fn rows_are_those_of_the_file_in_its_order() {
    let expected = [row(0.5, 4, 1.0, -2.0), row(0.0, 2, 3.5, 1e3)];
    check("time_s,device,x_m,y_m\n0.5,4,1,-2\n0,2,3.5,1e3\n", &expected);
    // Other columns, another order, other letters, blanks, quotes, a mark, line ends, none at the end.
    check(
        "\u{feff}Y_M, speed ,X_M,\"device\",TIME_S\r\n-2,\"a, \"\"b\"\"\", 1 ,4,0.5\r\n\r\n1000,,3.5,2.0,\"0\"",
        &expected,
    );
    check("time_s;device;x_m;y_m\n0.5;4;1;-2\n  \n0;2;3.5;1000\n\n", &expected);
    check("time_s\tdevice\tx_m\ty_m\n0.5\t4\t1\t-2\n0\t2\t3.5\t1000\n", &expected);
}

#[test]
fn columns_have_names_units_and_values() {
    let columns = plain()
        .named("time_s", "ms")
        .scaled("time_s", 0.001)
        .named("x_m", "east km")
        .scaled("x_m", 1000.0)
        .fixed("y_m", 7.5)
        .named("device", "who");
    check_with("Ms,east km,y_m,who\n1500,0.25,9,3\n", &columns, &[row(1.5, 3, 250.0, 7.5)]);
}

#[test]
fn timestamps_count_from_the_first_row() {
    check(
        "time_s,device,x_m,y_m\n2023-11-16 18:17:03.9799600,0,0,0\n2023-11-16T18:17:04.25,0,0,0\n",
        &[row(0.0, 0, 0.0, 0.0), row(0.27004, 0, 0.0, 0.0)],
    );
    check_bad(
        "time_s,device,x_m,y_m\n2023-11-16 18:17:03,0,0,0\n2023-11-16 18:17:02,0,0,0\n",
        "line 3, column `time_s`: found `2023-11-16 18:17:02`; expected no time before that of the first row; \
         sort the file by time",
    );
    check_bad(
        "time_s,device,x_m,y_m\n2023-11-16 18:17:03,0,0,0\n12,0,0,0\n",
        "line 3, column `time_s`: found `12`; expected a time such as `2023-11-16 18:17:03.98` or",
    );
    check_bad(
        "time_s,device,x_m,y_m\n12,0,0,0\n2023-11-16 18:17:03,0,0,0\n",
        "line 3, column `time_s`: found `2023-11-16 18:17:03`; expected a time: seconds, 0 or more, as all times",
    );
    check_bad(
        "time_s,device,x_m,y_m\n18:17,0,0,0\n",
        "found `18:17`; expected a time: seconds, 0 or more, or a timestamp such as",
    );
    let path = Desk::new();
    let path = path.file("a.csv", "time_s,device,x_m,y_m\n2023-11-16 18:17:03,0,0,0\n");
    check_fault(
        tracks(&path, &plain().scaled("time_s", 0.001)),
        "found `2023-11-16 18:17:03` · 0.001; expected a number, since its column has a factor",
    );
}

fn devices(ids: &[&str]) -> Vec<u32> {
    let rows: String = ids.iter().map(|id| format!("0,{id},0,0\n")).collect();
    let path = Desk::new();
    let path = path.file("a.csv", format!("time_s,device,x_m,y_m\n{rows}"));
    tracks(&path, &plain()).unwrap().iter().map(|row| row.device).collect()
}

#[test]
fn devices_are_numbers_or_are_numbered_by_first_appearance() {
    assert_eq!(devices(&["7", "3", "7", "4294967295", "3.0"]), [7, 3, 7, u32::MAX, 3]);
    assert_eq!(devices(&["bus", "anna", "bus", "Anna"]), [0, 1, 0, 2]);
    // Numbers are names where there is a name, also those before it; `07` and `7.0` are 7.
    assert_eq!(devices(&["7", "3", "07", "bus", "7", "7.0", "3", "0"]), [0, 1, 0, 2, 0, 0, 1, 3]);
    // Numbers that are too large for devices are names.
    assert_eq!(devices(&["4294967296", "1", "4294967296"]), [0, 1, 0]);
}

#[test]
fn what_is_no_device_is_a_fault() {
    for id in ["-1", "2.5", "NaN", "inf", "-1e3"] {
        check_bad(
            format!("time_s,device,x_m,y_m\n0,3,0,0\n0,{id},0,0\n"),
            &format!(
                "line 3, column `device`: found `{id}`; expected a device: a whole number, 0 to 4294967295, \
                 or a name"
            ),
        );
    }
    check_bad("time_s,device,x_m,y_m\n0,,0,0\n", "line 2, column `device`: found an empty cell;");
}

#[test]
fn files_may_share_their_devices() {
    let desk = Desk::new();
    let mut devices = Devices::default();
    let mut read = |name: &str, ids: &[&str]| {
        let rows: String = ids.iter().map(|id| format!("0,{id},0,0\n")).collect();
        let path = desk.file(name, format!("time_s,device,x_m,y_m\n{rows}"));
        let rows = tracks_of(&path, &plain(), &mut devices);
        rows.map(|rows| rows.iter().map(|row| row.device).collect::<Vec<_>>())
    };
    assert_eq!(read("a.csv", &["bus", "tram"]).unwrap(), [0, 1]);
    // A file with a fault leaves nothing behind.
    check_fault(read("b.csv", &["ship", ""]), "found an empty cell");
    assert_eq!(read("c.csv", &["5", "tram", "bus"]).unwrap(), [2, 1, 0]);
    assert_eq!(read("d.csv", &["5"]).unwrap(), [2]);
    assert_eq!(devices.names().unwrap(), ["bus", "tram", "5"]);

    let mut devices = Devices::default();
    let numbers = desk.file("e.csv", "time_s,device,x_m,y_m\n0,9,0,0\n");
    assert_eq!(tracks_of(&numbers, &plain(), &mut devices).unwrap()[0].device, 9);
    assert_eq!(devices.names(), None);
    check_fault(
        tracks_of(&desk.0.path().join("a.csv"), &plain(), &mut devices),
        "found `bus`; expected a whole number, 0 to 4294967295, as in the file that was read before",
    );
    let xml = desk.file(
        "f.xml",
        export("<timestep time=\"0\"><vehicle id=\"7\" x=\"0\" y=\"0\"/></timestep>"),
    );
    check_fault(
        tracks_of(&xml, &plain(), &mut devices),
        "line 4, column `id`: found `7`; expected no id, since the file before has numbers; read this file first",
    );
    let mut devices = Devices::default();
    assert_eq!(tracks_of(&xml, &plain(), &mut devices).unwrap()[0].device, 0);
    // 9 is another device than 7, the first.
    assert_eq!(tracks_of(&numbers, &plain(), &mut devices).unwrap()[0].device, 1);
}

#[test]
fn each_bad_row_has_its_place() {
    let header = "time_s,device,x_m,y_m\n";
    for (row, expected) in [
        ("0,0,NaN,0", "line 2, column `x_m`: found `NaN`; expected a finite number"),
        ("0,0,0,inf", "line 2, column `y_m`: found `inf`; expected a finite number"),
        ("0,0,1e999,0", "line 2, column `x_m`: found `1e999`; expected a finite number"),
        ("0,0,,0", "line 2, column `x_m`: found an empty cell; expected a finite number"),
        (
            "-0.5,0,0,0",
            "line 2, column `time_s`: found `-0.5`; expected a time: seconds, 0 or more",
        ),
        ("0,0,\"1,5\",0", "found `1,5`; expected a finite number, with a decimal point"),
        ("0,0,0", "line 2: found 3 cells; expected 4, as in the header"),
        ("0,0,0,0,0", "line 2: found 5 cells; expected 4, as in the header"),
        ("0,0,\"0,0", "line 2: found 3 cells; expected 4, as in the header"),
        ("0,0,0 m,0", "line 2, column `x_m`: found `0 m`; expected a finite number"),
    ] {
        check_bad(format!("{header}{row}\n"), expected);
    }
    let long = "x".repeat(100);
    let expected = format!("found `{}…`; expected", &long[..40]);
    check_bad(format!("{header}0,0,{long},0\n"), &expected);
}

/// Editors count them so, whatever the line ends, the blank lines, and the breaks in quotes.
#[test]
fn lines_are_those_of_the_file() {
    for ends in ["\n", "\r\n"] {
        for before in [
            "time_s,device,x_m,y_m\n0,0,0,0\n0,0,0,0\n",
            "time_s,device,x_m,y_m\n0,0,0,0\n\n",
            "time_s,device,x_m,y_m\n\n0,0,0,0\n",
            "\n\ntime_s,device,x_m,y_m\n",
            "\u{feff}\ntime_s,device,x_m,y_m\n0,0,0,0\n",
            "time_s,device,x_m,y_m,note\n0,0,0,0,\"two\nlines\"\n",
        ] {
            let note = if before.contains("note") { "," } else { "" };
            let text = format!("{before}0,0,bad,0{note}\n").replace('\n', ends);
            check_bad(&text, "line 4, column `x_m`: found `bad`");
            let path = Desk::new();
            let path = path.file("a.csv.gz", &text);
            check_fault(tracks(&path, &plain()), "line 4, column `x_m`: found `bad`");
        }
    }
}

#[test]
fn each_bad_file_is_refused() {
    check_bad("", "tracks.csv: has no rows; expected the columns time_s, device, x_m and y_m");
    check_bad("\n \n", "tracks.csv: has no rows");
    check_bad("time_s,device,x_m,y_m\n", "tracks.csv: has no rows");
    check_bad(
        "time,device,x,y\n0,0,0,0\n",
        "tracks.csv: has no column `time_s`; it has `time`, `device`, `x`, `y`; name the one to use in `columns`",
    );
    check_bad("0,0,0,0\n1,0,0,0\n", "has no column `time_s`; it has `0`, `0`, `0`, `0`");
    check_bad("x_m,time_s,device,x_m,y_m\n0,0,0,0,0\n", "has the column `x_m` twice; rename one");
    check_bad("X_M,time_s,device,x_M,y_m\n0,0,0,0,0\n", "has the column `X_M` twice; rename one");
    check_bad(b"\xff\xfet\0i\0m\0e\0", "line 1: the text is UTF-16; save it as UTF-8");
    check_bad(
        b"time_s,device,x_m,y_m\n0,caf\xe9,0,0\n",
        "line 2, column `device`: found `caf\u{fffd}`; expected UTF-8; save the file in this encoding",
    );
    let endless =
        format!("time_s,device,x_m,y_m\n0,0,0,0\n0,0,\"0,0\n{}", "0,0,0,0\n".repeat(800_000));
    check_bad(
        &endless,
        "line 3: a record has more than 4 MiB: is there a quote or a tag that is never closed?",
    );

    let desk = Desk::new();
    check_fault(tracks(&desk.0.path().join("none.csv"), &plain()), "none.csv: can't be read: ");
    check_fault(
        tracks(desk.0.path(), &plain()),
        "unknown format; expected a name that ends in `.csv`, `.tsv`,",
    );
    check_fault(tracks(&desk.file("a.json", "{}"), &plain()), "a.json: unknown format");
    let packed =
        desk.file("a.csv.gz", "time_s,device,x_m,y_m\n".to_owned() + &"0,0,0,0\n".repeat(50));
    let bytes = std::fs::read(&packed).unwrap();
    std::fs::write(&packed, &bytes[..bytes.len() - 9]).unwrap();
    check_fault(tracks(&packed, &plain()), "a.csv.gz: can't be read: ");
    std::fs::write(&packed, "time_s,device,x_m,y_m\n0,0,0,0\n").unwrap();
    check_fault(tracks(&packed, &plain()), "a.csv.gz: can't be read: ");
}

#[test]
fn columns_that_can_not_be_meant_are_refused() {
    let desk = Desk::new();
    let path = desk.file("a.csv", "time_s,device,x_m,y_m\n0,0,0,0\n");
    for (columns, expected) in [
        (
            plain().named("z_m", "z"),
            "the columns name `z_m`, which is not a column of tracks; expected one of `device`, `time_s`, \
             `x_m`, `y_m`",
        ),
        (
            plain().named("x_m", "east"),
            "has no column `east`, named for `x_m`; it has `time_s`, `device`, `x_m`, `y_m`; name",
        ),
        (plain().scaled("x_m", 0.0), "the factor of `x_m` is 0; expected a finite number above 0"),
        (plain().scaled("x_m", f64::NAN), "the factor of `x_m` is NaN; expected"),
        (
            plain().scaled("device", 2.0),
            "the factor of `device` is 2; expected none: it has no unit",
        ),
        (
            plain().fixed("x_m", f64::INFINITY),
            "the constant of `x_m` is inf; expected a finite number",
        ),
        (
            plain().fixed("x_m", 1.0).scaled("x_m", 2.0),
            "the constant of `x_m` is 1; expected none: the file's column has a name or a factor too",
        ),
    ] {
        check_fault(tracks(&path, &columns), expected);
    }
}

#[test]
fn parquet_has_the_same_columns() {
    let columns = [("time_s", Kind::Number), ("device", Kind::Text), ("x_m", Kind::Number)];
    let columns = columns.map(|(name, kind)| Column::new(name, kind));
    let mut table = Writer::new(Vec::new(), columns.into()).unwrap();
    table.row([Value::Number(1.0), Value::Text("bus"), Value::Number(2.0)]).unwrap();
    table.row([Value::Number(2.0), Value::Text("bus"), Value::Number(f64::NAN)]).unwrap();
    let file = table.finish().unwrap();
    let desk = Desk::new();
    let path = desk.file("tracks.parquet", file);
    let columns = plain().fixed("y_m", 0.0);
    check_fault(
        tracks(&path, &columns),
        "row 2, column `x_m`: found `NaN`; expected a finite number",
    );
    check_fault(tracks(&path, &plain()), "has no column `y_m`; it has `time_s`, `device`, `x_m`;");
    let columns = columns.named("x_m", "time_s");
    assert_eq!(tracks(&path, &columns).unwrap(), [row(1.0, 0, 1.0, 0.0), row(2.0, 0, 2.0, 0.0)]);
    let columns = vec![Column::new("x_m", Kind::Number)];
    let path =
        desk.file("empty.parquet", Writer::new(Vec::new(), columns).unwrap().finish().unwrap());
    let columns = plain().fixed("time_s", 0.0).fixed("device", 0.0).fixed("y_m", 0.0);
    check_fault(tracks(&path, &columns), "empty.parquet: has no rows; expected the columns time_s");
    let path = desk.file("b.parquet", "time_s,device\n");
    check_fault(
        tracks(&path, &plain()),
        "b.parquet: not a whole Parquet file: it begins with `time`",
    );
}

#[test]
fn floating_car_data_of_vehicles_and_persons() {
    let text = export(
        r#"<timestep time="0.00">
             <vehicle id="flow.0" x="10.5" y="-3" angle="90" type="car" speed="3" lane="a_0"/>
             <person id="flow.0" x="1" y="2" angle="0" speed="1" edge="b"/>
           </timestep>
           <timestep time="0.50"/>
           <timestep time="1.00">
             <vehicle id="7" x="1e1" y="0"></vehicle>
             <container id="c" x="0" y="0"/>
             <vehicle id="a &amp; b" x="0" y="0"><why><vehicle-part/></why></vehicle>
             <vehicle y="1" x="11" id="flow.0"/>
           </timestep>"#,
    );
    let expected = [
        row(0.0, 0, 10.5, -3.0),
        row(0.0, 1, 1.0, 2.0),
        row(1.0, 2, 10.0, 0.0),
        row(1.0, 3, 0.0, 0.0),
        row(1.0, 0, 11.0, 1.0),
    ];
    let desk = Desk::new();
    for name in ["a.xml", "a.fcd.XML", "a.xml.gz"] {
        let mut devices = Devices::default();
        let path = desk.file(name, &text);
        assert_eq!(tracks_of(&path, &plain(), &mut devices).unwrap(), expected);
        assert_eq!(devices.names().unwrap(), ["flow.0", "person/flow.0", "7", "a & b"]);
    }
    let columns = plain().named("x_m", "y").scaled("x_m", 2.0).named("device", "y");
    let rows = tracks(&desk.file("a.xml", &text), &columns).unwrap();
    assert_eq!((rows[0].x_m, rows[0].y_m, rows[2].device), (-6.0, -3.0, 2));
    assert_eq!(rows[3].device, 2);
    let fault = "expected none: floating car data has all its values in the file";
    check_fault(tracks(&desk.file("a.xml", &text), &plain().fixed("x_m", 0.0)), fault);
}

#[test]
fn bad_floating_car_data_is_refused() {
    check_xml("", "a.fcd.xml");
    check_xml("", "has no rows; expected <fcd-export> with a <timestep>");
    check_xml(&export(""), "has no rows; expected <fcd-export> with a <timestep>");
    check_xml(&export("<timestep time=\"0\"/>"), "has no rows");
    check_xml(
        "<routes>\n</routes>",
        "line 1: found the root element `routes`; expected `fcd-export`, which SUMO writes with `--fcd-output`",
    );
    let step = |inside: &str| export(&format!("<timestep time=\"0\">\n{inside}\n</timestep>"));
    for (text, expected) in [
        (
            step("<vehicle id=\"a\" x=\"0\"/>"),
            "has no column (attribute) `y` of `vehicle` (line 5); it has `id`, `x`; name the one to use",
        ),
        (
            step("<vehicle x=\"0\" y=\"0\"/>"),
            "has no column (attribute) `id` of `vehicle` (line 5)",
        ),
        (
            step("<vehicle id=\"\" x=\"0\" y=\"0\"/>"),
            "line 5, column `id`: found ``; expected the id",
        ),
        (
            step("<vehicle id=\"a\" x=\"NaN\" y=\"0\"/>"),
            "line 5, column `x`: found `NaN`; expected a finite number",
        ),
        (step("<vehicle id=\"a\" x=\"0\" x=\"1\" y=\"0\"/>"), "line 5: "),
        (step("<vehicle id=\"&what;\" x=\"0\" y=\"0\"/>"), "line 5: "),
        (step("<vehicle id=\"a\" x=\"0\" y=\"0\">"), "line 6: not well-formed XML: "),
        (
            export("<vehicle id=\"a\" x=\"0\" y=\"0\"/>"),
            "line 4: found a vehicle outside of a time step; expected <timestep time=\"…\"> around it",
        ),
        (
            export("<timestep time=\"00:00:01\"/>"),
            "found `00:00:01`; expected a finite number; run SUMO without `--human-readable-time`",
        ),
        (
            export("<timestep time=\"-1\"/>"),
            "line 4, column `time`: found `-1`; expected seconds, 0 or",
        ),
        (
            export("<timestep/>"),
            "has no column (attribute) `time` of `timestep` (line 4); it has none",
        ),
        (
            "<fcd-export>\n<timestep time=\"0\">\n<vehicle id=\"a\" x=\"0\" y=\"0\"/>\n".to_owned(),
            "line 4: the file ends within an element: it was cut off",
        ),
        (
            "<fcd-export>\n<timestep time=\"0\">\n<vehicle id=\"a".to_owned(),
            "line 3: not well-formed",
        ),
        ("time_s,device\n0,0\n".to_owned(), "has no rows"),
    ] {
        check_xml(&text, expected);
    }
    let path = Desk::new();
    let path = path.file("a.xml", step("<vehicle id=\"caf\u{e9}\" x=\"0\" y=\"0\"/>"));
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.iter().position(|&byte| byte == 0xc3).unwrap();
    std::fs::write(&path, [&bytes[..at], b"\xe9", &bytes[at + 2..]].concat()).unwrap();
    check_fault(tracks(&path, &plain()), "line 5: not well-formed XML: ");
    let endless = export(&format!("<timestep time=\"{}", "0".repeat(5 << 20)));
    check_xml(&endless, "line 4: not well-formed XML: ");
}

#[test]
fn the_examples_are_read() {
    let rows = tracks(&example("crossing.fcd.xml"), &plain()).unwrap();
    assert_eq!(rows.len(), 21 + 18 + 13);
    assert_eq!(rows[20], row(9.0, 2, 216.7, 101.6));
    let rows = tracks(&example("walk.csv"), &plain()).unwrap();
    assert_eq!((rows.len(), rows[20]), (21, row(30.0, 2, 53.0, 38.0)));
}
