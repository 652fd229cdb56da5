use std::sync::Arc;

use proxy::{ComparedWith, Difference, DifferentPart};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::registrar::{Context, Registrar};
use crate::api::error::Error;

pub(super) fn register(to: &mut Registrar) {
    to.read("compare_execution", compare_execution);
}

#[derive(Deserialize)]
struct CompareExecution {
    id: Uuid,
}

/// A proxied execution that was recorded before another one like it, and where they differ.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct ComparedExecution {
    /// The earlier one.
    execution_id: Uuid,
    /// At most 20 places, in the order of a request.
    differs: Vec<ComparedPart>,
    /// There are more than are listed.
    more: bool,
    /// A value is masked in both, so that it may differ unseen.
    masked: bool,
    /// The lines of a rule that make the two one call, if a rule can do that.
    rule: Vec<String>,
    /// The same in words.
    sentence: String,
}

/// One place where two requests differ.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct ComparedPart {
    /// `method`, `url`, `query`, `header`, `member`, `field`, `body`, `key`, `credentials`, `repeat`.
    #[cfg_attr(test, ts(type = "string"))]
    part: DifferentPart,
    /// A header's, a query parameter's or a field's name, or a JSON pointer into the body.
    name: Option<String>,
}

impl From<ComparedWith> for ComparedExecution {
    fn from(compared: ComparedWith) -> Self {
        let ComparedWith { execution_id, differences } = compared;
        let sentence = differences.sentence();
        let part = |Difference { part, name }| ComparedPart { part, name };
        Self {
            execution_id,
            differs: differences.differs.into_iter().map(part).collect(),
            more: differences.more,
            masked: differences.masked,
            rule: differences.rule,
            sentence,
        }
    }
}

async fn compare_execution(
    context: Arc<Context>,
    params: CompareExecution,
) -> Result<Option<ComparedExecution>, Error> {
    let compared = context.read_list(move |reader| proxy::compare(reader, params.id)).await?;
    Ok(compared.map(ComparedExecution::from))
}
