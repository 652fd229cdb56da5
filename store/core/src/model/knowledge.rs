use super::words::words;

words! {
    /// What is known about an attempt, or about an execution over all its attempts. Ordered: the more
    /// certain an effect, the greater, so that the join of two attempts is their maximum.
    #[cfg_attr(feature = "typescript", ts(rename = "Outcome"))]
    Knowledge {
        /// The effect did not take place.
        NotExecuted = 0 "not_executed",
        /// The effect may have taken place.
        Unknown = 1 "unknown",
        /// The effect took place.
        Executed = 2 "executed",
    }
}

impl Knowledge {
    /// What is known when one attempt ended so and another so.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        if self.number() >= other.number() { self } else { other }
    }
}
