use offramp_recorded::When::{Seconds, Slot};
use offramp_recorded::{Columns, RateRow, When, rates};

use super::{Desk, check_fault, example, plain};

fn row(when: When, mbps: f64) -> RateRow {
    RateRow { when, device: None, server: None, mbps }
}

#[track_caller]
fn check(text: &str, columns: &Columns, expected: &[RateRow]) {
    let desk = Desk::new();
    for name in ["rates", "rates.csv", "report.log", "rates.gz"] {
        assert_eq!(rates(&desk.file(name, text), columns).unwrap(), expected);
    }
}

#[test]
fn two_columns_need_no_header() {
    let expected = [row(Seconds(0.0), 4.5), row(Seconds(0.55), 0.0)];
    for text in [
        "0.0\t4.5\n0.55\t0\n",
        "0.0,4.5\r\n0.55,0\r\n",
        "0.0 4.5\n\n0.55 0",
        "\u{feff}  0   4.5 \n 0.55\t 0\n\n",
        "0;4.5\n0.55; 0\n",
    ] {
        check(text, &plain(), &expected);
    }
    check("0,4500\n550,0\n", &plain().scaled("time_s", 0.001).scaled("mbps", 0.001), &expected);
    check(
        "2023-11-16 18:17:03,1\n2023-11-16 18:17:04.5,2\n",
        &plain(),
        &[row(Seconds(0.0), 1.0), row(Seconds(1.5), 2.0)],
    );
}

#[test]
fn a_header_names_the_unit() {
    for (unit, rates) in [("mbps", "4.5"), ("kbps", "4500"), ("bps", "4500000"), ("BPS", "4.5e6")] {
        check(&format!("slot,{unit}\n3,{rates}\n"), &plain(), &[row(Slot(3), 4.5)]);
    }
    let columns = plain().named("kbps", "DL_bitrate").named("time_s", "Timestamp");
    // A column that is named comes before one that is not.
    check("Timestamp,mbps,DL_bitrate,slot\n1,7,4500,9\n", &columns, &[row(Seconds(1.0), 4.5)]);
    check(
        "slot,device,server,mbps\n0,2,1,5\n",
        &plain(),
        &[RateRow { device: Some(2), server: Some(1), ..row(Slot(0), 5.0) }],
    );
    let of = |slot, device| RateRow { device: Some(device), ..row(Slot(slot), 5.0) };
    check("slot,device,mbps\n0,2,5\n0,bus,5\n1,2,5\n", &plain(), &[of(0, 0), of(0, 1), of(1, 0)]);
}

#[test]
fn each_bad_file_is_refused() {
    let check = |text: &str, expected: &str| {
        check_fault(rates(&Desk::new().file("rates", text), &plain()), expected);
    };
    check("", "rates: has no rows; expected times and rates: two columns, or a header");
    check("slot,mbps\n", "rates: has no rows");
    check("0,1\n1,-2\n", "line 2, column `mbps`: found `-2`; expected a rate, 0 or more");
    check("0,1\n\n1,nan\n", "line 3, column `mbps`: found `nan`; expected a rate, 0 or more");
    check(
        "0,1\n-1,2\n",
        "line 2, column `time_s`: found `-1`; expected a time: seconds, 0 or more",
    );
    check("0,1\n1\n", "line 2: found 1 cells; expected 2 in a file without a header");
    check("0 1\n1 2 3\n", "line 2: found 3 cells; expected 2 in a file without a header");
    check("0,1\n1,\n", "line 2, column `mbps`: found an empty cell");
    check("0 1 2\n", "line 1: found 3 cells; expected 2");
    check("time,rate\n0,1\n", "has no column `mbps` or `kbps` or `bps`; it has `time`, `rate`;");
    check("time,mbps\n0,1\n", "has no column `slot` or `time_s`; it has `time`, `mbps`;");
    check("slot,mbps\n1.5,1\n", "column `slot`: found `1.5`; expected a whole number, 0 to");
    check(
        "slot,server,mbps\n1,,1\n",
        "column `server`: found an empty cell; expected a whole number",
    );
    let path = Desk::new();
    let path = path.file("rates", b"0 1\n1 \xff\n");
    check_fault(rates(&path, &plain()), "line 2: the text is not UTF-8");
    std::fs::write(&path, format!("0 1\n1{}", " ".repeat(5 << 20))).unwrap();
    check_fault(rates(&path, &plain()), "line 2: a record has more than 4 MiB");
}

#[test]
fn the_examples_are_read() {
    let rows = rates(&example("norway-3g/norway_bus_1"), &plain()).unwrap();
    assert_eq!(rows.len(), 266);
    assert_eq!(rows[1], row(Seconds(0.549_999_952_316), 4.792_830_601_09));
    assert_eq!(rates(&example("norway-3g/norway_bus_10"), &plain()).unwrap().len(), 265);
}
