//! A server that answers wrongly, or that is gone, is told as failing, and the scenario ends in time.
