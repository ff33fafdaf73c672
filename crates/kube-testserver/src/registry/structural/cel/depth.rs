//! Expressions that are deep. The library works through an expression recursively, and tests have small stacks.

use std::thread;

use kube_cel::cel::{
    IdedExpr as Expression,
    common::ast::{EntryExpr, Expr},
};

/// The longest text of an expression, in bytes.
pub(super) const LONGEST: usize = 10_000;
/// The most levels of an expression, as on a real server.
pub(super) const DEEPEST: usize = 250;
/// An expression of so many levels is evaluated on any stack.
pub(super) const SHALLOW: usize = 30;

/// In a debug build a pair of brackets takes 180 KiB of the parser's stack, and up to 96 are read. What is not used of it takes
/// no memory.
const LARGE: usize = 128 << 20;

/// Runs `work` where it has room. Returns nothing if it panics, or if there is no thread for it.
pub(super) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().stack_size(LARGE).spawn_scoped(scope, work).ok()?;
        worker.join().ok()
    })
}

/// How many levels an expression has.
pub(super) fn of(expression: &Expression) -> usize {
    let deepest = |parts: &mut dyn Iterator<Item = &Expression>| parts.map(of).max().unwrap_or_default();
    1 + match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => 0,
        Expr::Select(select) => of(&select.operand),
        Expr::Call(call) => deepest(&mut call.args.iter().chain(call.target.as_deref())),
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Map(map) => deepest(&mut map.entries.iter().flat_map(|entry| of_entry(&entry.expr))),
        Expr::Struct(message) => deepest(&mut message.entries.iter().flat_map(|entry| of_entry(&entry.expr))),
        Expr::Comprehension(over) => deepest(
            &mut [&over.iter_range, &over.accu_init, &over.loop_cond, &over.loop_step, &over.result].into_iter(),
        ),
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&Expression> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}
