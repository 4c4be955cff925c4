use super::*;

fn columns(map: &str, source: Option<&str>, zone: &str) -> Columns {
    let mapping = if map.is_empty() { Mapping::default() } else { mapping(map).expect("a mapping") };
    Columns { mapping, source: source.map(str::to_owned), zone: Zone::named(zone).expect("a zone") }
}

fn rows(name: &str, bytes: &[u8], columns: &Columns) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    let mut rows = Vec::new();
    lines(&path, columns, &mut |row| {
        rows.push(row);
        rows.len() < 3
    })?;
    Ok(rows)
}

const ORDERS: &str = "order,at,amount\no1,2026-01-02 03:04:05,12.50\no2,soon,1\no3,2026-01-03,2\no4,2026-01-03,2\n";

#[test]
fn rows_become_lines_until_nobody_wants_more() {
    let columns = columns("id=order,name='paid',time=at", Some("shop"), "Asia/Kolkata");
    let read = rows("orders.csv", ORDERS.as_bytes(), &columns).expect("read");
    let line = r#"{"id":"o1","source":"shop","name":"paid","time":"2026-01-01T21:34:05Z","properties":{"amount":12.5"#;
    assert!(matches!(&read[0], Row::Line(1, text) if text.starts_with(line)), "{read:?}");
    assert!(matches!(&read[1], Row::Refused(2, code, why) if code.starts_with("TM01") && !why.contains("row 2")));
    assert_eq!(read.len(), 3);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, ORDERS.as_bytes()).expect("packed");
    assert_eq!(rows("orders.csv.gz", &packed.finish().expect("packed"), &columns).expect("read"), read);
}

#[test]
fn what_cannot_be_read_says_why() {
    let any = columns("", None, "UTC");
    assert_eq!(rows("a.csv", b"x,y\n1,2\n", &any).expect_err("no id").code, "TM0131");
    assert_eq!(rows("a.parquet", b"PAR1 not", &any).expect_err("damaged").code, "TM0133");
    assert_eq!(rows("a.tsv", b"id\tname", &any).expect_err("tabs").code, "TM0914");
    for wrong in ["id", "colour=x", "id=", "id=a,id=b", ""] {
        assert_eq!(mapping(wrong).expect_err(wrong).code, "TM0130");
    }
}

#[test]
fn tables_are_known_by_their_names() {
    assert!(is_table(Path::new("a/b.CSV")) && is_table(Path::new("x.parquet")) && is_table(Path::new("x.csv.gz")));
    assert!(!is_table(Path::new("x.ndjson.gz")) && !is_table(Path::new("csv")) && !is_table(Path::new("x.gz")));
}
