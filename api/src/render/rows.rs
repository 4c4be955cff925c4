//! Rows: a server's flat row objects as columns in their order.
//!
//! In: `{"rows":[{…}],"every":…,"timezone":…}`. Out: column names and cells. A key that a row lacks is null there.

use crate::render::json::Json;

/// Columns and cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Column names, in order of first appearance.
    pub columns: Vec<String>,
    /// One cell per column in each row.
    pub cells: Vec<Vec<Json>>,
}

impl Rows {
    /// The rows of objects.
    pub fn of(objects: &[Json]) -> Rows {
        let mut rows = Rows::default();
        rows.extend(objects);
        rows
    }

    /// Appends more objects; columns they bring are new at the end.
    pub fn extend(&mut self, objects: &[Json]) {
        for object in objects {
            let mut cells = vec![Json::Null; self.columns.len()];
            for (at, (key, value)) in object.entries().iter().enumerate() {
                // Rows of one answer have the same keys in the same order nearly always.
                let known = self.columns.get(at).filter(|name| *name == key).map(|_| at);
                let known = known.or_else(|| self.columns.iter().position(|name| name == key));
                match known {
                    Some(column) => cells[column] = value.clone(),
                    None => {
                        self.columns.push(key.clone());
                        cells.push(value.clone());
                        self.cells.iter_mut().for_each(|row| row.push(Json::Null));
                    }
                }
            }
            self.cells.push(cells);
        }
    }

    /// The cells of one column.
    pub fn column(&self, at: usize) -> impl Iterator<Item = &Json> {
        self.cells.iter().map(move |row| &row[at])
    }

    /// Whether a column holds numbers (and nulls) and nothing else.
    pub fn is_number(&self, at: usize) -> bool {
        let mut numbers = 0usize;
        for cell in self.column(at) {
            match cell {
                Json::Number(_) => numbers += 1,
                Json::Null => {}
                _ => return false,
            }
        }
        numbers > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_order_and_gaps_are_null() {
        let json = Json::parse(br#"[{"time":"t","n":1},{"n":2,"x":"a"}]"#).expect("it is JSON");
        let rows = Rows::of(json.items());
        assert_eq!(rows.columns, ["time", "n", "x"]);
        assert_eq!(rows.cells[0][2], Json::Null);
        assert_eq!(rows.cells[1][0], Json::Null);
        assert!(rows.is_number(1) && !rows.is_number(0) && !rows.is_number(2));
        assert!(rows.cells.iter().all(|row| row.len() == 3));
    }
}
