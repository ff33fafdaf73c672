//! One test: its name, what it does with a case of its own, and how that becomes a trial of the harness.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use tokio::{runtime, time};

use crate::{case::Case, target::Target};

/// How long a test may take before it has failed. Only a hang takes so long, on the slowest of machines.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a test comes to when it does not panic.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

type Running = Pin<Box<dyn Future<Output = Outcome>>>;

/// What a test does on the server that all tests share.
pub(crate) type Run = fn(Case) -> Running;

/// A behaviour, and the code that shows it.
pub(crate) struct Test {
    name: String,
    run: Run,
    runnable: bool,
}

/// Lists the tests of a module. One that is left out is dead code, which the compiler reports.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        pub(crate) fn tests() -> Vec<$crate::test::Test> {
            use $crate::test::{Finish as _, Test};
            vec![$(Test::new(
                module_path!(),
                stringify!($name),
                |case| Box::pin(async move { $name(case).await.finish() }),
            )),+]
        }
    };
}
pub(crate) use tests;

/// What a test's function may return.
pub(crate) trait Finish {
    fn finish(self) -> Outcome;
}

impl Finish for () {
    fn finish(self) -> Outcome {
        Ok(())
    }
}

impl Finish for Outcome {
    fn finish(self) -> Outcome {
        self
    }
}

impl Test {
    pub(crate) fn new(module: &str, name: &str, run: Run) -> Self {
        let module = module.trim_start_matches("conformance::").trim_start_matches("suite::");
        Self { name: format!("{module}::{name}"), run, runnable: true }
    }

    /// Marks it as one that cannot run here, unless `condition` holds. It is reported as ignored then.
    pub(crate) fn only_if(mut self, condition: bool) -> Self {
        self.runnable = condition;
        self
    }

    /// A trial that is listed and does not run.
    pub(crate) fn listed(self) -> Trial {
        Trial::test(self.name, || Err("it was made to be listed".into())).with_ignored_flag(!self.runnable)
    }

    /// The trial that runs it on this server.
    pub(crate) fn on(self, target: &Arc<Target>) -> Trial {
        let target = Arc::clone(target);
        let run = self.run;
        Trial::test(self.name, move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let whole = async { run(Case::new(target).await?).await };
            let outcome = runtime.block_on(async { time::timeout(DEADLINE, whole).await });
            match outcome {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(Failed::from(WithCauses(error.as_ref()))),
                Err(_) => Err(Failed::from(format!("it hangs: no end after {} s", DEADLINE.as_secs()))),
            }
        })
        .with_ignored_flag(!self.runnable)
    }
}

/// An error with its causes, each on a line.
pub(crate) struct WithCauses<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
