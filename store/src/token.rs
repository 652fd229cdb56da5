//! Retry tokens, lease tokens and session tokens: HMACs under the store's secret; nothing is stored.
