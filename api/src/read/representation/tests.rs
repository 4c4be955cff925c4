use super::*;

fn accepted(accept: &[&str]) -> Option<Representation> {
    let mut headers = HeaderMap::new();
    for value in accept {
        headers.append(header::ACCEPT, HeaderValue::from_str(value).expect("a header"));
    }
    Representation::accepted(&headers).ok()
}

#[test]
fn what_is_wanted_most_is_chosen() {
    use Representation::{Arrow, Csv, Json, Parquet};
    for (accept, form) in [
        (&[][..], Some(Json)),
        (&["*/*"], Some(Json)),
        (&["application/json"], Some(Json)),
        (&["text/csv"], Some(Csv)),
        (&["text/*"], Some(Csv)),
        (&["Text/CSV; charset=utf-8"], Some(Csv)),
        (&["application/*"], Some(Json)),
        (&["application/vnd.apache.arrow.stream"], Some(Arrow)),
        (&["application/vnd.apache.parquet"], Some(Parquet)),
        (&["application/json;q=0.4, text/csv;q=0.5"], Some(Csv)),
        (&["application/json;q=0.4", "text/csv;q=0.5"], Some(Csv)),
        (&["text/html,application/xhtml+xml,*/*;q=0.8"], Some(Json)),
        (&["application/json;q=0, */*;q=0.1"], Some(Csv)),
        (&["text/html"], None),
        (&["application/json;q=0"], None),
        (&["application/json;q=2"], None),
        (&[""], Some(Json)),
    ] {
        assert_eq!(accepted(accept), form, "{accept:?}");
    }
}
