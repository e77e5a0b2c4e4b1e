//! What the page says, and that texts from outside stay texts in it.

use std::collections::BTreeSet;

use super::super::result_table::TableColumn;
use super::*;

fn page(tables: &[ResultTable], title: &str) -> String {
    let page = Page {
        written_from: "sha256:0".into(),
        title: line(title),
        description: String::new(),
        asked: String::new(),
        answer: answer(tables, Comparison::of(tables, &BTreeSet::new()).as_ref(), None),
        warnings: Vec::new(),
        tables: tables.iter().map(TableHead::of).collect(),
        details: Vec::new(),
        data: table_json::as_json(tables).unwrap(),
        figures: Vec::new(),
        training: Vec::new(),
        timeline: Vec::new(),
        gallery: Vec::new(),
        gallery_note: gallery_note(),
        stages: 3,
        graph: String::new(),
        facts: origins::facts(None, None),
        left_out: Vec::new(),
        recipes: Vec::new(),
        more_recipes: 0,
    };
    render(&page).unwrap()
}

fn table(rows: usize) -> ResultTable {
    ResultTable {
        name: "extraction".into(),
        title: "Extraction <&|$\\>\n\u{1b}[2J".into(),
        columns: vec![
            TableColumn::text(
                "variant",
                (0..rows).map(|row| Some(format!("<img src=x onerror=alert({row})>"))).collect(),
            ),
            TableColumn::number(
                "probe mAP",
                3,
                (0..rows).map(|row| Some(row as f64 / 7.0)).collect(),
            ),
        ],
        notes: vec!["<script>alert(1)</script>".into()],
        ..Default::default()
    }
}

#[test]
fn names_are_text_in_the_page_and_it_asks_for_nothing_from_elsewhere() {
    let html = page(&[table(3)], "<b>& $x$</b>\u{1b}[2J");
    for foreign in ["<img src=x", "<script>alert", "<b>", "\u{1b}"] {
        assert!(!html.contains(foreign), "{foreign:?}");
    }
    assert!(
        html.contains("&lt;b&gt;&amp; $x$&lt;&#x2f;b&gt;\\u001b[2J"),
        "the title is shown as text"
    );
    assert!(
        html.contains("function sortBy")
            && html.contains("prefers-color-scheme: dark")
            && html.contains("@media print")
    );
    assert!(!html.contains("http:") && !html.contains("https:"), "nothing is loaded");
}

#[test]
fn numbers_in_the_page_are_those_of_the_csv() {
    let table = table(3);
    let html = page(std::slice::from_ref(&table), "a");
    let begin = html.find("id=\"tables\">").unwrap() + "id=\"tables\">".len();
    let json = &html[begin..begin + html[begin..].find("</script>").unwrap()];
    let data: serde_json::Value = serde_json::from_str(json).unwrap();
    let in_page: Vec<f64> = data[0]["columns"][1]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect();
    let csv = String::from_utf8(super::super::table_formats::csv(&table).unwrap()).unwrap();
    let in_csv: Vec<f64> =
        csv.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(in_page, in_csv);
    assert_eq!(in_page, [0.0, 1.0 / 7.0, 2.0 / 7.0]);
}

#[test]
fn ten_thousand_rows_are_data_and_not_elements() {
    let html = page(&[table(10_000)], "a");
    assert!(html.matches("<tr").count() < 10 && html.len() < 3_000_000, "{} bytes", html.len());
}
