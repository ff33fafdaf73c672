//! The behaviours, by what they are about. Each is asked over plain HTTP and seen as it comes.

mod access;
mod applies;
mod bad_requests;
mod cel;
mod corners;
mod creates;
mod definitions;
mod deletes;
mod discovery;
mod dry_run;
mod finalizers;
mod lists;
mod metadata;
mod namespaces;
mod options;
mod patches;
mod refused_definitions;
mod rules;
mod scales;
mod schemas;
mod selectors;
mod signing_requests;
mod subresources;
mod tables;
mod tokens;
mod updates;
mod values;
mod watches;

use crate::test::Test;

/// All of them.
pub(crate) fn tests() -> Vec<Test> {
    [
        access::tests(),
        applies::tests(),
        bad_requests::tests(),
        cel::tests(),
        corners::tests(),
        creates::tests(),
        definitions::tests(),
        deletes::tests(),
        discovery::tests(),
        dry_run::tests(),
        finalizers::tests(),
        lists::tests(),
        metadata::tests(),
        namespaces::tests(),
        options::tests(),
        patches::tests(),
        refused_definitions::tests(),
        rules::tests(),
        scales::tests(),
        schemas::tests(),
        selectors::tests(),
        signing_requests::tests(),
        subresources::tests(),
        tables::tests(),
        tokens::tests(),
        updates::tests(),
        values::tests(),
        watches::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
