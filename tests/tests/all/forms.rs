//! Reads in other forms than JSON.

use axum::http::StatusCode;
use tidemill_schemas::time::Timestamp;
use tidemill_tests::generator::Random;
use tidemill_tests::world::World;

const PATH: &str = "/v1/insights/n/series?from=2026-03-01&to=2026-03-03&every=day&by=*";

async fn world() -> World {
    let mut world = World::new(Timestamp::parse("2026-03-03T12:00:00Z").expect("a time"), 1);
    let text =
        "insight: n\nfrom: '*'\nmetrics:\n  n: count(*)\n  total: sum(amount)\n  mean: avg(amount)\nby: [plan]\n";
    world.apply("n", text).await;
    let event = |id: &str, day: u8, plan: &str, amount: &str| {
        format!(
            "{{\"id\":\"{id}\",\"name\":\"x\",\"time\":\"2026-03-0{day}T00:00:00Z\",\"properties\":{{\"plan\":\"{plan}\",\"amount\":{amount}}}}}\n"
        )
    };
    let events =
        [event("a", 1, "=1+1", "-0.10"), event("b", 1, "pro", "3"), event("c", 2, "pro", "12345678901234567890.5")];
    world.send(&events.concat()).await;
    let mut random = Random::of(1);
    world.settle(&mut random).await;
    world.backfill().await;
    world.settle(&mut random).await;
    world
}

#[tokio::test]
async fn csv_is_exact_and_its_text_is_no_formula() {
    let world = world().await;
    let (status, headers, body) = world.read(PATH, &[("accept", "text/csv")]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/csv");
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    let lines = [
        "time,plan,n,total,mean",
        "2026-03-01T00:00:00Z,pro,1,3,3",
        "2026-03-01T00:00:00Z,'=1+1,1,-0.1,-0.1",
        "2026-03-02T00:00:00Z,pro,1,12345678901234567890.5,12345678901234567890.5",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    assert_eq!(headers["tidemill-partial"], "false");
    assert_eq!(headers["vary"], "accept");
    assert!(headers.contains_key("tidemill-complete-through"));
    assert!(!headers.contains_key("tidemill-next"));
    let (_, headers, _) = world.read(&format!("{PATH}&limit=1"), &[("accept", "text/csv")]).await;
    assert_eq!(headers["tidemill-next"], "row-1");
}

#[tokio::test]
async fn columns_have_the_functions_types() {
    let world = world().await;
    let (_, headers, body) = world.read(PATH, &[("accept", "application/vnd.apache.parquet")]).await;
    assert_eq!(headers["content-type"], "application/vnd.apache.parquet");
    assert!(body.starts_with(b"PAR1"));
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(body).expect("a file");
    let batches: Vec<_> = reader.build().expect("a reader").map(|batch| batch.expect("a batch")).collect();
    let types: Vec<String> =
        batches[0].schema().fields().iter().map(|field| format!("{}:{}", field.name(), field.data_type())).collect();
    let expected =
        ["time:Timestamp(µs, \"UTC\")", "plan:Utf8", "n:Int64", "total:Decimal128(38, 1)", "mean:Decimal128(38, 6)"];
    assert_eq!(types, expected);
    let (_, headers, body) = world.read(PATH, &[("accept", "application/vnd.apache.arrow.stream")]).await;
    assert_eq!(headers["content-type"], "application/vnd.apache.arrow.stream");
    let mut stream = arrow::ipc::reader::StreamReader::try_new(body.as_ref(), None).expect("a stream");
    assert_eq!(stream.next().expect("one batch").expect("it reads"), batches[0]);
}

#[tokio::test]
async fn every_form_has_an_etag_of_its_own() {
    let world = world().await;
    let forms =
        ["application/json", "text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"];
    let mut tags = std::collections::BTreeSet::new();
    for form in forms {
        let (_, headers, body) = world.read(PATH, &[("accept", form)]).await;
        let tag = headers["etag"].to_str().expect("ASCII").to_owned();
        let (status, _, again) = world.read(PATH, &[("accept", form), ("if-none-match", &tag)]).await;
        assert_eq!((status, again.len()), (StatusCode::NOT_MODIFIED, 0), "{form}");
        let (_, _, same) = world.read(PATH, &[("accept", form)]).await;
        assert_eq!(body, same, "{form}");
        tags.insert(tag);
    }
    assert_eq!(tags.len(), forms.len());
    let (status, _, body) = world.read(PATH, &[("accept", "text/html")]).await;
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
    assert!(body.contains("TM0316") && body.contains("text/csv"), "{body}");
}

#[tokio::test]
async fn an_answer_without_rows_has_columns() {
    let world = world().await;
    let path = "/v1/insights/n/series?from=2026-02-01&to=2026-02-02&every=day&by=*";
    let (status, _, body) = world.read(path, &[("accept", "text/csv")]).await;
    assert_eq!((status, body.as_ref()), (StatusCode::OK, b"time,plan,n,total,mean\n".as_slice()));
    let (status, _, body) = world.read(path, &[("accept", "application/vnd.apache.parquet")]).await;
    assert_eq!(status, StatusCode::OK);
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(body).expect("a file");
    assert_eq!(reader.schema().fields().len(), 5);
}
