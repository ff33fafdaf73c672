//! The value below which so many per cent of the values lie.

#![expect(unreachable_pub, reason = "a module of a bench, which has no public interface")]

pub fn quantile(mut values: Vec<f64>, per_cent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * per_cent / 100).min(values.len() - 1)]
}
